# shellcheck shell=bash
# What tools/run and tools/test share: packages, building. Sourced by bash; stands in the project root.
# SPDX-License-Identifier: Apache-2.0

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Everything that is needed, once: purpose, Debian package, how to see that it is there. A probe and
# not dpkg decides, so that a compiler or library from elsewhere counts too.
sl_needs() {
	cat <<-'TABLE'
		build g++                 command -v c++
		build libc6-dev           test -e /usr/include/stdlib.h
		build cmake               command -v cmake
		build pkg-config          command -v pkg-config
		build libc-gconv-modules-extra iconv -f EUC-CN -t UTF-8
		build libuv1-dev          pkg-config --exists libuv
		build liblmdb-dev         pkg-config --exists lmdb
		build zlib1g-dev          pkg-config --exists zlib
		build libutf8proc-dev     pkg-config --exists libutf8proc
		build libxxhash-dev       pkg-config --exists libxxhash
		build libtomlplusplus-dev pkg-config --exists tomlplusplus
		build libdcmtk-dev        test -e /usr/include/dcmtk/dcmdata/dcuid.h
		speed ninja-build         command -v ninja
		try   dcmtk               command -v storescu
		peers dcmtk               command -v dcmqrscp
		peers orthanc             command -v Orthanc
		test  libcmocka-dev       pkg-config --exists cmocka
		test  python3-pytest      /usr/bin/python3 -c 'import pytest'
		test  python3-pydicom     /usr/bin/python3 -c 'import pydicom'
		test  python3-numpy       /usr/bin/python3 -c 'import numpy'
		test  strace              command -v strace
		test  binutils            command -v nm
		test  lmdb-utils          command -v mdb_stat
		fuzz  clang               command -v clang++
		fuzz  libclang-rt-dev     echo 'int LLVMFuzzerTestOneInput(char *b, long n) { return b == 0 && n; }' | clang -x c -fsanitize=fuzzer,address -o /dev/null -
		cover clang               command -v clang++
		cover libclang-rt-dev     echo 'int main(void) { return 0; }' | clang -x c -fprofile-instr-generate -o /dev/null -
		cover llvm                command -v llvm-cov && command -v llvm-profdata
		afl   afl++               command -v afl-clang-fast && command -v afl-fuzz
		valgrind valgrind         command -v valgrind
	TABLE
}

sl_say() {
	printf 'sluice: %s\n' "$*" >&2
}

# The packages of the given purposes whose probe fails.
sl_missing() {
	local purpose package probe
	sl_needs | while read -r purpose package probe; do
		case " $* " in
		*" $purpose "*) ;;
		*) continue ;;
		esac
		if ! eval "$probe" >/dev/null 2>&1 </dev/null; then
			printf '%s ' "$package"
		fi
	done
}

# Installs what the purposes lack; says what to do where that cannot be.
sl_install() {
	local missing as_root=()
	missing=$(sl_missing "$@")
	missing=${missing% }
	if [ -z "$missing" ]; then
		return 0
	fi
	if ! command -v apt-get >/dev/null; then
		sl_say "this is no Debian or Ubuntu; please install what these Debian packages hold: $missing"
		return 1
	fi
	if [ "$(id -u)" -ne 0 ]; then
		if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
			sl_say "missing, and neither root nor sudo is here to install it; as root: apt-get install $missing"
			return 1
		fi
		as_root=(sudo)
	fi
	sl_say "installing $missing"
	# shellcheck disable=SC2086 # one word for each package
	sl_apt install -y --no-install-recommends $missing && return 0
	# shellcheck disable=SC2086
	sl_apt update && sl_apt install -y --no-install-recommends $missing && return 0
	sl_say "apt-get could not install: $missing"
	return 1
}

# apt-get with as_root of the caller; its output is shown only when it fails.
sl_apt() {
	local log
	log=$(mktemp)
	if "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" >"$log" 2>&1 </dev/null; then
		rm -f "$log"
		return 0
	fi
	cat "$log" >&2
	rm -f "$log"
	return 1
}

# sl_build FOLDER TARGET [cmake arguments]: configures when needed, builds quietly, shows all of it
# when it fails.
sl_build() {
	local folder=$1 target=$2 log generator=()
	shift 2
	if [ ! -e "$folder/CMakeCache.txt" ] && command -v ninja >/dev/null; then
		generator=(-G Ninja)
	fi
	mkdir -p "$folder"
	log=$folder/build.log
	sl_say "building into $folder/"
	if ! { cmake -S . -B "$folder" "${generator[@]}" "$@" &&
		cmake --build "$folder" --target "$target" --parallel "$(nproc)"; } >"$log" 2>&1; then
		cat "$log" >&2
		sl_say "the build failed; all of it is in $log"
		return 1
	fi
}
