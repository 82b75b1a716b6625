"""An index of an older program is upgraded when the store is opened (FAULTS F30): a kill at any file call of
that leaves nothing lost and the next opening finishes it; one of a newer program is refused and left alone.
SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil
import subprocess

import pytest
from kept import BUILD
from node import Node
from preload import preload
from test_orders import check_good, fill, order, told

STEP = int(os.environ.get("SLUICE_UPGRADE_STEP", "7"))  # 1: every file call


def make_schema(root, schema):
    subprocess.run([os.path.join(BUILD, "tests", "index_older"), os.path.join(root, "index"), str(schema)],
                   check=True)


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_F30_killed_at_file_calls_of_an_upgrade(tmp_path, schema, capsys):
    root = str(tmp_path / "root")
    fill(root, 40)
    rows, deaths = told(root), 0
    make_schema(root, schema)
    k = 1
    while True:
        copy = str(tmp_path / f"at{k}")
        shutil.copytree(root, copy)
        code, _, err = order(copy, "--pins", env=preload(kill=k))
        assert code in (0, -9), err
        deaths += code == -9
        assert order(copy, "--pins") == (0, "", ""), f"call {k}"
        assert told(copy) == rows, f"call {k}"
        if code == 0:
            check_good(copy)
            break
        shutil.rmtree(copy)
        k += STEP
    with capsys.disabled():
        print(f"\n  upgrade from {schema}: killed at {deaths} of {k} calls, every row there each time", end=" ")
    assert deaths >= 2


def test_F30_a_newer_schema_is_refused_and_left_alone(tmp_path):
    root = str(tmp_path / "root")
    fill(root, 2)
    make_schema(root, 9)
    with open(os.path.join(root, "index", "data.mdb"), "rb") as f:
        before = f.read()
    for words in (["--pins"], ["--compact"]):
        code, out, err = order(root, *words)
        assert code == 2 and out == "" and "schema 9" in err and "newer program" in err, err
    node = Node(root=root, start=False)
    done = subprocess.run(node.command(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "schema 9" in done.stderr, done.stderr
    with open(os.path.join(root, "index", "data.mdb"), "rb") as f:
        assert f.read() == before
