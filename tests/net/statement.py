"""The conformance statement of sluiced (--print-conformance) as tables, for the tests that hold it
against the running node.

    s = Statement(dicom__prefer='["1.2.840.10008.1.2"]')
    s.table("#### N.7.2.1.2")      # rows of cells, without the heading row

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import SLUICED  # noqa: E402


class Statement:
    def __init__(self, config=None, **settings):
        command = [SLUICED] + (["--config", str(config)] if config else [])
        for key, value in settings.items():
            command += ["--set", f"{key.replace('__', '.')}={value}"]
        done = subprocess.run(command + ["--print-conformance"], capture_output=True, text=True,
                              timeout=60)
        assert done.returncode == 0, done.stderr
        self.text = done.stdout

    def section(self, number):
        """The text between the heading of a section and the next heading."""
        m = re.search(r"^#+ " + re.escape(number) + r"\b[^\n]*\n(.*?)(?=^#|\Z)", self.text, re.M | re.S)
        assert m, f"no section {number}"
        return m[1]

    @staticmethod
    def tables(text):
        """Every table of a text: rows of cells without the heading row."""
        out = []
        for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
            rows = [[cell.strip() for cell in line.strip("|\n").split("|")]
                    for line in block.splitlines()]
            out.append(rows[2:])
        return out

    def table(self, number, which=0):
        return self.tables(self.section(number))[which]

    def classes(self):
        """{SOP class UID: name} of those that are accepted."""
        return {uid: name for name, uid, _, _ in self.table("N.1.1")}

    def refused_classes(self):
        return {uid: name for name, uid in self.table("N.7.2.1.3", 2)}

    def syntaxes(self):
        """[(rank, UID)] in the order of the statement."""
        return [(int(rank), uid) for rank, _, uid, _ in self.table("N.1.6")]

    def refused_syntaxes(self):
        return re.findall(r"^- .*, ([0-9.]+)$", self.section("N.1.6"), re.M)

    def parameters(self):
        """{name: value} of the association and of the storage service."""
        return dict(self.table("N.7.2.1.2") + self.table("N.5.2.5.2"))

    def refusals(self):
        """[(answer, "result, source, reason", condition)]."""
        return [tuple(row) for row in self.table("N.7.2.1.3", 1)]

    def statuses(self, number):
        """{code: condition} of a DIMSE service: N.7.3.2.1 C-ECHO, N.7.3.2.5 C-STORE."""
        return {row[2]: row[4] for row in self.table(number)}
