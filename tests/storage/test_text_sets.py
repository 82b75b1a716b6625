"""Text to UTF-8 against converters that are not the C library's: pydicom over the corpus, Python's codecs
over whole tables, pydicom's encoder over names of mixed scripts.

Drives build/tests/text_dump (and elem_dump, for the bytes that the index keeps of a file). Where Python
has a character, ours is the same but for the few of DIFFERENT, each with its reason; where it has none,
ours is U+FFFD or what a vendor's superset of the set has.
SPDX-License-Identifier: Apache-2.0"""

import os
import pathlib
import random
import subprocess
import unicodedata

import pytest

pydicom = pytest.importorskip("pydicom")
from pydicom.charset import convert_encodings, decode_bytes, encode_string  # noqa: E402
from pydicom.datadict import dictionary_VR  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = pathlib.Path(os.environ.get("SLUICE_CORPUS", ROOT.parent / "shared" / "corpus"))
TOOLS = pathlib.Path(os.environ.get("SLUICE_BUILD", ROOT / "build")) / "tests"
TEXT_VRS = {"PN": {"^", "=", "\\"}, "LO": {"\\"}, "SH": {"\\"}}
KEY_MAX = 96

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of charsets that are odd

needs_corpus = pytest.mark.skipif(
    not (CORPUS / "MANIFEST.tsv").exists(), reason="NOT RUN: corpus absent"
)


def dump(rows):
    """[(charset, kind, bytes)] -> [(text, folded, (alphabetic, ideographic, phonetic))]; that every byte
    of it is UTF-8 is checked on the way."""
    lines = "".join(f"{c.hex()}\t{kind}\t{value.hex()}\n" for c, kind, value in rows)
    out = subprocess.run([TOOLS / "text_dump"], input=lines.encode(), capture_output=True, check=True)
    fields = [
        [bytes.fromhex(f).decode("utf-8") for f in line.split("\t")]
        for line in out.stdout.decode().splitlines()
    ]
    assert len(fields) == len(rows) and all(len(f) == 5 for f in fields)
    return [(f[0], f[1], tuple(f[2:])) for f in fields]


def convert(charset, values, kind="other"):
    return [text for text, _, _ in dump([(charset.encode(), kind, v) for v in values])]


def python(value, codec):
    try:
        return value.decode(codec)
    except UnicodeError:
        return None


# ---- whole tables -----------------------------------------------------------------------------------

SINGLE = {
    "ISO_IR 100": "iso8859_1", "ISO_IR 101": "iso8859_2", "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4", "ISO_IR 144": "iso8859_5", "ISO_IR 127": "iso8859_6",
    "ISO_IR 126": "iso8859_7", "ISO_IR 138": "iso8859_8", "ISO_IR 148": "iso8859_9",
    "ISO_IR 203": "iso8859_15", "ISO_IR 166": "tis_620", "ISO_IR 13": "shift_jis",
    "ISO_IR 192": "utf_8", "GB18030": "gb18030", "ISO_IR 6": "ascii",
}


def shift_jis(pair):
    """The Shift JIS bytes of a pair of JIS X 0208."""
    row, cell = pair[0] - 0x21, pair[1] - 0x21
    lead = (0x81 if row < 62 else 0xC1) + row // 2
    return bytes([lead, 0x9F + cell if row % 2 else 0x40 + cell + (cell >= 63)])


def high(pair):
    return bytes(b | 0x80 for b in pair)


# charset: escape and bytes of a pair, Python's codec and the vendor's with the bytes they take
PAIRS = {
    "ISO 2022 IR 87": (lambda p: b"\x1b$B" + p + b"\x1b(B", "euc_jp", high, "cp932", shift_jis),
    "ISO 2022 IR 159": (lambda p: b"\x1b$(D" + p + b"\x1b(B", "euc_jp",
                        lambda p: b"\x8f" + high(p), None, None),
    "ISO 2022 IR 149": (lambda p: b"\x1b$)C" + high(p), "euc_kr", high, "cp949", high),
    "ISO 2022 IR 58": (lambda p: b"\x1b$)A" + high(p), "gb2312", high, "gbk", high),
}

