"""sluice-bench against peers other than the node: one that grants an asynchronous operations window and answers
as late and in as odd an order as it may; the floor receivers; and its comparison of pool and malloc.
SPDX-License-Identifier: Apache-2.0
"""
import contextlib
import json
import os
import socket
import struct
import subprocess
import threading

import pytest

import rawscu
from bench import SLUICE_BENCH, bench, is_sanitized, run_bench
from node import WAIT_S, Node

ASYNC_ITEM = 0x53  # PS3.7 D.3.3.3


class Peer(threading.Thread):
    """Accepts one association and everything on it. Answers when `late` objects wait or the sender does not
    send on, the last one first. .most: objects that ever waited at once."""

    def __init__(self, granted, late):
        """granted: operations that may be invoked (0: any number); None: no window."""
        super().__init__(daemon=True)
        self.granted, self.late = granted, late
        self.most = 0
        self.asked = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.conn.recv(n - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def read_pdu(self):
        kind, _, length = struct.unpack(">BBI", self.read(6))
        return kind, self.read(length)

    def accept(self, body):
        at = body.find(bytes([ASYNC_ITEM, 0, 0, 4]))
        self.asked = struct.unpack(">HH", body[at + 4:at + 8]) if at >= 0 else None
        user = rawscu.item(0x51, struct.pack(">I", 65536)) + rawscu.item(0x52, b"1.2.3")
        if self.granted is not None:
            user += rawscu.item(ASYNC_ITEM, struct.pack(">HH", self.granted, 1))
        context = rawscu.item(0x21, bytes([1, 0, 0, 0]) + rawscu.item(0x40, b"1.2.840.10008.1.2.1"))
        self.conn.sendall(rawscu.pdu(rawscu.AC, body[:68] + rawscu.item(
            0x10, rawscu.APPLICATION_CONTEXT.encode()) + context + rawscu.item(0x50, user)))

    def answer(self, waiting):
        for message_id in reversed(waiting):
            rsp = rawscu.command_bytes({0x0100: 0x8001, 0x0120: message_id, 0x0800: rawscu.NO_DATA_SET,
                                        0x0900: 0})
            self.conn.sendall(b"".join(rawscu.p_data_pdus(1, True, rsp, 16384)))
        waiting.clear()

    def serve(self):
        waiting, message_id, received = [], None, 0
        while True:
            kind, body = self.read_pdu()
            if kind == rawscu.RELEASE_RQ:
                self.conn.sendall(rawscu.pdu(rawscu.RELEASE_RP, bytes(4)))
                return received
            header, value = body[5], body[6:]
            if header == 3:
                message_id = rawscu.us(rawscu.parse_command(value), 0x0110)
            elif header == 2:
                received += 1
                waiting.append(message_id)
                self.most = max(self.most, len(waiting))
                if len(waiting) >= self.late:
                    self.answer(waiting)

    def run(self):
        self.conn, _ = self.listener.accept()
        self.listener.close()
        with self.conn, contextlib.suppress(ConnectionError):
            self.accept(self.read_pdu()[1])
            self.received = self.serve()


@pytest.mark.parametrize("asked, granted, expected", [
    (4, 4, 4),     # as asked
    (8, 3, 3),     # fewer
    (4, 0, 4),     # "any number", PS3.7 D.3.3.3.2
    (4, 9, 4),     # more than asked: not taken up
    (4, None, 1),  # not negotiated: synchronous
    (1, 5, 1),     # granted unasked
])
def test_a_granted_window_is_filled_and_answers_in_any_order_are_told_apart(asked, granted, expected, tmp_path):
    """The peer holds its answers back until the window is full: were it not, the run would not end."""
    ledger = tmp_path / "ledger"
    peer = Peer(granted, late=expected)
    figures = run_bench(peer.port, "-m", 6 * expected, "-w", asked, "-o", "mr:4KB", "--ledger", ledger)
    peer.join(WAIT_S)
    assert peer.most == expected and peer.received == 6 * expected == figures["stored"]
    assert peer.asked == ((asked, 1) if asked > 1 else None)
    assert figures["answer"]["n"] == 6 * expected
    assert len({line.split()[0] for line in ledger.read_text().splitlines()}) == 6 * expected


def test_think_time_lies_between_objects_and_associations():
    peer = Peer(None, late=1)
    figures = run_bench(peer.port, "-m", 4, "--think", "50ms", "-o", "mr:4KB")
    assert figures["stored"] == 4 and figures["seconds"] >= 0.15


class Floor:
    """A floor receiver; .port, .pid."""

    def __init__(self, sync, folder):
        self.process = subprocess.Popen([SLUICE_BENCH, "floor", "--sync", sync, "--port", "0", str(folder)],
                                        stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.port = int(self.process.stdout.readline().split()[-1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()


@pytest.mark.parametrize("sync", ["none", "plain", "named"])
def test_the_floor_keeps_all_that_it_acknowledges(sync, tmp_path):
    """Many associations, one for each object, objects larger than its buffer, mixes, small PDUs."""
    with Floor(sync, tmp_path) as floor:
        runs = [run_bench(floor.port, *words.split()) for words in (
            "-n 8 -m 40 -o ct:64KiB", "-n 4 -m 12 -c 1 -o mr", "-m 2 -o mf:10MiB",
            "-n 3 -m 12 -o mr*3,ct*2,dx:1MB", "-m 2 -p 4KiB -o mr")]
    assert runs[1]["associations_per_s"] == pytest.approx(12 / runs[1]["seconds"], rel=0.01)
    sizes = [os.path.getsize(tmp_path / name) for name in os.listdir(tmp_path)]
    assert len(sizes) == sum(run["stored"] for run in runs) == 40 + 12 + 2 + 12 + 2
    assert sum(run["bytes"] for run in runs) < sum(sizes) <= sum(run["wire_bytes"] for run in runs)


def test_the_floor_takes_what_storescu_sends(tmp_path):
    """128 contexts proposed, and an answer that DCMTK reads too."""
    with Node() as node:
        bench(node, "-m", 3, "-o", "mr:4KB,ct:4KB,dx:4KB")
        assert node.stop() == 0
        with Floor("none", tmp_path) as floor:
            done = subprocess.run(["storescu", "+sd", "+r", "127.0.0.1", str(floor.port),
                                   os.path.join(node.root, "archive")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr and len(os.listdir(tmp_path)) == 3


def calls_of(sync, folder):
    """{system call: how often} of a floor that has taken 10 objects over 2 associations."""
    trace = folder.parent / f"{folder.name}.trace"
    with Floor(sync, folder) as floor:
        strace = subprocess.Popen(["strace", "-f", "-e", "trace=fsync,fdatasync,write", "-o", str(trace), "-p",
                                   str(floor.pid)], stderr=subprocess.PIPE, text=True)
        assert "attached" in strace.stderr.readline()
        assert run_bench(floor.port, "-n", 2, "-m", 10, "-o", "mr:4KB")["stored"] == 10
        strace.terminate()
        strace.communicate()
    lines = trace.read_text()
    return {call: lines.count(f"{call}(") for call in ("write", "fdatasync", "fsync")}


def test_the_floor_syncs_what_it_says(tmp_path):
    """One write for an object; the folder's sync is shared, so there are 5 to 10 of it for two senders."""
    folders = [tmp_path / sync for sync in ("none", "plain", "named")]
    for folder in folders:
        folder.mkdir()
    none, plain, named = (calls_of(folder.name, folder) for folder in folders)
    assert none == {"write": 10, "fdatasync": 0, "fsync": 0}
    assert plain == {"write": 10, "fdatasync": 10, "fsync": 0}
    assert named["fdatasync"] == named["write"] == 10 and 5 <= named["fsync"] <= 10


@pytest.mark.parametrize("args", [
    [], ["/", "/"], ["--sync", "some", "/"], ["--port", "70000", "/"], ["--port", "x", "/"]])
def test_wrong_words_to_the_floor_exit_2(args):
    done = subprocess.run([SLUICE_BENCH, "floor", *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "usage" in done.stderr


def test_the_floor_says_why_it_does_not_start(tmp_path):
    done = subprocess.run([SLUICE_BENCH, "floor", str(tmp_path / "absent")], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 1 and "absent: No such file" in done.stderr


def pool(*args):
    """{memory: figures} of one round."""
    done = subprocess.run([SLUICE_BENCH, "pool", "--rounds", "1", "--json", "-", *map(str, args)],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return {run["memory"]: run for run in json.loads(done.stdout)}


@pytest.mark.skipif(is_sanitized(SLUICE_BENCH), reason="a sanitizer has a malloc of its own")
def test_the_same_ingest_with_pool_and_malloc():
    runs = pool("-m", 2000, "-n", 16, "--buffers", 16)
    assert list(runs) == ["pool", "malloc", "malloc-keeps"]
    assert {(run["objects"], run["bytes"]) for run in runs.values()} == {(2000, runs["pool"]["bytes"])}
    ours = runs["pool"]
    assert ours["faults"] < runs["malloc"]["faults"] and ours["waits"] == 0
    for field in ("peak", "last_tenth", "left"):
        assert 16 * 2 ** 20 <= ours[field] < 17 * 2 ** 20
    assert runs["malloc-keeps"]["left"] >= 0.9 * runs["malloc-keeps"]["peak"] > 0


@pytest.mark.skipif(is_sanitized(SLUICE_BENCH), reason="a sanitizer has a malloc of its own")
def test_a_pool_that_is_too_small_makes_objects_wait():
    for _ in range(20):  # whether two threads get into each other's way is the scheduler's business
        ours = pool("-m", 500, "-n", 16, "--buffers", 2, "-t", 2, "--buffer-size", "64KiB")["pool"]
        assert ours["objects"] == 500 and ours["peak"] < 4 * 2 ** 20, ours
        if ours["waits"] > 0:
            break
    assert ours["waits"] > 0, ours


@pytest.mark.parametrize("args", [["x"], ["-m", "0"], ["-t", "9", "-n", "8"], ["--buffers", "1"], ["--json"]])
def test_wrong_words_to_the_pool_exit_2(args):
    done = subprocess.run([SLUICE_BENCH, "pool", *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "usage" in done.stderr
