#!/bin/bash
# Shows that the order check (test_order.py) is not blind: builds daemons in which one step of the
# durable path is missing or too early, and runs the check on each. Every one must turn it red, and the
# unchanged daemon must not.
#
#   tests/net/sabotage_order.sh [NAME ...]     all of them, or those named
#
# Works on a copy of the source; about a minute for each mutant. Exit 0 when all were seen.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/../.."

# name | file | what is done to it (perl, the whole file at once) | what is sabotaged
mutants() {
	cat <<-'TABLE'
		none|storage/ack.c|1|nothing: the check must stay green
		no_fdatasync|storage/store_fs.c|s/fdatasync\(f->fd\) == 0/f->fd >= 0/|the object is not synced
		no_spool_fsync|storage/dirsync.c|s/ds->failed == 0 && fsync\(ds->dirfd\) != 0/false/|spool/ is not synced
		late_joiners|storage/dirsync.c|s/(uint64_t count = release)/pthread_mutex_lock(&ds->lock);\nstruct sl_list *late;\nwhile ((late = sl_list_pop(&ds->waiting)) != NULL)\nsl_list_push(&batch, late);\npthread_mutex_unlock(&ds->lock);\n$1/; s/\? round : 0/? UINT64_MAX : 0/|who joined during a running fsync is released by it
		ack_before_fsync|storage/store_fs.c|s/(static void fs_name_durably\(.*?\n\{\n).*?\n\}/$1\tf->sync.named_after = 0;\n\tf->sync.covered_by = 1;\n\ton_synced(&f->sync, SL_OK);\n}/s|answered as soon as it is named
		name_before_data|storage/store_fs.c|s/(enum sl_status st = write_rest\(f, header, iov, iov_n, d\);)\n\tif \(st == SL_OK\)\n\t\tst = sync_data\(f, d\);/$1/; s/(\n\tfs_abort\(f\); \/\* closes)/\n\tif (st == SL_OK)\n\t\tst = sync_data(f, d);$1/|the object gets its name before its bytes are synced
		write_after_sync|storage/store_fs.c|s/(\n\tfs_abort\(f\); \/\* closes)/\n\tif (st == SL_OK \&\& pwrite(f->fd, header, 1, 0) != 1)\n\t\tst = SL_E_IO;$1/|a byte is written after the sync
		no_series_fsync|storage/store_fs_settle.c|s/root->is_durable && fsync\(fd\) != 0/root->is_durable && fd < 0/|the series folder is not synced
		unlink_first|storage/store_fs_settle.c|s/(\tif \(st == SL_OK && root->is_durable && fsync\(fd\).*?)\tclose\(fd\);\n(.*?)\treturn st;\n/$2$1\tclose(fd);\n\treturn st;\n/s|names leave spool/ before the series folder is synced
		no_parent_fsync|storage/root_beneath.c|s/\t\t\t fsync\(at\) != 0/\t\t\t at < -100/|the parent of a new folder is not synced
		move_before_commit|storage/indexer.c|s/(enum sl_status st = )commit(\(ix, n, .*?\n\t\tst = )settle\(/$1settle$2commit(/s|objects move before their rows are committed
		index_nosync|storage/index_lmdb_env.c|s/MDB_NORDAHEAD, 0640/MDB_NORDAHEAD + MDB_NOSYNC, 0640/|LMDB does not sync
	TABLE
}

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
cmake -S "$copy" -B "$copy/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-w >"$copy/log" 2>&1
unseen=0

while IFS='|' read -r name file edit text; do
	case " $* " in "  " | *" $name "*) ;; *) continue ;; esac
	cp "$file" "$copy/$file"
	perl -0pi -e "$edit" "$copy/$file"
	if [ "$name" != none ] && cmp -s "$file" "$copy/$file"; then
		echo "$name: the source has changed, this mutant no longer applies"
		unseen=$((unseen + 1))
		continue
	fi
	if ! ninja -C "$copy/build" -j2 sluiced index_dump io_preload >"$copy/log" 2>&1; then
		cat "$copy/log"
		exit 1
	fi
	verdict=green
	SLUICED=$copy/build/bin/sluiced PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -q -p no:cacheprovider \
		tests/net/test_order.py -k "associations or association" >"$copy/out" 2>&1 || verdict=red
	why=$(grep -om1 "'[^']*: \(no\|left\|answered\)[^']*'" "$copy/out" || true)
	echo "$name ($text): $verdict ${why:-}"
	if [ "$name" = none ] && [ $verdict = red ] || [ "$name" != none ] && [ $verdict = green ]; then
		unseen=$((unseen + 1))
		tail -30 "$copy/out"
	fi
	cp "$file" "$copy/$file"
done < <(mutants)

echo "$unseen not as they should be"
[ "$unseen" -eq 0 ]
