"""Folders for what tests may lose: in memory where there is room, else where temporary files lie.

A database is some hundred files, made for one test and dropped after it. A file system on a disk is slow at that even
when nothing is synced: ext4 looks at every file deleted lately before it makes a new one.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chassis.embedded import remove_data
from chassis.embedded.installation import owned_folder

_MEMORY = Path("/dev/shm")  # noqa: S108 - the place of this kind on Linux, shared on purpose
_ROOM_BYTES = 4 * 1024**3
_HOLD = "hold"


@contextmanager
def scratch_folder(*, room_bytes: int = _ROOM_BYTES) -> Iterator[Path]:
    """A folder into which every user may walk (root's PostgreSQL runs as another), deleted at the end; in memory if so
    much is free there.

    What a killed run has left, which would take memory until the machine's next start, is deleted by the next run: who
    uses a folder holds a lock on a file in it, and a lock ends with its process.
    """
    place = _MEMORY if _room_bytes() >= room_bytes else Path(tempfile.gettempdir())
    parent = owned_folder(place / f"touchstone-tests-{os.geteuid()}", 0o711)
    with _locked(parent / "lock"):
        _remove_abandoned(parent)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
        folder.chmod(0o711)
        hold = (folder / _HOLD).open("w")
        fcntl.flock(hold, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        with _locked(parent / "lock"):
            shutil.rmtree(folder)
            hold.close()


def _room_bytes() -> int:
    """What may be written to memory: no more than the mount takes, nor than the machine has to spare."""
    try:
        mount = os.statvfs(_MEMORY)
        spare = re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:  # not Linux
        return 0
    return min(mount.f_bavail * mount.f_frsize, int(spare[1]) * 1024) if spare else 0


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob("run-*"):
        with (folder / _HOLD).open("w") as hold:
            try:
                fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            remove_data(folder / "postgres")
            shutil.rmtree(folder, ignore_errors=True)
