"""kill -9 loses nothing that was acknowledged and leaves nothing half: a few random moments and a few of
all the calls at which it could happen (tools/torture goes through hundreds, and through every call).
SPDX-License-Identifier: Apache-2.0
"""
import os
import random
import time

import crash
import killat
import pytest
from evicted import Evictions
from kept import Kept
from load import make
from node import Node
from oracle import judge, sent_of
from rawscu import Ledger, Sent

KILLS = int(os.environ.get("SLUICE_KILLS", "100"))
CALLS = int(os.environ.get("SLUICE_KILL_CALLS", "12"))


def test_killed_at_random_moments(tmp_path, capsys):
    seed = random.SystemRandom().randrange(1 << 32)
    figures = crash.side_by_side(tmp_path, KILLS, 3, seed)
    with capsys.disabled():
        print(f"\n  crash: {figures} (seed {seed})", end=" ")
    assert figures.kills == KILLS and figures.acknowledged > 0


def test_killed_at_a_sample_of_calls(tmp_path, capsys):
    """Once instead of the call, once in the middle of it."""
    objects = killat.script(12)
    calls = killat.count_calls(tmp_path, objects)
    seed = random.SystemRandom().randrange(1 << 32)
    died = 0
    for i, k in enumerate(sorted(random.Random(seed).sample(range(1, calls - 5), CALLS))):
        verdict, is_dead = killat.kill_at(tmp_path, objects, k, torn=i % 2 == 1)
        died += is_dead
        assert verdict.is_good, f"seed {seed}, call {k} of {calls}:\n{verdict}"
    with capsys.disabled():
        print(f"\n  crash: {CALLS} of {calls} calls (seed {seed}), {died} deaths, nothing lost", end=" ")
    assert died >= CALLS // 4  # a loaded machine syncs less often


def test_killed_while_recovering(tmp_path, capsys):
    """A death of the recovery from a death."""
    template = killat.Interrupted(tmp_path)
    calls = template.count_calls()
    seed = random.SystemRandom().randrange(1 << 32)
    died = 0
    for k in sorted(random.Random(seed).sample(range(1, calls - 3), CALLS // 2)):
        verdict, is_dead = template.kill_at(k)
        died += is_dead
        assert verdict.is_good and verdict.acknowledged == template.N, f"seed {seed}, call {k}:\n{verdict}"
    with capsys.disabled():
        print(f"\n  crash: {CALLS // 2} of {calls} calls of a recovery (seed {seed}), {died} deaths, "
              "nothing lost", end=" ")
    assert died >= CALLS // 4


# ---- the judge, tried --------------------------------------------------------------------------------

@pytest.fixture(name="kept")
def kept_fixture(tmp_path):
    """A stopped node's root, its ledger, what was sent."""
    root, path = str(tmp_path / "root"), str(tmp_path / "ledger")
    made = [make(f"{killat.STUDY}.6.{i}", 5000) for i in range(4)]
    with Node(root=root) as node:
        sender = crash.Sender(node.port, made, Ledger(path))
        sender.run()
        assert node.stop() == 0, node.log()
    verdict = judge(root, path, sent_of(made))
    assert verdict.is_good and verdict.acknowledged == 4, verdict
    return root, path, sent_of(made)


def file_of(root, uid):
    return next(os.path.join(d, f) for d, _, files in os.walk(os.path.join(root, "archive"))
                for f in files if f == uid + ".dcm")


def flip(path):
    with open(path, "r+b") as f:
        f.seek(-7, os.SEEK_END)
        byte = f.read(1)[0]
        f.seek(-7, os.SEEK_END)
        f.write(bytes([byte ^ 1]))


def cut(path):
    os.truncate(path, os.path.getsize(path) - 2)


def exchange(path):
    other = next(f for f in os.listdir(os.path.dirname(path)) if not path.endswith(f))
    os.unlink(path)
    os.link(os.path.join(os.path.dirname(path), other), path)


def respool(path):
    root = path.partition("/archive/")[0]
    os.link(path, os.path.join(root, "spool", "00000000000000ff.dcm"))


@pytest.mark.parametrize("damage, what", [
    (flip, "lost"), (flip, "broken"), (cut, "broken"), (cut, "disagree"), (os.unlink, "lost"),
    (os.unlink, "disagree"), (exchange, "lost"), (exchange, "broken"), (respool, "disagree")])
def test_the_judge_sees(kept, damage, what):
    root, ledger, sent = kept
    damage(file_of(root, next(iter(sent))))
    verdict = judge(root, ledger, sent)
    assert getattr(verdict, what), verdict


def test_the_judge_sees_a_lie_in_the_ledger(kept):
    root, ledger, sent = kept
    with open(ledger, "a", encoding="ascii") as f:
        f.write(f"{killat.STUDY}.6.77 {'0' * 64} 0000\n")
    assert judge(root, ledger, sent).lost


def test_the_judge_sees_what_was_evicted(kept):
    """There though it went; or gone though it was sent after that."""
    root, ledger, sent = kept
    study = Kept(root).instances[0].study
    evictions = Evictions()

    def send_all():
        for uid, (sha256,) in sent.items():
            evictions.sends(study, uid, sha256)
            evictions.answered(Sent("", uid, sha256, 0, ""))
    send_all()
    assert not list(evictions.came_back(Kept(root)))
    evictions.gone[study] = time.time() + 1
    assert list(evictions.came_back(Kept(root))) == [f"{study} was evicted and is back"]
    os.unlink(file_of(root, next(iter(sent))))
    assert judge(root, ledger, sent).lost and not judge(root, ledger, sent, evictions.may_miss).lost
    evictions.gone[study] = time.time() - 1
    send_all()
    assert judge(root, ledger, sent, evictions.may_miss).lost
    assert not list(evictions.came_back(Kept(root)))
