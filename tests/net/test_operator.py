"""An operator who sees only the log can tell what happened: one scenario for each row of the README's
"What happened?" table. Each asserts what the line says, and that no patient data is in any line.

SPDX-License-Identifier: Apache-2.0
"""
import errno
import socket
import struct
import time

import pytest

import load
from node import Node
from p10 import EXPLICIT_LE
from preload import fault, preload
from rawscu import Rejected, RawSCU, VERIFICATION

CANARY = "ZZCANARY^PHI"


@pytest.fixture(autouse=True)
def no_patient_data(monkeypatch):
    """Every object of these tests carries the canary as patient name; no line may."""
    nodes = []
    start = Node.start

    def watched(self):
        nodes.append(self)
        return start(self)
    monkeypatch.setattr(Node, "start", watched)
    yield
    for node in nodes:
        for line in node.lines:
            assert "CANARY" not in line.text and "Load^Made" not in line.text, line.text


def ct(uid, size=4096, **more):
    made = load.make(uid, size, **more)
    name = load.element(0x10, 0x10, b"PN", "Load^Made Up")
    assert name in made.data
    return made.data.replace(name, load.element(0x10, 0x10, b"PN", CANARY))


def send(node, data, uid, calling="MODALITY", **sizes):
    with RawSCU("127.0.0.1", node.port, called="SLUICE", calling=calling) as scu:
        scu.associate(load.CONTEXTS)
        answer = scu.cstore(data, load.CT_CLASS, uid, **sizes)
        scu.release()
        return answer


def test_full_disk():
    with Node(storage__quota="1MiB") as node:
        # Of 1 MiB the mark at 95 % leaves no room for the second half.
        assert send(node, ct("1.2.1", 600000), "1.2.1").status == 0
        answer = send(node, ct("1.2.2", 600000), "1.2.2")
        assert answer.status == 0xA700 and "full" in answer.comment
        line = node.wait_line("store.failed")
        assert line["status"] == "A700" and line["why"] == "disk-full"
        assert node.wait_line("assoc.end", n=2)["failed"] == "1"


def test_wrong_ae():
    with Node(dicom__check_called_ae="true") as node:
        with pytest.raises(Rejected), RawSCU("127.0.0.1", node.port, called="PACS2") as scu:
            scu.associate(load.CONTEXTS)
        line = node.wait_line("assoc.end")
        assert line["end"].startswith("refused:") and "called" in line["end"], line.text
        assert line["called"] == "PACS2"


def test_unlisted_peer(tmp_path):
    conf = tmp_path / "peers.toml"
    conf.write_text('[[peer]]\nae_title = "CT1"\n')
    with Node(config=conf) as node:
        with pytest.raises(Rejected), RawSCU("127.0.0.1", node.port, calling="CT2") as scu:
            scu.associate(load.CONTEXTS)
        line = node.wait_line("assoc.end")
        assert line["end"].startswith("refused:") and "calling" in line["end"], line.text


def test_no_acceptable_context():
    with Node() as node:
        with RawSCU("127.0.0.1", node.port) as scu:
            scu.associate([("1.2.840.10008.5.1.4.31", [EXPLICIT_LE])])
            scu.release()
        assert node.wait_line("assoc.no_context")["ctx"] == "0/1"


def test_slow_disk():
    slow = ("strace", "-D", "-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e",
            "inject=fdatasync:delay_enter=300000")
    with Node(wrapper=slow) as node:
        assert send(node, ct("1.2.1"), "1.2.1").status == 0
        line = node.wait_line("assoc.end")
        assert int(line["wait_disk"]) * 2 > int(line["ms"]), line.text


def test_slow_peer():
    with Node() as node:
        with RawSCU("127.0.0.1", node.port) as scu:
            scu.associate(load.CONTEXTS)
            data = ct("1.2.1", 40000)
            pcid = scu.find_context(load.CT_CLASS)
            scu.send_command(pcid, scu.store_rq(load.CT_CLASS, "1.2.1"))
            for at in range(0, len(data), 4000):
                scu.send_data_set(pcid, data[at:at + 4000], ends=at + 4000 >= len(data))
                time.sleep(0.05)  # this is the slow peer, not a wait for the node
            assert scu.recv_response().status == 0
            scu.release()
        line = node.wait_line("assoc.end")
        assert int(line["wait_peer"]) * 2 > int(line["ms"]), line.text


