"""Breaks the node in one place at a time and shows which seed of the simulator says so, and with what words.

    tests/sim/mutants.py FOLDER [NUMBER ...]

FOLDER: a clone of the project that nobody needs; it is built there, and its sources are as they were
afterwards. Exit 1 when a mutant survives the seeds of the test profile, or does not apply any more.
SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import re
import subprocess
import sys

SEEDS = 10000  # as in CMakeLists.txt

# What is broken, where, what stands there, what stands there in the mutant.
MUTANTS = (
    # durability
    ("the gate ignores whether the data were synced", "storage/ack.c",
     "return f->is_data_synced && f->is_named &&", "return f->is_named &&"),
    ("fdatasync removed", "storage/store_fs.c", "if (fdatasync(f->fd) == 0) {", "if (f->fd >= 0) {"),
    ("fsync of spool/ removed", "storage/dirsync.c", "if (ds->failed == 0 && fsync(ds->dirfd) != 0)",
     "if (ds->failed == 0 && ds->dirfd < 0)"),
    ("who joins while an fsync runs is released by it", "storage/dirsync.c",
     "\tsl_list_splice(&batch, &ds->waiting);\n\tuint64_t round = ++ds->begun;\n\tpthread_mutex_unlock(&ds->lock);\n\n"
     "\tenum sl_status st = sync_round(ds);\n",
     "\tpthread_mutex_unlock(&ds->lock);\n\n\tenum sl_status st = sync_round(ds);\n\tpthread_mutex_lock(&ds->lock);\n"
     "\tsl_list_splice(&batch, &ds->waiting);\n\tuint64_t round = ++ds->begun;\n\tpthread_mutex_unlock(&ds->lock);\n"),
    ("the spool name goes before the archive name is durable", "storage/store_fs_settle.c",
     "if (st == SL_OK && root->is_durable && fsync(fd) != 0)", "if (st == SL_OK && root->is_durable && fd < 0)"),
    ("a new folder's parent is not synced", "storage/root_beneath.c",
     "else if ((is_made ? sync != SL_ROOT_SYNC_NONE : sync == SL_ROOT_SYNC_ALL) &&",
     "else if (sync == SL_ROOT_SYNC_ALL &&"),
    ("the gate ignores the latch", "storage/ack.c",
     "if (sl_latch_is_failed(o->ingest->deps.latch))\n\t\treturn false;", ""),
    ("a store that has failed goes on naming objects", "storage/ingest_decide.c",
     "if (sl_latch_is_failed(o->ingest->deps.latch)) {", "if (o->ingest == NULL) {"),
    ("recovery leaves out the last file of the spool", "storage/recover.c",
     "i < rc->seqs_n; i++", "i + 1 < rc->seqs_n; i++"),
    ("a file that differs is taken for identical", "storage/ingest_decide.c", "if (st == SL_OK && same)",
     "if (st == SL_OK || same)"),
    # resources
    ("a part's second buffer is not put back", "core/part.c", "for (uint8_t i = 0; i < n; i++)\n\t\tsl_slab_put(bufs[i]);",
     "for (uint8_t i = 0; i < n && i < 1; i++)\n\t\tsl_slab_put(bufs[i]);"),
    ("a waiter for the pool is not woken", "core/slab.c", "\tif (w != NULL)\n\t\tw->on_grant(w);",
     "\tif (w != NULL && p->stats.gets % 7 != 0)\n\t\tw->on_grant(w);"),
    ("reserved bytes are not given back", "storage/ingest.c", "sl_water_settle(in->deps.water, o->reserved, kept);",
     "sl_water_settle(in->deps.water, kept > 0 ? o->reserved : 0, kept);"),
    ("a promise of the index is not given back", "storage/ingest.c", "if (o->is_index_reserved && !won)",
     "if (o->is_index_reserved && !won && false)"),
    ("a disk thread allocates for each object", "storage/ingest_decide.c", "\tstruct rivals rs;\n",
     "\tstruct rivals rs;\n\textern void *malloc(size_t);\n\textern void free(void *);\n"
     "\tvoid *volatile more = malloc(16);\n\tfree(more);\n"),
    # order
    ("of one UID the last comes first", "storage/pending.c", "sl_list_push(&e->turns, &t->node);",
     "sl_list_push_front(&e->turns, &t->node);"),
    ("who finds an entry passes those who wait for the table", "storage/pending.c",
     "if (!sl_uid_equal(t->uid, &e->uid))\n\t\t\tcontinue;",
     "if (!sl_uid_equal(t->uid, &e->uid) || e->owner != NULL)\n\t\t\tcontinue;"),
    # room
    ("the full mark is ignored", "storage/water.c", "if (need <= room_of(&g))\n\t\t\tcontinue;",
     "if (need <= room_of(&g) || id < GAUGE_N)\n\t\t\tcontinue;"),
    ("the full mark is ignored while the evictor works", "storage/water.c",
     "fits = !g.is_used || need <= less(g.left, g.keep[mark]);", "fits = !g.is_used || mark == FULL || need <= g.left;"),
    ("bytes that left are still counted", "storage/water.c", "w->kept = less(w->kept, bytes);",
     "w->kept = less(w->kept, bytes / 2);"),
    ("a step does not fit between low and high", "storage/water.c", "return sl_min64(step, most);",
     "return most > 0 ? step : 0;"),
    ("the evictor closes a study that is being received", "storage/pending.c",
     "bool is_idle = p->studies[at - 1] == 0;", "bool is_idle = at > 0;"),
    ("an object does not say which study it is of", "storage/ingest_part.c",
     "if (o->elem.uid_found[SL_ELEM_UID_STUDY] == SL_ELEM_OK)", "if (o->elem.uid_found[SL_ELEM_UID_STUDY] != SL_ELEM_OK)"),
    ("a pinned study is evicted", "storage/evict.c",
     "if (sl_ops_is_pinned(ev->deps.ops, &a->study_instance_uid))", "if (ev->deps.ops == NULL)"),
    ("a young study is evicted", "storage/evict.c", "< conf_of(ev).min_age_ms)", "< conf_of(ev).min_age_ms / 2)"),
    ("a pin is not written down", "storage/ops.c", "\t\tst = add_line(ops, &line, d);\n\tif (st == SL_OK && is_there",
     "\t\tst = SL_OK;\n\tif (st == SL_OK && is_there"),
    ("tombstones are not finished at the start", "storage/recover.c",
     "sl_recover_tombstones(rc->deps->root, rc->deps->index, &rc->report->tombstones, d);", "SL_OK;"),
    # peers
    ("peers that do not read are kept", "server/conn.c", "return c->stalled_ms >= SL_CONN_STALL_MS;",
     "return c->stalled_ms > 0xfffffff0u;"),
    ("ARTIM never strikes", "server/assoc.c", "if (a->artim_left_ms > 0)\n\t\treturn;",
     "if (a->artim_left_ms < UINT32_MAX)\n\t\treturn;"),
    ("idle peers are kept", "server/assoc.c", "return a->quiet_ms >= sl_assoc_loop_of(a)->conf.idle_ms;",
     "return a->quiet_ms > 0xfffffff0u;"),
    ("slow peers are kept", "server/assoc.c",
     "bool is_slow = a->rate_bytes * 1000 < (uint64_t)conf->min_rate * a->rate_ms;", "bool is_slow = false;"),
)


def outcome(top):
    built = subprocess.run(["ninja", "-C", "build", "sim"], cwd=top, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        return False, "DOES NOT BUILD: " + "".join(re.findall(r"error: .*", built.stdout)[:1])
    try:
        ran = subprocess.run(["build/tests/sim", "--seeds", str(SEEDS), "--jobs", "2"], cwd=top, capture_output=True,
                             text=True, check=False, timeout=3600)
    except subprocess.TimeoutExpired:
        return False, "does not end"
    why = re.search(r"^FAILED after.*\n +(.*)\n +trace .*\n(seed \d+ \(\w+\))", ran.stdout, re.M)
    if why is not None:
        return True, f"{why.group(2)}: {why.group(1)}"
    died = re.search(r"^.*(?:sl_assert|assertion|SIG).*$", ran.stderr, re.M)
    return ran.returncode != 0, died.group(0) if died else f"SURVIVED (exit {ran.returncode})"


def main():
    top = pathlib.Path(sys.argv[1]).resolve()
    chosen = [int(n) for n in sys.argv[2:]] or range(len(MUTANTS))
    caught = 0
    for n in chosen:
        name, path, old, new = MUTANTS[n]
        source = (top / path).read_text()
        if source.count(old) != 1:
            print(f"{n:2} {name}: NOT APPLIED, {source.count(old)} places", flush=True)
            continue
        (top / path).write_text(source.replace(old, new))
        try:
            is_caught, words = outcome(top)
        finally:
            (top / path).write_text(source)
        caught += is_caught
        print(f"{n:2} {name}: {words}", flush=True)
    print(f"{caught} of {len(chosen)} caught within {SEEDS} seeds")
    return caught != len(chosen)


if __name__ == "__main__":
    sys.exit(main())
