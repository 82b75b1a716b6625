"""Queries over the corpus: every key by every kind of match on every level, and combinations. A node keeps
the files; index_query answers from its index; pydicom reads the same files and says what the answer is.

The expected answers share nothing with the node: values from pydicom's decoding, folding by Python's
unicodedata, matching by fnmatch's own rules. Files whose values disagree within a patient, a study or a
series count by the file stored first, as the index has it (its first value stays).
SPDX-License-Identifier: Apache-2.0
"""
import collections
import os
import random
import re
import subprocess
import sys
import unicodedata
import warnings
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import p10  # noqa: E402
import rawscu  # noqa: E402
from kept import BUILD, Kept  # noqa: E402
from node import CORPUS, Node  # noqa: E402

pydicom = pytest.importorskip("pydicom", reason="NOT RUN: pydicom absent")
CORPUS = Path(CORPUS)
pytestmark = pytest.mark.skipif(not (CORPUS / "MANIFEST.tsv").exists(), reason="NOT RUN: corpus absent")

LEVELS = ("patient", "study", "series", "instance")
PATIENT = ("PatientName", "PatientID")
STUDY = ("StudyDate", "AccessionNumber", "StudyDescription", "StudyID")
SERIES = ("Modality", "Manufacturer", "InstitutionName", "Radiopharmaceutical", "BodyPartExamined",
          "ProtocolName", "SeriesDescription")
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "TransferSyntaxUID")
STROKES = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th",
                         "ħ": "h", "ı": "i", "ŧ": "t"})


def is_accent(c):
    """Not the sound marks of kana, nor the vowels and tones of Thai: they make other letters."""
    return unicodedata.combining(c) and c not in "\u3099\u309a" and not "\u0e00" <= c <= "\u0e7f"


