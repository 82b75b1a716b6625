"""sluiced --verify finds what is wrong, and nothing where nothing is: damaged files (FAULTS F23), damaged
rows, files and rows without each other. And --rebuild-index mends what files can mend.
SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kept import Kept  # noqa: E402
from load import make  # noqa: E402
from node import SLUICED, Node  # noqa: E402
from p10 import read_p10  # noqa: E402
from rebuilt import run_rebuild  # noqa: E402
from test_rebuild import FIRST, an_object, send, the_mix  # noqa: E402

INDEX_DAMAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(SLUICED))), "tests", "index_damage")
FLIPS = int(os.environ.get("SLUICE_VERIFY_FLIPS", "100"))
SEED = int(os.environ.get("SLUICE_SEED", random.randrange(1 << 32)))
STUDY = "1.2.826.0.1.80"


def verify(root, depth="full"):
    """(exit code, findings as dicts, the summary)."""
    done = subprocess.run([SLUICED, "--set", f"storage.root={root}", f"--verify={depth}", "--json"],
                          capture_output=True, text=True, timeout=300)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines and done.returncode in (0, 1), done.stdout + done.stderr
    *findings, summary = lines
    assert summary["findings"] == len(findings) and summary["sound"] == (done.returncode == 0)
    return done.returncode, findings, summary


def kinds(root, depth="full"):
    return sorted((f["finding"], os.path.basename(f["path"])) for f in verify(root, depth)[1])


def damage(root, *how):
    return subprocess.run([INDEX_DAMAGE, f"{root}/index", *map(str, how)], check=bool(how and how[0] != "flip"),
                          capture_output=True, text=True, timeout=60)


def flip(path, bit):
    os.chmod(path, 0o640)
    with open(path, "r+b") as f:
        f.seek(bit // 8)
        byte = f.read(1)[0]
        f.seek(bit // 8)
        f.write(bytes([byte ^ 1 << bit % 8]))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A stopped node's folder: versions, conflicts, several studies of one patient. Not to be changed."""
    folder = tmp_path_factory.mktemp("verify")
    config = folder / "sluice.toml"
    config.write_text("[dicom]\naccept_unknown_peers = true\n" + FIRST)
    with Node(root=str(folder / "root"), config=config) as node:
        the_mix(node)
        send(node, [make(f"{STUDY}.{n}", 3000, f"{STUDY}.{n % 4}") for n in range(20)])
        assert node.stop() == 0, node.log()
    return str(folder / "root")


@pytest.fixture
def root(stopped, tmp_path):
    """A copy of it."""
    shutil.copytree(stopped, tmp_path / "root")
    return str(tmp_path / "root")


def files_of(root):
    return sorted(str(p) for p in Path(root, "archive").rglob("*.dcm"))


