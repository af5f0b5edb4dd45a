"""Conditions of package migration: CEL over a customer and its service lines, understood when the plan is put.

`customer` has a few fields, `lines` are the lines in service, asked through `lines.exists(x, …)`, `all` or
`exists_one`. The engine shows no tree of a condition, so its words are read here as well: whatever is unknown is
refused with its place, and so is what could cost more than the length of the text says (macros within macros, maps,
indexes). Then the engine compiles it and must give true or false for example customers. Reading what cannot be read,
such as `int("x")`, is no match.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any, NamedTuple

import cel
from chassis.calendar import Calendar
from chassis.errors import FieldViolation

from member.domain.customer import CustomerId, CustomerKind, Subscriber

MAX_CONDITION_CHARACTERS = 4_000
MAX_NESTING = 24
MAX_MACROS = 10
_PROBLEMS_TOLD = 20

CUSTOMER_FIELDS = frozenset(
    {"kind", "tenure_years", "tenure_days", "recharged_minor", "ordered_minor", "line_count", "packages", "kinds"}
)
LINE_FIELDS = frozenset({"kind", "years", "days", "packages"})
_MACROS = frozenset({"exists", "all", "exists_one"})
_METHODS = frozenset({"startsWith", "endsWith", "contains", "matches"})
_FUNCTIONS = frozenset({"has", "int", "double", "string"})
_WORDS = frozenset({"true", "false", "in"})

_TOKEN = re.compile(
    r"""
    (?P<space>(?:\s|//[^\n]*)+)
  | (?P<string>[rR]?(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
  | (?P<number>(?:0[xX][0-9a-fA-F]+|\d+\.\d+(?:[eE][+-]?\d+)?|\d+(?:[eE][+-]?\d+)?)(?P<suffix>[uU])?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!()\[\],.?:])
    """,
    re.VERBOSE,
)
_UNDECIDED = (ArithmeticError, KeyError, RuntimeError, TypeError, ValueError)
_EXAMPLES: tuple[dict[str, Any], ...] = (
    {
        "customer": {
            "kind": "household",
            "tenure_years": 7,
            "tenure_days": 2600,
            "recharged_minor": 120000,
            "ordered_minor": 99000,
            "line_count": 1,
            "packages": ["a"],
            "kinds": ["tv"],
        },
        "lines": [{"kind": "tv", "years": 7, "days": 2600, "packages": ["a"]}],
    },
    {
        "customer": {
            "kind": "enterprise",
            "tenure_years": 0,
            "tenure_days": 3,
            "recharged_minor": 0,
            "ordered_minor": 0,
            "line_count": 0,
            "packages": [],
            "kinds": [],
        },
        "lines": [],
    },
)


@dataclass(frozen=True, slots=True)
class PackageCustomer:
    """A customer as conditions see it: its lines, and what it recharged and ordered in the plan's window."""

    customer_id: CustomerId
    kind: CustomerKind
    registered_at: datetime
    lines: tuple[Subscriber, ...]
    recharged_minor: int = 0
    ordered_minor: int = 0


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Bracket(NamedTuple):
    """An open bracket, and the name that the macro it belongs to gives to a line."""

    text: str
    variable: str | None


def condition_violations(field: str, text: str) -> Iterator[FieldViolation]:
    """What is wrong with a condition, with line and column counted from 1."""
    if not text.strip():
        yield FieldViolation(field, "must not be blank")
    elif len(text) > MAX_CONDITION_CHARACTERS:
        yield FieldViolation(field, f"must have at most {MAX_CONDITION_CHARACTERS} characters")
    else:
        problems = list(islice(_Reader(text).problems(), _PROBLEMS_TOLD)) or list(_engine_problems(text))
        yield from (FieldViolation(field, problem) for problem in problems)


def compile_condition(text: str) -> cel.Program:
    """The engine's program of a condition that has no violations."""
    return cel.compile(text)


def holds(program: cel.Program, context: cel.Context) -> bool | None:
    """Whether a condition holds; None where that cannot be decided, which is no match."""
    try:
        return program.execute(context) is True
    except _UNDECIDED:
        return None


def condition_context(customer: PackageCustomer, as_of: datetime, calendar: Calendar) -> cel.Context:
    """What conditions read of a customer at an instant; years are whole ones in the operator's calendar."""
    today = calendar.day_of(as_of)
    lines = [
        {
            "kind": line.kind.value,
            "years": _years(calendar.day_of(line.in_service_since), today),
            "days": (today - calendar.day_of(line.in_service_since)).days,
            "packages": packages_of([line], as_of),
        }
        for line in customer.lines
        if line.in_service_at(as_of)
    ]
    since = calendar.day_of(customer.registered_at)
    return cel.Context(
        {
            "customer": {
                "kind": customer.kind.value,
                "tenure_years": _years(since, today),
                "tenure_days": (today - since).days,
                "recharged_minor": customer.recharged_minor,
                "ordered_minor": customer.ordered_minor,
                "line_count": len(lines),
                "packages": packages_of(customer.lines, as_of),
                "kinds": sorted({str(line["kind"]) for line in lines}),
            },
            "lines": lines,
        }
    )


def packages_of(lines: Sequence[Subscriber], as_of: datetime) -> list[str]:
    """The codes of what lines in service hold at an instant, each once."""
    return sorted(
        {
            held.product_code
            for line in lines
            if line.in_service_at(as_of)
            for held in line.products
            if held.since <= as_of and (held.until is None or as_of < held.until)
        }
    )


def _years(since: date, until: date) -> int:
    return max(0, until.year - since.year - ((until.month, until.day) < (since.month, since.day)))


def _engine_problems(text: str) -> Iterator[str]:
    """The engine must read the condition, and give true or false for customers of either kind."""
    try:
        program = cel.compile(text)
    except ValueError as error:
        place, _, what = (str(error).rpartition("ERROR: <input>:")[2] or str(error)).partition(": ")
        line, _, column = place.partition(":")
        yield f"line {line}, column {column}: {what.splitlines()[0]}" if column.isdigit() else str(error)
        return
    for example in _EXAMPLES:
        try:
            value = program.execute(cel.Context(example))
        except (TypeError, ValueError) as error:
            yield f"line 1, column 1: cannot be evaluated: {str(error).splitlines()[0].partition('. ')[0]}"
            return
        except (ArithmeticError, KeyError, RuntimeError):
            continue
        if not isinstance(value, bool):
            yield "line 1, column 1: must give true or false"
            return


class _Reader:
    """One walk over the words of a condition, with the brackets that are open."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[_Token] = []
        self._open: list[_Bracket] = []
        self._macros = 0

    def problems(self) -> Iterator[str]:
        """Everything that is unknown or not offered."""
        at = 0
        while at < len(self._text):
            match = _TOKEN.match(self._text, at)
            if match is None:
                yield self._at(at, f"cannot read {self._text[at : at + 12]!r}")
                return
            if match["suffix"]:
                yield self._at(at, "unsigned numbers are not offered in conditions")
            if match.lastgroup != "space":
                kind = next(kind for kind in ("string", "number", "name", "sign") if match[kind])
                self._tokens.append(_Token(kind, match.group(), at))
            at = match.end()
        for index, token in enumerate(self._tokens):
            problem = self._sign(index) if token.kind == "sign" else self._name(index) if token.kind == "name" else None
            if problem:
                yield self._at(token.at, problem)

    def _at(self, at: int, what: str) -> str:
        line = self._text.count("\n", 0, at) + 1
        return f"line {line}, column {at - (self._text.rfind(chr(10), 0, at) + 1) + 1}: {what}"

    def _word(self, index: int) -> str:
        """The word at a place that is a name or a sign; empty where there is none."""
        if 0 <= index < len(self._tokens) and self._tokens[index].kind in ("name", "sign"):
            return self._tokens[index].text
        return ""

    def _sign(self, index: int) -> str | None:
        sign = self._tokens[index].text
        if sign in ("(", "["):
            self._open.append(_Bracket(sign, self._variable(index)))
            if len(self._open) > MAX_NESTING:
                return f"nested more than {MAX_NESTING} deep"
            before = self._tokens[index - 1] if index else None
            is_index = before is not None and (
                before.text in (")", "]") or (before.kind in ("name", "string") and before.text not in _WORDS)
            )
            if sign == "[" and is_index:
                return "an index is not offered in conditions"
        elif sign in (")", "]") and self._open:
            self._open.pop()
        return None

    def _variable(self, index: int) -> str | None:
        """The name that the macro before this bracket gives to a line; None where it is no macro's."""
        is_macro = self._word(index - 1) in _MACROS and self._word(index - 2) == "."
        return self._word(index + 1) if is_macro else None

    def _name(self, index: int) -> str | None:
        name, called = self._tokens[index].text, self._word(index + 1) == "("
        if self._word(index - 1) == ".":
            return self._method(index) if called else self._field(index)
        if called and name not in _WORDS:
            return None if name in _FUNCTIONS else f"no function {name}(); conditions have {_listed(_FUNCTIONS)}"
        return None if name in _WORDS else self._root(index)

    def _method(self, index: int) -> str | None:
        name = self._tokens[index].text
        if name in _METHODS:
            return None
        if name not in _MACROS:
            return f"no function {name}(); conditions have {_listed(_METHODS | _MACROS)}"
        self._macros += 1
        if self._word(index - 2) != "lines" or self._word(index - 3) == ".":
            return f"{name}() asks about lines, and about nothing else"
        if any(bracket.variable for bracket in self._open):
            return "a macro within a macro is not offered in conditions"
        if self._macros > MAX_MACROS:
            return f"more than {MAX_MACROS} macros"
        if not self._word(index + 2).isidentifier() or self._word(index + 3) != ",":
            return f"{name}() takes a name and a condition, such as {name}(line, line.years > 3)"
        return None

    def _field(self, index: int) -> str | None:
        name, root = self._tokens[index].text, self._word(index - 2)
        if self._word(index - 3) == "." or not root:
            return f"{name!r} cannot be read from this"
        if root == "customer":
            return None if name in CUSTOMER_FIELDS else f"a customer has {_listed(CUSTOMER_FIELDS)}, not {name!r}"
        if root in self._variables():
            return None if name in LINE_FIELDS else f"a line has {_listed(LINE_FIELDS)}, not {name!r}"
        return None  # the root is complained of already

    def _root(self, index: int) -> str | None:
        name = self._tokens[index].text
        if self._word(index - 1) == "(" and self._variable(index - 1) == name:
            return f"{name!r} has a meaning already" if name in ("customer", "lines", *_FUNCTIONS) else None
        if name not in ("customer", "lines") and name not in self._variables():
            return f"{name!r} is unknown; conditions read customer and lines"
        if self._word(index + 1) != "." or (name == "lines" and self._word(index + 2) not in _MACROS):
            how = f"lines.exists({name[0]}, …)" if name == "lines" else f"{name}.kind"
            return f"{name!r} stands not alone; write such as {how}"
        return None

    def _variables(self) -> set[str]:
        return {bracket.variable for bracket in self._open if bracket.variable}


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
