"""Orders to a stopped node (sluiced --pin, --delete-study, --compact ...) and what they leave: the running
node's evictor heeds pins, a compacted index says what the old one said, and a kill at any file call of
the work leaves a good store.
SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil
import subprocess

import pytest
from kept import Kept
from load import Sender, join, make
from node import Node
from preload import preload

STUDY = "1.2.826.0.1.91"
COMPACT_STEP = int(os.environ.get("SLUICE_COMPACT_STEP", "5"))  # 1: every file call


def study(i):
    return f"{STUDY}.{i}"


def fill(root, n, each=2, **settings):
    """n studies of `each` objects, then the node stopped."""
    objects = [make(f"{STUDY}.9.{i}.{k}", 20000, study(i)) for i in range(n) for k in range(each)]
    with Node(root=root, **settings) as node:
        sender = Sender(node.port, objects)
        sender.start()
        join([sender])
        assert all(s.status == 0 for s in sender.sent)
        assert node.stop() == 0, node.log()
    return objects


def order(root, *words, env=None, **settings):
    """(exit status, standard output, standard error) of a command on a node's store."""
    command = Node(root=root, start=False, **settings).command() + list(words)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120,
                          env=dict(os.environ, **(env or {})))
    return done.returncode, done.stdout, done.stderr


def told(root):
    """Every row of the index."""
    return sorted(Kept(root).rows)


def check_good(root):
    with Node(root=root) as node:
        assert node.stop() == 0, node.log()
    kept = Kept(root)
    assert kept.disagreements() == []
    return kept


def test_pins_are_set_listed_heeded_and_taken_back(tmp_path):
    root = str(tmp_path / "root")
    small = {"storage__policy": "evict", "storage__evict_min_age": "0s", "storage__quota": "1MiB"}
    fill(root, 4)
    code, out, err = order(root, "--pin", study(0))
    assert (code, err) == (0, "") and out.startswith(f"pinned {study(0)}: 2 objects, "), (out, err)
    assert order(root, "--pin", study(77)) == (0, f"pinned {study(77)}: not in the index yet\n", "")
    assert order(root, "--pins") == (0, f"{study(0)}\n{study(77)}\n", "")
    code, out, err = order(root, "--delete-study", study(0))
    assert code == 1 and out == "" and "pinned" in err, err
    # Enough that all but the pinned one have to go.
    with Node(root=root, **small) as node:
        sender = Sender(node.port, [make(f"{STUDY}.8.{i}", 40000, f"{STUDY}.7.{i}") for i in range(60)])
        sender.start()
        join([sender])
        assert all(s.status == 0 for s in sender.sent)
        node.wait_line("evict.study", study=study(3))
        assert not node.find("evict.study", study=study(0))
        assert node.stop() == 0, node.log()
    assert study(0) in {i.study for i in Kept(root).instances}
    # The index is lost, the pins are not.
    shutil.rmtree(os.path.join(root, "index"))
    assert order(root, "--pins")[1] == f"{study(0)}\n{study(77)}\n"
    assert order(root, "--unpin", study(0))[0] == 0
    assert order(root, "--delete-study", study(0))[0] == 0
    assert order(root, "--pins")[1] == f"{study(77)}\n"
    assert study(0) not in {i.study for i in check_good(root).instances}


def test_what_is_deleted_is_gone_at_once(tmp_path):
    root = str(tmp_path / "root")
    objects = fill(root, 3)
    code, out, err = order(root, "--delete-study", study(1))
    assert (code, err) == (0, "") and out.startswith(f"deleted {study(1)}: 2 objects, 2 files, "), out
    code, out, err = order(root, "--delete-object", objects[0].uid)
    assert (code, err) == (0, "") and "1 objects" in out
    assert os.listdir(os.path.join(root, "trash")) == []
    assert order(root, "--delete-study", study(1))[0] == 1
    assert order(root, "--delete-object", "1.2.3")[0] == 1
    kept = check_good(root)
    assert sorted(i.uid for i in kept.instances) == sorted(o.uid for o in (objects[1], *objects[4:]))


