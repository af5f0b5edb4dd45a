"""Lifetime value: the money expected of a customer's coming purchases, discounted to the day of the run.

The BG/NBD model has no closed form for discounted purchases, so the horizon is cut into periods of four weeks and each
period's expected purchases are discounted from its middle:

    value = E[spend per purchase] * sum over periods of (E[X(end)] - E[X(begin)]) / (1 + d) ** (middle / 52)

It is revenue, not profit, and it ends with the horizon: what comes after is not in it.
"""

from dataclasses import dataclass

import numpy as np

from scoring.domain.bgnbd import BgNbd, expected_purchases
from scoring.domain.history import Floats, Population

PERIOD_WEEKS = 4
WEEKS_PER_YEAR = 52
BASIS_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class ValueTerms:
    """How far ahead value is counted and what a year's waiting costs, in hundredths of a percent."""

    horizon_weeks: int
    annual_discount_bps: int


def discounted_purchases(model: BgNbd, population: Population, terms: ValueTerms) -> Floats:
    """Expected purchases within the horizon, each counted at what it is worth today; a last period may be shorter."""
    total = np.zeros_like(population.repeats)
    until_begin = np.zeros_like(population.repeats)
    yearly = 1 + terms.annual_discount_bps / BASIS_POINTS
    for begin_weeks in range(0, terms.horizon_weeks, PERIOD_WEEKS):
        end_weeks = min(begin_weeks + PERIOD_WEEKS, terms.horizon_weeks)
        until_end = expected_purchases(model, population, end_weeks)
        middle_years = (begin_weeks + end_weeks) / 2 / WEEKS_PER_YEAR
        total += (until_end - until_begin) / yearly**middle_years
        until_begin = until_end
    return total
