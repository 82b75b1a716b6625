"""The disk fills: never a wrong 0000, refusals are A700 with a reason, associations live through them,
C-ECHO works, and the node accepts again by itself when space returns. On file systems of our own
(loopdisk.py), filled by our senders, by somebody else, and in inodes; then the quota and the index' map.
SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import threading
import time
from datetime import datetime

import fulldisk
import order
from load import CONTEXTS, CT_CLASS, Made, Sender, element, join, make, send_by, statuses
from loopdisk import LoopDisk, needs_loop
from node import WAIT_S, Node
from oracle import judge, sent_of
from preload import preload
from rawscu import Ledger, RawSCU

MIB = 1 << 20
STUDY = "1.2.826.0.1.99"
REFUSED = 0xA700
FILL_S = float(os.environ.get("SLUICE_FILL_S", "15"))  # of the fill that is forecast


class Filler:
    """Makes objects until `refusals` of them were refused; remembers what was sent."""

    def __init__(self, folder, size, refusals=3):
        self.size, self.refusals = size, refusals
        self.path = os.path.join(folder, "ledger")
        self.ledger, self.made, self.lock, self.number = Ledger(self.path), [], threading.Lock(), 0
        self.first_refusal = None  # time.time()
        self.late_s = 0.0          # the most that an object began after its time

    def next(self):
        with self.lock:
            self.number += 1
            made = make(f"{STUDY}.{self.number}", self.size, f"{STUDY}.1{self.number % 4}")
            self.made.append(made)
            return made

    def sender(self, port, number, pause_s=0):
        """pause_s: between the beginnings of two objects, as a camera does; each sender has its own phase."""
        sender = Sender(port, (), self.ledger, f"FULL{number}", on_sent=self._told)

        def objects():
            begun = time.monotonic() + pause_s * (number % 64) / 64
            while sum(s.status != 0 for s in sender.sent) < self.refusals:
                time.sleep(max(begun - time.monotonic(), 0))
                self.late_s = max(self.late_s, time.monotonic() - begun) if pause_s > 0 else 0
                yield self.next()
                begun += pause_s
        sender.objects = objects()
        return sender

    def _told(self, sent):
        if sent.status != 0 and self.first_refusal is None:
            self.first_refusal = time.time()

    def fill(self, port, senders, pause_s=0):
        return join([_started(self.sender(port, i, pause_s)) for i in range(senders)])


def _started(thread):
    thread.start()
    return thread


def insist(port, filler):
    """Sends until one is accepted: the node heals by itself, in its own time. The number of tries."""
    with RawSCU("127.0.0.1", port) as scu:
        scu.associate(CONTEXTS)
        until = time.monotonic() + WAIT_S
        for tries in range(1, 1 << 30):
            made = filler.next()
            response = scu.cstore(made.data, CT_CLASS, made.uid)
            assert response.status in (0, REFUSED)
            if response.status == 0:
                return tries
            assert time.monotonic() < until, "refuses for ever"
            time.sleep(0.02)
    raise AssertionError


def echo(port):
    with RawSCU("127.0.0.1", port) as scu:
        scu.associate(CONTEXTS)
        return scu.echo().status


def check_refusals(senders, text):
    """Every association lived to its release; every refusal says why."""
    assert {sender.end for sender in senders} == {"released"}
    assert set(statuses(senders)) == {0, REFUSED}, statuses(senders)
    assert {s.comment for sender in senders for s in sender.sent if s.status != 0} == {text}


def restart_and_judge(root, filler, **settings):
    with Node(root=root, **settings) as node:
        assert node.stop() == 0, node.log()
    verdict = judge(root, filler.path, sent_of(filler.made))
    assert verdict.is_good, verdict
    return verdict


def seconds(text):
    """full_in: "1m05s", "2h10m", "3d"; None = "-"."""
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(int(n) * units[u] for n, u in re.findall(r"(\d+)([dhms])", text)) if text != "-" else None


def forecasts(node, began, ended):
    """[(share of the time that had passed, error of the forecast as a share of all of it)]."""
    out = []
    for line in node.find("status"):
        at, left = datetime.fromisoformat(line.time).timestamp(), seconds(line["full_in"])
        if began < at < ended and left is not None:
            out.append(((at - began) / (ended - began), (at + left - ended) / (ended - began)))
    return out


@needs_loop
def test_filled_by_64_senders_at_once(tmp_path, capsys):
    filler = Filler(tmp_path, 512 * 1024)
    with LoopDisk("256M") as disk, Node(root=disk.path("root"), log__heartbeat="250ms") as node:
        ballast = disk.ballast("ballast", 60 * MIB)
        senders = filler.fill(node.port, 64)
        check_refusals(senders, "Storage is full; send again later")
        assert disk.available() > 0
        assert node.wait_line("status", state="refusing")["refusing"] == "disk"
        assert echo(node.port) == 0
        os.unlink(ballast)
        tries = insist(node.port, filler)
        assert node.stop() == 0, node.log()
        verdict = restart_and_judge(node.root, filler)
        with capsys.disabled():
            print(f"\n  full disk: {statuses(senders)}; accepted again at try {tries}; {verdict}", end=" ")


def steady_fill(folder):
    """Fills a disk at a steady pace. (filler, senders, seconds it took, forecasts, verdict on the store)"""
    filler = Filler(folder, 512 * 1024, refusals=1)
    with LoopDisk("256M") as disk, Node(root=disk.path("root"), log__heartbeat="500ms") as node:
        began = time.time()
        senders = filler.fill(node.port, 64, pause_s=FILL_S * 64 / 450)
        found = [(share, error) for share, error in forecasts(node, began, filler.first_refusal)
                 if share > 0.33]
        assert node.stop() == 0, node.log()
        verdict = restart_and_judge(node.root, filler)
    return filler, senders, filler.first_refusal - began, found, verdict


@needs_loop
def test_the_forecast_of_a_steady_fill_by_64_senders(tmp_path, capsys):
    """Within 15 % of the time the filling took, from a third of it on. A machine too busy to send at a
    steady pace shows nothing about forecasts: filled anew."""
    for attempt in range(4):
        os.mkdir(tmp_path / str(attempt))
        filler, senders, took, found, verdict = steady_fill(tmp_path / str(attempt))
        is_good = len(found) >= 5 and all(abs(error) <= 0.15 for _, error in found)
        if is_good or filler.late_s < FILL_S / 30:
            break
    with capsys.disabled():
        print(f"\n  forecast: filled in {took:.1f} s, errors "
              f"{['%+.1f %%' % (100 * e) for _, e in found]}; {statuses(senders)}; {verdict}", end=" ")
    assert is_good, (found, filler.late_s)


@needs_loop
def test_somebody_else_fills_the_disk(tmp_path, capsys):
    """Between two looks of the keeper, so that writes meet ENOSPC; again and again."""
    filler, trace = Filler(tmp_path, 100 * 1024, refusals=1 << 30), tmp_path / "trace"
    with LoopDisk("128M") as disk, \
            Node(root=disk.path("root"), env=preload(trace=trace), storage__high_watermark="free 4MiB",
                 storage__full_watermark="free 2MiB", storage__low_watermark="free 8MiB") as node:
        senders = [_started(filler.sender(node.port, i, 0.005)) for i in range(8)]
        for _ in range(6):
            ballast = disk.ballast("ballast", disk.available())
            time.sleep(0.4)  # the keeper looks meanwhile, and the senders are refused
            assert echo(node.port) == 0
            os.unlink(ballast)
            insist(node.port, filler)
        filler.refusals = 0
        join(senders)
        check_refusals(senders, "Storage is full; send again later")
        assert node.stop() == 0, node.log()
        full = [c for c in order.read_trace(trace) if c.errno == 28]
        verdict = restart_and_judge(node.root, filler)
        with capsys.disabled():
            print(f"\n  somebody else: {statuses(senders)}, ENOSPC met by "
                  f"{sorted({c.name for c in full})} {len(full)} times; {verdict}", end=" ")


@needs_loop
def test_a_start_on_a_full_disk(tmp_path):
    """What is left to do of an earlier run needs space: without, the node starts all the same, refuses what is
    new, and finishes when there is some."""
    filler = Filler(tmp_path, 20000, refusals=0)
    with LoopDisk("64M") as disk:
        with Node(root=disk.path("root"), index__max_delay="60s") as node:
            join(send_by(4, node.port, [filler.next() for _ in range(40)], filler.ledger))
            node.kill()
            assert len(node.spool()) == 40
        ballast = disk.ballast("ballast", disk.available())
        with Node(root=disk.path("root")) as node:
            assert int(node.wait_line("node.recovered")["left"]) > 0, node.log()
            assert node.spool() != [] and echo(node.port) == 0
            sender = Sender(node.port, [make("1.2.826.0.1.40.1")])
            sender.run()
            assert sender.sent[0].status == 0xA700, node.log()
            os.unlink(ballast)
            until = time.monotonic() + WAIT_S
            while node.spool() and time.monotonic() < until:
                time.sleep(0.05)
            assert node.spool() == [], node.log()
            assert node.stop() == 0, node.log()
        assert restart_and_judge(disk.path("root"), filler).acknowledged == 40


@needs_loop
def test_inodes_run_out(tmp_path):
    filler = Filler(tmp_path, 2000)
    with LoopDisk("64M", "-N", "256") as disk, \
            Node(root=disk.path("root"), log__heartbeat="200ms") as node:
        os.mkdir(disk.path("foreign"))
        for i in range(60):
            open(disk.path("foreign", str(i)), "w", encoding="ascii").close()
        # Between two looks of the keeper each object counts for the most inodes that it may take, so the
        # first refusals may come early, and be over with the next look: on, until they stay.
        until = time.monotonic() + WAIT_S
        while True:
            check_refusals(filler.fill(node.port, 4), "Storage is full; send again later")
            seen = len(node.find("status"))
            node.wait_line("status", n=seen + 2)
            if node.find("status")[seen + 1]["state"] == "refusing":
                break
            assert time.monotonic() < until, node.log()
        assert node.find("status", state="refusing")[-1]["refusing"] == "inodes"
        assert echo(node.port) == 0
        for i in range(60):
            os.unlink(disk.path("foreign", str(i)))
        insist(node.port, filler)
        assert node.stop() == 0, node.log()
        restart_and_judge(node.root, filler)


@needs_loop
def test_blocks_and_inodes_run_out_after_a_few(tmp_path, capsys):
    """While nobody looks, so that the kernel refuses (fulldisk.py; tools/torture full --mounts goes on)."""
    for run_out in (fulldisk.blocks, fulldisk.inodes):
        folder = tmp_path / run_out.__name__
        folder.mkdir()
        told = run_out(str(folder), 3)
        with capsys.disabled():
            print(f"\n  {told}", end=" ")
        assert told.steps == 3 and told.statuses[REFUSED] > 0


def test_the_quota_is_kept(tmp_path):
    filler, quota = Filler(tmp_path, 100 * 1024), 16 * MIB
    with Node(root=str(tmp_path / "root"), storage__quota="16MiB", log__heartbeat="200ms") as node:
        senders = filler.fill(node.port, 8)
        check_refusals(senders, "Storage is full; send again later")
        assert node.wait_line("status", state="refusing")["refusing"] == "quota"
        assert echo(node.port) == 0
        kept = sum(os.path.getsize(path) for path in node.archive())
        assert 0.7 * quota < kept <= 0.95 * quota, kept  # what is reserved counts too
        assert node.stop() == 0, node.log()
    restart_and_judge(node.root, filler, storage__quota="16MiB")
    # Counted, not only remembered: after a restart it holds still (what the senders had reserved and not
    # used may be filled up first); a larger one lets more in.
    with Node(root=node.root, storage__quota="16MiB") as node:
        check = join([_started(filler.sender(node.port, 1))])
        assert REFUSED in statuses(check)
        assert node.stop() == 0, node.log()
    kept = sum(os.path.getsize(path) for path in node.archive())
    assert kept <= 0.95 * quota, kept
    with Node(root=node.root, storage__quota="32MiB") as node:
        assert insist(node.port, filler) == 1
        assert node.stop() == 0, node.log()
    restart_and_judge(node.root, filler)


# ---- the index' map ------------------------------------------------------------------------------------

def fat(number):
    """An object with long values, the first of its patient, study and series: pages of index."""
    uid, study = f"{STUDY}.8.{number}", f"{STUDY}.9.{number}"
    data = element(8, 0x16, b"UI", CT_CLASS) + element(8, 0x18, b"UI", uid)
    data += element(8, 0x50, b"SH", f"{number}") + element(8, 0x60, b"CS", "CT")
    for group, tag, vr, length in ((8, 0x70, b"LO", 64), (8, 0x80, b"LO", 64), (8, 0x90, b"PN", 190),
                                   (8, 0x1030, b"LO", 64), (8, 0x103E, b"LO", 64), (0x10, 0x10, b"PN", 250),
                                   (0x10, 0x20, b"LO", 64), (0x10, 0x21, b"LO", 64),
                                   (0x18, 0x1030, b"LO", 64)):
        data += element(group, tag, vr, f"{number}".ljust(length, "x"))
    data += element(0x20, 0x0D, b"UI", study) + element(0x20, 0x0E, b"UI", study + ".1")
    return Made(uid, data)


class FatFiller(Filler):
    def next(self):
        with self.lock:
            self.number += 1
            made = fat(self.number)
            self.made.append(made)
            return made


def test_the_map_of_the_index_is_full(tmp_path, capsys):
    """Refused, with a reason of its own; a restart with a larger map takes more."""
    filler = FatFiller(tmp_path, 0)
    small = {"index__map_size": "16MiB", "storage__durability": "none"}
    with Node(root=str(tmp_path / "root"), **small) as node:
        senders = filler.fill(node.port, 4)
        check_refusals(senders, "Index is full; send again later")
        assert echo(node.port) == 0
        assert node.stop() == 0, node.log()
    with Node(root=node.root, **small) as node:
        again = join([_started(filler.sender(node.port, 1))])
        assert REFUSED in statuses(again) and {s.end for s in again} == {"released"}
        assert node.stop() == 0, node.log()
    with Node(root=node.root, index__map_size="64MiB") as node:
        assert insist(node.port, filler) == 1
        assert statuses(join(send_by(2, node.port, [filler.next() for _ in range(20)], filler.ledger))) \
            == {0: 20}
        assert node.stop() == 0, node.log()
    verdict = restart_and_judge(node.root, filler)
    with capsys.disabled():
        print(f"\n  index map of 16 MiB: {statuses(senders)}; {verdict}", end=" ")
