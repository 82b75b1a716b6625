"""Shows that the checks are not blind: runs them on daemons that were broken on purpose, and says which
check saw it. Driven by tools/torture sabotage.

Mutants chosen by hand (chosen.txt) have to be caught, each by every check that the table names for it.
Of the automatic ones a sample is drawn by a seed, as many from each layer, no two at one place; each
meets the checks that come by its place, the test that mirrors its file first, then by their time, until
one is red. A survivor is a hole in the tests, or stands in kept.txt with the reason why no test can see it.

All mutants are in one build (schemata.py), so one costs no more than the run of its tests. Which check
comes by which place is seen in a first run, without a mutant, in which all of them have to be green.
SPDX-License-Identifier: Apache-2.0
"""
import concurrent.futures
import json
import os
import pathlib
import random
import re
import subprocess
import threading
import time

import automatic
from checks import BROAD, Check, Outcome, unit_programs
from schemata import NUMBERS, TOP, Schemata

HERE = pathlib.Path(__file__).resolve().parent
BUILDS = TOP / "build-mutants"
FLAGS = {"plain": [], "address": ["-DSLUICE_SANITIZE=address"], "thread": ["-DSLUICE_SANITIZE=thread"]}
MAY_SURVIVE = 0.1  # of the automatic ones


def say(text):
    print(text, flush=True)


class Verdict:
    """What became of one mutant. outcomes: (name of the check, Outcome), in order; missed: checks that
    should have been red and were not."""

    def __init__(self, mutant, outcomes, missed=(), kept=""):
        self.mutant, self.outcomes, self.missed, self.kept = mutant, outcomes, list(missed), kept

    @property
    def by(self):
        return next(((name, outcome) for name, outcome in self.outcomes if outcome.word), None)

    @property
    def seconds(self):
        return sum(outcome.seconds for _, outcome in self.outcomes)

    def __str__(self):
        if self.mutant.misfit:
            return f"DOES NOT FIT: {self.mutant.misfit}"
        if self.missed:
            return f"NOT SEEN by {' '.join(self.missed)}"
        if self.by:
            return f"{self.by[0]} {self.by[1].word}: {self.by[1].why}"
        if self.kept:
            return f"equivalent: {self.kept}"
        return f"SURVIVES {len(self.outcomes)} checks" if self.outcomes else "SURVIVES, no check comes by"

    def as_json(self):
        mutant, by = self.mutant, self.by
        return {"number": mutant.number, "name": mutant.name, "group": mutant.group, "file": mutant.path,
                "line": mutant.line, "was": mutant.was or mutant.text, "becomes": mutant.becomes,
                "caught_by": by and by[0], "how": by and by[1].word, "why": by and by[1].why,
                "missed": self.missed, "equivalent": self.kept, "seconds": round(self.seconds, 2)}


def read_kept(path):
    """{(file, was, becomes): why no test can see it}"""
    kept = {}
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    for block in filter(str.strip, re.split(r"\n\n+", "\n".join(lines))):
        file, was, becomes, *why = [line.strip() for line in block.strip().splitlines()]
        kept[file, was[1:].strip(), becomes[1:].strip()] = " ".join(line.lstrip("= ") for line in why)
    return kept


def sample(mutants, count, seed):
    """As many from each group, one at a place, in the order of the files."""
    chance, drawn = random.Random(seed), []
    groups = list(automatic.GROUPS)
    for i, group in enumerate(groups):
        places = {}
        for mutant in mutants:
            if mutant.group == group:
                places.setdefault((mutant.path, mutant.line, mutant.was), []).append(mutant)
        share = (count * (i + 1)) // len(groups) - (count * i) // len(groups)
        picked = chance.sample(sorted(places), min(share, len(places)))
        drawn += [chance.choice(places[place]) for place in picked]
    return sorted(drawn, key=lambda mutant: mutant.number)


