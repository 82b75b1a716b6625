"""Power cuts: a daemon's run is recorded with every byte it wrote (tests/support/record_preload.c), and
build/tests/power replays it, cut at thousands of moments, each time with another choice of what the disk
had taken of what was not synced; the storage recovers from each in process and is judged by what the
senders were told.

    recording = Recording(folder, seed)     a daemon under load: stores, re-sends, versions, evictions,
                                            large objects, kill -9, recovery, rebuilds, one cut short
    result = recording.cut(states=500)      Cut: .states, .bad, .lines

tools/torture power does it at length, test_power.py a little.
SPDX-License-Identifier: Apache-2.0
"""
import copy
import json
import os
import random
import shutil
import struct
import subprocess
import tempfile
from collections import defaultdict
from dataclasses import dataclass

from kept import BUILD
from load import Sender, join, make
from node import Node
from order import answers_in
from preload import sanitizer_options
from rebuilt import wait_unlocked

RECORDER = os.path.join(BUILD, "tests", "record_preload.so")
POWER = os.path.join(BUILD, "tests", "power")
FAST = "/dev/shm"  # where states are built; any folder does, this one is memory
STUDY = "1.2.826.0.1.99"
SENDERS = 5
SETTINGS = {"storage__policy": "evict", "storage__evict_min_age": "0s", "storage__quota": "1MiB",
            "pool__buffer_size": "64KiB", "pool__buffers": "8", "storage__threads": 3,
            "index__map_size": "64MiB", "index__checkpoint": "0s", "index__max_delay": "3ms", "index__batch": "6"}
HEAD = struct.Struct("<IHBBQQQQqHHHHII")  # struct record
RESULT_AT = 40  # of an end record's result, in it
CREATE, TMPFILE, MKDIR, LINK, UNLINK, RENAME, WRITE, RESIZE, SYNC, SYNCFS, SEND = range(11)


def fast_folder(prefix="sluice-power-"):
    """A new folder in memory, where there is such a thing."""
    return tempfile.mkdtemp(prefix=prefix, dir=FAST if os.access(FAST, os.W_OK) else None)


# ---- the log --------------------------------------------------------------------------------------------

@dataclass
class Record:
    at: int  # where it lies in the log [bytes]
    position: int
    kind: int
    is_end: bool
    is_dsync: bool
    call: int
    inode: int
    folder: int
    to_folder: int
    result: int  # of an end
    port: int
    name: str
    data: bytes


def read_log(path):
    with open(path, "rb") as file:
        log = file.read()
    at, records = 0, []
    while at + HEAD.size <= len(log):
        (length, kind, is_end, is_dsync, call, inode, folder, to_folder, offset, name_len, to_len, port, _,
         data_len, _) = HEAD.unpack_from(log, at)
        if at + length > len(log):
            break  # cut by the kill
        name = log[at + HEAD.size:at + HEAD.size + name_len].decode()
        data_at = at + HEAD.size + name_len + to_len
        data = log[data_at:data_at + data_len] if kind == SEND else b""
        records.append(Record(at, len(records), kind, bool(is_end), bool(is_dsync), call, inode, folder,
                              to_folder, offset, port, name, data))
        at += length
    return records


def answers(records):
    """{(process, port of the peer): [(asked, told, status)]} of C-STORE-RSPs, in order: positions, asked
    being that of what the peer was told before."""
    sent = {r.call: r.result for r in records if r.kind == SEND and r.is_end}
    streams = defaultdict(list)
    for r in records:
        if r.kind == SEND and not r.is_end and sent.get(r.call, -1) > 0:
            streams[r.call >> 32, r.port].append((r.position, r.data[:sent[r.call]]))
    told = {}
    for peer, writes in streams.items():
        asked, told[peer] = writes[0][0], []
        for a in answers_in(writes):
            told[peer].append((asked, a.begin, a.status))
            asked = a.begin
    return told


def evictions(records, trash):
    """[(the commit began, the rename began, study)] of each study that went to trash/."""
    good = {r.call for r in records if r.is_end and r.result == 0}
    commit = 0
    for r in records:
        if r.is_end:
            continue
        if r.kind == WRITE and r.is_dsync:
            commit = r.position
        elif r.kind == RENAME and r.to_folder == trash and r.call in good:
            yield commit, r.position, r.name


# ---- the load -------------------------------------------------------------------------------------------

class Told(Sender):
    """A sender that remembers whom it spoke to from which port, and what it asked for, in order."""

    def __init__(self, node, *args, **options):
        super().__init__(node.port, *args, **options)
        self.process, self.own_port, self.asked = node.pid, None, []

    def _send(self, scu, made):
        self.own_port = scu.sock.getsockname()[1]
        self.asked.append(made)
        super()._send(scu, made)


