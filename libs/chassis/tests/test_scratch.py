"""Folders that tests may lose: in memory where there is room, gone at the end, and after a kill at the next start."""

import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from chassis.testing.scratch import scratch_folder

HOLDER = """
from chassis.testing.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "left").write_text("behind")
    print(folder, flush=True)
    input()
"""


def test_a_folder_is_gone_at_the_end_with_all_that_is_in_it() -> None:
    with scratch_folder() as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("lost")
        assert folder.stat().st_mode & stat.S_IXOTH
    assert not folder.exists()


def test_without_room_in_memory_it_lies_with_the_temporary_files() -> None:
    with scratch_folder(room_bytes=2**62) as folder:
        assert folder.is_relative_to(tempfile.gettempdir())
    with scratch_folder(room_bytes=2**62) as first, scratch_folder(room_bytes=2**62) as second:
        assert first != second


def test_the_next_run_deletes_what_a_killed_one_left_and_nothing_that_is_in_use(scratch: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    left = Path(holder.stdout.readline().strip())
    with scratch_folder():
        assert (left / "left").read_text() == "behind"
    holder.kill()
    holder.communicate()
    with scratch_folder():
        assert not left.exists()
    assert scratch.exists()
