"""Association negotiation over the wire, where one byte decides: who is refused with which tuple, what
is not looked at, how many contexts, how long a PDU may be in either direction, and what is answered to
each user-information item. (Every class and transfer syntax: test_conformance.py.)
SPDX-License-Identifier: Apache-2.0
"""
import os
import random
import struct
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rawscu  # noqa: E402
from node import WAIT_S, Node  # noqa: E402
from p10 import EXPLICIT_LE, IMPLICIT_LE  # noqa: E402
from rawscu import AC, P_DATA, RJ, VERIFICATION, Ended, RawSCU, item, us  # noqa: E402
from test_malformed import data_set  # noqa: E402

SC = rawscu.SECONDARY_CAPTURE
ECHO = (VERIFICATION, [IMPLICIT_LE])
PEERS = """
[dicom]
check_called_ae = true
ae_aliases = ["ALIAS"]
[[peer]]
ae_title = "RAWSCU"
[[peer]]
ae_title = "ELSEWHERE"
from = ["192.0.2.0/24"]
[[peer]]
ae_title = "ONE"
max_associations = 1
[[peer]]
ae_title = "ECHOES"
services = ["echo"]
"""


@pytest.fixture(scope="module")
def node():
    with Node() as one:
        yield one
        assert one.stop() == 0


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A node that knows its peers and looks at its title."""
    conf = tmp_path_factory.mktemp("conf") / "sluice.toml"
    conf.write_text(PEERS)
    with Node(config=conf) as one:
        yield one
        assert one.stop() == 0


def how_it_ends(node, contexts=(ECHO,), called="SLUICE", calling="RAWSCU", **options):
    """"accepted" (an echo is answered), or "reject 1/1/7", "abort 2/6"."""
    with RawSCU("127.0.0.1", node.port, called, calling) as scu:
        try:
            scu.associate(list(contexts), **options)
        except Ended as end:
            return end.how
        if scu.find_context(VERIFICATION):
            assert scu.echo().status == 0
        scu.release()
        return "accepted"


def ask(node, rq):
    """(type, body) of the answer to the bytes of a request."""
    with RawSCU("127.0.0.1", node.port).connect() as scu:
        scu.send(rq)
        return scu.recv_pdu()


def user_items_for(node, asked, contexts=((SC, [EXPLICIT_LE]), ECHO)):
    """{type: [values]} of the answer's user information."""
    with RawSCU("127.0.0.1", node.port, "SLUICE") as scu:
        scu.associate(list(contexts), user_items=asked)
        out = {}
        for kind, value in scu.user_items():
            out.setdefault(kind, []).append(value)
        assert scu.echo().status == 0
        scu.release()
        return out


# ---- Who is refused --------------------------------------------------------------------------------

@pytest.mark.parametrize("options, want", [
    ({}, "accepted"),
    ({"called": "ALIAS"}, "accepted"),
    ({"called": "sluice"}, "reject 1/1/7"),
    ({"called": "ANY-SCP"}, "reject 1/1/7"),
    ({"called": " " * 16}, "reject 1/1/7"),
    ({"called": "\0" * 16}, "reject 1/1/7"),
    ({"calling": "rawscu"}, "reject 1/1/3"),
    ({"calling": "ELSEWHERE"}, "reject 1/1/3"),
    ({"calling": " " * 16}, "reject 1/1/3"),
    ({"calling": "A\\B"}, "reject 1/1/3"),
    ({"calling": "A\nB"}, "reject 1/1/3"),
    ({"application_context": "1.2.840.10008.3.1.1.9"}, "reject 1/1/2"),
    ({"application_context": ""}, "reject 1/1/2"),
    ({"version": 0}, "reject 1/2/2"),
    ({"version": 0xFFFE}, "reject 1/2/2"),
    ({"contexts": []}, "reject 1/1/1"),
    ({"version": 0, "called": "X", "calling": "X", "application_context": "1.2"}, "reject 1/2/2"),
])
def test_U5_refusals_by_tuple(strict, options, want):
    assert how_it_ends(strict, **options) == want


