"""Objects that do not say their character set, from peers of whom the operator knows it ([[peer]] charset,
dicom.charset): the index has the names as they are typed, the files are kept as they came, and an index that
is made again from the files says the same.
SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil
import subprocess

from kept import Kept
from load import CT_CLASS, Made, Sender, element, join
from node import Node

CONFIG = """
[dicom]
charset = "ISO_IR 100"
accept_unknown_peers = true

[[peer]]
ae_title = "CHINA"
charset = "GB18030"

[[peer]]
ae_title = "RUSSIA"
charset = "iso_ir 144"

[[peer]]
ae_title = "AS_ALL"
"""
# calling, what the object says, its bytes, what the index has to say
SENT = [
    ("CHINA", None, "王^小东".encode("gb18030"), "王^小东"),
    ("CHINA", "ISO_IR 192", "Wáng^Xiǎo".encode(), "Wáng^Xiǎo"),
    ("CHINA", "nonsense", "张".encode("gb18030"), "张"),
    ("CHINA", None, b"Wang^Plain", "Wang^Plain"),
    ("RUSSIA", None, "Люкceмбypг".encode("iso8859-5"), "Люкceмбypг"),
    ("AS_ALL", None, "Sørensen".encode("latin-1"), "Sørensen"),
    ("SOMEBODY", None, "Äneas^Rüdiger".encode("latin-1"), "Äneas^Rüdiger"),
    ("SOMEBODY", "ISO_IR 6", "Buc^Jérôme".encode("latin-1"), "Buc^Jérôme"),
]


def made(i, said, name):
    study = f"1.2.826.0.1.99.{i}"
    data = element(8, 5, b"CS", said) if said else b""
    data += element(8, 0x16, b"UI", CT_CLASS) + element(8, 0x18, b"UI", study + ".2")
    data += element(0x10, 0x10, b"PN", name + b" " * (len(name) & 1)) + element(0x10, 0x20, b"LO", f"P{i}")
    data += element(0x20, 0x0D, b"UI", study) + element(0x20, 0x0E, b"UI", study + ".1")
    return Made(study + ".2", data)


def names(root):
    kept = Kept(root)
    rows = [row for row in kept.rows if row[0] == "study"]
    return {row[1]: dict(cell.split("=", 1) for cell in row[7:])["PatientName"] for row in rows}


def test_what_is_not_said_is_read_as_configured(tmp_path):
    root, config = str(tmp_path / "root"), tmp_path / "sluice.toml"
    config.write_text(CONFIG)
    objects = [made(i, said, name) for i, (_, said, name, _) in enumerate(SENT)]
    expected = {f"1.2.826.0.1.99.{i}": shown for i, (_, _, _, shown) in enumerate(SENT)}
    with Node(root=root, config=config) as node:
        for (calling, *_), what in zip(SENT, objects):
            sender = Sender(node.port, [what], calling=calling)
            sender.start()
            join([sender])
            assert [s.status for s in sender.sent] == [0], node.log()
        assert node.stop() == 0, node.log()
    assert names(root) == expected
    for what in objects:
        assert Kept(root).file(what.uid).data_set == what.data
    shutil.rmtree(os.path.join(root, "index"))
    with Node(root=root, config=config) as node:
        assert node.stop() == 0, node.log()
    assert names(root) == expected
    done = subprocess.run(node.command() + ["--rebuild-index"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert names(root) == expected


def test_what_is_no_character_set_is_refused(tmp_path):
    config = tmp_path / "sluice.toml"
    config.write_text(CONFIG.replace("GB18030", "Chinese"))
    node = Node(root=str(tmp_path / "root"), config=config, start=False)
    done = subprocess.run(node.command() + ["--check-config"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and 'CHINA: charset: "Chinese"' in done.stderr, done.stderr
