"""What one stored object costs (DESIGN, promise 2): payload is not copied, sealed threads allocate nothing,
and the system calls are these and no others. Counted from outside: by an interposed library on a daemon
whose every copy is a call, and by strace.

Copies that remain, and are allowed for:
  - the daemon's own: the command set into the assembler, the values of the elements that are indexed or
    judged, headers that a PDU border cuts: some 1.5 KiB an object whatever its size;
  - libxxhash's: what is left of each fragment below a block of 256 bytes waits in the digest's state.
SPDX-License-Identifier: Apache-2.0
"""
import os
import time

import pytest

from bench import IS_FULL, at_rest, bench, bought, mib
from load import CONTEXTS, CT_CLASS, make
from node import WAIT_S
from rawscu import RawSCU, p_data_pdus
from counts import COUNTED, Counts, Trace, counted_node, thread_names, traced_node

OWN_BYTES = 2048      # copied by the daemon for one object: commands, elements
DIGEST_BYTES = 256    # copied by libxxhash for one fragment or read
SLICE = 512 << 10     # pixels of one CT slice
OWN_NAME = ("openat spool O_TMPFILE", "pwritev object", "fdatasync object", "linkat into spool", "close object")
AHEAD = ("pwritev object", "fdatasync object", "close object")
STOCK = 128  # storage.names_ahead
FOR_MEMORY = ("mmap", "munmap", "mremap", "brk", "madvise", "mprotect")

# A sanitizer allocates and maps for itself, and its leak check cannot run under strace.
pytestmark = pytest.mark.skipif(not os.path.exists(COUNTED), reason="sanitized builds are not counted")


@pytest.fixture
def say(capsys):
    def say(text):
        with capsys.disabled():
            print(f"\n  counts: {text}", end=" ")
    return say


def count(path, objects, *how):
    """The counters of that many objects, sent when everything has been touched once."""
    with counted_node(path) as node:
        bench(node, "-m", 16, *how)
        at_rest(node)
        before = Counts.read(path)
        bench(node, "-m", objects, *how)
        at_rest(node)
        counts = Counts.read(path) - before
        # Blind, it would see nothing: the threads are marked and the commands' copies are seen.
        assert Counts.read(path)["sealed_threads"] >= 4 and counts["own_copies"] >= objects
        return counts


def assert_counts(counts, objects, fragments):
    assert counts["allocs"] == counts["sealed_maps"] == counts["maps"] == 0
    assert counts["own_payload"] == counts["library_payload"] == 0, "a copy as long as payload alone is"
    assert counts["own_bytes"] <= objects * OWN_BYTES
    assert counts["library_bytes"] <= objects * fragments * 2 * DIGEST_BYTES
    assert counts["library_longest"] <= DIGEST_BYTES


@pytest.mark.parametrize("how, objects, fragments", [
    pytest.param("-p 128KiB", 50, 4 + 4, id="slices_at_128KiB_PDUs"),
    pytest.param("-p 16KiB", 50, 33 + 4, id="slices_at_16KiB_PDUs"),
    pytest.param("-p 16KiB -n 8", 80, 33 + 4, id="slices_of_8_associations"),
    pytest.param("-p 16KiB -o mf:10MiB", 10, 641 + 40, id="streamed_objects"),
    pytest.param("-o mr:24KB -r 40KB -n 8", 16, 100, id="slow_senders"),
])
def test_copies_and_allocations(tmp_path, say, how, objects, fragments):
    counts = count(tmp_path / "count", objects, *how.split())
    say(f"{how}: for one object {counts['allocs'] / objects:g} allocations, {counts['maps'] / objects:g} maps, "
        f"{counts['own_payload'] / objects:g} copies of payload; {counts['own_bytes'] / objects:.0f} bytes of "
        f"commands and elements in {counts['own_copies'] / objects:.0f} copies (longest "
        f"{counts['own_longest']}), {counts['library_bytes'] / objects:.0f} in the digest's state")
    assert_counts(counts, objects, fragments)


def test_five_scans_through_one_pool(tmp_path, say):
    """The example of the pool that this one is after: 5 scans of 600 slices of 512 KiB."""
    slices = 600 if IS_FULL else 60
    path = tmp_path / "count"
    with counted_node(path) as node:
        bench(node, "-m", 16)
        at_rest(node)
        before, memory = Counts.read(path), bought(node.pid)
        for _ in range(5):
            bench(node, "-m", slices)
        line = at_rest(node)
        counts = Counts.read(path) - before
        say(f"5 scans of {slices} slices: {counts['allocs']} allocations, {counts['maps']} maps, memory "
            f"{mib(bought(node.pid) - memory)} more, at most {line['peak']} buffers at a time")
        assert_counts(counts, 5 * slices, 8)
        assert line["pool"] == "0/64"


def trace(path, objects, *how, send=bench, **settings):
    """The calls of one association with that many objects, settled into archive and index; how many of
    which kind for each kind of thread."""
    with traced_node(path, **settings) as node:
        bench(node, "-m", 4, *how)
        at_rest(node)
        send(node, "-m", objects, *how)
        at_rest(node)
        names = thread_names(node.pid)
        bench(node, "-m", 0)  # the trace is read up to this connection
        assert node.stop() == 0
        return Trace(path, node.root, names, 2)


def assert_nothing_for_memory(calls):
    for thread in ("loop", "ioq", "dirsync", "berths"):
        assert not [call for call in calls.get(thread, ()) if call.split()[0] in FOR_MEMORY], thread


