"""An index made anew from the files is the one that was lost (rebuilt.py), whatever had happened before:
the corpus, versions under both policies, conflicts, attributes behind the pixels, evicted studies; and
however often the rebuild was killed.
SPDX-License-Identifier: Apache-2.0
"""
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rawscu  # noqa: E402
from load import CT_CLASS, Made, Sender, element, join  # noqa: E402
from node import CORPUS, SLUICED, Node  # noqa: E402
from preload import preload  # noqa: E402
from rebuilt import compare_rebuilt, differences, rows_of, run_rebuild  # noqa: E402

CORPUS = Path(CORPUS)
KILLS = int(os.environ.get("SLUICE_REBUILD_KILLS", "6"))
ARCHIVE_MAKE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(SLUICED))), "tests", "archive_make")
STUDY = "1.2.826.0.1.79"
needs_corpus = pytest.mark.skipif(not (CORPUS / "MANIFEST.tsv").exists(), reason="NOT RUN: corpus absent")


def an_object(uid, study, series, seed=0, behind=b"", pixels=400, **values):
    """Elements by keyword: those named below and, behind the pixels, `behind`."""
    tags = {"charset": (8, 5, b"CS"), "date": (8, 0x20, b"DA"), "accession": (8, 0x50, b"SH"),
            "modality": (8, 0x60, b"CS"), "manufacturer": (8, 0x70, b"LO"), "description": (8, 0x1030, b"LO"),
            "name": (0x10, 0x10, b"PN"), "id": (0x10, 0x20, b"LO"), "issuer": (0x10, 0x21, b"LO"),
            "number": (0x20, 0x13, b"IS"), "frames": (0x28, 8, b"IS")}
    elements = [(8, 0x16, b"UI", CT_CLASS), (8, 0x18, b"UI", uid), (0x20, 0xD, b"UI", study),
                (0x20, 0xE, b"UI", series)] + [(*tags[k], v) for k, v in values.items()]
    head = b"".join(element(*e) for e in sorted(elements, key=lambda e: e[:2]))
    return Made(uid, head + element(0x7FE0, 0x10, b"OW", random.Random(f"{uid}/{seed}").randbytes(pixels)) + behind)


def send(node, objects, calling="REBUILD"):
    sender = Sender(node.port, objects, calling=calling)
    sender.run()
    assert sender.end == "released", sender.end
    assert {s.status for s in sender.sent} <= {0}, [hex(s.status) for s in sender.sent if s.status]


def conflicts(seed=1):
    """Studies whose objects disagree on everything there is, in an order that no UID or folder has."""
    dice = random.Random(seed)
    words = ["", "One", "Two", "Three"]
    made = []
    for n in range(400):
        study = f"{STUDY}.1.{dice.randrange(40)}"
        series = f"{STUDY}.2.{dice.randrange(9)}" if dice.random() < 0.2 else f"{study}.{dice.randrange(4)}"
        made.append(an_object(
            f"{STUDY}.3.{dice.randrange(10 ** 9)}", study, series, date=dice.choice(["", "20260101", "20260102"]),
            accession=dice.choice(words), modality=dice.choice(["", "CT", "MR", "PT"]), id=dice.choice(words),
            manufacturer=dice.choice(words), description=dice.choice(words), name=dice.choice(words),
            issuer=dice.choice(["", "", "ward"]), number=str(n), frames=dice.choice(["", "7"])))
    return made


def behind_pixels():
    """What nobody should send and devices do: attributes after the pixels, and after a large one."""
    behind = element(8, 0x1030, b"LO", "behind") + element(0x10, 0x10, b"PN", "Behind^Pixels")
    return [an_object(f"{STUDY}.4.{n}", f"{STUDY}.4", f"{STUDY}.4.{n}.1", behind=behind, pixels=pixels, id="B")
            for n, pixels in enumerate((2, 100_000, 3_000_000))]


