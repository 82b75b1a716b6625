"""The soak (soak.py), a few rounds of it: nothing fails, index and files agree. tools/torture soak goes on for
minutes or days and judges memory and descriptors at rest; that it would see a leak is tried here.
SPDX-License-Identifier: Apache-2.0
"""
import os

import soak

SOAK_S = float(os.environ.get("SLUICE_SOAK_S", "0"))


def test_a_few_rounds(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(soak, "ROUND_S", 1)
    run = soak.Soak(tmp_path, large="100MiB", quota="1GiB")
    run.run(SOAK_S)
    with capsys.disabled():
        print(f"\n  soak: {run}", end=" ")
    assert run.stored > 0
    if SOAK_S > 0:
        run.check()


def test_a_leak_shows():
    run = soak.Soak("", "", "")
    run.seconds = 60
    run.looks = [soak.Look(at, 1 << 20, 20) for at in range(60)]
    run.check()
    for at in range(30, 60):
        run.looks[at].memory += (at - 29) * 16384
    assert "memory" in complaint(run)
    run.looks = [soak.Look(at, 1 << 20, 20 + at // 50) for at in range(60)]
    assert "descriptors" in complaint(run)
    run.seconds = 3 * soak.HOUR
    run.looks = [soak.Look(at * 60.0, (1 << 20) + at * 40, 20) for at in range(180)]  # 2,400 bytes an hour
    assert "memory" in complaint(run)


def complaint(run):
    try:
        run.check()
    except AssertionError as bad:
        return str(bad)
    return ""
