"""Part 10 files taken apart by hand: nothing is decoded that need not be, nothing is repaired.

read_p10() splits any file into what a C-STORE needs: transfer syntax, SOP class, SOP instance, and the
data set's bytes as they stand. It takes files without preamble, without group 0002, with a group length
that lies, and files that are no DICOM at all. pydicom would read more, and change what it reads.
SPDX-License-Identifier: Apache-2.0
"""
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
DICOMDIR_CLASS = "1.2.840.10008.1.3.10"

LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
VRS = LONG_VRS | {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT",
                  b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
UNDEFINED = 0xFFFFFFFF
INFLATE_MAX = 64 * 1024  # bytes of a deflated data set we look at: the UIDs come early


@dataclass
class Part10:
    """One file. A UID is "" where the file has none."""
    path: Path
    transfer_syntax: str  # of group 0002; guessed from the bytes where there is none
    sop_class: str        # of the data set, else of group 0002
    sop_instance: str     # likewise
    data_set: bytes       # untouched, possibly deflated
    meta: dict            # group 0002: element number -> value bytes

    @property
    def is_dicomdir(self):
        return self.sop_class == DICOMDIR_CLASS


def uid_text(value):
    """A UID's value as text, without padding."""
    return value.decode("ascii", "replace").strip("\0 ")


def _element(data, at, order, explicit):
    """The element at `at` as (tag, vr or None, value offset, length), or None when it is cut."""
    if at + 8 > len(data):
        return None
    group, element = struct.unpack_from(order + "HH", data, at)
    vr = bytes(data[at + 4:at + 6])
    if explicit and vr in VRS and group != 0xFFFE:
        if vr not in LONG_VRS:
            return (group, element), vr, at + 8, struct.unpack_from(order + "H", data, at + 6)[0]
        if at + 12 > len(data):
            return None
        return (group, element), vr, at + 12, struct.unpack_from(order + "I", data, at + 8)[0]
    return (group, element), None, at + 8, struct.unpack_from(order + "I", data, at + 4)[0]


def _skip_undefined(data, at, order, explicit):
    """The offset behind a sequence of undefined length whose items begin at `at`; iterative."""
    depth = 1
    while depth > 0:
        found = _element(data, at, order, explicit)
        if found is None:
            return len(data)
        tag, vr, at, length = found
        if tag in ((0xFFFE, 0xE0DD), (0xFFFE, 0xE00D)):
            depth -= 1
        elif length == UNDEFINED:
            depth += 1
        else:
            at += length  # what has a length needs no look inside
    return at


def _split_meta(data):
    """Group 0002 as {element: value} and the offset behind it. The group length is not believed."""
    at = 132 if data[128:132] == b"DICM" else 0
    meta = {}
    while True:
        found = _element(data, at, "<", True)
        if found is None or found[0][0] != 0x0002 or found[2] + found[3] > len(data):
            return meta, at
        (_, element), _, value_at, length = found
        meta.setdefault(element, data[value_at:value_at + length])
        at = value_at + length


def _guess_syntax(data):
    """What a data set without group 0002 looks like."""
    if re.fullmatch(rb"[A-Z]{2}", data[4:6]) and bytes(data[4:6]) in VRS:
        return EXPLICIT_BE if data[:1] == b"\0" and data[1:2] != b"\0" else EXPLICIT_LE
    return IMPLICIT_LE


def _find_uids(data, transfer_syntax):
    """(0008,0016) and (0008,0018) at the top level of a data set; "" where they are not found."""
    if transfer_syntax in DEFLATED:
        try:
            data = zlib.decompressobj(-15).decompress(data, INFLATE_MAX)
        except zlib.error:
            return "", ""
    order = ">" if transfer_syntax == EXPLICIT_BE else "<"
    explicit = bytes(data[4:6]) in VRS  # what is there counts, not what was declared
    found = {}
    at = 0
    while len(found) < 2:
        element = _element(data, at, order, explicit)
        if element is None or element[0] > (0x0008, 0x0018):
            break
        tag, _, at, length = element
        if length == UNDEFINED:
            at = _skip_undefined(data, at, order, explicit)
            continue
        if tag in ((0x0008, 0x0016), (0x0008, 0x0018)):
            found.setdefault(tag, uid_text(data[at:at + length]))
        at += length
    return found.get((0x0008, 0x0016), ""), found.get((0x0008, 0x0018), "")


def read_p10(path):
    """Splits a file. Never fails on its content; OSError where it cannot be read."""
    data = Path(path).read_bytes()
    meta, at = _split_meta(data)
    data_set = data[at:]
    transfer_syntax = uid_text(meta.get(0x0010, b"")) or _guess_syntax(data_set)
    sop_class, sop_instance = _find_uids(data_set, transfer_syntax)
    return Part10(Path(path), transfer_syntax, sop_class or uid_text(meta.get(0x0002, b"")),
                  sop_instance or uid_text(meta.get(0x0003, b"")), data_set, meta)


def files_below(paths):
    """The files named, and those below the folders named, sorted."""
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file())
        else:
            yield path


def rounds(items):
    """Divides items (with a sop_instance) into lists in which no SOP Instance UID repeats, so that each
    can go to a storage root of its own without duplicates. Keeps the order; as few lists as needed."""
    lists = []
    seen = {}
    for item in items:
        n = seen.get(item.sop_instance, 0)
        seen[item.sop_instance] = n + 1
        if n == len(lists):
            lists.append([])
        lists[n].append(item)
    return lists