def test_U5_a_peer_has_as_many_associations_as_it_may(strict):
    with RawSCU("127.0.0.1", strict.port, "SLUICE", "ONE") as first:
        first.associate([ECHO])
        assert how_it_ends(strict, calling="ONE") == "reject 2/3/2"
        assert how_it_ends(strict, calling="RAWSCU") == "accepted"
        first.release()
    until = time.monotonic() + WAIT_S  # its place is free when the node has seen the end
    while (how := how_it_ends(strict, calling="ONE")) != "accepted" and time.monotonic() < until:
        assert how == "reject 2/3/2"
    assert how == "accepted"


def test_U5_what_a_peer_may_not_use_is_not_negotiated(strict):
    with RawSCU("127.0.0.1", strict.port, "SLUICE", "ECHOES") as scu:
        scu.associate([(SC, [EXPLICIT_LE]), ECHO])
        assert scu.results == {1: 3, 3: 0}
        scu.release()


def test_U5_each_refusal_is_in_the_log_with_its_cause(strict):
    causes = {}
    for calling, options in [("C1", {}), ("RAWSCU", {"called": "C2"}), ("RAWSCU", {"version": 2}),
                             ("RAWSCU", {"application_context": "1.2"}), ("ELSEWHERE", {})]:
        seen = len(strict.find("assoc.end"))
        how = how_it_ends(strict, calling=calling, **options)
        causes[strict.wait_line("assoc.end", seen + 1)["end"]] = how
    assert causes == {"refused:calling-ae": "reject 1/1/3", "refused:called-ae": "reject 1/1/7",
                      "refused:protocol-version": "reject 1/2/2",
                      "refused:application-context": "reject 1/1/2",
                      "refused:address": "reject 1/1/3"}


# ---- What is not looked at -------------------------------------------------------------------------

def with_noise(rq, seed):
    """A request whose reserved bytes are anything, at every level (PS3.8 9.3.2)."""
    chance = random.Random(seed)
    out = bytearray(rq)

    def noise(*places):
        for place in places:
            out[place] = chance.randrange(1, 256)

    def items(at, end):
        while at < end:
            kind, length = out[at], struct.unpack_from(">H", out, at + 2)[0]
            noise(at + 1)
            if kind == 0x20:
                noise(at + 5, at + 6, at + 7)
                items(at + 8, at + 4 + length)
            elif kind == 0x50:
                items(at + 4, at + 4 + length)
            at += 4 + length

    noise(1, 8, 9, *range(42, 74))
    items(74, len(out))
    return bytes(out)


@pytest.mark.parametrize("seed", range(8))
def test_U7_reserved_bytes_are_not_tested(node, seed):
    contexts = [(1, *ECHO), (3, SC, [EXPLICIT_LE, IMPLICIT_LE])]
    rq = with_noise(rawscu.associate_rq(contexts, "SLUICE", user_items=item(0x53, b"\0\1\0\1")), seed)
    assert ask(node, rq)[0] == AC


def test_U7_reserved_bytes_are_sent_as_zero(node):
    called, calling = b"  SLUICE        ", b"RAWSCU\0\0\0\0\0\0\0\0\0\0"
    rq = bytearray(rawscu.associate_rq([(1, *ECHO), (3, "1.2.840.10008.5.1.4.31", [IMPLICIT_LE])]))
    rq[10:26], rq[26:42] = called, calling
    kind, body = ask(node, bytes(rq))
    assert kind == AC
    assert body[:4] == b"\0\1\0\0" and body[36:68] == bytes(32)
    assert (body[4:20], body[20:36]) == (called, calling)  # as they came
    at = 68
    while at < len(body):
        length = struct.unpack_from(">H", body, at + 2)[0]
        assert body[at + 1] == 0
        if body[at] == 0x21:
            assert body[at + 5] == 0 and body[at + 7] == 0
        at += 4 + length