def fold(text):
    """Lower case, without accents and points, width forms as one."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    text = text.translate(STROKES)
    kept = [c for c in text if not is_accent(c)]
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()))


def fold_group(text):
    return re.sub(r" *\^ *", "^", fold(text)).rstrip("^ ")


def value_of(ds, keyword):
    """A value as pydicom decodes it; "": absent."""
    element = ds.get_item(keyword)
    if element is None:
        return ""
    raw = element.value
    if ds.get("SpecificCharacterSet") == "ISO_IR 203" and isinstance(raw, bytes):
        return raw.decode("iso8859_15").strip()  # newer than this pydicom, which reads Latin-1
    value = ds[keyword].value
    if isinstance(value, (list, pydicom.multival.MultiValue)):
        return "\\".join(map(str, value))
    return "" if value is None else str(value).strip()


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            return {k: value_of(ds, k) for k in PATIENT + STUDY + SERIES + ("IssuerOfPatientID",)}
        except Exception:
            return None


class Row:
    """An instance with the values of the rows above it."""

    def __init__(self, instance):
        self.instance = instance
        self.values = {"StudyInstanceUID": "" if instance.study == "_" else instance.study,
                       "SeriesInstanceUID": "" if instance.series == "_" else instance.series,
                       "SOPInstanceUID": instance.uid, "SOPClassUID": instance.sop_class,
                       "TransferSyntaxUID": instance.transfer_syntax}

    def id(self, level):
        if level == "instance":
            return self.instance.uid
        if level == "series":
            return f"{self.instance.study} {self.instance.series}"
        return self.instance.study if level == "study" else self.patient


def first_values(rows, read_of):
    """Gives each row the values of its patient, study and series: each the first that came."""
    rows.sort(key=lambda r: r.instance.seq)
    patients, studies, series, study_patient = {}, {}, {}, {}
    for row in rows:
        values, i = read_of[row.instance.uid], row.instance
        own = (values["PatientID"], values["IssuerOfPatientID"]) if values["PatientID"] else i.study
        patient = study_patient.setdefault(i.study, own)
        row.key = patient
        levels = [(studies.setdefault(i.study, {}), STUDY)] if i.study != "_" else []
        if i.series != "_":
            levels.append((series.setdefault((i.study, i.series), {}), SERIES))
        if i.study != "_" and (patient == own or not values["PatientID"]):
            levels.append((patients.setdefault(patient, {}), PATIENT + ("IssuerOfPatientID",)))
        for store, keywords in levels:
            for k in keywords:
                if values[k] and not store.get(k):
                    store[k] = values[k]
    counts = collections.Counter(study_patient.values())
    for row in rows:
        i = row.instance
        for store, keywords in ((patients.get(row.key, {}), PATIENT), (studies.get(i.study, {}), STUDY),
                                (series.get((i.study, i.series), {}), SERIES)):
            row.values.update({k: store.get(k, "") for k in keywords})
        who = patients.get(row.key, {})
        row.patient = f"{who.get('PatientID', '')}|{who.get('IssuerOfPatientID', '')}|{counts[row.key]}"


def texts_of(keyword, value):
    """What a value is compared as."""
    if keyword in UIDS:
        return [value]
    if keyword == "PatientName":
        groups = [fold_group(g) for g in value.split("=")]
        return [g for g in groups if g] or ([""] if not value else [])
    return [fold(value)]


def date_of(value):
    value = value.replace(".", "") if re.fullmatch(r"\d{4}\.\d\d\.\d\d", value) else value
    return value if re.fullmatch(r"[0-9.]+", value) else ""


def meets(value, keyword, match, text, to):
    if match == "range":
        value = date_of(value)
        return bool(value) and value >= text and (to == "-" or value[:len(to)] <= to)
    if match == "uids":
        return value in text.split(",")
    asked = text if keyword in UIDS else fold_group(text) if keyword == "PatientName" else fold(text)
    if match == "exact":
        return asked in texts_of(keyword, value)
    if match == "prefix":
        return any(t.startswith(asked) for t in texts_of(keyword, value))
    pattern = re.escape(asked).replace(r"\*", ".*").replace(r"\?", ".")
    return any(re.fullmatch(pattern, t, re.S) for t in texts_of(keyword, value))


def expected(rows, level, conds):
    found = [r for r in rows if all(meets(r.values[c[0]], *c) for c in conds)]
    if level != "patient":
        return sorted({r.id(level) for r in found})
    return sorted(dict((r.key, r.patient) for r in found).values())


def without_accents(text):
    plain = "".join(c for c in unicodedata.normalize("NFD", text) if not is_accent(c))
    return unicodedata.normalize("NFC", plain)


def askable(value):
    """A text that can be asked: neither a tab, nor anything undecodable, nor wild by itself."""
    return value and not re.search(r"[\t\n\r\\*?=\ufffd\x00-\x1f]", value)


def conditions(rows, rng):
    """Every field by every match, of values that are there and of one that is not."""
    for keyword in PATIENT + STUDY + SERIES + UIDS:
        values = sorted({r.values[keyword] for r in rows})
        texts = [t for v in values for t in (v.split("=") if keyword == "PatientName" else [v]) if askable(t)]
        if not texts:
            continue
        for _ in range(3):
            text = rng.choice(texts)
            yield keyword, "exact", text, "-"
            yield keyword, "prefix", text[:rng.randint(1, len(text))].strip() or text, "-"
            cut = rng.randint(0, len(text) - 1)
            yield keyword, "wildcard", rng.choice([text[:cut] + "*", text[:cut] + "?" + text[cut + 1:],
                                                   "*" + text[cut:]]), "-"
        yield keyword, "exact", "no such value", "-"
        if keyword not in UIDS:
            yield keyword, "exact", without_accents(text).swapcase(), "-"
        else:
            yield keyword, "uids", ",".join(rng.sample(texts, min(5, len(texts)))), "-"
        if keyword == "StudyDate":
            dates = sorted(d for d in map(date_of, texts) if d)
            first, last = sorted(rng.sample(dates, 2))
            for ends in ((first, last), (first, "-"), (last, "-"), (first[:4], first[:4])):
                yield (keyword, "range", *ends)


def ask(root, queries):
    lines = ["\t".join([level, *(part for cond in conds for part in cond)]) for level, conds in queries]
    done = subprocess.run([os.path.join(BUILD, "tests", "index_query"), root], input="\n".join(lines) + "\n",
                          capture_output=True, text=True, encoding="utf-8", timeout=300)
    assert done.returncode == 0, done.stderr
    answers = [line.split("\t") for line in done.stdout.split("\n")[:-1]]
    assert len(answers) == len(queries)
    return [(a[0], int(a[1]), sorted(a[2:])) for a in answers]


def keep(paths):
    """A stopped node's Kept after it was sent these files, and what pydicom reads of each."""
    node = Node()
    read_of = {}
    for sent in rawscu.send_files("127.0.0.1", node.port, paths, "SLUICE"):
        assert sent.status == 0, sent
    assert node.stop() == 0
    kept = Kept(node.root)
    assert not kept.disagreements()
    for uid in kept.by_uid:
        read_of[uid] = read(kept.path(uid))
    rows = [Row(i) for i in kept.instances if read_of[i.uid] is not None]
    first_values(rows, read_of)
    return node, rows


