"""Every fallible call of the daemon fails (tests/support/call_preload.c): once, or from the K-th on; and
what must hold then: no signal, no hang, no success that is not so, an exit status and a line that say what
it was, and after a restart everything that was acknowledged, whole.

    sweep = Sweep(folder)
    for verdict in sweep.all(sweep.cases()): ...         # tools/torture calls --every
    sweep.sample(60)                                     # test_calls.py

SPDX-License-Identifier: Apache-2.0
"""
import errno
import glob
import itertools
import os
import random
import shutil
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from subprocess import TimeoutExpired

from evicted import Evictions
from kept import BUILD, Kept
from load import CONTEXTS, Sender, make
from node import Node
from oracle import judge, sent_of
from rawscu import Ended, Ledger, RawSCU

STUDY = "1.2.826.0.1.66"
HANG_S = 10  # without an answer, and all of the node's threads asleep; a busy machine is no hang
STUCK_S = 120  # though they are not
HEAL_S = 30  # with space again
SHORT, FOREVER, STORM = 0, 0, 40
SETTINGS = {"pool__buffer_size": "64KiB", "pool__buffers": "8", "storage__threads": 2, "index__max_delay": "5ms",
            "dicom__max_associations": 4, "dicom__stop_timeout": "2s", "index__map_size": "64MiB"}

DISK = (errno.EIO, errno.ENOSPC)
WRITE = (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EINTR, SHORT)
# What a call may fail with. Calls that are not here cannot fail as they are used, or fail into an abort() of
# libuv's own (pipe2, epoll_ctl).
ERRNOS = {
    "malloc": (errno.ENOMEM,), "calloc": (errno.ENOMEM,), "realloc": (errno.ENOMEM,),
    "aligned_alloc": (errno.ENOMEM,), "posix_memalign": (errno.ENOMEM,), "mmap": (errno.ENOMEM,),
    "pthread_create": (errno.EAGAIN,), "getrandom": (errno.EINTR,), "madvise": (errno.EINVAL,),
    "accept4": (errno.ECONNABORTED, errno.EMFILE), "bind": (errno.EADDRINUSE,), "listen": (errno.EADDRINUSE,),
    "epoll_pwait": (errno.EINTR,), "epoll_wait": (errno.EINTR,), "eventfd": (errno.EMFILE,),
    "socket": (errno.EMFILE,), "getsockname": (errno.ENOBUFS,),
    "setsockopt": (errno.EINVAL,), "epoll_create1": (errno.EMFILE,),
    "read": (errno.EIO, errno.EINTR, errno.ECONNRESET), "pread": (errno.EIO, errno.EINTR),
    "write": WRITE + (errno.EPIPE,), "writev": WRITE, "pwrite": WRITE, "pwritev": WRITE,
    "fdatasync": (errno.EIO, errno.ENOSPC, errno.EINTR), "fsync": DISK + (errno.EINTR,), "syncfs": (errno.EIO,),
    "open": (errno.EMFILE, errno.EIO), "open to make": (errno.EMFILE, errno.EIO, errno.ENOSPC, errno.EDQUOT),
    "mkdirat": DISK, "mkdir": DISK, "linkat": DISK + (errno.EMLINK,), "renameat": DISK, "unlinkat": (errno.EIO,),
    "ftruncate": DISK + (errno.EINTR,), "fallocate": DISK + (errno.EINTR,), "flock": (errno.EINTR, errno.ENOLCK),
    "fchmod": (errno.EIO,), "fchown": (errno.EPERM,), "fstat": (errno.EIO,), "fstatat": (errno.EIO,),
    "fstatfs": (errno.EIO,), "fstatvfs": (errno.EIO,), "fdopendir": (errno.ENOMEM,), "readdir": (errno.EIO,),
    "space": (errno.ENOSPC, errno.EDQUOT),
}
# What comes in storms and passes: for ever, it would only say that nobody is served.
PASSING = ("accept4", "epoll_wait", "epoll_pwait")
# After these the node may not go on: what it believes of its disk may be wrong. Never after a full disk.
LATCHES = ("fsync", "fdatasync", "syncfs", "pwrite", "writev", "write", "open", "open to make", "mkdirat",
           "linkat", "renameat", "unlinkat", "fstat", "fstatat", "read", "pread", "fdopendir", "readdir",
           "malloc", "calloc", "realloc", "posix_memalign", "mmap", "ftruncate", "fchmod", "fchown")
FULL = (errno.ENOSPC, errno.EDQUOT, SHORT, errno.EINTR)


