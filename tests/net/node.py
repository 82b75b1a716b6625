"""A running sluiced for tests: started on a free port of loopback with a root of its own, its log
lines at hand, stopped or killed at the end.

    with Node() as node:
        storescu(node, "+sd", "+r", folder)
        line = node.wait_line("assoc.end")

SLUICED names the binary (default: build/bin/sluiced beside the tests).
"""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SLUICED = os.environ.get("SLUICED", os.path.join(TOP, "build", "bin", "sluiced"))
CORPUS = os.environ.get("SLUICE_CORPUS", os.path.join(TOP, "..", "shared", "corpus"))
WAIT_S = 60  # longest a test waits for something that must come; never asserted as a speed

_FIELD = re.compile(r'([a-z0-9_.]+)=("(?:[^"\\]|\\.)*"|\S*)')


class Line(dict):
    """One logfmt line: .event, .level, and its fields as a dict of strings."""

    def __init__(self, text):
        parts = text.rstrip("\n").split(" ", 3)
        self.text = text.rstrip("\n")
        self.time, self.level, self.event = (parts + ["", "", ""])[:3]
        rest = parts[3] if len(parts) > 3 else ""
        super().__init__((k, v[1:-1] if v.startswith('"') else v) for k, v in _FIELD.findall(rest))


class Node:
    def __init__(self, root=None, env=None, wrapper=(), config=None, program=SLUICED, start=True,
                 **settings):
        """settings: dicom__port=0 and the like become --set dicom.port=0. wrapper: a command before
        the daemon's (strace, valgrind). config: a configuration file. program:
        another build of the daemon."""
        self.own_root = root is None
        self.root = root or tempfile.mkdtemp(prefix="sluice-net-")
        self.env = dict(os.environ, **(env or {}))
        self.wrapper = list(wrapper)
        self.program = program
        self.config = ["--config", str(config)] if config else []
        self.settings = {"dicom.port": "0", "storage.root": self.root, "log.identifiers": "uid",
                         "log.heartbeat": "0s"}
        self.settings.update({k.replace("__", "."): str(v) for k, v in settings.items()})
        self.lines = []
        self.news = threading.Condition()
        self.process = None
        if start:
            self.start()

    def command(self):
        sets = []
        for key, value in self.settings.items():
            sets += ["--set", f"{key}={value}"]
        return self.wrapper + [self.program] + self.config + sets

    def start(self):
        self.lines = []
        self.is_eof = False
        self.process = subprocess.Popen(self.command(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                        env=self.env, text=True, errors="backslashreplace")
        self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self.reader.start()
        line = self.wait_line("node.listening")
        self.port = int(line["port"])
        return self

    def _read(self, process):
        for text in process.stderr:
            with self.news:
                self.lines.append(Line(text))
                self.news.notify_all()
        with self.news:
            self.is_eof = True
            self.news.notify_all()

    def find(self, event, **fields):
        return [line for line in self.lines
                if line.event == event and all(line.get(k) == str(v) for k, v in fields.items())]

    def wait_line(self, event, n=1, **fields):
        """The n-th line of that event (and those fields); fails when the daemon ends before."""
        with self.news:
            self.news.wait_for(lambda: len(self.find(event, **fields)) >= n or self.is_eof, WAIT_S)
            found = self.find(event, **fields)
            assert len(found) >= n, f"no {event} {fields} in:\n" + self.log()
            return found[n - 1]

    def log(self):
        return "\n".join(line.text for line in self.lines[-200:])

    @property
    def pid(self):
        return self.process.pid

    def wait(self):
        code = self.process.wait(WAIT_S)
        self.reader.join(WAIT_S)
        return code

    def stop(self, sig=signal.SIGTERM):
        """SIGTERM and wait: its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.wait()

    def kill(self):
        self.process.kill()
        return self.wait()

    def archive(self):
        """Paths of all files in archive/."""
        return sorted(os.path.join(d, f) for d, _, files in os.walk(os.path.join(self.root, "archive"))
                      for f in files)

    def spool(self):
        """Names of objects in spool/; not those that were made ahead, of empty files."""
        folder = os.path.join(self.root, "spool")
        return sorted(entry.name for entry in os.scandir(folder)
                      if not entry.name.endswith(".berth") or entry.stat().st_size > 0)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()
        if self.own_root:
            shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:  # what the node said, for whoever reads the failure
            print("exit status so far:", self.process and self.process.poll())
            print(self.log())
        self.close()


def storescu(node, *args, check=True):
    """DCMTK's storescu; its output. Its exit status says little: the log and the output are read."""
    done = subprocess.run(["storescu", "-aec", "SLUICE", "127.0.0.1", str(node.port), *map(str, args)],
                          capture_output=True, text=True, timeout=WAIT_S * 5)
    out = done.stdout + done.stderr
    assert not check or done.returncode == 0, out
    return out
