"""AFL++ on the real sluiced: built by afl-clang-fast, fed over TCP by stdin_preload.so, its data in memory.

Each process takes many inputs one after the other (ROUNDS there), so what one finds depends a little on those
before it: an object stored once is a duplicate the next time. The disk is a small quota with eviction on.
SPDX-License-Identifier: Apache-2.0
"""
import csv
import dataclasses
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import fuzzing

BUILD = fuzzing.TOP / "build-afl"
PRELOAD = BUILD / "stdin_preload.so"
DIALOGUE_HEAD = 2  # dialogue.h
SETTINGS = {
    "dicom.port": 0, "dicom.max_associations": 4, "dicom.idle_timeout": "2s", "dicom.artim_timeout": "1s",
    "pool.buffer_size": "64KiB", "pool.buffers": 4, "storage.quota": "64MiB", "storage.policy": "evict",
    "storage.evict_min_age": "0s", "storage.threads": 1, "storage.reserve_step": "1MiB", "index.map_size": "64MiB",
    "index.max_delay": "0ms", "log.heartbeat": "0s", "log.level": "error"}


@dataclasses.dataclass
class Run(fuzzing.Run):
    stability: str = ""  # the share of edges that the same input reaches again: low, for threads take turns

    def as_dict(self):
        return {**super().as_dict(), "stability": self.stability}

    def __str__(self):
        return f"afl: {super().__str__()}  stability {self.stability}"


def fast_folder():
    """In memory if it can be."""
    return Path(tempfile.mkdtemp(prefix="sluice-afl-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))


def command(program, root):
    sets = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    return [program, *sets, "--set", f"storage.root={root}"]


def build():
    fuzzing.need("build", "speed", "test", "fuzz", "afl")
    os.environ["AFL_QUIET"] = "1"
    fuzzing.build("build-afl", "sluiced", ("afl-clang-fast", "afl-clang-fast++"), "CMAKE_BUILD_TYPE=RelWithDebInfo",
                  "SLUICE_SANITIZE=address", "BUILD_TESTING=OFF")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", f"-I{fuzzing.TOP}", "-o", PRELOAD,
                    fuzzing.HERE / "stdin_preload.c", "-ldl", "-lpthread"], check=True)


def make_inputs(folder):
    """What is kept for the dialogue target, without its choices: few, for each is tried many times at first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in sorted((fuzzing.KEPT / "dialogue").iterdir()):
        stream = path.read_bytes()[DIALOGUE_HEAD:]
        if stream:
            (folder / path.name).write_bytes(stream)
    return folder


def environment():
    return dict(os.environ, AFL_PRELOAD=str(PRELOAD), AFL_PERSISTENT="1", AFL_NO_UI="1", AFL_SKIP_CPUFREQ="1",
                AFL_NO_AFFINITY="1", AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES="1", AFL_FORKSRV_INIT_TMOUT="60000",
                AFL_NO_STARTUP_CALIBRATION="1", AFL_FAST_CAL="1", AFL_CMPLOG_ONLY_NEW="1", AFL_IGNORE_PROBLEMS="1",
                ASAN_OPTIONS="abort_on_error=1:symbolize=0:detect_leaks=0:detect_odr_violation=0",
                UBSAN_OPTIONS="abort_on_error=1:symbolize=0:halt_on_error=1")


def start(number, seconds, inputs, out, roots):
    """One afl-fuzz; the first is the main one."""
    root = roots / str(number)
    root.mkdir()
    with open(BUILD / f"afl{number}.log", "w", encoding="utf-8") as log:
        return subprocess.Popen(
            ["afl-fuzz", "-i", inputs, "-o", out, "-M" if number == 0 else "-S", f"n{number}", "-V", str(seconds),
             "-m", "none", "-t", "40000", "-x", fuzzing.HERE / "dict" / "dicom.dict", "--",
             *command(BUILD / "bin" / "sluiced", root)],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment())


def read_stats(path):
    pairs = (line.split(":", 1) for line in path.read_text(encoding="utf-8").splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def read_plot(path):
    """(seconds, edges found) of plot_data, whose first line names the columns."""
    with open(path, encoding="utf-8") as plot:
        rows = list(csv.reader(plot, skipinitialspace=True))
    names = [name.strip("# ") for name in rows[0]]
    at, edges = names.index("relative_time"), names.index("edges_found")
    return [(float(row[at]), int(row[edges])) for row in rows[1:]]


def fuzz(seconds, jobs):
    build()
    inputs, out, roots = make_inputs(BUILD / "in"), BUILD / "out", fast_folder()
    shutil.rmtree(out, ignore_errors=True)
    begun = time.monotonic()
    try:
        for process in [start(number, seconds, inputs, out, roots) for number in range(jobs)]:
            process.wait()
    finally:
        shutil.rmtree(roots, ignore_errors=True)
    took = time.monotonic() - begun
    run = Run("sluiced", took, took=took)
    if not (out / "n0" / "fuzzer_stats").exists():
        raise fuzzing.NotHere(f"afl-fuzz did not start: see {BUILD}/afl0.log")
    for number in range(jobs):
        stats = read_stats(out / f"n{number}" / "fuzzer_stats")
        run.executions += int(stats["execs_done"])
        run.stability = run.stability or stats["stability"]
    run.edges = read_plot(out / "n0" / "plot_data")
    run.crashes = sorted(p for kind in ("crashes", "hangs") for p in out.glob(f"*/{kind}/id*"))
    return run


def replay(files):
    """Each alone, on a node of its own that is then asked to stop: exit status 0 if all go well."""
    build()
    bad = 0
    for path in files:
        root = fast_folder()
        with open(path, "rb") as stream:
            done = subprocess.run(command(BUILD / "bin" / "sluiced", root), stdin=stream, check=False, env=dict(
                os.environ, LD_PRELOAD=f"{PRELOAD}", ASAN_OPTIONS="verify_asan_link_order=0"))
        shutil.rmtree(root)
        print(f"{path}: exit {done.returncode}", flush=True)
        bad += done.returncode != 0
    return bad
