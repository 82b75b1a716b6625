"""What must be true of a stopped node's folder, whatever was done to it: the judge of the crash, full
disk and failing fsync tests.

The ledger ("uid sha256 status" a line) was written by the client, outside the store, after it had read
each response. judge() compares it with what is there:

    lost        acknowledged (0000 or a warning), and its bytes are in no file of its UID as they were sent
    broken      a file in archive/ whose header, length or bytes are not those of an object that was sent
    disagree    index and files do not say the same (of versions: which is current), a name is left in
                spool/, the same bytes lie there twice

An Oracle judges one root again and again: it reads the ledger's new lines and the files that are new or not
the ones it read before, and every file where it is asked for the whole.

SPDX-License-Identifier: Apache-2.0
"""
import dataclasses
import hashlib
import os
import struct
from dataclasses import dataclass, field

from kept import Kept
from p10 import Part10, read_p10, uid_text

PROOF = 0x0102  # (0002,0102): layout u16, reserved u16, flags u32, seq u64, arrived i64, length u64, ...


@dataclass
class Verdict:
    acknowledged: int = 0
    files: int = 0
    lost: list = field(default_factory=list)
    broken: list = field(default_factory=list)
    disagree: list = field(default_factory=list)

    @property
    def is_good(self):
        return not (self.lost or self.broken or self.disagree)

    def __str__(self):
        text = (f"{self.acknowledged} acknowledged, {len(self.lost)} lost; {self.files} files, "
                f"{len(self.broken)} not whole; {len(self.disagree)} disagreements of index and files")
        return "\n  ".join([text, *self.lost[:5], *self.broken[:5], *self.disagree[:5]])


def sent_of(objects):
    """{uid: {sha256, ...}} of all that was ever sent, for judge()."""
    sent = {}
    for made in objects:
        sent.setdefault(made.uid, set()).add(made.sha256)
    return sent


def uid_of(part10):
    """The UID a file's name says: <uid>.dcm, a later version <uid>~<seq>.dcm."""
    return part10.path.name.removesuffix(".dcm").partition("~")[0]


def current_of(versions):
    """Of the files of one UID, which is current, by what they say of themselves alone: the last one that
    took over when it came (flag 1 is not set), or the first."""
    def rank(part10):
        flags, seq = struct.unpack_from("<IQ", part10.meta[PROOF], 4)
        return (0, -seq) if flags & 2 else (1, seq)
    return max(versions, key=rank)


@dataclass
class Examined:
    """A file as it was when it was read."""
    stamp: tuple     # which file it was: inode, length, time of its last change
    part10: Part10   # without its data set
    uid: str
    sha256: str      # of the data set
    flaw: str        # why it is not whole, or None

    @property
    def proof(self):
        return self.part10.meta.get(PROOF, b"")


def _flaw(part10):
    """Why a file is not whole, or None."""
    proof = part10.meta.get(PROOF, b"")
    if len(proof) != 64 or struct.unpack_from("<H", proof)[0] != 1:
        return "has no proof in its header"
    if struct.unpack_from("<Q", proof, 24)[0] != len(part10.data_set):
        return "is not as long as its header says"
    uid = uid_of(part10)
    if uid != part10.sop_instance or uid != uid_text(part10.meta.get(0x0003, b"")):
        return "does not hold the object of its name"
    return None


def _stamp(path):
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _examine(path):
    stamp, part10 = _stamp(path), read_p10(path)
    return Examined(stamp, dataclasses.replace(part10, data_set=b""), uid_of(part10),
                    hashlib.sha256(part10.data_set).hexdigest(), _flaw(part10))


class Oracle:
    """The judge of one root and its ledger, through any number of lives."""

    def __init__(self, root, ledger):
        self.root, self.ledger, self.read_to = root, ledger, 0
        self.promised = {}  # uid: {sha256, ...} of what was acknowledged
        self.files = {}     # name beneath archive/: Examined

    def _read_ledger(self):
        with open(self.ledger, encoding="ascii") as lines:
            lines.seek(self.read_to)
            for line in lines.read().splitlines():
                uid, sha256, status = line.split()
                if int(status, 16) == 0 or int(status, 16) & 0xF000 == 0xB000:
                    self.promised.setdefault(uid, set()).add(sha256)
            self.read_to = lines.tell()

    def _read_files(self, names, is_whole):
        known, self.files = self.files, {}
        for name in names:
            path = os.path.join(self.root, "archive", name)
            seen = known.get(name)
            is_known = seen is not None and not is_whole and seen.stamp == _stamp(path)
            self.files[name] = seen if is_known else _examine(path)

    def _wrong_versions(self, kept):
        """Sentences: UIDs whose row says another version is current than the files, bytes kept twice."""
        versions = {}
        for seen in self.files.values():
            if len(seen.proof) == 64:
                versions.setdefault(seen.uid, []).append(seen)
        for uid, files in versions.items():
            current = current_of([seen.part10 for seen in files])
            if uid not in kept.by_uid or kept.path(uid) != str(current.path):
                yield f"{uid}: current is {current.path.name} by its files, another by the index"
            if len({(seen.sha256, seen.part10.transfer_syntax) for seen in files}) < len(files):
                yield f"{uid}: the same bytes are kept twice"

    def judge(self, sent=None, may_miss=lambda uid, sha256: False, kept=None, is_whole=True):
        """A Verdict on the stopped node's root, as judge() below. is_whole: every file is read, those too
        that were read before."""
        kept = kept or Kept(self.root)
        self._read_ledger()
        self._read_files(kept.files, is_whole)
        verdict = Verdict(len(self.promised), len(kept.files), disagree=kept.disagreements())
        found = {}
        for name, seen in self.files.items():
            found.setdefault(seen.uid, set()).add(seen.sha256)
            if seen.flaw is not None:
                verdict.broken.append(f"{name} {seen.flaw}")
            elif sent is not None and seen.sha256 not in sent.get(seen.uid, ()):
                verdict.broken.append(f"{name} holds bytes that nobody sent")
        verdict.disagree += self._wrong_versions(kept)
        for uid, promised in self.promised.items():
            if any(not may_miss(uid, sha256) for sha256 in promised - found.get(uid, set())):
                verdict.lost.append(f"{uid} was acknowledged and is {'changed' if uid in found else 'gone'}")
        return verdict


def judge(root, ledger, sent=None, may_miss=lambda uid, sha256: False, kept=None):
    """A Verdict on a stopped node's root. sent: as sent_of() says; None = any bytes may be there. may_miss:
    whether an acknowledged object need not be there. kept: the root's, where it was read already."""
    return Oracle(root, ledger).judge(sent, may_miss, kept)