DIFFERENT = {
    ("ISO_IR 13", b"~"): "\u203e",  # JIS X 0201 has an overline; Python reads it as ASCII
    ("ISO 2022 IR 149", b"\xa2\xe8"): "\u327e",  # KS X 1001:2002, which cp949 is older than
    ("ISO 2022 IR 149", b"\xa4\xd4"): "\u3164",  # a filler, by which Python composes hangul
    # GB 18030:2005 gave up private use for these; Python has the edition of 2000
    **{("GB18030", bytes.fromhex(b)): chr(c) for b, c in {
        "a6d9": 0xFE10, "a6da": 0xFE12, "a6db": 0xFE11, "a6dc": 0xFE13, "a6dd": 0xFE14,
        "a6de": 0xFE15, "a6df": 0xFE16, "a6ec": 0xFE17, "a6ed": 0xFE18, "a6f3": 0xFE19,
        "a8bc": 0x1E3F, "8135f437": 0xE7C7, "fe51": 0x20087, "fe52": 0x20089, "fe53": 0x200CC,
        "fe59": 0x9FB4, "fe61": 0x9FB5, "fe66": 0x9FB6, "fe67": 0x9FB7, "fe6c": 0x215D7,
        "fe6d": 0x9FB8, "fe76": 0x2298F, "fe7e": 0x9FB9, "fe90": 0x9FBA, "fe91": 0x241FE,
        "fea0": 0x9FBB}.items()},
}


def wanted(charset, value, *readings):
    """What must come out: ours where we differ on purpose, else the first reading there is."""
    if (charset, value) in DIFFERENT:
        return DIFFERENT[charset, value]
    return next((r for r in readings if r is not None), None)


@pytest.mark.parametrize("charset", SINGLE)
def test_C_12_2_single_bytes(charset):
    values = [bytes([b]) for b in range(256) if b not in (0, 0x1B) and not 0x80 <= b <= 0x9F]
    for value, got in zip(values, convert(charset, values)):
        assert got == (wanted(charset, value, python(value, SINGLE[charset])) or "\ufffd"), value


@pytest.mark.parametrize("charset", PAIRS)
def test_C_12_4_pairs(charset):
    bytes_of, codec, form, vendor, vendor_form = PAIRS[charset]
    pairs = [bytes([a, b]) for a in range(0x21, 0x7F) for b in range(0x21, 0x7F)]
    found = 0
    for pair, got in zip(pairs, convert(charset, [bytes_of(p) for p in pairs])):
        own = python(form(pair), codec)
        other = python(vendor_form(pair), vendor) if vendor else None
        if other and unicodedata.category(other) == "Co":
            other = None
        if charset == "ISO 2022 IR 159" and own == "~":
            own = "\uff5e"  # Python's choice for the tilde of JIS X 0212
        assert got == (wanted(charset, high(pair), own, other) or "\ufffd"), pair
        found += got != "\ufffd"
    assert found >= {"ISO 2022 IR 87": 6879, "ISO 2022 IR 159": 6067, "ISO 2022 IR 149": 8226,
                     "ISO 2022 IR 58": 7445}[charset]


