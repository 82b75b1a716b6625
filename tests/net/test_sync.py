"""Calls that fail, one at a time, by tests/support/io_preload.c: a failed sync ends the process with 70
and no success is told on its strength; a full disk or a write error costs one object.
SPDX-License-Identifier: Apache-2.0
"""
import errno
import os
import shutil
import subprocess
import tempfile
import time

import order
import pytest
from load import Sender, join, make, send_by, statuses
from node import SLUICED, Node
from oracle import judge, sent_of
from preload import fault, preload
from rawscu import Ledger

OBJECTS = 60
INSISTING = 6000  # tries: a minute and more


class Run:
    """Objects sent to a daemon in which one call fails. Ends by itself or, when it lives on, is stopped.
    .code is its exit status; the trace tells what was injected: a run without that proves nothing."""

    def __init__(self, folder, what, senders=1, dies=True, insists=False, **settings):
        """insists: one sender that goes on until it is taken again after a refusal."""
        self.root, self.ledger, trace = (str(folder / name) for name in ("root", "ledger", "trace"))
        ledger = Ledger(self.ledger)
        made = [make(f"1.2.826.0.1.55.{n}", 3000, f"1.2.826.0.1.55.7{n % 3}") for n in range(OBJECTS)]
        self.sent = sent_of(made)
        with Node(root=self.root, env=preload(trace=trace, fail=what), **settings) as node:
            if insists:
                self.senders = [self._insist(node, made, ledger)]
            else:
                self.senders = join(send_by(senders, node.port, made, ledger))
            if dies:
                node.wait_line("storage.failed")
            self.code = node.wait() if dies else node.stop()
            self.node = node
        self.trace = order.Trace(order.read_trace(trace), self.root)
        self.injected = [call for call in self.trace.calls if call.how == "injected"]
        assert self.injected, "nothing was injected:\n" + node.log()

    @staticmethod
    def _insist(node, made, ledger):
        """Sends the objects in turn until five in a row are taken after a refusal."""
        sender = Sender(node.port, (), ledger)

        def objects():
            for i in range(INSISTING):
                last = [s.status for s in sender.sent[-5:]]
                if last == [0] * 5 and any(s.status != 0 for s in sender.sent):
                    return
                if last and last[-1] != 0:
                    time.sleep(0.01)  # between two tries of somebody who was told "later"
                yield made[i % len(made)]
        sender.objects = objects()
        sender.run()
        return sender

    def restart_and_judge(self):
        with Node(root=self.root) as node:
            assert node.stop() == 0, node.log()
        self.trace.learn_names()
        assert list(order.answered(self.trace)) == []
        return judge(self.root, self.ledger, self.sent)


META = "*/data.mdb@4???"  # LMDB's second page: every other commit ends with a write there
PAGES = "*/data.mdb@*[0-9][0-9][0-9][0-9][0-9]"  # those behind its two first

# The call, whose, the how many-th; what the daemon says; and the names that are made ahead.
SYNCS = {
    "object": ("fdatasync", "*/spool/*", 5, "spool/fdatasync", 0),
    "object in a berth": ("fdatasync", "*/spool/*", 5, "spool/fdatasync", 128),
    "spool": ("fsync", "*/spool", 5, "spool/fsync", 0),
    "spool, of berths": ("fsync", "*/spool", 4, "spool/fsync", 8),
    "series": ("fsync", "*/archive/*/*/*", 1, "archive/fsync", 128),
    "parent": ("fsync", "*/archive", 1, "root/folder", 128),
    "index": ("fdatasync", "*/data.mdb", 3, "lmdb/commit", 128),
    "meta": ("pwrite", META, 2, "lmdb/commit", 128),
}


def judged_failed(run, where):
    """What holds after every failed sync."""
    assert run.code == 70, run.node.log()
    failed = run.node.find("storage.failed")[0]
    assert failed["at"] == where and failed["errno"] == "EIO" and failed["why"], failed.text
    verdict = run.restart_and_judge()
    assert verdict.is_good, verdict


