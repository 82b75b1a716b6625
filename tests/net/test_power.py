"""Power cuts (power.py): what the disk had not been told to keep is dropped, reordered and torn, and what
recovers from it has all that was promised. And that the check is not blind: a run in which one kind of
sync never happened, or in which success was told too early, turns it red.

tools/torture power goes through tens of thousands of states. SLUICE_POWER_STATES: how many here (500).
SPDX-License-Identifier: Apache-2.0
"""
import copy
import os
import random
import shutil

import power
import pytest

STATES = int(os.environ.get("SLUICE_POWER_STATES", "500"))
SEED = int(os.environ.get("SLUICE_POWER_SEED", random.SystemRandom().randrange(1 << 32)))
MUTANT_STATES = 2000  # it stops at the first five that are bad


@pytest.fixture(name="folder")
def folder_fixture():
    folder = power.fast_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(name="recording", scope="module")
def recording_fixture():
    folder = power.fast_folder()
    yield power.Recording(folder, SEED)
    shutil.rmtree(folder)


def assert_good(recording, cut):
    assert cut.bad == 0, "\n".join([str(recording), *cut.lines])


def test_power_cuts(recording, capsys):
    cut = recording.cut(STATES, jobs=2)
    assert_good(recording, cut)
    with capsys.disabled():
        print(f"\n  power: {recording}: {cut.states} states ({cut.distinct} distinct) in {cut.seconds:.1f} s, "
              "nothing lost, nothing torn visible", end=" ")
    assert cut.states == STATES and recording.acknowledged > 0 and recording.evicted > 0


class Short(power.Recording):
    """One object; the first life ends, if at all, at a call; then a start and a stop."""

    def _live(self, kill):
        self._run(1, kill=kill)
        if kill:
            self._run(0)

    def _lists(self, n):
        return [self.load.for_sender(n)]


class Rebuilt(Short):
    """The same, and --rebuild-index before the start."""

    def _live(self, kill):
        self._run(1, kill=kill)
        if kill:
            self._rebuild()
            self._run(0)


def first_spooled(recording):
    """Number of the call after which the first object is whole under a name in spool/, as
    SLUICE_RECORD_KILL counts."""
    records = power.read_log(recording.log)
    changes = [r for r in records if not r.is_end and r.kind != power.SEND]
    made = {r.call for r in changes if r.kind == power.CREATE and r.name.endswith(".berth")}
    berths = {r.inode for r in records if r.is_end and r.call in made}
    return next(i for i, r in enumerate(changes, 1) if r.kind == power.WRITE and r.inode in berths or
                r.kind == power.LINK and r.folder == recording.folders["spool"] and r.name.endswith(".dcm"))


def test_a_first_start(folder):
    """LMDB's first pages may be named and not written."""
    recording = Short(folder, SEED)
    assert_good(recording, recording.cut(STATES, jobs=2))


@pytest.mark.parametrize("names", ["0", "8"])
@pytest.mark.parametrize("kind", [Short, Rebuilt], ids=["by_a_start", "by_a_rebuild"])
def test_an_object_that_was_seen_and_not_synced(folder, kind, names):
    """kill -9 between an object's last byte or name and its fsync; what comes next sees it and makes its
    row; then the power goes."""
    settings = {"storage__names_ahead": names}
    named = first_spooled(kind(os.path.join(folder, "0"), SEED, **settings))
    recording = kind(os.path.join(folder, "1"), SEED, kill=named + 1, **settings)
    assert_good(recording, recording.cut(STATES, jobs=2))


# ---- the check, tried -------------------------------------------------------------------------------

def sync_of_objects(recording):
    return lambda r, made: r.kind == power.SYNC and r.inode in made and made[r.inode].kind == power.TMPFILE


def sync_of_berthed(recording):
    return lambda r, made: r.kind == power.SYNC and r.inode in made and made[r.inode].name.endswith(".berth")


def sync_of(*names):
    return lambda recording: lambda r, made: r.kind == power.SYNC and r.inode in [
        recording.folders[name] for name in names]


def sync_of_series(recording):
    """And of study folders, but not of those that hold studies."""
    return lambda r, made: (r.kind == power.SYNC and r.inode in made and made[r.inode].kind == power.MKDIR
                            and len(made[r.inode].name) > 2 and r.inode not in recording.folders.values())


def sync_of_trash(recording):
    """And of the folders that studies leave."""
    def is_fan(r, made):
        return r.inode in made and made[r.inode].folder == recording.folders["archive"]
    return lambda r, made: r.kind == power.SYNC and (r.inode == recording.folders["trash"] or is_fan(r, made))


def sync_of_index(recording):
    return lambda r, made: r.kind == power.SYNC and r.inode in made and made[r.inode].name == "data.mdb"


@pytest.mark.parametrize("what", [sync_of_objects, sync_of_berthed, sync_of("spool"), sync_of_series, sync_of_trash,
                                  sync_of_index],
                         ids=["objects", "berthed", "spool", "series", "trash", "index"])
def test_the_check_misses_a_sync(recording, what):
    cut = recording.pretend(what(recording)).cut(MUTANT_STATES, jobs=2)
    assert cut.bad > 0


def test_the_check_sees_success_told_too_early(recording):
    """Told when the fsync of spool/ began that came before the one that covers it."""
    syncs = [r.position for r in power.read_log(recording.log) if not r.is_end and r.kind == power.SYNC and
             r.inode == recording.folders["spool"]]
    early = copy.copy(recording)
    early.plan = recording.plan + ".early"
    with open(recording.plan, encoding="ascii") as plan, open(early.plan, "w", encoding="ascii") as out:
        for line in plan:
            words = line.split()
            if words[0] == "ack":
                words[2] = str(([0, 0] + [p for p in syncs if p < int(words[2])])[-2])
            print(*words, file=out)
    assert early.cut(MUTANT_STATES, jobs=2).bad > 0