def quad(i):
    return bytes([0x81 + i // 12600, 0x30 + i // 1260 % 10, 0x81 + i // 10 % 126, 0x30 + i % 10])


def test_C_12_5_GB18030():
    values = [bytes([a, b]) for a in range(0x81, 0xFF) for b in range(0x40, 0xFF) if b != 0x7F]
    values += [quad(i) for i in range(39420)]
    values += [quad(i) for i in range(39420, 126 * 12600, 331)]
    for value, got in zip(values, convert("GB18030", values)):
        want = wanted("GB18030", value, python(value, "gb18030"))
        assert got == (want or "\ufffd"), value.hex()


def test_C_12_5_GBK():
    values = [bytes([a, b]) for a in range(0x81, 0xFF) for b in range(0x40, 0xFF) if b != 0x7F]
    for value, got in zip(values, convert("GBK", values)):
        own = python(value, "gbk")
        assert got == own if own is not None else len(got) == 1, value.hex()


def test_C_12_5_UTF8():
    """Every character, and every way to begin one that is none."""
    chars = [chr(c) for c in range(1, 0x110000) if not 0xD800 <= c <= 0xDFFF and c != 0x1B]
    runs = ["".join(chars[i : i + 1000]) for i in range(0, len(chars), 1000)]
    assert convert("ISO_IR 192", [r.encode() for r in runs]) == runs
    bad = [bytes([a, b]) for a in range(0x80, 0x100) for b in range(0x80, 0x100)]
    for value, got in zip(bad, convert("ISO_IR 192", bad)):
        assert got == (python(value, "utf_8") or "\ufffd\ufffd"), value


# ---- the corpus -------------------------------------------------------------------------------------


def kept(folder):
    """{path: {keyword: bytes}} of what the index keeps of every file below a folder."""
    files = sorted(str(p.relative_to(CORPUS)) for p in (CORPUS / folder).rglob("*") if p.is_file())
    out = subprocess.run([TOOLS / "elem_dump", *files], cwd=CORPUS, capture_output=True, check=True)
    found = {}
    for line in out.stdout.decode("latin-1").splitlines():
        cells = line.split("\t")
        found[cells[0]] = {k: bytes.fromhex(v) for k, v in (c.split("=") for c in cells[9:])}
    assert sorted(found) == files
    return found


def values(found):
    """(path, keyword, VR, charset, bytes) of each value that has characters."""
    for path, attrs in found.items():
        for keyword, value in attrs.items():
            vr = dictionary_VR(keyword)
            if vr in TEXT_VRS:
                yield path, keyword, vr, attrs.get("SpecificCharacterSet", b""), value


def pydicom_reads(charset, vr, value):
    terms = [t.strip() for t in charset.decode("ascii").split("\\")]
    if terms == ["ISO_IR 203"]:  # newer than this pydicom
        return value.decode("iso8859_15")
    encodings = convert_encodings(terms)
    parts = value.split(b"=") if vr == "PN" and b"\x1b" in value else [value]
    return "=".join(decode_bytes(p, encodings, {ord(d) for d in TEXT_VRS[vr]}) for p in parts)


NAMES = dict(
    line.split("\t")
    for line in (ROOT / "tests" / "charset_names.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)


@needs_corpus
def test_every_charset_file_has_its_name():
    found = kept("charset")
    got = {}
    rows = [v for v in values(found) if v[1] == "PatientName"]
    for row, (text, _, _) in zip(rows, dump([(v[3], "pn", v[4]) for v in rows])):
        got[pathlib.Path(row[0]).stem] = text
    assert got == NAMES


@needs_corpus
@pytest.mark.parametrize("folder", ["charset", "valid", "series"])
def test_every_text_of_the_corpus_is_what_pydicom_reads(folder):
    rows = [v for v in values(kept(folder)) if len(v[4]) < 128]
    read = dump([(v[3], "pn" if v[2] == "PN" else "other", v[4]) for v in rows])
    wrong = []
    for (path, keyword, vr, charset, value), (text, _, _) in zip(rows, read):
        want = pydicom_reads(charset, vr, value)
        if charset in (b"", b"ISO_IR 6") and not value.isascii():
            # pydicom reads Latin-1 where nothing is said; here that is the caller's to say
            want = "".join(c if c.isascii() else "\ufffd" for c in want)
        if text != want:
            wrong.append((path, keyword, charset, value, text, want))
    assert wrong == []
    print(f"{folder}: {len(rows)} values, {sum(not v[4].isascii() or 27 in v[4] for v in rows)} not plain")
    assert len(rows) > 20


@needs_corpus
def test_malformed_files_give_text_too():
    """Any value the index keeps of them; and the broken escapes, which are in one that it does not."""
    rows = [(v[3], "pn" if v[2] == "PN" else "other", v[4]) for v in values(kept("malformed"))]
    assert len(rows) > 300
    dump(rows)
    broken = b"ISO 2022 IR 87\\ISO 2022 IR 149\\\\GB18030"
    ds = pydicom.dcmread(CORPUS / "malformed/derived/charset_broken_escape.dcm")
    assert "\\".join(ds.SpecificCharacterSet).encode() == broken
    value = ds.get_item("OtherPatientIDs").value
    text = dump([(broken, "other", value)])[0][0]
    assert b"\x1b" in value and "\x1b" not in text and "\ufffd" in text
    assert dump([(b"ISO_IR 999", "pn", "Zoë^Ä".encode("latin-1"))])[0][0] == "Zo\ufffd^\ufffd"


# ---- names of mixed scripts -------------------------------------------------------------------------

SCRIPTS = {
    "ISO 2022 IR 100": "éèüßÆø",
    "ISO 2022 IR 101": "łřžőĄ",
    "ISO 2022 IR 109": "ĝĥŭċ",
    "ISO 2022 IR 110": "āņŋų",
    "ISO 2022 IR 126": "αβγΩώ",
    "ISO 2022 IR 127": "قبانيلز",
    "ISO 2022 IR 138": "שרוןדבה",
    "ISO 2022 IR 144": "Люксембург",
    "ISO 2022 IR 148": "ğışİŞ",
    "ISO 2022 IR 166": "นามสกุลช",
    "ISO 2022 IR 149": "김희중洪吉洞",
    "ISO 2022 IR 58": "张小东王",
    "ISO 2022 IR 87": "山田太郎やまだタロウ",
}
# Value 1 is a set of single bytes.
BEGINNINGS = [s for s in SCRIPTS if s[-2:] not in ("58", "87", "49")]


def encode(text, script, encodings):
    """By pydicom, but for the two sets where this version writes no escape, or none back to ASCII."""
    if script == "ISO 2022 IR 58":
        return b"\x1b$)A" + text.encode("gb2312")
    if script == "ISO 2022 IR 87":
        return text.encode("iso2022_jp")
    return encode_string(text, [e for e in encodings if e not in ("iso_ir_58", "iso2022_jp")])


def test_names_of_mixed_scripts_come_back():
    """pydicom writes the escapes, each component and group on its own; we read them."""
    rng = random.Random(1)
    rows = []
    for _ in range(3000):
        terms = rng.sample(list(SCRIPTS), rng.randint(1, 3))
        may_begin = terms[0] in BEGINNINGS and rng.random() < 0.5
        charset = [terms[0] if may_begin else "", *terms]
        encodings = convert_encodings(charset)
        encodings[0] = encodings[0] if may_begin else "ascii"  # pydicom would take Latin-1
        name, raw = "", b""
        for part in range(rng.randint(1, 5)):
            script = rng.choice([*terms, ""])
            text = "".join(rng.choice(SCRIPTS.get(script, "abcXYZ ,.'-")) for _ in range(rng.randint(1, 6)))
            delimiter = rng.choice("^=") if part else ""
            name += delimiter + text
            raw += delimiter.encode() + encode(text, script, encodings)
        rows.append((charset, name, raw))
    got = dump([("\\".join(c).encode(), "pn", raw) for c, _, raw in rows])
    for (charset, name, raw), (text, _, _) in zip(rows, got):
        assert text == name, (charset, raw)


# ---- folding ----------------------------------------------------------------------------------------


def plainly(name):
    """What NFKC_Casefold without combining marks makes of a name in a European script."""
    s = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return "".join(c for c in s if not unicodedata.combining(c))


def test_folding_is_what_unicodedata_says():
    """Single letters of Latin, Greek and Cyrillic that were assigned long ago."""
    own = {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ŧ": "t",
           "ı": "i", "\u02bc": "'"}
    letters = [chr(c) for c in [*range(0x61, 0x530), *range(0x1E00, 0x2000)]
               if unicodedata.category(chr(c))[0] == "L" and unicodedata.category(chr(c)) != "Lm"]
    assert len(letters) > 1200
    for letter, (_, folded, _) in zip(letters, dump([(b"UTF8", "pn", c.encode()) for c in letters])):
        want = "".join(own.get(c, c) for c in plainly(letter))
        assert folded == want, f"U+{ord(letter):04X}"


@needs_corpus
def test_each_group_of_a_corpus_name_is_found_without_accents():
    rows = [v for v in values(kept("charset")) if v[1] == "PatientName"]
    for row, (text, _, groups) in zip(rows, dump([(v[3], "pn", v[4]) for v in rows])):
        parts = (text.split("=") + ["", ""])[:3]
        typed = dump([(b"UTF8", "pn", p.upper().encode()) for p in parts])
        assert [t[2][0] for t in typed] == list(groups), row[0]
        assert all(len(g.encode()) <= KEY_MAX for g in groups)
        assert any(groups), row[0]
