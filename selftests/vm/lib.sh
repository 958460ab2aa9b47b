# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Shared by the harness scripts: messages, the cache, Debian packages.

# With it, cd prints where it goes.
unset CDPATH

HKM_CACHE=${HKM_CACHE:-${XDG_CACHE_HOME:-${HOME-}/.cache}/hakmem}
HKM_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# What "make -j" hands down is for makes of its own.
unset MAKEFLAGS MFLAGS

say() { printf '[%(%H:%M:%S)T] %s\n' -1 "$*" >&2; }

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# make_cache [DIRECTORY]: the cache, or one in it
make_cache() {
	mkdir -p "$HKM_CACHE/${1-}" 2>/dev/null && [ -w "$HKM_CACHE/${1-}" ] && return
	die "cannot write to $HKM_CACHE; set HKM_CACHE to a directory of yours"
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
	# What the lists name may have been replaced since.
	apt_install "${missing[@]}" ||
		{ as_root apt-get -qq update && apt_install "${missing[@]}"; } >>"$HKM_CACHE/apt.log" 2>&1 ||
		die "apt-get could not install ${missing[*]}; see $HKM_CACHE/apt.log"
}

apt_install() {
	# Another of these scripts may just be installing something.
	as_root apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=600 install -y \
		--no-install-recommends "$@" >"$HKM_CACHE/apt.log" 2>&1
}

# What it takes to build a kernel.
HKM_KERNEL_NEEDS=(flex bison bc libelf-dev libssl-dev python3 cpio xz-utils gcc make)

# Package lists, fetched once per machine if there are none yet.
apt_lists() {
	make_cache
	[ -n "$(apt-cache madison linux-source-6.1 2>/dev/null)" ] && return 0
	as_root apt-get -qq update >"$HKM_CACHE/apt.log" 2>&1 ||
		die "apt-get update failed; see $HKM_CACHE/apt.log"
}

# Fetches the lists that APT_OPTS chooses anew, if it can: what they name may have
# been replaced by now.
apt_refresh() {
	local as=as_root

	[ -z "${HKM_NO_INSTALL:-}" ] || return 0
	[ ${#APT_OPTS[@]} -eq 0 ] || as=''
	$as apt-get -qq "${APT_OPTS[@]}" update >"$HKM_CACHE/apt.log" 2>&1 || :
}

# apt_suite SUITE: fills APT_OPTS with options that look SUITE up on the
# mirror this machine already uses, leaving its own configuration alone. That
# may name a file with mirrors instead, one a line.
apt_suite() {
	local dir=$HKM_CACHE/apt/$1 sites lists mirror

	sites=$(apt-get indextargets --format '$(SITE)' | sort -u)
	lists=$(sed -n 's,/*$,,; s,^mirror+file:,,p' <<<"$sites")
	[ -z "$lists" ] || sites+=$'\n'$(xargs -d '\n' cat <<<"$lists")
	mirror=$(awk '$1 ~ /^[^m].*\/debian\/?$/ { print $1; exit }' <<<"$sites")
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
