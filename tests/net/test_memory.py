"""Memory is bought at start (DESIGN, promise 2), and a short pool makes everybody wait their turn and
nobody fail: many associations at once, beside an object much larger than the pool, with slow senders,
with one buffer. Ratios between senders of one run are asserted, never a speed.

SLUICE_FULL=1 runs the profiles of the acceptance: 500 associations beside 4 GiB, 1,000 slow senders.
SPDX-License-Identifier: Apache-2.0
"""
import pytest

from bench import IS_FULL, Bench, Memory, at_rest, bench, bought, ceiling, descriptors, mib
from node import SLUICED, Node

IS_SANITIZED = b"__asan_init" in open(SLUICED, "rb").read() or b"__tsan_init" in open(SLUICED, "rb").read()
FAIR = 3  # the last of a crowd is done within this many times the mean


@pytest.fixture
def say(capsys):
    def say(text):
        with capsys.disabled():
            print(f"\n  memory: {text}", end=" ")
    return say


def assert_under_ceiling(node, memory):
    """A sanitizer's shadow is not the node's memory."""
    assert IS_SANITIZED or memory.peak <= ceiling(node), f"{mib(memory.peak)} of {mib(ceiling(node))}"


def assert_pool_is_whole(node):
    """The heartbeat says that every buffer came back."""
    line = at_rest(node)
    assert line["pool"].startswith("0/") and line["waiters"] == "0", line.text


def spread(figures):
    sender = figures["sender"]
    return f"{sender['n']} senders done in {sender['min']:.1f} to {sender['max']:.1f} s, mean {sender['mean']:.1f} s"


def test_a_crowd_beside_an_object_larger_than_the_pool(say):
    crowd, large = (500, "4GiB") if IS_FULL else (200, "512MiB")
    with Node(pool__buffers=64, pool__buffer_size="1MiB", dicom__max_associations=512,
              log__heartbeat="200ms") as node:
        with Memory(node) as memory, Bench(node, "-o", f"mf:{large}", "-m", 1) as beside:
            figures = bench(node, "-n", crowd, "-e", 3)
        say(f"{crowd} associations of 3 objects beside one of {large}: peak {mib(memory.peak)} of a ceiling "
            f"of {mib(ceiling(node))} (mapped files {mib(memory.peak_file)}); {spread(figures)}; "
            f"the large object took {beside.figures['seconds']:.1f} s")
        assert figures["stored"] == 3 * crowd and beside.figures["stored"] == 1
        assert figures["sender"]["max"] <= FAIR * figures["sender"]["mean"]
        assert_under_ceiling(node, memory)
        assert_pool_is_whole(node)


def test_a_pool_of_one_buffer(say):
    with Node(pool__buffers=1, log__heartbeat="200ms") as node:
        with Memory(node) as memory:
            figures = bench(node, "-n", 8, "-e", 5)
        say(f"one buffer, 8 senders of 5 objects: peak {mib(memory.peak)} of {mib(ceiling(node))}; "
            f"{spread(figures)}")
        assert figures["stored"] == 40
        assert figures["sender"]["max"] <= FAIR * figures["sender"]["mean"]
        assert_under_ceiling(node, memory)
        assert_pool_is_whole(node)


def test_a_pool_of_one_buffer_and_a_stream_through_it(say):
    """The stream and the small ones take turns: all are served while it runs, and it comes to its end."""
    with Node(pool__buffers=1, log__heartbeat="200ms") as node:
        with Memory(node) as memory, Bench(node, "-o", "mf:200MiB", "-m", 1) as stream:
            figures = bench(node, "-n", 8, "-e", 5)
        say(f"one buffer, a stream of 200 MiB ({stream.figures['seconds']:.1f} s) and 8 senders of 5 objects: "
            f"peak {mib(memory.peak)} of {mib(ceiling(node))}; {spread(figures)}")
        assert figures["stored"] == 40 and stream.figures["stored"] == 1
        assert figures["sender"]["max"] <= FAIR * figures["sender"]["mean"]
        assert_under_ceiling(node, memory)
        assert_pool_is_whole(node)


def test_slow_senders_hold_no_buffer(say):
    """Many senders at 4 KB/s of objects that need a buffer when they come fast, and a healthy one."""
    slow = 1000 if IS_FULL else 150
    with Node(dicom__max_associations=slow + 8, log__heartbeat="200ms") as node:
        alone = bench(node, "-m", 60)
        with Memory(node) as memory:
            crawl = Bench(node, "-n", slow, "-e", 1, "-r", "4KB", "-o", "mr:24KB")
            node.wait_line("status", assocs=slow)
            beside = bench(node, "-m", 60)
            assert crawl.is_running, "the slow ones were done before the healthy one"
            used = max(int(line["pool"].split("/")[0]) for line in node.find("status", assocs=slow))
            figures = crawl.wait()
        say(f"{slow} senders at 4 KB/s: peak {mib(memory.peak)} of {mib(ceiling(node))}, at most {used} "
            f"buffers seen in use; a healthy one beside them {beside['objects_per_s']:.0f}/s, alone "
            f"{alone['objects_per_s']:.0f}/s")
        assert figures["stored"] == slow and beside["stored"] == 60
        assert_under_ceiling(node, memory)
        assert_pool_is_whole(node)


def test_churn_leaves_nothing_behind(say):
    """L4: connect, store, release, over and over: descriptors and memory as they were."""
    rounds = 10000 if IS_FULL else 1000
    with Node(log__heartbeat="200ms") as node:
        bench(node, "-n", 8, "-m", 200, "-c", 1, "-o", "mr")  # everything has been touched once
        at_rest(node)
        fds, memory = descriptors(node.pid), bought(node.pid)
        figures = bench(node, "-n", 8, "-m", rounds, "-c", 1, "-o", "mr")
        at_rest(node)
        grown = bought(node.pid) - memory
        say(f"{rounds} associations of one object, {figures['objects_per_s']:.0f}/s: "
            f"{descriptors(node.pid)} descriptors (before: {fds}), memory {mib(grown)} more")
        assert figures["stored"] == rounds and figures["ends"]["released"] == rounds
        assert descriptors(node.pid) == fds
        assert IS_SANITIZED or grown <= 1 << 20
        assert_pool_is_whole(node)
