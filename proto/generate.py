"""Makes `gen/touchstone/` out of `touchstone/**/*.proto`: messages, gRPC code and type stubs.

`python proto/generate.py` and the package's build hook both call `generate`. Only files whose content changed are
written, each by an atomic rename, so that a program which is importing the contracts never reads half a file and a type
checker's cache stays warm.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from google.protobuf import descriptor_pb2

PACKAGE = "touchstone"
PLUGINS = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")


def generate(root: Path) -> int:
    """Generates the code below `root`/gen and returns how many files changed; raises where a proto does not compile."""
    protos = sorted(path.relative_to(root).as_posix() for path in (root / PACKAGE).rglob("*.proto"))
    if not protos:
        raise FileNotFoundError(f"no .proto file below {root / PACKAGE}")
    with tempfile.TemporaryDirectory(prefix="touchstone-proto-") as scratch:
        fresh = Path(scratch)
        _compile(root, protos, fresh)
        _add_package_files(fresh / PACKAGE)
        _write_comments(root, protos, fresh / PACKAGE / "comments.json")
        return _replace(root / "gen" / PACKAGE, fresh / PACKAGE)


def _compile(root: Path, protos: list[str], out: Path) -> None:
    wanted = [f"--plugin={name}={_plugin(name)}" for name in PLUGINS]
    wanted += [f"--{kind}_out={out}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    _protoc(root, [*wanted, *protos])


def _write_comments(root: Path, protos: list[str], path: Path) -> None:
    """What the contracts say of each method, message and field, by full name: Python's descriptors leave it out."""
    with tempfile.TemporaryDirectory(prefix="touchstone-comments-") as scratch:
        described = Path(scratch) / "described.binpb"
        _protoc(root, ["--include_source_info", f"--descriptor_set_out={described}", *protos])
        found = descriptor_pb2.FileDescriptorSet.FromString(described.read_bytes())
    comments = {name: text for file in found.file for name, text in _comments_of(file)}
    path.write_text(json.dumps(comments, indent=0, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _comments_of(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, str]]:
    for location in file.source_code_info.location:
        comment = " ".join(location.leading_comments.split())
        if comment and len(location.path) % 2 == 0:
            yield _named(file, location.path), comment


def _named(file: descriptor_pb2.FileDescriptorProto, path: Sequence[int]) -> str:
    """The full name of what stands at a path: pairs of a field's number in the descriptor and a place in its list."""
    names, here = [file.package], file
    for number, place in zip(path[::2], path[1::2], strict=True):
        here = getattr(here, here.DESCRIPTOR.fields_by_number[number].name)[place]
        names.append(here.name)
    return ".".join(names)


def _protoc(root: Path, arguments: list[str]) -> None:
    paths = (root, root / "third_party", files("grpc_tools") / "_proto")
    command = [sys.executable, "-m", "grpc_tools.protoc", *(f"--proto_path={path}" for path in paths)]
    done = subprocess.run([*command, *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"protoc failed:\n{done.stderr.strip()}")


def _plugin(name: str) -> str:
    """Finds a plugin beside the running interpreter first: a virtual environment need not be activated."""
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=search)
    if found is None:
        raise FileNotFoundError(f"{name} is missing: install mypy-protobuf beside {sys.executable}")
    return found


def _add_package_files(package: Path) -> None:
    """Makes real, typed packages of the folders: without `py.typed` a type checker refuses the generated stubs."""
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        dotted = ".".join((PACKAGE, *folder.relative_to(package).parts))
        (folder / "__init__.py").write_text(f'"""Generated from the protos of {dotted}."""\n', encoding="utf-8")
    (package / "py.typed").touch()


def _replace(target: Path, fresh: Path) -> int:
    """Brings `target` to the state of `fresh`, touching only what differs."""
    wanted = {path.relative_to(fresh): path.read_bytes() for path in fresh.rglob("*") if path.is_file()}
    changed = 0
    for name, content in wanted.items():
        path = target / name
        if path.is_file() and path.read_bytes() == content:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        beside.write_bytes(content)
        beside.replace(path)
        changed += 1
    for path in [path for path in target.rglob("*") if path.is_file()]:
        if path.relative_to(target) not in wanted and "__pycache__" not in path.parts:
            path.unlink()
            changed += 1
    return changed


if __name__ == "__main__":
    count = generate(Path(__file__).resolve().parent)
    sys.stdout.write(f"proto/gen: {count} files changed\n")
