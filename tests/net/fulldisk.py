"""A resource that runs out after K more units, for K from 1 on: blocks and inodes of a file system of our own
(loopdisk.py), the quota, the pages of the index' map. At each K: a script of small objects and a streamed one is
answered with 0000 or A700 and nothing else, every association lives to its release, C-ECHO works, and with room
again objects are taken; in the end everything that was acknowledged is there.

    for told in blocks(folder, steps=40, say=print): ...
    Told: what ran out, at how many K objects were refused, how long it took to heal

calls.py fails the calls instead, each write and errno in its turn (EDQUOT too: few kernels here have quotas).
SPDX-License-Identifier: Apache-2.0
"""
import os
import time
from collections import Counter
from dataclasses import dataclass, field

import order
from load import CONTEXTS, CT_CLASS, Made, Sender, element, make
from loopdisk import LoopDisk
from node import Node
from oracle import judge, sent_of
from preload import preload
from rawscu import Ledger, RawSCU

STUDY = "1.2.826.0.1.55"
REFUSED = 0xA700
HEAL_S = 30  # the limit; what it took is told
MIB = 1 << 20
SETTINGS = {"pool__buffer_size": "64KiB", "pool__buffers": 8, "dicom__max_associations": 8, "index__max_delay": "5ms"}


@dataclass
class Told:
    what: str
    steps: int = 0
    refused_at: int = 0      # K at which something was refused
    statuses: Counter = field(default_factory=Counter)
    heal_s: float = 0        # the longest
    met: Counter = field(default_factory=Counter)  # calls that the kernel refused

    def __str__(self):
        met = f", refused by the kernel: {dict(sorted(self.met.items()))}" if self.met else ""
        return (f"{self.what}: {self.steps} steps, refused at {self.refused_at} of them; 0000 {self.statuses[0]} times, "
                f"A700 {self.statuses[REFUSED]} times{met}; accepted again after {self.heal_s:.2f} s at most")