def first_rounds():
    files = [f for f in p10.files_below([CORPUS / "valid", CORPUS / "series", CORPUS / "charset"])]
    plans = [p for p in map(rawscu.plan_file, files) if p.sop_class != rawscu.DICOMDIR_CLASS]
    return p10.rounds(plans)[0]


def test_every_key_by_every_match_on_every_level_over_the_corpus():
    rng = random.Random(8)
    node, rows = keep([p.path for p in first_rounds()])
    with node:
        conds = list(conditions(rows, rng))
        queries = [(level, [c]) for c in conds for level in LEVELS]
        for _ in range(200):
            queries.append((rng.choice(LEVELS), rng.sample(conds, rng.choice((2, 2, 3)))))
        for c in conds:  # combinations that have an answer
            row = rng.choice(rows)
            other = rng.choice([k for k in STUDY + SERIES + PATIENT if askable(row.values[k])] or ["Modality"])
            queries.append((rng.choice(LEVELS), [c, (other, "exact", row.values[other].split("=")[0], "-")]))
        answers = ask(node.root, queries)
        keys, wrong, found = collections.Counter(), [], 0
        for (level, asked), (key, _, got) in zip(queries, answers):
            right = expected(rows, level, asked)
            keys[key] += 1
            found += bool(right)
            if got != right:
                wrong.append((level, asked, key, set(right) - set(got), set(got) - set(right)))
        print(f"\n{len(rows)} instances, {len(queries)} queries, {found} with an answer, "
              f"{len(wrong)} not as pydicom says; by key: {dict(keys)}")
        for w in wrong[:20]:
            print("  ", w)
        assert not wrong and len(queries) >= 300


def test_each_character_set_file_is_found_by_its_name_whole_by_prefix_and_without_accents():
    files = list(p10.files_below([CORPUS / "charset"]))
    asked = found = 0
    missed = []
    for plans in p10.rounds([p for p in map(rawscu.plan_file, files)]):
        node, rows = keep([p.path for p in plans])
        with node:
            queries = []
            for row in rows:
                for group in filter(askable, row.values["PatientName"].split("=")):
                    texts = {("exact", group), ("prefix", group[:(len(group) + 1) // 2].strip()),
                             ("exact", without_accents(group).swapcase()),
                             ("wildcard", group[0] + "*")}
                    queries += [(row, ("PatientName", match, text, "-")) for match, text in sorted(texts)]
            answers = ask(node.root, [("instance", [c]) for _, c in queries])
            for (row, cond), (key, _, got) in zip(queries, answers):
                asked += 1
                found += row.instance.uid in got
                if got != expected(rows, "instance", [cond]) or row.instance.uid not in got or \
                        key != "patient.name":
                    missed.append((row.instance.path, cond, key, got))
    print(f"\n{len(files)} files, {asked} names asked, {found} found, {len(missed)} not as they should be")
    for m in missed[:20]:
        print("  ", m)
    assert not missed and asked >= 3 * 20
