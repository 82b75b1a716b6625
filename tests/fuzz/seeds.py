"""Writes starting inputs for the fuzz targets: seeds.py FOLDER makes a folder in FOLDER for each.

By hand and from the DICOM files of the corpus (../shared/corpus, $SLUICE_CORPUS). tools/fuzz calls it.
SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import struct
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


def element(number, value):
    value += b"\0" * (len(value) & 1)
    return struct.pack("<HHI", 0, number, len(value)) + value


def us(number, value):
    return element(number, struct.pack("<H", value))


def command(*elements):
    """A command set with its group length."""
    body = b"".join(elements)
    return element(0, struct.pack("<I", len(body))) + body


STORE = command(element(0x0002, b"1.2.840.10008.5.1.4.1.1.2"), us(0x0100, 1), us(0x0110, 7),
                us(0x0700, 0), us(0x0800, 0), element(0x1000, b"1.2.3"),
                element(0x1030, b"MOVER"), us(0x1031, 3))
ECHO = command(element(0x0002, b"1.2.840.10008.1.1"), us(0x0100, 0x30), us(0x0110, 8),
               us(0x0800, 0x0101))
CANCEL = command(us(0x0100, 0x0FFF), us(0x0120, 7), us(0x0800, 0x0101))
RSP = command(us(0x0100, 0x8001), us(0x0120, 7), us(0x0800, 0x0101), us(0x0900, 0xC000),
              element(0x0901, b"\0\0\0\x10"), element(0x0902, b"why"))


def slices(pcid, is_command, value, step):
    """As fuzz_msg.c reads them: context, flags (1 command, 2 last, 4 end of fragment), length, bytes."""
    out = b""
    for at in range(0, len(value), step):
        piece = value[at:at + step]
        flags = is_command | 2 | (4 if at + step >= len(value) else 0)
        out += bytes([pcid, flags, len(piece)]) + piece
    return out


def meta(number, vr, value):
    value += b"\0" * (len(value) & 1)
    head = struct.pack("<HH", 2, number) + vr
    return head + (struct.pack("<HI", 0, len(value)) if vr == b"OB" else
                   struct.pack("<H", len(value))) + value


PART10 = bytes(128) + b"DICM" + b"".join([
    meta(0x00, b"UL", bytes(4)), meta(0x01, b"OB", b"\0\1"), meta(0x02, b"UI", b"1.2.3"),
    meta(0x03, b"UI", b"1.2.4"), meta(0x10, b"UI", b"1.2.840.10008.1.2"),
    meta(0x12, b"UI", b"1.9"), meta(0x16, b"AE", b"OTHER"), meta(0x100, b"UI", b"1.8"),
    meta(0x102, b"OB", bytes(64))]) + b"\x08\0\x05\0CS\0\0"


def item(kind, value):
    return struct.pack(">BBH", kind, 0, len(value)) + value


def uid16(value):
    return struct.pack(">H", len(value)) + value


def pdu(kind, value):
    return struct.pack(">BBI", kind, 0, len(value)) + value


TITLES = b"\0\1\0\0" + b"ANY-SCP".ljust(16) + b"STORESCU".ljust(16) + bytes(32)
USER = item(0x50, b"".join([
    item(0x51, struct.pack(">I", 16384)), item(0x52, b"1.2.3"), item(0x53, b"\0\1\0\1"),
    item(0x54, uid16(b"1.4") + b"\1\1"), item(0x55, b"NAME"), item(0x56, uid16(b"1.4") + b"\2\0"),
    item(0x57, uid16(b"1.5") + uid16(b"1.6") + uid16(uid16(b"1.7") + uid16(b"1.8"))),
    item(0x58, b"\2\1" + uid16(b"user") + uid16(b"pass")), item(0x59, uid16(b"reply")),
    item(0x7F, b"?")]))
RQ = pdu(1, TITLES + item(0x10, b"1.2.840.10008.3.1.1.1") + item(
    0x20, b"\1\0\0\0" + item(0x30, b"1.2.840.10008.1.1") + item(0x40, b"1.2.840.10008.1.2")) + USER)
AC = pdu(2, TITLES + item(0x21, b"\1\0\0\0" + item(0x40, b"1.2.840.10008.1.2")) + item(
    0x21, b"\3\0\3\0" + item(0x40, b"")) + USER)
PDATA = pdu(4, struct.pack(">IBB", 6, 1, 3) + b"abcd" + struct.pack(">IBB", 3, 1, 0) + b"e")
FOURS = b"".join(pdu(kind, b"\0\1\2\3") for kind in (3, 5, 6, 7))

TEXTS = [
    b"ISO 2022 IR 13\\ISO 2022 IR 87\\ISO 2022 IR 159\n" +
    b"\xd4\xcf=\x1b$B;3ED\x1b(J^\x1b$(D\x22\x6f\x1b(J=\x1b$B$d$^\x1b(J",
    b"\\ISO 2022 IR 149\nHong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
    b"ISO 2022 IR 100\\ISO 2022 IR 126\\ISO 2022 IR 58\n\xe9\x1b-F\xe4\r\n\x1b$)A\xd5\xc5\\\xe9",
    b"gb18030\nWang=\xcd\xf5^\x81\x30\x81\x30\x95\x32\x82\x36\xfe\x51",
    "utf-8\nM\u00fcLLER \ufdfa \u1e9e ^^ \u304b\u3099\ud64d \uff76\uff9e".encode(),
    b"ISO-IR 166\n\xb9\xd2\xc1\xca\xa1\xd8\xc5^\xaa\xd7\xe8\xcd",
]

SEEDS = {
    "fuzz_pdu": [bytes([split]) + p for split in (0, 4, 28)
                 for p in (RQ, AC, PDATA, FOURS, RQ + PDATA + FOURS)],
    "fuzz_cmd": [STORE, ECHO, CANCEL, RSP],
    "fuzz_msg": [slices(1, 1, STORE, 200) + slices(1, 0, b"data" * 30, 50) + slices(3, 1, ECHO, 9),
                 slices(3, 1, CANCEL, 255) + slices(3, 1, RSP, 255)],
    "fuzz_p10": [PART10],
    "fuzz_text": [bytes([choice]) + text for choice in (0, 0x73) for text in TEXTS],
}


# ---- the corpus, if it is there ----

def small_files(below):
    """(path, bytes) of the files of less than so many bytes, smallest first."""
    root = Path(os.environ.get("SLUICE_CORPUS", TOP.parent / "shared" / "corpus"))
    found = [f for f in root.rglob("*") if f.is_file() and 132 < f.stat().st_size < below]
    for f in sorted(found, key=lambda f: (f.stat().st_size, f)):
        yield f, f.read_bytes()


def meta_of(part10):
    """Where the data set begins, and the values of group 0002; None for what is not Part 10."""
    if part10[128:132] != b"DICM":
        return None
    at, values = 132, {}
    while part10[at:at + 2] == b"\2\0":
        is_long = part10[at + 4:at + 6] in (b"OB", b"UN")
        head = 12 if is_long else 8
        size = int.from_bytes(part10[at + head - (4 if is_long else 2):at + head], "little")
        values[part10[at + 2] | part10[at + 3] << 8] = part10[at + head:at + head + size].rstrip(b"\0 ")
        at += head + size
    return at, values


def data_set(part10):
    """A data set as fuzz_elem.c reads it."""
    found = meta_of(part10)
    if not found:
        return None
    at, values = found
    kind = {b"1.2.840.10008.1.2": 0, b"1.2.840.10008.1.2.2": 3,
            b"1.2.840.10008.1.2.1.99": 5}.get(values.get(0x10), 1)
    return bytes([kind, at & 0xFF]) + part10[at:]


def text_values():
    """Person names of the corpus with their character sets, as fuzz_text.c reads them."""
    for _, part10 in small_files(12000):
        sets = re.search(rb"\x08\0\x05\0CS(..)", part10, re.DOTALL)
        name = re.search(rb"\x10\0\x10\0PN(..)", part10, re.DOTALL)
        if sets and name:
            values = [part10[m.end():m.end() + int.from_bytes(m[1], "little")] for m in (sets, name)]
            yield b"\1" + b"\n".join(values)


# ---- dialogues: two bytes of choices, then all that a peer sends ----

CT = b"1.2.840.10008.5.1.4.1.1.2"
SYNTAXES = [b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.2"]


def pcontext(number, abstract, transfers):
    body = item(0x30, abstract) + b"".join(item(0x40, uid) for uid in transfers)
    return item(0x20, bytes([number, 0, 0, 0]) + body)


def request(*contexts, user=b"", title=b"SLUICE"):
    """An A-ASSOCIATE-RQ."""
    head = b"\0\1\0\0" + title.ljust(16) + b"FUZZ".ljust(16) + bytes(32)
    user = item(0x50, item(0x51, struct.pack(">I", 4096)) + item(0x52, b"1.2.3") + user)
    return pdu(1, head + item(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(contexts) + user)


def pdata(number, control, value):
    return pdu(4, struct.pack(">IBB", len(value) + 2, number, control) + value)


def store(number, message, uid, value, step=16000, cls=CT):
    """A C-STORE-RQ and its data set in fragments."""
    out = pdata(number, 3, command(
        element(0x0002, cls), us(0x0100, 1), us(0x0110, message), us(0x0700, 0), us(0x0800, 0), element(0x1000, uid)))
    for at in range(0, len(value), step):
        out += pdata(number, 2 if at + step >= len(value) else 0, value[at:at + step])
    return out


def echo(number, message):
    return pdata(number, 3, command(
        element(0x0002, b"1.2.840.10008.1.1"), us(0x0100, 0x30), us(0x0110, message), us(0x0800, 0x0101)))


def explicit(group, number, vr, value):
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) & 1)
    return struct.pack("<HH", group, number) + vr + struct.pack("<H", len(value)) + value


def ct_slice(uid, pixels=200, name=b"A^B", study=b"1.2.4"):
    return b"".join([
        explicit(8, 5, b"CS", b"ISO_IR 100"), explicit(8, 0x16, b"UI", CT), explicit(8, 0x18, b"UI", uid),
        explicit(8, 0x20, b"DA", b"20200102"), explicit(8, 0x50, b"SH", b"ACC1"), explicit(8, 0x60, b"CS", b"CT"),
        explicit(0x10, 0x10, b"PN", name), explicit(0x10, 0x20, b"LO", b"P1"), explicit(0x20, 0xD, b"UI", study),
        explicit(0x20, 0xE, b"UI", study + b".5"), b"\xe0\x7f\x10\0OW\0\0" + struct.pack("<I", pixels), bytes(pixels)])


RELEASE = pdu(5, bytes(4))
BASE = request(pcontext(1, CT, SYNTAXES[1:2]), pcontext(3, b"1.2.840.10008.1.1", SYNTAXES[:2]))
WINDOW = request(pcontext(1, CT, SYNTAXES[1:2]), user=item(0x53, b"\0\4\0\1") + item(0x55, b"VERSION") + item(
    0x54, uid16(CT) + b"\1\0") + item(0x56, uid16(CT) + b"\2\0\0\0\0\0"))
DIALOGUES = [
    BASE + echo(3, 1) + RELEASE,
    BASE + store(1, 1, b"1.2.9.1", ct_slice(b"1.2.9.1")) + RELEASE,
    BASE + b"".join(store(1, i, b"1.2.9.%d" % i, ct_slice(b"1.2.9.%d" % i), step=64) for i in range(1, 4)) + RELEASE,
    WINDOW + b"".join(store(1, i, b"1.2.9.%d" % i, ct_slice(b"1.2.9.%d" % i, 6000)) for i in range(1, 4)) + RELEASE,
    WINDOW + store(1, 1, b"1.2.9.1", ct_slice(b"1.2.9.1")) * 2 + store(
        1, 3, b"1.2.9.1", ct_slice(b"1.2.9.1", 202)) + RELEASE,
    BASE + store(1, 1, b"1.2.9.1", ct_slice(b"1.2.9.2")) + store(1, 2, b"1.2.9.3", b"") + echo(3, 3) + RELEASE,
    BASE + store(1, 1, b"1.2.9.1", ct_slice(b"1.2.9.1"))[:-40] + pdu(7, bytes(4)),
    BASE + pdata(1, 3, CANCEL) + pdata(1, 3, RSP) + BASE,
    request(pcontext(1, CT, SYNTAXES[:1]), title=b"NOBODY"), RELEASE, PDATA, FOURS, RQ + PDATA,
]


def corpus_dialogues():
    """A C-STORE of each small file of the corpus, as its transfer syntax and class are."""
    for _, part10 in small_files(9000):
        found = meta_of(part10)
        if found:
            at, uids = found
            cls, uid, syntax = (uids.get(n, b"1.2") for n in (2, 3, 0x10))
            yield request(pcontext(1, cls, [syntax])) + store(1, 7, uid, part10[at:], 4000, cls) + RELEASE


def choices(i):
    """A machine of its own for each seed; the peer ends in each way now and then, and sometimes has a twin."""
    ending = 0 if i % 8 else i >> 3 & 3
    return bytes([i * 37 & 255, ending | (4 if i % 3 == 2 else 0)])


SEEDS["fuzz_dialogue"] = [choices(i) + d for i, d in enumerate([*DIALOGUES, *corpus_dialogues()])]
SEEDS["fuzz_elem"] = [seed for seed in (data_set(part10) for _, part10 in small_files(12000)) if seed]
SEEDS["fuzz_elem"] += [bytes([seed[0] | 8]) + seed[1:] for seed in SEEDS["fuzz_elem"][::4]]  # limits that are met
SEEDS["fuzz_p10"] += [part10[:1500] for _, part10 in small_files(12000)]
SEEDS["fuzz_text"] += list(text_values())
SEEDS["fuzz_conf"] = [f.read_bytes() for f in sorted((TOP / "conf").glob("*.toml"))]


def main():
    for name, inputs in SEEDS.items():
        folder = Path(sys.argv[1]) / name.removeprefix("fuzz_")
        folder.mkdir(parents=True, exist_ok=True)
        for i, data in enumerate(inputs):
            (folder / f"seed{i}").write_bytes(data)


if __name__ == "__main__":
    main()
