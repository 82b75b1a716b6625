"""kill -9 and what is left: rounds of load, death, restart and judgement (oracle.py) on one root.

    CrashRun(folder).random_kills(200)     at random moments, under load from several senders
    kill_at(folder, k)                     in place of the k-th call that changes files

tools/torture runs them at length, test_crash.py a few of them.
SPDX-License-Identifier: Apache-2.0
"""
import os
import random
import shutil
import threading
import time

import order
from evicted import Evictions
from kept import Kept
from load import Sender, join, make
from node import Node
from oracle import judge, read_ledger, sent_of
from preload import preload
from rawscu import Ledger

SENDERS = 6
BIG = 512 * 1024
STUDY = "1.2.826.0.1.77"
EVICTING = {"storage__policy": "evict", "storage__evict_min_age": "0s", "storage__quota": "6MiB"}


class CrashRun:
    """One root through many deaths. The ledger and all that was sent are kept over them."""

    def __init__(self, folder, seed=None, keep=400, settings=None):
        """keep: about how many objects may lie in the root before it is started afresh, so that judging
        it stays quick."""
        self.folder, self.keep = str(folder), keep
        self.seed = seed if seed is not None else random.SystemRandom().randrange(1 << 32)
        self.random = random.Random(self.seed)
        self.settings = {"storage__threads": 4, **(settings or {})}
        self.number = self.kills = self.acknowledged = self.found = self.gone = self.rebuilds = 0
        self.begun, self.lock = time.monotonic(), threading.Lock()
        self._fresh()

    def _fresh(self):
        self.root = os.path.join(self.folder, "root")
        self.ledger_path = os.path.join(self.folder, "ledger")
        shutil.rmtree(self.root, ignore_errors=True)
        open(self.ledger_path, "w", encoding="ascii").close()
        self.ledger = Ledger(self.ledger_path)
        self.made, self.studies, self.evictions = [], {}, Evictions()
        small = self.random.random() < 0.5  # every other root: large objects are streamed
        self.evicts = self.random.random() < 0.5  # every other root is always full
        self.policy = self.random.choice(("latest", "latest", "first", "refuse"))
        self.pool = {"storage__duplicates": self.policy}
        self.pool |= {"pool__buffer_size": "64KiB", "pool__buffers": 16} if small or self.evicts else {}

    def _next(self):
        """Small and large ones of a few studies; every eighth is one that was sent before, or is being
        sent, as often as not with other bytes."""
        if self.made and self.random.random() < 0.125:
            made = self.random.choice(self.made)
            if self.random.random() < 0.5:
                return made
            uid, study = made.uid, f"{STUDY}.{self.random.randrange(2)}"
            made = make(uid, self.random.choice((3000, BIG // 2)), study, seed=self.random.randrange(1, 4))
        else:
            self.number += 1
            study = f"{STUDY}.{self.number // 16 if self.evicts else self.number % 7}"
            size = BIG if self.random.random() < 0.25 else self.random.randrange(600, 20000)
            made = make(f"{STUDY}.9.{self.number}", size, study, f"{study}.{self.number % 3}")
        self.studies[made.uid, made.sha256] = study
        self.made.append(made)
        return made

    def _objects(self, n):
        """What one sender sends, made as it is sent."""
        for _ in range(n):
            with self.lock:
                made = self._next()
                self.evictions.sends(self.studies[made.uid, made.sha256], made.uid, made.sha256)
            yield made

    def _answered(self, sent):
        with self.lock:
            self.evictions.answered(sent)

    def one_kill(self, most_s=0.6):
        """Load, kill -9 after a random time, restart, stop, judge; now and then the index is lost in
        between. Returns (verdict, the recovery's line)."""
        evicting = EVICTING if self.evicts else {}
        with Node(root=self.root, **self.settings, **self.pool, **evicting) as node:
            senders = [Sender(node.port, self._objects(200), self.ledger, f"CRASH{i}", on_sent=self._answered)
                       for i in range(SENDERS)]
            for sender in senders:
                sender.start()
            time.sleep(self.random.uniform(0, most_s))  # the random moment, not a race made to go away
            node.kill()
            join(senders)
        self.kills += 1
        loses_index = self.random.random() < 0.1
        self.evictions.died(self.root, node, loses_index)
        if loses_index:
            shutil.rmtree(os.path.join(self.root, "index"))
            self.rebuilds += 1
        return self.restart()

    def restart(self):
        with Node(root=self.root, **self.settings, **self.pool) as node:
            recovered = node.find("node.recovered")
            assert node.stop() == 0, node.log()
        if recovered:
            self.found += int(recovered[0]["spool"])
        kept = Kept(self.root)
        verdict = judge(self.root, self.ledger_path, sent_of(self.made), self.evictions.may_miss, kept)
        verdict.disagree += self.evictions.came_back(kept)
        return verdict, recovered

    def random_kills(self, n, say=lambda text: None):
        """n rounds; AssertionError with the seed at the first bad one."""
        for i in range(n):
            verdict, recovered = self.one_kill()
            assert verdict.is_good, f"seed {self.seed}, kill {self.kills}, {self.root} kept:\n{verdict}"
            say(f"kill {self.kills}: {verdict}" + (f"; {recovered[0]['spool']} in spool" if recovered else ""))
            if len(self.made) > self.keep * (1 + 4 * self.evicts) or i + 1 == n:
                self.acknowledged += len(read_ledger(self.ledger_path))
                self.gone += len(self.evictions.gone)
                self._fresh()
        return self

    def __str__(self):
        took = time.monotonic() - self.begun
        return (f"{self.kills} kills, {self.acknowledged} objects acknowledged, 0 lost, 0 files not whole, "
                f"index and files agree; {self.found} names found in spool/, {self.gone} studies evicted and none "
                f"back, {self.rebuilds} indexes lost and rebuilt; {took / max(self.kills, 1):.2f} s a kill "
                f"(seed {self.seed})")


# ---- at every call --------------------------------------------------------------------------------------

def script(n=20, changes=True):
    """What the sender of a kill_at() run sends: small, one streamed, one twice, with changes one with
    other bytes, also under another study. 64 KiB buffers."""
    made = [make(f"{STUDY}.8.{i}", 200 * 1024 if i % 10 == 5 else 900, f"{STUDY}.{i % 2}",
                 f"{STUDY}.{i % 2}.{i % 4}") for i in range(n)]
    changed = [make(made[1].uid, 900, f"{STUDY}.{study}", seed=1) for study in (0, 1)]
    changed = changed if changes else [made[0], made[0]]
    return made[:n // 2] + [made[0], changed[0]] + made[n // 2:] + [changed[1]]


SETTINGS = {"pool__buffer_size": "64KiB", "pool__buffers": "8", "storage__threads": 2,
            "index__max_delay": "5ms"}


def count_calls(folder, objects):
    """How many calls that change files the whole script makes, start and stop included."""
    trace = os.path.join(folder, "trace")
    root = os.path.join(folder, "counted")
    with Node(root=root, env=preload(trace=trace), **SETTINGS) as node:
        sender = join([_send(node, objects, None)])[0]
        assert sender.end == "released", sender.end
        assert node.stop() == 0, node.log()
    shutil.rmtree(root)
    return sum(not c.path.startswith("socket:") for c in order.read_trace(trace))


def _send(node, objects, ledger):
    sender = Sender(node.port, objects, ledger, "KILLAT")
    sender.start()
    return sender


def kill_at(folder, objects, k, torn=False):
    """The script against a daemon that dies in place of its k-th call (torn: in the middle of it, where
    it is a write). Then a restart. Returns (verdict, whether it died before the script was over)."""
    root, path = os.path.join(folder, f"at{k}"), os.path.join(folder, f"ledger{k}")
    ledger = Ledger(path)
    node = Node(root=root, env=preload(kill=f"{k}:torn" if torn else k), start=False, **SETTINGS)
    try:
        try:
            node.start()
            join([_send(node, objects, ledger)])
            died = node.stop() == -9
        except AssertionError:
            died = node.wait() == -9  # at start already
            assert died, node.log()
        with Node(root=root, **SETTINGS) as again:
            assert again.stop() == 0, again.log()
        return judge(root, path, sent_of(objects)), died
    finally:
        node.close()
        shutil.rmtree(root, ignore_errors=True)
        os.close(ledger.fd)
        os.unlink(path)


class Interrupted:
    """A root whose node died with everything still in spool/ and a ledger of it; kill_at() recovers a
    copy of it, dies at the k-th call, and recovers again."""
    N = 24

    def __init__(self, folder):
        self.root, self.copy = os.path.join(folder, "interrupted"), os.path.join(folder, "copy")
        self.ledger = os.path.join(folder, "ledger-interrupted")
        made = script(self.N, changes=False)  # a version hurries the indexer: nothing would wait
        self.sent = sent_of(made)
        with Node(root=self.root, **{**SETTINGS, "index__max_delay": "60s"}) as node:
            sender = join([_send(node, made, Ledger(self.ledger))])[0]
            assert sender.end == "released", sender.end
            node.kill()
            assert len(node.spool()) == self.N

    def _recover(self, **env):
        node = Node(root=self.copy, start=False, env=preload(**env) if env else None, **SETTINGS)
        try:
            node.start()
        except AssertionError:
            assert node.wait() == -9, node.log()
            return -9
        return node.stop()

    def _fresh(self):
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.root, self.copy)

    def count_calls(self):
        self._fresh()
        trace = self.copy + ".trace"
        assert self._recover(trace=trace) == 0
        return len(order.read_trace(trace))

    def kill_at(self, k, torn=False):
        """As kill_at() below a folder."""
        self._fresh()
        died = self._recover(kill=f"{k}:torn" if torn else k) == -9
        assert self._recover() == 0
        return judge(self.copy, self.ledger, self.sent), died
