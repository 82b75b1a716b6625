"""The conformance statement against the running node: every SOP class with every transfer syntax, the
order of choice, the parameters of the association, every refusal and every status is provoked on the
wire and compared with what --print-conformance says. What cannot be provoked may not be stated.
SPDX-License-Identifier: Apache-2.0
"""
import errno
import os
import random
import struct
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rawscu  # noqa: E402
from preload import preload  # noqa: E402
from node import Node  # noqa: E402
from p10 import EXPLICIT_LE, IMPLICIT_LE  # noqa: E402
from rawscu import NO_DATA_SET, VERIFICATION, Ended, RawSCU, Rejected  # noqa: E402
from statement import Statement  # noqa: E402
from test_malformed import data_set, nested  # noqa: E402

SC = rawscu.SECONDARY_CAPTURE
PRIVATE = "1.2.826.0.1.3680043.10.1234.7"  # a SOP class, or a transfer syntax, that nobody knows
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


def propose(node, contexts, **options):
    """{pcid: (result, transfer syntax or None)} for [(abstract syntax, [transfer syntaxes])]."""
    with RawSCU("127.0.0.1", node.port, "SLUICE") as scu:
        scu.associate(contexts, **options)
        scu.release()
        assert sorted(scu.results) == sorted(scu.proposed)
        return {pcid: (result, scu.accepted.get(pcid)) for pcid, result in scu.results.items()}


def results(node, contexts):
    """The results of any number of contexts, over as many associations as they need."""
    out = []
    for at in range(0, len(contexts), 128):
        answer = propose(node, contexts[at:at + 128])
        out += [answer[pcid] for pcid in sorted(answer)]
    return out


# ---- Presentation contexts -------------------------------------------------------------------------

@pytest.mark.parametrize("unknown", ["true", "false"])
def test_S11_U8_every_class_and_transfer_syntax_is_negotiated_as_stated(unknown):
    settings = {"dicom__accept_unknown_sop_classes": unknown}
    begun, s = time.monotonic(), Statement(**settings)
    taken, refused = s.classes(), s.refused_classes()
    good, bad = [uid for _, uid in s.syntaxes()], s.refused_syntaxes() + [PRIVATE, "not.a.uid!"]
    assert len(taken) > 200 and len(good) > 50 and not set(taken) & set(refused)
    asked, want = [], []
    for uid in taken:
        asked += [(uid, [ts]) for ts in good + bad]
        want += [(0, ts) for ts in good] + [(4, None)] * len(bad)
    for uid in refused:
        asked += [(uid, [IMPLICIT_LE]), (uid, [EXPLICIT_LE, IMPLICIT_LE])]
        want += [(3, None)] * 2
    stated = "accepted as storage SOP classes" in s.section("N.1.1")
    assert stated == (unknown == "true")
    asked.append((PRIVATE, [EXPLICIT_LE]))
    want.append((0, EXPLICIT_LE) if stated else (3, None))
    with Node(**settings) as node:
        got = results(node, asked)
        assert [(a, g, w) for a, g, w in zip(asked, got, want) if g != w][:5] == []
        assert node.stop() == 0
    print(f"\nunknown classes {unknown}: {len(taken)} classes x {len(good) + len(bad)} transfer syntaxes,"
          f" {len(refused)} refused classes: {len(asked)} contexts, {time.monotonic() - begun:.1f} s")


def expected_choice(order, offered):
    """The least rank; of equal ones what the requestor named first."""
    known = [ts for ts in offered if ts in order]
    return min(known, key=lambda ts: order[ts], default=None)


@pytest.mark.parametrize("prefer", [[], ["1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.80"]])
def test_S11_one_context_with_several_transfer_syntaxes_gets_the_first_of_the_order(prefer):
    settings = {"dicom__prefer": str(prefer).replace("'", '"')}
    s = Statement(**settings)
    order = {uid: rank for rank, uid in s.syntaxes()}
    assert [uid for _, uid in s.syntaxes()][:len(prefer)] == prefer
    chance = random.Random(8)
    offers = [chance.sample(list(order), chance.randint(2, 20)) for _ in range(380)]
    offers += [list(order)[at:] for at in range(0, len(order), 10)] + [list(order)[::-1]]
    offers += [[PRIVATE, *chance.sample(list(order), 2), "not.a.uid!"]]
    asked = [(chance.choice(list(s.classes())[1:]), offer) for offer in offers]
    with Node(**settings) as node:
        got = results(node, asked)
        want = [(0, expected_choice(order, offer)) for _, offer in asked]
        assert [(a, g, w) for a, g, w in zip(asked, got, want) if g != w][:3] == []
        # an echo has no image: preference says nothing about it
        assert results(node, [(VERIFICATION, list(order)[::-1])]) == [(0, EXPLICIT_LE)]
        assert node.stop() == 0


