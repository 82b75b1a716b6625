"""The asynchronous operations window (PS3.7 D.3.3.3): several C-STOREs of one association under way, each
answered as it becomes durable, by its Message ID; what is decided, refused, aborted or released among
them; and bytes that arrive in one read and belong to several objects.
SPDX-License-Identifier: Apache-2.0
"""
import errno
import random
import socket
import struct
import time

import pytest

import order
from kept import Kept
from load import CONTEXTS, CT_CLASS, make
from node import WAIT_S, Node
from preload import Hold, fault, preload
from rawscu import RELEASE_RP, RELEASE_RQ, RawSCU, Rejected, command_bytes, item, p_data_pdus, pdu

SYNC = ("fdatasync", "*/spool/*")
ROOT = "1.2.826.0.1.79"


def async_item(invoked, performed=1):
    return item(0x53, struct.pack(">HH", invoked, performed))


class Async(RawSCU):
    """An association with a window. .granted: operations that may be open; None: no 53H was answered."""

    def __init__(self, node, window=8, **options):
        super().__init__("127.0.0.1", node.port, "SLUICE", **options)
        asked = async_item(window) if window is not None else b""
        self.associate(CONTEXTS, user_items=asked)
        value = dict(self.user_items()).get(0x53)
        self.granted = value and struct.unpack(">HH", value)[0]

    def begin(self, made, message_id=None, **sizes):
        return self.send_store(made.data, CT_CLASS, made.uid, message_id, **sizes)

    def answers(self, n):
        """[(Message ID, status)] of the next n responses."""
        got = [self.recv_response() for _ in range(n)]
        return [(r.responded_to, r.status) for r in got]


def slices(n, size=20000, start=0):
    return [make(f"{ROOT}.{start + i}", size) for i in range(n)]


def pdus(made, message_id, fragment=16378, longest=131072):
    """The PDUs of one C-STORE: command and data set."""
    command = command_bytes(RawSCU("", 0).store_rq(CT_CLASS, made.uid, message_id))
    return p_data_pdus(1, True, command, fragment) + p_data_pdus(1, False, made.data, fragment, longest)


def whole(made, message_id, fragment=16378):
    return b"".join(pdus(made, message_id, fragment))


# ---- what is granted -------------------------------------------------------------------------------

@pytest.mark.parametrize("asked, bound, granted", [
    (None, 8, None), (1, 8, 1), (3, 8, 3), (0, 8, 8), (100, 8, 8), (0, 1, 1), (8, 1, 1), (20, 64, 17)])
def test_granted_is_the_smaller_of_asked_and_bound(asked, bound, granted):
    with Node(dicom__async_window=bound, pool__buffers=64) as node, Async(node, asked) as scu:
        assert scu.granted == granted
        assert scu.echo().status == 0
        scu.release()
        assert node.stop() == 0


def test_granted_follows_the_free_pool():
    """A quarter of the buffers that are free, beyond the one operation that everybody has."""
    for buffers, granted in (1, 1), (3, 1), (4, 2), (12, 4), (64, 8):
        with Node(pool__buffers=buffers) as node, Async(node, 0) as scu:
            assert scu.granted == granted, buffers
            assert node.stop() == 0


def test_operations_are_lent_and_come_back(tmp_path):
    """Those that are lent out are not there for others, and come back however an association ends."""
    with Node(dicom__max_associations=3, pool__buffers=256, pool__buffer_size="64KiB",
              dicom__async_window=64) as node:
        # 3 * 63 are there to lend: a quarter of 189, then of what is left.
        held = [Async(node, 0) for _ in range(3)]
        assert [scu.granted for scu in held] == [48, 36, 27]
        held[0].release()
        held[1].abort()
        held[2].close()
        node.wait_line("assoc.end", n=2)  # a release without objects has no line
        assert Async(node, 0).granted == 48
        assert node.stop() == 0


# ---- answers ---------------------------------------------------------------------------------------

def test_answers_come_as_objects_become_durable(tmp_path):
    made = slices(8)
    with Hold(tmp_path / "hold", *SYNC, stays=False) as hold, Node(env=hold.env()) as node, \
            Async(node) as scu:
        scu.begin(made[0])
        hold.wait(1)
        for m in made[1:]:
            scu.begin(m)
        assert sorted(scu.answers(7)) == [(i, 0) for i in range(2, 9)]
        assert scu.echo().status == 0  # and nothing keeps others waiting
        hold.let_go()
        assert scu.answers(1) == [(1, 0)]
        scu.release()
        assert node.wait_line("assoc.end")["stored"] == "8"
        assert node.stop() == 0
        assert not Kept(node.root).disagreements()


