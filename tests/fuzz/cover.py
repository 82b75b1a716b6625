"""Which lines of the decoders the kept inputs and the seeds run: clang's counters, read by llvm-cov.

The programs are the replays (replay.c) built with SLUICE_COVER into build-cover/. A line counts as run when
any of them ran any part of it.
SPDX-License-Identifier: Apache-2.0
"""
import dataclasses
import subprocess
from pathlib import Path

import fuzzing

BUILD = fuzzing.TOP / "build-cover"
GOAL = 95.0  # per cent of the lines
DECODERS = [
    "core/ae.c", "core/cmd.c", "core/crc32c.c", "core/cursor.h", "core/elem.c", "core/elem_head.c", "core/elem_tree.c", "core/esc.c",
    "core/msg.c", "core/nego.c", "core/p10.c", "core/part.c", "core/pdu_assoc.c", "core/pdu_dec.c", "core/pdu_enc.c",
    "core/record.c", "core/sip.c", "core/sm.c", "core/uid.c", "core/ul.c", "storage/charset.c", "storage/index_key.c",
    "storage/index_match.c", "storage/index_row.c", "storage/inflate.c", "storage/lmdb_key.c", "storage/text.c",
    "storage/text_fold.c"]


@dataclasses.dataclass
class File:
    name: str
    lines: int
    missed: list  # (number, text)

    @property
    def share(self):
        return 100.0 * (self.lines - len(self.missed)) / max(1, self.lines)


@dataclasses.dataclass
class Report:
    files: list
    inputs: int

    @property
    def lines(self):
        return sum(f.lines for f in self.files)

    @property
    def missed(self):
        return sum(len(f.missed) for f in self.files)

    @property
    def share(self):
        return 100.0 * (self.lines - self.missed) / max(1, self.lines)

    @property
    def is_good(self):
        return self.share >= GOAL

    def as_dict(self):
        return {"lines": self.lines, "missed": self.missed, "per_cent": round(self.share, 2), "goal": GOAL,
                "inputs": self.inputs,
                "files": {f.name: {"lines": f.lines, "per_cent": round(f.share, 2),
                                   "missed": [number for number, _ in f.missed]} for f in self.files}}

    def __str__(self):
        text = [f"{f.name:24} {f.share:6.2f} % of {f.lines:>4} lines" for f in self.files]
        text += [f"{f.name}:{number}: {line}" for f in self.files for number, line in f.missed]
        text.append(f"cover: {self.share:.2f} % of {self.lines} lines of {len(self.files)} decoder files by "
                    f"{self.inputs} inputs; {self.missed} not run; goal {GOAL:.0f} %")
        return "\n".join(text)


def replay(target, seeds, profiles):
    """How many inputs went in."""
    folders = [f for f in (fuzzing.KEPT / target, seeds / target) if f.is_dir()]
    if not folders:
        return 0
    done = subprocess.run([BUILD / "fuzz" / f"replay_{target}", *folders], capture_output=True, text=True,
                          env={"LLVM_PROFILE_FILE": str(profiles / f"{target}.raw")}, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{target}: {done.stdout}{done.stderr}")
    return int(done.stdout.split()[0])


def read_lcov(text):
    """{file: {line: times}} from llvm-cov's lcov."""
    files, lines = {}, {}
    for row in text.splitlines():
        kind, _, rest = row.partition(":")
        if kind == "SF":
            lines = files.setdefault(str(Path(rest).relative_to(fuzzing.TOP)), {})
        elif kind == "DA":
            number, times = (int(n) for n in rest.split(",")[:2])
            lines[number] = lines.get(number, 0) + times
    return files


def measure():
    fuzzing.need("build", "speed", "test", "cover")
    fuzzing.build("build-cover", "fuzzers", ("clang", "clang++"), "CMAKE_BUILD_TYPE=Debug", "SLUICE_COVER=ON")
    seeds, profiles = fuzzing.make_seeds(BUILD / "seeds"), BUILD / "profiles"
    profiles.mkdir(exist_ok=True)
    names = fuzzing.targets()
    inputs = sum(replay(name, seeds, profiles) for name in names)
    merged = BUILD / "all.profile"
    subprocess.run(["llvm-profdata", "merge", "-o", merged, *sorted(profiles.glob("*.raw"))], check=True)
    programs = [BUILD / "fuzz" / f"replay_{name}" for name in names]
    exported = subprocess.run(
        ["llvm-cov", "export", "-format=lcov", f"-instr-profile={merged}", programs[0],
         *(word for program in programs[1:] for word in ("-object", program)),
         *(fuzzing.TOP / name for name in DECODERS)],
        capture_output=True, text=True, check=True)
    counts, files = read_lcov(exported.stdout), []
    for name in DECODERS:
        text = (fuzzing.TOP / name).read_text(encoding="utf-8").splitlines()
        lines = counts.get(name, {})
        missed = [(n, text[n - 1].strip()) for n, times in sorted(lines.items()) if times == 0]
        files.append(File(name, len(lines), missed))
    return Report(files, inputs)
