"""A network that is not well, in our own process: a TCP proxy between clients and node.

    proxy [split=1] [delay=20] [reset=5000] [freeze=5000] [size=4096]

split: bytes handed on at a time; delay: milliseconds before each piece; reset: both sides get an RST
after so many bytes from the client; freeze: after so many, nothing more passes and nobody is told.
SPDX-License-Identifier: Apache-2.0
"""
import socket
import struct
import threading
import time


class Proxy:
    def __init__(self, port_of_node, split=65536, delay=0, reset=None, freeze=None):
        self.port_of_node = port_of_node
        self.split, self.delay_s = split, delay / 1000
        self.reset, self.freeze = reset, freeze
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.open_ones = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                node = socket.create_connection(("127.0.0.1", self.port_of_node()))
            except OSError:
                return
            for sock in (client, node):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.open_ones += [client, node]
            threading.Thread(target=self._carry, args=(client, node, True), daemon=True).start()
            threading.Thread(target=self._carry, args=(node, client, False), daemon=True).start()

    def _carry(self, source, target, is_from_client):
        """Hands bytes on until one side ends, or until it is time for harm."""
        passed = 0
        try:
            while data := source.recv(self.split):
                if self.delay_s:
                    time.sleep(self.delay_s)  # this is the slow network itself
                passed += len(data)
                if is_from_client and self.reset is not None and passed >= self.reset:
                    self._break(source, target)
                    return
                if is_from_client and self.freeze is not None and passed >= self.freeze:
                    return  # both stay open, and silent
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            self._break(source, target)

    @staticmethod
    def _break(*socks):
        for sock in socks:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RD)  # wakes the other thread, which may sit in recv()
                sock.close()
            except OSError:
                pass  # the other thread was first

    def close(self):
        self.listener.close()
        for sock in self.open_ones:
            sock.close()