@dataclass(frozen=True)
class Case:
    """The k-th call of that name fails with errnum, `n` times in a row (0: for ever)."""
    name: str
    k: int
    errnum: int
    n: int = 1

    def __str__(self):
        what = "short" if self.errnum == SHORT else errno.errorcode[self.errnum]
        return f"{self.name} {self.k} {what}" + {1: "", FOREVER: " for ever"}.get(self.n, f" {self.n} times")


@dataclass
class Verdict:
    """What came of a case; .wrong is a list of sentences."""
    case: Case
    injected: list = field(default_factory=list)  # paths
    code: int = 0
    statuses: Counter = field(default_factory=Counter)
    wrong: list = field(default_factory=list)
    log: str = ""

    def __str__(self):
        met = f"{len(self.injected)} met" + (f" ({os.path.basename(self.injected[0]) or '-'})" if self.injected else "")
        said = ", ".join(f"{status:04X}:{n}" for status, n in sorted(self.statuses.items()))
        return f"{self.case}: {met}, exit {self.code}, {said or 'no answers'}" + \
            "".join(f"\n  WRONG: {wrong}" for wrong in self.wrong)


def is_asleep(pid):
    """Whether no thread of a process has anything to do, in a row of looks."""
    for _ in range(20):
        for path in glob.glob(f"/proc/{pid}/task/*/stat"):
            try:
                with open(path, encoding="utf-8", errors="replace") as stat:
                    state = stat.read().rpartition(")")[2].split()[0]
            except (OSError, IndexError):
                continue  # ended meanwhile
            if state in "RD":
                return False
        time.sleep(0.02)
    return True


def libraries():
    """Allocations are let alone where a sanitizer makes them."""
    names = ["call_preload.so"]
    if os.path.exists(os.path.join(BUILD, "tests", "sluiced_counted")):
        names.append("alloc_preload.so")
    return " ".join(os.path.join(BUILD, "tests", name) for name in names)


