"""The nodes of the wire scripts: one for each configuration, shared by the scripts that need no other,
and one of its own for each script that stops, kills or disturbs it.

Each node keeps a ledger of what it acknowledged; when it has ended, oracle.py judges its folder: nothing
acknowledged may be lost, nothing may lie there that nobody sent, index and files agree. A shared node's
memory may not have grown by more than 1 MiB and its descriptors must be those of the beginning.

    node alive                 expect node alive: it answers a C-ECHO
    node term|kill|hup|stop    a signal; stop waits for the end
    node start                 starts it again on the same folder
    node descriptors none|any  prlimit: it can open no more; it can again
    node clock +86400          the wall clock jumps
    node plant SEQ [cut=N] [bytes=OFFSET:HEX]   puts a changed copy of an archived file into its spool

SPDX-License-Identifier: Apache-2.0
"""
import fnmatch
import os
import resource
import shutil
import signal
import tempfile
import threading
import time

import order
from bench import bought
from kept import BUILD
from load import Sender, join, make
from node import SLUICED, WAIT_S, Node
from oracle import judge
from p10 import IMPLICIT_LE
from preload import preload
from rawscu import VERIFICATION, Ended, Ledger, RawSCU, Sent

GROWTH = 1 << 20  # bytes a shared node's memory may grow by
BASE = {"pool.buffers": "16", "dicom.max_pdu": "16384", "dicom.max_associations": "300", "log.level": "debug"}
TITLE = "ALIVE"  # whom the runner itself calls from
SIGNALS = {"term": signal.SIGTERM, "kill": signal.SIGKILL, "hup": signal.SIGHUP}
CLOCK = os.path.join(BUILD, "tests", "clock_preload.so")
IS_SANITIZED = any(mark in open(SLUICED, "rb").read() for mark in (b"__asan_init", b"__tsan_init"))


def until(is_so, why):
    """Waits for something that must come."""
    deadline = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < deadline, why() if callable(why) else why
        time.sleep(0.01)


