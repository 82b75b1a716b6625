"""A small file system of its own for a test: an image, made ext4, mounted through a loop device.

    with LoopDisk("256M") as disk:
        Node(root=disk.path("root"))

needs_loop skips, and says why, where we may not mount.
SPDX-License-Identifier: Apache-2.0
"""
import functools
import os
import shutil
import subprocess
import tempfile

import pytest


class LoopDisk:
    def __init__(self, size, *mkfs_options):
        self.folder = tempfile.mkdtemp(prefix="sluice-disk-")
        self.image, self.mount = os.path.join(self.folder, "image"), os.path.join(self.folder, "disk")
        os.mkdir(self.mount)
        try:
            self._run("truncate", "-s", size, self.image)
            self._run("mkfs.ext4", "-q", "-F", "-m", "0", *mkfs_options, self.image)
            self._run("mount", "-o", "loop", self.image, self.mount)
        except (OSError, subprocess.CalledProcessError):
            shutil.rmtree(self.folder)
            raise

    @staticmethod
    def _run(*command):
        subprocess.run(command, check=True, capture_output=True)

    def path(self, *names):
        return os.path.join(self.mount, *names)

    def available(self):
        """Bytes."""
        st = os.statvfs(self.mount)
        return st.f_bavail * st.f_frsize

    def ballast(self, name, size):
        """A file of somebody else's; as much of it as fits. Returns its path."""
        with open(self.path(name), "wb") as f:
            try:
                os.posix_fallocate(f.fileno(), 0, size)
            except OSError:
                pass
        return self.path(name)

    def close(self):
        self._run("umount", self.mount)
        shutil.rmtree(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@functools.lru_cache
def why_not():
    """Why no disk can be made here, or None."""
    try:
        LoopDisk("16M").close()
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or b""
        return said.decode(errors="replace").strip() or str(error)
    return None


def needs_loop(test):
    @functools.wraps(test)
    def checked(*args, **kwargs):
        if why_not() is not None:
            pytest.skip(f"NOT RUN: cannot mount a loop device: {why_not()}")
        return test(*args, **kwargs)
    return checked
