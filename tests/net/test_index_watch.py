"""Readers of the index from other processes (FAULTS F22): a living one that stays at a commit shows in the
heartbeat, a dead one's slot is cleared, and then the file no longer grows.
SPDX-License-Identifier: Apache-2.0
"""
import os
import signal
import subprocess

from kept import BUILD
from load import Sender, join, make
from node import Node

READER = os.path.join(BUILD, "tests", "index_reader")
ROUNDS = int(os.environ.get("SLUICE_READER_ROUNDS", "6"))  # of 20 objects, each of a study of its own


def read_index(root):
    reader = subprocess.Popen([READER, os.path.join(root, "index")], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    assert reader.stdout.readline() == "reading\n"
    return reader


def store(node, name, rounds=ROUNDS):
    for k in range(rounds):
        sender = Sender(node.port, [make(f"1.2.826.0.1.95.{name}.{k}.{i}", 2000, f"1.2.826.0.1.96.{name}.{k}.{i}")
                                    for i in range(20)])
        sender.start()
        join([sender])
        assert all(s.status == 0 for s in sender.sent)


def look(node):
    """A heartbeat after all is indexed and the readers were counted again: a reload counts them."""
    beats = len(node.find("status"))
    while node.wait_line("status", beats + 1)["unindexed"] != "0":
        beats += 1
    node.process.send_signal(signal.SIGHUP)
    node.wait_line("config.reloaded", len(node.find("config.reloaded")) + 1)
    beats = len(node.find("status"))
    return node.wait_line("status", beats + 3)


def test_F22_readers_that_stay_are_told_and_those_that_died_cleared(tmp_path):
    root = str(tmp_path / "root")
    settings = {"log__heartbeat": "200ms", "index__batch": 1, "index__max_delay": "0ms"}
    with Node(root=root, **settings) as node:
        store(node, 1, rounds=1)
        own = int(look(node)["readers"])
        reader = read_index(root)
        store(node, 2)
        beat = look(node)
        assert int(beat["readers"]) == own + 1 and int(beat["reader_lag"]) >= 20 * ROUNDS, beat.text
        assert "oldest_reader" in beat and "readers_stale" not in beat, beat.text
        # It is not cleared while it lives.
        assert int(look(node)["readers"]) == own + 1
        reader.kill()
        reader.wait()
        beat = look(node)
        assert int(beat["readers"]) == own and beat["readers_stale"] == "1", beat.text
        assert "reader_lag" not in beat, beat.text
        # What it pinned is used again: as much once more fits into what is free.
        size = os.path.getsize(os.path.join(root, "index", "data.mdb"))
        store(node, 3)
        grown = os.path.getsize(os.path.join(root, "index", "data.mdb"))
        assert grown <= size * 1.25, (size, grown)
        # One that ends by itself leaves nothing to clear.
        reader = read_index(root)
        assert int(look(node)["readers"]) == own + 1
        reader.stdin.close()
        reader.wait()
        assert look(node)["readers_stale"] == "1"
        assert node.stop() == 0, node.log()


def test_F22_a_dead_reader_is_cleared_at_the_start(tmp_path):
    root = str(tmp_path / "root")
    with Node(root=root) as node:
        store(node, 1, rounds=1)
        reader = read_index(root)
        reader.kill()
        reader.wait()
        node.kill()
    with Node(root=root, log__heartbeat="200ms") as node:
        first = int(look(node)["readers"])
        assert first == int(look(node)["readers"]) and node.stop() == 0