class Stage:
    """A node and what is known of it."""

    def __init__(self, settings, config="", is_shared=True, env=None):
        self.folder = tempfile.mkdtemp(prefix="sluice-wire-")
        self.lock, self.offered = threading.Lock(), {}
        self.is_shared, self.takes_any = is_shared, False
        self.ledger_path = os.path.join(self.folder, "ledger")
        self.ledger = Ledger(self.ledger_path)
        self.clock = os.path.join(self.folder, "clock")
        self.trace = os.path.join(self.folder, "trace")
        path = os.path.join(self.folder, "sluice.toml")
        with open(path, "w", encoding="utf-8") as out:
            out.write(config + "\n")
        trace = {"trace": self.trace} if is_shared else {}
        environment = preload(**trace, **(env or {}))
        self._set_clock(0)
        environment["LD_PRELOAD"] += " " + CLOCK
        environment["SLUICE_CLOCK"] = self.clock
        keys = {key.replace(".", "__"): value for key, value in {**BASE, **settings}.items()}
        self.node = Node(root=os.path.join(self.folder, "root"), config=path if config else None,
                         env=environment, start=False, **keys)
        self.memory = self.descriptors = None

    def start(self):
        self.node.start()
        self.echo()
        if self.is_shared:
            self._warm_up()
        self.memory, self.descriptors = bought(self.node.pid), self._open_ones()

    def _warm_up(self):
        """Everything has been touched once before memory is measured."""
        made = [make(f"1.2.840.99.1.{n}", 4000 if n % 10 else 300000, "1.2.840.99.2") for n in range(60)]
        for one in made:
            self.note_offered(one.uid, one.sha256)
        senders = [Sender(self.node.port, made[at::6], self.ledger, TITLE) for at in range(6)]
        for sender in senders:
            sender.start()
        join(senders)

    def echo(self):
        """A C-ECHO over an association of its own; Ended or OSError where there is none."""
        with RawSCU("127.0.0.1", self.node.port, "SLUICE", TITLE) as scu:
            scu.associate([(VERIFICATION, [IMPLICIT_LE])])
            assert scu.echo().status == 0
            scu.release()

    # ---- what was promised -----------------------------------------------------------------------

    def note_offered(self, uid, sha256):
        with self.lock:
            self.offered.setdefault(uid, set()).add(sha256)

    def note_answer(self, uid, sha256, status):
        with self.lock:
            self.ledger.add(Sent("", uid, sha256, status))

    def files(self, below):
        """Archived files whose path holds `below`."""
        return [path for path in self.node.archive() if f"/{below}" in path]

    # ---- orders ----------------------------------------------------------------------------------

    def order(self, words):
        """`node ...`. False when there is no such order."""
        verb, node = words[0], self.node
        options = dict(w.split("=", 1) for w in words[1:] if "=" in w)
        if verb in SIGNALS:
            node.process.send_signal(SIGNALS[verb])
        elif verb == "stop":
            assert node.stop() == 0, "exit status of a node that was told to stop"
        elif verb == "start":
            node.wait()
            node.start()
        elif verb == "descriptors":
            self._limit_descriptors(words[1])
        elif verb == "clock":
            self._set_clock(int(words[1]))
        elif verb == "plant":
            self._plant("%016x.dcm" % int(words[1]), options)
        else:
            return False
        return True

    def _limit_descriptors(self, how):
        """EMFILE from now on, or no more."""
        soft, hard = resource.prlimit(self.node.pid, resource.RLIMIT_NOFILE)
        soft = 1 + max(map(int, os.listdir(f"/proc/{self.node.pid}/fd"))) if how == "none" else hard
        resource.prlimit(self.node.pid, resource.RLIMIT_NOFILE, (soft, hard))

    def _set_clock(self, seconds):
        """In place: the daemon has the file mapped."""
        fd = os.open(self.clock, os.O_RDWR | os.O_CREAT, 0o644)
        os.pwrite(fd, b"%020d\n" % seconds, 0)
        os.close(fd)

    def _plant(self, name, options):
        """A changed copy of an archived file, under a name of the spool. The node is not running."""
        source = self.node.archive()[0]
        with open(source, "rb") as data:
            copy = bytearray(data.read())
        if "bytes" in options:
            at, _, value = options["bytes"].partition(":")
            value = bytes.fromhex(value)
            copy[int(at):int(at) + len(value)] = value
        with open(os.path.join(self.node.root, "spool", name), "wb") as out:
            out.write(copy[:int(options.get("cut", len(copy)))])

    # ---- expectations ----------------------------------------------------------------------------

    def expect_alive(self):
        """It may be busy with those that misbehave: asked until it answers."""
        def answers():
            assert self.node.process.poll() is None, f"the node has ended: {self.node.process.returncode}"
            try:
                self.echo()
                return True
            except (Ended, OSError):
                return False
        until(answers, "no C-ECHO is answered")

    def expect_exit(self, code):
        assert self.node.wait() == code, f"exit status {self.node.process.returncode}"

    def expect_log(self, calling, words, n):
        """n lines of an event with those fields (patterns), of this script's associations."""
        def found():
            with self.node.news:
                lines = list(self.node.lines)
            ours = {line.get("id") for line in lines if line.get("calling", "").startswith(calling)}
            return [line for line in lines if fnmatch.fnmatchcase(line.event, words[0]) and _has(line, words[1:])
                    and ("id" not in line or line["id"] in ours)]
        until(lambda: len(found()) >= n, lambda: f"{len(found())} such lines")

    def expect_count(self, below, n):
        until(lambda: len(self.files(below)) >= n, lambda: f"{len(self.files(below))} files")
        assert len(self.files(below)) == n, f"{len(self.files(below))} files"

    def expect_idle(self):
        """No loop turns while nothing can be done: the processor is at rest most of a second."""
        def used():
            fields = open(f"/proc/{self.node.pid}/stat", encoding="ascii").read().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        before = used()
        time.sleep(1)
        assert used() - before < 0.5, f"{used() - before:.2f} s of processor time in a second of nothing"

    def expect_descriptors(self, how):
        folder = f"/proc/{self.node.pid}/fdinfo"
        if how == "cloexec":
            for fd in filter(lambda fd: int(fd) > 2, os.listdir(folder)):
                try:
                    flags = next(line for line in open(f"{folder}/{fd}", encoding="ascii") if line.startswith("flags"))
                    path = os.readlink(f"{folder[:-4]}/{fd}")
                except FileNotFoundError:
                    continue  # it was somebody else's, and is closed
                assert int(flags.split()[1], 8) & os.O_CLOEXEC, f"{path} is open for children"
        else:
            until(lambda: len(self._open_ones()) <= len(self.descriptors),
                  lambda: f"more descriptors than at first: {sorted(self._open_ones() - self.descriptors)}")

    def _open_ones(self):
        """"NUMBER WHAT" of each. Without /dev/null: libuv keeps one for each loop that had a connection; and
        without names made ahead, of which there are now more, now fewer."""
        folder, found = f"/proc/{self.node.pid}/fd", set()
        for fd in os.listdir(folder):
            try:
                found.add(f"{fd} {os.readlink(f'{folder}/{fd}')}")
            except FileNotFoundError:
                pass  # closed meanwhile
        return {text for text in found if not text.endswith((" /dev/null", ".berth"))}

    def expect_memory(self):
        if not IS_SANITIZED:
            until(lambda: bought(self.node.pid) - self.memory < GROWTH,
                  lambda: f"memory grew by {(bought(self.node.pid) - self.memory) >> 10} KiB")

    # ---- the end ---------------------------------------------------------------------------------

    def outside(self):
        """Paths beyond its folder that the node made, wrote to or removed."""
        if not os.path.exists(self.trace):
            return set()
        return {call.path for call in order.read_trace(self.trace)
                if call.is_ok and "sync" not in call.name and call.path.startswith("/") and not call.path.startswith((self.node.root, "/dev/", "/proc/"))}

    def close(self):
        """Stops the node and judges it. AssertionError says what is wrong."""
        node = self.node
        try:
            if self.is_shared:
                self.expect_alive()
                self.expect_descriptors("same")
                self.expect_memory()
            if node.process is not None and node.process.poll() is None:
                assert node.stop() == 0, f"exit status {node.process.returncode}"
            if node.process is None or not os.path.isdir(node.root):
                return
            verdict = judge(node.root, self.ledger_path, None if self.takes_any else self.offered)
            assert verdict.is_good, f"{verdict}"
            assert not self.outside(), f"touched {sorted(self.outside())[:5]}"
        except AssertionError as error:
            raise AssertionError(f"{error}\n{node.log()}") from None
        finally:
            self.drop()

    def drop(self):
        self.node.close()
        os.close(self.ledger.fd)
        shutil.rmtree(self.folder, ignore_errors=True)


def _has(line, pairs):
    """Whether a log line has the fields; a value may be a pattern."""
    return all(fnmatch.fnmatchcase(line.get(key, ""), value) for key, value in (p.split("=", 1) for p in pairs))
