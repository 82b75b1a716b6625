"""Is an index that was made anew from the files the one that was lost, row for row?

    differences = compare_rebuilt(root)        # of a stopped node: dumps, rebuilds, dumps, compares
    rebuilt.py ROOT                            # the same from the command line; exit 1 when they differ

Every row of the one is compared with the row of the same name in the other: studies, series, each version
of each instance, their values, conflict marks, counts, spans of seq and time, which studies are of one
patient, the totals. The numbers that rows have inside the index are not compared (no caller sees them),
nor next_seq: what is gone had numbers too. Two things are not there again, so whoever compares avoids them: values
that a deleted object left in rows it shared, and the values of disagreeing senders that were committed in another
order than that of their numbers. Afterwards the recount of index_dump must find the rebuilt index
right in itself, ordered keys included.
SPDX-License-Identifier: Apache-2.0
"""
import fcntl
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kept import INDEX_DUMP  # noqa: E402
from node import SLUICED  # noqa: E402

NAME_FIELDS = {"study": 1, "series": 2, "instance": 6, "span": 2, "patient": 1, "usage": 0}


def rows_of(root):
    """{(kind, name...): the rest of the row} of a stopped node's index."""
    done = subprocess.run([INDEX_DUMP, root], capture_output=True, text=True, errors="backslashreplace",
                          timeout=600)
    assert done.returncode == 0, done.stderr + done.stdout[-400:]
    rows, patients = {}, {}
    for line in done.stdout.splitlines():
        kind, *fields = line.split("\t")
        if kind == "usage":
            fields[6] = "-"  # next_seq
        if kind == "patient":
            patients.setdefault(fields[1], []).append(fields[0])
        elif kind in NAME_FIELDS:
            n = NAME_FIELDS[kind]
            key = (kind, *fields[:n])
            assert key not in rows, f"{key} has two rows"
            rows[key] = tuple(fields[n:])
    for studies in patients.values():
        for study in studies:
            rows[("patient", study)] = tuple(sorted(studies))
    return rows


def differences(before, after):
    """Sentences; none: they are equal."""
    out = []
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            out.append(f"{' '.join(key)}:\n  was {before.get(key)}\n  is  {after.get(key)}")
    return out


def run_rebuild(root, *more, check=True, **popen):
    """sluiced --rebuild-index; its output."""
    done = subprocess.run([SLUICED, "--set", f"storage.root={root}", *more, "--rebuild-index"],
                          capture_output=True, text=True, timeout=600, **popen)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    if done.returncode < 0:
        wait_unlocked(root)
    return done


def wait_unlocked(root, timeout=60):
    """After a rebuild was killed: the process that reads the old index for it holds the lock too, and dies a
    moment after it."""
    until = time.monotonic() + timeout
    with open(os.path.join(root, "lock"), "a", encoding="ascii") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                assert time.monotonic() < until, f"{root} stays locked"
                time.sleep(0.002)


def compare_rebuilt(root, *more, loses=True):
    """The rows of the index that is there against those of one made from the files. loses: the old one is
    removed first, as if the disk had lost it."""
    before = rows_of(root)
    if loses:
        shutil.rmtree(os.path.join(root, "index"))
    run_rebuild(root, *more)
    return differences(before, rows_of(root))


if __name__ == "__main__":
    found = compare_rebuilt(*sys.argv[1:], loses=False)
    print("\n".join(found + [f"{len(found)} rows differ"]))
    sys.exit(1 if found else 0)
