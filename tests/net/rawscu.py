#!/usr/bin/python3
"""A DICOM sender that makes its own PDUs, so that a test can send what no toolkit would.

RawSCU speaks the upper layer (PS3.8) and DIMSE (PS3.7) byte by byte: any contexts, any user items, any
fragment and PDU sizes, any bytes at all. send_files() and the command line send files, each in its own
transfer syntax, as they are:

    rawscu.py 127.0.0.1 11112 --aec SLUICE [--ledger FILE] FILE|FOLDER ...

prints "<status> <path> <comment>" per file; exit 0 when every status was a success or a warning.
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import hashlib
import os
import socket
import struct
import sys
from dataclasses import dataclass

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from p10 import DICOMDIR_CLASS, files_below, read_p10, uid_text  # noqa: E402

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
IMPLEMENTATION_UID = "2.25.302043790172249692526321623266752743501"
MAX_CONTEXTS = 128

RQ, AC, RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
C_STORE_RQ, C_ECHO_RQ, C_CANCEL_RQ = 0x0001, 0x0030, 0x0FFF
NO_DATA_SET = 0x0101


class Ended(Exception):
    """The association ended otherwise than we asked: .how is "closed", "timeout", "abort 2/6", ..."""

    def __init__(self, how):
        super().__init__(how)
        self.how = how


class Rejected(Ended):
    """A-ASSOCIATE-RJ: .how is "reject result/source/reason"."""


@dataclass
class Response:
    """What a command was answered with."""
    status: int
    comment: str
    command: dict  # element number -> value bytes

    @property
    def is_ok(self):
        return self.status == 0 or self.status & 0xF000 == 0xB000

    @property
    def responded_to(self):
        return us(self.command, 0x0120)


# ---- PDUs and command sets as bytes ----------------------------------------------------------------

def pdu(kind, body, length=None):
    """A PDU; `length` lies about the body."""
    return struct.pack(">BBI", kind, 0, len(body) if length is None else length) + body


def item(kind, body, length=None):
    """An item or sub-item of an association PDU."""
    return struct.pack(">BBH", kind, 0, len(body) if length is None else length) + body


def context_item(pcid, abstract_syntax, transfer_syntaxes):
    body = bytes([pcid, 0, 0, 0]) + item(0x30, abstract_syntax.encode())
    return item(0x20, body + b"".join(item(0x40, ts.encode()) for ts in transfer_syntaxes))


def associate_rq(contexts, called="ANY-SCP", calling="RAWSCU", max_pdu=16384, user_items=b"",
                 version=1, application_context=APPLICATION_CONTEXT):
    """An A-ASSOCIATE-RQ. contexts: [(pcid, abstract syntax, [transfer syntaxes])]. user_items: raw
    sub-items behind the usual two; max_pdu None leaves 51H out."""
    user = item(0x51, struct.pack(">I", max_pdu)) if max_pdu is not None else b""
    user += item(0x52, IMPLEMENTATION_UID.encode()) + user_items
    body = struct.pack(">HH16s16s32x", version, 0, called.encode().ljust(16),
                       calling.encode().ljust(16))
    body += item(0x10, application_context.encode())
    body += b"".join(context_item(*c) for c in contexts)
    return pdu(RQ, body + item(0x50, user))


def command_bytes(elements):
    """A command set from {element number: value}, group length first. An int is US, a str is padded
    with NUL (UIDs) and bytes stay as they are."""
    body = b""
    for number in sorted(elements):
        value = elements[number]
        if isinstance(value, int):
            value = struct.pack("<H", value)
        elif isinstance(value, str):
            value = value.encode()
            value += b"\0" * (len(value) & 1)
        body += struct.pack("<HHI", 0, number, len(value)) + value
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def parse_command(data):
    """{element number: value bytes} of a command set."""
    elements, at = {}, 0
    while at + 8 <= len(data):
        _, number, length = struct.unpack_from("<HHI", data, at)
        elements[number] = data[at + 8:at + 8 + length]
        at += 8 + length
    return elements


def us(elements, number, default=0):
    """An element's value as an unsigned short."""
    value = elements.get(number, b"")
    return struct.unpack("<H", value)[0] if len(value) == 2 else default


def p_data_pdus(pcid, is_command, data, pdv_size, pdu_size=None, ends=True):
    """P-DATA-TF PDUs for one command or data set. pdv_size: value bytes per fragment; pdu_size: several
    fragments share a PDU up to this length; ends=False: no fragment is marked as the last."""
    out, body = [], b""
    for at in range(0, max(len(data), 1), pdv_size):
        value = data[at:at + pdv_size]
        header = int(is_command) | (2 if ends and at + pdv_size >= len(data) else 0)
        pdv = struct.pack(">IBB", len(value) + 2, pcid, header) + value
        if body and (pdu_size is None or len(body) + len(pdv) > pdu_size):
            out.append(pdu(P_DATA, body))
            body = b""
        body += pdv
    out.append(pdu(P_DATA, body))
    return out


