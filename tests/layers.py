#!/usr/bin/python3
"""The layering test: who may include, call and create what (DESIGN 6).

layers.py SOURCE_FOLDER [BUILD_FOLDER]

Checks the text of every source file against the rules below, that every header compiles alone, and in
the build folder what the libraries really refer to and whether they hold mutable globals. Before that
each rule is tried on a line that breaks it: a rule that finds nothing there is itself an error.
SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import re
import shutil
import subprocess
import sys

LAYERS = ("core", "conf", "storage", "server", "tools")
SOURCES = (".c", ".cc", ".h", ".def")

# What a layer may include of ours.
OURS = {
    "core": r"core/.*",
    "conf": r"conf/.*|core/(base|status|cursor)\.h",
    "storage": r"(storage|core)/.*",
    "server": r"(server|storage|core)/.*",
    "tools": r".*",
}
# ... but not the insides of another layer.
INSIDES = r"storage/(.*_(int|priv)|oserr|thread|lmdb_key|index_row)\.h"

# Pure: what core/ may include of libc, and what its objects may refer to.
CORE_HEADERS = {"inttypes.h", "limits.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h",
                "stdlib.h", "string.h", "sys/uio.h"}
CORE_ATOMIC = {"core/slab.h", "core/slab.c", "core/sm.h", "core/sm.c", "core/arena.h", "core/arena.c"}
CORE_SYMBOLS = {"abort", "bsearch", "fprintf", "memchr", "memcmp", "memcpy", "memmove", "memset", "snprintf",
                "stderr", "strchr", "strcmp", "strlen", "strncmp", "strnlen", "strstr", "strtoul", "vsnprintf"}
COMPILER_SYMBOLS = r"_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__\w+_chk|__(asan|ubsan|tsan|gcov|sanitizer)_\w*|sl_\w+"

# Third-party headers and the files that may see them.
THIRD_PARTY = (
    (r"uv\.h", r"server/.*"),
    (r"lmdb\.h", r"storage/index_lmdb\w*\.[ch]"),
    (r"iconv\.h", r"tools/text_gen\.c"),
    (r"utf8proc\.h", r"storage/text_fold\.c"),
    (r"zlib\.h", r"storage/inflate\.c"),
    (r"xxhash\.h", r"storage/\w+\.[ch]"),
    (r"dcmtk/.*", r"tools/registry_gen\.cc"),
    (r"openssl/.*", r"server/xport_tls\.c"),
    (r"microhttpd\.h", r"server/http\w*\.c"),
    (r"toml\+\+/.*", r"conf/toml\.cc"),
)

# Files that create files. All else opens what is there, or calls these.
CREATORS = {"storage/root.c", "storage/root_beneath.c", "storage/store_fs.c", "storage/berth.c", "storage/sorter.c",
            "storage/ops.c", "storage/rekeep.c", "server/log.c"}

# Mutable globals that have to be: library, object, name, and why.
GLOBALS = {
    ("server", "seal.c.o", "arena"): "uv_replace_allocator() takes functions without an argument",
}

# Never, anywhere in the daemon.
FORBIDDEN = r"\b(system|popen|execl|execv|execve|execvp|strcpy|strcat|sprintf|vsprintf|gets|strtok|alloca|setjmp)\s*\("
CREATING = r"\b(O_CREAT|O_TMPFILE)\b|\bcreat\s*\(|\bfopen\s*\([^,]*,\s*\"[wa]|\bmkstemp\s*\("
UNNUMBERED = r"\b(TODO|FIXME|XXX)\b(?!\s*\(?(issue )?#?\d)"

MAX_LINES, MAX_FUNCTION = 500, 60

# Where files of any kind are held to MAX_LINES; not what is written by a program.
HOUSE = ("core", "conf", "storage", "server", "tests", "tools")
WRITTEN = {"conf/configuration.md", "conf/sluice.toml"}
BEING_SPLIT = {"storage/index_lmdb_read.c"}


def without_comments(text):
    """Comments blanked, strings and line numbers kept."""
    def blank(match):
        s = match.group(0)
        if s.startswith("/"):
            return re.sub(r"[^\n]", " ", s)
        return s
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


def check_include(path, line):
    """What is wrong with one include line of a file, or None."""
    layer = path.split("/")[0]
    match = re.match(r"\s*#\s*include\s*([<\"])([^>\"]+)[>\"]", line)
    if not match:
        return None
    quote, name = match.groups()
    for header, files in THIRD_PARTY:
        if re.fullmatch(header, name):
            return None if re.fullmatch(files, path) else f"{name} may be included in {files} only"
    if quote == '"':
        if path.startswith("server/main") and name.startswith("conf/"):
            return None
        if name.endswith(".inc") or re.fullmatch(OURS[layer], name):
            is_inside = re.fullmatch(INSIDES, name) and layer != name.split("/")[0]
            return f"{name} is an inside of its layer" if is_inside and layer != "tools" else None
        return f"{layer}/ may not include {name}"
    if layer == "core" and name == "stdatomic.h":
        return None if path in CORE_ATOMIC else "stdatomic.h belongs to slab, sm and arena in core/"
    if layer == "core" and name not in CORE_HEADERS:
        return f"core/ is pure and may not include {name}"
    if re.match(r"[a-z]+/[a-z0-9_]+\.h$", name) or re.fullmatch(r"[a-z0-9_+]+(\.h)?", name):
        return None  # libc, POSIX, Linux
    return f"nobody has said who may include {name}"


def check_functions(text):
    """(line, name) of every function longer than one screen, by the house's brace style."""
    lines = text.split("\n")
    start = None
    for i, line in enumerate(lines):
        if line == "{":
            start = i
        elif line == "}" and start is not None:
            if i - start - 1 > MAX_FUNCTION:
                yield start, f"a function of {i - start - 1} lines; {MAX_FUNCTION} are allowed"
            start = None


