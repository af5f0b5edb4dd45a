"""The manners of `docs/style.md`, held by a program so that nobody has to remember them."""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator

import pytest

from tests.source_tree import ROOT, Function, Module, files, modules, texts

LONGEST_FUNCTION = 40
MOST_PARAMETERS = 5
LONGEST_MODULE = 400
LONGEST_TEST_MODULE = 600
SHORTEST_DOCSTRING = 15

SERVICES = ("member", "billing", "campaign", "touchpoint", "scoring")

# Who may import what: a package as a whole, or `package.layer`. An entry that is no rule of the design has its reason.
OWNERS: dict[str, set[str]] = {
    "nats": {"chassis"},
    "opentelemetry.sdk": {"chassis"},
    "fastapi": {
        "gateway",
        "demo.partner",  # the local partner's webhook receiver plays a company of its own
    },
    "sqlalchemy": {"chassis", "ledger", *(f"{service}.store" for service in SERVICES)},
    "asyncpg": {
        "chassis",
        "ledger.store",  # its few statements take whole columns as arrays, straight through the driver
        "local",  # makes the databases and logins that the services find
    },
    "alembic": {"chassis"},
}
_PROTOBUF_LAYERS = ("__main__", "api", "consumers", "jobs", "clients", "wire")
_PROTOBUF_OWNERS = {"chassis", "gateway", "local", "demo"} | {
    f"{service}.{layer}" for service in SERVICES for layer in _PROTOBUF_LAYERS
}
OWNERS |= dict.fromkeys(("google.protobuf", "google.rpc", "grpc", "grpc_status", "touchstone"), _PROTOBUF_OWNERS)

CLOCKS = {
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.time",
    "time.time_ns",
}
SQL_CLOCK = re.compile(r"\b(now|clock_timestamp|statement_timestamp)\(\)|\bcurrent_(timestamp|date)\b", re.IGNORECASE)

# Modules that end a transaction of their own, each with its reason.
COMMITS: dict[str, str] = {
    "chassis.work": "the one place where a use case is committed",
    "chassis.migrations": "a schema change is no use case and runs before any",
}
PUBLISHES: dict[str, str] = {
    "chassis.outbox": "the one place where an event leaves the process",
    "chassis.broker": "the connection that the outbox publishes over",
}
COMMAND_LINES = {"chassis.cli", "local", "demo"}

BANNED_CALLS = {"eval", "exec", "os.system", "yaml.load", "yaml.unsafe_load", "pytest.skip", "pytest.importorskip"}
BANNED_MODULES = ("dill", "jose", "marshal", "mock", "pickle", "shelve", "unittest.mock")
BANNED_MARKS = {"pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail"}

MACHINE_PATH = re.compile(r"(?<![\w.$}-])/(home|Users|root|work|opt/wheels)/\w")
REGISTRY = re.compile(r"pypi\.org|pythonhosted\.org|npmjs\.(org|com)|yarnpkg\.com|proxy\.golang\.org")


def report(rule: str, findings: list[str]) -> None:
    """Fails with the rule and every place that breaks it."""
    assert not findings, f"{rule}\n  " + "\n  ".join(findings)


def installed() -> Iterator[Module]:
    """The modules that are installed with a package: neither tests nor migrations nor tools."""
    return (module for module in modules() if module.installed)


def within(name: str, owners: set[str]) -> bool:
    """Whether a module is one of the owners or lies inside one."""
    return any(name == owner or name.startswith(f"{owner}.") for owner in owners)


def parameters(function: Function) -> int:
    """How many arguments a caller thinks of: not `self` and `cls`, nor `**settings`, which passes on what it gets."""
    a = function.args
    named = [*a.posonlyargs, *a.args]
    own = 1 if named and named[0].arg in {"self", "cls"} else 0
    return len(named) - own + len(a.kwonlyargs) + (1 if a.vararg else 0)


def test_the_tree_is_read() -> None:
    """Guards the other checks: an empty list of files would let everything pass."""
    names = {module.name for module in modules()}
    assert {"chassis", "ledger", "gateway", "local", "demo", *SERVICES} <= names
    assert "tests.test_tidy" in names


