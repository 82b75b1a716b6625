"""sluice-bench says what is so: what it sends is sound and has the UIDs it wrote down, its figures add up,
and its exit status tells success from anything else.
SPDX-License-Identifier: Apache-2.0
"""
import socket
import subprocess
from collections import Counter

import pydicom
import pytest

from bench import SLUICE_BENCH, Bench, at_rest, bench
from kept import Kept
from node import Node


def refused(*args):
    """Its complaint about a command line; it must be exit 2."""
    done = subprocess.run([SLUICE_BENCH, *args], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    return done.stderr


def test_what_it_sends_is_sound_and_what_it_says_is_kept(tmp_path):
    """Every kind, in every way of sending; the ledger, the figures and the index agree."""
    ledger = tmp_path / "ledger"
    with Node() as node:
        runs = [bench(node, "--ledger", ledger, *how.split()) for how in (
            "-n 3 -m 30 -o mr*3,ct*2,dx:1MB,mf:3MiB",
            "-n 2 -m 8 -c 1 -p 16KiB --series 2",
            "-n 2 -m 4 -p peer -o ct:100KiB --think 10ms",
            "-n 1 -m 2 -p 128 -o mr:4KB -t 2",
            "-n 4 -m 8 -o mr:8KB -r 20KB -t 3",
            "-n 1 -d 100ms -o mr")]
        assert node.stop() == 0
        kept = Kept(node.root)
        lines = [line.split() for line in ledger.read_text().splitlines()]
        assert {status for _, status in lines} == {"0000"}
        assert sorted(uid for uid, _ in lines) == sorted(kept.by_uid)
        assert sum(run["stored"] for run in runs) == len(lines) == sum(run["object"]["n"] for run in runs)
        assert sum(run["bytes"] for run in runs) == sum(i.dataset_len for i in kept.instances)
        assert not kept.disagreements() and all(i.sound for i in kept.instances)
        assert runs[1]["ends"]["released"] == 8 and runs[1]["association"]["n"] == 8
        for uid in kept.by_uid:
            file = pydicom.dcmread(kept.path(uid))
            assert (file.SOPInstanceUID, file.file_meta.MediaStorageSOPInstanceUID) == (uid, uid)
            assert file.pixel_array.size == file.Rows * file.Columns * int(file.get("NumberOfFrames", 1))
        # Of each sender 10 objects, in rounds of 3 mr, 2 ct, 1 dx, 1 mf, the next sender one further on.
        mix = Counter(pydicom.dcmread(kept.path(uid), stop_before_pixels=True).Modality
                      for uid, _ in lines[:30])
        assert mix == {"MR": 15, "CT": 9, "DX": 3, "OT": 3}


def test_studies_and_series_have_their_usual_shape():
    with Node() as node:
        bench(node, "-n", 2, "-m", 36, "-o", "mr:4KB", "--series", 3)
        assert node.stop() == 0
        kept = Kept(node.root)
        studies = {i.study for i in kept.instances}
        series = Counter((i.study, i.series) for i in kept.instances)
        assert len(studies) == 4 and len(series) == 12 and set(series.values()) == {3}


def test_the_same_run_again_is_the_same_objects():
    with Node() as node:
        first = bench(node, "-m", 3, "-o", "mr", "--run", 7)
        again = bench(node, "-m", 3, "-o", "mr", "--run", 7)
        assert first["stored"] == again["stored"] == 3
        assert node.wait_line("assoc.end", n=2)["dup"] == "3"


def test_associations_that_only_hold():
    with Node(log__heartbeat="100ms") as node:
        with Bench(node, "-n", 20, "-m", 0, "--hold", "1s") as run:
            node.wait_line("status", assocs=20)
        assert run.code == 0 and run.figures["ends"]["released"] == 20
        at_rest(node)


def test_failures_are_counted_and_exit_1():
    with Node(dicom__max_associations=2, log__heartbeat="100ms") as node:
        with Bench(node, "-n", 2, "-m", 0, "--hold", "2s"):
            node.wait_line("status", assocs=2)
            one_too_many = bench(node, "-m", 5, code=1)
            assert one_too_many["ends"]["rejected"] == 1 and one_too_many["unsent"] == 5
            assert bench(node, "-m", 5, "--expect-failures")["unsent"] == 5
    with Node(dicom__check_called_ae="true") as node:
        assert bench(node, "-m", 1, code=1)["ends"]["rejected"] == 1
        assert bench(node, "-m", 1, "--called", "SLUICE")["stored"] == 1
    with Node(storage__quota="1MiB") as node:
        full = bench(node, "-m", 6, code=1)
        assert full["statuses"]["A700"] == full["failed"] == 6 - full["stored"] > 0
        node.kill()
        assert bench(node, "-m", 1, code=1)["ends"]["not-connected"] == 1


def test_a_node_that_dies_loses_what_was_under_way():
    with Node(log__heartbeat="100ms") as node:
        with Bench(node, "-n", 8, "-e", 1000000) as run:
            node.wait_line("status", assocs=8)
            node.kill()
        figures = run.figures
        assert run.code == 1 and figures["ends"]["released"] == 0 and figures["unanswered"] <= 8
        assert figures["stored"] + figures["unanswered"] + figures["unsent"] == 8000000


def test_it_goes_on_with_a_node_that_comes_back():
    with Node(log__heartbeat="100ms") as node:
        with Bench(node, "-n", 4, "-e", 200, "--reconnect", "30s") as run:
            node.wait_line("status", assocs=4)
            node.kill()
            node.settings["dicom.port"] = str(node.port)
            node.start()
        figures = run.figures
        assert figures["stored"] + figures["unanswered"] == 800 and figures["unsent"] == 0


def test_a_silent_peer_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = subprocess.run([SLUICE_BENCH, "--timeout", "200ms", "127.0.0.1", str(silent.getsockname()[1])],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "timeout 1" in done.stdout


def test_a_ledger_that_cannot_be_written_ends_the_run():
    with Node() as node:
        done = subprocess.run([SLUICE_BENCH, "--ledger", "/dev/full", "127.0.0.1", str(node.port)],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "No space left" in done.stderr


@pytest.mark.parametrize("args, why", [
    ([], "usage"),
    (["-o", "xa", "127.0.0.1", "1"], "is no object"),
    (["-o", "ct:0", "127.0.0.1", "1"], "no pixel"),
    (["-o", "mf:1KB", "127.0.0.1", "1"], "no frame"),
    (["-n", "0", "127.0.0.1", "1"], "no number"),
    (["--think", "5", "127.0.0.1", "1"], "no time"),
    (["-p", "7", "127.0.0.1", "1"], "no size"),
])
def test_wrong_options_exit_2(args, why):
    assert why in refused(*args)