class Sabotage:
    def __init__(self, workers):
        self.workers = workers
        self.schemata = Schemata()
        self.kept = read_kept(HERE / "kept.txt")
        self.checks = {}
        self.printing = threading.Lock()

    # ---- building ----

    def build(self, names):
        """What the named checks need; drops the automatic mutants that do not compile."""
        self.checks = {name: Check(name, BUILDS) for name in names}
        for build in sorted({check.build for check in self.checks.values()}):
            targets = {t for check in self.checks.values() if check.build == build for t in check.targets}
            self._build(build, sorted(targets))

    def _build(self, build, targets):
        while True:
            self.schemata.write(BUILDS / "src")
            if not (build / "CMakeCache.txt").exists():
                _must(["cmake", "-S", BUILDS / "src", "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug",
                       "-DCMAKE_C_FLAGS=-w -O1", *FLAGS[build.name]])
            say(f"building {build.name}: {len(self.schemata.chosen)} chosen and {len(self.schemata.automatic)} "
                "automatic mutants")
            done = subprocess.run(["ninja", "-C", build, "-j", str(self.workers), "-k", "0", *targets],
                                  capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return
            if self.schemata.drop(done.stdout) == 0:
                raise AssertionError(f"the build failed:\n{done.stdout[-4000:]}{done.stderr}")

    def try_checks(self):
        """Each without a mutant: its time, what it comes by. One that is red then says nothing."""
        def one(check):
            reached = BUILDS / f"reached-{check.name.translate(str.maketrans('/:', '--'))}"
            reached.write_bytes(bytes(NUMBERS))
            outcome = check.try_out(reached)
            reached.unlink()
            if outcome.word:
                say(f"{check.name} {outcome.word} without a mutant, it is not used: {outcome.why}")
        for _ in self._each(one, self.checks.values()):
            pass
        green = [check for check in self.checks.values() if check.is_green]
        say(f"{len(green)} of {len(self.checks)} checks are green without a mutant, in "
            f"{sum(check.seconds for check in green):.0f} s; the longest: " + ", ".join(
                f"{check.name} {check.seconds:.0f}" for check in sorted(green, key=lambda c: -c.seconds)[:12]))

    def _each(self, what, items):
        with concurrent.futures.ThreadPoolExecutor(self.workers) as pool:
            yield from pool.map(what, list(items))

    # ---- judging ----

    def meets(self, mutant):
        """The checks for an automatic one: those that come by, the mirror of its file first."""
        layer, stem = mutant.path.split("/")
        mirror = f"address:{layer}/test_{stem[:-2]}"
        found = [check for check in self.checks.values() if check.is_green and check.reached[mutant.number]]
        return sorted(found, key=lambda check: (not check.name.startswith(mirror), check.seconds))

    def judge_automatic(self, mutant):
        outcomes = []
        kept = self.kept.get((mutant.path, mutant.was, mutant.becomes), "")
        for check in self.meets(mutant):
            outcomes.append((check.name, check.run(mutant.number)))
            if outcomes[-1][1].word:
                break
        return self._tell(Verdict(mutant, outcomes, kept=kept))

    def judge_chosen(self, mutant):
        outcomes = []
        for name in mutant.by if not mutant.misfit else ():
            check = self.checks[name]
            outcomes.append((name, check.run(mutant.number) if check.is_green else Outcome("", "red anyway", 0)))
        return self._tell(Verdict(mutant, outcomes, mutant.by if mutant.misfit else
                                  [name for name, outcome in outcomes if not outcome.word]))

    def _tell(self, verdict):
        with self.printing:
            say(f"{verdict.mutant.number:6}  {verdict.mutant}\n        {verdict}  [{verdict.seconds:.1f} s]")
        return verdict

    def run(self, chosen, drawn):
        """Judges them; a list of verdicts, in order."""
        names = list(dict.fromkeys(name for mutant in chosen for name in mutant.by))
        if drawn:
            names += [name for name in [*unit_programs(), *BROAD] if name not in names]
        self.build(names)
        drawn = [mutant for mutant in drawn if mutant in self.schemata.automatic]
        self.try_checks()
        return [*self._each(self.judge_chosen, chosen), *self._each(self.judge_automatic, drawn)]


def _must(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def table_of_chosen(verdicts):
    say(f"\n{'mutant':32} {'seconds':>7}  caught by")
    for verdict in verdicts:
        caught = ", ".join(name for name, outcome in verdict.outcomes if outcome.word)
        missed = f"; NOT by {' '.join(verdict.missed)}" if verdict.missed else ""
        say(f"{verdict.mutant.name:32} {verdict.seconds:7.1f}  {caught}{missed}")


def table_of_automatic(verdicts):
    say(f"\n{'layer':12} {'mutants':>7} {'caught':>7} {'equivalent':>10} {'survive':>8}")
    for group in [*automatic.GROUPS, None]:
        of = [verdict for verdict in verdicts if group in (None, verdict.mutant.group)]
        caught = sum(1 for verdict in of if verdict.by)
        kept = sum(1 for verdict in of if verdict.kept and not verdict.by)
        say(f"{group or 'all':12} {len(of):7} {caught:7} {kept:10} {len(of) - caught - kept:8}")
    by = {}
    for verdict in filter(lambda verdict: verdict.by, verdicts):
        kind = re.sub(r"^(address:|thread:)|/.*", "", verdict.by[0])
        by[kind] = by.get(kind, 0) + 1
    say("caught by: " + ", ".join(f"{name} {n}" for name, n in sorted(by.items(), key=lambda item: -item[1])))
    for verdict in verdicts:
        if not verdict.by:
            say(f"  {'equivalent' if verdict.kept else 'survivor'}: {verdict.mutant}"
                + (f"\n      {verdict.kept}" if verdict.kept else ""))


def main(args):
    """args: names, kind ("chosen", "automatic", None = both), count, seed, workers, file, json."""
    begun = time.monotonic()
    sabotage = Sabotage(args.workers)
    chosen = [m for m in sabotage.schemata.chosen if not args.names or m.name in args.names]
    drawn = [m for m in sabotage.schemata.automatic if args.file in (None, m.path)]
    numbers = {name for name in args.names if name.isdigit()}
    if numbers:
        drawn = [m for m in drawn if str(m.number) in numbers]
    elif args.count:
        drawn = sample(drawn, args.count, args.seed)
    verdicts = sabotage.run(chosen if args.kind != "automatic" else [],
                            drawn if args.kind != "chosen" and (numbers or not args.names) else [])
    of_chosen = [verdict for verdict in verdicts if verdict.mutant.group is None]
    of_drawn = [verdict for verdict in verdicts if verdict.mutant.group is not None]
    if of_chosen:
        table_of_chosen(of_chosen)
    if of_drawn:
        table_of_automatic(of_drawn)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as out:
            json.dump([verdict.as_json() for verdict in verdicts], out, indent=1)
    missed = sum(1 for verdict in of_chosen if verdict.missed)
    alive = sum(1 for verdict in of_drawn if not verdict.by)
    kept = sum(1 for verdict in of_drawn if not verdict.by and verdict.kept)
    say(f"sabotage: {len(of_chosen)} chosen mutants, {missed} not seen by a check that should; {len(of_drawn)} automatic "
        f"(seed {args.seed}), {alive} survive, {kept} of them equivalent; {time.monotonic() - begun:.0f} s")
    assert missed == 0, "a chosen mutant was not seen"
    assert alive - kept <= MAY_SURVIVE * len(of_drawn), "too many automatic mutants survive"