@pytest.mark.parametrize("version", [1, 3, 0x8001, 0xFFFF])
def test_U7_of_the_version_bit_0_alone_counts(node, version):
    assert how_it_ends(node, version=version) == "accepted"


@pytest.mark.parametrize("called, calling", [
    ("SLUICE", "RAWSCU"), (" SLUICE", "  RAWSCU"), ("SLUICE\0\0", "RAWSCU\0"),
    ("          SLUICE", "          RAWSCU")])
def test_U7_spaces_around_titles_mean_nothing(strict, called, calling):
    assert how_it_ends(strict, called=called, calling=calling) == "accepted"


# ---- Presentation contexts -------------------------------------------------------------------------

def test_U8_128_contexts_are_answered_each(node):
    ids = list(range(1, 256, 2))
    random.Random(8).shuffle(ids)
    contexts = [(pcid, *(ECHO if pcid == 255 else (SC, [EXPLICIT_LE]))) for pcid in ids]
    with RawSCU("127.0.0.1", node.port, "SLUICE") as scu:
        scu.associate(contexts)
        assert sorted(scu.accepted) == sorted(ids) and set(scu.results.values()) == {0}
        assert scu.echo(255).status == 0
        assert scu.cstore(data_set("1.2.8.1"), SC, "1.2.8.1", pcid=253).status == 0
        scu.release()


@pytest.mark.parametrize("ids, want", [
    ([1, 3, 255], "accepted"), ([255, 3, 1], "accepted"), ([2], "abort 2/6"), ([1, 0], "abort 2/6"),
    ([1, 3, 1], "abort 2/6"), (list(range(1, 256, 2)), "accepted")])
def test_U8_context_ids_are_odd_and_come_once(node, ids, want):
    assert how_it_ends(node, [(pcid, *ECHO) for pcid in ids]) == want


def test_U8_a_129th_context_makes_it_no_request(node):
    ids = [*range(1, 256, 2), 1]
    assert how_it_ends(node, [(pcid, *ECHO) for pcid in ids]) == "abort 0/0"  # AA-1


def test_U8_a_context_with_sixty_transfer_syntaxes(node):
    many = [f"1.2.3.4.{i}" for i in range(59)] + [EXPLICIT_LE]
    with RawSCU("127.0.0.1", node.port, "SLUICE") as scu:
        assert scu.associate([(SC, many)]) == {1: EXPLICIT_LE}
        scu.release()


def test_U8_contexts_are_judged_each_on_its_own_and_none_may_be_left(node):
    with RawSCU("127.0.0.1", node.port, "SLUICE") as scu:
        scu.associate([(SC, ["1.2.3"]), ("1.2.840.10008.5.1.4.31", [IMPLICIT_LE]), (SC, []),
                       ("no uid!", [IMPLICIT_LE])])
        assert scu.results == {1: 4, 3: 3, 5: 4, 7: 3}
        scu.release()


# ---- Maximum length --------------------------------------------------------------------------------

def answer_lengths(node, max_pdu, **options):
    """PDU lengths and fragment lengths of an echo's answer, and of a refusal with a long comment."""
    with RawSCU("127.0.0.1", node.port, "SLUICE") as scu:
        scu.associate([ECHO, (SC, [EXPLICIT_LE])], max_pdu=max_pdu, **options)
        pdus, fragments, answered = [], [], 0
        scu.send_command(1, {0x0002: VERIFICATION, 0x0100: 0x0030, 0x0110: 1, 0x0800: 0x0101})
        scu.send_command(3, scu.store_rq(SC, "1.2.9"))
        scu.send_data_set(3, data_set("1.2.9.1"))
        while answered < 2:
            kind, body = scu.recv_pdu()
            assert kind == P_DATA
            pdus.append(len(body))
            at = 0
            while at < len(body):
                length, _, header = struct.unpack_from(">IBB", body, at)
                fragments.append(length - 2)
                answered += header & 2 == 2
                at += 4 + length
        scu.release()
        return pdus, fragments


