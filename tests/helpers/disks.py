"""Small file systems of their own: full ones, and read-only ones."""

import contextlib
import subprocess

import pytest

from refrain import ROOT


@contextlib.contextmanager
def small_disk(folder, size):
    """A tmpfs of `size` ("400k", "24m") at a new folder; skips the test where none can be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if not ROOT or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def read_only_disk(folder):
    """Such a disk, empty, that nobody can write to."""
    with small_disk(folder, "16m"):
        folder.chmod(0o777)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        yield folder
