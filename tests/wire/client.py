"""A client block of a wire script: one thread, one connection at a time, verbs in order.

    connect [rcvbuf=4096] [proxy]       without it the first send connects
    send MESSAGE [cut=N] [at=N] [split=N] [drip] [length=] [times=N]      (messages.py)
    send together [...]                 the indented messages as one piece
    expect HAPPENING [key=value ...] [or HAPPENING ...]
    drain                               reads until the node has closed
    barrier NAME                        waits for the others that name it
    stall                               says and reads nothing until all others are done or stalled
    close | half-close | reset | vanish half-open ends: FIN, FIN of ours only, RST, no word at all
    node ... | expect node ...          (stage.py)
    for X in ... | repeat N             and indented verbs

What may happen: ac, rj (result= source= reason=), abort (source= reason=), rsp (status= id= field=
comment= pcid=), release, close; `end` is any of rj, abort, close. Values are patterns: status=C0*.
`expect answers same`: all bytes since the connection began are those of the first time round.
SPDX-License-Identifier: Apache-2.0
"""
import fcntl
import fnmatch
import socket
import struct
import termios
import threading

import rawscu
from dataset import number
from node import WAIT_S
from rawscu import Ended, RawSCU

TCP_REPAIR = 19
END = ("rj", "abort", "close")
DRIP_S = 0.05  # between two bytes of a dripping sender; a pace, nothing waits for it


class Peer(RawSCU):
    """A RawSCU that remembers every byte it was told."""
    heard = b""

    def recv(self, n):
        data = super().recv(n)
        self.heard += data
        return data

    def send(self, data):
        """A node that has hung up already is no fault: the script says what it expects."""
        try:
            self.sock.sendall(data)
        except OSError:
            pass


class Group:
    """Clients that run at the same time: their barriers, and who of them is stalling."""

    def __init__(self, steps):
        self.active, self.moved, self.barriers = 0, threading.Condition(), {}
        for step, times in steps:
            self.active += times
            for name in {s.words[1] for s in step.walk() if s.verb == "barrier"}:
                self.barriers[name] = self.barriers.get(name, 0) + times
        self.barriers = {name: threading.Barrier(n) for name, n in self.barriers.items()}

    def leave(self):
        with self.moved:
            self.active -= 1
            self.moved.notify_all()

    def stall(self):
        self.leave()
        with self.moved:
            assert self.moved.wait_for(lambda: self.active == 0, 10 * WAIT_S), "the others are not done"

    def give_up(self):
        for barrier in self.barriers.values():
            barrier.abort()