def test_the_window_is_the_bound(tmp_path):
    """Who sends more than was granted waits: reading pauses, nothing is refused. An echo is no store."""
    made = slices(12)
    with Hold(tmp_path / "hold", *SYNC) as hold, Node(env=hold.env()) as node, Async(node, 3) as scu:
        assert scu.granted == 3
        for m in made[:3]:
            scu.begin(m)
        hold.wait(3)
        assert scu.echo().status == 0
        for m in made[3:]:
            scu.begin(m)
        scu.send(pdu(RELEASE_RQ, bytes(4)))
        assert hold.held() == 3
        hold.let_go()
        answers = scu.answers(12)
        assert sorted(i for i, _ in answers) == [1, 2, 3, *range(5, 14)] and {s for _, s in answers} == {0}
        assert scu.recv_pdu()[0] == RELEASE_RP
        assert node.wait_line("assoc.end")["stored"] == "12"
        assert node.stop() == 0


def test_a_release_waits_for_all(tmp_path):
    with Hold(tmp_path / "hold", *SYNC) as hold, Node(env=hold.env()) as node, Async(node) as scu:
        for m in slices(5):
            scu.begin(m)
        scu.send(pdu(RELEASE_RQ, bytes(4)))
        hold.wait(5)
        hold.let_go()
        assert sorted(scu.answers(5)) == [(i, 0) for i in range(1, 6)]
        assert scu.recv_pdu()[0] == RELEASE_RP
        assert node.wait_line("assoc.end")["end"] == "release"
        assert node.stop() == 0


def test_a_message_id_that_is_open_is_refused(tmp_path):
    made = slices(3)
    with Hold(tmp_path / "hold", *SYNC) as hold, Node(env=hold.env()) as node, Async(node) as scu:
        scu.begin(made[0], 7)
        scu.begin(made[1], 8)
        scu.begin(made[2], 7)
        assert scu.answers(1) == [(7, 0x0210)]
        hold.let_go()
        assert sorted(scu.answers(2)) == [(7, 0), (8, 0)]
        scu.begin(made[2], 7)  # free again
        assert scu.answers(1) == [(7, 0)]
        scu.release()
        assert node.stop() == 0


# ---- one UID ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("policy, statuses, kept", [
    ("refuse", [0, 0, 0x0111, 0], [0]), ("latest", [0, 0, 0, 0], [0, 1]), ("first", [0, 0, 0, 0], [0, 1])])
def test_one_uid_is_decided_in_order_of_arrival(tmp_path, policy, statuses, kept):
    """The first is held: those behind it wait for what becomes of it. The same bytes are no second file."""
    made = [make(f"{ROOT}.1", 9000, seed=i) for i in range(2)]
    with Hold(tmp_path / "hold", *SYNC, stays=False) as hold, \
            Node(env=hold.env(), storage__duplicates=policy) as node, Async(node) as scu:
        scu.begin(made[0])
        hold.wait(1)
        for m in made[0], made[1], made[0], make(f"{ROOT}.2"):
            scu.begin(m)
        assert scu.answers(1) == [(5, 0)]  # another UID is not held up
        hold.let_go()
        assert sorted(scu.answers(4)) == list(zip(range(1, 5), statuses))
        scu.release()
        assert node.stop() == 0
        rows = Kept(node.root)
        assert not rows.disagreements()
        found = sorted((i for i in rows.instances if i.uid == f"{ROOT}.1"), key=lambda i: i.seq)
        assert len(found) == len(kept)
        assert rows.file(f"{ROOT}.1").data_set == made[1 if policy == "latest" else 0].data


def test_the_first_of_one_uid_fails_and_the_next_is_decided_anew(tmp_path):
    made = [make(f"{ROOT}.1", 9000, seed=i) for i in range(2)]
    broken = fault("pwritev", "*/spool/*", 1, errno.EIO)
    with Node(env=preload(fail=broken), storage__duplicates="refuse") as node, Async(node) as scu:
        scu.send(whole(made[0], 1) + whole(made[1], 2))
        answers = dict(scu.answers(2))
        assert answers[1] >> 8 in (0x01, 0xA7) and answers[2] == 0
        scu.release()
        assert node.stop() == 0
        assert Kept(node.root).file(f"{ROOT}.1").data_set == made[1].data


# ---- refusals and ends -----------------------------------------------------------------------------

