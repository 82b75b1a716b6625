#!/usr/bin/python3
"""Adds up the results of a test run and prints the one closing line.

tally.py STATUS FOLDER: STATUS is how the run itself ended (a build that failed counts as one failure
where no test did); FOLDER holds JUnit files (*.xml) and lists of "pass"/"fail" lines (*.txt).
SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import sys
import xml.etree.ElementTree


def of_junit(path):
    """passed, failed, skipped of one JUnit file; an unfinished file is one failure."""
    try:
        cases = list(xml.etree.ElementTree.parse(path).iter("testcase"))
    except xml.etree.ElementTree.ParseError:
        return 0, 1, 0
    failed = sum(c.find("failure") is not None or c.find("error") is not None for c in cases)
    skipped = sum(c.find("skipped") is not None or c.get("status") in ("notrun", "disabled") for c in cases)
    return len(cases) - failed - skipped, failed, skipped


def of_list(path):
    lines = path.read_text().split()
    return lines.count("pass"), lines.count("fail"), 0


def main():
    status, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
    parts = [of_junit(p) for p in folder.glob("*.xml")] + [of_list(p) for p in folder.glob("*.txt")]
    passed, failed, skipped = (sum(part[i] for part in parts) for i in range(3))
    if status != 0 and failed == 0:
        failed = 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
