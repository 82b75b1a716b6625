"""One build that holds every mutant: a copy of the sources in which each mutated place asks which mutant
this process is.

    if (n < max)   becomes   if ((SL_MUTANT(1007) ? (n <= max) : SL_MUTANT(1008) ? (!(n < max)) : (n < max)))
    f(x);          becomes   { if (SL_MUTANT(1009)) { } else { f(x); } }

Lines stay where they are, so that an error of the compiler names the mutants to drop. A process is mutant
$SLUICE_MUTANT (0: none), and marks in $SLUICE_REACHED which places it came by.

Numbers: those chosen by hand (chosen.txt) have 1, 2, ... in order; the automatic ones of the n-th file of
automatic.GROUPS 2000 n + 1, ...: a change in one file leaves the others' numbers alone.
SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import re
import subprocess

import automatic
from units import Unit, units_of

TOP = pathlib.Path(__file__).resolve().parents[2]
PER_FILE = 2000
FILES = [path for paths in automatic.GROUPS.values() for path in paths]
NUMBERS = PER_FILE * (len(FILES) + 1)

HEADER = f"""#pragma once
extern int sl_mutant;
extern unsigned char *sl_reached;
#define SL_MUTANTS {NUMBERS}
#define SL_MUTANT(n) (__atomic_store_n(&sl_reached[n], 1, __ATOMIC_RELAXED), __builtin_expect(sl_mutant == (n), 0))
"""

# By the C library's own syscall(): the tests and the simulator stand in the place of its other functions, the
# simulator, at link time, in that of syscall() too.
SOURCE = """#include "core/mutant.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
int sl_mutant;
static unsigned char nowhere[SL_MUTANTS];
unsigned char *sl_reached = nowhere;
__attribute__((constructor)) static void choose(void)
{
	const char *number = getenv("SLUICE_MUTANT"), *reached = getenv("SLUICE_REACHED");
	sl_mutant = number != NULL ? atoi(number) : 0;
	if (reached == NULL)
		return;
	long (*call)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	long fd = call(SYS_openat, AT_FDCWD, reached, O_RDWR | O_CLOEXEC, 0);
	long at = fd < 0 ? -1 : call(SYS_mmap, NULL, SL_MUTANTS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at > 0)
		sl_reached = (unsigned char *)at;
	if (fd >= 0)
		call(SYS_close, fd);
}
"""


class Mutant:
    """number; name; path, line; was, becomes: text, becomes "" = deleted; group (automatic) or by (chosen:
    names of checks). misfit: why it cannot be made any more, the source has changed."""

    def __init__(self, number, name, path, line, was, becomes):
        self.number, self.name, self.path, self.line = number, name, path, line
        self.was, self.becomes = was, becomes
        self.text, self.by, self.group, self.misfit = "", [], None, ""

    def __str__(self):
        if not self.group:
            return f"{self.name} ({self.text})"
        return f"{self.path}:{self.line}  {self.was}  =>  {self.becomes or '(deleted)'}"


def _pattern(words):
    """Finds these words with any space between them."""
    return r"\s+".join(re.escape(word) for word in words)


def _common(was, becomes):
    """How much both begin with, how much both end with, and what the second has between."""
    head = 0
    while head < min(len(was), len(becomes)) and was[head] == becomes[head]:
        head += 1
    tail = 0
    while tail < min(len(was), len(becomes)) - head and was[-1 - tail] == becomes[-1 - tail]:
        tail += 1
    return head, tail, becomes[head:len(becomes) - tail]


class Edit:
    """A change by hand that is not inside one unit: text[begin:end] or something else; nothing becomes
    something: put in at begin."""

    def __init__(self, number, begin, end, becomes):
        self.number, self.begin, self.end, self.becomes = number, begin, end, becomes

    def around(self, inner):
        """The schema of this place; inner: what stands there otherwise, itself a schema."""
        mutated = f"if (SL_MUTANT({self.number})) {{ {automatic.flat(self.becomes)} }} "
        return mutated + (f"else {{ {inner} }}" if inner else "")


class Source:
    """One file, its units and the mutants that stand in it."""

    def __init__(self, path):
        self.path = path
        self.text = (TOP / path).read_text()
        self.units = units_of(self.text)
        self.edits = []
        self.dropped = set()

    def line(self, at):
        return self.text.count("\n", 0, at) + 1

    def choose(self, mutant, was, becomes):
        """An edit of the table; says where it is."""
        found = list(re.finditer(_pattern(was.split()), self.text))
        if len(found) != 1:
            mutant.misfit = f"{len(found)} places of {self.path} say: {was}"
            return
        begin, end = found[0].span()
        mutant.path, mutant.line = self.path, self.line(begin)
        at = [i for i in range(begin, end) if not self.text[i].isspace() or not self.text[i - 1].isspace()] + [end]
        flat = re.sub(r"\s", " ", "".join(self.text[i] for i in at[:-1]))
        head, tail, new = _common(flat, " ".join(becomes.split()))
        if self._vary(mutant.number, at[head], at[len(flat) - tail], new):
            return
        words = was.split()
        head, tail, new = _common(words, becomes.split())
        middle = re.compile(f"{_pattern(words[:head])}\\s*({_pattern(words[head:len(words) - tail])})"
                            f"\\s*{_pattern(words[len(words) - tail:])}").match(self.text, begin)
        self.edits.append(Edit(mutant.number, *middle.span(1), " ".join(new)))

    def _vary(self, number, begin, end, becomes):
        """Where the change lies in one unit it is a variant of that."""
        for unit in self.units:
            if unit.begin <= begin and end <= unit.end:
                text = self.text[unit.begin:begin] + becomes + self.text[end:unit.end]
                unit.variants.append((number, automatic.flat(text)))
                return True
        return False

    def mutate(self, number, group):
        """Every automatic mutant of this file, numbered from `number` on."""
        made = []
        for unit in self.units:
            was = self.text[unit.begin:unit.end]
            for becomes in automatic.variants(unit.kind, was):
                mutant = Mutant(number, None, self.path, self.line(unit.begin), automatic.flat(was), becomes)
                mutant.group = group
                unit.variants.append((number, becomes))
                made.append(mutant)
                number += 1
        return made

    def drop(self, line):
        """The compiler does not take a line: the mutants that stand on it. Returns how many."""
        on_it = {number for unit in self.units for number, _ in unit.variants
                 if self.line(unit.begin) <= line <= self.line(unit.end)} - self.dropped
        self.dropped |= on_it
        return len(on_it)

    def _unit(self, unit):
        """The schema of one unit."""
        text = self.text[unit.begin:unit.end]
        variants = [(n, v) for n, v in unit.variants if n not in self.dropped]
        if not variants:
            return text
        if unit.kind == "statement":
            tests = " else ".join(f"if (SL_MUTANT({n})) {{ {v} }}" for n, v in variants)
            return f"{{ {tests} else {{ {text} }} }}"
        return "(" + " : ".join(f"SL_MUTANT({n}) ? ({v})" for n, v in variants) + f" : ({text}))"

    def schema(self):
        """The file with all of them; edits hold units, never half of one."""
        marks = [(unit.begin, unit.end, unit) for unit in self.units]
        marks += [(edit.begin, edit.end, edit) for edit in self.edits]
        marks.sort(key=lambda mark: (mark[0], -mark[1], isinstance(mark[2], Unit)))
        return self._render(0, len(self.text), marks)

    def _render(self, begin, end, marks):
        out, at, i = [], begin, 0
        while i < len(marks):
            first, last, what = marks[i]
            inner = []
            i += 1
            while i < len(marks) and marks[i][0] < last:
                inner.append(marks[i])
                i += 1
            out.append(self.text[at:first])
            out.append(what.around(self._render(first, last, inner)) if isinstance(what, Edit) else self._unit(what))
            at = last
        return "".join(out) + self.text[at:end]


def read_table(path):
    """The mutants chosen by hand: [(mutant, [(file, was, becomes)])] (chosen.txt says how it is written)."""
    table = []
    blocks = re.split(r"\n\n+", "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#")))
    for block in filter(str.strip, blocks):
        head, *lines = block.strip("\n").split("\n")
        name, text = head.split(": ", 1)
        mutant, edits = Mutant(len(table) + 1, name, None, 0, "", ""), []
        mutant.text = text
        for line in lines:
            sign, _, rest = line.strip().partition(" ")
            if sign == "by":
                mutant.by = rest.split()
            elif sign == "in":
                edits.append([rest, [], []])
            elif sign in "-+":
                edits[-1][1 if sign == "-" else 2].append(rest)
            else:
                raise ValueError(f"{path.name}: {line}")
        table.append((mutant, [(file, "\n".join(was), "\n".join(becomes)) for file, was, becomes in edits]))
    return table


class Schemata:
    """All mutants of this tree: .chosen, .automatic (lists of Mutant)."""

    def __init__(self):
        self.sources = {path: Source(path) for path in FILES}
        self.chosen, self.automatic = [], []
        for mutant, edits in read_table(pathlib.Path(__file__).with_name("chosen.txt")):
            for path, was, becomes in edits:
                self.sources.setdefault(path, None)
                self.sources[path] = self.sources[path] or Source(path)
                self.sources[path].choose(mutant, was, becomes)
            self.chosen.append(mutant)
        for i, path in enumerate(FILES, 1):
            self.automatic += self.sources[path].mutate(PER_FILE * i + 1, automatic.group_of(path))

    def write(self, folder):
        """The tree with every mutant, below folder; a file that is as it was is not touched."""
        names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=TOP,
                               check=True, capture_output=True).stdout.decode().split("\0")
        for name in filter(None, names):
            if name in self.sources:
                include = '#include "core/mutant.h"\n#line 1\n'
                _put(folder / name, (include + self.sources[name].schema()).encode())
            elif (TOP / name).is_file():
                _put(folder / name, (TOP / name).read_bytes())
        _put(folder / "core/mutant.h", HEADER.encode())
        _put(folder / "core/mutant.c", SOURCE.encode())

    def drop(self, errors):
        """Drops the mutants that a compiler's output names; how many, or 0 when it is not their fault."""
        known = {n for source in self.sources.values() for n in source.dropped}
        for path, line in set(re.findall(r"(\w+/\w+\.c):(\d+):\d+: error", errors)):
            if path in self.sources:
                self.sources[path].drop(int(line))
        now = {n for source in self.sources.values() for n in source.dropped}
        self.automatic = [m for m in self.automatic if m.number not in now]
        wrong = [m.name for m in self.chosen if m.number in now]
        if wrong:
            raise ValueError(f"chosen mutants that do not compile: {wrong}\n{errors}")
        return len(now - known)


def _put(path, content):
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
