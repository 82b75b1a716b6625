"""The commands that measure a large index and many associations, at a small size: they work, what they say is
complete, and their numbers are those of what they made. Speeds are not looked at.
SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess
import sys

import pytest
from bench import is_sanitized
from kept import BUILD
from node import SLUICED, TOP

INDEX_BENCH = os.path.join(BUILD, "tests", "index_bench")


def run(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tool(name, *args):
    return run(sys.executable, os.path.join(TOP, "tools", name), *args)


def test_the_index_bench_has_a_row_for_each_size_and_class(tmp_path):
    (tmp_path / "index").mkdir()
    run(INDEX_BENCH, "--quick", "--per-series", 2, "--json", tmp_path / "out", tmp_path / "index", 12800)
    rows = json.loads((tmp_path / "out").read_text())["rows"]
    assert [(row["kind"], row["label"]) for row in rows] == [
        ("class", "class 1: 1,000 st."), ("size", "10000"), ("size", "end"), ("class", "end, in its class")]
    assert rows[-1]["instances"] == 12800 and rows[-1]["studies"] == 1600
    for row in rows:
        assert row["rate"] > 0 and 0 < row["used_bytes"] <= row["file_bytes"]
        for what in ("lookup", "duplicate_check", "study_page"):
            assert row[what]["p99_us"] >= row[what]["p50_us"] > 0
            assert row[what]["quiet_p99_us"] >= row[what]["quiet_p50_us"] > 0


def test_the_index_as_it_grows_and_its_goals(tmp_path):
    said = tool("bench-index", "--instances", 10000, "--json", tmp_path / "out", "grow")
    result = json.loads((tmp_path / "out").read_text())
    assert result["rows"][-1]["instances"] == 10000 and result["small"][-1]["studies"] >= 250
    assert len(result["goals"]) >= 4
    assert said.count(" met)") + said.count("NOT MET)") == len(result["goals"])


@pytest.mark.skipif(is_sanitized(SLUICED), reason="speed is what it is for")
def test_a_start_with_objects_in_the_spool(tmp_path):
    said = tool("bench-index", "--instances", 2000, "--objects", 40, "--rounds", 2, "--json", tmp_path / "out", "start")
    result = json.loads((tmp_path / "out").read_text())
    assert result["left"] == 40 and len(result["all"]) == 2 and "spool=40 indexed=40 moved=40" in said


@pytest.mark.skipif(is_sanitized(SLUICED), reason="speed is what it is for")
def test_many_at_a_small_scale(tmp_path):
    tool("bench-many", "--scale", 0.01, "--rounds", 1, "--seconds", 3, "--objects", 4, "--json", tmp_path / "out",
         "idle", "burst", "churn")
    results = json.loads((tmp_path / "out").read_text())
    assert [result["profile"] for result in results] == ["idle", "burst", "churn"]
    assert all(not result["wrong"] and result["peak"] <= result["ceiling"] for result in results)
