"""kill -9 at random moments and what is left: rounds of load, death, restart and judgement (oracle.py) on one
root, or on several side by side.

    CrashRun(folder).random_kills(200)         one root after the other
    side_by_side(folder, 10000, jobs=4)        Figures; every other root in memory

A round is a node under load from several senders, a kill -9, now and then the loss of the index, or a
recovery or rebuild that is killed too, then a start, a stop and the judge: of what is new each time, of the
whole root every WHOLE kills and before it is given up for a fresh one. killat.py kills at chosen calls.
SPDX-License-Identifier: Apache-2.0
"""
import multiprocessing
import os
import queue
import random
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, fields

from evicted import Evictions
from kept import Kept
from load import Sender, join, make
from node import Node
from oracle import Oracle
from power import fast_folder
from rawscu import Ledger
from rebuilt import run_rebuild, wait_unlocked

SENDERS = 6
BIG = 512 * 1024
STUDY = "1.2.826.0.1.77"
EVICTING = {"storage__policy": "evict", "storage__evict_min_age": "0s", "storage__quota": "6MiB"}
SETTINGS = {"storage__threads": 4, "pool__buffers": 32, "dicom__max_associations": 16}  # a start is quick
ANSWERS = (1, 8, 30, 60)  # a life under load ends at fewer than one of these, by turns, and up to
MORE_S = 0.02            # after that
LONGEST_S = 1            # or here
WHOLE = 25


@dataclass
class Figures:
    """Of any number of kills, all of them good."""
    kills: int = 0
    acknowledged: int = 0
    found: int = 0      # names in spool/ at a start after a kill
    gone: int = 0       # studies evicted
    rebuilds: int = 0   # indexes lost
    cut_short: int = 0  # recoveries and rebuilds killed
    seconds: float = 0

    def add(self, other):
        for part in fields(self):
            setattr(self, part.name, getattr(self, part.name) + getattr(other, part.name))

    def __str__(self):
        return (f"{self.kills} kills, {self.acknowledged} objects acknowledged, 0 lost, 0 files not whole, "
                f"index and files agree; {self.found} names found in spool/, {self.gone} studies evicted and none "
                f"back, {self.rebuilds} indexes lost and rebuilt, {self.cut_short} recoveries and rebuilds killed; "
                f"{self.kills / max(self.seconds, 0.001):.1f} kills/s")


