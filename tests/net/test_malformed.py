"""Files as they should not be, sent raw to a running node: what becomes of each is in malformed.tsv.

The rule behind the table: whatever pydicom (force) or dcmdump can read through to its SOP class and
instance UID is kept, unless one of these is no UID at all (65 characters, a backslash, a path) or a
cap of ours is passed. Both programs are asked anew in every run. After each file the node answers a
C-ECHO; afterwards index and archive agree row by row, and the kept bytes are those that were sent.

A file whose transfer syntax is none goes in the one that its bytes look like; a file without UIDs goes
under UIDs made up for the command.

To write the table anew after a change that is meant: SLUICE_WRITE_TABLE=1, then read the diff.
SPDX-License-Identifier: Apache-2.0
"""
import collections
import os
import re
import shutil
import struct
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import p10  # noqa: E402
import rawscu  # noqa: E402
from kept import Kept  # noqa: E402
from node import CORPUS, Node  # noqa: E402
from rawscu import VERIFICATION, Ended, RawSCU  # noqa: E402

pydicom = pytest.importorskip("pydicom", reason="NOT RUN: pydicom absent")
CORPUS = Path(CORPUS)
TABLE = Path(__file__).with_name("malformed.tsv")
HEAD = ("# What becomes of every file of malformed/ in the corpus when it is sent raw (test_malformed.py).\n"
        "# pydicom, dcmdump: does it read both SOP UIDs? why: the node's own words in the log.\n")
COLUMNS = ["file", "pydicom", "dcmdump", "status", "kept", "sound", "why", "oddity"]
CAPS = {"C010", "C011"}  # DESIGN 7: past a cap nothing is kept

pytestmark = [
    pytest.mark.skipif(not (CORPUS / "MANIFEST.tsv").exists(), reason="NOT RUN: corpus absent"),
    pytest.mark.skipif(shutil.which("dcmdump") is None, reason="NOT RUN: dcmtk absent")]


# ---- What others can read --------------------------------------------------------------------------

def is_uid(text):
    """As DESIGN 7 has it: what may become a name."""
    return re.fullmatch(r"[0-9A-Za-z-][0-9A-Za-z.-]{0,63}", text) is not None


def uids_of_pydicom(path):
    """(SOP class, SOP instance) as pydicom reads them, "" where it does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = pydicom.dcmread(path, force=True, stop_before_pixels=True)
            values = [ds.get(k, "") for k in ("SOPClassUID", "SOPInstanceUID")]
            return tuple("\\".join(v) if isinstance(v, pydicom.multival.MultiValue) else str(v)
                         for v in values)
        except Exception:
            return "", ""


def uids_of_dcmdump(path):
    """Likewise; at the top level, as far as it comes in spite of errors."""
    done = subprocess.run(["dcmdump", "-q", "-Un", "+Ep", "+L", "+p", "+P", "0008,0016",
                           "+P", "0008,0018", str(path)], capture_output=True, timeout=60)
    found = {}
    for line in done.stdout.decode("latin-1").splitlines():
        m = re.match(r"\(0008,00(16|18)\) (\w\w) (?:\[(.*)\]|(\S+)) +#", line)
        if m and m[3]:
            found.setdefault(m[1], m[3])
        elif m and m[2] == "UN":  # its bytes in hexadecimal
            found.setdefault(m[1], p10.uid_text(bytes(int(b, 16) for b in m[4].split("\\"))))
    return found.get("16", ""), found.get("18", "")


# ---- What the node does ----------------------------------------------------------------------------

@dataclass
class Outcome:
    """One row of the table but its last column, and what the rule needs."""
    file: str
    status: str
    kept: str
    sound: str
    why: str
    uids: list  # of the programs that read both: [(class, instance)]
    pydicom: str
    dcmdump: str

    def cells(self):
        return [self.file, self.pydicom, self.dcmdump, self.status, self.kept, self.sound, self.why]


def yes_no(value):
    return "yes" if value else "no"


def send_one(node, plan, calling):
    """Sends a file in its own transfer syntax, else in the one it looks like; then an echo, over the
    same association where it lives. Returns the status as text."""
    part10 = p10.read_p10(plan.path)
    looks_like = p10._guess_syntax(part10.data_set)
    with RawSCU("127.0.0.1", node.port, "SLUICE", calling) as scu:
        scu.associate([(plan.sop_class, [plan.transfer_syntax]), (plan.sop_class, [looks_like]),
                       (VERIFICATION, [p10.IMPLICIT_LE])])
        pcid = 1 if 1 in scu.accepted else 3
        plan.transfer_syntax = scu.accepted[pcid]
        try:
            status = "%04X" % scu.cstore(part10.data_set, plan.sop_class, plan.sop_instance,
                                         pcid=pcid).status
            assert scu.echo(5).status == 0
            scu.release()
            return status
        except Ended as end:
            status = end.how
    with RawSCU("127.0.0.1", node.port, "SLUICE", calling) as scu:
        scu.associate([(VERIFICATION, [p10.IMPLICIT_LE])])
        assert scu.echo().status == 0
        scu.release()
    return status


def why_of(node, calling):
    """The node's words for the one object of an association; "-" where it has none."""
    end = node.wait_line("assoc.end", calling=calling)
    lines = [line for line in node.find("store.failed") + node.find("store.unsound")
             if line["id"] == end["id"]]
    return lines[0]["why"] if lines else "-"


