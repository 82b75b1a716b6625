"""Every file of the corpus' charset/ is sent to a running node; the index has its patient's name as it is
typed in UTF-8 (tests/charset_names.tsv), and the file is kept as it came.

Files that share a SOP Instance UID go to nodes of their own (p10.rounds).
SPDX-License-Identifier: Apache-2.0
"""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import p10  # noqa: E402
import rawscu  # noqa: E402
from kept import Kept  # noqa: E402
from node import CORPUS, Node  # noqa: E402

FOLDER = Path(CORPUS) / "charset"
NAMES = dict(line.split("\t") for line in
             (Path(__file__).parents[1] / "charset_names.tsv").read_text(encoding="utf-8").splitlines()
             if not line.startswith("#"))
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="NOT RUN: corpus absent")


def names_of(kept):
    """Study Instance UID -> PatientName of the rows of a stopped node's index."""
    rows = [row for row in kept.rows if row[0] == "study"]
    return {row[1]: dict(cell.split("=", 1) for cell in row[7:])["PatientName"] for row in rows}


def test_C_12_1_1_2_the_index_has_every_name_in_utf8():
    plans = [rawscu.plan_file(path) for path in p10.files_below([FOLDER])]
    found = {}
    for one in p10.rounds(plans):
        with Node() as node:
            sent = list(rawscu.send_files("127.0.0.1", node.port, [p.path for p in one], "SLUICE"))
            assert [s.status for s in sent] == [0] * len(one)
            assert node.stop() == 0, node.log()
            kept = Kept(node.root)
            names = names_of(kept)
            for plan in one:
                assert kept.file(plan.sop_instance).data_set == p10.read_p10(plan.path).data_set
                found[Path(plan.path).stem] = names[kept.by_uid[plan.sop_instance].study]
    print(f"\n{len(found)} files, {len(set(found.values()))} names, all as typed")
    assert found == NAMES
