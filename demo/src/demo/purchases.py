"""The CDNOW purchases (Fader and Hardie, 2001) as rows with an identity, read out of the `lifetimes` distribution.

The distribution is used as a carrier of two text files; its code is never imported. A row's identity is its file and
its line, because equal rows are different purchases: 21 rows of the sample repeat an earlier one exactly. Amounts are
dollars with two decimals in the files and whole cents here, without a float on the way.
"""

import importlib.metadata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import assert_never

CENTS_PER_DOLLAR = 100


class PurchaseFile(StrEnum):
    """The files of the distribution; the value is the file's name, and so the first half of a row's identity."""

    SAMPLE = "CDNOW_sample.txt"
    FULL = "CDNOW_master.txt"


class MalformedPurchaseError(ValueError):
    """A line that is not a purchase; raised with the file and the line, so that the file can be looked at."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """One line of a file. `line` counts from 1 and counts a header, so that an editor shows the same number."""

    line: int
    customer: str
    day: date
    units: int
    amount_minor: int


def read_purchases(file: PurchaseFile) -> list[Purchase]:
    """Every purchase of `file` in the file's own order; raises `MalformedPurchaseError`, leaving no line out."""
    lines = purchase_file_path(file).read_text(encoding="ascii").splitlines()
    return list(parse_purchases(file, lines))


def purchase_file_path(file: PurchaseFile) -> Path:
    """Where the installed distribution keeps `file`; found by its metadata, so that nothing of it is executed."""
    distribution = importlib.metadata.distribution("lifetimes")
    return Path(str(distribution.locate_file(f"lifetimes/datasets/{file.value}")))


def parse_purchases(file: PurchaseFile, lines: list[str]) -> Iterator[Purchase]:
    """The purchases of `lines`. Only the full file starts with a header, which is a line but no purchase."""
    for number, line in enumerate(lines, start=1):
        match file:
            case PurchaseFile.SAMPLE:
                yield _parse(file, number, line, columns=5)
            case PurchaseFile.FULL:
                if number > 1:
                    yield _parse(file, number, line, columns=4)
            case _:
                assert_never(file)


def _parse(file: PurchaseFile, number: int, line: str, *, columns: int) -> Purchase:
    """One line. The sample's first column is the id in the full file; its second is the one the literature uses."""
    words = line.split()
    if len(words) != columns:
        raise MalformedPurchaseError(f"{file.value}:{number}: {len(words)} columns instead of {columns}")
    customer, day, units, amount = words[-4:]
    try:
        return Purchase(
            line=number,
            customer=customer,
            day=date.fromisoformat(day),
            units=int(units),
            amount_minor=amount_to_cents(amount),
        )
    except ValueError as error:
        raise MalformedPurchaseError(f"{file.value}:{number}: {error}") from error


def amount_to_cents(amount: str) -> int:
    """Dollars as printed into whole cents; raises `ValueError` on a fraction of a cent, a sign or no number."""
    try:
        cents = Decimal(amount) * CENTS_PER_DOLLAR
    except InvalidOperation as error:
        raise ValueError(f"{amount!r} is not an amount") from error
    if not cents.is_finite() or cents.is_signed() or cents != cents.to_integral_value():
        raise ValueError(f"{amount!r} is not a whole number of cents")
    return int(cents)
