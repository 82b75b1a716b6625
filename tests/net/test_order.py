"""Success means stored: the order of the daemon's calls, seen from outside by an interposed library
(tests/support/io_preload.c, judged by order.py). tools/torture sabotage shows the same check turn red on
daemons whose source was broken on purpose; here the checker gets doctored traces.
SPDX-License-Identifier: Apache-2.0
"""
import copy

import order
import pytest
from load import join, make, send_by, statuses
from node import Node
from preload import preload


def run(trace, associations, objects, again, **settings):
    """One run: objects over some associations, then some of them again, at the same time from all.
    The trace, judged by nobody yet."""
    with Node(env=preload(trace=trace), **settings) as node:
        made = [make(f"1.2.826.0.1.7.{n}", 2048 if n % 3 else 512 * 1024, series=f"1.2.826.0.1.7.9{n % 5}")
                for n in range(objects)]
        senders = join(send_by(associations, node.port, made))
        senders += join(send_by(associations, node.port, made[:again] * 2))
        assert statuses(senders) == {0: objects + 2 * again}, node.log()
        assert node.stop() == 0, node.log()
        return order.Trace(order.read_trace(trace), node.root)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """Each object makes its name itself."""
    return run(tmp_path_factory.mktemp("order") / "trace", 1, 40, 10, storage__names_ahead="0")


@pytest.fixture(scope="module")
def ahead(tmp_path_factory):
    """Each object comes into a name that was made ahead."""
    return run(tmp_path_factory.mktemp("order") / "trace", 1, 40, 10)


def says(trace, capsys):
    figures = order.figures(trace)
    with capsys.disabled():
        print(f"\n  order: {figures}", end=" ")
    return figures


def test_one_association(one, capsys):
    figures = says(one, capsys)
    assert order.check(one) == []
    assert figures["answers"] == 60 and figures["objects"] == figures["unspooled"] == 40
    assert figures["berths"] == 0


def test_names_made_ahead(ahead, capsys):
    figures = says(ahead, capsys)
    assert order.check(ahead) == []
    assert figures["answers"] == 60 and figures["objects"] == figures["unspooled"] == 40
    assert figures["berths"] == 40 and figures["spool_fsyncs"] <= 4, "the fsyncs were not done ahead"


@pytest.mark.parametrize("names", ["0", "1", "128"])
def test_sixteen_associations(tmp_path, capsys, names):
    trace = run(tmp_path / "trace", 16, 320, 32, storage__names_ahead=names)
    figures = says(trace, capsys)
    assert order.check(trace) == []
    assert figures["answers"] == 384 and figures["objects"] == figures["unspooled"] == 320
    assert figures["spool_fsyncs"] < 320, "fsyncs of spool/ were not shared at all"


def test_objects_larger_than_a_buffer(tmp_path, capsys):
    """Streamed: several writes, the header last, at the front of the file."""
    trace = run(tmp_path / "trace", 4, 12, 4, pool__buffer_size="64KiB", pool__buffers="8")
    says(trace, capsys)
    assert order.check(trace) == []
    assert any(len(writes) > 2 for writes in trace.writes.values())


# ---- the checker, tried: each doctored trace breaks one rule -----------------------------------------

def doctored(trace, change):
    calls = copy.deepcopy(trace.calls)
    return order.Trace(sorted(change(calls), key=lambda c: c.begin), trace.root)


def without(name, path_end):
    return lambda calls: [c for c in calls if not (c.name == name and c.path.endswith(path_end))]


def drop_fdatasync(calls):
    return [c for c in calls if not (c.name == "fdatasync" and "/spool/" in c.path)]


def fail_fdatasync(calls):
    for c in calls:
        if c.name == "fdatasync" and "/spool/" in c.path:
            c.result = -1
    return calls


def sync_begins_before_link(calls):
    """Every fsync of spool/ seems to have begun just before the last link that it covered."""
    links = [c for c in calls if c.name == "linkat" and "/spool/" in c.detail]
    for c in calls:
        if c.name == "fsync" and c.path.endswith("/spool"):
            c.begin = max((link.end for link in links if link.end < c.begin), default=c.begin) - 1
    return calls


def answer_early(calls):
    """Responses seem to have left before the fsync that they wait for had ended."""
    ends = [c.end for c in calls if c.name == "fsync" and c.path.endswith("/spool")]
    for c in calls:
        if c.path.startswith("socket:") and c.result > 0:
            c.begin = max((e for e in ends if e < c.begin), default=c.begin) - 1
    return calls


