"""Other bytes under a known UID, over the wire (FAULTS F24): every acknowledged version is there, the right
one is current, the log says so; for one peer another policy than for the rest.
SPDX-License-Identifier: Apache-2.0
"""
import pytest
from kept import Kept
from load import Sender, join, make
from node import Node
from oracle import current_of, judge, sent_of, uid_of
from p10 import read_p10
from rawscu import Ledger

UID = "1.2.826.0.1.78.1"
SENDERS = 8


def send(node, objects, calling="VER", ledger=None):
    sender = Sender(node.port, objects, ledger, calling)
    sender.run()
    assert sender.end == "released", sender.end
    return [sent.status for sent in sender.sent]


def versions(kept, uid=UID):
    """The files of a UID as p10.Part10, in order of seq."""
    rows = sorted((i for i in kept.instances if i.uid == uid), key=lambda i: i.seq)
    return [read_p10(f"{kept.root}/archive/{row.path}") for row in rows]


@pytest.mark.parametrize("policy, current", [("latest", 2), ("first", 0)])
def test_F24_versions_are_kept_and_told(tmp_path, policy, current):
    made = [make(UID, 5000, seed=i) for i in range(3)]
    with Node(root=str(tmp_path / "root"), storage__duplicates=policy) as node:
        assert send(node, [*made, made[0]]) == [0, 0, 0, 0]
        line = node.wait_line("store.version")
        assert line["dup"] == "changed" and line["status"] == "0000", line.text
        line = node.wait_line("assoc.end")
        assert line["stored"] == "4" and line["dup"] == "3" and line["failed"] == "0", line.text
        assert node.stop() == 0, node.log()
    kept = Kept(node.root)
    assert not kept.disagreements()
    assert [v.data_set for v in versions(kept)] == [m.data for m in made]
    assert kept.file(UID).data_set == made[current].data
    assert versions(kept)[0].path.name == UID + ".dcm" and all("~" in v.path.name for v in versions(kept)[1:])


def test_F24_refuse_is_still_there(tmp_path):
    made = [make(UID, 5000, seed=i) for i in range(2)]
    with Node(root=str(tmp_path / "root"), storage__duplicates="refuse") as node:
        assert send(node, [*made, made[0]]) == [0, 0x0111, 0]
        assert node.stop() == 0
    assert [v.data_set for v in versions(Kept(node.root))] == [made[0].data]


def test_F24_the_same_uid_in_another_study(tmp_path):
    here, there = make(UID, 5000, "1.2.826.0.1.78.5"), make(UID, 5000, "1.2.826.0.1.78.6")
    with Node(root=str(tmp_path / "root")) as node:
        assert send(node, [here, there, here]) == [0, 0, 0]
        assert node.stop() == 0
    kept = Kept(node.root)
    assert not kept.disagreements()
    assert [v.data_set for v in versions(kept)] == [here.data, there.data]
    assert kept.by_uid[UID].study == "1.2.826.0.1.78.6"


@pytest.mark.parametrize("policy", ["latest", "first"])
def test_F24_at_once(tmp_path, policy):
    """Eight senders re-send the same few UIDs, each with bytes of its own. What was acknowledged is there;
    then one of them has the last word."""
    path = str(tmp_path / "ledger")
    uids = [f"{UID}.{n}" for n in range(10)]
    made = [[make(uid, 3000 if int(uid[-1]) % 3 else 200_000, seed=s) for uid in uids] for s in range(SENDERS)]
    with Node(root=str(tmp_path / "root"), storage__duplicates=policy, pool__buffer_size="64KiB") as node:
        senders = [Sender(node.port, objects, Ledger(path), f"VER{s}") for s, objects in enumerate(made)]
        for sender in senders:
            sender.start()
        join(senders)
        assert all(sent.status == 0 for sender in senders for sent in sender.sent), node.log()
        last = [make(uid, 3000, seed=99) for uid in uids]
        assert set(send(node, last, ledger=Ledger(path))) == {0}
        assert node.stop() == 0, node.log()
    verdict = judge(node.root, path, sent_of([m for objects in made for m in objects] + last))
    assert verdict.is_good and verdict.files == len(uids) * (SENDERS + 1), verdict
    kept = Kept(node.root)
    for uid, final in zip(uids, last):
        files = versions(kept, uid)
        assert len(files) == SENDERS + 1 and files[-1].data_set == final.data
        assert current_of(files).data_set == (final.data if policy == "latest" else files[0].data_set)
        assert kept.file(uid).data_set == current_of(files).data_set
        assert {uid_of(f) for f in files} == {uid}


def test_F24_policy_of_a_peer(tmp_path):
    config = tmp_path / "conf.toml"
    config.write_text('[[peer]]\nae_title = "FIRST"\nfrom = ["127.0.0.1"]\nduplicates = "first"\n'
                      '[[peer]]\nae_title = "STRICT"\nfrom = ["127.0.0.1"]\nduplicates = "refuse"\n')
    made = [make(UID, 5000, seed=i) for i in range(4)]
    with Node(root=str(tmp_path / "root"), config=str(config), dicom__accept_unknown_peers="true") as node:
        assert send(node, made[:2], "OTHER") == [0, 0]
        assert send(node, [made[2]], "FIRST") == [0]
        assert send(node, [made[3], made[0]], "STRICT") == [0x0111, 0]
        assert node.stop() == 0
    kept = Kept(node.root)
    assert [v.data_set for v in versions(kept)] == [m.data for m in made[:3]]
    assert kept.file(UID).data_set == made[1].data
