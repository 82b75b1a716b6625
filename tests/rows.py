#!/usr/bin/python3
"""Which requirement of the standard is shown by which test.

rows.py SOURCE_FOLDER [--list]

Requirements are the rows of the project's protocol checklist: U PS3.8 upper layer, D PS3.7 DIMSE, S
services. A test carries its row in its name (U8_128_contexts_..., in Python test_U8_...; two rows:
U11_D2_...). Fails when a row in scope has no test, or a test names a row that does not exist.
SPDX-License-Identifier: Apache-2.0
"""
import collections
import pathlib
import re
import sys

IN_SCOPE = {
    "U1": "13 states, 19 events, the 247 cells of table 9-10",
    "U2": "the actions AE-1 to AA-8 and the bytes they send",
    "U3": "unexpected and invalid PDUs in every state",
    "U4": "ARTIM in Sta2 and Sta13",
    "U5": "A-ASSOCIATE-RJ: result, source, reason",
    "U6": "A-ABORT: source, reason",
    "U7": "reserved fields, protocol version, AE titles",
    "U8": "presentation contexts: IDs, number, results",
    "U9": "maximum length, both directions",
    "U10": "unknown user-information sub-items are ignored",
    "U11": "fragments: control header, order, splits",
    "U12": "one association on one connection",
    "D1": "command sets: encoding, fields, codes",
    "D2": "priority, data set type, message IDs",
    "D3": "C-STORE statuses",
    "D4": "general statuses",
    "D5": "statuses of query and retrieve keep apart from those of storage",
    "D6": "asynchronous operations window",
    "D7": "role selection",
    "D8": "extended negotiation, user identity",
    "D9": "implementation class UID and version name",
    "S1": "level 2: data sets kept bit for bit",
    "S2": "storage extended negotiation reports level 2",
    "S3": "never coerced, B000 never answered",
    "S11": "the conformance statement agrees with the running node",
}
OUT_OF_SCOPE = {
    "S4": "storage commitment is not built yet",
    "S5": "storage commitment is not built yet",
    "S6": "TLS is not built yet",
    "S7": "TLS is not built yet",
    "S8": "TLS is not built yet",
    "S9": "audit messages are not built yet",
    "S10": "audit messages are not built yet",
}

C_TEST = re.compile(r"^static void ((?:[UDS]\d+_)+[A-Za-z]\w*|(?:[UDS]\d+_)+\d\w*)\s*\(", re.M)
PY_TEST = re.compile(r"^\s*def test_((?:[UDS]\d+_)+\w+)\s*\(", re.M)


def tests_of(root):
    """(file, test name) of every test that names a row."""
    for file in sorted(root.glob("tests/*/test_*.c")):
        yield from ((file, name) for name in C_TEST.findall(file.read_text()))
    for file in sorted(root.glob("tests/*/test_*.py")):
        yield from ((file, name) for name in PY_TEST.findall(file.read_text()))


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    by_row, wrong = collections.defaultdict(list), []
    for file, name in tests_of(root):
        for row in re.match(r"(?:[UDS]\d+_)+", name).group(0).strip("_").split("_"):
            by_row[row].append(f"{file.relative_to(root)}: {name}")
            if row not in IN_SCOPE and row not in OUT_OF_SCOPE:
                wrong.append(f"{file.relative_to(root)}: {name} names a row that does not exist")
    missing = [row for row in IN_SCOPE if row not in by_row]
    for row, what in IN_SCOPE.items():
        print(f"{row:4} {len(by_row[row]):3} tests  {what}")
        if "--list" in sys.argv[2:]:
            print("".join(f"       {test}\n" for test in by_row[row]), end="")
    for row, why in OUT_OF_SCOPE.items():
        print(f"{row:4}   not in scope: {why}")
    for row in missing:
        print(f"{row} has no test: {IN_SCOPE[row]}")
    for complaint in wrong:
        print(complaint)
    return 1 if missing or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
