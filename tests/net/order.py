"""The order in which a daemon made its promises durable, checked on a trace of tests/support/io_preload.c.

Each call has a number taken before it and one taken after it. "a before b" is: a had returned when b
began. The rules, from DESIGN 2; each function yields sentences about what breaks it:

    answered   before a C-STORE-RSP with status 0000 is written: the object's last byte is written before
               its file gets its name in spool/ (unless that was made ahead, as a berth: then the first byte
               is written after an fsync of spool/ that began when the name was there) and before an fdatasync
               of it begins; that, and an fsync of spool/ that begins after the name was made, succeed before
               the response begins
    unspooled  before a name leaves spool/: the object's index row is committed (pages written and synced,
               then the meta page) after the spool name was durable; then it gets its archive name; an
               fsync of that folder begins after that; every folder made on the way has had its parent
               synced. And nothing leaves spool/ that has no archive name.

An object is known by its inode; the response names it by SOP Instance UID, and its file in archive/ says
which inode that is.
SPDX-License-Identifier: Apache-2.0
"""
import os
import struct
from collections import defaultdict
from dataclasses import dataclass

from rawscu import P_DATA, parse_command, uid_text, us

C_STORE_RSP = 0x8001
WRITES = ("pwritev", "pwrite", "write", "writev")
SAYS = ("write", "writev", "send", "sendmsg")


@dataclass
class Call:
    begin: int
    end: int
    thread: int
    how: str
    name: str
    result: int
    errno: int
    inode: int
    path: str
    detail: str

    @property
    def folder(self):
        return self.path.rpartition("/")[0]

    @property
    def is_ok(self):
        return self.result >= 0


@dataclass
class Answer:
    """A C-STORE-RSP. begin: of the write that began it."""
    begin: int
    uid: str
    status: int


def read_trace(path):
    """The calls, in the order in which they began. A last line cut by a kill is passed over."""
    calls = []
    with open(path, encoding="utf-8", errors="surrogateescape") as trace:
        for line in trace:
            fields = line.rstrip("\n").split("\t")
            if not line.endswith("\n") or len(fields) != 10:
                continue
            begin, end, thread, how, name, result, errno, inode, where, detail = fields
            calls.append(Call(int(begin), int(end), int(thread), how, name, int(result), int(errno),
                              int(inode), where, detail))
    return sorted(calls, key=lambda call: call.begin)


class _Stream:
    """What one socket was told: PDUs, with the write that began each."""

    def __init__(self):
        self.data = b""
        self.marks = []  # (offset in data, begin of the write)

    def add(self, begin, said):
        self.marks.append((len(self.data), begin))
        self.data += said

    def began(self, offset):
        return max(begin for at, begin in self.marks if at <= offset)

    def answers(self):
        at, command = 0, b""
        while at + 6 <= len(self.data):
            kind, _, length = struct.unpack_from(">BBI", self.data, at)
            pdv, end = at + 6, at + 6 + length
            while kind == P_DATA and pdv + 6 <= end:
                n, _, header = struct.unpack_from(">IBB", self.data, pdv)
                command += self.data[pdv + 6:pdv + 4 + n] if header & 1 else b""
                if header == 3:
                    yield from self._answer(parse_command(command), at)
                    command = b""
                pdv += 4 + n
            at = end

    def _answer(self, command, at):
        if us(command, 0x0100) == C_STORE_RSP:
            yield Answer(self.began(at), uid_text(command.get(0x1000, b"")), us(command, 0x0900, 0xFFFF))


def answers_in(writes):
    """Answers that a socket was told by [(begin, bytes)]."""
    stream = _Stream()
    for begin, said in writes:
        stream.add(begin, said)
    return list(stream.answers())


class Trace:
    """The calls of one run, sorted by what they are about."""

    def __init__(self, calls, root):
        self.root = str(root)
        self.calls = calls
        self.writes, self.syncs = defaultdict(list), defaultdict(list)   # inode -> calls
        self.folder_syncs, self.made = defaultdict(list), {}             # path -> calls; path -> call
        self.spool_links, self.archive_links = {}, {}                    # inode -> call that named it
        self.berths = set()                                              # inodes that were named ahead
        self.unspools, self.commits, self.uids = [], [], {}
        streams = defaultdict(_Stream)
        for call in calls:
            if call.path.startswith("socket:"):
                if call.name in SAYS and call.result > 0:
                    said = bytes.fromhex(call.detail)
                    assert len(said) == call.result, "the trace holds only a part of what a socket was told"
                    streams[call.inode].add(call.begin, said)
            elif call.is_ok:
                self._sort(call)
        self.answers = sorted((a for s in streams.values() for a in s.answers()), key=lambda a: a.begin)

    def _sort(self, call):
        if call.name == "openat" and call.inode:
            self._open(call)
        elif call.name in WRITES:
            self.writes[call.inode].append(call)
        elif call.name == "fdatasync":
            self.syncs[call.inode].append(call)
        elif call.name == "fsync":
            self.folder_syncs[call.path].append(call)
        elif call.name == "mkdirat":
            self.made[call.path] = call
        elif not (call.detail if call.name == "linkat" else call.path).endswith((".dcm", ".berth")):
            return  # ".probe" of the start
        elif call.name == "linkat" and call.detail.startswith(self.root + "/spool/"):
            self.spool_links[call.inode] = call
        elif call.name == "linkat" and call.detail.startswith(self.root + "/archive/"):
            self.archive_links[call.inode] = call
            self.uids[call.detail.rpartition("/")[2].removesuffix(".dcm")] = call.inode
        elif call.name == "unlinkat" and call.folder == self.root + "/spool" and \
                (call.inode not in self.berths or self.writes[call.inode]):  # else it was in stock
            self.unspools.append(call)

    def _open(self, call):
        """A new file: what an earlier one of that number did is not its own. Named ones are kept."""
        is_new = int(call.detail, 16) & os.O_CREAT and call.path.endswith(".berth")
        if is_new or call.inode not in self.spool_links:
            self.writes.pop(call.inode, None)
            self.syncs.pop(call.inode, None)
        if is_new:
            self.spool_links[call.inode] = call
            self.berths.add(call.inode)

    def is_named(self, link, before):
        """The name is durable when `before` begins."""
        return _between(self.folder_syncs[self.root + "/spool"], link.end, before) is not None

    def learn_names(self):
        """Of objects that a later run has moved: which inode has which UID's name in archive/ now."""
        for folder, _, files in os.walk(self.root + "/archive"):
            for name in files:
                inode = os.stat(os.path.join(folder, name)).st_ino
                self.uids.setdefault(name.removesuffix(".dcm"), inode)

    def index_inodes(self):
        return {call.inode for call in self.calls if call.path == self.root + "/index/data.mdb"}


