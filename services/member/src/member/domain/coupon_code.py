"""Codes of coupons: how ours are made, read from what people type, and checked without asking the database.

A code of ours has 15 symbols of Crockford's base 32 (digits and capital letters without I, L, O and U): 14 drawn at
random, which is 70 bits, and a check symbol. Each symbol stands for an element of the field of 32 (polynomial
x^5 + x^2 + 1); the check symbol makes the sum of symbol times x^position zero. As the positions have different
factors, every single wrong symbol and every exchange of two symbols is found, wherever they stand.
"""

import re
import secrets
from enum import StrEnum
from itertools import accumulate, repeat
from typing import NamedTuple

from chassis.errors import InvalidArgument

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM_SYMBOLS = 14
CODE_SYMBOLS = RANDOM_SYMBOLS + 1
EXTERNAL_SYMBOLS_MIN = 6
EXTERNAL_SYMBOLS_MAX = 40
MAX_TYPED_CHARACTERS = 80

_GROUP = 5
_POLYNOMIAL = 0b100101
_FIELD = 0b100000
_VALUES = {symbol: value for value, symbol in enumerate(ALPHABET)}
# What is easily taken for a digit when read aloud or from paper.
_CONFUSED = str.maketrans("OIL", "011")
_SEPARATORS = re.compile(r"[\s-]+")
_EXTERNAL = re.compile(rf"[A-Z0-9]{{{EXTERNAL_SYMBOLS_MIN},{EXTERNAL_SYMBOLS_MAX}}}")


class CodeOrigin(StrEnum):
    """Where a code comes from: made here, or a partner's own."""

    OURS = "ours"
    EXTERNAL = "external"


class CodeMistyped(InvalidArgument):
    """The check symbol does not fit, so a symbol is wrong; nobody's code was looked up."""

    def __init__(self, field: str) -> None:
        super().__init__(field, "is mistyped: its last symbol does not fit the others")


class Code(NamedTuple):
    """A code as it is stored: capitals and digits, without separators."""

    text: str
    origin: CodeOrigin


def new_code() -> str:
    """A code nobody can guess."""
    symbols = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_SYMBOLS))
    return symbols + check_symbol(symbols)


def check_symbol(symbols: str) -> str:
    """The symbol that completes 14 others."""
    return ALPHABET[_weighted(symbols)]


def read_code(field: str, typed: str) -> Code:
    """A code from what somebody typed: capitals or not, with spaces or hyphens, O for 0, I or L for 1.

    CodeMistyped for one of our shape whose check symbol does not fit, InvalidArgument for what no code looks like.
    """
    if len(typed) > MAX_TYPED_CHARACTERS or not typed.isascii():
        raise InvalidArgument(field, "is not a code")
    plain = _SEPARATORS.sub("", typed).upper()
    ours = plain.translate(_CONFUSED)
    if len(ours) == CODE_SYMBOLS and all(symbol in _VALUES for symbol in ours):
        if _weighted(ours[:-1]) != _VALUES[ours[-1]]:
            raise CodeMistyped(field)
        return Code(ours, CodeOrigin.OURS)
    if not _EXTERNAL.fullmatch(plain):
        raise InvalidArgument(field, "is not a code")
    return Code(plain, CodeOrigin.EXTERNAL)


def read_external_code(field: str, text: str) -> str:
    """A partner's code to import, or InvalidArgument; it must not look like one of ours, whose check it would fail."""
    plain = _SEPARATORS.sub("", text).upper() if len(text) <= MAX_TYPED_CHARACTERS else ""
    if not _EXTERNAL.fullmatch(plain):
        raise InvalidArgument(field, f"must have {EXTERNAL_SYMBOLS_MIN} to {EXTERNAL_SYMBOLS_MAX} letters or digits")
    if len(plain) == CODE_SYMBOLS and all(symbol in _VALUES for symbol in plain.translate(_CONFUSED)):
        raise InvalidArgument(field, f"must not have {CODE_SYMBOLS} symbols, as codes made here have")
    return plain


def shown(code: str) -> str:
    """The code as people read it: one of ours in groups of five."""
    if len(code) != CODE_SYMBOLS:
        return code
    return "-".join(code[start : start + _GROUP] for start in range(0, CODE_SYMBOLS, _GROUP))


def _doubled(value: int) -> int:
    """The element times x."""
    value <<= 1
    return value ^ _POLYNOMIAL if value & _FIELD else value


_FACTORS = tuple(accumulate(repeat(2, RANDOM_SYMBOLS - 1), lambda factor, _: _doubled(factor), initial=2))


def _product(a: int, b: int) -> int:
    result = 0
    while b:
        if b & 1:
            result ^= a
        a, b = _doubled(a), b >> 1
    return result


_PRODUCTS = tuple(tuple(_product(factor, value) for value in range(len(ALPHABET))) for factor in _FACTORS)


def _weighted(symbols: str) -> int:
    """The sum of the symbols by their places; the check symbol's own factor is 1, so the sum is its value."""
    total = 0
    for products, symbol in zip(_PRODUCTS, symbols, strict=True):
        total ^= products[_VALUES[symbol]]
    return total
