"""pytest collects the wire scripts of this folder, one case each; they run several at a time (run.py).
The last case judges the nodes they shared.
SPDX-License-Identifier: Apache-2.0
"""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402
import script  # noqa: E402


class WireFile(pytest.File):
    def collect(self):
        yield WireCase.from_parent(self, name=self.path.stem, script=script.read(self.path))


class WireCase(pytest.Item):
    def __init__(self, *, script, **more):
        super().__init__(**more)
        self.script = script

    def runtest(self):
        try:
            self.config.wire.result(self.script.path)
        except run.NotRun as why:
            pytest.skip(f"NOT RUN: {self.script.name}: {why}")

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, (run.Failed, script.ScriptError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, 0, f"{self.script.name}: {self.script.title}"


class RowsCase(pytest.Item):
    """Every row has its script."""

    def runtest(self):
        assert run.missing_rows(run.read_all()) == []

    def reportinfo(self):
        return self.path, 0, "the rows of the wire scripts"


class NodesCase(pytest.Item):
    """What the shared nodes acknowledged is there, nothing else is, and nothing leaked."""

    def runtest(self):
        assert self.config.wire.close() == {}

    def reportinfo(self):
        return self.path, 0, "the nodes of the wire scripts"


def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".wire":
        return WireFile.from_parent(parent, path=file_path)
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session, items):
    cases = [item for item in items if isinstance(item, WireCase)]
    if cases:
        items += [NodesCase.from_parent(session, name="nodes"), RowsCase.from_parent(session, name="rows")]


def pytest_collection_finish(session):
    cases = [item.script for item in session.items if isinstance(item, WireCase)]
    if cases and not session.config.option.collectonly:
        session.config.wire = run.Programme(cases)