def _between(calls, after, before):
    """A successful one that began after `after` and was over before `before`."""
    return next((c for c in calls if c.is_ok and c.begin > after and c.end < before), None)


def answered(trace):
    """0000 means stored: see above."""
    for answer in trace.answers:
        if answer.status != 0:
            continue
        inode = trace.uids.get(answer.uid)
        link = trace.spool_links.get(inode)
        if link is None or link.end > answer.begin:
            yield f"{answer.uid}: answered before it had a name in spool/"
            continue
        written = max((c.end for c in trace.writes[inode]), default=None)
        if written is None:
            yield f"{answer.uid}: answered, but its file was never written"
        elif inode not in trace.berths and written > link.begin:
            yield f"{answer.uid}: it had a name in spool/ before its last byte"
        elif inode in trace.berths and not trace.is_named(link, min(c.begin for c in trace.writes[inode])):
            yield f"{answer.uid}: it was written before the name made ahead was durable"
        elif _between(trace.syncs[inode], written, answer.begin) is None:
            yield f"{answer.uid}: no fdatasync of its file between its last byte and its answer"
        if not trace.is_named(link, answer.begin):
            yield f"{answer.uid}: no fsync of spool/ began after its name and ended before its answer"


def _commits(trace):
    """[(begin of the fdatasync, end of the meta page's write)]: pages 0 and 1 are LMDB's meta pages."""
    commits, synced = [], None
    index = trace.index_inodes()
    for call in trace.calls:
        if call.inode not in index or not call.is_ok:
            continue
        if call.name == "fdatasync":
            synced = call
        elif call.name == "pwrite" and int(call.detail.partition("+")[0]) < 2 * 4096:
            if synced is not None and synced.end < call.begin:
                commits.append((synced.begin, call.end))
            synced = None
    return commits


def _folders_above(trace, path):
    """Folders between archive/ and the file."""
    stop = trace.root + "/archive"
    path = path.rpartition("/")[0]
    while len(path) > len(stop):
        yield path
        path = path.rpartition("/")[0]


def unspooled(trace):
    """A name leaves spool/ only when the other one is durable: see above."""
    commits = _commits(trace)
    for gone in trace.unspools:
        name = gone.path.rpartition("/")[2]
        link, spooled = trace.archive_links.get(gone.inode), trace.spool_links.get(gone.inode)
        if link is None or link.end > gone.begin:
            yield f"{name}: left spool/ before it had a name in archive/"
            continue
        folder = link.detail.rpartition("/")[0]
        if _between(trace.folder_syncs[folder], link.end, gone.begin) is None:
            yield f"{name}: left spool/ without an fsync of its series folder after its link"
        for made in (trace.made.get(path) for path in _folders_above(trace, link.detail)):
            if made and _between(trace.folder_syncs[made.folder], made.end, gone.begin) is None:
                yield f"{name}: left spool/ though the parent of {made.path} was not synced"
        named = _between(trace.folder_syncs[trace.root + "/spool"], spooled.end, link.begin) \
            if spooled else None
        if spooled and not any(named and begin > named.end and end < link.begin for begin, end in commits):
            yield f"{name}: no commit of the index between its durable spool name and its archive name"


RULES = (answered, unspooled)


def check(trace):
    """All complaints."""
    return [complaint for rule in RULES for complaint in rule(trace)]


def figures(trace):
    """What was looked at, so that a trace of nothing cannot pass for a good one."""
    return {"answers": sum(a.status == 0 for a in trace.answers),
            "objects": sum(bool(trace.writes[inode]) for inode in trace.spool_links),
            "unspooled": len(trace.unspools), "berths": sum(bool(trace.writes[inode]) for inode in trace.berths),
            "spool_fsyncs": len(trace.folder_syncs[trace.root + "/spool"]),
            "commits": len(_commits(trace))}
