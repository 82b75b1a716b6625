"""The checks that mutants meet, each a command that ends 0 on a sound build:

    core/test_slab      a unit test program
    sim                 the simulator, SIM_SEEDS seeds
    order               the order of the daemon's calls (tests/net/test_order.py)
    power               power cuts (tests/net/test_power.py)
    net/test_x[::name]  tests that speak to a running node
    wire/row09_name     a wire script
    address:CHECK, thread:CHECK   the same on the build of that sanitizer

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
SIM_SEEDS = 2000
SHORT_S = 15  # what a check may take beside ten times its usual time; more is a hang
MEMORY = 6 << 30  # bytes a mutant's processes may buy, each

_NET = ("-q", "-p", "no:cacheprovider", "-x")
_WHY = re.compile(r"^\[  (?:FAILED |ERROR  ) \] (\w+)$|^FAILED after[^\n]*\n\s*([^\n]*)|^(?:FAILED|ERROR) (\S+)|(BAD --only [^'\n]*)|"
                  r"^.*?(ThreadSanitizer: [\w -]+|AddressSanitizer: [\w-]+|runtime error: .*)", re.M)

# What automatic mutants meet beside the unit test programs.
BROAD = ("sim", "order", "power", "net/test_sync", "net/test_versions", "net/test_pool", "net/test_negotiation",
         "net/test_full::test_the_quota_is_kept", "net/test_memory::test_a_pool_of_one_buffer",
         "net/test_memory::test_a_pool_of_one_buffer_and_a_stream_through_it",
         "net/test_crash::test_killed_while_recovering", "net/test_crash::test_killed_at_random_moments",
         "wire/row09_pdv_length", "wire/row14_drop_in_each_state", "wire/row28_pdu_length", "wire/row38_pdata_oddities",
         "wire/row39_caps", "wire/f09_silent", "wire/f10_abort_nobody_reads", "wire/f12_split_anywhere")
LAYERS = ("core", "storage", "server")
BESIDE = ("storage/test_index", "storage/test_text", "storage/test_inflate", "storage/test_lmdb_key")  # not theirs


def unit_programs():
    """Names of the unit test programs that automatic mutants may meet: where leaks are seen too."""
    names = (f"address:{layer}/{path.stem}" for layer in LAYERS for path in sorted((TOP / "tests" / layer).glob("test_*.c")))
    return [name for name in names if not name.partition(":")[2].startswith(BESIDE)]


class Outcome:
    """Of one run: word "" = green, else "fails", "crashes", "hangs"; why; seconds."""

    def __init__(self, word, why, seconds):
        self.word, self.why, self.seconds = word, why, seconds


class Check:
    """One of the above, on the builds below a folder. seconds: of the run without a mutant, None = not
    yet. reached: the mutants whose place it came by then."""

    def __init__(self, name, builds):
        self.name = name
        self.seconds, self.reached, self.is_green = None, b"", False
        build, plain = re.fullmatch(r"(?:(address|thread):)?(.*)", name).groups()
        self.build = builds / (build or "plain")
        self.env = {"SLUICED": str(self.build / "bin/sluiced"), "PYTHONDONTWRITEBYTECODE": "1",
                    "TSAN_OPTIONS": "halt_on_error=1:exitcode=99",
                    "SLUICE_CORPUS": os.environ.get("SLUICE_CORPUS", str(TOP.parent / "shared/corpus"))}
        self.targets, self.command = self._made_of(plain)

    def _made_of(self, name):
        """(targets of the build that it needs, its command)."""
        layer, _, rest = name.partition("/")
        daemon = ["sluiced", "sluice-bench", "index_dump", "io_preload", "record_preload", "call_preload", "clock_preload", "power"]
        if name == "sim":
            return ["sim"], [self.build / "tests/sim", "--seeds", str(SIM_SEEDS), "--jobs", "1"]
        if name == "order":
            return daemon, self._pytest("tests/net/test_order.py", "-k", "associations or association or made_ahead")
        if name == "power":
            self.env["SLUICE_POWER_STATES"] = "1000"
            return daemon, self._pytest("tests/net/test_power.py", "-k", "power_cuts or seen_and_not")
        if layer == "net":
            path, _, test = rest.partition("::")
            return daemon, self._pytest(f"tests/net/{path}.py" + (f"::{test}" if test else ""))
        if layer == "wire":
            return daemon, ["/usr/bin/python3", TOP / "tests/wire/run.py", TOP / f"tests/wire/{rest}.wire"]
        return [f"{layer}_{rest}"], [self.build / f"tests/{layer}_{rest}"]

    @staticmethod
    def _pytest(*args):
        return ["/usr/bin/python3", "-m", "pytest", *_NET, *args]

    def try_out(self, reached):
        """The run without a mutant; reached: a file of zeroes."""
        outcome = self._run({"SLUICE_REACHED": str(reached)}, 600)
        self.seconds, self.is_green = outcome.seconds, not outcome.word
        self.reached = reached.read_bytes()
        return outcome

    def run(self, mutant):
        return self._run({"SLUICE_MUTANT": str(mutant)}, 10 * self.seconds + SHORT_S)

    def _run(self, more, limit):
        folder = tempfile.mkdtemp(prefix="sluice-mutant-", dir="/tmp")
        env = dict(os.environ, **self.env, **more, TMPDIR=folder)
        is_plain = self.build.name == "plain"

        def bounds():
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if is_plain:
                resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        begun = time.monotonic()
        with open(os.path.join(folder, "output"), "w+b") as output:
            # pylint: disable-next=subprocess-popen-preexec-fn
            process = subprocess.Popen([str(word) for word in self.command], cwd=TOP, env=env, stdout=output,
                                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
                                       preexec_fn=bounds)
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
            _end(process)
            took = time.monotonic() - begun
            output.seek(0)
            said = output.read().decode(errors="replace")
        shutil.rmtree(folder, ignore_errors=True)
        if code == 0:
            return Outcome("", "", took)
        word = "hangs" if code is None else "crashes" if code < 0 else "fails"
        return Outcome(word, _why(said), took)


def _end(process):
    """It and what it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _why(said):
    """The first thing that a red check says, or its last line."""
    match = _WHY.search(said)
    if match:
        return next(group for group in match.groups() if group)
    return (said.strip().splitlines() or [""])[-1][:120]
