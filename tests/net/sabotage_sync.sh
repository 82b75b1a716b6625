#!/bin/bash
# Shows that the checks of what is durable and when are not blind: builds daemons in which one step of
# the durable path is missing or too early, and runs on each the check of the order of calls
# (test_order.py) and the power cuts (test_power.py). Each has to turn red the checks that the table names
# for it, and the unchanged daemon none.
#
#   tests/net/sabotage_sync.sh [NAME ...]     all of them, or those named
#
# Works on a copy of the source; about a minute for each mutant. Exit 0 when all were seen.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/../.."

# name | who sees it: (o)rder, (p)ower | file | what is done to it (perl, the whole file at once) | what is
# sabotaged
mutants() {
	cat <<-'TABLE'
		none||storage/ack.c|1|nothing: the check must stay green
		no_fdatasync|op|storage/store_fs.c|s/fdatasync\(f->fd\) == 0/f->fd >= 0/|the object is not synced
		no_spool_fsync|op|storage/dirsync.c|s/ds->failed == 0 && fsync\(ds->dirfd\) != 0/false/|spool/ is not synced
		late_joiners|op|storage/dirsync.c|s/(uint64_t count = release)/pthread_mutex_lock(&ds->lock);\nstruct sl_list *late;\nwhile ((late = sl_list_pop(&ds->waiting)) != NULL)\nsl_list_push(&batch, late);\npthread_mutex_unlock(&ds->lock);\n$1/; s/\? round : 0/? UINT64_MAX : 0/|who joined during a running fsync is released by it
		ack_before_fsync|op|storage/store_fs.c|s/(static void fs_name_durably\(.*?\n\{\n).*?\n\}/$1\tf->sync.named_after = 0;\n\tf->sync.covered_by = 1;\n\ton_synced(&f->sync, SL_OK);\n}/s|answered as soon as it is named
		name_before_data|op|storage/store_fs.c|s/(enum sl_status st = write_rest\(f, header, iov, iov_n, d\);)\n\tif \(st == SL_OK\)\n\t\tst = sync_data\(f, d\);/$1/; s/(\n\tfs_abort\(f\); \/\* closes)/\n\tif (st == SL_OK)\n\t\tst = sync_data(f, d);$1/|the object gets its name before its bytes are synced
		write_after_sync|o|storage/store_fs.c|s/(\n\tfs_abort\(f\); \/\* closes)/\n\tif (st == SL_OK \&\& pwrite(f->fd, header, 1, 0) != 1)\n\t\tst = SL_E_IO;$1/|a byte is written after the sync
		no_series_fsync|op|storage/store_fs_settle.c|s/(st == SL_OK && root->is_durable && )fsync\(fd\) != 0/$1fd < 0/|the series folder is not synced
		unlink_first|op|storage/store_fs_settle.c|s/(\tif \(st == SL_OK && root->is_durable && fsync\(fd\).*?)\tclose\(fd\);\n(.*?)\treturn st;\n/$2$1\tclose(fd);\n\treturn st;\n/s|names leave spool/ before the series folder is synced
		no_parent_fsync|op|storage/root_beneath.c|s/\t\t\t fsync\(at\) != 0/\t\t\t at < -100/|the parent of a new folder is not synced
		move_before_commit|op|storage/indexer.c|s/(enum sl_status st = )commit(\(ix, n, .*?\n\t\tst = )settle\(/$1settle$2commit(/s|objects move before their rows are committed
		index_nosync|op|storage/index_lmdb_env.c|s/options->is_draft \? MDB_NOSYNC : 0/MDB_NOSYNC/|LMDB does not sync
		no_trash_fsync|p|storage/trash.c|s/(is_durable .. )fsync\(fd\) == 0/$1fd >= 0/|nor are the folders that evicted studies leave and come to
		rows_before_spool|p|storage/recover.c|s/if \(st == SL_OK && rc->seqs_n > 0\)\n\t\tst = sync_spool\(rc, d\);//|recovery commits rows of names that are not durable
		no_tombstones|p|storage/recover.c|s/enum sl_status st =\s+sl_recover_tombstones\([^;]*;/enum sl_status st = SL_OK;/|recovery does not finish removals
	TABLE
}

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
cmake -S "$copy" -B "$copy/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-w >"$copy/log" 2>&1
wrong=0

# check LETTER TEST EXPRESSION: whether a check of the daemon in $copy turns red; $why says how.
check() {
	why=
	SLUICED=$copy/build/bin/sluiced PYTHONDONTWRITEBYTECODE=1 SLUICE_POWER_STATES=2000 /usr/bin/python3 -m pytest \
		-q -p no:cacheprovider "tests/net/$2" -k "$3" >"$copy/out" 2>&1 && return 1
	why=$(grep -om1 "'[^']*: \(no\|left\|answered\)[^']*'\|BAD --only.*" "$copy/out" || tail -3 "$copy/out")
}

# judge LETTER TEST EXPRESSION: says what the check saw of the mutant $name, and counts what it should have.
judge() {
	local seen=green
	check "$@" && seen=red
	echo "$name ($text): ${2%.py} $seen ${why:+: $why}"
	case $by in *"$1"*) [ $seen = red ] ;; *) [ $seen = green ] || [ "$name" != none ] ;; esac && return
	wrong=$((wrong + 1))
	tail -30 "$copy/out"
}

while IFS='|' read -r name by file edit text; do
	case " $* " in "  " | *" $name "*) ;; *) continue ;; esac
	cp "$copy/$file" "$copy/unchanged"
	perl -0pi -e "$edit" "$copy/$file"
	if [ "$name" != none ] && cmp -s "$copy/unchanged" "$copy/$file"; then
		echo "$name: the source has changed, this mutant no longer applies"
		wrong=$((wrong + 1))
		continue
	fi
	if ! ninja -C "$copy/build" -j2 sluiced index_dump io_preload record_preload power >"$copy/log" 2>&1; then
		cat "$copy/log"
		exit 1
	fi
	judge o test_order.py "associations or association"
	judge p test_power.py "power_cuts or seen_and_not"
	cp "$copy/unchanged" "$copy/$file"
done < <(mutants)

echo "$wrong not as they should be"
[ "$wrong" -eq 0 ]
