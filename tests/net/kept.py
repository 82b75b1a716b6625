"""What a node has kept, read from its folder after it has stopped: the rows of its index (by the
tests/index_dump of the build that SLUICED is from) and the Part 10 files of its archive, and whether
the two agree.

    node.stop()
    kept = Kept(node.root)
    assert not kept.disagreements()
    data_set = kept.file(sop_instance).data_set

SPDX-License-Identifier: Apache-2.0
"""
import os
import subprocess
import sys
from dataclasses import dataclass

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import p10  # noqa: E402
from node import SLUICED  # noqa: E402

BUILD = os.path.dirname(os.path.dirname(os.path.abspath(SLUICED)))
INDEX_DUMP = os.path.join(BUILD, "tests", "index_dump")


@dataclass
class Instance:
    """A row of the index, one for each version of a UID; `path` is beneath archive/."""
    study: str
    series: str
    uid: str
    sop_class: str
    transfer_syntax: str
    seq: int
    dataset_len: int
    file_len: int
    sound: bool
    path: str
    current: bool


class Kept:
    def __init__(self, root, index_folder=None):
        self.root = root
        done = subprocess.run([INDEX_DUMP, root] + ([index_folder] if index_folder else []),
                              capture_output=True, text=True, errors="backslashreplace", timeout=300)
        assert done.returncode == 0, done.stderr + done.stdout[-400:]
        self.rows = [line.split("\t") for line in done.stdout.splitlines()]
        self.instances = [self._instance(row) for row in self.rows if row[0] == "instance"]
        self.by_uid = {i.uid: i for i in self.instances if i.current}
        self.files = sorted(os.path.relpath(os.path.join(d, f), self._archive())
                            for d, _, names in os.walk(self._archive()) for f in names)
        self.spool = sorted(os.listdir(os.path.join(root, "spool")))

    @staticmethod
    def _instance(row):
        _, study, series, uid, sop_class, syntax, seq, dataset_len, file_len, sound, _, _, path, current = row
        return Instance(study, series, uid, sop_class, syntax, int(seq), int(dataset_len),
                        int(file_len), sound == "yes", path, current == "yes")

    def _archive(self):
        return os.path.join(self.root, "archive")

    def usage(self):
        """The index' own counters, by name."""
        row = next(row for row in self.rows if row[0] == "usage")
        names = ("patients", "studies", "series", "instances", "bytes", "conflicts", "next_seq", "versions")
        return dict(zip(names, map(int, row[1:])))

    def path(self, uid):
        return os.path.join(self._archive(), self.by_uid[uid].path)

    def file(self, uid):
        """The archived file of an instance, taken apart: p10.Part10."""
        return p10.read_p10(self.path(uid))

    def disagreements(self):
        """Sentences: files that no row knows, rows without their file, sizes that differ, spool
        names that are left, counters that are wrong. An empty list is good."""
        known = {i.path: i for i in self.instances}
        out = [f"{f} is in no row" for f in self.files if f not in known]
        files = set(self.files)
        out += [f"{p} has a row and no file" for p in known if p not in files]
        for path in known.keys() & files:
            size = os.path.getsize(os.path.join(self._archive(), path))
            if size != known[path].file_len:
                out.append(f"{path}: {size} bytes, its row says {known[path].file_len}")
        out += [f"spool/{name} is left" for name in self.spool]
        if self.usage()["versions"] != len(self.instances):
            out.append(f"{len(self.instances)} rows, counted {self.usage()['versions']}")
        if self.usage()["instances"] != len(self.by_uid) or len(self.by_uid) != len({i.uid for i in self.instances}):
            out.append(f"{len(self.by_uid)} UIDs with a current version, counted {self.usage()['instances']}")
        return out