def test_functions_are_short() -> None:
    findings = [
        f"{module.at(function.lineno)} {function.name} has {length} lines"
        for module in modules()
        for function in module.functions()
        if (length := (function.end_lineno or 0) - function.lineno + 1) > LONGEST_FUNCTION
    ]
    report(f"a function has at most {LONGEST_FUNCTION} lines", findings)


def test_functions_take_few_parameters() -> None:
    findings = [
        f"{module.at(function.lineno)} {function.name} takes {count}"
        for module in modules()
        for function in module.functions()
        if (count := parameters(function)) > MOST_PARAMETERS and not module.is_test
    ]
    report(f"a function takes at most {MOST_PARAMETERS} parameters; more belong into a dataclass", findings)


def test_modules_are_short() -> None:
    findings = [
        f"{module.at(1)} has {module.lines} lines, at most {limit} are allowed"
        for module in modules()
        if module.lines > (limit := LONGEST_TEST_MODULE if module.is_test else LONGEST_MODULE)
    ]
    report("a longer module becomes a folder of nouns", findings)


def test_modules_say_what_they_are_for() -> None:
    findings = [
        module.at(1)
        for module in modules()
        if module.path.name != "conftest.py" and len(ast.get_docstring(module.tree) or "") < SHORTEST_DOCSTRING
    ]
    report("every module begins with a docstring that says something", findings)


def test_only_the_chassis_reads_the_clock() -> None:
    findings = [
        f"{module.at(line)} {name}()"
        for module in installed()
        for line, name in module.calls()
        if module.name != "chassis.clock" and (name in CLOCKS or name == "sqlalchemy.func.now")
    ]
    report("time is an argument; only chassis.clock asks the system for it", findings)


def test_sql_does_not_read_the_clock() -> None:
    findings = [
        f"{module.at(node.lineno)} {found.group()}"
        for module in installed()
        for node in statements(module)
        if (found := SQL_CLOCK.search(str(node.value)))
    ]
    report("a statement gets its time as a parameter: the database's clock is not ours", findings)


