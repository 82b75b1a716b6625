"""The fuzz targets as libFuzzer programs: building, seeding, running, minimising. tools/fuzz drives it.

Folders: build-fuzz/seeds/X starting inputs (seeds.py), build-fuzz/grown/X what runs have found to be new, found/X
inputs that fail; tests/fuzz/corpus/X the kept ones, in the repository: a small choice of those that reaches the
same edges, and regressions, whose names begin with "r-" and which stay whatever they reach.
SPDX-License-Identifier: Apache-2.0
"""
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
BUILD = TOP / "build-fuzz"
KEPT = HERE / "corpus"
KEPT_MAX = 2 << 20    # bytes, of all targets together
INPUT_MAX = 16384     # bytes of an input that is kept
CRASHES_MAX = 10      # of one target, then it has said enough
DICTIONARY = {"dialogue": "dicom", "elem": "dicom", "pdu": "dicom", "cmd": "dicom", "p10": "dicom", "text": "text",
              "index_row": "row"}


class NotHere(Exception):
    """What is needed is not installed, and cannot be: the message says what."""


def targets():
    return sorted(p.stem.removeprefix("fuzz_") for p in HERE.glob("fuzz_*.c"))


def shell(command):
    """A function of tools/lib.sh; its complaints go to standard error."""
    return subprocess.run(["bash", "-c", f". tools/lib.sh; {command}"], cwd=TOP, check=False).returncode == 0


def need(*purposes):
    if not shell(f"sl_install {' '.join(purposes)}"):
        raise NotHere(f"packages for {', '.join(purposes)} are missing, see above")


def build(folder, target, compilers, *options):
    settings = " ".join(f"-D{option}" for option in options)
    if not shell(f"export CC={compilers[0]} CXX={compilers[1]}; sl_build {folder} {target} {settings}"):
        raise NotHere(f"{folder}/ could not be built, see above")


def build_fuzzers():
    need("build", "speed", "test", "fuzz")
    build("build-fuzz", "fuzzers", ("clang", "clang++"), "CMAKE_BUILD_TYPE=Debug", "SLUICE_SANITIZE=address",
          "SLUICE_FUZZ=ON")


def make_seeds(folder):
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["/usr/bin/python3", HERE / "seeds.py", folder], check=True)
    return folder


# ---- a run ----------------------------------------------------------------------------------------------

@dataclasses.dataclass
class Run:
    """One target for a while."""
    target: str
    seconds: float
    executions: int = 0
    crashes: list = dataclasses.field(default_factory=list)  # files
    edges: list = dataclasses.field(default_factory=list)    # (seconds, edges so far)
    took: float = 0

    def edges_at(self, share):
        """Edges reached after that share of the time."""
        return max((edges for at, edges in self.edges if at <= self.seconds * share), default=self.edges_first())

    def edges_first(self):
        return self.edges[0][1] if self.edges else 0

    def as_dict(self):
        return {"target": self.target, "seconds": round(self.took, 1), "executions": self.executions,
                "per_second": round(self.executions / max(self.took, 0.1)), "edges_start": self.edges_first(),
                "edges": {f"{share}%": self.edges_at(share / 100) for share in (10, 25, 50, 100)},
                "crashes": [str(path) for path in self.crashes]}

    def __str__(self):
        d = self.as_dict()
        return (f"{self.target:10} {d['executions']:>10} executions {d['per_second']:>7}/s  edges "
                f"{d['edges_start']:>5} at the start, " + ", ".join(f"{n} at {at}" for at, n in d["edges"].items()) +
                f"  {len(self.crashes)} crashes" + "".join(f"\n{'':10} {path}" for path in self.crashes))


def command_of(target, *options):
    dictionary = DICTIONARY.get(target)
    found = BUILD / "found" / target
    found.mkdir(parents=True, exist_ok=True)
    return [BUILD / "fuzz" / f"fuzz_{target}", *options, "-timeout=30", "-rss_limit_mb=2560",
            f"-artifact_prefix={found}/", *([f"-dict={HERE / 'dict' / dictionary}.dict"] if dictionary else [])]


def folders_of(target, seeds):
    """The grown inputs first: what is new goes there."""
    grown = BUILD / "grown" / target
    grown.mkdir(parents=True, exist_ok=True)
    return [folder for folder in (grown, KEPT / target, seeds / target) if folder.is_dir()]


def run_once(run, begun, *options):
    """One process, until its time is over or it has found something."""
    left = run.seconds - (time.monotonic() - begun)
    command = command_of(run.target, f"-max_total_time={max(1, round(left))}", "-print_final_stats=1", *options)
    tail = []
    with subprocess.Popen(command + folders_of(run.target, BUILD / "seeds"), stderr=subprocess.PIPE,
                          stdout=subprocess.DEVNULL, text=True, errors="replace", cwd=BUILD) as process:
        for line in process.stderr:
            tail = (tail + [line])[-400:]
            seen = re.match(r"#\d+\s+(\w+)\s+cov: (\d+)", line)
            if seen and (seen[1] == "INITED" or run.edges):  # before it is through its inputs it only reads
                run.edges.append((time.monotonic() - begun, int(seen[2])))
    text = "".join(tail)
    executed = re.search(r"stat::number_of_executed_units: (\d+)", text)
    run.executions += int(executed[1]) if executed else 0
    if process.returncode == 0:
        return False
    written = re.search(r"Test unit written to (\S+)", text)
    run.crashes.append(written[1] if written else f"exit {process.returncode}: {tail[-1].strip() if tail else ''}")
    sys.stderr.write(text)
    return True


def fuzz(target, seconds):
    run, begun = Run(target, seconds), time.monotonic()
    while run_once(run, begun) and len(run.crashes) < CRASHES_MAX and time.monotonic() - begun < seconds - 1:
        pass
    run.took = time.monotonic() - begun
    return run


def fuzz_all(names, seconds, jobs, on_done):
    make_seeds(BUILD / "seeds")
    lock = threading.Lock()

    def one(name):
        run = fuzz(name, seconds)
        with lock:
            on_done(run)
        return run
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, names))


# ---- what is kept ---------------------------------------------------------------------------------------

def keep(target):
    """Chooses anew what of all inputs is kept: the smallest set that libFuzzer finds for all edges."""
    work = BUILD / "merged" / target
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    sources = [f for f in folders_of(target, BUILD / "seeds") if f != work]
    merge = command_of(target, "-merge=1", "-set_cover_merge=1", "-use_counters=0", f"-max_len={INPUT_MAX}")
    done = subprocess.run(merge + [work, *sources], capture_output=True, text=True, errors="replace", cwd=BUILD,
                          check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stderr[-4000:])
        raise RuntimeError(f"{target}: merging failed")
    kept = KEPT / target
    kept.mkdir(parents=True, exist_ok=True)
    for path in kept.iterdir():
        if not path.name.startswith("r-"):
            path.unlink()
    for path in sorted(work.iterdir()):
        shutil.copyfile(path, kept / path.name[:12])
    return len(list(kept.iterdir())), sum(p.stat().st_size for p in kept.iterdir())


def keep_all(names, say):
    make_seeds(BUILD / "seeds")
    for name in names:
        files, size = keep(name)
        say(f"{name:10} {files:>5} files {size / 1024:>7.1f} KiB")
    total = sum(p.stat().st_size for p in KEPT.rglob("*") if p.is_file())
    say(f"together {total / 1024:.1f} KiB")
    return total <= KEPT_MAX


def has_corpus():
    return Path(os.environ.get("SLUICE_CORPUS", TOP.parent / "shared" / "corpus")).is_dir()
