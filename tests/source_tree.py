"""Reads the repository's Python as syntax trees, with every name resolved to what it was imported as."""

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SKIPPED_FOLDERS = {"gen", "build", "dist", "node_modules", "__pycache__"}
SKIPPED_SUFFIXES = {".binpb", ".png", ".ico", ".woff2", ".gz", ".pyc"}
KEPT_HIDDEN = {
    ".ci",
    ".github",
    ".gitignore",
    ".pre-commit-config.yaml",
    ".dockerignore",
    ".hadolint.yaml",
    ".yamllint",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One Python file; `name` is its dotted import name where it lies below a `src` folder, else its path in dots."""

    path: Path
    name: str
    installed: bool
    tree: ast.Module = field(repr=False)
    lines: int

    @property
    def package(self) -> str:
        """The first part of the name: `billing`, `chassis`."""
        return self.name.partition(".")[0]

    @property
    def layer(self) -> str:
        """The second part of the name: `store` for `billing.store.accounts`, empty for the package itself."""
        return f"{self.name}.".split(".")[1]

    @property
    def is_test(self) -> bool:
        """Whether the file lies in a folder of tests."""
        return "tests" in self.path.relative_to(ROOT).parts[:-1]

    def at(self, line: int) -> str:
        """The place as an editor opens it."""
        return f"{self.path.relative_to(ROOT)}:{line}"

    @cached_property
    def aliases(self) -> dict[str, str]:
        """What each imported local name stands for: `dt` for `datetime`, `now` for `datetime.datetime.now`."""
        known: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                known.update({a.asname or a.name.partition(".")[0]: _bound(a) for a in node.names})
            elif isinstance(node, ast.ImportFrom):
                base = self.origin(node)
                known.update({a.asname or a.name: f"{base}.{a.name}" for a in node.names})
        return known

    def origin(self, node: ast.ImportFrom) -> str:
        """The absolute module a `from` import reads, relative ones resolved."""
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        inside = parts if self.path.name == "__init__.py" else parts[:-1]
        inside = inside[: len(inside) - node.level + 1]
        return ".".join([*inside, *([node.module] if node.module else [])])

    def imports(self) -> Iterator[tuple[int, str]]:
        """Every imported name with its line; `from a import b` gives `a.b`, for b may be a module."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = self.origin(node)
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)

    def calls(self) -> Iterator[tuple[int, str]]:
        """Every call as (line, dotted name); what is called on an expression begins with a dot: `.commit`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield node.lineno, self.resolve(node.func)

    def resolve(self, node: ast.expr) -> str:
        """The dotted name of an expression with its import written out."""
        if isinstance(node, ast.Name):
            return self.aliases.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            return f"{self.resolve(node.value)}.{node.attr}"
        return ""

    def functions(self) -> Iterator[Function]:
        """Every function and method, nested ones too."""
        for node in ast.walk(self.tree):
            if isinstance(node, Function):
                yield node


def _bound(alias: ast.alias) -> str:
    return alias.name if alias.asname else alias.name.partition(".")[0]


@lru_cache(maxsize=1)
def modules() -> tuple[Module, ...]:
    """Every Python file written by hand."""
    return tuple(_read(path) for path in files() if path.suffix == ".py")


@lru_cache(maxsize=1)
def files() -> tuple[Path, ...]:
    """Every file that belongs to the repository, without what tools make."""
    found: list[Path] = []
    for folder, inner, names in os.walk(ROOT):
        inner[:] = sorted(name for name in inner if _kept(name) and name not in SKIPPED_FOLDERS)
        inner[:] = [name for name in inner if not name.endswith(".egg-info")]
        found += [Path(folder, name) for name in sorted(names) if _kept(name) and name != "uv.lock"]
    return tuple(path for path in found if path.suffix not in SKIPPED_SUFFIXES and not path.is_symlink())


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file with its content; what is not UTF-8 is data and left out."""
    for path in files():
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def _kept(name: str) -> bool:
    return not name.startswith(".") or name in KEPT_HIDDEN


def _read(path: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    installed = "src" in parts and "tests" not in parts
    if installed:
        parts = parts[parts.index("src") + 1 :]
    if parts[-1] == "__init__":
        parts.pop()
    tree = ast.parse(text, filename=str(path))
    return Module(path=path, name=".".join(parts), installed=installed, tree=tree, lines=text.count("\n"))