def check_text(path, text):
    """Yields (line number, complaint) for one file."""
    if "SPDX-License-Identifier: Apache-2.0" not in text[:4000]:
        yield 1, "no SPDX line in the head comment"
    if path.endswith(".h") and "#pragma once" not in text:
        yield 1, "no #pragma once"
    for number, line in enumerate(text.split("\n"), 1):
        if re.search(UNNUMBERED, line):
            yield number, "work left to do has an issue's number"
    code = without_comments(text)
    for number, line in enumerate(code.split("\n"), 1):
        complaint = check_include(path, line)
        if complaint:
            yield number, complaint
        match = re.search(FORBIDDEN, re.sub(r'"(?:\\.|[^"\\])*"', '""', line))
        if match and not path.startswith("tools/"):
            yield number, f"{match.group(1)}() is not used here"
        if re.search(CREATING, line) and path not in CREATORS and not path.startswith("tools/"):
            yield number, "creates a file; see CREATORS in tests/layers.py"
    yield from check_functions(code)


def check_length(path, text):
    """Of every text in the house, tests and tools too."""
    length = text.count("\n")
    if length > MAX_LINES and path not in WRITTEN | BEING_SPLIT and not path.endswith(".tsv"):
        yield length, f"{length} lines; {MAX_LINES} are allowed"