# ---- Parameters of the association -----------------------------------------------------------------

def test_S11_D9_the_answer_carries_the_parameters_stated():
    s = Statement(dicom__max_pdu="65536")
    p = s.parameters()
    window = rawscu.item(0x53, struct.pack(">HH", 9, 0))
    roles = b"".join(rawscu.item(0x54, struct.pack(">H", len(SC)) + SC.encode() + bytes(roles))
                     for roles in [(1, 1)])
    level = rawscu.item(0x56, struct.pack(">H", len(SC)) + SC.encode() + bytes([2, 0, 3, 0, 1, 0]))
    with Node(dicom__max_pdu="65536") as node, RawSCU("127.0.0.1", node.port, "SLUICE") as scu:
        scu.associate([(SC, [EXPLICIT_LE])], user_items=window + roles + level)
        items = scu.user_items()
        user = dict(items)
        assert len(user) == len(items) == 6
        assert p["Maximum PDU Length received"] == f"{scu.peer_max_pdu} bytes" == "65536 bytes"
        assert p["Implementation Class UID"] == user[0x52].decode()
        assert p["Implementation Version Name"] == user[0x55].decode()
        assert p["Asynchronous operations window, where asked for"] == \
            "%d,%d" % struct.unpack(">HH", user[0x53])
        assert user[0x54][-2:] == b"\1\0"  # SCU as asked; SCP only beside a C-GET model
        length = struct.unpack(">H", user[0x56][:2])[0]
        assert user[0x56][2:2 + length].decode() == SC
        assert p["Level of Conformance"].startswith(str(user[0x56][2 + length]))
        assert p["Level of Digital Signature Support"].startswith(str(user[0x56][2 + length + 2]))
        assert user[0x56][2 + length + 4] == 0 and p["Attribute coercion"] == "none"
        application = dict(scu.items(scu.associate_ac[68:]))[0x10].decode()
        assert p["Application Context Name"] == application
        scu.release()


def test_S11_U8_the_limits_stated_hold():
    s = Statement(dicom__max_associations=3)
    p = s.parameters()
    contexts, syntaxes = int(p["Presentation contexts"]), int(p["Transfer syntaxes in one context"])
    longest = int(p["Longest A-ASSOCIATE PDU"].split()[0])
    bare = len(rawscu.associate_rq([(1, VERIFICATION, [IMPLICIT_LE])])) - 6
    with Node(dicom__max_associations=3) as node:
        assert len(propose(node, [(SC, [EXPLICIT_LE])] * contexts)) == contexts == 128
        many = ["1.2.3.%d" % i for i in range(syntaxes - 1)] + [EXPLICIT_LE]
        assert propose(node, [(SC, many)]) == {1: (0, EXPLICIT_LE)}
        with pytest.raises(Ended, match="abort 0/0"):  # before the association: AA-1
            propose(node, [(SC, ["1.2.3.999"] + many)])
        fill = rawscu.item(0xF0, bytes(longest - bare - 8)) + rawscu.item(0xF0, b"")
        assert propose(node, [(VERIFICATION, [IMPLICIT_LE])], user_items=fill) == {1: (0, IMPLICIT_LE)}
        with pytest.raises(Ended, match="abort 0/0"):
            propose(node, [(VERIFICATION, [IMPLICIT_LE])], user_items=fill + rawscu.item(0xF0, b""))
        assert p["Simultaneous associations"] == "3"
        open_ones = [RawSCU("127.0.0.1", node.port, "SLUICE") for _ in range(3)]
        for scu in open_ones:
            scu.associate([(VERIFICATION, [IMPLICIT_LE])])
        with pytest.raises(Rejected, match="reject 2/3/2"):
            propose(node, [(VERIFICATION, [IMPLICIT_LE])])
        for scu in open_ones:
            assert scu.echo().status == 0
            scu.release()
        assert node.stop() == 0


def test_S11_title_and_port_are_those_of_the_node():
    with Node(dicom__ae_title="OTHER") as node:
        s = Statement(dicom__ae_title="OTHER", dicom__port=node.port)
        row = s.table("N.4")[0]
        assert row[1:] == ["OTHER (configurable)", f"{node.port} (configurable)", "No", "Yes"]


# ---- Refusals --------------------------------------------------------------------------------------

ONE = [(VERIFICATION, [IMPLICIT_LE])]
REFUSALS = {  # beginning of the condition: how to meet it
    "bit 0 of the protocol version": dict(version=2),
    "the application context": dict(application_context="1.2.840.10008.3.1.1.2"),
    "the calling AE title": dict(calling="STRANGER"),
    "the called AE title": dict(called="NOBODY"),
    "a presentation context ID": dict(contexts=[(1, *ONE[0]), (1, *ONE[0])]),
    "no presentation context": dict(contexts=[]),
    "the requestor's Maximum Length": dict(max_pdu=6),
}
ELSEWHERE = {  # refusals that need a state of the node, and where that is provoked
    "the node, or this peer, has as many": "test_S11_U8_the_limits_stated_hold",
    "the buffers are too short": "test_S11_U5_a_node_that_stops_says_so",
}