def test_a_sound_store_is_sound(root):
    for depth in ("quick", "full"):
        code, findings, summary = verify(root, depth)
        assert (code, findings) == (0, []) and summary["files"] == summary["rows"] == len(files_of(root))
    assert summary["bytes"] == sum(len(read_p10(p).data_set) for p in files_of(root))
    done = subprocess.run([SLUICED, "--set", f"storage.root={root}", "--verify"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("verify quick: sound: 0 findings"), done.stdout


def test_a_running_node_is_left_alone_and_a_wrong_folder_is_not_made(tmp_path):
    nowhere = tmp_path / "nowhere"
    for option in ("--verify", "--rebuild-index"):
        with Node(root=str(tmp_path / "root")) as node:
            command = [SLUICED, "--set", f"storage.root={node.root}", option]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            assert done.returncode == 2 and str(node.pid) in done.stderr and "stop the node" in done.stderr
        done = subprocess.run([SLUICED, "--set", f"storage.root={nowhere}", option], capture_output=True, text=True)
        assert done.returncode == 2 and str(nowhere) in done.stderr and not nowhere.exists()
    for wrong in ("--verify=deep", "--verify=quick=1"):
        assert subprocess.run([SLUICED, wrong], capture_output=True).returncode == 2


def test_F23_a_bit_flipped_in_each_of_many_files_is_found_in_each(root):
    """Anywhere in the file: full finds all; quick those in headers."""
    dice = random.Random(SEED)
    files = dice.sample(files_of(root), min(FLIPS, len(files_of(root))))
    in_header = set()
    for path in files:
        header_len = os.path.getsize(path) - len(read_p10(path).data_set)
        bit = dice.randrange(8 * (header_len if dice.random() < 0.4 else os.path.getsize(path)))
        flip(path, bit)
        if bit < 8 * header_len:
            in_header.add(os.path.relpath(path, root))
    flipped = {os.path.relpath(path, root) for path in files}
    found = {f["path"] for f in verify(root)[1]}
    assert found == flipped, (SEED, found ^ flipped)
    assert {f["path"] for f in verify(root, "quick")[1]} == in_header, SEED
    print(f"\nF23: 1 bit flipped in each of {len(files)} files, {len(in_header)} of them in headers: full found "
          f"{len(found)}, quick {len(in_header)} (seed {SEED})")


def test_damaged_files_are_named_by_what_is_wrong(root):
    files = [p for p in files_of(root) if f"/{STUDY}" in p]
    cut, grown, gone, header, body, moved, renamed, extra, text, linked = files[:10]
    name = os.path.basename
    for path in (cut, grown):
        os.chmod(path, 0o640)
    os.truncate(cut, os.path.getsize(cut) - 2)
    with open(grown, "ab") as f:
        f.write(b"\0\0")
    os.unlink(gone)
    flip(header, 8 * 200)
    flip(body, 8 * (os.path.getsize(body) - 5))
    elsewhere = Path(moved).parent.parent / "1.2.3" / name(moved)
    elsewhere.parent.mkdir()
    os.rename(moved, elsewhere)
    os.rename(renamed, Path(renamed).with_name("1.2.3.4.dcm"))
    shutil.copy(extra, Path(extra).with_name("9.9.9.dcm"))
    Path(text).with_name("notes.txt").write_text("not DICOM")
    Path(root, "archive", "stray").touch()
    Path(linked).with_name("link.dcm").symlink_to(linked)
    Path(linked).parent.joinpath("folder").mkdir()
    shared = [("header", "notes.txt"), ("header", name(header)), ("length", name(cut)), ("length", name(grown)),
              ("no-file", name(gone)), ("no-file", name(moved)), ("no-file", name(renamed)),
              ("place", "1.2.3.4.dcm"), ("place", "9.9.9.dcm"), ("place", name(moved)),
              ("stray", "folder"), ("stray", "link.dcm"), ("stray", "stray")]
    assert kinds(root, "quick") == sorted(shared)
    assert kinds(root, "full") == sorted(shared + [("digest", name(body))])


def test_files_and_rows_without_each_other(root):
    """A row taken out by the index itself leaves a file; a study's folder that is gone leaves rows."""
    victim = next(i for i in Kept(root).instances if i.study == f"{STUDY}.0")
    path = Path(root, "archive", victim.path)
    aside = path.read_bytes()
    shutil.rmtree(path.parent)
    assert {k for k, _ in kinds(root, "quick")} == {"no-file"}
    run_rebuild(root)
    assert verify(root)[0] == 0
    path.parent.mkdir()
    path.write_bytes(aside)
    assert kinds(root, "quick") == kinds(root) == [("no-row", path.name)]
    run_rebuild(root)
    assert verify(root)[0] == 0


@pytest.mark.parametrize("name", ["{:016x}.dcm", "00000000000000aa.berth"])
def test_objects_waiting_in_the_spool_are_no_damage(root, name):
    victim = next(i for i in Kept(root).instances if i.study == f"{STUDY}.1")
    os.rename(Path(root, "archive", victim.path), Path(root, "spool", name.format(victim.seq)))
    code, findings, summary = verify(root)
    assert (code, findings, summary["spool"]) == (0, [], 1)


def test_damaged_rows_and_keys_are_found(root, tmp_path):
    """In each tree of the index: an entry that is gone, and one too many, are found whichever; a flipped bit
    of a value wherever the files or other rows know better. Then the rebuild mends all of it."""
    dice = random.Random(SEED)
    trees = [(t, int(n)) for t, n in (line.split("\t") for line in damage(root).stdout.splitlines())]
    assert len(trees) >= 14
    copy = str(tmp_path / "index")
    shutil.copytree(f"{root}/index", copy)

    def restored():
        shutil.rmtree(f"{root}/index")
        shutil.copytree(copy, f"{root}/index")

    missed, tried = [], 0
    for tree, entries in trees:
        for how in [("del", n) for n in dice.sample(range(entries), min(2, entries))] + [("add",)]:
            damage(root, how[0], tree, *how[1:])
            tried += 1
            if verify(root, "quick")[0] == 0:
                missed.append((tree, *how))
            restored()
    assert not missed, (SEED, missed)
    flips = [(tree, dice.randrange(n), dice.randrange(1 << 16)) for tree, n in trees for _ in range(3) if n]
    quiet = []
    for tree, n, bit in flips:
        command = [SLUICED, "--set", f"storage.root={root}", "--verify=full"]
        if damage(root, "flip", tree, n, bit).returncode == 0 and not subprocess.run(command, capture_output=True).returncode:
            quiet.append((tree, n, bit))
        restored()
    print(f"\n{tried} entries taken out or put in: quick found all; {len(flips)} bits flipped in values, not told: "
          f"{quiet} (seed {SEED})")
    # What nobody else says cannot be missed: values in rows marked `conflict`, numbers not yet given.
    assert {tree for tree, _, _ in quiet} <= {"patient", "study", "series", "meta"}, (SEED, quiet)
    damage(root, "del", trees[0][0], 0)
    run_rebuild(root)
    assert verify(root)[0] == 0


def test_a_damaged_index_file_does_not_take_verify_with_it(root):
    """Pages of noise: LMDB may crash on them, verify says so; the rebuild does not need them."""
    dice = random.Random(SEED)
    data = f"{root}/index/data.mdb"
    size = os.path.getsize(data)
    with open(data, "r+b") as f:
        for _ in range(size // 4096 // 2):
            f.seek(dice.randrange(2, size // 4096) * 4096)
            f.write(dice.randbytes(4096))
    code, findings, _ = verify(root)
    assert code == 1 and {f["finding"] for f in findings} >= {"index"}, findings
    run_rebuild(root)
    assert verify(root)[0] == 0


def test_an_index_that_is_lost_is_said(root):
    shutil.rmtree(f"{root}/index")
    assert {f["finding"] for f in verify(root)[1]} == {"index"}
    assert not os.path.exists(f"{root}/index/data.mdb")
    run_rebuild(root)
    assert verify(root)[0] == 0


def test_values_that_an_object_shares_are_held_against_it(tmp_path):
    """What only full sees: an attribute changed in the row of its study."""
    with Node(root=str(tmp_path / "root")) as node:
        send(node, [an_object(f"{STUDY}.7.{n}", f"{STUDY}.7", f"{STUDY}.7.1", name="Doe^J", id="7",
                              description="Thorax", number=str(n)) for n in range(3)])
        assert node.stop() == 0
    dump = Path(node.root, "index", "data.mdb").read_bytes()
    assert dump.count(b"Thorax") >= 1
    Path(node.root, "index", "data.mdb").write_bytes(dump.replace(b"Thorax", b"Abdome"))
    assert verify(node.root, "quick")[0] == 0
    code, findings, _ = verify(node.root)
    assert code == 1 and len(findings) == 3 and all("StudyDescription" in f["text"] for f in findings)


def test_times_of_arrival_are_held_against_the_first_and_the_last_object(tmp_path):
    """What only full sees: when the first and the last object came, in the rows of study and series, which may be
    marked as in conflict. The rows have twice the milliseconds, big endian, behind their number of bytes."""
    with Node(root=str(tmp_path / "root")) as node:
        begun = time.time_ns() // 1_000_000
        send(node, [an_object(f"{STUDY}.8.{n}", f"{STUDY}.8", f"{STUDY}.8.1", description=f"{n}") for n in range(3)])
        ended = time.time_ns() // 1_000_000
        assert node.stop() == 0
    subprocess.run([SLUICED, "--set", f"storage.root={node.root}", "--compact"], check=True, capture_output=True)
    path = Path(node.root, "index", "data.mdb")
    data = path.read_bytes()
    places = [at for at in range(len(data) - 7)
              if data[at] == 253 and 2 * begun <= int.from_bytes(data[at + 1:at + 7], "big") <= 2 * ended]
    assert len(places) == 4
    assert verify(node.root)[0] == 0
    for at in places:
        path.write_bytes(data[:at + 6] + bytes([data[at + 6] ^ 2]) + data[at + 7:])
        assert verify(node.root, "quick")[0] == 0
        code, findings, _ = verify(node.root)
        assert code == 1 and len(findings) == 1 and "time of arrival" in findings[0]["text"], findings