class Run:
    """One daemon under one case, from start to stop, then judged."""
    SETTINGS, HANG_S = SETTINGS, HANG_S

    def __init__(self, folder, case=None, trouble=None, **settings):
        self.folder, self.case = folder, case
        os.mkdir(folder)
        self.root, self.trace, self.ledger = (os.path.join(folder, n) for n in ("root", "trace", "ledger"))
        self.made = self.objects()
        env = {"LD_PRELOAD": libraries(), "SLUICE_CALL_TRACE": self.trace, "SLUICE_CALL_ROOT": self.root,
               "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}
        if case is not None:
            env["SLUICE_CALL"] = f"{case.name}:{case.k}:{case.errnum}:{case.n}"
        if trouble is not None:
            env["SLUICE_CALL_WHILE"] = trouble
        self.node = Node(root=self.root, env=env, start=False, **{**self.SETTINGS, **settings})
        self.verdict = Verdict(case)

    @staticmethod
    def objects():
        """Small ones, one that is streamed, one twice, one with other bytes."""
        made = [make(f"{STUDY}.8.{i}", 200 * 1024 if i == 3 else 900, f"{STUDY}.{i % 2}") for i in range(6)]
        return made + [made[1], make(made[2].uid, 900, f"{STUDY}.0", seed=1), make(f"{STUDY}.8.9", 900, f"{STUDY}.1")]

    def sender(self, ledger, i):
        return Sender(self.node.port, self.made[i::2], ledger, f"CALLS{i}", timeout=STUCK_S)

    def wrong(self, text):
        self.verdict.wrong.append(text)

    def send(self):
        """Two senders; whatever becomes of their associations."""
        ledger = Ledger(self.ledger)
        senders = [self.sender(ledger, i) for i in (0, 1)]
        for sender in senders:
            sender.start()
        self._watch(senders)
        for sender in senders:
            self.verdict.statuses.update(s.status for s in sender.sent)
        os.close(ledger.fd)
        return senders

    def _hangs(self, since):
        silent = time.monotonic() - since
        return silent > STUCK_S or silent > self.HANG_S and is_asleep(self.node.pid)

    def _watch(self, senders):
        """Joins them; a node that hangs is killed."""
        heard, since = 0, time.monotonic()
        while any(sender.is_alive() for sender in senders):
            next(sender for sender in senders if sender.is_alive()).join(0.2)
            answers = sum(len(sender.sent) for sender in senders)
            if answers > heard:
                heard, since = answers, time.monotonic()
            elif self._hangs(since):
                self.wrong(f"no answer in {time.monotonic() - since:.0f} s")
                self.node.kill()
                since = time.monotonic()

    def echo(self):
        """Three tries: one may meet the fault itself."""
        for _ in range(3):
            try:
                with RawSCU("127.0.0.1", self.node.port, timeout=HEAL_S) as scu:
                    scu.associate(CONTEXTS)
                    return scu.echo().status == 0
            except (Ended, OSError):
                continue
        return False

    def serve(self):
        """Start, load, an echo, stop. Fills the verdict's code."""
        is_up = is_deaf = False
        try:
            self.node.start()
            is_up = True
            self.send()
            is_deaf = self.case is not None and self.case.n != FOREVER and not self.echo()
        except AssertionError:
            if is_up:
                raise
        self.stop(is_up)
        if is_deaf and self.verdict.code != 70:
            self.wrong("does not answer an echo any more")

    def stop(self, is_up):
        process, since = self.node.process, time.monotonic()
        if is_up and process.poll() is None:
            process.terminate()
        while process.poll() is None:
            try:
                process.wait(0.2)
            except TimeoutExpired:
                if self._hangs(since):
                    self.wrong("does not stop")
                    self.node.kill()
        self.verdict.code = self.node.wait()
        self.verdict.log = self.node.log()

    def judge(self):
        """The exit and its line; then a restart without trouble, and the oracle."""
        verdict, case = self.verdict, self.case
        with open(self.trace, encoding="utf-8", errors="replace") as lines:
            verdict.injected = [row[2] for row in (line.rstrip("\n").split("\t") for line in lines)
                                if row[-1] == "failed"]
        if verdict.code < 0 or verdict.code in (99, 134, 139):
            self.wrong(f"died of {verdict.code}")
        elif verdict.code not in (0, 1, 2, 70):
            self.wrong(f"exit status {verdict.code}")
        if verdict.code == 70 and (case.name not in LATCHES or case.errnum in FULL and not self._may_fail_full()):
            self.wrong("left with 70, and had no reason to")
        said = self.node.find("storage.failed") or self.node.find("node.failed")
        if verdict.code == 70 and not said and not self._log_is_hurt():
            self.wrong("left with 70 and said nothing")
        if verdict.code in (1, 2) and not verdict.log and not self._log_is_hurt():
            self.wrong(f"left with {verdict.code} and said nothing")
        odd = {status for status in verdict.statuses if status != 0 and status & 0xFF00 != 0xA700
               and status not in (0x0110, 0x0122)}
        if odd:
            self.wrong(f"answered {', '.join(f'{s:04X}' for s in odd)}")
        self._restart()
        return verdict

    def _may_fail_full(self):
        """An interrupted or refused sync of a folder, and the first page of the index: LMDB gives up."""
        return self.case.name == "fsync" or self.case.name == "fdatasync" and self.case.errnum == errno.EINTR \
            or "could not write its first page" in self.verdict.log

    def _log_is_hurt(self):
        return self.case.name in ("write", "writev", "malloc", "calloc", "pthread_create", "space")

    def _restart(self):
        with Node(root=self.root, start=False, **SETTINGS) as again:
            try:
                again.start()
                code = again.stop()
            except (AssertionError, TimeoutExpired) as error:
                code = f"none, {error}"
            if code != 0:
                self.wrong(f"restarted: exit {code}: {again.log()[-600:]}")
                return
        if os.path.exists(self.ledger):
            found = self.judge_root()
            if not found.is_good:
                self.wrong(str(found))

    def judge_root(self):
        return judge(self.root, self.ledger, sent_of(self.made))

    def close(self):
        self.node.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class EvictingRun(Run):
    """The same of a node that is always full of its quota and evicts: tombstones, renames to trash/, unlinking.
    An object may wait 30 s for room that does not come; only then it would hang."""
    SETTINGS = {**SETTINGS, "storage__policy": "evict", "storage__evict_min_age": "0s", "storage__quota": "1MiB"}
    HANG_S = 30 + HANG_S

    def __init__(self, *args):
        self.evictions, self.lock = Evictions(), threading.Lock()
        super().__init__(*args)

    @staticmethod
    def objects():
        return [make(f"{STUDY}.8.{i}", 120 * 1024, f"{STUDY}.{i // 4}") for i in range(16)]

    def sender(self, ledger, i):
        def noted():
            for number, made in enumerate(self.made[i::2]):
                with self.lock:
                    self.evictions.sends(f"{STUDY}.{(2 * number + i) // 4}", made.uid, made.sha256)
                yield made

        def answered(sent):
            with self.lock:
                self.evictions.answered(sent)
        sender = Sender(self.node.port, (), ledger, f"CALLS{i}", timeout=STUCK_S, on_sent=answered)
        sender.objects = noted()
        return sender

    def stop(self, is_up):
        super().stop(is_up)
        if is_up:
            self.evictions.died(self.root, self.node)

    def judge_root(self):
        kept = Kept(self.root)
        verdict = judge(self.root, self.ledger, sent_of(self.made), self.evictions.may_miss, kept)
        verdict.disagree += self.evictions.came_back(kept)
        return verdict


class FullRun(Run):
    """A disk that is full from the k-th call that takes space on, until there is room again: meanwhile
    objects are refused and C-ECHO works; then they are taken, by the same process."""

    def __init__(self, folder, case):
        self.trouble = folder + ".full"
        open(self.trouble, "w", encoding="ascii").close()
        super().__init__(folder, case, self.trouble)

    def serve(self):
        is_up = False
        try:
            self.node.start()
            is_up = True
        except AssertionError:
            pass  # full already when it started: refused with a line, see judge()
        if is_up:
            self._live_through_it()
        self.stop(is_up)
        if os.path.exists(self.trouble):
            os.unlink(self.trouble)

    def _live_through_it(self):
        first = self.send()
        if any(sender.end != "released" for sender in first):
            self.wrong(f"associations ended: {[sender.end for sender in first]}")
        if not self.echo():
            self.wrong("no C-ECHO while the disk is full")
        os.unlink(self.trouble)
        until = time.monotonic() + HEAL_S
        while time.monotonic() < until:
            again = self.send()
            if all(s.status == 0 for sender in again for s in sender.sent) and again[0].sent:
                break
            time.sleep(0.1)
        else:
            self.wrong("does not take objects again")


class Sweep:
    def __init__(self, folder, seed=None, kind=Run):
        self.folder, self.kind, self.numbers = str(folder), kind, itertools.count(1)
        self.seed = seed if seed is not None else random.SystemRandom().randrange(1 << 32)
        self.seen = Counter()
        self.count()

    def _new_folder(self):
        return os.path.join(self.folder, f"calls{next(self.numbers)}")

    def count(self):
        """A run without faults: how often each call is made."""
        run = self.kind(self._new_folder())
        run.serve()
        assert run.verdict.code == 0 and run.verdict.statuses == {0: len(run.made)}, \
            f"{run.verdict}\n{run.verdict.log}"
        with open(run.trace, encoding="utf-8", errors="replace") as lines:
            self.seen.update(line.partition("\t")[0] for line in lines)
        run.close()

    @staticmethod
    def many(name, errnum):
        return STORM if errnum == errno.EINTR or name in PASSING else FOREVER

    def cases(self, names=None):
        """Every K of every call, with every errno, once and for ever; EINTR comes in storms."""
        for name in sorted(self.seen):
            for errnum in ERRNOS.get(name, ()) if names is None or name in names else ():
                for k in range(1, self.seen[name] + 1):
                    yield Case(name, k, errnum)
                    yield Case(name, k, errnum, self.many(name, errnum))

    def sample(self, n):
        """Every name and errno has its turn, at a K of its own."""
        rng = random.Random(self.seed)
        kinds = [(name, errnum) for name in sorted(self.seen) for errnum in ERRNOS.get(name, ())]
        for name, errnum in rng.sample(kinds * (1 + n // len(kinds)), n):
            many = self.many(name, errnum)
            yield Case(name, rng.randint(1, self.seen[name]), errnum, rng.choice((1, 1, many)))

    def cases_full(self):
        for k in range(1, self.seen["space"] + 1):
            for errnum in ERRNOS["space"]:
                yield Case("space", k, errnum, FOREVER)

    def sample_full(self, n):
        return random.Random(self.seed).sample(list(self.cases_full()), n)

    def one(self, case, kind=None):
        run = (kind or self.kind)(self._new_folder(), case)
        try:
            run.serve()
            return run.judge()
        finally:
            run.close()

    def all(self, cases, workers=3, kind=None):
        """Verdicts as they come. A run mostly waits: there may be more at a time than cores."""
        with ThreadPoolExecutor(workers) as pool:
            yield from pool.map(lambda case: self.one(case, kind), cases)

    def all_full(self, cases, workers=3):
        """The same of a disk that is full until it is not."""
        return self.all(cases, workers, FullRun)
