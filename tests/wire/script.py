"""A wire script taken apart: lines become steps, indented lines belong to the step above them.

    # row 28: a length of 4 GB allocates nothing (CVE-2026-5440)
    node dicom.max_pdu=16384
    client one
        send rq
        expect ac

Words are split as a shell does; `#` begins a comment. `200|100000` is 200, and 100000 with SLUICE_FULL=1.
The comments at the head say what the script is about; the first names its rows.
SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

IS_FULL = os.environ.get("SLUICE_FULL") == "1"  # the long profiles


class ScriptError(Exception):
    """The script itself is wrong: names file and line."""


@dataclass
class Step:
    words: list
    text: str  # the line as it stands, without its comment
    where: str  # file:line
    body: list = field(default_factory=list)

    def wrong(self, why):
        return ScriptError(f"{self.where}: {why}: {self.text}")

    @property
    def verb(self):
        return self.words[0]

    def named(self, begin=1):
        """{key: value} of the words key=value from `begin` on."""
        return dict(word.split("=", 1) for word in self.words[begin:] if "=" in word)

    def flags(self, begin=1):
        """The words without "="."""
        return [word for word in self.words[begin:] if "=" not in word]

    def walk(self):
        yield self
        for step in self.body:
            yield from step.walk()


@dataclass
class Script:
    path: Path
    title: str  # of the first comment, without "row N:"
    rows: list  # of HOSTILE.md ("17") and of the matrix ("F9")
    settings: dict  # of the node
    config: str  # TOML of the node
    is_alone: bool  # it stops, kills or disturbs its node: shares it with nobody
    not_run: str  # why not, or ""
    steps: list

    @property
    def name(self):
        return self.path.stem


def chosen(word):
    """"200|100000" by the profile."""
    return re.sub(r"^(\w+=|x)?(\d[\w./]*)\|(\d[\w./]*)$", r"\1\3" if IS_FULL else r"\1\2", word)


def _steps(path):
    """The lines as a tree."""
    root = Step([], "", str(path))
    open_ones = [(-1, root)]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        indent = len(line.expandtabs(4)) - len(line.expandtabs(4).lstrip())
        while open_ones[-1][0] >= indent:
            open_ones.pop()
        step = Step([chosen(w) for w in shlex.split(text, comments=True)], text, f"{path.name}:{number}")
        open_ones[-1][1].body.append(step)
        open_ones.append((indent, step))
    return root.body


def _head(path):
    """(rows, title) of the first comment."""
    first = path.read_text(encoding="utf-8").splitlines()[0]
    match = re.fullmatch(r"# row ([\w, ]+): (.+)", first)
    if not match:
        raise ScriptError(f"{path.name}:1: a script begins with `# row N: what (source)`")
    return re.split(r", *", match[1]), match[2]


ORDERS = ("term", "kill", "start", "stop", "hup", "descriptors", "clock", "plant", "fail")


def _is_alone(step):
    """Whether a `node` line does something to a node, rather than say how it is made."""
    return step.verb == "node" and bool(set(step.flags()) & {*ORDERS, "alone"})


def read(path):
    path = Path(path)
    rows, title = _head(path)
    steps = _steps(path)
    not_run = [step.words[1] for step in steps if step.verb == "notrun"]
    made = [step for step in steps if step.verb == "node" and not set(step.flags()) & set(ORDERS)]
    settings = {key if "." in key else "dicom." + key: value
                for step in made for key, value in step.named().items()}
    config = "\n".join(step.text for node in made for step in node.body)
    everything = [s for step in steps for s in step.walk()]
    return Script(path, title, rows, settings, config, any(map(_is_alone, everything)),
                  not_run[0] if not_run else "",
                  [step for step in steps if step.verb != "notrun" and step not in made])
