"""The environment of a daemon that tests/support/io_preload.c watches or disturbs.

    Node(env=preload(trace=path, fail=fault("fdatasync", "*/spool/*", 3, errno.EIO)))

SPDX-License-Identifier: Apache-2.0
"""
import os

from kept import BUILD

PRELOAD = os.path.join(BUILD, "tests", "io_preload.so")


def preload(**settings):
    """settings: trace=FILE, kill="K" or "K:torn", fail=fault(...)."""
    env = {"SLUICE_IO_" + key.upper(): str(value) for key, value in settings.items()}
    return {**sanitizer_options(), **env, "LD_PRELOAD": PRELOAD}


def sanitizer_options():
    """So that a sanitized daemon bears a library of ours before it."""
    return {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
            # A failed store leaves by _exit(70), its threads as they are.
            "TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "") + ":report_thread_leaks=0"}


def fault(call, pattern, at, errnum, stays=False):
    """The at-th call of that name whose path matches fails; stays: every later one too."""
    return f"{call},{pattern},{at},{errnum}" + (",+" if stays else "")
