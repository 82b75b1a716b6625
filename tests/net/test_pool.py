"""A pool that is short makes senders wait, in order, and nothing else (FAULTS F7).
SPDX-License-Identifier: Apache-2.0
"""
from bench import at_rest, bench
from node import Node


def test_F7_eight_buffers_and_64_senders(capsys):
    """Every sender ends in 0000, the pool is whole afterwards; the waits are in the log."""
    with Node(pool__buffers=8, log__heartbeat="200ms") as node:
        figures = bench(node, "-n", 64, "-e", 6)
        assert figures["statuses"] == {"0000": 384} and figures["ends"]["released"] == 64
        node.wait_line("assoc.end", n=64)
        ends = node.find("assoc.end")
        waited = [int(line["wait_pool"]) for line in ends]
        with capsys.disabled():
            print(f"\n  pool: 8 buffers, 64 senders of 6 objects: all stored; each waited {min(waited)} to "
                  f"{max(waited)} ms for buffers; done in {figures['sender']['min']:.1f} to "
                  f"{figures['sender']['max']:.1f} s", end=" ")
        assert sum(waited) > 0, "nobody had to wait: the test shows nothing"
        # First come, first served: nobody is passed over again and again while others go on.
        assert figures["sender"]["max"] <= 2 * figures["sender"]["mean"]
        last = at_rest(node)
        assert last["pool"] == "0/8" and last["peak"] == "8" and last["waiters"] == "0"