@pytest.mark.parametrize("senders", [1, 8])
@pytest.mark.parametrize("which", SYNCS)
def test_a_failed_sync_ends_the_daemon(tmp_path, which, senders):
    call, pattern, at, where, names = SYNCS[which]
    run = Run(tmp_path, fault(call, pattern, at, errno.EIO), senders, index__max_delay="1ms",
              storage__names_ahead=str(names))
    if senders == 1 and which in ("object", "object in a berth", "spool"):
        after = [a for a in run.trace.answers if a.status == 0 and a.begin > run.injected[0].begin]
        assert after == [], "a success was told after the sync had failed"
    if which == "object":
        failed = run.injected[0]
        name = [os.path.basename(c.detail) for c in run.trace.calls if c.name == "linkat" and
                c.inode == failed.inode and c.end <= failed.begin and "/spool/" in c.detail][-1]
        assert name not in os.listdir(os.path.join(run.root, "spool")), \
            "what may not be on the disk kept its name"
    if which == "object in a berth":
        assert run.injected[0].path.endswith(".berth"), run.injected[0]
        assert not os.path.exists(run.injected[0].path), "what may not be on the disk kept its name"
    if which.startswith("spool"):
        late = [c for c in run.trace.folder_syncs[run.root + "/spool"] if c.begin > run.injected[0].end]
        assert late == [], "the folder was synced again after a failure"
    judged_failed(run, where)


def test_no_space_for_the_page_that_commits_ends_the_daemon(tmp_path):
    """LMDB works no more after that, whatever the reason: leave at once and say so."""
    run = Run(tmp_path, fault("pwrite", META, 2, errno.ENOSPC), index__max_delay="1ms")
    assert run.code == 70 and run.node.find("storage.failed")[0]["errno"] == "ENOSPC", run.node.log()
    assert run.node.find("storage.failed")[0]["at"] == "lmdb/commit"
    verdict = run.restart_and_judge()
    assert verdict.is_good, verdict


def test_a_sync_that_fails_while_stopping_is_told_too(tmp_path):
    """The last batch is committed after the port was closed."""
    root, trace = tmp_path / "root", tmp_path / "trace"
    what = fault("fdatasync", "*/data.mdb", 2, errno.EIO)
    with Node(root=str(root), env=preload(trace=trace, fail=what), index__max_delay="60s") as node:
        join(send_by(1, node.port, [make("1.2.826.0.1.56.1")]))
        assert node.find("storage.failed") == []
        assert node.stop() == 70, node.log()
        assert node.find("storage.failed")[0]["at"] == "lmdb/commit"


def test_a_sync_that_fails_at_start(tmp_path):
    """Recovery fsyncs spool/ before the port opens."""
    what = fault("fsync", "*/spool", 1, errno.EIO)
    node = Node(root=str(tmp_path / "root"), env=preload(trace=tmp_path / "trace", fail=what), start=False)
    code, said = refused_start(node)
    assert code == 70 and "node.failed" in said and "EIO" in said and "listening" not in said, said


# ---- what a full disk and a write error cost -----------------------------------------------------------

ONE_OBJECT = {
    "no space for its bytes": ("pwritev", "*/spool/*@0", 5, errno.ENOSPC, 0xA700),
    "over quota": ("pwritev", "*/spool/*@0", 5, errno.EDQUOT, 0xA700),
    "no space found at the sync": ("fdatasync", "*/spool/*", 5, errno.ENOSPC, 0xA700),
    "no inode": ("openat", "*/spool/.", 5, errno.ENOSPC, 0xA700, 0),
    "no space for its name": ("linkat", "*/spool/*", 5, errno.ENOSPC, 0xA700, 0),
    "write error": ("pwritev", "*/spool/*@0", 5, errno.EIO, 0xA702),
}


@pytest.mark.parametrize("which", ONE_OBJECT)
def test_one_object_is_refused_and_the_association_lives(tmp_path, which):
    call, pattern, at, errnum, status, *names = ONE_OBJECT[which]
    run = Run(tmp_path, fault(call, pattern, at, errnum), dies=False, insists=True,
              storage__names_ahead=str(*names or [128]))
    sender, got = run.senders[0], statuses(run.senders)
    assert sender.end == "released" and run.code == 0, run.node.log()
    assert set(got) == {0, status} and sender.sent[-1].status == 0, got
    assert all(s.comment for s in sender.sent if s.status != 0)
    verdict = run.restart_and_judge()
    assert verdict.is_good, verdict
    assert sum(len(names) for _, _, names in os.walk(os.path.join(run.root, "archive"))) == \
        len({s.sop_instance for s in sender.sent if s.status == 0}), "what was refused kept its name"


