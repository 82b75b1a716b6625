"""kill -9 at one of the calls that change files: in place of the k-th, or in the middle of it; and that for
every k (sweep()).

    kill_at(folder, script(50), k)             a script of stores, re-sends and versions, dead at its k-th call
    Interrupted(folder).kill_at(k)             the recovery of a full spool, likewise

tools/torture goes through every call, test_crash.py through a few.
SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import order
from load import Sender, join, make
from node import Node
from oracle import judge, sent_of
from preload import preload
from rawscu import Ledger

STUDY = "1.2.826.0.1.78"
STRIDE = 10  # calls between two looks at whether the script is over


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
    root = os.path.join(folder, f"at{k}{'torn' * torn}")
    path = root + ".ledger"
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
        self.root = os.path.join(folder, "interrupted")
        self.ledger = os.path.join(folder, "ledger-interrupted")
        made = script(self.N, changes=False)  # a version hurries the indexer: nothing would wait
        self.sent = sent_of(made)
        with Node(root=self.root, **{**SETTINGS, "index__max_delay": "60s"}) as node:
            sender = join([_send(node, made, Ledger(self.ledger))])[0]
            assert sender.end == "released", sender.end
            node.kill()
            assert len(node.spool()) == self.N

    @staticmethod
    def _recover(copy, **env):
        node = Node(root=copy, start=False, env=preload(**env) if env else None, **SETTINGS)
        try:
            node.start()
        except AssertionError:
            assert node.wait() == -9, node.log()
            return -9
        return node.stop()

    def _copy(self, name):
        return shutil.copytree(self.root, f"{self.root}.{name}")

    def count_calls(self):
        copy = self._copy("counted")
        trace = copy + ".trace"
        assert self._recover(copy, trace=trace) == 0
        shutil.rmtree(copy)
        return len(order.read_trace(trace))

    def kill_at(self, k, torn=False):
        """As kill_at() below a folder."""
        copy = self._copy(f"{k}{'torn' * torn}")
        died = self._recover(copy, kill=f"{k}:torn" if torn else k) == -9
        assert self._recover(copy) == 0
        verdict = judge(copy, self.ledger, self.sent)
        shutil.rmtree(copy)
        return verdict, died


# ---- at every one ---------------------------------------------------------------------------------------

@dataclass
class Swept:
    """Of every call."""
    calls: int = 0    # tried
    instead: int = 0  # deaths in place of a call
    midst: int = 0    # in the middle of one

    def __str__(self):
        return (f"{self.instead} deaths in place of a call, {self.midst} in the middle of one, up to call {self.calls}: "
                "0 acknowledged objects lost, 0 files not whole, index and files agree")


def sweep(kill, jobs, first=1, say=lambda text: None):
    """kill(k, torn) for every k from the first on, until STRIDE in a row outlive their script: runs differ in how
    often they sync. `jobs` at a time. AssertionError at a bad one; else Swept."""
    swept, k, is_dead = Swept(), first, True
    with ThreadPoolExecutor(jobs) as pool:
        while is_dead:
            cases = [(n, torn) for n in range(k, k + STRIDE) for torn in (False, True)]
            is_dead = False
            for (n, torn), (verdict, died) in zip(cases, pool.map(lambda case: kill(*case), cases)):
                assert verdict.is_good, f"call {n}, torn {torn}:\n{verdict}"
                swept.instead += died and not torn
                swept.midst += died and torn
                is_dead = is_dead or died
            k += STRIDE
            swept.calls = k - 1
            say(f"up to call {k - 1}: {verdict}")
    return swept
