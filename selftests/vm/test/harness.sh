#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2016 # the guest expands these
# Proves that run passes what it should and, above all, fails what it should.
#
#   harness.sh [KERNEL]       default 6.1; about 30 boots of 2-5 s each
set -euo pipefail
top=$(CDPATH="" cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
run=$top/selftests/vm/run
kernel=${1:-6.1}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
count=0 failed=0

# says NAME STATUS REGEX COMMAND...: it must exit with STATUS and print a line that
# matches REGEX.
says() {
	local name=$1 want=$2 regex=$3 got=0

	shift 3
	"$@" >"$tmp/out" 2>&1 || got=$?
	count=$((count + 1))
	if [ "$got" -eq "$want" ] && grep -Eq "$regex" "$tmp/out"; then
		echo "ok $count $name"
	else
		failed=$((failed + 1))
		echo "not ok $count $name"
		echo "# status $got, want $want; no line '$regex' in:"
		sed 's/^/# /' "$tmp/out"
	fi
}

# check NAME STATUS REGEX GUEST-COMMANDS [RUN-OPTION...]: what run must do
check() {
	local name=$1 want=$2 regex=$3

	echo "$4" >"$tmp/guest.sh"
	shift 4
	says "$name" "$want" "$regex" "$run" --kernel "$kernel" --timeout 60 --log "$tmp/log" \
		"$@" "$tmp/guest.sh" 'a b' c
}

warn='echo "WARNING: CPU: 0 PID: 1 at x.c:1" >/dev/kmsg'
echo 'not a kernel, nor a module' >"$tmp/junk.ko"

echo "TAP version 13"
check "a script that succeeds passes" 0 'pass guest.sh' 'true'
check "arguments reach the script" 0 '^2:a b:c$' 'echo "$#:$1:$2"'
check "output is whole to its last byte" 0 '^5000x$' 'seq 5000; printf 5000x'
check "files reach the guest" 0 '^not a kernel' 'cat /files/f' --file "$tmp/junk.ko:f"
check "an expected report and its trace pass" 0 'pass guest.sh' \
	"$warn; echo Call Trace: >/dev/kmsg" --expect 'WARNING: .*x\.c:1'
check "NMIs reach the guest" 0 'pass guest.sh.* [1-9][0-9]* NMIs' 'sleep 2' \
	--nmi 100 --expect 'NMI received for unknown reason'
check "all CPUs are there" 0 'pass guest.sh' \
	'. /lib/guest.sh; expect_eq CPUs 3 "$(nproc)"' --smp 3
check "icount runs" 0 'pass guest.sh' 'true' --icount

check "a script that fails, fails" 1 'script exited with status 3' 'exit 3'
check "a guest that just ends fails" 1 'without its end token' 'poweroff -f'
check "a forged end token fails" 1 'without its end token' 'echo HKM-END 0 0; poweroff -f'
check "a panic fails" 1 'console says: .*panic' \
	'echo c >/proc/sysrq-trigger || echo Kernel panic: no sysrq here >/dev/kmsg; sleep 1'
check "a kernel warning fails" 1 'console says: .*WARNING' "$warn"
check "a warning beside the expected one fails" 1 'console says: .*BUG: other' \
	"$warn; echo BUG: other >/dev/kmsg" --expect 'WARNING: .*x\.c:1'
race() { # FRAME... of two stacks, one to a line
	printf 'for l in "BUG: KCSAN: data-race in a / b"'
	printf ' "%s"' "$@"
	printf ' =====================; do echo "$l" >/dev/kmsg; done'
}
by='read to 0x1 of 8 bytes by interrupt on cpu 0:'
own=' f+0x1/0x2' entry=' asm_sysvec_f+0x1/0x2' module=' f+0x1/0x2 [mod]'
check "a data race of the kernel's own passes" 0 'pass guest.sh' \
	"$(race "$by" "$own" "$by" "$own")"
check "a data race with a module in it fails" 1 'console says: .*KCSAN' \
	"$(race "$by" "$own" "$by" "$module")"
check "a data race of interrupts, of modules' work, passes" 0 'pass guest.sh' \
	"$(race "$by" "$own" "$entry" "$module" "$by" "$own" "$entry" "$module")"
check "a data race of an interrupt with a module fails" 1 'console says: .*KCSAN' \
	"$(race "$by" "$own" "$entry" "$module" "$by" "$module" "$own")"
check "an expected line that is missing fails" 1 'never said: nowhere' 'true' --expect nowhere
check "a silenced console fails" 1 'console was silenced' 'dmesg -n 1'
check "a hang fails" 1 'time limit of 8 s' 'sleep 100' --timeout 8
check "a hang that the kernel has noticed says so" 1 'time limit of 30 s.*, console says: .*soft lockup' \
	'echo "watchdog: BUG: soft lockup - CPU#0 stuck" >/dev/kmsg; sleep 100' --timeout 30
check "tracing is there, and leaves the scheduler alone" 0 'pass guest.sh' \
	'. /lib/guest.sh; expect_eq record-cmd 0 "$(cat /sys/kernel/tracing/options/record-cmd)"'
check "a broken module fails" 1 'module did not load' 'true' --module "$tmp/junk.ko"
check "QEMU not starting fails" 1 'QEMU failed' 'true' --qemu '-object bogus'

# The first boots die as QEMU 7.2 makes them die now and then, the rest are real.
mkdir "$tmp/fake"
cat >"$tmp/fake/qemu-system-x86_64" <<EOF
#!/bin/bash
echo x >>$tmp/boots
[ "\$(wc -l <$tmp/boots)" -gt "\$DEATHS" ] && exec $(command -v qemu-system-x86_64) "\$@"
[[ "\$*" =~ file:([^ ]*console.log) ]]
echo '[    0.862188] Oops: int3: 0000 [#1] SMP NOPTI' >"\${BASH_REMATCH[1]}"
EOF
chmod +x "$tmp/fake/qemu-system-x86_64"
export DEATHS
path=$PATH PATH=$tmp/fake:$PATH
DEATHS=1
check "a boot that QEMU broke is repeated" 0 'pass guest.sh' 'true'
DEATHS=9
check "but not for ever" 1 'console says: .*int3' 'true'
DEATHS=0
check "an int3 in the test is its own fault" 1 'console says: .*int3' \
	'echo "[    0.862188] Oops: int3: 0000 [#1]" >/dev/kmsg'
PATH=$path

check "a missing module is named" 1 'no such module: /none.ko' 'true' --module /none.ko
check "a missing file is named" 1 'no such file: /none' 'true' --file /none:f
check "a missing kernel is named" 1 'no such kernel: /none' 'true' --kernel /none
check "junk for a kernel is named" 1 'not a bzImage: ' 'true' --kernel "$tmp/junk.ko"
check "a bad number is bad usage" 2 'smp needs a number' 'true' --smp none
check "a bad option is bad usage" 2 'unknown option --none' 'true' --none 1
# For some days there is a new version of Debian's kernel, but not yet signed.
mkdir "$tmp/unsigned"
cat >"$tmp/unsigned/apt-cache" <<EOF
#!/bin/bash
case \$1-\$2 in
show-*) exit 0 ;;
madison-linux-image-*-cloud-amd64) exit 0 ;;
esac
exec $(command -v apt-cache) "\$@"
EOF
cat >"$tmp/unsigned/apt-get" <<EOF
#!/bin/bash
[[ " \$* " != *" download "* ]] || exit 1
exec $(command -v apt-get) "\$@"
EOF
chmod +x "$tmp"/unsigned/apt-*
PATH=$tmp/unsigned:$PATH
HKM_CACHE=$tmp/cache check "a kernel that is not signed yet is taken unsigned" 1 \
	'cannot download linux-image-.*-unsigned' 'true'
