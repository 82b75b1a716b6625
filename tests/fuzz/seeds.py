"""Writes starting inputs for the fuzzers: seeds.py FOLDER makes FOLDER/fuzz_cmd, fuzz_msg, fuzz_p10.

Then: build-fuzz/fuzz/fuzz_cmd -max_total_time=60 FOLDER/fuzz_cmd
SPDX-License-Identifier: Apache-2.0
"""
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

SEEDS = {
    "fuzz_cmd": [STORE, ECHO, CANCEL, RSP],
    "fuzz_msg": [slices(1, 1, STORE, 200) + slices(1, 0, b"data" * 30, 50) + slices(3, 1, ECHO, 9),
                 slices(3, 1, CANCEL, 255) + slices(3, 1, RSP, 255)],
    "fuzz_p10": [PART10],
}


def main():
    for name, inputs in SEEDS.items():
        folder = Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        for i, data in enumerate(inputs):
            (folder / f"seed{i}").write_bytes(data)


if __name__ == "__main__":
    main()
