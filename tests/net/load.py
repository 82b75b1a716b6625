"""Made-up objects, and threads that send them: the load of the durability tests.

    objects = [make(f"1.2.3.{n}", size=512 * 1024) for n in range(100)]
    senders = send_by(4, node.port, objects, ledger)
    join(senders)
    senders[0].sent[0].status

An object follows from its UID, size and folder alone, so a checker can make it again.
SPDX-License-Identifier: Apache-2.0
"""
import functools
import hashlib
import random
import struct
import threading
from dataclasses import dataclass, field

from p10 import EXPLICIT_LE
from rawscu import VERIFICATION, Ended, RawSCU, Sent

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
CONTEXTS = [(CT_CLASS, [EXPLICIT_LE]), (VERIFICATION, [EXPLICIT_LE])]
LONG = (b"OB", b"OW", b"UN", b"SQ")


@dataclass(frozen=True)
class Made:
    uid: str
    data: bytes = field(repr=False)

    @functools.cached_property
    def sha256(self):
        return hashlib.sha256(self.data).hexdigest()


def element(group, number, vr, value):
    if isinstance(value, str):
        value = value.encode()
        value += (b"\0" if vr == b"UI" else b" ") * (len(value) & 1)
    form, gap = ("<HH2sHI", (0,)) if vr in LONG else ("<HH2sH", ())
    return struct.pack(form, group, number, vr, *gap, len(value)) + value


def make(uid, size=4096, study="1.2.826.0.1.7", series=None, seed=0):
    """A CT slice of about `size` bytes, explicit little endian. Another seed: other bytes, same UID."""
    head = element(8, 0x16, b"UI", CT_CLASS) + element(8, 0x18, b"UI", uid)
    head += element(8, 0x20, b"DA", "20260102") + element(8, 0x60, b"CS", "CT")
    head += element(0x10, 0x10, b"PN", "Load^Made Up") + element(0x10, 0x20, b"LO", "LOAD1")
    head += element(0x20, 0x0D, b"UI", study) + element(0x20, 0x0E, b"UI", series or study + ".1")
    head += element(0x20, 0x13, b"IS", "1")
    side = max(int((max(size - len(head) - 120, 2) / 2) ** 0.5), 1)
    for number, value in ((2, 1), (0x10, side), (0x11, side), (0x100, 16), (0x101, 16), (0x102, 15),
                          (0x103, 0)):
        head += element(0x28, number, b"US", struct.pack("<H", value))
    pixels = random.Random(f"{uid}/{seed}").randbytes(2 * side * side)
    return Made(uid, head + element(0x7FE0, 0x10, b"OW", pixels))


class Sender(threading.Thread):
    """One association that sends objects one after the other. .sent has a Sent for each that it got to,
    .end says how it went: "released", or why not. Every response goes into the ledger as it is read."""

    def __init__(self, port, objects, ledger=None, calling="LOAD", timeout=120, on_sent=None, **sizes):
        super().__init__(daemon=True)
        self.port, self.objects, self.ledger = port, objects, ledger
        self.calling, self.timeout, self.sizes = calling, timeout, sizes
        self.on_sent = on_sent
        self.sent, self.end = [], None

    def run(self):
        try:
            with RawSCU("127.0.0.1", self.port, "SLUICE", self.calling, self.timeout) as scu:
                scu.associate(CONTEXTS)
                for made in self.objects:
                    self._send(scu, made)
                scu.release()
                self.end = "released"
        except Ended as end:
            self.end = end.how
        except OSError as error:
            self.end = str(error)

    def _send(self, scu, made):
        response = scu.cstore(made.data, CT_CLASS, made.uid, **self.sizes)
        sent = Sent("", made.uid, made.sha256, response.status, response.comment)
        if self.ledger is not None:
            self.ledger.add(sent)
        self.sent.append(sent)
        if self.on_sent is not None:
            self.on_sent(sent)


def send_by(n, port, objects, ledger=None, **options):
    """Starts n senders and deals the objects out to them, in turn."""
    objects = list(objects)
    senders = [Sender(port, objects[i::n], ledger, f"LOAD{i}", **options) for i in range(n)]
    for sender in senders:
        sender.start()
    return senders


def join(senders, timeout=300):
    for sender in senders:
        sender.join(timeout)
        assert not sender.is_alive(), f"{sender.calling} still sends"
    return senders


def statuses(senders):
    """{status: how often}."""
    counts = {}
    for sent in (s for sender in senders for s in sender.sent):
        counts[sent.status] = counts.get(sent.status, 0) + 1
    return counts