PATH=$path

# Lists that are older than the kernel on offer name one that is gone.
mkdir "$tmp/old"
cat >"$tmp/old/apt-cache" <<EOF
#!/bin/bash
[[ -e $tmp/updated || "\$*" != *search*cloud* ]] || { echo 'linux-headers-6.1.999-cloud-amd64 - gone'; exit; }
exec $(command -v apt-cache) "\$@"
EOF
cat >"$tmp/old/apt-get" <<EOF
#!/bin/bash
[[ " \$* " != *" update "* ]] || { touch $tmp/updated; exit; }
[[ " \$* " != *" download "* ]] || exit 1
exec $(command -v apt-get) "\$@"
EOF
chmod +x "$tmp"/old/apt-*
PATH=$tmp/old:$PATH
HKM_CACHE=$tmp/cache check "old package lists are fetched anew" 1 \
	'cannot download linux-image-6\.1\.0-' 'true'
PATH=$path

# A make that cannot bear another one beside it, and a project of its own to build.
mkdir "$tmp/make" "$tmp/project"
cat >"$tmp/make/make" <<EOF
#!/bin/bash
mkdir $tmp/made || exit
sleep 1
rmdir $tmp/made
EOF
chmod +x "$tmp/make/make"
(cd "$top" && cp -r COPYING Kbuild hakmem_kmod.c include kunit learner pool selftests "$tmp/project/")
builds() {
	"$tmp/project/selftests/build" 6.1 &
	"$tmp/project/selftests/build" 6.1 && wait $!
}
PATH=$tmp/make:$PATH
says "two builds for a kernel do not meet" 0 '/build/6.1-stock$' builds
PATH=$path
echo "1..$count"
exit $((failed > 0))