def test_S11_U5_each_refusal_stated_is_the_one_answered(tmp_path):
    conf = tmp_path / "sluice.toml"
    conf.write_text('[dicom]\ncheck_called_ae = true\n[[peer]]\nae_title = "RAWSCU"\n')
    s = Statement(config=conf)
    met = set()
    assert s.parameters()["Called AE Title"].startswith("checked")
    with Node(config=conf) as node:
        for answer, tuple_, condition in s.refusals():
            how = next((how for begin, how in REFUSALS.items() if condition.startswith(begin)), None)
            if how is None:
                assert any(condition.startswith(begin) for begin in ELSEWHERE), condition
                continue
            numbers = tuple_.split(", ")
            want = "reject " + "/".join(numbers) if answer == "A-ASSOCIATE-RJ" else \
                "abort " + "/".join(numbers[1:])
            options = dict({"called": "SLUICE", "calling": "RAWSCU", "contexts": ONE}, **how)
            with RawSCU("127.0.0.1", node.port) as scu, pytest.raises(Ended) as ended:
                scu.associate(options.pop("contexts"), **options)
            assert ended.value.how == want, condition
            met.add(condition)
        assert len(met) == len(REFUSALS)
        assert propose(node, ONE) == {1: (0, IMPLICIT_LE)}
        assert node.stop() == 0


def asks_a_stopping_node(node):
    """How a request is answered whose first half came before the order to stop."""
    rq = rawscu.associate_rq([(1, *ONE[0])], "SLUICE")
    with RawSCU("127.0.0.1", node.port, "SLUICE") as busy, \
            RawSCU("127.0.0.1", node.port).connect() as asking:
        busy.associate([(SC, [EXPLICIT_LE]), *ONE])
        asking.send(rq[:50])
        assert busy.echo().status == 0  # one loop: it has read both
        busy.send_command(1, busy.store_rq(SC, "1.2.3"))
        node.process.terminate()
        try:
            while True:  # the listener closes when the loop has heard of it
                RawSCU("127.0.0.1", node.port).connect().close()
        except OSError:
            pass
        try:
            asking.send(rq[50:])
            kind, body = asking.recv_pdu()
        except Ended as end:
            return end.how
        busy.abort()
        return kind, tuple(body[1:])


def test_S11_U5_a_node_that_stops_says_so():
    for _ in range(20):  # it gives a half request half a second, which may be over
        with Node() as node:
            how = asks_a_stopping_node(node)
            assert node.wait() == 0
        if how not in ("closed", "reset"):
            break
    assert how == (rawscu.RJ, (2, 3, 1))


# ---- Statuses --------------------------------------------------------------------------------------

class Statuses:
    """Provokes statuses one by one and collects what was answered, by service."""

    def __init__(self):
        self.store, self.echo = set(), set()
        self.n = 0

    def uid(self):
        self.n += 1
        return f"1.2.9.{self.n}"

    @staticmethod
    def open(node):
        scu = RawSCU("127.0.0.1", node.port, "SLUICE")
        scu.associate([(SC, [EXPLICIT_LE]), (VERIFICATION, [IMPLICIT_LE])])
        return scu

    def stored(self, scu, data, uid, want, **changes):
        """One C-STORE whose command has `changes`: {element number or name: value}."""
        command = scu.store_rq(SC, uid)
        command.update({int(k.strip("e"), 16): v for k, v in changes.items()})
        command = {k: v for k, v in command.items() if v is not None}
        scu.send_command(1, command)
        if rawscu.us(rawscu.parse_command(rawscu.command_bytes(command)), 0x0800) != NO_DATA_SET:
            scu.send_data_set(1, data)
        response = scu.recv_response()
        assert "%04X" % response.status == want, (want, response.comment)
        assert want == "0000" or response.comment
        self.store.add(want)

    def echoed(self, scu, want, pcid=3, **changes):
        command = {0x0002: VERIFICATION, 0x0100: rawscu.C_ECHO_RQ, 0x0110: scu.next_message_id(),
                   0x0800: NO_DATA_SET}
        command.update({int(k.strip("e"), 16): v for k, v in changes.items()})
        scu.send_command(pcid, {k: v for k, v in command.items() if v is not None})
        response = scu.recv_response()
        assert "%04X" % response.status == want, response.comment
        self.echo.add(want)

    def while_open(self, scu, second):
        """The message ID of an open C-STORE, used again in the same write: 0210, unless the disk was
        quicker than the loop, which then happens again."""
        for _ in range(200):
            uid = self.uid()
            rq, data = scu.store_rq(SC, uid), data_set(uid)
            pdus = rawscu.p_data_pdus(1, True, rawscu.command_bytes(rq), 9999)
            pdus += rawscu.p_data_pdus(1, False, data, 9999)
            pcid, again = second(self.uid(), rq[0x0110])
            pdus += rawscu.p_data_pdus(pcid, True, rawscu.command_bytes(again), 9999)
            if again[0x0800] != NO_DATA_SET:
                pdus += rawscu.p_data_pdus(pcid, False, data_set(again[0x1000]), 9999)
            scu.send(b"".join(pdus))
            statuses = sorted(scu.recv_response().status for _ in range(2))
            if statuses == [0x0000, 0x0210]:
                return "0210"
            assert statuses == [0, 0]
        return "never"