def write_after_sync(calls):
    """All there is was written when the fdatasync had begun."""
    last = next(c for c in calls if c.name == "fdatasync" and "/spool/" in c.path)
    # The number may have been another file's before: the probe's for hard links at the start.
    link = next(c for c in calls if c.name == "linkat" and c.inode == last.inode and c.detail.endswith(".dcm"))
    for c in calls:
        if c.inode == last.inode and c.name == "pwritev":
            c.end = last.begin
    link.begin = last.begin
    return calls


def write_late(calls):
    """A byte is written after name and fdatasync."""
    last = next(c for c in calls if c.name == "fdatasync" and "/spool/" in c.path)
    late = copy.copy(next(c for c in calls if c.inode == last.inode and c.name == "pwritev"))
    late.begin, late.end = last.end, last.end
    return calls + [late]


def unspool_early(calls):
    """Names seem to have left spool/ before their series folder was synced."""
    syncs = [c for c in calls if c.name == "fsync" and "/archive/" in c.path]
    for c in calls:
        if c.name == "unlinkat" and "/spool/" in c.path and c.path.endswith(".dcm"):
            c.begin = max((s.end for s in syncs if s.end < c.begin), default=c.begin) - 1
    return calls


def drop_series_sync(calls):
    return [c for c in calls if not (c.name == "fsync" and "/archive/" in c.path and
                                     c.path.count("/") == max(x.path.count("/") for x in calls
                                                              if x.name == "fsync"))]


def drop_parent_sync(calls):
    return [c for c in calls if not (c.name == "fsync" and c.path.endswith("/archive"))]


@pytest.mark.parametrize("change, word", [
    (drop_fdatasync, "no fdatasync"),
    (fail_fdatasync, "no fdatasync"),
    (write_late, "before its last byte"),
    (write_after_sync, "no fdatasync"),
    (without("fsync", "/spool"), "no fsync of spool/"),
    (sync_begins_before_link, "no fsync of spool/"),
    (answer_early, "no fsync of spool/"),
    (without("linkat", ""), "before it had a name"),
    (drop_series_sync, "without an fsync of its series folder"),
    (unspool_early, "without an fsync of its series folder"),
    (drop_parent_sync, "was not synced"),
    (without("fdatasync", "/data.mdb"), "no commit"),
    (without("pwrite", "/data.mdb"), "no commit"),
])
def test_the_checker_sees(one, change, word):
    complaints = order.check(doctored(one, change))
    assert complaints and any(word in c for c in complaints), complaints[:3]


def sync_begins_before_berth(calls):
    """Every fsync of spool/ seems to have begun when no berth was there yet."""
    first = min(c.end for c in calls if c.name == "openat" and c.path.endswith(".berth"))
    for c in calls:
        if c.name == "fsync" and c.path.endswith("/spool"):
            c.begin = min(c.begin, first - 1)
    return calls


def answer_before_its_bytes(calls):
    """Responses seem to have left before the fdatasync that they wait for had ended."""
    ends = [c.end for c in calls if c.name == "fdatasync" and "/spool/" in c.path]
    for c in calls:
        if c.path.startswith("socket:") and c.result > 0:
            c.begin = max((e for e in ends if e < c.begin), default=c.begin) - 1
    return calls


def unberth_early(calls):
    """A berth seems to have been left before the object had its name in the archive."""
    links = [c for c in calls if c.name == "linkat" and "/archive/" in c.detail]
    for c in calls:
        if c.name == "unlinkat" and c.path.endswith(".berth"):
            c.begin = min((link.end for link in links if link.inode == c.inode), default=c.begin) - 1
    return calls


@pytest.mark.parametrize("change, word", [
    (drop_fdatasync, "no fdatasync"),
    (fail_fdatasync, "no fdatasync"),
    (answer_before_its_bytes, "no fdatasync"),
    (without("fsync", "/spool"), "before the name made ahead was durable"),
    (sync_begins_before_berth, "before the name made ahead was durable"),
    (lambda calls: [c for c in calls if not (c.name == "openat" and c.path.endswith(".berth"))], "before it had a name"),
    (drop_series_sync, "without an fsync of its series folder"),
    (unberth_early, "before it had a name in archive/"),
    (without("fdatasync", "/data.mdb"), "no commit"),
])
def test_the_checker_sees_of_berths(ahead, change, word):
    complaints = order.check(doctored(ahead, change))
    assert complaints and any(word in c for c in complaints), complaints[:3]


def test_the_checker_takes_the_undoctored(one):
    assert order.check(doctored(one, lambda calls: calls)) == []
