"""Every call of the daemon that can fail does, in a sample with a seed of its own (calls.py says what must
hold then; `tools/torture calls --every` goes through all of them, some 4,000), and what once went wrong.
A disk that is full from any moment on: refused, and healed without a restart.
SPDX-License-Identifier: Apache-2.0
"""
import errno
import os
import shutil
import signal

import calls
import pytest
from bench import is_sanitized
from node import SLUICED
from power import fast_folder

SAMPLE = int(os.environ.get("SLUICE_CALLS", "300"))
FULL = int(os.environ.get("SLUICE_FULL_CALLS", "6"))
WORKERS = 6  # a case mostly waits


@pytest.fixture(name="sweep", scope="module")
def sweep_fixture():
    folder = fast_folder("sluice-calls-")  # the calls are what is tried, not how long a sync takes
    yield calls.Sweep(folder)
    shutil.rmtree(folder)


def check(verdicts):
    """All good, and most of them met what was meant for them; how many did."""
    wrong = [f"{v}\n{v.log}" for v in verdicts if v.wrong]
    assert not wrong, "\n\n".join(wrong)
    met = sum(bool(v.injected) for v in verdicts)
    assert met >= 0.6 * len(verdicts), f"only {met} of {len(verdicts)} met their fault"
    return met


# ThreadSanitizer's own mmap fails too, and a node that leaves at once (70) is a leak of threads to it.
@pytest.mark.skipif(is_sanitized(SLUICED, ["tsan"]), reason="NOT RUN: it would be ThreadSanitizer's calls that fail")
def test_a_sample_of_calls_that_fail(sweep, capsys):
    verdicts = list(sweep.all(sweep.sample(SAMPLE), WORKERS))
    assert all(v.injected for v in verdicts if v.case.k == 1 and v.case.name in ("pwritev", "fdatasync"))
    met = check(verdicts)
    with capsys.disabled():
        codes = {code: sum(v.code == code for v in verdicts) for code in sorted({v.code for v in verdicts})}
        print(f"\n  calls: {met} of {sum(sweep.seen[n] for n in calls.ERRNOS)} calls failed (seed {sweep.seed}), "
              f"exits {codes}: no crash, no hang, no false success", end=" ")


@pytest.mark.parametrize("name, errnum, says", [
    # The last thread to start is the loop's: this once ended in a failed assertion.
    pytest.param("pthread_create", errno.EAGAIN, "cannot start a thread", id="a_loop_s_thread"),
    # The node once listened on "port 0", and with two addresses on two ports.
    pytest.param("getsockname", errno.ENOBUFS, "cannot listen on", id="the_port_s_number"),
])
def test_a_start_that_fails_says_so(sweep, name, errnum, says):
    verdict = sweep.one(calls.Case(name, sweep.seen[name], errnum))
    assert verdict.injected and not verdict.wrong and verdict.code == 1, f"{verdict}\n{verdict.log}"
    assert says in verdict.log


@pytest.mark.skipif(is_sanitized(SLUICED, ["tsan"]), reason="NOT RUN: a leak of threads to it is leaving with 70")
def test_an_evicting_node_cannot_look_at_a_folder():
    """Any fstat of its life; that of a folder which a study leaves once was an assertion."""
    folder = fast_folder("sluice-calls-")
    evicting = calls.Sweep(folder, kind=calls.EvictingRun)
    check(list(evicting.all((calls.Case("fstat", k, errno.EIO) for k in range(1, evicting.seen["fstat"] + 1)), WORKERS)))
    shutil.rmtree(folder)


def test_a_reload_without_memory_keeps_what_is_in_force(tmp_path):
    """The parser would end the process: it is not asked."""
    trouble = str(tmp_path / "trouble")
    run = calls.Run(str(tmp_path / "run"), calls.Case("malloc", 1, errno.ENOMEM, calls.FOREVER), trouble)
    if "alloc_preload" not in calls.libraries():
        pytest.skip("a sanitizer allocates for itself")
    run.node.config = ["--config", str(tmp_path / "conf")]
    (tmp_path / "conf").write_text("[log]\nheartbeat = 0\n", encoding="ascii")
    with run.node as node:
        node.start()
        open(trouble, "w", encoding="ascii").close()
        node.process.send_signal(signal.SIGHUP)
        node.wait_line("config.kept")
        assert any("out of memory" in line["text"] for line in node.find("config.error"))
        os.unlink(trouble)
        node.process.send_signal(signal.SIGHUP)
        node.wait_line("config.reloaded")
        assert run.echo() and node.stop() == 0, node.log()


def test_the_disk_is_full_from_any_write_on(sweep, capsys):
    verdicts = list(sweep.all_full(sweep.sample_full(FULL), WORKERS))
    met = check(verdicts)
    refused = sum(v.statuses[0xA700] for v in verdicts)
    with capsys.disabled():
        print(f"\n  full: from {met} of {sweep.seen['space']} calls on (seed {sweep.seed}): {refused} times A700, "
              "healed without a restart", end=" ")
    assert refused > 0
