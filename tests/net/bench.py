"""sluice-bench as the tests use it: run against a node, its figures as a dict; and the node's memory
while it runs.

    figures = bench(node, "-n", 8, "-m", 400)
    with Memory(node) as memory, Bench(node, "-o", "mf:4GiB") as beside:
        ...
    memory.peak, beside.figures

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess
import threading

from kept import BUILD

SLUICE_BENCH = os.path.join(BUILD, "bin", "sluice-bench")
IS_FULL = os.environ.get("SLUICE_FULL") == "1"  # the long profiles
SAMPLE_S = 0.05
LONGEST_S = 1800  # of one run; only so that a hanging one ends


class Bench:
    """A run in the background; .wait() or leaving it gives .figures and .code."""

    def __init__(self, node, *args):
        self.process = subprocess.Popen(
            [SLUICE_BENCH, "--json", "-", *map(str, args), "127.0.0.1", str(node.port)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.figures = None

    def wait(self):
        if self.figures is None:
            out, err = self.process.communicate(timeout=LONGEST_S)
            self.code = self.process.returncode
            assert self.code in (0, 1) and not err, err
            self.figures = json.loads(out)
        return self.figures

    @property
    def is_running(self):
        return self.process.poll() is None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.process.kill()
        self.wait() if kind is None else self.process.communicate()


def bench(node, *args, code=0):
    """Runs it to its end; its figures. Fails when it ended otherwise than expected."""
    run = Bench(node, *args)
    figures = run.wait()
    assert run.code == code, f"{figures}\n{node.log()}"
    return figures


def run_bench(port, *args):
    """Runs it against any receiver of this machine, without a node; its figures. Everything must be stored."""
    done = subprocess.run([SLUICE_BENCH, "--json", "-", *map(str, args), "127.0.0.1", str(port)],
                          capture_output=True, text=True, timeout=LONGEST_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def is_sanitized(program, kinds=("asan", "tsan")):
    """True for a build with one of these sanitizers, by its symbols."""
    with open(program, "rb") as file:
        text = file.read()
    return any(f"__{kind}_init".encode() in text for kind in kinds)


def resident(pid):
    """{field: bytes} of the memory a process has: RssAnon, RssShmem, RssFile."""
    with open(f"/proc/{pid}/status") as status:
        rows = (line.split() for line in status if line.startswith("Rss"))
        return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows}


def bought(pid):
    """Bytes that count against the ceiling (DESIGN, promise 2)."""
    now = resident(pid)
    return now["RssAnon"] + now["RssShmem"]


def at_rest(node):
    """The first status line made after the last association has ended. Needs a short log.heartbeat."""
    node.wait_line("status", n=len(node.find("status")) + 1)  # may have been under way
    return node.wait_line("status", n=len(node.find("status", assocs=0)) + 1, assocs=0)


def descriptors(pid):
    """How many are open, but for names made ahead: of those there are up to storage.names_ahead."""
    folder, n = f"/proc/{pid}/fd", 0
    for fd in os.listdir(folder):
        try:
            n += not os.readlink(f"{folder}/{fd}").endswith(".berth")
        except FileNotFoundError:
            pass  # closed meanwhile
    return n


class Memory(threading.Thread):
    """Looks at a node's memory every 50 ms. .peak [bytes]; .peak_file beside it."""

    def __init__(self, node):
        super().__init__(daemon=True)
        self.pid, self.over = node.pid, threading.Event()
        self.peak = self.peak_file = 0

    def look(self):
        now = resident(self.pid)
        self.peak = max(self.peak, now["RssAnon"] + now["RssShmem"])
        self.peak_file = max(self.peak_file, now["RssFile"])

    def run(self):
        while not self.over.wait(SAMPLE_S):
            try:
                self.look()
            except (FileNotFoundError, KeyError):
                return  # the node has ended

    def __enter__(self):
        self.look()
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


def size(text):
    """"143MiB" of a log line in bytes."""
    number = text.rstrip("BKMGi")
    return int(float(number) * 1024 ** " KMG".index(text[len(number):][:1] or " "))


def ceiling(node):
    """What the node printed at its start."""
    return size(node.find("node.start")[0]["memory_ceiling"])


def mib(n):
    return f"{n / 2 ** 20:.1f} MiB"