def send_round(plans):
    """One node; yields an Outcome for each file."""
    with Node() as node:
        statuses = {p.path: send_one(node, p, f"F{i}") for i, p in enumerate(plans)}
        whys = {p.path: why_of(node, f"F{i}") for i, p in enumerate(plans)}
        assert node.stop() == 0, node.log()
        kept = Kept(node.root)
        assert not kept.disagreements()
        assert set(kept.by_uid) <= {p.sop_instance for p in plans}
        for plan in plans:
            row = kept.by_uid.get(plan.sop_instance)
            if row is not None:
                copy = kept.file(row.uid)
                assert copy.data_set == p10.read_p10(plan.path).data_set, plan.path
                assert copy.transfer_syntax == row.transfer_syntax == plan.transfer_syntax
            readers = [uids_of_pydicom(plan.path), uids_of_dcmdump(plan.path)]
            yield Outcome(str(plan.path.relative_to(CORPUS)), statuses[plan.path], yes_no(row),
                          "-" if row is None else yes_no(row.sound), whys[plan.path],
                          [u for u in readers if all(u)], *(yes_no(all(u)) for u in readers))


@pytest.fixture(scope="module")
def outcomes():
    begun = time.monotonic()
    plans = [rawscu.plan_file(f) for f in p10.files_below([CORPUS / "malformed"])]
    rounds = p10.rounds(plans)
    found = sorted((o for one in rounds for o in send_round(one)), key=lambda o: o.file)
    statuses = collections.Counter(o.status for o in found)
    print(f"\nmalformed: {len(found)} files in {len(rounds)} rounds; "
          + ", ".join(f"{s} {n}" for s, n in sorted(statuses.items()))
          + f"; kept {sum(o.kept == 'yes' for o in found)}, of these sound=no "
          f"{sum(o.sound == 'no' for o in found)}; {time.monotonic() - begun:.1f} s")
    return found


# ---- The table -------------------------------------------------------------------------------------

