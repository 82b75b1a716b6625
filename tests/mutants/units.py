"""The places of a C source where a mutant may stand: conditions, expression statements, and values that
are returned or initialised. Found by the house style alone (functions open and close in column 0, no
macros that hide statements): what is not understood is left out, and what does not compile is dropped
by whoever builds.
SPDX-License-Identifier: Apache-2.0
"""
import re

_NOISE = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|^[ \t]*#(?:\\\n|[^\n])*",
                    re.S | re.M)
_WORD = re.compile(r"[A-Za-z_]\w*")
_PLACE = r"[*(]*[A-Za-z_]\w*(?:(?:->|\.)\w+|\[[^\]]*\])*\)*"
_EXPRESSION = re.compile(rf"(?:\+\+|--)?{_PLACE}\s*(?:(?:[-+|&^*/]|<<|>>)?=(?!=)|\+\+|--|\(|;)")
_TYPES = {"struct", "enum", "union", "static", "const", "bool", "int", "char", "unsigned", "size_t", "void",
          "_Alignas", "_Atomic", "uint8_t", "uint16_t", "uint32_t", "uint64_t", "int64_t", "ssize_t", "sizeof"}
_UNTOUCHED = ("sl_assert", "_Static_assert", "va_start", "va_end", "va_copy")  # nothing to find out there
_CLOSES = {"(": ")", "[": "]", "{": "}"}


class Unit:
    """text[begin:end] of a file. kind: "condition" (inside its parentheses), "statement" (with its
    semicolon), "value". variants: (number of the mutant, text in its place)."""

    def __init__(self, kind, begin, end):
        self.kind, self.begin, self.end = kind, begin, end
        self.variants = []


def blank(text, comments_only=False):
    """The same length, with comments and preprocessor lines as spaces, strings and characters empty."""
    def spaces(match):
        found = match.group(0)
        if comments_only and not found.startswith("/"):
            return found
        if found[0] in "\"'":
            return found[0] + " " * (len(found) - 2) + found[0]
        return re.sub(r"[^\n]", " ", found)
    return _NOISE.sub(spaces, text)


def matching(code, at):
    """Where the bracket at `at` closes."""
    depth = 0
    for i in range(at, len(code)):
        if code[i] in "([{":
            depth += 1
        elif code[i] in ")]}":
            depth -= 1
            if depth == 0:
                return i
    raise ValueError(f"a bracket does not close: {code[at:at + 40]!r}")


def find_flat(code, chars, begin, end):
    """The first of chars outside of brackets, or end."""
    i = begin
    while i < end:
        if code[i] in _CLOSES:
            i = matching(code, i)
        elif code[i] in chars:
            return i
        i += 1
    return end


def bodies(code):
    """(begin, end) of the functions' bodies, without their braces."""
    for match in re.finditer(r"^\{\n(.*?)^\}$", code, re.S | re.M):
        yield match.start(1), match.end(1)


class Scanner:
    """The units of one function's body, in order."""

    def __init__(self, code):
        self.code = code
        self.units = []

    def body(self, at, end):
        while True:
            while at < end and self.code[at] in " \t\n{};":
                at += 1
            if at >= end:
                return self.units
            at = self.one(at, end)

    def one(self, at, end):
        """A statement, or the head of one; where to go on."""
        match = _WORD.match(self.code, at)
        word = match.group(0) if match else ""
        after = match.end() if match else at
        if word in ("else", "do"):
            return after
        if word in ("case", "default") or (match and re.match(r"\s*:(?!:)", self.code[after:end])):
            return find_flat(self.code, ":", at, end) + 1
        head = re.compile(r"\s*\(").match(self.code, after) if match else None
        if word in ("if", "while", "for", "switch") and head:
            return self.head(word, head.end() - 1)
        if head and re.match(r"\s*[A-Za-z_{*]", self.code[matching(self.code, head.end() - 1) + 1:end]) \
                and word.startswith("sl_list_for_each"):
            return matching(self.code, head.end() - 1) + 1
        stop = find_flat(self.code, ";", at, end)
        self.simple(word, at, after, stop)
        return stop + 1

    def head(self, word, opens):
        closes = matching(self.code, opens)
        begin, end = opens + 1, closes
        if word == "for":
            begin = find_flat(self.code, ";", begin, closes) + 1
            end = find_flat(self.code, ";", begin, closes)
        if word != "switch" and self.code[begin:end].strip():
            self.add("condition", begin, end)
        return closes + 1

    def simple(self, word, at, after, stop):
        if word == "return":
            self.add("value", after, stop)
        elif word in ("goto", "break", "continue"):
            self.add("statement", at, stop + 1)
        elif word in _UNTOUCHED:
            return
        elif word not in _TYPES and _EXPRESSION.match(self.code, at, stop + 1):
            self.add("statement", at, stop + 1)
        elif word != "static":
            is_ = find_flat(self.code, "=", at, stop)
            if is_ < stop and find_flat(self.code, ",", at, stop) == stop:
                self.add("value", is_ + 1, stop)

    def add(self, kind, begin, end):
        while begin < end and self.code[begin] in " \t\n":
            begin += 1
        while end > begin and self.code[end - 1] in " \t\n":
            end -= 1
        if begin < end and self.code[begin] != "{":
            self.units.append(Unit(kind, begin, end))


def units_of(text):
    """Every unit of a source, in order; none lies in another."""
    code = blank(text)
    found = []
    for begin, end in bodies(code):
        found += Scanner(code).body(begin, end)
    return found
