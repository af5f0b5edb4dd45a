"""Why a customer scored so: the three facts that set the customer furthest apart from the others, in words.

A reason is a code for programs and a sentence for people. Its weight is how far from the middle the customer stands
among all customers of the run; ties go by the order of the codes below.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from scoring.domain.history import DAYS_PER_WEEK, Summary

REASONS_PER_CUSTOMER = 3
MIDDLE_PERCENT = 50.0
# A customer met this recently is described as new before anything else: the models know next to nothing of them yet.
NEW_CUSTOMER_DAYS = 28


class ReasonCode(StrEnum):
    """The catalogue; stored and sent, so a code is added and never changed."""

    NEW_CUSTOMER = "NEW_CUSTOMER"
    BOUGHT_ONCE = "BOUGHT_ONCE"
    LIKELY_GONE = "LIKELY_GONE"
    LIKELY_ACTIVE = "LIKELY_ACTIVE"
    BUYS_OFTEN = "BUYS_OFTEN"
    BUYS_SELDOM = "BUYS_SELDOM"
    SPENDS_MUCH = "SPENDS_MUCH"
    SPENDS_LITTLE = "SPENDS_LITTLE"
    BOUGHT_RECENTLY = "BOUGHT_RECENTLY"
    LONG_SILENT = "LONG_SILENT"


@dataclass(frozen=True, slots=True)
class Reason:
    """One fact about a customer, as a code and as a sentence."""

    code: ReasonCode
    text: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a customer stands: the summary, the chance of being active, and the share of customers below, in percent.

    The chance is None where there is no fit.
    """

    summary: Summary
    p_alive: float | None
    recency_percent: float
    frequency_percent: float
    spend_percent: float


def reasons_for(standing: Standing) -> tuple[Reason, ...]:
    """At most three reasons, the strongest first, one of a kind."""
    found = sorted(
        (weighed for say in SAYINGS if (weighed := say(standing)) is not None), key=lambda weighed: -weighed[0]
    )
    return tuple(reason for _, reason in found[:REASONS_PER_CUSTOMER])


Weighed = tuple[float, Reason]


def _of_acquaintance(standing: Standing) -> Weighed | None:
    days = standing.summary.age_days
    if days > NEW_CUSTOMER_DAYS:
        return None
    return MIDDLE_PERCENT, Reason(ReasonCode.NEW_CUSTOMER, f"First bought {_ago(days)}; little is known yet")


def _of_activity(standing: Standing) -> Weighed | None:
    if standing.p_alive is None or standing.summary.repeats == 0:
        return None
    percent = 100 * standing.p_alive
    weight = abs(percent - MIDDLE_PERCENT)
    if percent < MIDDLE_PERCENT:
        return weight, Reason(ReasonCode.LIKELY_GONE, f"Probably gone: {percent:.0f} % chance of still being active")
    return weight, Reason(ReasonCode.LIKELY_ACTIVE, f"Probably active: {percent:.0f} % chance of buying again")


def _of_frequency(standing: Standing) -> Weighed | None:
    percent, repeats = standing.frequency_percent, standing.summary.repeats
    weight = abs(percent - MIDDLE_PERCENT)
    if repeats == 0:
        return weight, Reason(ReasonCode.BOUGHT_ONCE, "Bought on one day only and has not come back")
    days = f"Came back on {repeats} {'day' if repeats == 1 else 'days'}"
    if percent >= MIDDLE_PERCENT:
        return weight, Reason(ReasonCode.BUYS_OFTEN, f"{days}, more than {_share(percent)} of customers")
    return weight, Reason(ReasonCode.BUYS_SELDOM, f"{days}; {_share(100 - percent)} of customers came back more often")


def _of_spend(standing: Standing) -> Weighed | None:
    percent = standing.spend_percent
    weight = abs(percent - MIDDLE_PERCENT)
    if percent >= MIDDLE_PERCENT:
        return weight, Reason(ReasonCode.SPENDS_MUCH, f"Spent more in all than {_share(percent)} of customers")
    return weight, Reason(ReasonCode.SPENDS_LITTLE, f"Spent less in all than {_share(100 - percent)} of customers")


def _of_recency(standing: Standing) -> Weighed | None:
    percent, silent = standing.recency_percent, standing.summary.silent_days
    weight = abs(percent - MIDDLE_PERCENT)
    if percent >= MIDDLE_PERCENT:
        return weight, Reason(ReasonCode.BOUGHT_RECENTLY, f"Last bought {_ago(silent)}")
    return weight, Reason(ReasonCode.LONG_SILENT, f"Has not bought for {_lasting(silent)}")


def _share(percent: float) -> str:
    """Whole percents, rounded down: nobody is above all, being one of them."""
    return f"{math.floor(percent)} %"


def _ago(days: int) -> str:
    return "today" if days == 0 else f"{_lasting(days)} ago"


def _lasting(days: int) -> str:
    """Days up to two weeks, whole weeks after that: nobody counts 237 days."""
    if days <= 2 * DAYS_PER_WEEK:
        return f"{days} {'day' if days == 1 else 'days'}"
    return f"{days // DAYS_PER_WEEK} weeks"


SAYINGS: tuple[Callable[[Standing], Weighed | None], ...] = (
    _of_acquaintance,
    _of_activity,
    _of_frequency,
    _of_spend,
    _of_recency,
)
