"""Data sets and command sets of wire scripts, element by element, as wrong as the script wants them.

    00280102 US 40                      numbers, for US SS UL SL
    00100010 PN "A^B"                   text, padded
    7FE00010 OW zeros 512               `zeros N`, `hex 01 ff`, `text ...` with any VR
    00081140 SQ length=fffffffe hex 00  a length that lies
    nest 33 | nest 33 defined           sequences, one in the other
    raw 01 02 03                        bytes behind the last element
    00080018 gone                       leaves out what would be there

SPDX-License-Identifier: Apache-2.0
"""
import struct
import zlib

import rawscu
from p10 import DEFLATED, EXPLICIT_BE, IMPLICIT_LE, LONG_VRS

SHORT_NAMES = {
    "sc": rawscu.SECONDARY_CAPTURE,
    "ct": "1.2.840.10008.5.1.4.1.1.2",
    "verification": rawscu.VERIFICATION,
    "study-find": "1.2.840.10008.5.1.4.1.2.2.1",
    "study-move": "1.2.840.10008.5.1.4.1.2.2.2",
    "explicit": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "big-endian": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "jpeg-baseline": "1.2.840.10008.1.2.4.50",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
    "jpeg-2000": "1.2.840.10008.1.2.4.91",
    "rle": "1.2.840.10008.1.2.5",
}
NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i"}
UNDEFINED = 0xFFFFFFFF


def uid_of(name):
    """A UID by its short name, or as it stands."""
    return SHORT_NAMES.get(name, name)


def number(text):
    """A number as scripts write it: decimal, or hexadecimal with 0x."""
    return int(text, 0)


def value_of(vr, words, order):
    """The bytes of a value from the words behind the VR."""
    if words[:1] == ["zeros"]:
        return bytes(number(words[1]))
    if words[:1] == ["hex"]:
        return bytes.fromhex("".join(words[1:]))
    if vr in NUMBERS and words[:1] != ["text"]:
        return b"".join(struct.pack(order + NUMBERS[vr], number(w)) for w in words)
    text = " ".join(words[words[:1] == ["text"]:]).encode("utf-8")
    return text + (b"\0" if vr == "UI" else b" ") * (len(text) & 1)


def element(tag, vr, value, length=None, syntax=SHORT_NAMES["explicit"]):
    """One element; `length` lies about the value."""
    order = ">" if syntax == EXPLICIT_BE else "<"
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    length = len(value) if length is None else length
    if syntax == IMPLICIT_LE or tag >> 16 == 0:
        return head + struct.pack(order + "I", length) + value
    if vr.encode() in LONG_VRS:
        return head + vr.encode() + struct.pack(order + "HI", 0, length) + value
    return head + vr.encode() + struct.pack(order + "H", length & 0xFFFF) + value


def nested(depth, is_defined):
    """`depth` sequences, one in the other, of undefined length or of lengths that are right."""
    if not is_defined:
        begin = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
        end = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
        return begin * depth + end * depth
    heads = []
    for inner in range(0, 20 * depth, 20):
        heads.append(b"\x40\x00\x75\x02SQ\0\0" + struct.pack("<I", inner + 8)
                     + b"\xfe\xff\x00\xe0" + struct.pack("<I", inner))
    return b"".join(reversed(heads))


class ElementSet:
    """Elements by tag, and raw bytes behind them."""

    def __init__(self, syntax, defaults):
        """defaults: {tag: (VR, text)}."""
        self.syntax, self.raw = syntax, b""
        self.order = ">" if syntax == EXPLICIT_BE else "<"
        self.elements = {tag: element(tag, vr, value_of(vr, ["text", text], self.order), syntax=syntax)
                         for tag, (vr, text) in defaults.items()}

    def add(self, step, words):
        """One line of a script; words: as of the step, its variables filled in."""
        if words[0] == "nest":
            self.raw += nested(number(words[1]), "defined" in words)
        elif words[0] == "raw":
            self.raw += bytes.fromhex("".join(words[1:]))
        elif len(words[0]) == 8 and words[1:] == ["gone"]:
            self.elements.pop(int(words[0], 16), None)
        elif len(words[0]) == 8:
            tag, vr, rest = int(words[0], 16), words[1], words[2:]
            lies = [w for w in rest[:1] if w.startswith("length=")]
            value = value_of(vr, rest[len(lies):], self.order)
            length = int(lies[0][7:], 16) if lies else None
            self.elements[tag] = element(tag, vr, value, length, self.syntax)
        else:
            raise step.wrong("no element")
        return self

    def bytes(self):
        data = b"".join(self.elements[tag] for tag in sorted(self.elements)) + self.raw
        if self.syntax in DEFLATED:
            deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
            data = deflate.compress(data) + deflate.flush()
            data += b"\0" * (len(data) & 1)
        return data