@pytest.mark.parametrize("max_pdu", [0, 7, 8, 9, 13, 64, 128, 4096, 16384, 0xFFFFFFFF])
def test_U9_our_answers_obey_the_peers_maximum(node, max_pdu):
    pdus, fragments = answer_lengths(node, max_pdu)
    assert max(pdus) <= (max_pdu or 1 << 20)
    assert sum(fragments) > 180
    if max_pdu > 7:  # at 7 there is room for one byte
        assert all(n % 2 == 0 for n in fragments)


def test_U9_without_a_maximum_length_the_association_still_works(node):
    assert max(answer_lengths(node, None)[0]) <= 16384


@pytest.mark.parametrize("max_pdu", [1, 2, 6])
def test_U9_a_maximum_too_short_for_any_answer_is_refused(node, max_pdu):
    assert how_it_ends(node, max_pdu=max_pdu) == "reject 1/1/1"


@pytest.mark.parametrize("ours", [4096, 131072])
def test_U9_a_PDU_may_be_as_long_as_we_say_and_no_longer(ours):
    with Node(dicom__max_pdu=ours) as node:
        for excess, want in [(0, "0000"), (1, "abort 2/6"), (2, "abort 2/6")]:
            uid = f"1.2.10.{excess}"
            data = data_set(uid, b"\xe0\x7f\x10\0OB\0\0" + struct.pack("<I", 3 * ours) + bytes(3 * ours))
            with RawSCU("127.0.0.1", node.port, "SLUICE") as scu:
                scu.associate([(SC, [EXPLICIT_LE])])
                assert scu.peer_max_pdu == ours
                try:
                    got = "%04X" % scu.cstore(data, SC, uid, pdv_size=ours - 6 + excess).status
                    scu.release()
                except Ended as end:
                    got = end.how
                assert got == want, excess
        assert how_it_ends(node) == "accepted"
        with RawSCU("127.0.0.1", node.port, "SLUICE") as scu:
            scu.associate([(SC, [EXPLICIT_LE])])
            scu.send(rawscu.pdu(P_DATA, b"", 0xFFFFFFFF))
            with pytest.raises(Ended, match="abort 2/6"):
                scu.recv_message()
        assert node.stop() == 0


# ---- User information ------------------------------------------------------------------------------

def test_U10_unknown_items_are_passed_over(node):
    empty = b"".join(item(kind, b"") for kind in range(0x5A, 0x100))
    assert set(user_items_for(node, empty)) == {0x51, 0x52, 0x55}
    assert set(user_items_for(node, item(0x5A, bytes(60000)))) == {0x51, 0x52, 0x55}


@pytest.mark.parametrize("invoked, performed", [(0, 0), (1, 1), (5, 3), (65535, 65535)])
def test_D6_the_window_is_the_smaller_of_both(node, invoked, performed):
    got = user_items_for(node, item(0x53, struct.pack(">HH", invoked, performed)))
    ours = 8  # dicom.async_window; 0 asks for as many as we like
    assert got[0x53] == [struct.pack(">HH", min(invoked or ours, ours), min(performed or ours, ours))]


def test_D6_without_being_asked_nothing_is_said_and_operations_are_synchronous(node):
    assert 0x53 not in user_items_for(node, b"")
    with RawSCU("127.0.0.1", node.port, "SLUICE") as scu:
        scu.associate([(SC, [EXPLICIT_LE])])
        for i in range(5):  # all at once: each waits for the one before, and keeps its number
            scu.send_command(1, scu.store_rq(SC, f"1.2.11.{i}", 100 + i))
            scu.send_data_set(1, data_set(f"1.2.11.{i}"))
        answers = [scu.recv_response() for _ in range(5)]
        assert [(us(a.command, 0x0120), a.status) for a in answers] == [(100 + i, 0) for i in range(5)]
        scu.release()


def role(uid, scu, scp):
    return item(0x54, struct.pack(">H", len(uid)) + uid.encode() + bytes([scu, scp]))


