"""Writes starting inputs for the fuzzers: seeds.py FOLDER makes a folder in FOLDER for each.

Then: build-fuzz/fuzz/fuzz_cmd -max_total_time=60 FOLDER/fuzz_cmd
SPDX-License-Identifier: Apache-2.0
"""
import os
import struct
import sys
from pathlib import Path


def element(number, value):
    value += b"\0" * (len(value) & 1)
    return struct.pack("<HHI", 0, number, len(value)) + value


def us(number, value):
    return element(number, struct.pack("<H", value))


def command(*elements):
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


def data_set(part10):
    """The data set of a Part 10 file of the corpus, as fuzz_elem.c reads it; None for others."""
    if part10[128:132] != b"DICM":
        return None
    at, syntax = 132, b""
    while part10[at:at + 2] == b"\2\0":
        is_long = part10[at + 4:at + 6] in (b"OB", b"UN")
        head = 12 if is_long else 8
        size = int.from_bytes(part10[at + head - (4 if is_long else 2):at + head], "little")
        if part10[at + 2:at + 4] == b"\x10\0":
            syntax = part10[at + 8:at + 8 + size].rstrip(b"\0 ")
        at += head + size
    kind = {b"1.2.840.10008.1.2": 0, b"1.2.840.10008.1.2.2": 3,
            b"1.2.840.10008.1.2.1.99": 5}.get(syntax, 1)
    return bytes([kind, at & 0xFF]) + part10[at:]


def corpus():
    """The small data sets of the corpus, if it is there."""
    default = Path(__file__).resolve().parents[3] / "shared" / "corpus"
    root = Path(os.environ.get("SLUICE_CORPUS", default))
    small = (f for f in sorted(root.rglob("*")) if f.is_file() and 132 < f.stat().st_size < 12000)
    return [seed for seed in (data_set(f.read_bytes()) for f in small) if seed]


SEEDS["fuzz_elem"] = corpus()


def main():
    for name, inputs in SEEDS.items():
        folder = Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        for i, data in enumerate(inputs):
            (folder / f"seed{i}").write_bytes(data)


if __name__ == "__main__":
    main()
