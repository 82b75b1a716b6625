"""What one stored object costs a node: copies and allocations as tests/support/count_preload.c counts
them, system calls as strace sees them.

SPDX-License-Identifier: Apache-2.0
"""
import mmap
import os
import re
import struct
from collections import Counter

from kept import BUILD
from node import Node

COUNTED = os.path.join(BUILD, "tests", "sluiced_counted")
PRELOAD = os.path.join(BUILD, "tests", "count_preload.so")
BUFFERS, BUFFER_SIZE, ASSOCIATIONS, AREAS, AREA = 64, 1 << 20, 16, 3, 8 << 10
NAMES = ("sealed_threads", "allocs", "alloc_bytes", "sealed_maps", "maps",
         "own_copies", "own_bytes", "own_longest", "own_payload",
         "library_copies", "library_bytes", "library_longest", "library_payload")  # enum counter


class Counts(dict):
    """The counters now. Counts minus Counts is what came between (but of *_longest, which stay)."""

    def __init__(self, values):
        super().__init__(zip(NAMES, values))

    @classmethod
    def read(cls, path):
        with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as m:
            return cls(struct.unpack_from(f"<{len(NAMES)}Q", m))

    def __sub__(self, before):
        return Counts(self[n] if n.endswith("longest") else self[n] - before[n] for n in NAMES)


def counted_node(path, **settings):
    """A node that counts into a file. The receive memory is given without the areas of the slots beyond
    max_associations, which a few associations never reach."""
    pool = BUFFERS * BUFFER_SIZE + ASSOCIATIONS * AREAS * AREA
    env = {"LD_PRELOAD": PRELOAD, "SLUICE_COUNT": str(path), "SLUICE_COUNT_POOL": str(pool)}
    return Node(program=COUNTED, env=env, pool__buffers=BUFFERS, pool__buffer_size=BUFFER_SIZE,
                dicom__max_associations=ASSOCIATIONS, log__heartbeat="200ms", **settings)


def traced_node(path, **settings):
    """A node under strace, which writes to a file and does not stand between it and its signals."""
    return Node(wrapper=["strace", "-D", "-f", "-y", "-qq", "-o", str(path)], log__heartbeat="200ms",
                **settings)


def thread_names(pid):
    """{thread id: name}; the threads of one kind share a name."""
    names = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm") as comm:
            name = comm.read().strip()
        names[int(tid)] = re.sub(r"-\d+$", "", name.removeprefix("sl-"))
    return names


_CALL = re.compile(r"^(\d+) +(\w+)\((.*)")
_FD = re.compile(r"^(?:-?\d+|AT_FDCWD)<([^>]*)>")


def _kind(root, args):
    """What a call's first descriptor is: socket, eventfd, spool, archive, index, object (an unnamed
    file, or one in spool/), ..."""
    found = _FD.match(args)
    if not found:
        return ""
    path = found.group(1)
    if path.startswith(("socket:", "TCP:", "UNIX:")):
        return "socket"
    if path.startswith("anon_inode:"):
        return path.removeprefix("anon_inode:").strip("[]")
    if not path.startswith(root):
        return os.path.basename(path)
    path = path[len(root):].strip("/")
    if path.startswith("spool/"):
        return "object"
    return path.split("/")[0] + ("/..." if "/" in path else "")


def _described(root, call, args):
    kind = _kind(root, args)
    if call == "openat" and "O_TMPFILE" in args:
        return "openat spool O_TMPFILE"
    if call == "linkat" and "/proc/self/fd" in args:
        return "linkat into spool"
    if call == "futex":
        return "futex wait" if "WAIT" in args else "futex wake"
    return f"{call} {kind}".strip()


class Trace:
    """A trace of strace -f -y, from the `first`-th accepted connection up to the next, or all of it.
    .calls: {thread kind: Counter of described calls}."""

    def __init__(self, path, root, names, first):
        self.calls = {}
        accepted = 0
        with open(path, errors="backslashreplace") as lines:
            for line in lines:
                found = _CALL.match(line)
                if not found:
                    continue
                tid, call, args = int(found.group(1)), found.group(2), found.group(3)
                if call == "accept4" and "EAGAIN" not in args:
                    accepted += 1
                if first in (None, accepted) and tid in names:
                    kind = self.calls.setdefault(names[tid], Counter())
                    kind[_described(root, call, args)] += 1

    def table(self, objects):
        """Lines: calls of each thread kind for one object."""
        out = []
        for thread in sorted(self.calls):
            calls = ", ".join(f"{name} {n / objects:.2f}".removesuffix(".00")
                              for name, n in sorted(self.calls[thread].items(), key=lambda c: -c[1]))
            out.append(f"    {thread:8} {sum(self.calls[thread].values()) / objects:5.1f}  {calls}")
        return "\n".join(out)
