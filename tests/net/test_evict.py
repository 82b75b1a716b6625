"""policy = "evict": a disk that is always full and never refuses.

64 senders fill a small file system of our own (loopdisk.py) several times over: they see only 0000, the
disk stays between its marks but for what is under way, nothing young goes, and what is left at the end
is whole. Then kill -9 at calls of an eviction: no evicted study comes back, nothing else is lost.

SLUICE_EVICT_FILLINGS: how often over (2; the long profile is 10). SLUICE_EVICT_KILLS: calls tried (8).
SPDX-License-Identifier: Apache-2.0
"""
import os
import random
import threading
import time
from collections import defaultdict
from datetime import datetime

import order
from kept import Kept
from load import CT_CLASS, Made, Sender, element, join, make, statuses
from loopdisk import LoopDisk, needs_loop
from node import Node
from preload import preload

KIB, MIB = 1 << 10, 1 << 20
FILLINGS = float(os.environ.get("SLUICE_EVICT_FILLINGS", "2"))
BATCH = 16  # studies that go in one commit
KILLS = int(os.environ.get("SLUICE_EVICT_KILLS", "8"))
SENDERS, OBJECTS, SIZE = 64, 4, 192 * KIB  # objects of a study, bytes of one
DISK = 768 * MIB  # takes several times MIN_AGE_S to fill, however fast the node is
MIN_AGE_S = 1
STUDY = "1.2.826.0.1.55"
PIXELS = random.Random(55).randbytes(SIZE)


def slice_of(study, number):
    """A CT slice: its own UIDs before the pixels that all share, so that making it costs nothing."""
    uid = f"{study}.9.{number}"
    head = element(8, 0x16, b"UI", CT_CLASS) + element(8, 0x18, b"UI", uid)
    head += element(0x10, 0x10, b"PN", "Evict^Made Up") + element(0x10, 0x20, b"LO", "E1")
    head += element(0x20, 0x0D, b"UI", study) + element(0x20, 0x0E, b"UI", study + ".1")
    return Made(uid, head + element(0x7FE0, 0x10, b"OW", PIXELS))


class Crowd:
    """Senders that send whole studies, one after the other, until `total` bytes are on their way."""

    def __init__(self, port, total):
        self.left, self.number = total, 0
        self.lock = threading.Lock()
        self.begun = {}                  # study: when its last object so far was begun [s]
        self.acknowledged = defaultdict(int)
        self.senders = [self._sender(port, i) for i in range(SENDERS)]
        for sender in self.senders:
            sender.start()

    def _next_study(self):
        with self.lock:
            if self.left <= 0:
                return None
            self.left -= OBJECTS * SIZE
            self.number += 1
            return f"{STUDY}.{self.number}"

    def _objects(self):
        while (study := self._next_study()) is not None:
            for i in range(OBJECTS):
                self.begun[study] = time.time()
                yield slice_of(study, i)

    def _sender(self, port, i):
        return Sender(port, self._objects(), calling=f"EVICT{i}", on_sent=self._told)

    def _told(self, sent):
        if sent.status == 0:
            with self.lock:
                self.acknowledged[sent.sop_instance.rsplit(".", 2)[0]] += 1


class Gauge(threading.Thread):
    """Samples how full a disk is: its lowest and highest share since it first passed the high mark."""

    def __init__(self, disk, high):
        super().__init__(daemon=True)
        self.disk, self.high, self.is_over = disk, high, threading.Event()
        self.low_seen, self.high_seen, self.samples = 100.0, 0.0, 0
        self.start()

    def run(self):
        was_high = False
        while not self.is_over.wait(0.02):
            st = os.statvfs(self.disk.mount)
            used = st.f_blocks - st.f_bfree
            share = 100 * used / (used + st.f_bavail)
            self.high_seen = max(self.high_seen, share)
            was_high = was_high or share >= self.high - 3
            if was_high:
                self.samples += 1
                self.low_seen = min(self.low_seen, share)

    def stop(self):
        self.is_over.set()
        self.join()


def check_ages(node, begun):
    """No study went before its last object was evict_min_age old: by the log's clock and our own."""
    lines = node.find("evict.study")
    for line in lines:
        gone = datetime.fromisoformat(line.time).timestamp()
        assert int(line["age"][:-1]) >= MIN_AGE_S, line.text
        assert gone - begun[line["study"]] >= MIN_AGE_S - 0.002, line.text
    return lines