@pytest.mark.parametrize("asked, want", [((1, 0), (1, 0)), ((1, 1), (1, 0)), ((0, 1), (0, 0)),
                                         ((0, 0), (0, 0))])
def test_D7_roles_are_answered_and_the_association_stands(node, asked, want):
    got = user_items_for(node, role(SC, *asked))
    assert got[0x54] == [role(SC, *want)[4:]]


def test_D7_a_role_for_a_class_in_no_context_has_no_answer(node):
    assert 0x54 not in user_items_for(node, role("1.2.840.10008.5.1.4.1.1.2", 1, 1))
    assert 0x54 not in user_items_for(node, b"")


def test_D8_extended_negotiation_of_storage_says_level_2_and_no_coercion(node):
    asked = struct.pack(">H", len(SC)) + SC.encode()
    got = user_items_for(node, item(0x56, asked + bytes([0, 0, 0, 0, 1, 0])))
    assert got[0x56] == [asked + bytes([2, 0, 3, 0, 0, 0])]
    common = item(0x57, asked + struct.pack(">H", 17) + b"1.2.840.10008.4.2" + b"\0\0")
    assert set(user_items_for(node, common)) == {0x51, 0x52, 0x55}


def identity(kind, wants, first, second=b""):
    return item(0x58, bytes([kind, wants]) + struct.pack(">H", len(first)) + first
                + struct.pack(">H", len(second)) + second)


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize("length", [0, 1, 60000])
def test_D8_identities_are_taken_and_answered_only_where_asked(node, kind, length):
    first = b"n" * length
    second = b"p" * min(length, 4000) if kind == 2 else b""
    assert 0x59 not in user_items_for(node, identity(kind, 0, first, second))
    answer = user_items_for(node, identity(kind, 1, first, second)).get(0x59)
    assert answer == ([b"\0\0"] if kind in (1, 2) else None)


def test_D8_names_and_passcodes_are_not_in_the_log():
    secrets = [identity(2, 1, b"N4ME0FUSER", b"S3CRETCODE"), identity(5, 0, b"T0KEN.OF.JWT")]
    with Node(log__level="debug") as node:
        for i, secret in enumerate(secrets):
            with RawSCU("127.0.0.1", node.port, "SLUICE") as scu:
                scu.associate([(SC, [EXPLICIT_LE])], user_items=secret)
                uid = f"1.2.12.{i}"
                assert scu.cstore(data_set(uid), SC, uid).status == 0
                scu.release()
        node.wait_line("assoc.end", 2)
        assert node.stop() == 0
        log = node.log()
        assert not [word for word in ("N4ME0FUSER", "S3CRETCODE", "T0KEN") if word in log]


def test_D9_the_answer_names_us_and_a_request_need_not_name_its_maker(node):
    user = user_items_for(node, b"")
    assert 1 <= len(user[0x55][0]) <= 16 and user[0x52][0].startswith(b"2.25.")
    rq = rawscu.associate_rq([(1, *ECHO)], "SLUICE", "NAMELESS")
    named = item(0x52, rawscu.IMPLEMENTATION_UID.encode())
    bare = rq.replace(named, b"")
    at = bare.index(b"\x50\0", 74)
    bare = bytearray(bare)
    struct.pack_into(">H", bare, at + 2, len(bare) - at - 4)
    struct.pack_into(">I", bare, 2, len(bare) - 6)
    with RawSCU("127.0.0.1", node.port).connect() as scu:
        scu.send(bytes(bare))
        kind, body = scu.recv_pdu()
        assert kind == AC
        scu._read_ac(body)
        scu.proposed = {1: VERIFICATION}
        assert scu.echo().status == 0
        scu.release()


def test_U5_a_refusal_has_four_bytes_and_then_the_connection_is_ours_to_close(strict):
    kind, body = ask(strict, rawscu.associate_rq([(1, *ECHO)], "NOBODY"))
    assert (kind, body) == (RJ, b"\0\1\1\7")