def versions(policy):
    """Three of each of a few UIDs, one of them under another study, sent in turn."""
    return [an_object(f"{STUDY}.5.{policy}.{uid}", f"{STUDY}.5.{uid % 2 if v < 2 else 7}", f"{STUDY}.5.0.{uid}",
                      seed=v, id=f"V{uid % 3}", description=f"version {v}", number=str(v))
            for v in range(3) for uid in range(6)]


def the_mix(node):
    """Everything that makes rows but the corpus; one association after the other, so that the order is
    known. `first` is the policy of that peer."""
    send(node, conflicts())
    send(node, behind_pixels())
    send(node, versions(0))
    send(node, versions(1), calling="FIRST")


FIRST = '[[peer]]\nae_title = "FIRST"\nfrom = ["127.0.0.1/32"]\nduplicates = "first"\n'


def assert_equal(found):
    assert not found, f"{len(found)} rows differ:\n" + "\n".join(found[:10])


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The folder of a stopped node with the mix in it. Not to be changed."""
    folder = tmp_path_factory.mktemp("mix")
    config = folder / "sluice.toml"
    config.write_text("[dicom]\naccept_unknown_peers = true\n" + FIRST)
    with Node(root=str(folder / "root"), config=config) as node:
        the_mix(node)
        assert node.stop() == 0, node.log()
    return str(folder / "root")


@pytest.fixture
def mixed(stopped, tmp_path):
    """A copy of it."""
    shutil.copytree(stopped, tmp_path / "root", ignore=lambda *_: ["control.sock"])
    return str(tmp_path / "root")


def test_the_mix_comes_back_row_for_row(mixed):
    rows = rows_of(mixed)
    assert sum(key[0] == "study" and row[4] == "yes" for key, row in rows.items()) > 20  # conflicts there are
    assert sum(key[0] == "instance" and row[-1] == "no" for key, row in rows.items()) == 24
    assert "StudyDescription=behind" in rows[("study", f"{STUDY}.4")]
    assert_equal(compare_rebuilt(mixed))
    assert_equal(compare_rebuilt(mixed, "--set", "storage.threads=1"))
    assert subprocess.run([SLUICED, "--set", f"storage.root={mixed}", "--verify=full"]).returncode == 0


@needs_corpus
def test_the_corpus_comes_back_row_for_row(tmp_path):
    """All of it into one node: files that share a UID become versions."""
    folders = [CORPUS / name for name in ("valid", "charset", "unusual", "series/DICOMDIR_sets") if (CORPUS / name).exists()]
    with Node(root=str(tmp_path / "root")) as node:
        sent = list(rawscu.send_files("127.0.0.1", node.port, folders, "SLUICE"))
        assert sum(s.status == 0 for s in sent) > 200
        assert node.stop() == 0, node.log()
    rows = rows_of(node.root)
    assert_equal(compare_rebuilt(node.root))
    done = subprocess.run([SLUICED, "--set", f"storage.root={node.root}", "--verify=full"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    n = sum(key[0] == "instance" for key in rows)
    behind = sum(key[0] == "instance" and row[-1] == "no" for key, row in rows.items())
    print(f"\n{len(sent)} files sent, {n} rows of instances, {behind} of them versions behind: all equal")


def test_evicted_studies_are_not_back(tmp_path):
    """A quota that the half of what is sent fills: whole studies go, the rest comes back row for row."""
    quota = {"storage__policy": "evict", "storage__quota": "600KiB", "storage__evict_min_age": "0s",
             "storage__low_watermark": "60%", "storage__high_watermark": "75%"}
    studies = [[an_object(f"{STUDY}.6.{n}.{i}", f"{STUDY}.6.{n}", f"{STUDY}.6.{n}.1", pixels=9000, id=f"E{n % 7}",
                          name="Evict^Made", description=f"of {i}", date="20260101") for i in range(4)] for n in range(40)]
    with Node(root=str(tmp_path / "root"), **quota) as node:
        for study in studies:
            send(node, study)
        node.wait_line("evict.study", n=5)
        assert node.stop() == 0, node.log()
    rows = rows_of(node.root)
    left = sum(key[0] == "study" for key in rows)
    assert 0 < left < 35
    assert_equal(compare_rebuilt(node.root))
    print(f"\n{len(studies)} studies sent, {left} left by the evictor: all equal")


def test_a_rebuild_may_be_killed_at_any_moment(mixed):
    """In place of its calls that change files, one after the other: until it is through the old index is as it
    was, and the next one finishes. The same without an old index, by the start of a node."""
    before = rows_of(mixed)
    calls, killed = 1, 0
    while True:
        done = run_rebuild(mixed, check=False, env=dict(os.environ, **preload(kill=calls)))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
        killed += 1
        assert_equal(differences(before, rows_of(mixed)))
        calls += max(1, calls // KILLS)
    assert killed >= 3
    assert_equal(differences(before, rows_of(mixed)))
    assert not os.path.exists(os.path.join(mixed, "index", "new"))
    shutil.rmtree(os.path.join(mixed, "index"))
    for call in range(1, 3 * KILLS, 3):
        run_rebuild(mixed, check=False, env=dict(os.environ, **preload(kill=call)))
    with Node(root=mixed) as node:
        assert node.stop() == 0, node.log()
    assert_equal(differences(before, rows_of(mixed)))
    print(f"\nrebuild: killed at {killed} of its calls, the old index whole each time")


# ---- going on from where it was killed ----------------------------------------------------------------

OFTEN = ("--set", "index.checkpoint=0s", "--set", "storage.threads=2")  # kept after each folder


def resumed(done):
    """(files, folders) that a rebuild took over, and why not more."""
    took = re.search(r"resumed: (\d+) files in (\d+) of", done.stderr)
    why = re.search(r"read again: (.*)", done.stderr)
    return tuple(map(int, took.groups())) if took else (0, 0), why and why[1]


def files_of(root):
    return sorted(Path(root, "archive").rglob("*.dcm"))


def folders_of(root):
    return sum(name.is_dir() for name in Path(root, "archive").iterdir())


def killed_rebuild(root, share, kill=50):
    """Rebuilds killed again and again until that share of the folders is kept; how many were, each time."""
    enough, took = share * folders_of(root), [0]
    while took[-1] < enough:
        done = run_rebuild(root, *OFTEN, check=False, env=dict(os.environ, **preload(kill=kill)))
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
        (_, folders), why = resumed(done)
        assert why is None, why
        took.append(folders)
        assert len(took) < 100, str(took)
    return took


def damage(*paths, every=1 << 30, at=8):
    """Turns bits, in place."""
    for path in paths:
        data = bytearray(path.read_bytes())
        data[at::every] = bytes(b ^ 8 for b in data[at::every])
        os.chmod(path, 0o640)
        path.write_bytes(data)


def test_a_killed_rebuild_goes_on(mixed):
    """Killed at every 50th call that changes files: each goes on from where the one before it was, nothing is
    read twice, and what comes of it is equal. With the old index there, and by the start of a node without."""
    before, files = rows_of(mixed), files_of(mixed)
    took = killed_rebuild(mixed, 0.5)
    assert took == sorted(took) and len(set(took)) > 2, took
    assert_equal(differences(before, rows_of(mixed)))
    done = run_rebuild(mixed, *OFTEN)
    (kept, folders), why = resumed(done)
    assert folders >= took[-1] and kept > 0 and why is None
    assert f"{len(files)} files, {len(files)} rows, 0 bad" in done.stdout
    assert_equal(differences(before, rows_of(mixed)))
    shutil.rmtree(os.path.join(mixed, "index"))
    killed_rebuild(mixed, 0.4)
    with Node(root=mixed) as node:
        assert "index.rebuild_resumed" in node.log(), node.log()
        assert node.stop() == 0, node.log()
    assert_equal(differences(before, rows_of(mixed)))
    print(f"\nkilled {len(took) - 1} times, {folders_of(mixed)} folders: taken over {took}")


def test_what_was_kept_is_not_read_again(mixed):
    """Every file turned bad in place, which no folder shows: the resumed rebuild misses those that it reads."""
    before, files = rows_of(mixed), files_of(mixed)
    killed_rebuild(mixed, 0.4)
    damage(*files, at=200)
    done = run_rebuild(mixed, *OFTEN)
    (kept, _), _ = resumed(done)
    assert 0 < kept < len(files)
    assert f"{len(files)} files, {kept} rows, {len(files) - kept} bad" in done.stdout, done.stdout
    damage(*files, at=200)
    run_rebuild(mixed)
    assert_equal(differences(before, rows_of(mixed)))


def new_study(root):
    """A file of another node's, where it belongs."""
    study = next(Path(root, "archive").glob("*/*/"))
    (study / "1.2.3.4").mkdir()