def house(root):
    """Every file that somebody reads, beneath the folders of the house."""
    for layer in HOUSE:
        for path in sorted((root / layer).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                try:
                    yield str(path.relative_to(root)), path.read_text()
                except UnicodeDecodeError:
                    pass  # not a text


HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n"
BREAKS = (
    ("core/a.c", "int a;\n", "no SPDX line"),
    ("core/a.h", HEAD, "no #pragma once"),
    ("core/a.c", HEAD + "#include <pthread.h>\n", "core/ is pure"),
    ("core/a.c", HEAD + "#include <stdatomic.h>\n", "belongs to slab"),
    ("core/a.c", HEAD + '#include "storage/ioq.h"\n', "core/ may not include"),
    ("conf/a.c", HEAD + '#include "core/uid.h"\n', "conf/ may not include"),
    ("storage/a.c", HEAD + "#include <uv.h>\n", "uv.h may be included in"),
    ("storage/a.c", HEAD + '#include "server/log.h"\n', "storage/ may not include"),
    ("storage/ioq.c", HEAD + "#include <lmdb.h>\n", "lmdb.h may be included in"),
    ("server/conn.c", HEAD + '#include "conf/conf.h"\n', "server/ may not include"),
    ("server/conn.c", HEAD + '#include "storage/store_fs_int.h"\n', "is an inside"),
    ("server/conn.c", HEAD + "#include <dcmtk/dcmdata/dctk.h>\n", "dcmtk"),
    ("storage/text.c", HEAD + "#include <iconv.h>\n", "iconv.h may be included in"),
    ("storage/text.c", HEAD + "#include <utf8proc.h>\n", "utf8proc.h may be included in"),
    ("server/conn.c", HEAD + "#include <Vendor/lib.hpp>\n", "nobody has said"),
    ("server/conn.c", HEAD + "\treturn system(x);\n", "system() is not used"),
    ("server/conn.c", HEAD + "\tint fd = open(p, O_WRONLY | O_CREAT, 0640);\n", "creates a file"),
    ("server/conn.c", HEAD + '\tFILE *f = fopen(p, "we");\n', "creates a file"),
    ("core/a.c", HEAD + "/* TO" + "DO: later */\n", "has an issue's number"),
    ("core/a.c", HEAD + "int f(void)\n{\n" + "\tg();\n" * 61 + "}\n", "61 lines"),
    ("core/a.c", HEAD + "\n" * 500, "501 lines"),
    ("tests/net/test_a.py", "\n" * 501, "501 lines"),
)
FINE = (
    ("core/slab.c", HEAD + "#include <stdatomic.h>\n"),
    ("server/main.c", HEAD + '#include "conf/conf.h"\n'),
    ("server/a.c", HEAD + '\tputs("file system (x)");\n'),
    ("server/a.c", HEAD + "#include <sys/socket.h>\n#include <uv.h>\n/* system() and O_CREAT in words */\n"),
    ("core/a.c", HEAD + "int f(void)\n{\n" + "\tg();\n" * 60 + "}\n"),
    ("core/a.c", HEAD + "\n" * 499),
    ("conf/sluice.toml", "\n" * 501),
)


def all_rules(path, text):
    """What holds for this file: a source of a layer, or another one of the house."""
    if path.split("/")[0] in LAYERS and path.endswith(SOURCES):
        yield from check_text(path, text)
    yield from check_length(path, text)


def try_rules():
    """Every rule on a text that breaks it, and none on texts that do not."""
    for path, text, want in BREAKS:
        found = [complaint for _, complaint in all_rules(path, text)]
        if not any(want in complaint for complaint in found):
            yield f"tests/layers.py: no rule says '{want}' of {path}: {found}"
    for path, text in FINE:
        for _, complaint in all_rules(path, text):
            yield f"tests/layers.py: a good {path} is refused: {complaint}"


def check_headers_alone(root, build):
    compiler = shutil.which("cc")
    for header in sorted(h for layer in LAYERS for h in (root / layer).glob("*.h")):
        run = subprocess.run([compiler, "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
                              "-fsyntax-only", f"-I{root}", f"-I{build}/gen", "-xc", "-include", str(header),
                              "/dev/null"], capture_output=True, text=True, check=False)
        if run.returncode != 0:
            yield f"{header.relative_to(root)}: does not compile alone: {run.stderr.splitlines()[0]}"


def symbols(library):
    """(object file, type, name, section) of what a library defines and refers to."""
    out = subprocess.run(["nm", "-A", "-f", "sysv", str(library)], capture_output=True, text=True, check=True)
    for line in out.stdout.splitlines():
        fields = [f.strip() for f in line.split("|")]
        if len(fields) >= 7:
            origin, _, name = fields[0].rpartition(":")
            yield origin.rsplit(":", 1)[-1], fields[2], name, fields[6]


def check_objects(build):
    for layer in ("core", "conf", "storage", "server"):
        library = build / f"libsl_{layer}.a"
        if not library.exists():
            continue
        rows = list(symbols(library))
        is_sanitized = any(re.match(r"__(asan|tsan|gcov)", name) for _, _, name, _ in rows)
        for origin, kind, name, section in rows:
            if layer == "core" and kind == "U" and name not in CORE_SYMBOLS \
                    and not re.fullmatch(COMPILER_SYMBOLS, name):
                yield f"core/{origin}: refers to {name}; core/ is pure"
            if kind == "U" and re.fullmatch(r"system|popen|exec[vl]\w*", name):
                yield f"{layer}/{origin}: refers to {name}"
            is_mutable = re.fullmatch(r"\.(data|bss)(\.[^r]\S*)?", section) and kind.upper() in "DB"
            if is_mutable and not is_sanitized and not origin.endswith(".cc.o") \
                    and (layer, origin, name) not in GLOBALS:
                yield f"{layer}/{origin}: {name} is a mutable global"


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    build = pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else root / "build"
    complaints = list(try_rules())
    files = sorted(f for layer in LAYERS for f in (root / layer).glob("*") if f.suffix in SOURCES)
    for file in files:
        path = str(file.relative_to(root))
        complaints += [f"{path}:{n}: {c}" for n, c in check_text(path, file.read_text())]
    for path, text in house(root):
        complaints += [f"{path}:{n}: {c}" for n, c in check_length(path, text)]
    complaints += check_headers_alone(root, build)
    complaints += check_objects(build)
    for complaint in complaints:
        print(complaint)
    print(f"{len(files)} files, {len(complaints)} complaints")
    return 1 if complaints or not files else 0


if __name__ == "__main__":
    sys.exit(main())