LATER = {
    "no space for index pages": ("pwrite", PAGES, 2, errno.ENOSPC),
    "no space for a folder": ("mkdirat", "*/archive/*", 2, errno.ENOSPC),
    "no space for the archive name": ("linkat", "*/spool/*.berth", 2, errno.ENOSPC),
}


@pytest.mark.parametrize("which", LATER)
def test_what_is_acknowledged_waits_in_the_spool_for_space(tmp_path, which):
    """The indexer tries again until it succeeds; nothing is lost and the daemon lives."""
    call, pattern, at, errnum = LATER[which]
    run = Run(tmp_path, fault(call, pattern, at, errnum), dies=False, index__max_delay="1ms")
    assert run.code == 0, run.node.log()
    assert set(statuses(run.senders)) <= {0, 0xA700}
    verdict = run.restart_and_judge()
    assert verdict.is_good, verdict


@pytest.mark.parametrize("errnum", [errno.ENOSPC, errno.EMFILE, errno.EACCES])
def test_a_name_that_cannot_be_made_ahead_costs_nothing(tmp_path, errnum):
    """Objects make their own then, and the stock is tried again."""
    run = Run(tmp_path, fault("openat", "*.berth", 1, errnum), dies=False, storage__names_ahead="4")
    assert run.code == 0 and set(statuses(run.senders)) == {0}, run.node.log()
    assert order.figures(run.trace)["berths"] > 0
    assert order.check(run.trace) == []
    verdict = run.restart_and_judge()
    assert verdict.is_good, verdict


# ---- who may not start, and who promises less -----------------------------------------------------------

def refused_start(node):
    """Exit status and what it said."""
    node.process = subprocess.Popen(node.command(), stderr=subprocess.PIPE, text=True, env=node.env)
    said = node.process.communicate(timeout=60)[1]
    return node.process.returncode, said


def test_a_second_daemon_on_the_root_names_the_first():
    with Node() as node, Node(root=node.root, start=False) as second:
        code, said = refused_start(second)
        assert code == 2 and f"in use by pid {node.pid} " in said, said
        assert statuses(join(send_by(1, node.port, [make("1.2.826.0.1.57.1")]))) == {0: 1}


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None,
                    reason="NOT RUN: needs root, to become somebody else, and setpriv")
def test_an_unwritable_root_says_whose_it_must_be(tmp_path):
    os.chmod(tmp_path, 0o755)
    folder = tempfile.mkdtemp(dir="/var/tmp")
    os.chmod(folder, 0o755)
    binary = shutil.copy(SLUICED, folder)
    root = os.path.join(folder, "root")
    os.mkdir(root, 0o755)
    wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    try:
        node = Node(root=root, wrapper=wrapper, start=False)
        done = subprocess.run([binary if word == SLUICED else word for word in node.command()],
                              capture_output=True, text=True, timeout=60)
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 2 and "may not write there" in done.stderr and "chown" in done.stderr, done


def test_durability_none_says_so_and_does_not_sync(tmp_path):
    trace = tmp_path / "trace"
    with Node(env=preload(trace=trace), storage__durability="none", log__heartbeat="200ms") as node:
        assert statuses(join(send_by(2, node.port, [make(f"1.2.826.0.1.58.{n}") for n in range(10)]))) \
            == {0: 10}
        assert node.wait_line("node.start")["durability"] == "none"
        assert "power cut" in node.wait_line("node.start")["note"]
        assert node.wait_line("status", n=2)["durability"] == "none"
        assert node.stop() == 0, node.log()
        seen = order.Trace(order.read_trace(trace), node.root)
        assert not any(c.name == "fdatasync" and "/spool/" in c.path for c in seen.calls)
        assert not seen.folder_syncs[node.root + "/spool"]
        assert len(node.archive()) == 10
    with Node(log__heartbeat="200ms") as node:
        assert node.wait_line("node.start")["durability"] == "fsync"
        assert "durability" not in node.wait_line("status")