class Client(threading.Thread):
    """Runs a client block. .error is what went wrong, or None."""

    def __init__(self, play, step, number_, variables, group):
        super().__init__(daemon=True)
        self.play, self.step, self.group = play, step, group
        self.variables = dict(variables, me=variables["me"] + (f"-{number_}" if number_ else ""), n=str(number_))
        self.peer, self.error, self.is_stalled = None, None, False
        self.offered, self.first_answers = [], None
        self.max_pdu = 0  # the longest P-DATA we said we take

    def run(self):
        try:
            self.play.perform(self.step.body, self.variables, self)
        except Exception as error:  # told by the runner
            self.error = error
            self.group.give_up()
        finally:
            self.hang_up()
            if not self.is_stalled:
                self.group.leave()

    # ---- verbs -----------------------------------------------------------------------------------

    def do(self, step, words):
        """One verb with its variables filled in."""
        verb = getattr(self, "_" + words[0].replace("-", "_"), None)
        if words[0] in ("node", "proxy") or words[:2] == ["expect", "node"]:
            self.play.stage_do(step, words, self.variables)
        elif verb is None or words[0] not in ("connect", "send", "expect", "drain", "barrier", "stall",
                                              "close", "half-close", "reset", "vanish"):
            if words[0] == "expect" or not self.play.stage_do(step, words, self.variables):
                raise step.wrong("no such verb")
        else:
            verb(step, words)

    def _connect(self, _, words):
        self.hang_up()
        options = dict(w.split("=", 1) for w in words[1:] if "=" in w)
        sock = socket.socket()
        sock.settimeout(WAIT_S)
        if "rcvbuf" in options:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, number(options["rcvbuf"]))
        if "from" in options:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((options["from"], 0))
        sock.connect(("127.0.0.1", self.play.port("proxy" in words)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peer = Peer("127.0.0.1", 0)
        self.peer.sock, self.offered = sock, []

    def hang_up(self):
        if self.peer is not None:
            self.peer.close()
        self.peer = None

    def _close(self, *_):
        self.hang_up()

    def _half_close(self, *_):
        self.peer.sock.shutdown(socket.SHUT_WR)

    def _reset(self, *_):
        self.peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.hang_up()

    def _vanish(self, *_):
        """No FIN, no RST: as a cable that was pulled. Needs CAP_NET_ADMIN."""
        try:
            self.peer.sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        except PermissionError:
            raise self.play.not_run("a connection that vanishes needs CAP_NET_ADMIN") from None
        self.hang_up()

    def _barrier(self, _, words):
        self.group.barriers[words[1]].wait(WAIT_S)

    def _stall(self, *_):
        self.is_stalled = True
        self.group.stall()

    # ---- sending ---------------------------------------------------------------------------------

    def _send(self, step, words):
        if self.peer is None:
            self._connect(step, ["connect"])
        if words[1] == "together":
            data, offered = self.play.messages.together(step, self.variables), []
        else:
            data, offered = self.play.messages.make(step, words[1:], self.variables)
        o = dict(w.split("=", 1) for w in words[1:] if "=" in w)
        if words[1] == "rq":
            self.max_pdu = number(o["max_pdu"]) if o.get("max_pdu", "none") != "none" else 16384
        if "length" in o and words[1] not in ("pdu", "pdv"):
            data = data[:2] + struct.pack(">I", int(o["length"], 16)) + data[6:]
        data = data[:number(o["cut"])] if "cut" in o else data
        if "cut" not in o:
            self.offered += offered
        self._put(data * number(o.get("times", "1")), o, "drip" in words)

    def _put(self, data, options, is_drip):
        if "at" in options:
            at = number(options["at"])
            assert 0 < at < len(data), f"at={at} of {len(data)} bytes"
            self.peer.send(data[:at])
            self.play.wait_until_read(self.peer.sock)
            self.peer.send(data[at:])
            return
        step = 1 if is_drip else number(options.get("split", str(len(data) or 1)))
        for begin in range(0, len(data), step):
            self.peer.send(data[begin:begin + step])
            if is_drip and self._is_over(DRIP_S):
                return

    def _is_over(self, wait_s):
        """Whether the node has said something or hung up within that time."""
        self.peer.sock.settimeout(wait_s)
        try:
            self.peer.sock.recv(1, socket.MSG_PEEK)
            return True
        except TimeoutError:
            return False
        except OSError:
            return True
        finally:
            self.peer.sock.settimeout(WAIT_S)

    # ---- what happens ----------------------------------------------------------------------------

    def _happening(self):
        """(word, {key: value}) of what the node does next."""
        try:
            kind, body = self.peer.recv_pdu()
            if kind == rawscu.P_DATA:
                return self._response(body)
        except Ended as end:
            return ("silence" if end.how == "timeout" else "close"), {}
        if kind == rawscu.AC:
            self.peer._read_ac(body)
            return "ac", {"max_pdu": str(self.peer.peer_max_pdu), "accepted": str(len(self.peer.accepted)),
                          "results": "".join(str(r) for _, r in sorted(self.peer.results.items()))}
        if kind == rawscu.RJ:
            return "rj", dict(zip(("result", "source", "reason"), map(str, body[1:4])))
        if kind == rawscu.ABORT:
            return "abort", {"source": str(body[2]), "reason": str(body[3])}
        return {rawscu.RELEASE_RP: "release"}.get(kind, f"PDU type {kind}"), {}

    def _response(self, body):
        """A response, all of whose fragments keep to our maximum length."""
        command = b""
        while True:
            assert not self.max_pdu or len(body) <= self.max_pdu, f"{len(body)} bytes of P-DATA"
            at = 0
            while at < len(body):
                length, pcid, header = struct.unpack_from(">IBB", body, at)
                command += body[at + 6:at + 4 + length]
                at += 4 + length
            if header & 2:
                break
            kind, body = self.peer.recv_pdu()
            assert kind == rawscu.P_DATA, f"PDU type {kind} within a response"
        elements = rawscu.parse_command(command)
        field, status = rawscu.us(elements, 0x0100), rawscu.us(elements, 0x0900)
        if field == 0x8001 and self.offered:
            self.play.note_answer(*self.offered.pop(0), status)
        comment = elements.get(0x0902, b"").decode("ascii", "replace").rstrip(" \0")
        return "rsp", {"status": "%04X" % status, "id": str(rawscu.us(elements, 0x0120)),
                       "field": "%04X" % field, "pcid": str(pcid), "comment": comment}

    def _expect(self, step, words):
        if words[1:] == ["answers", "same"]:
            self.first_answers = self.first_answers or self.peer.heard
            assert self.peer.heard and self.peer.heard == self.first_answers, "other answers than at first"
            return
        if words[1] in ("log", "store", "kept", "memory", "exit", "descriptors", "symbols", "idle"):
            self.play.stage_do(step, words, self.variables)
            return
        assert self.peer is not None, "nothing is connected"
        choices = [choice.split() for choice in " ".join(words[1:]).split(" or ")]
        word, fields = self._happening()
        for name, *wanted in choices:
            is_it = word in END if name == "end" else word == name
            pairs = (pair.split("=", 1) for pair in wanted)
            if is_it and all(fnmatch.fnmatchcase(fields.get(key, ""), value) for key, value in pairs):
                return
        told = " ".join([word] + [f"{key}={value}" for key, value in fields.items()])
        raise AssertionError(f"came: {told}")

    def _drain(self, *_):
        while True:
            word, _ = self._happening()
            assert word != "silence", "the node neither speaks nor closes"
            if word == "close":
                return


def unread(sock):
    """Bytes we sent that the other side's kernel has not acknowledged."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0]