def provoke_by_command(t, node):
    """What commands and data sets can bring about on a healthy node."""
    scu = t.open(node)
    uid, other = t.uid(), t.uid()
    t.stored(scu, data_set(uid), uid, "0000")
    t.stored(scu, data_set(uid), uid, "0000")
    t.stored(scu, data_set(uid, study="1.2.99"), uid, "0111")
    t.stored(scu, data_set(uid), other, "A900")
    t.stored(scu, data_set(uid), uid, "0122", e0002="1.2.840.10008.5.1.4.1.1.2")
    t.stored(scu, b"", uid, "C001", e0800=NO_DATA_SET)
    t.stored(scu, data_set(uid), None, "C000")
    t.stored(scu, data_set("../x"), uid, "C000")
    t.stored(scu, data_set(uid), uid, "0211", e0100=0x0020)
    t.stored(scu, data_set(other, nested(33)), other, "C010")
    t.stored(scu, data_set(other, b"\x21\0\0\x10UT\0\0\x02\0\x01\0" + bytes(65538)), other, "C011")
    t.echoed(scu, "0000")
    t.echoed(scu, "0122", e0002=SC)
    t.echoed(scu, "0211", e0100=0x0021)
    t.echoed(scu, "0211", e0002=SC, pcid=1)
    t.echoed(scu, "0212", e0002=None)

    def store_again(uid, message_id):
        return 1, scu.store_rq(SC, uid, message_id)

    def echo_again(_, message_id):
        return 3, {0x0002: VERIFICATION, 0x0100: rawscu.C_ECHO_RQ, 0x0110: message_id,
                   0x0800: NO_DATA_SET}
    t.store.add(t.while_open(scu, store_again))
    t.echo.add(t.while_open(scu, echo_again))
    scu.release()


def provoke_by_state(t):
    """What needs a disk that is full, that fails, or that lost something; and a switch."""
    with Node(storage__unsound="warn") as node:
        scu, uid = t.open(node), t.uid()
        t.stored(scu, data_set(uid) + b"\x40\0", uid, "B007")
        uid = t.uid()
        t.stored(scu, data_set(uid), uid, "0000")
        scu.release()
        assert node.stop() == 0
        os.unlink(next(path for path in node.archive() if path.endswith(f"/{uid}.dcm")))
        node.start()
        scu = t.open(node)
        t.stored(scu, data_set(uid), uid, "0110")
        scu.release()
    marks = {"storage__low_watermark": "free 902TiB", "storage__high_watermark": "free 901TiB",
             "storage__full_watermark": "free 900TiB"}
    with Node(storage__reserve_max=0, **marks) as node:
        scu, uid = t.open(node), t.uid()
        t.stored(scu, data_set(uid), uid, "A700")
        t.echoed(scu, "0000")
        scu.release()
    with Node(env=preload(fail=f"pwritev,*/spool/*,1,{errno.EIO}")) as node:
        scu, uid = t.open(node), t.uid()
        t.stored(scu, data_set(uid), uid, "A702")
        t.stored(scu, data_set(uid), uid, "0000")
        scu.release()


def test_S11_D3_D4_every_status_stated_is_answered_and_no_other():
    s, t = Statement(), Statuses()
    with Node(dicom__max_value="64KiB", storage__duplicates="refuse") as node:
        provoke_by_command(t, node)
        assert node.stop() == 0
    provoke_by_state(t)
    assert sorted(t.store) == sorted(s.statuses("N.7.3.2.5"))
    assert sorted(t.echo) == sorted(s.statuses("N.7.3.2.1"))


def test_S11_what_the_statement_says_is_not_supported_is_refused():
    s = Statement()
    assert "Not supported" in s.section("N.1.2")
    with Node() as node:
        assert results(node, [(STUDY_FIND, [EXPLICIT_LE]),
                              ("1.2.840.10008.1.20.1", [EXPLICIT_LE])]) == [(3, None)] * 2
