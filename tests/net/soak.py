"""A node that works for minutes or days: every few seconds a round of mixed senders, slices beside multi-frame
objects of gigabytes, its disk kept between the marks by eviction; and between the rounds, when nobody is
connected, a look at its memory and its descriptors. Neither may grow.

    soak = Soak(folder, large="2GiB")
    soak.run(seconds=600, say=print)
    soak.check()                        AssertionError
    print(soak)

tools/torture soak runs it. At rest the same things are open and mapped after each round, so a straight line
through what was seen after the first third says what leaks.
SPDX-License-Identifier: Apache-2.0
"""
import os
import time
from dataclasses import dataclass

from bench import Bench, at_rest, bench, descriptors, resident
from kept import Kept
from node import Node

MIX = "ct*24,mr*24,dx*2,mf:16MiB"  # of a round; a large object comes beside every tenth
SENDERS = 8
ROUND_S = 5
FLAT = 1024     # bytes an hour
SLACK = 256 << 10  # bytes that a run shorter than an hour may differ by: it has no slope worth the name
HOUR = 3600


@dataclass
class Look:
    at: float  # seconds from the start
    memory: int
    descriptors: int


def slope(looks, field):
    """Least squares, an hour."""
    n = len(looks)
    mean_at = sum(look.at for look in looks) / n
    mean = sum(getattr(look, field) for look in looks) / n
    over = sum((look.at - mean_at) * (getattr(look, field) - mean) for look in looks)
    under = sum((look.at - mean_at) ** 2 for look in looks)
    return over / under * HOUR if under > 0 else 0.0


class Soak:
    def __init__(self, folder, large="2GiB", quota="12GiB"):
        self.folder, self.large, self.quota = folder, large, quota
        self.looks, self.rounds, self.stored, self.bytes, self.seconds, self.evicted = [], 0, 0, 0, 0, "0"

    def run(self, seconds, say=lambda text: None):
        with Node(root=os.path.join(self.folder, "root"), log__heartbeat="200ms", storage__quota=self.quota,
                  storage__policy="evict", storage__evict_min_age="0s") as node:
            begun, told = time.monotonic(), 0
            while self.seconds < seconds or self.rounds < 4:
                self._round(node)
                self.seconds = time.monotonic() - begun
                self.looks.append(self._look(node))
                if self.seconds - told > 60:
                    told = self.seconds
                    say(f"{self.seconds / 60:.0f} min: {self}")
                node.lines = node.lines[-1000:]  # days of log lines are not wanted
            self.evicted = node.find("status")[-1].get("evicted", "0")
            assert node.stop() == 0, node.log()
            wrong = Kept(node.root).disagreements()
            assert not wrong, wrong[:5]

    def _look(self, node):
        """Nobody is connected, and what was evicted is unlinked."""
        at_rest(node)
        node.wait_line("status", n=len(node.find("status", assocs=0, trash="0MiB")) + 1, assocs=0, trash="0MiB")
        return Look(self.seconds, resident(node.pid)["RssAnon"], descriptors(node.pid))

    def _round(self, node):
        beside = [Bench(node, "-o", f"mf:{self.large}", "-m", 1, "--timeout", "0")] if self.rounds % 10 == 3 else []
        runs = [bench(node, "-n", SENDERS, "-o", MIX, "-e", 1 << 20, "-d", f"{ROUND_S}s", "--timeout", "0",
                      "--churn", 20)] + [large.wait() for large in beside]
        assert all(figures["failed"] == figures["unsent"] == 0 for figures in runs), [f["statuses"] for f in runs]
        self.rounds += 1
        self.stored += sum(figures["stored"] for figures in runs)
        self.bytes += sum(figures["bytes"] for figures in runs)

    @property
    def judged(self):
        """What was seen after the first third, or after the first hour."""
        return [look for look in self.looks if look.at >= min(self.seconds / 3, HOUR)]

    def check(self):
        memory, open_now = ([getattr(look, part) for look in self.judged] for part in ("memory", "descriptors"))
        assert max(open_now) == min(open_now), f"descriptors: {open_now}"
        growth = max(memory[-1] - memory[0], 0)
        flat = slope(self.judged, "memory") < FLAT if self.seconds > 2 * HOUR else growth <= SLACK
        assert flat, f"memory: {memory}"

    def __str__(self):
        looks = self.judged
        growth = f"{(looks[-1].memory - looks[0].memory) / 1024:+.0f} KiB since {looks[0].at / 60:.1f} min"
        if self.seconds > 2 * HOUR:
            growth = f"{slope(looks, 'memory') / 1024:+.2f} KiB/h"
        return (f"{self.rounds} rounds of {SENDERS} senders in {self.seconds / 60:.1f} min: {self.stored} objects, "
                f"{self.bytes / 1e9:.1f} GB, 0 failed, {self.evicted} studies evicted; at rest {looks[-1].memory / 1024:.0f} KiB, "
                f"{growth}, {looks[-1].descriptors} descriptors, "
                f"{looks[-1].descriptors - looks[0].descriptors:+d}; index and files agree")
