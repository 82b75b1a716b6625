"""The environment of a daemon that tests/support/io_preload.c watches or disturbs.

    Node(env=preload(trace=path, fail=fault("fdatasync", "*/spool/*", 3, errno.EIO)))

SPDX-License-Identifier: Apache-2.0
"""
import os
import time

from kept import BUILD

PRELOAD = os.path.join(BUILD, "tests", "io_preload.so")


def preload(**settings):
    """settings: trace=FILE, kill="K" or "K:torn", fail=fault(...), hold=FILE for faults with errno 0."""
    env = {"SLUICE_IO_" + key.upper(): str(value) for key, value in settings.items()}
    return {**sanitizer_options(), **env, "LD_PRELOAD": PRELOAD}


def sanitizer_options():
    """So that a sanitized daemon bears a library of ours before it."""
    return {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
            # A failed store leaves by _exit(70), its threads as they are.
            "TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "") + ":report_thread_leaks=0"}


class Hold:
    """The at-th call of that name whose path matches is held, before it is made; stays: every later one
    too.

        with Hold(tmp_path / "hold", "fdatasync", "*/spool/*") as hold, Node(env=hold.env()) as node:
            ...
            hold.wait(3)   # so many are held
            hold.let_go()
    """

    def __init__(self, path, call, pattern, at=1, stays=True):
        self.path, self.fault = str(path), fault(call, pattern, at, 0, stays)
        open(self.path, "x").close()

    def env(self, **settings):
        return preload(fail=self.fault, hold=self.path, **settings)

    def wait(self, n, timeout=60):
        until = time.monotonic() + timeout
        while os.path.getsize(self.path) < n:
            assert time.monotonic() < until, f"{os.path.getsize(self.path)} of {n} calls were held"
            time.sleep(0.005)

    def held(self):
        return os.path.getsize(self.path)

    def let_go(self):
        if os.path.exists(self.path):
            os.unlink(self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.let_go()


def fault(call, pattern, at, errnum, stays=False):
    """The at-th call of that name whose path matches fails; stays: every later one too. errnum 0: it is
    held (Hold)."""
    return f"{call},{pattern},{at},{errnum}" + (",+" if stays else "")