@pytest.mark.parametrize("words, why", [
    (("--pin", "no uid at all"), "not a UID"), (("--pin", ""), "not a UID"), (("--unpin",), "requires"),
])
def test_what_is_no_order_is_refused(tmp_path, words, why):
    os.makedirs(tmp_path / "root" / "archive")
    code, out, err = order(str(tmp_path / "root"), *words)
    assert code == 2 and out == "" and why in err, err


def test_an_order_needs_a_store_that_nobody_runs_on(tmp_path):
    root = str(tmp_path / "root")
    code, _, err = order(root, "--compact")
    assert code == 2 and "no store" in err and not os.path.exists(root), err
    with Node(root=root) as node:
        for words in (("--pin", study(0)), ("--pins",), ("--compact",), ("--delete-study", study(0))):
            code, out, err = order(root, *words)
            assert code == 2 and out == "" and f"pid {node.pid} " in err, err


# ---- compacting ----

def bloat(root):
    """A store whose index has many free pages."""
    fill(root, 120, each=1)
    for i in range(0, 120, 8):  # commits of their own leave the most
        assert order(root, "--delete-study", study(i))[0] == 0


def test_compacting_makes_it_smaller_and_changes_nothing(tmp_path):
    root = str(tmp_path / "root")
    bloat(root)
    data = os.path.join(root, "index", "data.mdb")
    rows, before = told(root), os.path.getsize(data)
    code, out, err = order(root, "--compact")
    assert (code, err) == (0, ""), err
    after = os.path.getsize(data)
    assert out == f"compacted the index: {before} bytes before, {after} after\n" and after < before
    assert told(root) == rows and sorted(os.listdir(os.path.join(root, "index"))) == ["data.mdb", "lock.mdb"]
    assert len(check_good(root).instances) == 105


def test_a_damaged_index_is_not_compacted(tmp_path):
    root = str(tmp_path / "root")
    fill(root, 30)
    data = os.path.join(root, "index", "data.mdb")
    with open(data, "r+b") as f:  # a counter of the state row, in every page that ever held it
        text = bytearray(f.read())
        at = text.find(b"state")
        assert at > 0
        while at > 0:
            text[at + len("state") + 9] ^= 1  # behind four numbers of two bytes: of the patients
            at = text.find(b"state", at + 1)
        f.seek(0)
        f.write(text)
    size = os.path.getsize(data)
    code, out, err = order(root, "--compact")
    assert code == 1 and out == "" and "damaged" in err, (out, err)
    assert os.path.getsize(data) == size and "compact" not in os.listdir(os.path.join(root, "index"))


def test_killed_at_file_calls_of_compacting(tmp_path, capsys):
    """At call K, for every K in turn (or each COMPACT_STEP-th): the old index or the new one, whole."""
    root = str(tmp_path / "root")
    bloat(root)
    rows, deaths = told(root), 0
    k = 1
    while True:
        copy = str(tmp_path / f"at{k}")
        shutil.copytree(root, copy)
        code, out, err = order(copy, "--compact", env=preload(kill=k))
        assert code in (0, -9), err
        deaths += code == -9
        assert told(copy) == rows, f"call {k}"
        assert order(copy, "--compact")[0] == 0, f"call {k}"
        assert told(copy) == rows, f"call {k}"
        if deaths % 10 == 1 or code == 0:
            assert len(check_good(copy).instances) == 105
            assert sorted(os.listdir(os.path.join(copy, "index"))) == ["data.mdb", "lock.mdb"]
        shutil.rmtree(copy)
        if code == 0:
            break
        k += COMPACT_STEP
    with capsys.disabled():
        print(f"\n  compact: killed at {deaths} of {k} calls, every row there each time", end=" ")
    assert deaths >= 3
