"""Earning rules to test with, and what becomes of what they give."""

from datetime import datetime
from typing import Any

from chassis.ids import new_id
from chassis.work import Work
from ledger import Shortfall
from member.domain.earning import Occasion
from member.domain.earning_rule import (
    Amount,
    Caps,
    Conditions,
    EarningPolicy,
    EarningRule,
    Fixed,
    RuleId,
    RuleVersion,
    Trigger,
)
from member.domain.kinds import EarnClass
from member.domain.membership import Holder
from member.domain.pending import PendingPoints, Refund
from member.domain.program import GENERAL
from member.use_cases.anniversaries import Anniversaries, reward_anniversaries
from member.use_cases.earning_rules import (
    EndRule,
    Preview,
    PutPolicy,
    PutRule,
    end_rule,
    preview_occasion,
    put_policy,
    put_rule,
)
from member.use_cases.pending import pending_at
from member.use_cases.ripening import Ripened, ripen_points
from member.use_cases.taking_back import TakeBack, TakenBack, take_back

from services.member.tests.factories import CALENDAR, JANUARY, RECORDED_AT, day, rows
from services.member.tests.steps import C1

HOUSEHOLD = Holder(C1, GENERAL)


def rule(rule_id: str = "spring", amount: Amount = Fixed(10), **changes: Any) -> EarningRule:  # noqa: B008 - a constant
    """A rule for recharges that gives ten points on top."""
    values: dict[str, Any] = {
        "program_id": GENERAL,
        "display_name": rule_id.capitalize(),
        "earn_class": EarnClass.SUBSCRIPTION,
        "trigger": Trigger.RECHARGE,
        "conditions": Conditions(),
        "caps": Caps(),
    }
    return EarningRule(rule_id=RuleId(rule_id), amount=amount, **values | changes)


def version(of: EarningRule, number: int = 1, **changes: Any) -> RuleVersion:
    """A version of a rule that acts since January."""
    values: dict[str, Any] = {
        "acts_from": JANUARY,
        "acts_to": None,
        "ended": False,
        "put_by": "boss",
        "recorded_at": RECORDED_AT,
    }
    return RuleVersion(of, number, **values | changes)


async def put(work: Work, wanted: EarningRule, *, since: datetime = JANUARY) -> RuleVersion:
    """A rule put."""
    return await work.run(lambda transaction: put_rule(transaction, PutRule(wanted, since, "boss")))


async def end(work: Work, rule_id: str, at: datetime) -> RuleVersion:
    """A rule ended."""
    return await work.run(lambda transaction: end_rule(transaction, EndRule(RuleId(rule_id), at, "boss")))


async def set_policy(work: Work, **changes: Any) -> EarningPolicy:
    """The general program's policy set."""
    policy = EarningPolicy(GENERAL, **{"acts_from": JANUARY} | changes)
    return await work.run(lambda transaction: put_policy(transaction, PutPolicy(policy)))


async def preview(work: Work, occasion: Occasion) -> Preview:
    """What the household would get."""
    async with work.reading() as connection:
        return await preview_occasion(connection, HOUSEHOLD, occasion, CALENDAR)


async def ripen(work: Work, number: int) -> Ripened:
    """One round of ripe points booked on a day."""
    return await work.run(lambda transaction: ripen_points(transaction, day(number)))


async def waiting(work: Work, number: int | None = None) -> list[PendingPoints]:
    """The household's points that have yet to ripen, now or on a day."""
    async with work.reading() as connection:
        return await pending_at(connection, HOUSEHOLD, as_of=None if number is None else day(number))


async def refund(
    work: Work,
    source: str,
    part_minor: int,
    *,
    on: int,
    paid_minor: int = 100_00,
    refund_id: str = "",
    shortfall: Shortfall = Shortfall.ONLY_WHAT_IS_LEFT,
) -> TakenBack:
    """What a refund takes back."""
    command = TakeBack(Refund(refund_id or f"billing:{new_id()}", source, paid_minor, part_minor, day(on)), shortfall)
    return (await work.run(lambda transaction: take_back(transaction, [command])))[source]


async def celebrate(work: Work, at: datetime) -> tuple[int, int]:
    """Anniversaries rewarded up to an instant, in as many rounds as it takes: members and points."""
    members = given = 0
    while True:
        done: Anniversaries = await work.run(lambda transaction: reward_anniversaries(transaction, at, CALENDAR))
        if not done.members and not done.days:
            return members, given
        members, given = members + done.members, given + done.points


async def entries(work: Work) -> list[tuple[str, int, str, str]]:
    """Every entry of members by name: its kind, points, rule and parts."""
    found = await rows(
        work,
        "SELECT kind, amount, metadata->>'rule', coalesce(metadata->>'parts', '') FROM ledger_transactions"
        " JOIN ledger_entries USING (source) WHERE account_version IS NOT NULL ORDER BY source",
    )
    return [(kind, points, rule_id, parts) for kind, points, rule_id, parts in found]
