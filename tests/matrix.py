"""The matrix of faults and loads, L1 to F30: one JSON line for each row, with its figures. The rows are in
matrix.tsv beside this file; tools/torture --report runs it.

A row names its tests in tests/net ("net/test_x" or "net/test_x::test_y"), its wire scripts ("wire/x") and
its unit tests ("storage/test_x"), the words with which these print their figures ("crash: 12 kills, ..."), the command of
its long profile, and, where part of it cannot be shown, why. A row is

    pass      its tests ran and passed (in the long profile its command too)
    fail      one of them did not
    NOT RUN   it has none, one did not run, or each was skipped: the line says why; counted, and a
              failure where the table says "always"

Results come from JUnit files and outputs in one folder, so that a run of the whole suite is read as it is. A suite
of its own ("suite/unit-asan"; with "?" at the end: where there is one) that is not in it is read from where
tools/test has kept it, and its line says of when that is.
SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "tools"))
import tally  # noqa: E402

TESTS = Path(__file__).resolve().parent
TOP = TESTS.parent
KEPT = ("build/results", "build-asan/results", "build-tsan/results")  # of tools/test


@dataclass
class Row:
    name: str
    what: str
    always: bool
    tests: list
    words: list
    long: str     # command, from the top of the project; ""
    missing: str  # what is not shown, and why; ""


def read_rows():
    rows = []
    for line in (TESTS / "matrix.tsv").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, what, always, tests, words, long, missing = (
                "" if part == "-" else part for part in line.split("\t"))
            rows.append(Row(name, what, always == "always", tests.split(), words.split(","), long, missing))
    return rows


# ---- results --------------------------------------------------------------------------------------------

@dataclass
class Results:
    """{test: ("pass" | "fail" | "skip", why)}, {suite: what came of it} and all that was printed."""
    tests: dict = field(default_factory=dict)
    suites: dict = field(default_factory=dict)
    output: str = ""

    @classmethod
    def read(cls, folder):
        results = cls()
        for path in sorted(Path(folder).glob("*.xml")):
            for case in xml.etree.ElementTree.parse(path).iter("testcase"):
                results._add(case)
        for kept in [TOP / name for name in KEPT] + [Path(folder)]:
            for path in sorted([*kept.glob("*.xml"), *kept.glob("*.txt")]):
                results._add_suite(path, kept != Path(folder))
        for path in sorted(Path(folder).glob("*.log")):
            results.output += path.read_text(encoding="utf-8", errors="replace") + "\n"
        return results

    def _add(self, case):
        folder, _, module = case.get("classname", "").removeprefix("tests.").partition(".")
        test = case.get("name")
        test = f"net/{module}::{test}" if folder == "net" else f"wire/{test}" if folder == "wire" else test
        bad, skipped = case.find("failure"), case.find("skipped")
        bad = case.find("error") if bad is None else bad
        if bad is not None or case.get("status") == "fail":
            verdict = "fail", "" if bad is None else bad.get("message") or ""
        elif skipped is not None:
            verdict = "skip", skipped.get("message") or ""
        else:
            verdict = "pass", ""
        # The same test in several builds: the worst counts.
        order = ("fail", "pass", "skip")
        if test not in self.tests or order.index(verdict[0]) < order.index(self.tests[test][0]):
            self.tests[test] = verdict

    def _add_suite(self, path, is_kept):
        """One that ran now stands before one that was kept."""
        passed, failed, skipped = tally.of_junit(path) if path.suffix == ".xml" else tally.of_list(path)
        when = datetime.fromtimestamp(path.stat().st_mtime).strftime(" (of %Y-%m-%d %H:%M)") if is_kept else ""
        self.tests["suite/" + path.stem] = "fail" if failed or not passed else "pass", ""
        self.suites[path.stem] = f"{path.stem}: {passed} passed, {failed} failed, {skipped} skipped{when}"

    def of(self, names):
        """The tests that are one of these, a part of one, or one with parameters."""
        names = [name.rstrip("?") for name in names]

        def is_of(test):
            return any(test == n or test.startswith((n + "::", n + "[")) for n in names)
        return {test: verdict for test, verdict in self.tests.items() if is_of(test)}

    def suite_figures(self, tests):
        return [self.suites[test.removeprefix("suite/")] for test in tests if test.startswith("suite/")]

    def figures(self, words):
        """What was printed behind one of the words, without pytest's dots."""
        found = []
        for word in filter(None, words):
            for line in re.findall(rf"^[ \t]*{re.escape(word)}:[ \t]+(.*)$", self.output, re.MULTILINE):
                found.append(re.sub(r"[ \t.sF]*(\[ *\d+%\])?$", "", line))
        return found