class Load:
    """Objects for the senders of one recording. .objects: each once, by content; .chains: versions of one
    UID in the order in which one sender sends them."""

    def __init__(self, rng):
        self.random, self.number = rng, 0
        self.objects, self.studies, self.chains = {}, {}, []

    def _make(self, uid, size, study, seed=0):
        made = make(uid, size, study, f"{study}.{self.random.randrange(1, 3)}", seed=seed)
        self.objects.setdefault((uid, made.sha256), made)
        self.studies[(uid, made.sha256)] = study
        return made

    def _new(self):
        self.number += 1
        size = 150_000 if self.random.random() < 0.08 else self.random.randrange(700, 45_000)
        study = f"{STUDY}.{self.number // 5}"
        return self._make(f"{STUDY}.7.{self.number}", size, study), study

    def for_sender(self, n):
        """About n objects: new ones, some again, some changed and changed again."""
        out, plain = [], []
        while len(out) < n:
            dice = self.random.random()
            if plain and dice < 0.15:
                out.append(self.random.choice(plain))
            elif plain and dice < 0.25:
                made, study = self._new()
                chain = [made] + [self._make(made.uid, self.random.randrange(700, 20_000), study, seed=v)
                                  for v in range(1, self.random.randrange(2, 4))]
                self.chains.append(chain)
                out += chain
            else:
                made, study = self._new()
                plain.append(made)
                out.append(made)
        return out

    def races(self, lists):
        """The same UIDs from several senders at once, with the same bytes and with others."""
        for i in range(3):
            made, study = self._new()
            for k, objects in enumerate(lists):
                again = made if self.random.random() < 0.4 else self._make(made.uid, 900 + k, study, seed=k)
                objects.insert(self.random.randrange(len(objects)), again)
        return lists


# ---- a recording ----------------------------------------------------------------------------------------

@dataclass
class Cut:
    """What became of the states of a recording."""
    states: int = 0
    distinct: int = 0
    bad: int = 0
    seconds: float = 0
    lines: tuple = ()

    def add(self, other):
        self.states, self.distinct = self.states + other.states, self.distinct + other.distinct
        self.bad, self.seconds = self.bad + other.bad, self.seconds + other.seconds
        self.lines = (*self.lines, *other.lines)


