"""What must be true of a stopped node's folder, whatever was done to it: the judge of the crash, full
disk and failing fsync tests.

The ledger ("uid sha256 status" a line) was written by the client, outside the store, after it had read
each response. judge() compares it with what is there:

    lost        acknowledged (0000 or a warning), and its bytes are in no file of its UID as they were sent
    broken      a file in archive/ whose header, length or bytes are not those of an object that was sent
    disagree    index and files do not say the same (of versions: which is current), a name is left in
                spool/, the same bytes lie there twice

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import os
import struct
from dataclasses import dataclass, field

from kept import Kept
from p10 import read_p10, uid_text

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


def read_ledger(path):
    """{uid: {sha256, ...}} of what was acknowledged."""
    acknowledged = {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            uid, sha256, status = line.split()
            if int(status, 16) == 0 or int(status, 16) & 0xF000 == 0xB000:
                acknowledged.setdefault(uid, set()).add(sha256)
    return acknowledged


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


def _wrong_versions(kept, versions):
    """Sentences: UIDs whose row says another version is current than the files, bytes kept twice."""
    for uid, files in versions.items():
        current = current_of(files)
        if uid not in kept.by_uid or kept.path(uid) != str(current.path):
            yield f"{uid}: current is {current.path.name} by its files, another by the index"
        if len({(hashlib.sha256(f.data_set).digest(), f.transfer_syntax) for f in files}) < len(files):
            yield f"{uid}: the same bytes are kept twice"


def _flaw(part10, sha256, sent):
    """Why a file is not whole, or None. sent: as sent_of() says; None = do not ask."""
    proof = part10.meta.get(PROOF, b"")
    if len(proof) != 64 or struct.unpack_from("<H", proof)[0] != 1:
        return "has no proof in its header"
    if struct.unpack_from("<Q", proof, 24)[0] != len(part10.data_set):
        return "is not as long as its header says"
    uid = uid_of(part10)
    if uid != part10.sop_instance or uid != uid_text(part10.meta.get(0x0003, b"")):
        return "does not hold the object of its name"
    if sent is not None and sha256 not in sent.get(uid, ()):
        return "holds bytes that nobody sent"
    return None


def judge(root, ledger, sent=None, may_miss=lambda uid, sha256: False, kept=None):
    """A Verdict on a stopped node's root. sent: as sent_of() says; None = any bytes may be there. may_miss:
    whether an acknowledged object need not be there. kept: the root's, where it was read already."""
    kept = kept or Kept(root)
    verdict = Verdict(disagree=kept.disagreements(), files=len(kept.files))
    found, versions = {}, {}
    for name in kept.files:
        part10 = read_p10(os.path.join(root, "archive", name))
        sha256 = hashlib.sha256(part10.data_set).hexdigest()
        flaw = _flaw(part10, sha256, sent)
        if flaw is not None:
            verdict.broken.append(f"{name} {flaw}")
        found.setdefault(uid_of(part10), set()).add(sha256)
        if len(part10.meta.get(PROOF, b"")) == 64:
            versions.setdefault(uid_of(part10), []).append(part10)
    verdict.disagree += _wrong_versions(kept, versions)
    for uid, promised in read_ledger(ledger).items():
        verdict.acknowledged += 1
        if any(not may_miss(uid, sha256) for sha256 in promised - found.get(uid, set())):
            verdict.lost.append(f"{uid} was acknowledged and is {'changed' if uid in found else 'gone'}")
    return verdict
