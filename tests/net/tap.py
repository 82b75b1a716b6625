"""A tap on the wire: stands between a sender and a node, passes every byte on as it is, and keeps what
the sender said. What a toolkit really sent is read here, not in the file it was given: storescu, for
one, leaves group lengths out and writes sequences anew.

    with Tap(node.port) as tap:
        storescu(tap, folder)          # tap.port
    for uid, data_set in tap.data_sets():
        ...

SPDX-License-Identifier: Apache-2.0
"""
import os
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from p10 import uid_text  # noqa: E402
from rawscu import C_STORE_RQ, P_DATA, parse_command, us  # noqa: E402

WAIT_S = 60


class Tap:
    """Listens on tap.port; one connection of ours for each of theirs."""

    def __init__(self, port, host="127.0.0.1"):
        self.target = (host, port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.said = []      # bytes of the sender, one bytearray for each connection
        self.answered = []  # bytes of the node, likewise
        self.threads = []
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    def _accept(self):
        while True:
            try:
                sender, _ = self.listener.accept()
            except OSError:
                return
            node = socket.create_connection(self.target, WAIT_S)
            for end in (sender, node):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                end.settimeout(None)
            self.said.append(bytearray())
            self.answered.append(bytearray())
            for one in ((sender, node, self.said[-1]), (node, sender, self.answered[-1])):
                thread = threading.Thread(target=self._pass_on, args=one, daemon=True)
                thread.start()
                self.threads.append(thread)

    @staticmethod
    def _pass_on(source, sink, heard):
        try:
            while more := source.recv(1 << 18):
                # acknowledged at once, or a sender with Nagle on waits 40 ms for each of its messages
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                heard += more
                sink.sendall(more)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            sink.close()

    def close(self):
        """No new connections; waits for the end of those that are open."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.acceptor.join(WAIT_S)
        for thread in self.threads:
            thread.join(WAIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def data_sets(self):
        """(SOP Instance UID, data set) of every C-STORE, in the order in which they were sent."""
        for stream in self.said:
            yield from _data_sets(bytes(stream))


def _fragments(stream):
    """(control header, value) of every fragment of a sender's stream."""
    at = 0
    while at + 6 <= len(stream):
        kind, _, length = struct.unpack_from(">BBI", stream, at)
        body, at = stream[at + 6:at + 6 + length], at + 6 + length
        inside = 0
        while kind == P_DATA and inside + 6 <= len(body):
            size, _, header = struct.unpack_from(">IBB", body, inside)
            yield header, body[inside + 6:inside + 4 + size]
            inside += 4 + size


def _data_sets(stream):
    command, parts = {}, []
    for header, value in _fragments(stream):
        parts.append(value)
        if not header & 2:
            continue
        if header & 1:
            command = parse_command(b"".join(parts))
        elif us(command, 0x0100) == C_STORE_RQ:
            yield uid_text(command[0x1000]), b"".join(parts)
        parts = []