def statements(module: Module) -> Iterator[ast.Constant]:
    """The string constants of a module without its docstrings."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node


@pytest.mark.parametrize(
    ("methods", "places", "rule"),
    [
        ({"commit", "begin"}, COMMITS, "a transaction is committed by chassis.work alone"),
        ({"publish", "publish_async"}, PUBLISHES, "facts are emitted; chassis.outbox alone publishes"),
    ],
    ids=["commit", "publish"],
)
def test_effects_have_one_place(methods: set[str], places: dict[str, str], rule: str) -> None:
    findings = [
        f"{module.at(line)} {name}()"
        for module in installed()
        if not within(module.name, set(places))
        for line, name in module.calls()
        if "." in name and name.rpartition(".")[2] in methods
    ]
    report(rule, findings)


@pytest.mark.parametrize("places", [COMMITS, PUBLISHES], ids=["commit", "publish"])
def test_exceptions_are_still_needed(places: dict[str, str]) -> None:
    known = {module.name for module in installed()}
    report("an exception names a module that exists", [name for name in places if name not in known])


def test_only_command_lines_print() -> None:
    findings = [
        module.at(line)
        for module in installed()
        if module.layer != "__main__" and not within(module.name, COMMAND_LINES)
        for line, name in module.calls()
        if name == "print"
    ]
    report("a library logs; only a command line prints", findings)


@pytest.mark.parametrize("library", sorted(OWNERS))
def test_libraries_have_owners(library: str) -> None:
    findings = [
        f"{module.at(line)} {name}"
        for module in installed()
        if not within(module.name, OWNERS[library])
        for line, name in module.imports()
        if within(name, {library})
    ]
    report(f"{library} is imported in {', '.join(sorted(OWNERS[library]))} alone", findings)


def test_nothing_dangerous_is_called() -> None:
    calls = [f"{m.at(line)} {name}()" for m in modules() for line, name in m.calls() if name in BANNED_CALLS]
    imports = [
        f"{m.at(line)} import {name}"
        for m in modules()
        for line, name in m.imports()
        if within(name, set(BANNED_MODULES))
    ]
    report("code from data, serialised code, mocks and skipped tests have no place here", calls + imports)


def test_no_test_is_switched_off() -> None:
    findings = [
        f"{module.at(node.lineno)} {name}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and (name := module.resolve(node)) in BANNED_MARKS
    ]
    report("a missing server fails a test; nothing skips it", findings)


def test_every_module_is_used() -> None:
    used = {name for module in modules() if not module.is_test for _, name in module.imports()}
    used |= {name for module in modules() if module.is_test for _, name in module.imports() if ".testing" in name}
    used |= entry_points()
    findings = [
        f"{module.at(1)} {module.name}"
        for module in installed()
        if module.layer != "__main__" and module.path.name not in {"__init__.py", "__main__.py"}
        if not any(name == module.name or name.startswith(f"{module.name}.") for name in used)
    ]
    report("a module that nobody imports is removed", findings)


def entry_points() -> set[str]:
    """The modules that pyproject files name: commands and plugins."""
    named: set[str] = set()
    for path in files():
        if path.name == "pyproject.toml":
            project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
            tables = [project.get("scripts", {}), *project.get("entry-points", {}).values()]
            named |= {target.partition(":")[0] for table in tables for target in table.values()}
    return named


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [
        (MACHINE_PATH, "a path of one machine is of no use on another"),
        (REGISTRY, "where packages come from is the machine's setting, not the repository's"),
    ],
    ids=["machine-paths", "registries"],
)
def test_texts_name_no_machine(pattern: re.Pattern[str], rule: str) -> None:
    findings = [
        f"{path.relative_to(ROOT)}:{number} {found.group()}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if (found := pattern.search(line))
    ]
    report(rule, findings)


def test_locks_pin_by_hash() -> None:
    locks = [ROOT / "requirements.lock", *sorted((ROOT / "infra" / "locks").glob("*.lock"))]
    findings = [f"{lock.name}: {line}" for lock in locks for line in unhashed(lock.read_text(encoding="utf-8"))]
    findings += [f"{lock.name} names an address" for lock in locks if "://" in lock.read_text(encoding="utf-8")]
    assert len(locks) > len(SERVICES)
    report("every requirement of a lock has an exact version and hashes", findings)


def unhashed(lock: str) -> list[str]:
    """The requirements of a lock that any file would satisfy."""
    entries = re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n", "", lock, flags=re.MULTILINE).strip())
    return [e.splitlines()[0] for e in entries if "--hash=sha256:" not in e or "==" not in e.splitlines()[0]]


def test_packages_introduce_themselves() -> None:
    members = [path.parent for path in files() if path.name == "pyproject.toml" and path.parent != ROOT]
    findings = [str(member.relative_to(ROOT)) for member in members if not (member / "README.md").is_file()]
    assert len(members) > len(SERVICES)
    report("every package has a README.md", findings)


CHECKS_OF_THE_CHECKS: list[tuple[str, Callable[[Module], bool]]] = [
    ("from datetime import datetime as d\nd.now()", lambda m: "datetime.datetime.now" in {n for _, n in m.calls()}),
    ("import time as t\nt.monotonic()", lambda m: "time.monotonic" in {n for _, n in m.calls()}),
    ("async def f(s):\n    await s().x.commit()", lambda m: ".x.commit" in {n for _, n in m.calls()}),
    ("from . import store", lambda m: "billing.store" in {n for _, n in m.imports()}),
    ("def f(self, a, *, b, **c): ...", lambda m: [parameters(f) for f in m.functions()] == [2]),
]


@pytest.mark.parametrize(("source", "seen"), CHECKS_OF_THE_CHECKS)
def test_the_checks_see(source: str, seen: Callable[[Module], bool]) -> None:
    path = ROOT / "services" / "billing" / "src" / "billing" / "api.py"
    assert seen(Module(path=path, name="billing.api", installed=True, tree=ast.parse(source), lines=2))
