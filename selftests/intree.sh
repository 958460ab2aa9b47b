#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds the project inside a kernel tree and runs its KUnit tests there with
# kunit.py run on UML, as kernel developers do.
#
#   intree.sh [LINE]
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/vm/lib.sh"

line=${1:-6.1}
src=$(readlink -f "$("$HKM_TOP/selftests/vm/kernel" "$line" kunit)/src")
tree=$HKM_CACHE/intree/$line

# A tree of hard links: only the two files that are edited are copies.
if [ "$(readlink "$tree/from" 2>/dev/null)" != "$src" ]; then
	say "linking a kernel tree with the project in mm/hakmem"
	rm -rf "$tree"
	mkdir -p "$tree"
	cp -al "$src/." "$tree/"
	for f in mm/Kconfig mm/Makefile; do
		cp --remove-destination "$src/$f" "$tree/$f"
	done
	echo 'source "mm/hakmem/Kconfig"' >>"$tree/mm/Kconfig"
	# shellcheck disable=SC2016 # make expands it
	echo 'obj-$(CONFIG_HAKMEM) += hakmem/' >>"$tree/mm/Makefile"
	ln -s "$src" "$tree/from"
fi
mkdir -p "$tree/mm/hakmem"
(cd "$HKM_TOP" && cp -rpu .kunitconfig Kbuild Kconfig hakmem_kmod.c include kunit learner \
	pool "$tree/mm/hakmem/")

say "kunit.py run on UML, $line (2-3 min cold)"
cd "$tree"
log=$HKM_CACHE/intree/$line.log
rc=0
python3 tools/testing/kunit/kunit.py run --kunitconfig=mm/hakmem/.kunitconfig \
	--build_dir="$HKM_CACHE/intree/$line-build" --jobs="$(nproc)" 'hakmem*' \
	</dev/null 2>&1 | tee "$log" || rc=$?
count() { sed -n "s/.*Testing complete\..*[ ,]$1: \([0-9]*\).*/\1/p" "$log" | grep . || echo 0; }
echo "$(count passed) passed, $(($(count failed) + $(count crashed) + $(count errors))) failed"
exit $rc
