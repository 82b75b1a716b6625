"""A program and all that it starts: its processor time, its memory, its end.

    with Tree([...], log) as tree:
        tree.wait_listening(port)
        before = tree.cpu_s()

The tree is a session of its own, so that nothing of it is overlooked and Ctrl-C goes to us alone; when
we are killed, the program is killed too.
SPDX-License-Identifier: Apache-2.0
"""
import ctypes
import os
import signal
import subprocess
import threading
import time

START_S, STOP_S = 60, 60  # longest that a start or a stop may take
POLL_S = 0.01
SAMPLE_S = 0.025
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
LISTEN = "0A"  # state in /proc/net/tcp

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """Between fork and exec."""
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _stat(pid):
    """Fields of /proc/PID/stat from the third on (proc(5)); None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _own_cpu_s(pid):
    """To the nanosecond, ended threads and zombies included: the process' CPU clock (clock_getcpuclockid)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def _kib(pid, file, field):
    try:
        with open(f"/proc/{pid}/{file}") as lines:
            return next((int(line.split()[1]) for line in lines if line.startswith(field)), 0)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0


def is_listening(port):
    """True when a socket of our network namespace listens there; asks the kernel, not the program."""
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        if os.path.exists(table):
            with open(table) as lines:
                rows = [line.split() for line in lines][1:]
            if any(row[3] == LISTEN and int(row[1].rpartition(":")[2], 16) == port for row in rows):
                return True
    return False


class Failed(Exception):
    """A program that does not start, or ends before its time."""


class Tree:
    def __init__(self, command, log, env=None, cwd=None):
        """log: path of a file for what it prints."""
        self.command, self.log = command, log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd,
                                            env=dict(os.environ, **(env or {})), start_new_session=True,
                                            preexec_fn=die_with_parent)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def pids(self):
        """All of its processes, zombies too."""
        session = str(self.process.pid)
        stats = ((int(name), _stat(name)) for name in os.listdir("/proc") if name.isdigit())
        return [pid for pid, stat in stats if stat is not None and stat[3] == session]

    def cpu_s(self):
        """User and system time so far, of those that live and those that have ended: to the nanosecond, but
        for children that were waited for, which the kernel tells in ticks of 10 ms."""
        total = 0.0
        for pid in self.pids():
            stat = _stat(pid)
            if stat is not None:
                total += _own_cpu_s(pid) + (int(stat[13]) + int(stat[14])) * TICK_S
        return total

    def memory(self):
        """(PSS, RSS) of all, in bytes."""
        pids = self.pids()
        return (sum(_kib(pid, "smaps_rollup", "Pss:") for pid in pids) * 1024,
                sum(_kib(pid, "status", "VmRSS:") for pid in pids) * 1024)

    def is_alive(self):
        return self.process.poll() is None

    def wait_listening(self, port):
        deadline = time.monotonic() + START_S
        while not is_listening(port):
            if not self.is_alive() or time.monotonic() > deadline:
                raise Failed(f"{self.command[0]} does not listen; it said: {self.said()}")
            time.sleep(POLL_S)

    def said(self):
        with open(self.log, errors="replace") as lines:
            return lines.read()[-2000:].strip() or "nothing"

    def stop(self):
        """SIGTERM, and what is not gone in time is killed. Its exit status."""
        self._signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            pass
        while self.pids():
            self._signal(signal.SIGKILL)
            self.process.poll()
            time.sleep(POLL_S)
        return self.process.wait()

    def _signal(self, number):
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass


class MemoryPeak(threading.Thread):
    """Looks at a tree's memory again and again: .pss, .rss, the greatest sums [bytes]. It costs time."""

    def __init__(self, tree):
        super().__init__(daemon=True)
        self.tree, self.over = tree, threading.Event()
        self.pss = self.rss = 0

    def run(self):
        while not self.over.wait(SAMPLE_S):
            self.look()

    def look(self):
        pss, rss = self.tree.memory()
        self.pss, self.rss = max(self.pss, pss), max(self.rss, rss)

    def __enter__(self):
        self.look()
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        self.look()