@pytest.mark.parametrize("pdu, fragments", [("128KiB", 5), ("16KiB", 33)])
def test_system_calls_of_a_slice(tmp_path, say, pdu, fragments):
    n = 40
    traced = trace(tmp_path / "trace", n, "-p", pdu)
    say(f"system calls for one object of 512 KiB at PDUs of {pdu}, one association of {n}:\n"
        f"{traced.table(n)}")
    loop, ioq, indexer = (traced.calls[t] for t in ("loop", "ioq", "indexer"))
    for call in AHEAD:
        assert ioq[call] == n, call
    assert set(ioq) - set(AHEAD) <= {"write eventfd", "futex wait", "futex wake"}
    # Half of the stock is left: nothing is made, nothing synced while these objects come.
    assert not traced.calls.get("dirsync") and not traced.calls.get("berths")
    assert ioq["write eventfd"] <= n  # the answer's; a released part wakes nobody
    assert loop["write socket"] == n + 2  # and the answers to association and release
    assert loop["read socket"] <= n * (fragments + 3) + 8
    assert loop["read eventfd"] <= n + 8
    assert indexer["linkat spool"] == indexer["unlinkat spool"] == n
    assert indexer["fdatasync index/..."] <= n
    assert_nothing_for_memory(traced.calls)


def test_names_are_made_ahead_by_the_dozen(tmp_path, say):
    """Beyond half of the stock: for each 64 objects 64 names, one look at the inodes and one fsync."""
    n = 4 * STOCK
    traced = trace(tmp_path / "trace", n, "-o", "mr")
    berths, dirsync = traced.calls["berths"], traced.calls["dirsync"]
    say(f"names made ahead, for {n} objects:\n{traced.table(n)}")
    made = berths["openat spool"]
    assert n - STOCK <= made <= n + STOCK
    assert dirsync["fsync spool"] <= n / (STOCK / 4)  # some come while names are being made
    assert "linkat into spool" not in traced.calls["ioq"]
    assert_nothing_for_memory(traced.calls)


def test_system_calls_where_no_names_are_made_ahead(tmp_path, say):
    n = 40
    traced = trace(tmp_path / "trace", n, storage__names_ahead="0")
    say(f"system calls for one object of 512 KiB that makes its own name:\n{traced.table(n)}")
    ioq, dirsync = traced.calls["ioq"], traced.calls["dirsync"]
    for call in OWN_NAME:
        assert ioq[call] == n, call
    # One association has one object on its way to the disk: nobody to share with.
    assert dirsync["fsync spool"] == n
    assert set(ioq) - set(OWN_NAME) <= {"write eventfd", "futex wait", "futex wake"}
    assert set(dirsync) <= {"fsync spool", "write eventfd", "futex wait", "futex wake"}
    assert_nothing_for_memory(traced.calls)


def unread(port, peer):
    """Bytes on their way from a peer's socket to the node: not yet taken by its kernel, or not yet read."""
    total = 0
    with open("/proc/net/tcp", encoding="ascii") as table:
        for row in list(table)[1:]:
            local, remote, _, queues = row.split()[1:5]
            ends = [int(end.rpartition(":")[2], 16) for end in (local, remote)]
            sending, received = (int(n, 16) for n in queues.split(":"))
            if ends == [peer, port]:
                total += sending
            elif ends == [port, peer]:
                total += received
    return total


def wait_until(is_so):
    until = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < until, "the node does not read"
        time.sleep(0.0005)


def trickle(node, *_):
    """Four objects of 24 KB, 4 KB at a time, each when the node has read what came before and a pause is
    over: nothing ever waits in its kernel, and its 8 KiB take longer to fill than SL_INTAKE_FAST_MS,
    however slow the machine is."""
    with RawSCU("127.0.0.1", node.port) as scu:
        scu.associate(CONTEXTS)
        peer, pcid = scu.sock.getsockname()[1], scu.find_context(CT_CLASS)
        for number in range(4):
            made = make(f"1.2.826.0.1.77.{number}", 24000)
            scu.send_command(pcid, scu.store_rq(CT_CLASS, made.uid))
            for piece in p_data_pdus(pcid, False, made.data, 4000):
                time.sleep(0.11)
                scu.send(piece)
                wait_until(lambda: unread(node.port, peer) == 0)
            assert scu.recv_response().status == 0
        scu.release()


@pytest.mark.parametrize("send, how, n", [
    pytest.param(bench, "-o mf:10MiB", 4, id="a_streamed_object"),
    pytest.param(trickle, "-o mr:24KB", 4, id="a_slow_sender"),
])
def test_system_calls_of_other_ways(tmp_path, say, send, how, n):
    traced = trace(tmp_path / "trace", n, *how.split(), send=send)
    say(f"system calls for one object of {how}, {send.__name__}:\n{traced.table(n)}")
    ioq = traced.calls["ioq"]
    for call in set(OWN_NAME) - {"pwritev object"}:
        assert ioq[call] == n, call
    assert ioq["pwritev object"] > n and traced.calls["loop"]["write socket"] == n + 2
    assert_nothing_for_memory(traced.calls)


def test_the_folders_fsync_is_shared(tmp_path, say):
    n = 160
    traced = trace_of_many(tmp_path / "trace", n)
    syncs = traced["dirsync"]["fsync spool"]
    say(f"16 associations: {syncs / n:.2f} fsyncs of spool/ for one object")
    assert syncs < n and traced["ioq"]["fdatasync object"] == n


def trace_of_many(path, objects):
    with traced_node(path, storage__names_ahead="0") as node:
        bench(node, "-n", 16, "-m", objects, "-o", "mr")
        at_rest(node)
        names = thread_names(node.pid)
        assert node.stop() == 0
        return Trace(path, node.root, names, None).calls