def read_table():
    rows = [line.split("\t") for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    assert rows[0] == COLUMNS
    return {row[0]: row for row in rows[1:]}


def write_table(found):
    """Keeps the last column, which people write; new rows begin with the corpus' own note."""
    old = read_table() if TABLE.exists() else {}
    notes = dict(line.split("\t")[::8] for line in
                 (CORPUS / "MANIFEST.tsv").read_text().splitlines()[1:])
    rows = [o.cells() + [old[o.file][-1] if o.file in old else notes[o.file].split(";")[0]]
            for o in found]
    TABLE.write_text(HEAD + "".join("\t".join(row) + "\n" for row in [COLUMNS, *rows]))


def test_D3_every_file_has_the_outcome_of_the_table(outcomes):
    if os.environ.get("SLUICE_WRITE_TABLE"):
        write_table(outcomes)
    table = read_table()
    assert [o.cells() for o in outcomes if o.cells() != table.get(o.file, [""])[:-1]] == []
    assert sorted(table) == [o.file for o in outcomes]
    assert all(row[-1] for row in table.values())


def test_S1_what_pydicom_or_dcmdump_reads_to_its_uids_is_kept(outcomes):
    readable = [o for o in outcomes if o.uids]
    assert len(readable) > 50
    lost = [o.cells() for o in readable if o.kept == "no" and o.status not in CAPS
            and any(is_uid(sop_class) and is_uid(instance) for sop_class, instance in o.uids)]
    assert lost == []


def test_D3_what_is_kept_is_a_success_and_what_is_not_is_a_failure(outcomes):
    assert {(o.status == "0000") == (o.kept == "yes") for o in outcomes} == {True}
    assert all(o.why != "-" for o in outcomes if o.kept == "no" or o.sound == "no")


# ---- The switches ----------------------------------------------------------------------------------

def unsound_plans():
    """Unsound files of the table, no SOP Instance UID twice."""
    rows = [row for row in read_table().values() if row[5] == "no"]
    return p10.rounds([rawscu.plan_file(CORPUS / row[0]) for row in rows])[0]


@pytest.mark.parametrize("unsound, quarantine, status, is_kept", [
    ("keep", "false", "0000", True), ("warn", "false", "B007", True),
    ("refuse", "false", "C000", False), ("refuse", "true", "C000", False)])
def test_D3_unsound_objects_by_the_switch(unsound, quarantine, status, is_kept):
    plans = unsound_plans()
    with Node(storage__unsound=unsound, storage__quarantine=quarantine) as node:
        got = [send_one(node, plan, f"F{i}") for i, plan in enumerate(plans)]
        assert node.stop() == 0
        kept = Kept(node.root)
        aside = os.path.join(node.root, "quarantine")
        set_aside = [p10.read_p10(os.path.join(aside, f)).data_set for f in os.listdir(aside)] \
            if os.path.isdir(aside) else []
        assert got == [status] * len(plans) and len(plans) >= 4
        assert not kept.disagreements()
        assert len(kept.instances) == (len(plans) if is_kept else 0)
        assert not any(i.sound for i in kept.instances)
        assert sorted(set_aside) == (sorted(p10.read_p10(p.path).data_set for p in plans)
                                     if quarantine == "true" else [])


# ---- Data sets made here: statuses at their borders ------------------------------------------------

SC = rawscu.SECONDARY_CAPTURE


def element(group, number, vr, value):
    """Explicit VR little endian."""
    length = struct.pack("<HI", 0, len(value)) if vr.encode() in p10.LONG_VRS \
        else struct.pack("<H", len(value))
    return struct.pack("<HH", group, number) + vr.encode() + length + value


def uid_value(uid):
    return uid.encode() + b"\0" * (len(uid) & 1)


def data_set(uid, rest=b"", study="1.2.3.4"):
    """A data set of four elements and `rest`, which comes behind (0020,000E)."""
    return (element(8, 0x16, "UI", uid_value(SC)) + element(8, 0x18, "UI", uid_value(uid))
            + element(0x20, 0xD, "UI", uid_value(study))
            + element(0x20, 0xE, "UI", uid_value("1.2.3.4.5")) + rest)


def nested(depth):
    """`depth` sequences of undefined length, one in the other, with their delimiters."""
    begin = b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return begin * depth + end * depth


def filled(uid, size):
    """A data set of `size` bytes."""
    bare = data_set(uid, element(0x7FE0, 0x10, "OB", b""))
    return data_set(uid, element(0x7FE0, 0x10, "OB", bytes(size - len(bare))))


def elements(n):
    """n - 4 private elements, to make n with those of data_set()."""
    return b"".join(element(0x21, 0x1000 + i, "UL", bytes(4)) for i in range(n - 4))


def store(node, data, uid="1.2.3.4.5.6", sop_class=SC):
    """One object over an association of its own: (status, why in the log)."""
    calling = f"S{store.n}"
    store.n += 1
    with RawSCU("127.0.0.1", node.port, "SLUICE", calling) as scu:
        scu.associate([(sop_class, [p10.EXPLICIT_LE]), (VERIFICATION, [p10.IMPLICIT_LE])])
        response = scu.cstore(data, sop_class, uid)
        assert scu.echo().status == 0
        scu.release()
    assert response.comment or response.status == 0
    return "%04X" % response.status, why_of(node, calling)


store.n = 0


def test_D3_each_cap_is_hard_and_no_sooner():
    limits = {"storage__max_object": "1MiB", "dicom__max_elements": 1000, "dicom__max_depth": 32,
              "dicom__max_value": "64KiB"}
    long_value = [data_set(f"1.2.4.{n}", element(0x40, 0xA160, "UT", b"x" * n)) for n in (65536, 65538)]
    with Node(**limits) as node:
        assert store(node, data_set("1.2.1.32", nested(32)), "1.2.1.32") == ("0000", "-")
        assert store(node, data_set("1.2.1.33", nested(33)), "1.2.1.33") == ("C010", "too-deep")
        assert store(node, data_set("1.2.2.0", elements(1000)), "1.2.2.0") == ("0000", "-")
        assert store(node, data_set("1.2.2.1", elements(1001)), "1.2.2.1") == \
            ("C011", "too-many-elements")
        assert store(node, filled("1.2.3.0", 1 << 20), "1.2.3.0") == ("0000", "-")
        assert store(node, filled("1.2.3.2", (1 << 20) + 2), "1.2.3.2") == ("C011", "too-large")
        assert store(node, long_value[0], "1.2.4.65536") == ("0000", "-")
        assert store(node, long_value[1], "1.2.4.65538") == ("C011", "too-many-elements")
        assert node.stop() == 0
        kept = Kept(node.root)
        assert not kept.disagreements()
        assert sorted(kept.by_uid) == ["1.2.1.32", "1.2.2.0", "1.2.3.0", "1.2.4.65536"]


def test_D3_command_and_data_set_that_disagree_are_A900():
    with Node() as node:
        assert store(node, data_set("1.2.5.1"), "1.2.5.2") == ("A900", "instance-mismatch")
        ct = "1.2.840.10008.5.1.4.1.1.2"
        assert store(node, data_set("1.2.5.3"), "1.2.5.3", ct) == ("A900", "class-mismatch")
        assert store(node, data_set("1.2.5.4 "), "1.2.5.4") == ("0000", "-")
        assert node.stop() == 0
        kept = Kept(node.root)
        assert not kept.disagreements() and list(kept.by_uid) == ["1.2.5.4"]


NO_UIDS = [".1.2", "..", "1.2/3", "../../../../tmp/x", "1.2\\1.3", "1.2 3", "1.2\0.3", "1.2_3",
           "1.2~3", "1" * 65]


def test_D3_what_is_no_UID_is_C000_wherever_it_stands():
    with Node() as node:
        for i, bad in enumerate(NO_UIDS):
            good = f"1.2.6.{i}"
            assert store(node, data_set(bad), good) == ("C000", "bad-uid"), bad
            assert store(node, data_set(good, study=bad), good) == ("C000", "bad-uid"), bad
            assert store(node, data_set(good), bad)[0] == "C000", bad
        assert store(node, data_set(""), "1.2.6.100") == ("C000", "no-uid")
        assert store(node, data_set("1.2.6.200", study=""), "1.2.6.200") == ("0000", "-")
        assert node.stop() == 0
        kept = Kept(node.root)
        assert not kept.disagreements() and list(kept.by_uid) == ["1.2.6.200"]
