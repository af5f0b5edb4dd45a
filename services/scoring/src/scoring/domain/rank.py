"""Ranks with one tie rule: equal values share the middle of the ranks they take up together.

A rank is kept as the exact fraction (2 * smaller + equal) / (2 * all); percentiles, quintiles and deciles are cut from
that integer, so neither the order of the rows nor a rounding moves a customer.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from scoring.domain.history import Floats, Integers

QUINTILES = 5
DECILES = 10


@dataclass(frozen=True, slots=True)
class Ranks:
    """Every row's mid-rank: `doubled` counts each smaller row twice and each equal row (itself too) once."""

    doubled: Integers
    rows: int

    def percentiles(self) -> Floats:
        """The share of rows below, in percent, from above 0 to below 100; 50 when all rows are equal."""
        return 100 * self.doubled / (2 * self.rows)

    def quintiles(self) -> Integers:
        """1 for the lowest fifth to 5 for the highest."""
        return self.doubled * QUINTILES // (2 * self.rows) + 1

    def deciles(self) -> Integers:
        """1 for the highest tenth to 10 for the lowest, as deciles of value are read."""
        return DECILES - self.doubled * DECILES // (2 * self.rows)


def rank(values: ArrayLike) -> Ranks:
    """The mid-ranks of whole numbers, smallest first."""
    integers = np.asarray(values, dtype=np.int64)
    _, position, equal = np.unique(integers, return_inverse=True, return_counts=True)
    smaller = np.cumsum(equal) - equal
    return Ranks(doubled=(2 * smaller + equal)[position].astype(np.int64), rows=len(integers))