def test_a_refused_object_among_others():
    """A full disk for some of them, C000 or the like for another: the rest is stored, and each answer is about
    the object whose Message ID it bears."""
    made = slices(8)
    full = fault("fdatasync", "*/spool/*", 3, errno.ENOSPC)
    with Node(env=preload(fail=full)) as node, Async(node) as scu:
        broken = made[4].data.replace(made[4].uid.encode(), b"9" * len(made[4].uid), 1)
        for m in made:
            data = broken if m is made[4] else m.data
            scu.send_store(data, CT_CLASS, m.uid)
        answers = dict(scu.answers(8))
        assert sorted(answers) == list(range(1, 9))
        assert 0 in answers.values() and 0xA700 in answers.values()
        assert answers[5] != 0
        scu.release()
        assert node.stop() == 0
        kept = Kept(node.root)
        assert not kept.disagreements()
        assert {i.uid for i in kept.instances} == {m.uid for n, m in enumerate(made, 1) if answers[n] == 0}


def test_an_abort_with_several_under_way(tmp_path):
    """What was complete is stored, what was not is given up; nothing is answered to nobody."""
    made = slices(5, 100000)
    with Hold(tmp_path / "hold", *SYNC) as hold, Node(env=hold.env()) as node:
        with Async(node) as scu:
            for m in made[:4]:
                scu.begin(m)
            scu.send(b"".join(pdus(made[4], 5, longest=20000)[:4]))
            hold.wait(4)
            scu.abort()
            hold.let_go()
        line = node.wait_line("assoc.end")
        assert (line["end"], line["stored"]) == ("abort-peer", "4"), line.text
        with Async(node) as scu:  # its slot and its operations are as good as new
            for m in made:
                scu.begin(m)
            assert {status for _, status in scu.answers(5)} == {0}
            scu.release()
        assert node.stop() == 0
        kept = Kept(node.root)
        assert not kept.disagreements() and len(kept.instances) == 5


def taken_in(node):
    """Tries until there is a place; as patient as a test that must not fail on a slow machine."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            return Async(node)
        except Rejected:
            assert time.monotonic() < until, "no place became free:\n" + node.log()
            time.sleep(0.05)


@pytest.mark.parametrize("how", ["reset", "abort"])
def test_an_end_is_noticed_though_nothing_is_read(tmp_path, how):
    """The window is full and more has come than is read: a peer that is gone frees its place all the same,
    before the disk comes back."""
    with Hold(tmp_path / "hold", *SYNC) as hold, \
            Node(env=hold.env(), pool__buffer_size="64KiB", dicom__max_associations=1) as node:
        scu = Async(node, 1)
        for i, m in enumerate(slices(3, 40000), 1):  # more than its region, less than the kernel takes
            scu.send(whole(m, i))
        hold.wait(1)
        if how == "reset":
            scu.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            scu.close()
        else:
            scu.abort()
        with taken_in(node) as other:
            assert other.echo().status == 0
            other.release()
        hold.let_go()
        line = node.wait_line("assoc.end", end="reset")
        assert line["stored"] == "1", line.text
        assert node.stop() == 0


# ---- bytes -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("settings", [
    {}, {"pool__buffers": 8, "pool__buffer_size": "64KiB"}, {"pool__buffers": 1, "pool__buffer_size": "64KiB"}],
    ids=["pool", "small_pool", "one_buffer"])
def test_bytes_are_kept_whatever_arrives_together(tmp_path, settings):
    """Objects of all sizes, one stream, cut anywhere: the archive has each as it was."""
    chance = random.Random(5)
    sizes = [chance.choice((300, 2000, 7000, 9000, 30000, 70000, 300000, 1200000)) + 2 * chance.randrange(200)
             for _ in range(120)]
    made = [make(f"{ROOT}.{i}", size) for i, size in enumerate(sizes)]
    with Node(env=preload(trace=tmp_path / "trace"), **settings) as node, Async(node) as scu:
        stream, open_n = b"", 0
        for i, m in enumerate(made, 1):
            if open_n == scu.granted:
                scu.send(stream)
                stream = b""
                assert {s for _, s in scu.answers(open_n)} == {0}
                open_n = 0
            stream += whole(m, i, chance.choice((1000, 4090, 16378, 131066)))
            open_n += 1
        scu.send(stream)
        assert {s for _, s in scu.answers(open_n)} == {0}
        scu.release()
        assert node.stop() == 0
        kept = Kept(node.root)
        assert not kept.disagreements()
        for m in made:
            assert kept.file(m.uid).data_set == m.data, m.uid
        assert order.check(order.Trace(order.read_trace(tmp_path / "trace"), node.root)) == []
