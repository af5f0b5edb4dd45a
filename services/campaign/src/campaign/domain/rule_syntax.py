"""The part of CEL that rules are written in, read into a tree.

The engine that evaluates a rule shows no tree of it, and a rule must be understood at save: what it reads, whether it
is boolean, where it is wrong. So the text is read here as well. What is read is a subset of CEL, with CEL's own
precedence: literals, `tags.x`, `event.x`, `has()`, operators, lists, conditionals and a few functions. Macros
(`all`, `exists`, `map` …) are left out on purpose: without them the cost of a rule grows with its length alone.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal as OneOf
from typing import TypeAlias

from chassis.errors import InvalidArgument

MAX_RULE_LENGTH = 4_000
"""Characters."""
MAX_NESTING = 24
"""Parentheses, signs, lists, conditionals and chained operators within one another."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal; None is CEL's null."""

    value: str | int | float | bool | None
    at: int


@dataclass(frozen=True, slots=True)
class Read:
    """`tags.name` or `event.name`; `asks` is true inside `has()`."""

    root: OneOf["tags", "event"]
    name: str
    at: int
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator with its operands; `&&` and `||` take all operands of their chain, `?:` three."""

    operator: str
    operands: tuple["Node", ...]
    at: int


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list literal."""

    items: tuple["Node", ...]
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function; for `x.f(y)` the operand `x` comes first and `method` is true."""

    function: str
    arguments: tuple["Node", ...]
    method: bool
    at: int


Node: TypeAlias = Constant | Read | Operation | ListOf | Call


class _Token:
    """One word of the text: kind, spelling, position in characters from 0."""

    __slots__ = ("at", "kind", "text")

    def __init__(self, kind: str, text: str, at: int) -> None:
        self.kind, self.text, self.at = kind, text, at


_TOKEN = re.compile(
    r"""
    (?P<space>(?:\s|//[^\n]*)+)
  | (?P<bytes>(?:[bB][rR]?|[rR][bB])["'])
  | (?P<string>(?:[rR](?:"[^"\n]*"|'[^'\n]*'))|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
  | (?P<double>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
  | (?P<int>0[xX][0-9a-fA-F]+|\d+)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!()\[\],.?:])
    """,
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\", "?": "?", "`": "`"}
_ESCAPE = re.compile(r"\\(.)")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_RELATIONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})


def refuse(text: str, at: int, what: str) -> InvalidArgument:
    """The refusal of a rule, with line and column counted from 1 as CEL does."""
    return InvalidArgument("rule", f"{position(text, at)}: {what}")


def position(text: str, at: int) -> str:
    """Where character `at` stands, for people."""
    line = text.count("\n", 0, at) + 1
    return f"line {line}, column {at - (text.rfind(chr(10), 0, at) + 1) + 1}"


def parse(text: str) -> Node:
    """Read a rule; refuse what is too long, nested too deeply or not of the language, with its position."""
    if not text.strip():
        raise InvalidArgument("rule", "must not be empty")
    if len(text) > MAX_RULE_LENGTH:
        raise InvalidArgument("rule", f"must have at most {MAX_RULE_LENGTH} characters, has {len(text)}")
    parser = _Parser(text)
    node = parser.expression()
    parser.end()
    return node


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise refuse(
                text, at, f"cannot read {text[at : at + 12]!r} (an unclosed string, or a sign that rules do not have)"
            )
        kind = match.lastgroup or ""
        if kind == "bytes":
            raise refuse(text, at, "bytes are not offered in rules")
        if kind != "space":
            found.append(_Token(kind, match.group(), at))
        at = match.end()
    found.append(_Token("end", "", len(text)))
    return found


class _Parser:
    """Recursive descent with CEL's precedence; each deeper level is counted."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _accept(self, *texts: str) -> _Token | None:
        token = self._peek()
        if token.kind in ("sign", "name") and token.text in texts:
            return self._take()
        return None

    def _expect(self, text: str) -> _Token:
        token = self._accept(text)
        if token is None:
            raise self._unexpected(f"expected {text!r}")
        return token

    def _unexpected(self, what: str) -> InvalidArgument:
        token = self._peek()
        found = "the end of the rule" if token.kind == "end" else repr(token.text)
        return refuse(self._text, token.at, f"{what}, found {found}")

    def _deeper(self, read: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise refuse(self._text, self._peek().at, f"nested more than {MAX_NESTING} deep")
        node = read()
        self._depth -= 1
        return node

    def end(self) -> None:
        """Refuse anything after the expression."""
        if self._peek().kind != "end":
            raise self._unexpected("expected an operator or the end of the rule")

    def expression(self) -> Node:
        condition = self._logic("||", lambda: self._logic("&&", self._relation))
        question = self._accept("?")
        if question is None:
            return condition
        then = self._deeper(lambda: self._logic("||", lambda: self._logic("&&", self._relation)))
        self._expect(":")
        otherwise = self._deeper(self.expression)
        return Operation("?:", (condition, then, otherwise), question.at)

    def _logic(self, operator: str, read: Callable[[], Node]) -> Node:
        operands = [read()]
        first: _Token | None = None
        while (token := self._accept(operator)) is not None:
            first = first or token
            operands.append(read())
        return operands[0] if first is None else Operation(operator, tuple(operands), first.at)

    def _relation(self) -> Node:
        return self._chain(
            _RELATIONS, lambda: self._chain(frozenset("+-"), lambda: self._chain(frozenset("*/%"), self._unary))
        )

    def _chain(self, operators: frozenset[str], read: Callable[[], Node]) -> Node:
        """Operators of one precedence group to the left, so each makes the tree one deeper."""
        node = read()
        for _ in range(MAX_NESTING + 1):
            token = self._accept(*operators)
            if token is None:
                return node
            node = Operation(token.text, (node, read()), token.at)
        raise refuse(self._text, self._peek().at, f"more than {MAX_NESTING} operators in one chain")

    def _unary(self) -> Node:
        token = self._accept("!", "-")
        if token is None:
            return self._member()
        following = self._peek()
        if token.text == "-" and following.kind in ("int", "double"):
            self._take()
            return self._number(following, "-")
        return Operation(token.text, (self._deeper(self._unary),), token.at)

    def _member(self) -> Node:
        node = self._primary()
        for _ in range(MAX_NESTING + 1):
            if (bracket := self._accept("[")) is not None:
                raise refuse(self._text, bracket.at, "an index is not offered in rules; write tags.name or event.name")
            dot = self._accept(".")
            if dot is None:
                return node
            name = self._name("expected the name of a function")
            if self._accept("(") is None:
                raise refuse(
                    self._text, name.at, f"{name.text!r} cannot be read from this; tags and attributes have no parts"
                )
            node = Call(name.text, (node, *self._list(")")), method=True, at=name.at)
        raise refuse(self._text, self._peek().at, f"more than {MAX_NESTING} calls in one chain")

    def _name(self, what: str) -> _Token:
        if self._peek().kind != "name":
            raise self._unexpected(what)
        return self._take()

    def _primary(self) -> Node:
        token = self._peek()
        match token.kind:
            case "int" | "double":
                return self._number(self._take(), "")
            case "string":
                return Constant(self._string(self._take()), token.at)
            case "name":
                return self._named(self._take())
        if self._accept("(") is not None:
            node = self._deeper(self.expression)
            self._expect(")")
            return node
        if self._accept("[") is not None:
            return ListOf(self._list("]"), token.at)
        raise self._unexpected("expected a value")

    def _named(self, token: _Token) -> Node:
        if token.text in _WORDS:
            return Constant(_WORDS[token.text], token.at)
        if token.text in ("tags", "event"):
            return self._read(token)
        if self._accept("(") is None:
            raise refuse(self._text, token.at, f"{token.text!r} is unknown; a rule reads tags.name and event.name")
        if token.text != "has":
            return Call(token.text, self._list(")"), method=False, at=token.at)
        root = self._accept("tags", "event")
        if root is None:
            raise self._unexpected("has() takes tags.name or event.name")
        read = self._read(root)
        self._expect(")")
        return Read(read.root, read.name, read.at, asks=True)

    def _read(self, token: _Token) -> Read:
        root: OneOf["tags", "event"] = "tags" if token.text == "tags" else "event"
        if self._accept(".") is None:
            raise self._unexpected(f"expected '.' and a name after {root!r}")
        return Read(root, self._name(f"expected a name after '{root}.'").text, token.at)

    def _list(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while self._accept(closing) is None:
            if items:
                self._expect(",")
            items.append(self._deeper(self.expression))
        return tuple(items)

    def _number(self, token: _Token, sign: str) -> Constant:
        if self._peek().kind == "name" and self._peek().at == token.at + len(token.text):
            raise refuse(self._text, self._peek().at, "unsigned numbers are not offered in rules")
        if token.kind == "double":
            return Constant(float(sign + token.text), token.at)
        value = int(sign + token.text, 16 if token.text[:2] in ("0x", "0X") else 10)
        if not -(2**63) <= value < 2**63:
            raise refuse(self._text, token.at, "a whole number must fit 64 bits")
        return Constant(value, token.at)

    def _string(self, token: _Token) -> str:
        if token.text[0] in "rR":
            return token.text[2:-1]

        def unescaped(match: re.Match[str]) -> str:
            if match[1] not in _ESCAPES:
                raise refuse(
                    self._text, token.at + 1 + match.start(), f"the escape {match[0]!r} is not offered in rules"
                )
            return _ESCAPES[match[1]]

        return _ESCAPE.sub(unescaped, token.text[1:-1])