class Senders:
    """What is sent, and the ledger of it."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "ledger")
        self.ledger, self.made = Ledger(self.path), []

    def next(self, size=900):
        n = len(self.made)
        self.made.append(make(f"{STUDY}.8.{n}", size, f"{STUDY}.{n // 40}"))
        return self.made[-1]

    def script(self):
        return [self.next(200 * 1024 if i == 2 else 900) for i in range(6)]

    def send(self, port, objects, told):
        """The statuses; only 0000 and A700 are right, and the association lives."""
        sender = Sender(port, objects, self.ledger, "FULLAT")
        sender.run()
        counts = Counter(sent.status for sent in sender.sent)
        assert sender.end == "released" and counts.keys() <= {0, REFUSED}, f"{sender.end}: {counts}"
        told.statuses.update(counts)
        return counts

    def insist(self, port, told, following=None):
        """Until one is taken."""
        begun = time.monotonic()
        while self.send(port, [(following or self.next)()], told)[REFUSED] > 0:
            assert time.monotonic() - begun < HEAL_S, "does not take objects again"
            time.sleep(0.02)
        told.heal_s = max(told.heal_s, time.monotonic() - begun)

    def judge(self, root, **settings):
        with Node(root=root, **{**SETTINGS, **settings}) as node:
            assert node.stop() == 0, node.log()
        verdict = judge(root, self.path, sent_of(self.made))
        assert verdict.is_good, verdict


def echo(port):
    with RawSCU("127.0.0.1", port) as scu:
        scu.associate(CONTEXTS)
        assert scu.echo().status == 0


# ---- a file system ------------------------------------------------------------------------------------------

def leave_blocks(disk, k):
    """So many blocks of 4 KiB are left. Returns what has to go for room."""
    return [disk.ballast("ballast", max(disk.available() - 4096 * k, 0))]


def leave_inodes(disk, k):
    paths = []
    while os.statvfs(disk.mount).f_favail > k:
        paths.append(disk.path(f"foreign{len(paths)}"))
        open(paths[-1], "x", encoding="ascii").close()
    return paths


def on_a_disk(what, folder, leave, steps, *mkfs, say=lambda text: None):
    """One node through all steps: somebody else takes the rest of the disk, and gives it back."""
    told, senders, trace = Told(what), Senders(folder), os.path.join(folder, "trace")
    with LoopDisk("128M", *mkfs) as disk:
        # The marks are low, so that the kernel refuses before the node does.
        with Node(root=disk.path("root"), env=preload(trace=trace), storage__high_watermark="free 128KiB",
                  storage__full_watermark="free 64KiB", storage__low_watermark="free 256KiB", **SETTINGS) as node:
            for k in range(1, steps + 1):
                taken = leave(disk, k)
                told.refused_at += senders.send(node.port, senders.script(), told)[REFUSED] > 0
                echo(node.port)
                for path in taken:
                    os.unlink(path)
                senders.insist(node.port, told)
                told.steps = k
                if k % 10 == 0:
                    say(str(told))
            assert node.stop() == 0, node.log()
        told.met.update(call.name for call in order.read_trace(trace) if call.errno == 28)
        senders.judge(disk.path("root"))
    os.unlink(trace)
    return told


def blocks(folder, steps, say=lambda text: None):
    return on_a_disk("blocks", folder, leave_blocks, steps, say=say)


def inodes(folder, steps, say=lambda text: None):
    return on_a_disk("inodes", folder, leave_inodes, min(steps, 24), "-N", "2048", say=say)


# ---- a setting ----------------------------------------------------------------------------------------------

def fat(senders):
    """Long values, the first of its patient, study and series: pages of index."""
    n = len(senders.made)
    study = f"{STUDY}.9.{n}"
    data = element(8, 0x16, b"UI", CT_CLASS) + element(8, 0x18, b"UI", f"{STUDY}.7.{n}")
    for group, tag, vr, length in ((8, 0x70, b"LO", 64), (8, 0x80, b"LO", 64), (0x10, 0x10, b"PN", 250),
                                   (0x10, 0x20, b"LO", 64), (0x10, 0x21, b"LO", 64)):
        data += element(group, tag, vr, f"{n}".ljust(length, "x"))
    senders.made.append(Made(f"{STUDY}.7.{n}", data + element(0x20, 0x0D, b"UI", study) +
                             element(0x20, 0x0E, b"UI", study + ".1")))
    return senders.made[-1]


def until_refused(senders, port, told, following, most=4000):
    """One after the other."""
    for _ in range(most):
        if senders.send(port, [following() for _ in range(4)], told)[REFUSED] > 0:
            return
    raise AssertionError(f"{most} times nothing was refused")


def by_a_setting(what, folder, key, begin, unit, steps, following, senders, say):
    """The node is started with K units more than it has used up, sends until it is refused, lives, and takes
    objects with a larger limit."""
    told, root = Told(what), os.path.join(folder, what)
    for k in range(1, steps + 1):
        with Node(root=root, storage__durability="none", **SETTINGS, **{key: begin + unit * k}) as node:
            until_refused(senders, node.port, told, following)
            told.refused_at += 1
            echo(node.port)
            assert node.stop() == 0, node.log()
        told.steps = k
        if k % 10 == 0:
            say(str(told))
    with Node(root=root, storage__durability="none", **SETTINGS, **{key: begin + unit * steps + 64 * MIB}) as node:
        senders.insist(node.port, told, following)
        assert node.stop() == 0, node.log()
    senders.judge(root)
    return told


def quota(folder, steps, say=lambda text: None):
    senders = Senders(folder)
    return by_a_setting("quota", folder, "storage__quota", 8 * MIB, 64 * 1024, steps, lambda: senders.next(30_000),
                        senders, say)


def index_map(folder, steps, say=lambda text: None):
    senders = Senders(folder)
    return by_a_setting("map", folder, "index__map_size", 16 * MIB, 4096, steps, lambda: fat(senders), senders, say)