class Recording:
    def __init__(self, folder, seed, kill=None, **settings):
        """kill: the call at which the first life ends; None = any."""
        self.folder, self.seed = str(folder), seed
        self.random = random.Random(seed)
        self.root, self.log = (os.path.join(self.folder, name) for name in ("recorded", "log"))
        self.plan = os.path.join(self.folder, "plan")
        os.makedirs(self.root)
        self.inode = os.stat(self.root).st_ino
        self.policy = self.random.choice(("latest", "first"))
        self.settings = {**SETTINGS, "storage__duplicates": self.policy, **settings}
        self.load, self.senders, self.rebuilds_killed = Load(self.random), [], 0
        self._live(kill)
        self._write_plan()
        shutil.rmtree(self.root)

    def _live(self, kill):
        """The whole mix."""
        self._run(9, kill=kill or self.random.randrange(150, 700))
        if self.random.random() < 0.5:
            self._rebuild_cut_short()
        self._run(6)
        if self.random.random() < 0.6:
            self._lose_index()
            if self.random.random() < 0.5:
                self._rebuild_cut_short()
            self._run(4)

    def _env(self, kill=None):
        env = {**sanitizer_options(), "LD_PRELOAD": RECORDER, "SLUICE_RECORD": self.log,
               "SLUICE_RECORD_ROOT": self.root, "SLUICE_RECORD_SLOW": "1000"}
        return {**env, "SLUICE_RECORD_KILL": str(kill)} if kill else env

    def _lists(self, n):
        """What each sender of one life sends."""
        return self.load.races([self.load.for_sender(n) for _ in range(SENDERS)])

    def _run(self, n, kill=None):
        """A node's life: senders with about n objects each; it dies at a call, or is stopped."""
        node = Node(root=self.root, start=False, env=self._env(kill), **self.settings)
        try:
            try:
                node.start()
            except AssertionError:
                assert kill and node.wait() == -9, node.log()
                return
            lists = self._lists(n)
            senders = [Told(node, objects, calling=f"POWER{i}") for i, objects in enumerate(lists)]
            for sender in senders:
                sender.start()
            self.senders += join(senders)
            assert node.stop() in ((0, -9) if kill else (0,)), node.log()
        finally:
            node.close()

    def _lose_index(self):
        """The operator's rm, recorded too."""
        env = {**os.environ, **self._env()}
        subprocess.run(["rm", "-r", os.path.join(self.root, "index")], env=env, check=True)
        subprocess.run(["sync", "-f", self.root], env=env, check=True)

    def _rebuild_cut_short(self):
        """The operator's --rebuild-index, killed at a call, perhaps at another one too; then to its end."""
        self._rebuild(*(self.random.randrange(2, 60) for _ in range(self.random.randrange(1, 3))))

    def _rebuild(self, *kills):
        for kill in (*kills, None):
            node = Node(root=self.root, start=False, **self.settings)
            done = subprocess.run([*node.command(), "--rebuild-index"], env={**os.environ, **self._env(kill)},
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert done.returncode in (0, -9) if kill else done.returncode == 0, done.stdout
            wait_unlocked(self.root)
            self.rebuilds_killed += done.returncode == -9

    def _write_plan(self):
        records = read_log(self.log)
        told = answers(records)
        self.folders = {name: os.stat(os.path.join(self.root, name)).st_ino
                        for name in ("spool", "archive", "trash", "index")}
        trash = self.folders["trash"]
        number = {}
        with open(self.plan, "w", encoding="ascii") as plan:
            print("root", self.inode, file=plan)
            print("policy", self.policy, file=plan)
            for key, made in self.load.objects.items():
                number[key] = len(number)
                path = os.path.join(self.folder, f"sent{number[key]}")
                with open(path, "wb") as file:
                    file.write(made.data)
                print("object", number[key], made.uid, self.load.studies[key], path, file=plan)
            self.acknowledged = self._write_acks(plan, told, number)
            self._write_unanswered(plan, records, told, number)
            self.evicted = 0
            for commit, rename, study in evictions(records, trash):
                self.evicted += 1
                print("gone", commit, rename, study, file=plan)
            for chain in self.load.chains:
                print("chain", chain[0].uid, *(number[m.uid, m.sha256] for m in chain), file=plan)
        self.positions = len(records)

    def _write_acks(self, plan, told, number):
        acknowledged = 0
        for sender in self.senders:
            for made, (asked, position, status) in zip(sender.asked, told.get((sender.process, sender.own_port), ())):
                if status == 0:
                    print("ack", asked, position, number[made.uid, made.sha256], file=plan)
                    acknowledged += 1
        assert acknowledged >= sum(s.status == 0 for sender in self.senders for s in sender.sent)
        return acknowledged

    def _write_unanswered(self, plan, records, told, number):
        """What was under way when a process ended: it may be there, also of a study that had been evicted."""
        last = {r.call >> 32: r.position for r in records}
        for sender in self.senders:
            for made in sender.asked[len(told.get((sender.process, sender.own_port), ())):]:
                print("sent", last.get(sender.process, 0), number[made.uid, made.sha256], file=plan)

    def pretend(self, what):
        """The same run, as if these calls had failed unnoticed: a Recording beside this one. what(record,
        made): true for the first record of such a call; made: {inode: the record that made it}."""
        other = copy.copy(self)
        other.log = self.log + ".pretended"
        shutil.copy(self.log, other.log)
        records, made, chosen = read_log(self.log), {}, set()
        begun = {r.call: r for r in records if not r.is_end}
        with open(other.log, "r+b") as log:
            for r in records:
                if r.is_end and r.inode:
                    made[r.inode] = begun[r.call]
                if not r.is_end and what(r, made):
                    chosen.add(r.call)
                elif r.is_end and r.call in chosen:
                    log.seek(r.at + RESULT_AT)
                    log.write(struct.pack("<q", -1))
        assert chosen, "no such call"
        return other

    def cut(self, states, jobs=1, seed=None):
        """Cuts the power in that many ways; the storage of the build under test recovers from each."""
        command = [POWER, self.log, self.plan, os.path.join(self.folder, "work"), "--states", str(states),
                   "--seed", str(self.seed if seed is None else seed), "--jobs", str(jobs)]
        os.makedirs(os.path.join(self.folder, "work"), exist_ok=True)
        done = subprocess.run(command, capture_output=True, text=True, errors="backslashreplace")
        lines = done.stdout.splitlines()
        assert done.returncode in (0, 1) and lines, f"{' '.join(command)}: {done.returncode}\n{done.stderr}"
        figures = json.loads(lines[-1])
        bad = tuple(line for line in lines if line.startswith("BAD"))
        assert (done.returncode == 1) == bool(bad), done.stdout
        return Cut(figures["states"], figures["distinct"], len(bad), figures["seconds"], bad)

    def __str__(self):
        return (f"seed {self.seed}, {self.policy}: {self.positions} moments, {self.acknowledged} acknowledged, "
                f"{self.evicted} studies evicted, {len(self.load.chains)} chains of versions, "
                f"{self.rebuilds_killed} rebuilds killed")
