#!/bin/bash
# Shows that the random kills (crash.py) are not blind: builds daemons in which one step that only a death makes
# visible is missing or out of order, and kills each at random moments. The judge has to turn red, and stay
# green for the unchanged daemon.
#
#   tests/net/sabotage_kill.sh [NAME ...]     all of them, or those named; SLUICE_KILLS (600): most for each
#
# Works on a copy of the source; a minute or two for each mutant. Exit 0 when all were seen.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/../.."
kills=${SLUICE_KILLS:-600}

# name | file | what is done to it (perl, the whole file at once) | what is sabotaged
mutants() {
	cat <<-'TABLE'
		none|storage/ack.c|1|nothing: the judge must stay green
		spool_forgotten|storage/recover.c|s/return remember\(rc, seq, d\);/return SL_OK;/|recovery does not take what is in spool/
		move_before_commit|storage/indexer.c|s/(enum sl_status st = )commit(\(ix, n, .*?\n\t\tst = )settle\(/$1settle$2commit(/s|objects move before their rows are committed
		unlink_in_recovery|storage/recover.c|s/(\tenum sl_status st = put\(rc, d\);)/\tfor (size_t k = 0; k < rc->n; k++) {\n\t\tstruct sl_path gone;\n\t\tsl_path_spool(&gone, rc->rows[k]->seq);\n\t\t(void)unlinkat(rc->deps->root->spool_fd, gone.s, 0);\n\t}\n$1/|recovery unlinks before it has linked
		no_tombstones|storage/recover.c|s/enum sl_status st =\s+sl_recover_tombstones\([^;]*;/enum sl_status st = SL_OK;/|recovery does not finish removals
	TABLE
}

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
cmake -S "$copy" -B "$copy/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_C_FLAGS=-w >"$copy/log" 2>&1
wrong=0

while IFS='|' read -r name file edit text; do
	case " $* " in "  " | *" $name "*) ;; *) continue ;; esac
	cp "$copy/$file" "$copy/unchanged"
	perl -0pi -e "$edit" "$copy/$file"
	if [ "$name" != none ] && cmp -s "$copy/unchanged" "$copy/$file"; then
		echo "$name: the source has changed, this mutant no longer applies"
		wrong=$((wrong + 1))
		continue
	fi
	if ! ninja -C "$copy/build" -j2 sluiced index_dump >"$copy/log" 2>&1; then
		cat "$copy/log"
		exit 1
	fi
	seen=red
	SLUICED=$copy/build/bin/sluiced TMPDIR=$copy tools/torture crash --kills "$kills" >"$copy/out" 2>&1 && seen=green
	echo "$name ($text): $seen: $(grep -A3 'FAILED\|^[0-9]* kills' "$copy/out" | grep -v '^$' | cut -c1-200 | tail -2 | tr '\n' ' ')"
	if [ "$seen" = green ] && [ "$name" != none ] || [ "$seen" = red ] && [ "$name" = none ]; then
		wrong=$((wrong + 1))
		cat "$copy/out"
	fi
	cp "$copy/unchanged" "$copy/$file"
done < <(mutants)

echo "$wrong not as they should be"
[ "$wrong" -eq 0 ]
