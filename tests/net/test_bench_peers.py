"""tools/bench-peers: its figures are what the runs were, nothing of a process tree is overlooked, and nothing is
left behind.
SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from kept import BUILD
from node import TOP, WAIT_S

sys.path.insert(0, os.path.join(TOP, "tools", "bench"))
import figures  # noqa: E402
from tree import Failed, Tree  # noqa: E402

BENCH_PEERS = os.path.join(TOP, "tools", "bench-peers")


def command(folder, *words):
    with socket.create_server(("127.0.0.1", 0)) as any_port:
        port = any_port.getsockname()[1]
    return ["/usr/bin/python3", BENCH_PEERS, "--as-built", "--build", BUILD, "--folder", str(folder), "--port",
            str(port), *map(str, words)]


def test_a_run_of_each_kind(tmp_path):
    """A round with memory and a timed one: two floors, both durabilities, and one of the others if it is here."""
    folder, out = tmp_path / "disk", tmp_path / "json"
    folder.mkdir()
    receivers = ["floor-none", "floor-named", "sluiced", "sluiced-none"]
    receivers += ["storescp-fork"] if shutil.which("storescp") else []
    done = subprocess.run(command(folder, "-r", 1, "-n", "3", "-m", 6, "-o", "ct:64KiB", "--json", out,
                                  *receivers), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(out.read_text())
    assert len(told["runs"]) == 2 * len(receivers)
    for run in told["runs"]:
        assert run["stored"] == 6 and run["kept"] == 6 + 8 and not run["refused"] and not run["lost"], run
        assert (run["pss"] is not None) == (run["round"] == 0)
        assert run["cpu"] > 0 or run["receiver"] == "storescp-fork"  # told in ticks where processes end
    assert {row["receiver"] for row in told["medians"]} == set(receivers)
    assert all(row["memory"] > 0 and row["rate"] > 0 for row in told["medians"])
    assert "| floor-named " in done.stdout and "sluiced : floor-named, objects/s" in done.stdout
    assert not list(folder.iterdir())


def test_refused_objects_are_failures_and_not_throughput(tmp_path):
    done = subprocess.run(command(tmp_path, "-r", 1, "-n", 1, "-m", 20, "--sluiced-set", "storage.quota=5MiB",
                                  "sluiced"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and " refused " in done.stdout and "REFUSED" in done.stderr


def test_when_told_to_stop_it_stops_everything(tmp_path):
    words = command(tmp_path, "-r", 50, "-n", 1, "-m", 50, "sluiced", "floor-none")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while "round 1 " not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=WAIT_S)
    assert "interrupted" in err and "| sluiced " in out and not list(tmp_path.iterdir())
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and str(tmp_path) in cmdline(pid)]


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", errors="replace") as line:
            return line.read()
    except OSError:
        return ""


# ---- process trees ---------------------------------------------------------------------------------

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"


@pytest.mark.parametrize("script", [
    "import os\npid = os.fork()\nif pid == 0:\n    burn(); os._exit(0)\nos.waitpid(pid, 0)",
    "import os\nif os.fork() == 0:\n    burn(); os._exit(0)",
    "import threading\nt = threading.Thread(target=burn)\nt.start()\nt.join()",
], ids=["reaped", "zombie", "thread"])
def test_the_time_of_those_that_have_ended_counts(script, tmp_path):
    """0.3 s in a child that was waited for, one that was not, and a thread."""
    text = f"def burn():\n    exec({BURN!r})\n{script}\nimport time\ntime.sleep({WAIT_S})"
    with Tree(["/usr/bin/python3", "-c", text], tmp_path / "log") as tree:
        deadline = time.monotonic() + WAIT_S
        while tree.cpu_s() < 0.3:
            assert time.monotonic() < deadline and tree.is_alive(), tree.said()
            time.sleep(0.01)
        assert sum(tree.memory()) > 0


def test_stopping_leaves_nothing(tmp_path):
    """A child that does not hear SIGTERM, and whose parent has gone."""
    text = "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo up; exit 0"
    tree = Tree(["bash", "-c", text], tmp_path / "log")
    tree.process.wait(WAIT_S)
    assert tree.pids()
    tree.stop()
    assert not tree.pids()


def test_a_program_that_does_not_listen_is_told_with_its_words(tmp_path):
    with Tree(["bash", "-c", "echo no such thing"], tmp_path / "log") as tree:
        tree.process.wait(WAIT_S)
        with pytest.raises(Failed, match="no such thing"):
            tree.wait_listening(1)


# ---- figures ---------------------------------------------------------------------------------------

def run(receiver, number, rate, n=16, **more):
    return {"receiver": receiver, "durable": "", "indexed": "", "associations": n, "round": number,
            "rate": rate, "rate_settled": rate,
            "p50_ms": 1.0, "p99_ms": 2.0, "cpu": 0.001, "bench_cpu": 0.0, "settle_ms": 0.0, "pss": None,
            "rss": None, "broken": "", **dict.fromkeys(figures.TROUBLES, 0), **more}


def test_ratios_are_taken_within_a_round():
    """Each round half as fast as the floor, though the machine was ten times slower in one: 0.5, not less."""
    runs = [run("sluiced", 0, 1, pss=5), run("floor-named", 0, 1000)]  # round 0 is not timed
    for number, speed in enumerate((1000, 100, 2000), 1):
        runs += [run("sluiced", number, speed / 2), run("floor-named", number, speed)]
    runs.append(run("sluiced", 4, 900))  # interrupted before its floor
    ratio, cpu = figures.ratios(runs)
    assert (ratio["ratio"], ratio["low"], ratio["high"], ratio["rounds"]) == (0.5, 0.5, 0.5, 3)
    assert ratio["goal"] == 0.95 and ratio["is_met"] is False and cpu["is_met"] is True
    row = figures.medians(runs)[0]
    assert (row["rate"], row["rate_low"], row["rate_high"], row["memory"]) == (700, 50, 1000, 5)
    assert "0.50 (>= 0.95 NOT MET)" in figures.ratio_table([ratio, cpu])


def test_what_went_wrong_is_in_the_table():
    rows = figures.medians([run("sluiced", 0, 0, broken="broken run", cpu=None, p50_ms=None, p99_ms=None),
                            run("orthanc", 1, 0, refused=3, lost=2)])
    text = figures.table(rows)
    assert "3 refused, 2 lost" in text and "broken run" in text
    assert len({len(line) for line in text.splitlines()}) == 1