@pytest.mark.parametrize("change, why", [
    (lambda root: damage(Path(root, "index", "new", "runs.0"), every=64), "records of it are damaged"),
    (lambda root: Path(root, "index", "new", "runs.1").unlink(), "records of it are damaged"),
    (lambda root: damage(Path(root, "index", "new", "kept"), every=64, at=40), "its end is torn"),
    (lambda root: os.truncate(Path(root, "index", "new", "kept"), 20), "another program"),
    (new_study, "have changed since")])
def test_what_is_not_so_any_more_is_read_again(mixed, change, why):
    """Damage to what was kept, and to what it is about: told, and never believed."""
    before, folders = rows_of(mixed), folders_of(mixed)
    killed_rebuild(mixed, 0.5)
    change(mixed)
    done = run_rebuild(mixed, *OFTEN)
    (_, took), reason = resumed(done)
    assert took < folders and reason is not None and why in reason, (took, reason)
    assert_equal(differences(before, rows_of(mixed)))


def test_another_configuration_reads_everything_again(mixed):
    killed_rebuild(mixed, 0.3)
    done = run_rebuild(mixed, *OFTEN, "--set", "dicom.charset=ISO_IR 101")
    assert resumed(done) == ((0, 0), "it is of another program, configuration or archive")


def test_a_node_that_ran_between_is_noticed(mixed):
    """With an index there, it throws away what was kept, and says so. Without a line where there was nothing.
    What was kept comes back as an old backup would bring it: it is not believed."""
    folders = folders_of(mixed)
    killed_rebuild(mixed, 0.5)
    shutil.copytree(os.path.join(mixed, "index", "new"), os.path.join(mixed, "kept"))
    with Node(root=mixed) as node:
        assert "index.rebuild_swept" in node.log(), node.log()
        send(node, [an_object(f"{STUDY}.8.{n}", f"{STUDY}.8.{n % 3}", f"{STUDY}.8.{n % 3}.1") for n in range(9)])
        send(node, [an_object(f"{STUDY}.4.9", f"{STUDY}.4", f"{STUDY}.4.9.1", description="late")])
        assert node.stop() == 0, node.log()
    assert not os.path.exists(os.path.join(mixed, "index", "new"))
    subprocess.run([SLUICED, "--set", f"storage.root={mixed}", "--delete-study", f"{STUDY}.1.7"], check=True)
    with Node(root=mixed) as node:
        assert "index.rebuild_swept" not in node.log()
        assert node.stop() == 0, node.log()
    before = rows_of(mixed)
    os.rename(os.path.join(mixed, "kept"), os.path.join(mixed, "index", "new"))
    (_, took), why = resumed(run_rebuild(mixed, *OFTEN))
    assert 0 < took < folders and "have changed since" in why, (took, why)
    assert_equal(differences(before, rows_of(mixed)))


def test_made_up_archives_are_like_a_node_s(tmp_path):
    """What archive_make makes, a node takes for its own (tools/rebuild_speed measures with it)."""
    root = str(tmp_path / "root")
    subprocess.run([ARCHIVE_MAKE, root, "3000", "3"], check=True, timeout=120)
    done = run_rebuild(root)
    assert "3000 files, 3000 rows, 0 bad" in done.stdout, done.stdout
    with Node(root=root) as node:
        assert node.stop() == 0, node.log()
    rows = rows_of(root)
    assert sum(key[0] == "study" for key in rows) == 1000
    assert_equal(compare_rebuilt(root))