class CrashRun:
    """One root through many deaths. The ledger and all that was sent are kept over them."""

    def __init__(self, folder, seed=None, keep=400, settings=None):
        """keep: about how many objects may lie in the root before it is started afresh, so that judging
        it stays quick."""
        self.folder, self.keep = str(folder), keep
        self.seed = seed if seed is not None else random.SystemRandom().randrange(1 << 32)
        self.random = random.Random(self.seed)
        self.settings = {**SETTINGS, **(settings or {})}
        self.figures, self.number, self.begun = Figures(), 0, time.monotonic()
        self.lock, self.answers = threading.Condition(), 0
        self._fresh()

    def _fresh(self):
        self.root = os.path.join(self.folder, "root")
        ledger = os.path.join(self.folder, "ledger")
        shutil.rmtree(self.root, ignore_errors=True)
        open(ledger, "w", encoding="ascii").close()
        self.ledger, self.oracle = Ledger(ledger), Oracle(self.root, ledger)
        self.made, self.sent, self.studies, self.evictions = [], {}, {}, Evictions()
        small = self.random.random() < 0.5  # every other root: large objects are streamed
        self.evicts = self.random.random() < 0.5  # every other root is always full
        self.policy = self.random.choice(("latest", "latest", "first", "refuse"))
        self.pool = {"storage__duplicates": self.policy}
        self.pool |= {"pool__buffer_size": "64KiB", "pool__buffers": 16} if small or self.evicts else {}

    def _give_up(self):
        """The root is done with."""
        self.figures.acknowledged += len(self.oracle.promised)
        self.figures.gone += len(self.evictions.gone)
        os.close(self.ledger.fd)

    # ---- the load --------------------------------------------------------------------------------------

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
        self.sent.setdefault(made.uid, set()).add(made.sha256)
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
            self.answers += 1
            self.lock.notify_all()

    # ---- a round ---------------------------------------------------------------------------------------

    def one_kill(self, is_whole=True):
        """Load, kill -9 after a random time, restart, stop, judge; now and then the index is lost in
        between. is_whole: every file is read. Returns (verdict, the recovery's line)."""
        evicting = EVICTING if self.evicts else {}
        with Node(root=self.root, **{**self.settings, **self.pool, **evicting}) as node:
            senders = [Sender(node.port, self._objects(200), self.ledger, f"CRASH{i}", on_sent=self._answered)
                       for i in range(SENDERS)]
            for sender in senders:
                sender.start()
            self._let_live()
            node.kill()
            join(senders)
        self.figures.kills += 1
        loses_index = self.random.random() < 0.1
        if self.evicts:
            self.evictions.died(self.root, node, loses_index)
        if loses_index:
            self._lose_index()
        if self.random.random() < 0.1:
            self._cut_short()
        return self._restart(is_whole)

    def _let_live(self):
        """To a random moment, by what has been done: a busy machine would be dead before it did anything."""
        with self.lock:
            enough = self.answers + self.random.randrange(self.random.choice(ANSWERS))
            self.lock.wait_for(lambda: self.answers >= enough, LONGEST_S)
        time.sleep(self.random.uniform(0, MORE_S))  # the random moment, not a race made to go away

    def _lose_index(self):
        """The next start makes it anew; or the operator does, before."""
        shutil.rmtree(os.path.join(self.root, "index"))
        self.figures.rebuilds += 1
        if self.random.random() < 0.5:
            self._cut_short("--rebuild-index")
            run_rebuild(self.root)

    def _cut_short(self, *rebuilds):
        """A recovery that is killed, or a rebuild."""
        node = Node(root=self.root, start=False, **{**self.settings, **self.pool})
        process = subprocess.Popen([*node.command(), *rebuilds], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(self.random.uniform(0, 0.05))
        process.kill()
        process.wait()
        wait_unlocked(self.root)
        self.figures.cut_short += 1

    def _restart(self, is_whole):
        with Node(root=self.root, **{**self.settings, **self.pool}) as node:
            recovered = node.find("node.recovered")
            assert node.stop() == 0, node.log()
        if recovered:
            self.figures.found += int(recovered[0]["spool"])
        kept = Kept(self.root)
        verdict = self.oracle.judge(self.sent, self.evictions.may_miss, kept, is_whole)
        verdict.disagree += self.evictions.came_back(kept)
        return verdict, recovered

    # ---- many ------------------------------------------------------------------------------------------

    def random_kills(self, n, say=lambda text: None):
        """n rounds; AssertionError with the seed at the first bad one."""
        left = iter(range(n))
        self.kill_while(lambda: next(left, None) is not None, say)
        return self

    def kill_while(self, goes_on, say=lambda text: None):
        """A round for each time that goes_on() says true."""
        is_on = goes_on()
        while is_on:
            is_full = len(self.made) > self.keep * (1 + 4 * self.evicts)
            is_on_after = goes_on()
            is_whole = is_full or not is_on_after or self.figures.kills % WHOLE == 0
            verdict, recovered = self.one_kill(is_whole)
            assert verdict.is_good, f"seed {self.seed}, kill {self.figures.kills}, {self.root} kept:\n{verdict}"
            say(f"kill {self.figures.kills}: {verdict}" + (f"; {recovered[0]['spool']} in spool" if recovered else ""))
            if is_full or not is_on_after:
                self._give_up()
                self._fresh()
            is_on = is_on_after
        self.figures.seconds = time.monotonic() - self.begun

    def __str__(self):
        return f"{self.figures} (seed {self.seed})"


# ---- side by side ---------------------------------------------------------------------------------------

def _job(number, folder, seed, settings, left, news):
    """A process of its own: takes kills of those that are left until there are none."""
    def goes_on():
        with left.get_lock():
            left.value -= 1
            return left.value >= 0
    try:
        run = CrashRun(folder, seed, settings=settings)
        run.kill_while(goes_on, lambda text: news.put((number, "round", text)))
        news.put((number, "done", run.figures))
    except BaseException as bad:  # whatever it was, the others must hear of it
        left.value = 0
        news.put((number, "bad", f"{bad!r}" if not isinstance(bad, AssertionError) else str(bad)))


def side_by_side(folder, kills, jobs, seed=None, settings=None, say=lambda text: None):
    """So many kills, on `jobs` roots at a time, every other one in memory, where a sync takes no time and
    other moments are likely; their Figures. AssertionError when one was bad."""
    seed = seed if seed is not None else random.SystemRandom().randrange(1 << 32)
    left, news = multiprocessing.Value("q", kills), multiprocessing.Queue()
    folders = [fast_folder("sluice-crash-") if i % 2 else tempfile.mkdtemp(prefix=f"job{i}-", dir=folder)
               for i in range(jobs)]
    processes = [multiprocessing.Process(target=_job, args=(i, folders[i], seed + i, settings, left, news))
                 for i in range(jobs)]
    for process in processes:
        process.start()
    begun, sum_of, bad, rounds = time.monotonic(), Figures(), [], 0
    while sum(p.is_alive() for p in processes) > 0 or not news.empty():
        try:
            number, kind, what = news.get(timeout=1)
        except queue.Empty:
            continue
        rounds += kind == "round"
        if kind == "bad":
            bad.append((folders[number], what))
        elif kind == "done":
            sum_of.add(what)
        elif rounds % 100 == 0 or kills <= 200:
            say(f"{rounds} after {time.monotonic() - begun:.0f} s, store {number}: {what}")
    bad = [f"{_keep(path, folder)}: {what}" for path, what in bad]
    for path in folders:
        shutil.rmtree(path, ignore_errors=True)
    assert not bad and sum_of.kills == kills, "\n".join(bad or [f"only {sum_of.kills} kills were judged"])
    sum_of.seconds = time.monotonic() - begun
    return sum_of


def _keep(path, folder):
    """A bad store is for somebody to look at; memory is not the place. Where it is now."""
    return shutil.move(path, os.path.join(folder, f"bad-{os.path.basename(path)}"))
