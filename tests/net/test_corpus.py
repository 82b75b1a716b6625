"""Every well-formed file of the corpus, sent to a running node: all are kept, bit for bit, as files
that other programs open, with a row in the index each.

Sent twice over: three whole series by DCMTK's storescu, through a tap that keeps what storescu really
sent; and valid/, charset/ and the DICOMDIR file-sets by the raw sender, each file in its own transfer
syntax, as it is. Files that share a SOP Instance UID go to nodes of their own (p10.rounds).
SPDX-License-Identifier: Apache-2.0
"""
import collections
import os
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import p10  # noqa: E402
import rawscu  # noqa: E402
from kept import Kept  # noqa: E402
from node import CORPUS, Node, storescu  # noqa: E402
from tap import Tap  # noqa: E402

pydicom = pytest.importorskip("pydicom", reason="NOT RUN: pydicom absent")
CORPUS = Path(CORPUS)
pytestmark = [
    pytest.mark.skipif(not (CORPUS / "MANIFEST.tsv").exists(), reason="NOT RUN: corpus absent"),
    pytest.mark.skipif(shutil.which("storescu") is None, reason="NOT RUN: dcmtk absent")]

SERIES = {"CT_GE_28": 28, "MR_GE_fMRI_150": 150, "PET_299": 299}
SENT_RAW = ["valid", "charset", "series/DICOMDIR_sets"]


def no_part10_to(paths):
    """The paths that dcmftest does not call DICOM files."""
    done = subprocess.run(["dcmftest", *map(str, paths)], capture_output=True, text=True, timeout=300)
    answers = [line.split(": ", 1) for line in done.stdout.splitlines()]
    assert len(answers) == len(paths), done.stdout + done.stderr
    return [path for answer, path in answers if answer != "yes"]


def elements(path):
    """What pydicom reads of a file: its transfer syntax and (tag, VR, value as it stands) of every
    element; None when it cannot read it. Without decoding the values: that doubles the time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ds = pydicom.dcmread(path)
            raw = map(ds.get_item, ds.keys())
            return ds.file_meta.TransferSyntaxUID, [(e.tag, e.VR, e.value) for e in raw]
        except Exception:
            return None


@pytest.mark.parametrize("series", SERIES)
def test_S1_a_series_from_storescu_is_kept_as_it_was_sent(series):
    folder = CORPUS / "series" / series
    begun = time.monotonic()
    with Node() as node, Tap(node.port) as tap:
        out = storescu(tap, "+sd", "+r", folder)
        end = node.wait_line("assoc.end", calling="STORESCU")
        took = time.monotonic() - begun
        assert node.stop() == 0
        sent = dict(tap.data_sets())
        kept = Kept(node.root)
        assert (end["stored"], end["failed"], end["end"]) == (str(SERIES[series]), "0", "release"), out
        assert len(sent) == SERIES[series]
        assert not kept.disagreements()
        assert sorted(kept.by_uid) == sorted(sent)
        as_file = 0
        sources = {p.sop_instance: p for p in map(p10.read_p10, p10.files_below([folder]))}
        for uid, data_set in sent.items():
            assert kept.file(uid).data_set == data_set, uid
            as_file += data_set == sources[uid].data_set
        assert no_part10_to([kept.path(uid) for uid in sent]) == []
        assert all(elements(kept.path(uid)) for uid in sent)
    print(f"\n{series}: {len(sent)} sent by storescu, {len(sent)} kept as sent, 0 failed; storescu sent"
          f" {as_file} as the file has them and wrote {len(sent) - as_file} anew; {took:.1f} s")


class Tally:
    """What the rounds add up to."""

    def __init__(self):
        self.statuses, self.unsound, self.unread = collections.Counter(), [], 0
        self.files = self.bytes = self.rounds = 0

    def __str__(self):
        statuses = ", ".join(f"{s:04X} {n}" for s, n in sorted(self.statuses.items()))
        return (f"{self.files} files, {self.bytes} bytes, {self.rounds} rounds; statuses {statuses};"
                f" sound=no {len(self.unsound)}; pydicom cannot read {self.unread} at the source")


def send_round(plans, tally):
    """One node, one file per SOP Instance UID: sent, stopped, and everything compared."""
    with Node() as node:
        sent = list(rawscu.send_files("127.0.0.1", node.port, [p.path for p in plans], "SLUICE"))
        assert node.stop() == 0, node.log()
        assert [(s.path, s.comment) for s in sent if s.status != 0] == []
        assert len(sent) == len(plans)
        tally.statuses.update(s.status for s in sent)
        kept = Kept(node.root)
        assert not kept.disagreements()
        assert sorted(kept.by_uid) == sorted(p.sop_instance for p in plans)
        for plan in plans:
            source, row, copy = p10.read_p10(plan.path), kept.by_uid[plan.sop_instance], \
                kept.file(plan.sop_instance)
            assert copy.data_set == source.data_set, plan.path
            assert (copy.transfer_syntax, copy.sop_class) == (plan.transfer_syntax, plan.sop_class)
            assert (row.transfer_syntax, row.sop_class) == (plan.transfer_syntax, plan.sop_class)
            assert row.dataset_len == len(source.data_set)
            tally.bytes += row.dataset_len
            if not row.sound:
                tally.unsound.append(str(plan.path))
            before = elements(plan.path)
            assert before is None or elements(kept.path(plan.sop_instance)) == before, plan.path
            tally.unread += before is None
        assert no_part10_to([kept.path(p.sop_instance) for p in plans]) == []
        tally.files += len(plans)
        tally.rounds += 1


@pytest.mark.parametrize("folder", SENT_RAW)
def test_S1_every_file_is_kept_bit_for_bit_in_its_own_transfer_syntax(folder):
    begun, tally = time.monotonic(), Tally()
    files = list(p10.files_below([CORPUS / folder]))
    plans = [plan for plan in map(rawscu.plan_file, files)
             if plan.sop_class != rawscu.DICOMDIR_CLASS]
    for one in p10.rounds(plans):
        send_round(one, tally)
    print(f"\n{folder}: {tally}; {len(files) - len(plans)} DICOMDIRs passed over; "
          f"{time.monotonic() - begun:.1f} s"
          + "".join(f"\n  sound=no: {path}" for path in tally.unsound))
    assert tally.files == len(plans) > 0