def test_pool_short():
    with Node(pool__buffers="1", pool__buffer_size="1MiB", log__heartbeat="100ms") as node:
        with RawSCU("127.0.0.1", node.port, calling="HOLDER") as holder:
            holder.associate(load.CONTEXTS)
            data = ct("1.2.1", 900000)
            pcid = holder.find_context(load.CT_CLASS)
            holder.send_command(pcid, holder.store_rq(load.CT_CLASS, "1.2.1"))
            holder.send_data_set(pcid, data[:400000], ends=False)
            # The holder has the one buffer and goes quiet: the next one waits until it is spilled.
            with node.news:
                assert node.news.wait_for(lambda: any(l.get("pool") == "1/1" for l in node.find("status")), 60)
            assert send(node, ct("1.2.2", 500000), "1.2.2", calling="WAITER").status == 0
            holder.send_data_set(pcid, data[400000:])
            assert holder.recv_response().status == 0
            holder.release()
        line = node.wait_line("assoc.end", calling="WAITER")
        assert int(line["wait_pool"]) > 0, line.text


def test_a_name_that_was_not_made_ahead():
    """An object that found none is counted; it is stored all the same."""
    with Node(env=preload(fail=fault("openat", "*.berth", 1, errno.EMFILE)), storage__names_ahead="1",
              log__heartbeat="200ms") as node:
        assert send(node, ct("1.2.9"), "1.2.9").status == 0
        while "names_late" not in (beat := node.wait_line("status", n=len(node.find("status")) + 1)):
            assert len(node.find("status")) < 100, beat.text
        assert beat["names_late"] == "1"
    with Node(storage__names_ahead="0", log__heartbeat="200ms") as node:
        assert send(node, ct("1.2.9"), "1.2.9").status == 0
        assert "names_late" not in node.wait_line("status", n=len(node.find("status")) + 1)


def test_peer_reset():
    with Node() as node:
        with RawSCU("127.0.0.1", node.port) as scu:
            scu.associate(load.CONTEXTS)
            pcid = scu.find_context(load.CT_CLASS)
            scu.send_command(pcid, scu.store_rq(load.CT_CLASS, "1.2.1"))
            scu.send_data_set(pcid, ct("1.2.1", 40000)[:20000], ends=False)
            scu.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        line = node.wait_line("assoc.end")
        assert line["end"] == "reset" and line["stored"] == "0", line.text
        assert node.stop() == 0
        assert node.archive() == [] and node.spool() == []


def test_duplicate():
    with Node(storage__duplicates="refuse") as node:
        data = ct("1.2.1", 40000)
        assert send(node, data, "1.2.1").status == 0
        assert send(node, data, "1.2.1").status == 0
        line = node.wait_line("assoc.end", n=2)
        assert line["dup"] == "1" and line["failed"] == "0", line.text
        answer = send(node, data[:-2] + b"zz", "1.2.1")
        assert answer.status == 0x0111 and answer.comment
        line = node.wait_line("store.failed")
        assert line["status"] == "0111" and line["why"] == "duplicate", line.text


def test_unsound_object():
    with Node() as node:
        assert send(node, ct("1.2.1", 40000)[:-1000], "1.2.1").status == 0
        lines = node.wait_line("assoc.end") and node.lines
        assert any(line.get("sound") == "no" for line in lines), node.log()


@pytest.mark.parametrize("kind, bytes_sent", [
    ("http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)),
    ("ssh", b"SSH-2.0-OpenSSH_9.2\r\n"),
])
def test_junk_on_the_port(kind, bytes_sent):
    with Node() as node:
        with socket.create_connection(("127.0.0.1", node.port)) as s:
            s.sendall(bytes_sent)
            s.settimeout(60)
            try:
                while s.recv(100):
                    pass
            except ConnectionError:
                pass
        line = node.wait_line("junk.on_port")
        assert line["kind"] == kind, line.text


def test_echo_is_a_counter_and_no_line():
    with Node() as node:
        with RawSCU("127.0.0.1", node.port) as scu:
            scu.associate([(VERIFICATION, [EXPLICIT_LE])])
            assert scu.echo().status == 0
            scu.release()
        assert node.stop() == 0
        assert node.find("assoc.end") == []
