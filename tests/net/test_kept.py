"""The judge of what a node has kept sees each kind of damage (kept.py).

SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kept import Kept  # noqa: E402
from node import Node  # noqa: E402
from p10 import EXPLICIT_LE  # noqa: E402
from rawscu import SECONDARY_CAPTURE, RawSCU  # noqa: E402


def element(group, number, value):
    value += b"\0" * (len(value) & 1)
    return b"".join((group.to_bytes(2, "little"), number.to_bytes(2, "little"), b"UI",
                     len(value).to_bytes(2, "little"), value))


def data_set(uid):
    return (element(8, 0x16, SECONDARY_CAPTURE.encode()) + element(8, 0x18, uid.encode())
            + element(0x20, 0xD, b"1.2.3") + element(0x20, 0xE, b"1.2.3.4"))


def test_files_and_rows_that_disagree_are_named():
    with Node() as node:
        with RawSCU("127.0.0.1", node.port, "SLUICE") as scu:
            scu.associate([(SECONDARY_CAPTURE, [EXPLICIT_LE])])
            for i in range(3):
                assert scu.cstore(data_set(f"1.2.{i}"), SECONDARY_CAPTURE, f"1.2.{i}").status == 0
            scu.release()
        assert node.stop() == 0
        kept = Kept(node.root)
        assert kept.disagreements() == [] and sorted(kept.by_uid) == ["1.2.0", "1.2.1", "1.2.2"]
        assert kept.file("1.2.1").data_set == data_set("1.2.1")
        assert kept.usage()["studies"] == 1 and kept.usage()["instances"] == 3

        paths = [Path(kept.path(f"1.2.{i}")) for i in range(3)]
        shutil.copy(paths[0], paths[0].with_name("stranger.dcm"))
        paths[1].unlink()
        paths[2].chmod(0o600)
        os.truncate(paths[2], 100)
        Path(node.root, "spool", "left").touch()
        found = Kept(node.root).disagreements()
        assert len(found) == 4, found
        for part, sentence in zip(("stranger.dcm is in no row", "has a row and no file",
                                   "100 bytes, its row says", "spool/left is left"), found):
            assert part in sentence