def run_tests(rows, folder):
    """The tests of the rows, their results into the folder."""
    names = sorted({t for row in rows for t in row.tests})
    names = [n for n in names if "::" not in n or n.partition("::")[0] not in names]  # none twice
    net = [f"tests/{n.replace('::', '.py::', 1) if '::' in n else n + '.py'}" for n in names if n.startswith("net/")]
    wire = [f"tests/{n}.wire" for n in names if n.startswith("wire/")]
    unit = [n for n in names if not n.startswith(("net/", "wire/", "suite/"))]
    build = os.environ.get("SLUICE_BUILD", str(TOP / "build"))
    for kind, paths in (("net", net), ("wire", wire)):
        if paths:
            with open(os.path.join(folder, kind + ".log"), "w", encoding="utf-8") as log:
                subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml",
                                os.path.join(folder, kind + ".xml"), *paths], cwd=TOP, stdout=log, stderr=log)
    if unit:
        subprocess.run(["ctest", "-j2", "--test-dir", build, "-R", f"^({'|'.join(unit)})$", "--output-junit",
                        os.path.join(folder, "unit.xml")], cwd=TOP, stdout=subprocess.DEVNULL)


# ---- the report -----------------------------------------------------------------------------------------

def run_long(row):
    """(whether it succeeded, its last line)."""
    done = subprocess.run(row.long, shell=True, cwd=TOP, capture_output=True, text=True, errors="replace")
    lines = (done.stdout + done.stderr).strip().splitlines()
    return done.returncode == 0, lines[-1] if lines else ""


def judge(row, results, is_long):
    """A row as a dict."""
    tests = results.of(row.tests)
    count = {v: [t for t, (verdict, _) in tests.items() if verdict == v] for v in ("pass", "fail", "skip")}
    line = {"row": row.name, "what": row.what, "verdict": "NOT RUN", "tests": len(count["pass"]),
            "figures": results.figures(row.words) + results.suite_figures(tests)}
    absent = [name for name in row.tests if not name.endswith("?") and not results.of([name])]
    if absent:
        line["absent"] = absent
    if row.missing:
        line["missing"] = row.missing
    if count["skip"]:
        line["skipped"] = sorted({tests[t][1] for t in count["skip"]})
    if row.long and is_long:
        is_good, figure = run_long(row)
        line["figures"].append(f"{row.long}: {figure}")
        count["pass" if is_good else "fail"].append(row.long)
    elif row.long:
        line["long"] = row.long
    if count["fail"]:
        line["verdict"], line["failed"] = "fail", count["fail"]
    elif count["pass"] and not absent:
        line["verdict"] = "pass"
    return line


def report(names=(), folder=None, is_long=False):
    """Prints the rows (all, or those named). folder: of results that are there; None = run the tests.
    Returns the exit status."""
    rows = [row for row in read_rows() if not names or row.name in names]
    with tempfile.TemporaryDirectory() as own:
        if folder is None:
            run_tests(rows, own)
        results = Results.read(folder or own)
    lines = []
    for row in rows:
        lines.append(judge(row, results, is_long))
        print(json.dumps(lines[-1], ensure_ascii=False), flush=True)
    verdicts = [line["verdict"] for line in lines]
    missed = [row.name for row, verdict in zip(rows, verdicts) if row.always and verdict == "NOT RUN"]
    print(f"matrix: {verdicts.count('pass')} rows pass, {verdicts.count('fail')} fail, "
          f"{verdicts.count('NOT RUN')} NOT RUN" + (f", of these always to be run: {' '.join(missed)}" if missed else ""))
    return int("fail" in verdicts or bool(missed))
