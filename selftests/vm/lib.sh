# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Shared by the harness scripts: messages, the cache, Debian packages.

HKM_CACHE=${HKM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hakmem}
HKM_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '[%(%H:%M:%S)T] %s\n' -1 "$*" >&2; }

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		env DEBIAN_FRONTEND=noninteractive "$@"
	else
		sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
	fi
}

# need PACKAGE...: installs what is missing, or says in one line how to.
need() {
	local pkg missing=()

	command -v dpkg-query >/dev/null ||
		die "needs Debian packages: $*; install their equivalents and put dpkg's on the path"
	for pkg; do
		dpkg-query -W -f='${db:Status-Status}\n' "$pkg" 2>/dev/null |
			grep -qx installed || missing+=("$pkg")
	done
	[ ${#missing[@]} -gt 0 ] || return 0

	if [ -n "${HKM_NO_INSTALL:-}" ] ||
	   { [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; }; then
		die "missing packages, get them with: sudo apt-get install --no-install-recommends ${missing[*]}"
	fi
	say "installing ${missing[*]} (up to a minute)"
	apt_lists
	as_root apt-get -qq -o Dpkg::Use-Pty=0 install -y \
		--no-install-recommends "${missing[@]}" >"$HKM_CACHE/apt.log" 2>&1 ||
		die "apt-get could not install ${missing[*]}; see $HKM_CACHE/apt.log"
}

# Package lists, fetched once per machine if there are none yet.
apt_lists() {
	mkdir -p "$HKM_CACHE"
	[ -n "$(apt-cache madison linux-source-6.1 2>/dev/null)" ] && return 0
	as_root apt-get -qq update >"$HKM_CACHE/apt.log" 2>&1 ||
		die "apt-get update failed; see $HKM_CACHE/apt.log"
}

# apt_suite SUITE: fills APT_OPTS with options that look SUITE up on the
# mirror this machine already uses, leaving its own configuration alone.
apt_suite() {
	local dir=$HKM_CACHE/apt/$1 mirror

	mirror=$(apt-get indextargets --format '$(SITE)' |
		grep '/debian/\?$' | sort -u | head -n 1)
	[ -n "$mirror" ] || die "no Debian mirror in the apt configuration"
	mkdir -p "$dir/lists/partial"
	printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
		"$mirror" "$1" >"$dir/sources.list"
	APT_OPTS=(-o "Dir::Etc::sourcelist=$dir/sources.list"
		  -o Dir::Etc::sourceparts=/dev/null
		  -o "Dir::State::lists=$dir/lists")
	if [ -z "$(find "$dir/lists" -maxdepth 1 -name '*Packages*' -mtime -7)" ]; then
		apt-get -qq "${APT_OPTS[@]}" update >"$HKM_CACHE/apt.log" 2>&1 ||
			die "cannot read suite $1; see $HKM_CACHE/apt.log"
	fi
}
