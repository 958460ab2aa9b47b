#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# DKMS life cycle against the installed 6.1 headers, in trees of its own; make install.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/vm/lib.sh"

need dkms
kernel=$("$HKM_TOP/selftests/vm/kernel" 6.1 stock)
kver=${kernel##*-stock-}
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$HKM_TOP/dkms.conf")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp"/{dkms,src/hakmem-"$version",modules/"$kver"}
(cd "$HKM_TOP" && cp -rp COPYING Kbuild Makefile dkms.conf dkms hakmem_kmod.c include kunit \
	learner pool "$tmp/src/hakmem-$version/")

nr=0 failed=0
check() {
	local name=$1

	shift
	nr=$((nr + 1))
	if "$@" >>"$tmp/log" 2>&1; then
		echo "ok $nr - dkms: $name"
	else
		echo "not ok $nr - dkms: $name"
		sed 's/^/# /' "$tmp/log" | tail -n 20
		failed=1
	fi
}

dkms_do() {
	as_root dkms "$1" --dkmstree "$tmp/dkms" --sourcetree "$tmp/src" \
		--installtree "$tmp/modules" --no-depmod -m hakmem -v "$version" \
		-k "$kver" -a x86_64
}

tree=$tmp/dkms/hakmem/$version/$kver/x86_64
built() { find "$tree/module" -name 'hakmem.ko*' | grep -q .; }
make_installs() {
	make -C "$tmp/src/hakmem-$version" KDIR="$kernel/kdir" INSTALL_MOD_PATH="$tmp/root" install &&
		grep -q '/hakmem\.ko' "$tmp/root/lib/modules/$kver/modules.dep"
}
installed() { find "$tmp/modules/$kver" -name 'hakmem.ko*' | grep -q .; }
client_builds() {
	cp -r "$HKM_TOP/selftests/clients" "$HKM_TOP/include" "$tmp/"
	sed -i 's,\.\./\.\./include,../include,' "$tmp/clients/Kbuild"
	make -j"$(nproc)" -C "$kernel/kdir" M="$tmp/clients" \
		KBUILD_EXTRA_SYMBOLS="$tree/Module.symvers" modules
}

echo "TAP version 13"
echo "1..8"
check "add" dkms_do add
check "build" dkms_do build
check "the module is there" built
check "clients build against the symbol versions it kept" client_builds
check "install" dkms_do install
check "installed in the module tree" installed
check "remove leaves no module" eval 'dkms_do remove && ! installed'
check "make install, and depmod" make_installs
exit $failed