# ---- The association -------------------------------------------------------------------------------

class RawSCU:
    """One TCP connection and what is said on it. A context manager; leaving it closes the socket."""

    def __init__(self, host, port, called="ANY-SCP", calling="RAWSCU", timeout=30):
        self.address, self.called, self.calling = (host, port), called, calling
        self.timeout = timeout
        self.sock = None
        self.accepted = {}      # pcid -> transfer syntax
        self.results = {}       # pcid -> 0 .. 4, as answered
        self.proposed = {}      # pcid -> abstract syntax
        self.offered = {}       # pcid -> transfer syntaxes
        self.peer_max_pdu = 16384  # 0 = any
        self.associate_ac = b""  # body of the answer
        self.message_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def connect(self):
        self.sock = socket.create_connection(self.address, self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self

    def close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def send(self, data):
        """Any bytes. Ended with the peer's reason when it has hung up."""
        try:
            self.sock.sendall(data)
        except socket.timeout:
            raise Ended("timeout") from None
        except OSError:
            raise self._why_hung_up() from None

    def _why_hung_up(self):
        """What the peer said before it closed, if it said so."""
        try:
            while True:
                kind, body = self.recv_pdu()
                if kind == ABORT:
                    return Ended("abort %d/%d" % (body[2], body[3]))
        except Ended as end:
            return end

    def recv(self, n):
        """Exactly n bytes."""
        data = b""
        while len(data) < n:
            try:
                more = self.sock.recv(min(n - len(data), 1 << 20))
            except socket.timeout:
                raise Ended("timeout") from None
            except OSError:
                raise Ended("reset") from None
            if not more:
                raise Ended("closed")
            data += more
        return data

    def recv_pdu(self):
        """(type, body) of the next PDU."""
        kind, _, length = struct.unpack(">BBI", self.recv(6))
        return kind, self.recv(length)

    def associate(self, contexts, **options):
        """Proposes contexts, [(abstract syntax, [transfer syntaxes])] (odd IDs are given from 1 on) or
        [(pcid, abstract syntax, [transfer syntaxes])]; options as of associate_rq(). Returns accepted.
        Rejected, or Ended."""
        if self.sock is None:
            self.connect()
        with_ids = [c if len(c) == 3 else (2 * i + 1, *c) for i, c in enumerate(contexts)]
        self.proposed = {pcid: abstract for pcid, abstract, _ in with_ids}
        self.offered = {pcid: syntaxes for pcid, _, syntaxes in with_ids}
        options.setdefault("called", self.called)
        options.setdefault("calling", self.calling)
        self.send(associate_rq(with_ids, **options))
        kind, body = self.recv_pdu()
        if kind == RJ:
            raise Rejected("reject %d/%d/%d" % tuple(body[1:4]))
        if kind == ABORT:
            raise Ended("abort %d/%d" % tuple(body[2:4]))
        if kind != AC:
            raise Ended("PDU type %d instead of an answer" % kind)
        self._read_ac(body)
        return self.accepted

    def _read_ac(self, body):
        self.associate_ac = body
        self.accepted, self.results = {}, {}
        for kind, value in self.items(body[68:]):
            if kind == 0x21:
                self.results[value[0]] = value[2]
                if value[2] == 0:
                    self.accepted[value[0]] = uid_text(dict(self.items(value[4:])).get(0x40, b""))
            elif kind == 0x50:
                sub = dict(self.items(value)).get(0x51)
                if sub is not None:
                    self.peer_max_pdu = struct.unpack(">I", sub)[0]

    @staticmethod
    def items(data):
        """(type, value) of each item."""
        at = 0
        while at + 4 <= len(data):
            kind, _, length = struct.unpack_from(">BBH", data, at)
            yield kind, data[at + 4:at + 4 + length]
            at += 4 + length

    def user_items(self):
        """(type, value) of each user information sub-item of the A-ASSOCIATE-AC."""
        return list(self.items(dict(self.items(self.associate_ac[68:])).get(0x50, b"")))

    def _pdv_size(self, pdv_size):
        """Value bytes per fragment: even, as the peer allows."""
        if pdv_size is not None:
            return pdv_size
        most = self.peer_max_pdu or 1 << 17
        return max(min(most, 1 << 17) - 6, 2) & ~1

    def send_command(self, pcid, command, pdv_size=None, pdu_size=None):
        """A command set: a dict for command_bytes(), or its bytes."""
        data = command if isinstance(command, bytes) else command_bytes(command)
        self.send(b"".join(p_data_pdus(pcid, True, data, self._pdv_size(pdv_size), pdu_size)))

    def send_data_set(self, pcid, data, pdv_size=None, pdu_size=None, ends=True):
        size = self._pdv_size(pdv_size)
        step = max(size, (1 << 22) // size * size)  # make the PDUs of 4 MiB at a time
        for at in range(0, max(len(data), 1), step):
            is_rest = at + step >= len(data)
            pdus = p_data_pdus(pcid, False, data[at:at + step], size, pdu_size, ends and is_rest)
            self.send(b"".join(pdus))

    def recv_message(self):
        """(pcid, command elements, data set or None) of the next message."""
        parts, command = {True: b"", False: b""}, None
        while True:
            kind, body = self.recv_pdu()
            if kind == ABORT:
                raise Ended("abort %d/%d" % tuple(body[2:4]))
            if kind != P_DATA:
                raise Ended("PDU type %d instead of P-DATA" % kind)
            at = 0
            while at < len(body):
                length, pcid, header = struct.unpack_from(">IBB", body, at)
                parts[bool(header & 1)] += body[at + 6:at + 4 + length]
                at += 4 + length
                if header == 3:
                    command = parse_command(parts[True])
            if command is not None and us(command, 0x0800) == NO_DATA_SET:
                return pcid, command, None
            if command is not None and header == 2:
                return pcid, command, parts[False]

    def recv_response(self):
        _, command, _ = self.recv_message()
        comment = command.get(0x0902, b"").decode("ascii", "replace").rstrip(" \0")
        return Response(us(command, 0x0900, 0xFFFF), comment, command)

    def next_message_id(self):
        self.message_id = self.message_id % 65535 + 1
        return self.message_id

    def find_context(self, sop_class, transfer_syntax=None):
        """The accepted context for a class, or None."""
        for pcid, ts in self.accepted.items():
            if self.proposed[pcid] == sop_class and transfer_syntax in (None, ts):
                return pcid
        return None

    def store_rq(self, sop_class, sop_instance, message_id=None):
        """The elements of a C-STORE-RQ, to change before send_command()."""
        return {0x0002: sop_class, 0x0100: C_STORE_RQ, 0x0110: message_id or self.next_message_id(),
                0x0700: 0, 0x0800: 0x0001, 0x1000: sop_instance}

    def cstore(self, data, sop_class, sop_instance, transfer_syntax=None, pcid=None, **sizes):
        """Sends one object and waits for its response. sizes: pdv_size, pdu_size."""
        pcid = pcid or self.find_context(sop_class, transfer_syntax)
        self.send_store(data, sop_class, sop_instance, pcid=pcid, **sizes)
        return self.recv_response()

    def send_store(self, data, sop_class, sop_instance, message_id=None, pcid=None, **sizes):
        """Sends one object and does not wait; its Message ID."""
        pcid = pcid or self.find_context(sop_class)
        message_id = message_id or self.next_message_id()
        self.send_command(pcid, self.store_rq(sop_class, sop_instance, message_id))
        self.send_data_set(pcid, data, **sizes)
        return message_id

    def echo(self, pcid=None):
        self.send_command(pcid or self.find_context(VERIFICATION),
                          {0x0002: VERIFICATION, 0x0100: C_ECHO_RQ,
                           0x0110: self.next_message_id(), 0x0800: NO_DATA_SET})
        return self.recv_response()

    def release(self):
        """Releases and closes; Ended when the peer does not agree."""
        self.send(pdu(RELEASE_RQ, bytes(4)))
        kind, _ = self.recv_pdu()
        if kind != RELEASE_RP:
            raise Ended("PDU type %d instead of A-RELEASE-RP" % kind)
        self.close()

    def abort(self, source=0, reason=0):
        self.send(pdu(ABORT, bytes([0, 0, source, reason])))
        self.close()


# ---- Files -----------------------------------------------------------------------------------------

@dataclass
class Sent:
    """What became of one file. status None: no response; comment then says why."""
    path: str
    sop_instance: str
    sha256: str  # of the data set
    status: object
    comment: str = ""

    @property
    def is_ok(self):
        return self.status is not None and (self.status == 0 or self.status & 0xF000 == 0xB000)


@dataclass
class Plan:
    """What the command of a file will say."""
    path: object
    sop_class: str
    sop_instance: str
    transfer_syntax: str


class Ledger:
    """Appends "uid sha256 status" durably, after the response was read (FAULTS, the matrix)."""

    def __init__(self, path):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_DSYNC
        self.fd = os.open(path, flags, 0o644) if path else None

    def add(self, sent):
        if self.fd is not None and sent.status is not None:
            os.write(self.fd, b"%s %s %04X\n" % (sent.sop_instance.encode(), sent.sha256.encode(),
                                                sent.status))


def plan_file(path):
    """A file without usable UIDs gets made-up ones, so that its bytes can be sent all the same."""
    part10 = read_p10(path)
    made_up = "2.25.%d" % (int(hashlib.sha256(part10.data_set).hexdigest(), 16) >> 129)
    return Plan(path, part10.sop_class or SECONDARY_CAPTURE, part10.sop_instance or made_up,
                part10.transfer_syntax)


def _batches(plans):
    """Plans in order, cut so that each batch needs at most MAX_CONTEXTS contexts."""
    batch, contexts = [], set()
    for plan in plans:
        context = (plan.sop_class, plan.transfer_syntax)
        if len(contexts | {context}) > MAX_CONTEXTS:
            yield batch
            batch, contexts = [], set()
        batch.append(plan)
        contexts.add(context)
    if batch:
        yield batch


def _send_one(scu, plan, sizes):
    pcid = scu.find_context(plan.sop_class, plan.transfer_syntax)
    part10 = read_p10(plan.path)
    sent = Sent(str(plan.path), plan.sop_instance, hashlib.sha256(part10.data_set).hexdigest(), None)
    if pcid is None:
        asked = next(p for p in scu.proposed if (scu.proposed[p], scu.offered[p]) ==
                     (plan.sop_class, (plan.transfer_syntax,)))
        sent.comment = "context not accepted: %s" % scu.results.get(asked)
        return sent
    try:
        response = scu.cstore(part10.data_set, plan.sop_class, plan.sop_instance, pcid=pcid, **sizes)
        sent.status, sent.comment = response.status, response.comment
    except Ended as end:
        sent.comment = end.how
    return sent


def _send_batch(make_scu, batch, sizes):
    """Sends a batch; after an abort the rest goes over a new association. Yields Sent."""
    while batch:
        contexts = list(dict.fromkeys((p.sop_class, (p.transfer_syntax,)) for p in batch))
        with make_scu() as scu:
            try:
                scu.associate(contexts)
            except (Ended, OSError) as end:
                for plan in batch:
                    yield Sent(str(plan.path), plan.sop_instance, "", None, str(end))
                return
            while batch:
                sent = _send_one(scu, batch.pop(0), sizes)
                yield sent
                if sent.status is None and not sent.comment.startswith("context"):
                    break
            else:
                try:
                    scu.release()
                except Ended:
                    pass


def send_files(host, port, paths, called="ANY-SCP", calling="RAWSCU", timeout=30, ledger=None,
               dicomdirs=False, **sizes):
    """Sends files, each in its own transfer syntax, and yields Sent. DICOMDIR files are passed over
    unless asked for. sizes: pdv_size, pdu_size."""
    plans = []
    for path in files_below(paths):
        try:
            plan = plan_file(path)
        except OSError as error:
            yield Sent(str(path), "", "", None, error.strerror)
            continue
        if dicomdirs or plan.sop_class != DICOMDIR_CLASS:
            plans.append(plan)
    book = Ledger(ledger)
    for batch in _batches(plans):
        for sent in _send_batch(lambda: RawSCU(host, port, called, calling, timeout), batch, sizes):
            book.add(sent)
            yield sent


def main():
    parser = argparse.ArgumentParser(description="Sends DICOM files as they are.")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("files", nargs="+", help="files, or folders to go through")
    parser.add_argument("--aec", default="ANY-SCP", help="called AE title")
    parser.add_argument("--aet", default="RAWSCU", help="calling AE title")
    parser.add_argument("--timeout", type=float, default=30, help="seconds to wait for the peer")
    parser.add_argument("--pdv", type=int, help="value bytes per fragment")
    parser.add_argument("--pdu", type=int, help="fragments share a PDU up to this length")
    parser.add_argument("--dicomdirs", action="store_true", help="send DICOMDIR files too")
    parser.add_argument("--ledger", help="append 'uid sha256 status' to this file, O_DSYNC")
    args = parser.parse_args()
    failed = 0
    for sent in send_files(args.host, args.port, args.files, args.aec, args.aet, args.timeout,
                           args.ledger, args.dicomdirs, pdv_size=args.pdv, pdu_size=args.pdu):
        failed += not sent.is_ok
        status = "----" if sent.status is None else "%04X" % sent.status
        print(status, sent.path, sent.comment, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