@needs_loop
def test_64_senders_fill_a_small_disk_over_and_over(capsys):
    with LoopDisk(str(DISK)) as disk, Node(
            root=disk.path("root"), storage__policy="evict", storage__evict_min_age=f"{MIN_AGE_S}s",
            index__map_size="64MiB", log__heartbeat="1s") as node:
        gauge = Gauge(disk, high=85)
        began = time.monotonic()
        crowd = Crowd(node.port, FILLINGS * DISK)
        join(crowd.senders, timeout=1800)
        took = time.monotonic() - began
        gauge.stop()
        assert {s.end for s in crowd.senders} == {"released"}, node.log()
        assert set(statuses(crowd.senders)) == {0}, (statuses(crowd.senders), node.log())
        assert node.stop() == 0, node.log()
        lines = check_ages(node, crowd.begun)
        evicted = {line["study"]: int(line["instances"]) for line in lines}
        assert len(evicted) == len(lines) > 0 and not node.find("evict.stuck"), node.log()
        under_way = 100 * (SENDERS + 8) * (SIZE + 64 * KIB) / DISK
        assert gauge.high_seen <= 85 + under_way, gauge.high_seen
        assert gauge.low_seen >= 75 - under_way - 100 * 2 * OBJECTS * SIZE / DISK, gauge.low_seen
        with Node(root=node.root, index__map_size="64MiB") as again:
            assert again.stop() == 0, again.log()
        kept = Kept(node.root)
        assert kept.disagreements() == []
        per_study = defaultdict(int)
        for instance in kept.instances:
            per_study[instance.study] += 1
        for study, n in crowd.acknowledged.items():  # everything acknowledged was evicted or is there
            assert evicted.get(study, 0) + per_study[study] == n, study
        for instance in kept.instances[::max(1, len(kept.instances) // 50)]:
            number = int(instance.uid.rsplit(".", 1)[1])
            assert kept.file(instance.uid).data_set == slice_of(instance.study, number).data
        with capsys.disabled():
            print(f"\n  evict: {FILLINGS:g} fillings by {SENDERS} senders in {took:.0f} s, "
                  f"{sum(crowd.acknowledged.values())} objects 0000, no other status; {len(evicted)} studies "
                  f"evicted; disk {gauge.low_seen:.1f} to {gauge.high_seen:.1f} % ({gauge.samples} samples), "
                  f"{under_way:.1f} % under way at most", end=" ")


# ---- kill -9 in an eviction -----------------------------------------------------------------------------

SMALL = {"storage__policy": "evict", "storage__evict_min_age": "0s", "storage__quota": "1MiB",
         "pool__buffer_size": "64KiB", "pool__buffers": "8", "storage__threads": 2, "index__max_delay": "0s"}


def script(n=40):
    return [make(f"{STUDY}.7.{i}", 40000, f"{STUDY}.6.{i // 2}") for i in range(n)]


def run_script(root, env, objects):
    """(the node, which has ended; what was acknowledged)."""
    node = Node(root=root, env=env, start=False, **SMALL)
    acknowledged = []
    try:
        node.start()
        sender = Sender(node.port, objects, on_sent=lambda s: s.status == 0 and acknowledged.append(s))
        sender.start()
        join([sender])
        node.stop()
    except AssertionError:
        node.wait()
    return node, [s.sop_instance for s in acknowledged]


def age(study):
    """Its place in the order of arrival."""
    return int(study.rpartition(".")[2])


def judge(root, node, acknowledged, objects):
    study_of = {made.uid: f"{STUDY}.6.{i // 2}" for i, made in enumerate(objects)}
    with Node(root=root, **{**SMALL, "storage__policy": "refuse"}) as again:
        until = time.monotonic() + 30
        while os.listdir(os.path.join(root, "trash")) and time.monotonic() < until:
            time.sleep(0.01)
        assert again.stop() == 0, again.log()
    kept = Kept(root)
    assert kept.disagreements() == [] and os.listdir(os.path.join(root, "trash")) == []
    evicted = [line["study"] for line in node.find("evict.study")]
    here = {i.uid for i in kept.instances}
    # The log line follows the commit: what it names is gone, but for what came after it.
    last_known = {study: max(i for i, made in enumerate(objects) if study_of[made.uid] == study)
                  for study in set(study_of.values())}
    lost = [uid for uid in acknowledged if uid not in here and study_of[uid] not in evicted]
    # One commit was too young for its lines; the studies in it were the oldest.
    unsaid = {study_of[uid] for uid in lost}
    assert len(unsaid) <= BATCH, lost
    assert all(study not in unsaid and age(study) > max(map(age, unsaid), default=-1)
               for study in {i.study for i in kept.instances} - set(evicted)), (lost, evicted)
    back = {i.study for i in kept.instances} & set(evicted)
    for study in back:
        assert last_known[study] >= len(acknowledged) - 3, (study, "is back")
    return kept


def test_killed_at_calls_of_an_eviction(tmp_path, capsys):
    objects = script()
    trace = str(tmp_path / "trace")
    node, acknowledged = run_script(str(tmp_path / "counted"), preload(trace=trace), objects)
    assert len(acknowledged) == len(objects) and node.find("evict.study"), node.log()
    judge(str(tmp_path / "counted"), node, acknowledged, objects)
    calls = [c for c in order.read_trace(trace) if not c.path.startswith("socket:")]
    first = len(calls) // 2  # by then the quota is passed
    seed = random.SystemRandom().randrange(1 << 32)
    died = 0
    for k in sorted(random.Random(seed).sample(range(first, len(calls) - 3), KILLS)):
        root = str(tmp_path / f"at{k}")
        node, acknowledged = run_script(root, preload(kill=k), objects)
        died += node.process.returncode == -9
        try:
            judge(root, node, acknowledged, objects)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, call {k} of {len(calls)}: {error}") from error
    with capsys.disabled():
        print(f"\n  evict: killed at {KILLS} of {len(calls) - first} calls (seed {seed}), {died} deaths: nothing "
              "lost but what was evicted, nothing back", end=" ")
    assert died >= KILLS // 2
