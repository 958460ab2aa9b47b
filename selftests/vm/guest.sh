# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh
# For guest scripts: . /lib/guest.sh

# fail TEXT...: says so and ends the script.
fail() {
	echo "FAIL: $*"
	exit 1
}

# expect_eq WHAT WANT GOT
expect_eq() {
	[ "$2" = "$3" ] || fail "$1: want '$2', got '$3'"
}
