"""What an evicting node took away by itself, and when, as far as a crash leaves it to be known; and what of
that may be missing, or must be.

    evictions = Evictions()
    evictions.sends(study, uid, sha256)      before an object is sent; .answered(...) after its response
    evictions.died(root, node)               a node was killed: what it had announced and what it had begun
    judge(root, ledger, sent, may_miss=evictions.may_miss)
    evictions.came_back(kept)                sentences

One thread at a time. Times are those of this machine's clock, as in the log's lines.
SPDX-License-Identifier: Apache-2.0
"""
import os
import subprocess
import time
from collections import defaultdict
from datetime import datetime

from kept import INDEX_DUMP

NEVER = float("inf")
BLUR_S = 0.002  # the log's times are whole milliseconds


class Evictions:
    def __init__(self):
        self.gone = {}                # study: when its last eviction was announced, at the latest
        self.not_sure = set()         # studies whose eviction may have been undone with a lost index
        self.asked = {}               # (uid, sha256): when it was last sent before a success
        self.open = defaultdict(int)  # study: objects sent and not answered
        self.last = {}                # study: when its last object was answered, or could be no more
        self.study_of, self.begun = {}, {}

    def sends(self, study, uid, sha256):
        self.open[study] += 1
        self.study_of[uid, sha256] = study
        self.begun[uid, sha256] = time.time()

    def answered(self, sent):
        key = sent.sop_instance, sent.sha256
        study = self.study_of[key]
        self.open[study] -= 1
        self.last[study] = time.time()
        if sent.status == 0:
            self.asked[key] = self.begun[key]

    def lives_on(self, node):
        """What a node has said so far, at the end of its life."""
        for line in node.find("evict.study"):
            self._went(line["study"], datetime.fromisoformat(line.time).timestamp())

    def died(self, root, node, loses_index=False):
        """After a kill, before the next start. loses_index: it goes too, and with it what only it knew."""
        now = time.time()
        for study, n in self.open.items():
            if n > 0:
                self.last[study] = now
        self.open.clear()
        self.lives_on(node)
        noted = set(self._journal(root))
        for study in noted:
            if study not in self.gone or self.last.get(study, 0) > self.gone[study]:
                self._went(study, now, is_sure=False)  # at some time of that life, or an earlier one
        for study in set(self._tombstones(root)) - noted:
            self._went(study, now, is_sure=not loses_index)

    def _went(self, study, when, is_sure=True):
        self.gone[study] = max(when, self.gone.get(study, 0))
        (self.not_sure.discard if is_sure else self.not_sure.add)(study)

    @staticmethod
    def _tombstones(root):
        done = subprocess.run([INDEX_DUMP, root], capture_output=True, text=True, errors="backslashreplace",
                              timeout=300)
        rows = (line.split("\t") for line in done.stdout.splitlines())
        return [row[2] for row in rows if row[0] == "tombstone"]

    @staticmethod
    def _journal(root):
        path = os.path.join(root, "journal", "ops")
        with open(path, encoding="ascii", errors="replace") if os.path.exists(path) else open(os.devnull) as ops:
            words = [line.split() for line in ops]
        return [word.partition(":")[0] for line in words if line[1:2] == ["gone-studies"] for word in line[2:]]

    def may_miss(self, uid, sha256):
        """Whether an acknowledged object need not be there: its study went after it was sent."""
        gone = self.gone.get(self.study_of.get((uid, sha256)))
        return gone is not None and self.asked.get((uid, sha256), 0) <= gone + BLUR_S

    def came_back(self, kept):
        """Studies that went for sure after the last of them was answered, and are there."""
        here = {i.study for i in kept.instances}
        for study, when in self.gone.items():
            if study in here and study not in self.not_sure and self.last.get(study, NEVER) < when - BLUR_S:
                yield f"{study} was evicted and is back"
