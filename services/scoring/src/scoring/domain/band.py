"""Value bands A to D by fixed amounts.

The amounts are drawn once, from the first published run, and handed on from run to run: a customer changes band because
the customer's value changed, not because the others' did.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

# The shares of the reference run's customers in A, and in A and B, and in A to C, in percent.
REFERENCE_SHARES_PERCENT = (20, 50, 80)


class ValueBand(StrEnum):
    """A is the most valuable."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


@dataclass(frozen=True, slots=True)
class BandCutoffs:
    """The lowest lifetime value of A, B and C, in minor units of the run's currency."""

    a_minor: int
    b_minor: int
    c_minor: int

    def band(self, value_minor: int) -> ValueBand:
        """The band of a value; a value equal to a cut-off belongs to the better band."""
        if value_minor >= self.a_minor:
            return ValueBand.A
        if value_minor >= self.b_minor:
            return ValueBand.B
        return ValueBand.C if value_minor >= self.c_minor else ValueBand.D


def draw_cutoffs(values_minor: Sequence[int]) -> BandCutoffs:
    """Cut-offs that put the reference shares of `values_minor` into the bands; equal values stay together, upwards."""
    assert values_minor, "cut-offs are drawn from at least one value"
    best_first = sorted(values_minor, reverse=True)
    a_minor, b_minor, c_minor = (
        best_first[max(0, (len(best_first) * percent + 99) // 100 - 1)] for percent in REFERENCE_SHARES_PERCENT
    )
    return BandCutoffs(a_minor, b_minor, c_minor)
