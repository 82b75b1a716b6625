"""The kept inputs of the dialogue's fuzz target, sent to the real node by a peer in its own process
(tests/fuzz/stdin_preload.c), as AFL++ does at length (tools/fuzz afl): what was once found is not found again.
SPDX-License-Identifier: Apache-2.0
"""
import os
from pathlib import Path

from kept import BUILD, Kept
from node import TOP, Node
from preload import sanitizer_options

KEPT = Path(TOP, "tests", "fuzz", "corpus", "dialogue")


def test_the_kept_dialogues(capsys):
    names = sorted(str(path) for path in KEPT.iterdir())
    env = dict(sanitizer_options(), SLUICE_FEED="\n".join(names),
               LD_PRELOAD=os.path.join(BUILD, "tests", "stdin_preload.so"))
    with Node(env=env, dicom__idle_timeout="1s", dicom__artim_timeout="1s") as node:
        assert node.wait() == 0, node.log()
        assert f"stdin_preload: {len(names)} files fed" in node.log()
        kept = Kept(node.root)
        assert not kept.disagreements() and not kept.spool
        with capsys.disabled():
            print(f"\n  fuzz: {len(names)} kept dialogues sent to the real node, {len(kept.files)} files kept, "
                  "stopped in order", end=" ")
