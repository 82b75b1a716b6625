#!/usr/bin/python3
"""Runs wire scripts: what hostile, broken and slow peers do, and what the node must answer.

    tests/wire/run.py [--set KEY=VALUE ...] [FILE.wire ...]   all of this folder; $SLUICED names the daemon
    tests/wire/run.py --set dicom.loops=3 --set pool.buffers=1   every node made so
    SLUICE_FULL=1 tests/wire/run.py ...   the long profiles: `200|100000` in a script is then 100000

A script after Varnish's vtc: `client` blocks that follow one another run at the same time, what else
stands at the top comes after they are done. pytest collects the scripts too (conftest.py).

    # row 9: a fragment's length that wraps (DCMTK 1549d8ccc)
    node max_pdu=16384                      how the node is made: keys of dicom., or section.key
    client one [x8]                         eight of them at once
        for length in 00000000 7fffffff     $length from here on
            connect
            send rq
            expect ac
            send pdv length=$length
            expect abort source=2 reason=6
    expect node alive
    expect log assoc.end end=abort-local    a log line of this script's associations

Every script has $me (its calling AE title), $uid (a root for SOP Instance UIDs), $study, and in a client
$n, its number. Verbs: client.py; messages: messages.py; elements: dataset.py; orders: stage.py. At the
top there are also:

    define NAME             its indented messages under a name; `1..NAME` counts its bytes
    for X in a b 1..9 | for X in files FOLDER/*.dcm | repeat N
    proxy ...               clients that `connect proxy` go through it (proxy.py)
    expect store count=N | expect kept uid=U exact|mode=0440|preamble=00
    expect symbols none|all of NAME ...     dynamic symbols of the daemon
    expect refused exit=2 "text"            a node made as this one does not start, and says so
    notrun "reason"         the case is for what is not built yet: NOT RUN, never passed

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import concurrent.futures
import fnmatch
import hashlib
import os
import re
import struct
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "net")]
import script as scripts  # noqa: E402
from client import Client, Group, unread  # noqa: E402
from messages import Messages  # noqa: E402
from node import CORPUS, SLUICED, Node  # noqa: E402
from p10 import read_p10  # noqa: E402
from proxy import Proxy  # noqa: E402
import stage  # noqa: E402
from stage import Stage, until  # noqa: E402

WORKERS = 6  # scripts at a time


class NotRun(Exception):
    """The case cannot run here; says why."""


class Failed(AssertionError):
    """A step did not go as the script says; names it."""


class Stages:
    """The shared nodes, by what they were made with."""

    def __init__(self):
        self.lock, self.stages = threading.Lock(), {}

    def get(self, script):
        key = (tuple(sorted(script.settings.items())), script.config)
        with self.lock:
            if key not in self.stages:
                self.stages[key] = Stage(script.settings, script.config)
                self.stages[key].start()
            return self.stages[key]

    def close(self):
        """Judges them all: {configuration: complaint}."""
        bad = {}
        for (settings, _), stage in self.stages.items():
            try:
                stage.close()
            except AssertionError as error:
                bad[" ".join(f"{k}={v}" for k, v in settings) or "default"] = str(error)
        self.stages = {}
        return bad


class Play:
    """One script on its node."""

    def __init__(self, script, number, stages):
        self.script, self.stages = script, stages
        self.messages, self.proxy = Messages(self), None
        root = f"1.2.840.99.{10000 + number}"
        self.variables = {"me": f"W{number}", "uid": root + ".2", "study": root + ".1"}
        self.stage = None
        self.sent = {}  # uid -> sha256 of what was last offered under it

    def run(self):
        """NotRun, Failed, or nothing."""
        script = self.script
        if script.not_run:
            raise NotRun(script.not_run)
        nodes = [s for s in script.steps if s.words[:2] == ["node", "fail"]]
        env = {"fail": ";".join(",".join(s.words[2:]) for s in nodes)} if nodes else {}
        script.steps = [s for s in script.steps if s not in nodes]
        is_refused = any(s.words[:2] == ["expect", "refused"] for s in script.steps)
        if script.is_alone or is_refused:
            self.stage = Stage(script.settings, script.config, is_shared=False, env=env)
        else:
            self.stage = self.stages.get(script)
        try:
            if script.is_alone and not is_refused:
                self.stage.start()
            self.perform(script.steps, self.variables, None)
            if script.is_alone:
                self.stage.close()
        except AssertionError as error:
            raise Failed(f"{error}\n{self.stage.node.log()}") from None
        finally:
            if self.proxy is not None:
                self.proxy.close()
            if script.is_alone and os.path.isdir(self.stage.folder):
                self.stage.drop()

    # ---- steps -----------------------------------------------------------------------------------

    @staticmethod
    def words(step, variables):
        """A step's words with $variables filled in."""
        def value(match):
            if match[1] == "$":
                return "$"
            if match[1] not in variables:
                raise step.wrong(f"nobody has said what ${match[1]} is")
            return variables[match[1]]
        return [re.sub(r"\$(\$|\w+)", value, word) for word in step.words]

    def perform(self, steps, variables, client):
        """Steps in order; clients that follow one another at the same time."""
        at = 0
        while at < len(steps):
            crowd = at
            while crowd < len(steps) and steps[crowd].verb == "client":
                crowd += 1
            if crowd > at:
                self._perform_clients(steps[at:crowd], variables)
                at = crowd
                continue
            self._perform_one(steps[at], variables, client)
            at += 1

    def _perform_one(self, step, variables, client):
        try:
            words = self.words(step, variables)
            if step.verb == "repeat":
                for i in range(int(words[1])):
                    self.perform(step.body, {**variables, "i": str(i)}, client)
            elif step.verb == "for":
                for value in self._values(step, words):
                    inner = {**variables, words[1]: value}
                    if client is not None:
                        client.variables = {**client.variables, words[1]: value}
                    self.perform(step.body, inner, client)
            elif client is not None:
                client.variables = {**client.variables, **variables, "me": client.variables["me"]}
                client.do(step, words)
            elif not self.stage_do(step, words, variables):
                raise step.wrong("no such verb")
        except (Failed, NotRun, scripts.ScriptError):
            raise
        except (AssertionError, OSError, threading.BrokenBarrierError) as error:
            seen = {k: v for k, v in variables.items() if k not in ("me", "uid", "study")}
            raise Failed(f"{step.where}: {step.text}\n  {type(error).__name__}: {error} {seen or ''}") from error

    def _perform_clients(self, steps, variables):
        crowds = [(step, int(step.words[2][1:]) if len(step.words) > 2 else 1) for step in steps]
        group = Group(crowds)
        clients = [Client(self, step, n + 1 if times > 1 else 0, variables, group)
                   for step, times in crowds for n in range(times)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        errors = [c.error for c in clients if c.error is not None]
        first = [e for e in errors if "BrokenBarrier" not in str(e)]
        if errors:
            raise (first or errors)[0]

    def _values(self, step, words):
        """What a `for` runs over."""
        if words[2] != "in":
            raise step.wrong("for X in ...")
        if words[3] == "files":
            folder = Path(CORPUS) / words[4]
            found = sorted(folder.parent.glob(folder.name))
            if not found:
                raise NotRun("corpus absent")
            yield from map(str, found)
            return
        for word in words[3:]:
            match = re.fullmatch(r"(\d+)\.\.(\w+)(?:/(\d+))?", word)
            if not match:
                yield word
                continue
            is_named = match[2] in self.messages.defined
            last = len(self.messages.defined[match[2]]) - 1 if is_named else int(match[2])
            yield from map(str, range(int(match[1]), last + 1, int(match[3] or 1)))

    # ---- what concerns the node ------------------------------------------------------------------

    def stage_do(self, step, words, variables):
        """An order or an expectation of the node; False when it is none."""
        verb, what = words[0], words[1] if len(words) > 1 else ""
        if verb == "define":
            self.messages.define(step, words, variables)
        elif verb == "proxy":
            options = {k: int(v) for k, v in (w.split("=", 1) for w in words[1:])}
            self.proxy = Proxy(lambda: self.stage.node.port, **options)
        elif verb == "node":
            self.stage.takes_any = self.stage.takes_any or what == "any-bytes"
            return what == "any-bytes" or self.stage.order(words[1:])
        elif verb == "expect":
            getattr(self, "_expect_" + what)(step, words[2:], variables)
        else:
            return False
        return True

    def _expect_node(self, step, words, _):
        if words != ["alive"]:
            raise step.wrong("expect node alive")
        self.stage.expect_alive()

    def _expect_exit(self, _, words, __):
        self.stage.expect_exit(int(words[0]))

    def _expect_log(self, _, words, variables):
        times = [w for w in words if re.fullmatch(r"x\d+", w)]
        words = [w for w in words if w not in times]
        self.stage.expect_log(self.variables["me"], words, int(times[0][1:]) if times else 1)

    def _expect_store(self, step, words, variables):
        """Files of the script's study, or of study=...; for all: study=*"""
        o = dict(w.split("=", 1) for w in words)
        study = o.get("study", variables["study"])
        self.stage.expect_count("" if study == "*" else study + "/", int(o["count"]))

    def _expect_kept(self, _, words, variables):
        o = dict(w.split("=", 1) for w in words if "=" in w)
        name = f"/{o['uid']}.dcm"
        found = [path for path in self.stage.node.archive() if path.endswith(name)]
        until(lambda: found or found.extend(p for p in self.stage.node.archive() if p.endswith(name)),
              f"no file of {o['uid']}")
        if "exact" in words:
            data = read_p10(found[0]).data_set
            assert hashlib.sha256(data).hexdigest() == self.sent[o["uid"]], "other bytes than were sent"
        if "mode" in o:
            mode = os.stat(found[0]).st_mode & 0o7777
            assert mode == int(o["mode"], 8), f"mode {mode:o}"
        if "preamble" in o:
            with open(found[0], "rb") as file:
                assert set(file.read(128)) == set(bytes.fromhex(o["preamble"])), "preamble"

    def _expect_memory(self, *_):
        self.stage.expect_memory()

    def _expect_idle(self, *_):
        self.stage.expect_idle()

    def _expect_descriptors(self, _, words, __):
        self.stage.expect_descriptors(words[0])

    def _expect_symbols(self, _, words, __):
        """Dynamic symbols that the daemon asks of libraries; names may be patterns."""
        done = subprocess.run(["nm", "-D", "--undefined-only", SLUICED], capture_output=True, text=True, check=True)
        names = {line.split()[-1].split("@")[0] for line in done.stdout.splitlines()}
        assert "pwritev" in names or "pwritev64" in names, "nm shows nothing"
        for pattern in words[2:]:
            found = fnmatch.filter(names, pattern)
            assert bool(found) == (words[0] == "all"), f"{pattern}: {found}"

    def _expect_refused(self, _, words, __):
        node = self.stage.node
        node.process = subprocess.Popen(node.command(), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        _, said = node.process.communicate(timeout=60)
        assert node.process.returncode == int(words[0].split("=")[1]), f"exit {node.process.returncode}: {said}"
        assert words[1] in said, said
        node.process = None

    # ---- what clients ask ------------------------------------------------------------------------

    def note_offered(self, uid, sha256):
        self.sent[uid] = sha256
        self.stage.note_offered(uid, sha256)

    def note_answer(self, uid, sha256, status):
        self.stage.note_answer(uid, sha256, status)

    def port(self, is_proxied):
        return self.proxy.port if is_proxied else self.stage.node.port

    def not_run(self, why):
        return NotRun(why)

    @staticmethod
    def corpus(name):
        path = Path(CORPUS) / name
        if not path.exists():
            raise NotRun("corpus absent")
        return path

    def wait_until_read(self, sock):
        """Until the node has taken from its socket all that we sent: what follows is a read of its own."""
        ours = sock.getsockname()[1]
        needle = "%08X:%04X" % (struct.unpack("=I", bytes([127, 0, 0, 1]))[0], ours)

        def is_read():
            if unread(sock) > 0:
                return False
            for line in open("/proc/net/tcp", encoding="ascii"):
                fields = line.split()
                if fields[2] == needle:
                    return fields[4].endswith(":00000000")
            return True  # closed
        until(is_read, "the node does not read")


# ---- the programme ---------------------------------------------------------------------------------

def read_all(paths=None):
    return [scripts.read(path) for path in sorted(map(Path, paths or HERE.glob("*.wire")))]


class Programme:
    """Scripts, several at a time. .result(path) waits for one."""

    def __init__(self, programme):
        self.stages = Stages()
        self.pool = concurrent.futures.ThreadPoolExecutor(WORKERS)
        # The long ones first: who waits for clocks does not keep others waiting.
        order = sorted(enumerate(programme), key=lambda pair: not pair[1].is_alone)
        self.seconds = {}
        self.futures = {s.path: self.pool.submit(self._run, Play(s, n, self.stages)) for n, s in order}

    def _run(self, play):
        begun = time.monotonic()
        try:
            play.run()
        finally:
            self.seconds[play.script.path] = time.monotonic() - begun

    def result(self, path):
        return self.futures[path].result()

    def close(self):
        self.pool.shutdown()
        return self.stages.close()


def missing_rows(programme):
    """Rows of the two lists that no script is about."""
    wanted = [str(n) for n in range(1, 45)] + "F8 F9 F10 F11 F12 F13 F20 F25 F26 F28 L4".split()
    return [row for row in wanted if not any(row in s.rows for s in programme)]


def main():
    parser = argparse.ArgumentParser(description="Runs wire scripts.")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of every node")
    args = parser.parse_args()
    stage.BASE.update(pair.split("=", 1) for pair in args.set)
    programme = read_all(args.files)
    running = Programme(programme)
    tally = {"passed": 0, "FAILED": 0, "NOT RUN": 0}

    def say(how, name, title, why=""):
        tally[how] += 1
        print(f"{how:8}{name:31}{title}" + (f"\n        {why}" if why else ""), flush=True)
    for s in programme:
        try:
            running.result(s.path)
            say("passed", s.name, f"{s.title} [{running.seconds[s.path]:.1f} s]")
        except NotRun as why:
            say("NOT RUN", s.name, s.title, str(why))
        except Failed as why:
            say("FAILED", s.name, s.title, str(why))
        except Exception:
            say("FAILED", s.name, s.title, traceback.format_exc())
    for which, why in running.close().items():
        say("FAILED", "node", which, why)
    print(", ".join(f"{n} {how}" for how, n in tally.items()))
    return 1 if tally["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
