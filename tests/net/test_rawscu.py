"""The raw sender, proven against DCMTK's storescp and against a peer of a few bytes, before anything of
ours is judged by it.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import p10  # noqa: E402
import rawscu  # noqa: E402
from rawscu import Ended, RawSCU, Rejected, VERIFICATION  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("SLUICE_CORPUS", ROOT / ".." / "shared" / "corpus"))
SC = rawscu.SECONDARY_CAPTURE

needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="NOT RUN: corpus absent")
needs_dcmtk = pytest.mark.skipif(shutil.which("storescp") is None, reason="NOT RUN: dcmtk absent")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture
def storescp(tmp_path):
    """(port, folder) of a storescp that keeps bytes as they come."""
    folder, port = tmp_path / "received", free_port()
    folder.mkdir()
    process = subprocess.Popen(["storescp", "+xa", "-pm", "+B", "-od", str(folder), str(port)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline
    yield port, folder
    process.kill()
    process.wait()


class Peer:
    """Accepts connections one after the other; each is handled by the next of `scripts`, functions of
    the connected socket."""

    def __init__(self, *scripts):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.heard = []
        self.thread = threading.Thread(target=self._run, args=(scripts,), daemon=True)
        self.thread.start()

    def _run(self, scripts):
        for script in scripts:
            sock, _ = self.listener.accept()
            with sock:
                script(self, sock)
        self.listener.close()

    def pdu(self, sock):
        head = self._exactly(sock, 6)
        body = self._exactly(sock, struct.unpack(">I", head[2:])[0])
        self.heard.append((head[0], body))
        return head[0], body

    @staticmethod
    def _exactly(sock, n):
        data = b""
        while len(data) < n:
            more = sock.recv(n - len(data))
            if not more:
                return data.ljust(n, b"\0")
            data += more
        return data


def accept_all(peer, sock, max_pdu=16384):
    """Reads an A-ASSOCIATE-RQ and accepts every context with its first transfer syntax."""
    _, body = peer.pdu(sock)
    answer = rawscu.item(0x10, rawscu.APPLICATION_CONTEXT.encode())
    for kind, value in RawSCU.items(body[68:]):
        if kind == 0x20:
            syntax = dict(RawSCU.items(value[4:]))[0x40]
            answer += rawscu.item(0x21, value[:1] + bytes(3) + rawscu.item(0x40, syntax))
    answer += rawscu.item(0x50, rawscu.item(0x51, struct.pack(">I", max_pdu)))
    sock.sendall(rawscu.pdu(rawscu.AC, body[:68] + answer))


@needs_dcmtk
def test_echo_and_release(storescp):
    with RawSCU("127.0.0.1", storescp[0]) as scu:
        scu.associate([(VERIFICATION, [p10.IMPLICIT_LE])])
        assert scu.accepted == {1: p10.IMPLICIT_LE}
        assert scu.peer_max_pdu == 16384
        assert 0x52 in dict(scu.user_items())
        assert [scu.echo().status for _ in range(3)] == [0, 0, 0]
        scu.release()


@needs_dcmtk
@needs_corpus
@pytest.mark.parametrize("sizes", [{}, {"pdv_size": 100}, {"pdv_size": 64, "pdu_size": 4096}])
def test_bytes_arrive_as_they_are(storescp, sizes, tmp_path):
    port, folder = storescp
    # of even length: storescp aborts on "Odd Fragment Length"
    names = ["CT_small.dcm", "JPEG2000.dcm", "JPEG-lossy.dcm", "ExplVR_BigEnd.dcm", "rtplan.dcm",
             "MR_small_RLE.dcm"]
    paths = [next(CORPUS.glob("valid/**/" + name), None) for name in names]
    paths = [p for p in paths if p is not None]
    assert len(paths) >= 3
    ledger = tmp_path / "ledger"
    sent = list(rawscu.send_files("127.0.0.1", port, paths, ledger=ledger, **sizes))
    assert [s.status for s in sent] == [0] * len(paths)
    stored = {p.sop_instance: p for p in map(p10.read_p10, folder.iterdir())}
    for path, one in zip(paths, sent):
        source = p10.read_p10(path)
        copy = stored[source.sop_instance]
        assert copy.data_set == source.data_set
        assert copy.transfer_syntax == source.transfer_syntax
        assert one.sha256 == hashlib.sha256(source.data_set).hexdigest()
    lines = ledger.read_text().splitlines()
    assert lines == ["%s %s 0000" % (s.sop_instance, s.sha256) for s in sent]


@needs_dcmtk
def test_a_context_that_is_not_accepted_is_said(storescp, tmp_path):
    path = a_file(tmp_path, "1.2.3", "1.2.840.10008.5.1.4.39.1")
    sent = list(rawscu.send_files("127.0.0.1", storescp[0], [path, tmp_path / "absent"],
                                  called="X"))
    assert [(s.status, s.comment) for s in sent] == [
        (None, "No such file or directory"), (None, "context not accepted: 3")]


@needs_dcmtk
@needs_corpus
def test_command_line(storescp):
    script = Path(rawscu.__file__)
    folder = CORPUS / "series" / "CT_GE_28"
    run = subprocess.run([sys.executable, script, "127.0.0.1", str(storescp[0]), folder],
                         capture_output=True, text=True, timeout=120)
    lines = run.stdout.splitlines()
    assert run.returncode == 0, run.stderr
    assert len(lines) == 28 and all(line.startswith("0000 ") for line in lines)


def test_fragments_follow_the_sizes_asked_for_and_the_peers_maximum():
    def script(peer, sock):
        accept_all(peer, sock, max_pdu=26)
        while peer.pdu(sock)[0] == rawscu.P_DATA:
            pass

    peer = Peer(script)
    with RawSCU("127.0.0.1", peer.port) as scu:
        scu.associate([(SC, [p10.EXPLICIT_LE])])
        scu.send_data_set(1, b"x" * 45)
        scu.send_data_set(1, b"y" * 9, pdv_size=3, pdu_size=18)
        scu.send_data_set(1, b"", ends=False)
    peer.thread.join(10)
    bodies = [body for kind, body in peer.heard if kind == rawscu.P_DATA]
    assert [len(b) for b in bodies[:3]] == [26, 26, 11]
    assert [b[5] for b in bodies[:3]] == [0, 0, 2]
    assert bodies[3] == b"\0\0\0\5\1\0yyy\0\0\0\5\1\0yyy"
    assert bodies[4] == b"\0\0\0\5\1\2yyy"
    assert bodies[5] == b"\0\0\0\2\1\0"


def test_refusals_are_told_apart():
    peer = Peer(lambda p, s: (p.pdu(s), s.sendall(rawscu.pdu(rawscu.RJ, b"\0\1\1\7"))),
                lambda p, s: (p.pdu(s), s.sendall(rawscu.pdu(rawscu.ABORT, b"\0\0\2\6"))),
                lambda p, s: p.pdu(s))
    with pytest.raises(Rejected, match="reject 1/1/7"):
        RawSCU("127.0.0.1", peer.port).associate([(VERIFICATION, [p10.IMPLICIT_LE])])
    with pytest.raises(Ended, match="abort 2/6"):
        RawSCU("127.0.0.1", peer.port).associate([(VERIFICATION, [p10.IMPLICIT_LE])])
    with pytest.raises(Ended, match="closed|reset"):
        RawSCU("127.0.0.1", peer.port).associate([(VERIFICATION, [p10.IMPLICIT_LE])])


def a_file(folder, instance, sop_class=SC):
    """A Part 10 file of two elements."""
    meta = b"".join(struct.pack("<HH2sH", 2, n, b"UI", len(v)) + v for n, v in
                    ((0x10, p10.EXPLICIT_LE.encode() + b"\0"),))
    data = b"".join(struct.pack("<HH2sH", 8, n, b"UI", len(v)) + v for n, v in
                    ((0x16, sop_class.encode() + b"\0" * (len(sop_class) & 1)),
                     (0x18, instance.encode() + b"\0" * (len(instance) & 1))))
    path = folder / (instance + ".dcm")
    path.write_bytes(bytes(128) + b"DICM" + meta + data)
    return path


def test_after_an_abort_the_rest_goes_over_a_new_association(tmp_path):
    def answer(sock, peer):
        while peer.pdu(sock)[1][5] != 2:  # until the last fragment of a data set
            pass
        command = {0x0100: 0x8001, 0x0120: 1, 0x0800: 0x0101, 0x0900: 0xA700, 0x0902: "disk full"}
        sock.sendall(rawscu.p_data_pdus(1, True, rawscu.command_bytes(command), 9999)[0])

    def aborts(peer, sock):
        accept_all(peer, sock)
        answer(sock, peer)
        peer.pdu(sock)
        sock.sendall(rawscu.pdu(rawscu.ABORT, b"\0\0\2\0"))

    def goes_on(peer, sock):
        accept_all(peer, sock)
        answer(sock, peer)
        peer.pdu(sock)
        sock.sendall(rawscu.pdu(rawscu.RELEASE_RP, bytes(4)))

    paths = [a_file(tmp_path, "1.2.%d" % i) for i in range(3)]
    peer = Peer(aborts, goes_on)
    sent = list(rawscu.send_files("127.0.0.1", peer.port, paths))
    assert [(s.status, s.comment) for s in sent] == [
        (0xA700, "disk full"), (None, "abort 2/0"), (0xA700, "disk full")]
    peer.thread.join(10)
    assert [kind for kind, _ in peer.heard].count(rawscu.RQ) == 2
    assert peer.heard[-1][0] == rawscu.RELEASE_RQ


def test_at_most_128_contexts_go_into_one_association(tmp_path):
    def rejects(peer, sock):
        peer.pdu(sock)
        sock.sendall(rawscu.pdu(rawscu.RJ, b"\0\2\3\2"))

    paths = [a_file(tmp_path, "1.2.%d" % i, "1.3.%d" % (i % 129)) for i in range(200)]
    peer = Peer(rejects, rejects)
    sent = list(rawscu.send_files("127.0.0.1", peer.port, paths))
    assert len(sent) == 200 and {s.comment for s in sent} == {"reject 2/3/2"}
    peer.thread.join(10)
    counts = [sum(kind == 0x20 for kind, _ in RawSCU.items(body[68:])) for _, body in peer.heard]
    assert len(counts) == 2 and max(counts) <= 128


@needs_corpus
def test_files_are_split_as_the_manifest_says():
    rows = [line.split("\t") for line in
            (CORPUS / "MANIFEST.tsv").read_text().splitlines()[1:]]
    checked = 0
    for path, _, _, sop_class, transfer_syntax, *_ in rows:
        if path.split("/")[0] in ("valid", "charset", "series"):
            part10 = p10.read_p10(CORPUS / path)
            assert (part10.sop_class, part10.transfer_syntax) == (sop_class, transfer_syntax), path
            checked += 1
    assert checked > 800


def test_rounds_never_repeat_a_uid():
    items = [rawscu.Plan(i, "", uid, "") for i, uid in enumerate("abacaba")]
    lists = p10.rounds(items)
    assert [[i.sop_instance for i in one] for one in lists] == [
        ["a", "b", "c"], ["a", "b"], ["a"], ["a"]]
