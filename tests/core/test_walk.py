"""The element walker against the corpus: what it finds is what pydicom reads.

Drives build/tests/elem_dump. Two parts: every file of valid/, series/ and charset/ is sound and gives the
same attributes and UIDs as pydicom; every file of malformed/ gives the verdict of malformed_walk.tsv, and
what pydicom can read through to its UIDs has an identity here too.

To write the table anew after a change that is meant: SLUICE_WRITE_TABLE=1, then read the diff.
SPDX-License-Identifier: Apache-2.0"""

import os
import pathlib
import subprocess
import warnings

import pytest

pydicom = pytest.importorskip("pydicom")
from pydicom.datadict import tag_for_keyword  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = pathlib.Path(os.environ.get("SLUICE_CORPUS", ROOT.parent / "shared" / "corpus"))
DUMP = pathlib.Path(os.environ.get("SLUICE_BUILD", ROOT / "build")) / "tests" / "elem_dump"
TABLE = ROOT / "tests" / "malformed_walk.tsv"
UIDS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
# A DICOMDIR whose records are longer than their sequence, on purpose.
BROKEN_ON_PURPOSE = {"series/DICOMDIR_sets/DICOMDIR-nooffset": "ITEM_OVERRUN"}

pytestmark = pytest.mark.skipif(
    not (CORPUS / "MANIFEST.tsv").exists(), reason="NOT RUN: corpus absent"
)


def caps():
    """Keyword -> bytes kept, from the table the code is made of."""
    out = {}
    for line in (ROOT / "core" / "attrs.def").read_text().splitlines():
        if line.startswith("SL_ATTR("):
            cells = [c.strip() for c in line[len("SL_ATTR("):].rstrip(")").split(",")]
            out[cells[4].strip('"')] = int(cells[3])
    return out


def walk(folders):
    """{relative path: dict} of what elem_dump says about every file below the folders."""
    files = sorted(
        str(p.relative_to(CORPUS)) for f in folders for p in (CORPUS / f).rglob("*") if p.is_file()
    )
    out = subprocess.run([DUMP, *files], cwd=CORPUS, capture_output=True, check=True).stdout
    found = {}
    for line in out.decode("latin-1").splitlines():
        cells = line.split("\t")
        assert len(cells) >= 9, line
        found[cells[0]] = {
            "verdict": cells[1],
            "flaw": cells[2],
            "uids": cells[4:8],
            "attrs": {k: bytes.fromhex(v) for k, v in (c.split("=") for c in cells[9:])},
        }
    assert sorted(found) == files
    return found


def raw(ds, keyword):
    """The bytes of a top-level value as they stand in the file; None where it is absent or no text."""
    tag = tag_for_keyword(keyword)
    if tag not in ds:
        return None
    elem = ds.get_item(tag)
    value = elem.value
    if elem.VR == "SQ":
        return None
    if isinstance(value, bytes):
        return value
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode("latin-1")
    return "\\".join(str(v) for v in value).encode("latin-1")


def trimmed(value, cap):
    """As core/record.c keeps it; runs of padding at the cut are padding."""
    return value.rstrip(b" \0").lstrip(b" ")[:cap].rstrip(b" \0")


def expected(ds):
    out = {}
    for keyword, cap in caps().items():
        value = raw(ds, keyword)
        if value is None and keyword == "Radiopharmaceutical":
            for item in ds.get("RadiopharmaceuticalInformationSequence") or []:
                value = value or raw(item, keyword)
        if value and trimmed(value, cap):
            out[keyword] = trimmed(value, cap)
    return out


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, force=True, stop_before_pixels=True)


@pytest.mark.parametrize("folder", ["valid", "series", "charset"])
def test_all_files_are_sound_and_read_as_pydicom_reads_them(folder):
    wrong = []
    found = walk([folder])
    assert found
    for name, got in found.items():
        want_flaw = BROKEN_ON_PURPOSE.get(name, "NONE")
        if got["flaw"] != want_flaw or (want_flaw == "NONE") != (got["verdict"] == "sound"):
            wrong.append(f"{name}: {got['verdict']} {got['flaw']}")
        ds = read(CORPUS / name)
        if expected(ds) != got["attrs"]:
            wrong.append(f"{name}: pydicom {expected(ds)}, walker {got['attrs']}")
        uids = [(raw(ds, k) or b"").strip(b" \0").decode("latin-1") or "-" for k in UIDS]
        if uids != got["uids"]:
            wrong.append(f"{name}: pydicom {uids}, walker {got['uids']}")
    assert not wrong, "\n".join(wrong)


def row(name, got):
    marks = "".join(
        letter if uid not in ("-", "!") else uid for letter, uid in zip("CIEA", got["uids"])
    )
    return f"{name}\t{got['verdict']}\t{got['flaw']}\t{marks}\t{len(got['attrs'])}"


HEAD = (
    "# What the element walker says of every file in malformed/ of the corpus (tests/core/test_walk.py).\n"
    "# uids: C class, I instance, E study, A series; - absent, ! not a UID. attrs: indexed attributes found.\n"
    "file\tverdict\tflaw\tuids\tattrs"
)


def test_malformed_files_get_the_verdict_of_the_table():
    rows = [row(name, got) for name, got in walk(["malformed"]).items()]
    if os.environ.get("SLUICE_WRITE_TABLE"):
        TABLE.write_text(HEAD + "\n" + "\n".join(rows) + "\n")
    assert "\n".join(rows) == "\n".join(TABLE.read_text().splitlines()[3:])


def test_what_pydicom_reads_through_to_its_uids_has_an_identity():
    wrong = []
    for name, got in walk(["malformed"]).items():
        try:
            ds = read(CORPUS / name)
            uids = [(raw(ds, k) or b"").strip(b" \0").decode("latin-1") for k in UIDS[:2]]
        except Exception:
            continue
        allowed = all(0 < len(u) <= 64 and u.replace(".", "").replace("-", "").isalnum() for u in uids)
        if allowed and not uids[1].startswith(".") and got["uids"][:2] != uids:
            wrong.append(f"{name}: pydicom {uids}, walker {got['uids']}")
    assert not wrong, "\n".join(wrong)
