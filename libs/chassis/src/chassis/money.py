"""Money as integers of the smallest unit, and the bounds every amount keeps."""

import re
from dataclasses import dataclass

from chassis.errors import InvalidArgument

# Sums of a million such amounts still fit the database's bigint.
AMOUNT_MAX = 10**12
# The whole, where a share is counted in basis points.
MAX_BASIS_POINTS = 10_000
_CURRENCY = re.compile(r"[A-Z]{3}\Z")


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units of a currency (ISO 4217). Arithmetic is refused across currencies."""

    minor_units: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(self.minor_units + other.minor_units, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        self._same_currency(other)
        return Money(self.minor_units - other.minor_units, self.currency)

    def _same_currency(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise ValueError(f"cannot add {other.currency} to {self.currency}")

    def checked(self, field: str) -> "Money":
        """Itself, or InvalidArgument naming `field` when the amount or the currency cannot be."""
        check_currency(f"{field}.currency", self.currency)
        if abs(self.minor_units) > AMOUNT_MAX:
            raise InvalidArgument(f"{field}.minor_units", f"must lie within ±{AMOUNT_MAX}")
        return self

    def positive(self, field: str) -> "Money":
        """Itself, or InvalidArgument when it is zero or less."""
        if self.checked(field).minor_units <= 0:
            raise InvalidArgument(f"{field}.minor_units", "must be more than 0")
        return self

    def not_negative(self, field: str) -> "Money":
        """Itself, or InvalidArgument when it is less than zero."""
        if self.checked(field).minor_units < 0:
            raise InvalidArgument(f"{field}.minor_units", "must be 0 or more")
        return self


def check_currency(field: str, currency: str) -> str:
    """A currency code of three capital letters, or InvalidArgument."""
    if not _CURRENCY.match(currency):
        raise InvalidArgument(field, "must be a currency code of three capital letters")
    return currency
