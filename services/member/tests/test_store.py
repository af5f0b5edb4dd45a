"""Statements of the store held against the rules they stand for, and what the database itself refuses."""

import random
from datetime import datetime, timedelta

import pytest
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.work import Transaction, Work
from ledger import Ledger, Posted, Reverse, Source
from member.domain.customer import CustomerId
from member.domain.membership import Holder
from member.domain.program import GENERAL
from member.store import customers, members, programs
from member.use_cases.earning import Booked
from member.use_cases.memberships import get_standing
from member.use_cases.tiers import EvaluateTiers, evaluate_tiers
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.member.tests.factories import (
    JANUARY,
    RECORDED_AT,
    award,
    awarded,
    customer,
    day,
    enrolled,
    program,
    rows,
    scalar,
)

LEDGER = Ledger(("issued", "redeemed"))


async def judge(work: Work, number: int) -> None:
    """Tiers judged on a day."""
    await work.run(lambda transaction: evaluate_tiers(transaction, EvaluateTiers(GENERAL, day(number))))


async def test_judging_by_statement_and_by_the_rule_agree(work: Work) -> None:
    """Random earnings over two years, judged every 50 days: each member holds the tier that the rule names."""
    dice = random.Random(7)
    ids = [f"c-{number}" for number in range(40)]
    await enrolled(work, *ids)
    earned: dict[str, list[tuple[int, int]]] = {each: [] for each in ids}
    for who in ids:
        for _ in range(dice.randrange(8)):
            when, points = dice.randrange(700), dice.choice([1, 99, 150, 299, 300, 301, 700, 999, 1000])
            earned[who].append((when, points))
    await awarded(work, *(award(points, at=day(when), customer_id=who) for who in ids for when, points in earned[who]))
    rule = program(GENERAL)
    for number in range(0, 1100, 50):
        await judge(work, number)
        held = dict(await rows(work, "SELECT customer_id, tier_id FROM members"))
        for who in ids:
            counting = sum(points for when, points in earned[who] if number - 365 < when <= number)
            reached = rule.tier_reached({rule.points_measure: counting}, day(number))
            assert held[who] == reached.tier_id, (who, number)


async def test_a_reversal_takes_points_out_of_the_window_they_were_earned_in(work: Work) -> None:
    await enrolled(work, "c-1")
    old, new = await awarded(work, award(400, at=day(1)), award(500, at=day(300)))
    assert isinstance(old, Booked)
    assert isinstance(new, Booked)
    undo = Reverse(source=Source("undo"), kind="reversal", occurred_at=day(310), of=Source(old.transaction_id))

    async def reverse(transaction: Transaction) -> Posted:
        return await LEDGER.post_one(transaction.connection, undo, recorded_at=transaction.recorded_at)

    await work.run(reverse)
    async with work.reading() as connection:
        for number, expected in ((309, 900), (310, 500), (370, 500)):
            found = await get_standing(connection, Holder(CustomerId("c-1"), GENERAL), as_of=day(number))
            assert found.qualifying_points == expected


async def test_the_tier_at_an_instant_is_the_last_that_began_by_then(work: Work) -> None:
    await enrolled(work, "c-1", at=day(5))
    await awarded(work, award(300, at=day(5)))
    for number in (5, 20):
        await judge(work, number)
    await awarded(work, award(1000, at=day(21)))
    await judge(work, 30)
    instants: list[tuple[datetime, str | None]] = [
        (day(5) - timedelta(microseconds=1), None),
        (day(5), "silver"),
        (day(30) - timedelta(microseconds=1), "silver"),
        (day(30), "gold"),
        (day(400), "gold"),
    ]
    async with work.reading() as connection:
        found = await members.members_at(connection, [(CustomerId("c-1"), instant) for instant, _ in instants])
    assert {each.position: each.tier_id for each in found} == {
        position: tier for position, (_, tier) in enumerate(instants) if tier
    }


async def test_a_thousand_customers_are_put_by_one_statement_and_listed_in_pages(work: Work) -> None:
    wanted = [customer(f"c-{number:04}") for number in range(1000)]

    async def put(transaction: Transaction) -> list[customers.PutCustomer]:
        outcomes = await customers.upsert_customers(transaction.connection, wanted, recorded_at=RECORDED_AT)
        return [outcome for outcome in outcomes if isinstance(outcome, customers.PutCustomer)]

    first = await work.run(put)
    assert len(first) == 1000
    assert all(outcome.created for outcome in first)
    assert not any(outcome.changed for outcome in await work.run(put))
    seen: list[str] = []
    async with work.reading() as connection:
        everybody = customers.CustomerFilter()
        while page := await customers.list_customers(
            connection, everybody, after=seen[-1] if seen else None, limit=300
        ):
            seen += [each.customer_id for each in page]
        found = (await customers.find_customers(connection, [CustomerId("c-0500")]))[CustomerId("c-0500")]
    assert seen == sorted(each.customer_id for each in wanted)
    assert found == customer("c-0500", revision=1)


async def test_the_ready_made_program_gives_100_120_and_150(work: Work) -> None:
    async with work.reading() as connection:
        found = await programs.find_program(connection, GENERAL)
    assert found is not None
    assert [tier.earn_rate_percent for tier in found.tiers] == [100, 120, 150]
    assert found.first_tier.points_required == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tier_history SET tier_id = 'gold'",
        "DELETE FROM tier_history",
        "UPDATE ledger_entries SET amount = amount + 1",
        "DELETE FROM ledger_transactions",
        "TRUNCATE unrewarded_payments",
        "CREATE TABLE mine (id int)",
    ],
)
async def test_history_and_books_cannot_be_rewritten(work: Work, statement: str) -> None:
    await enrolled(work, "c-1")
    await awarded(work, award(5, at=day(1)))
    with pytest.raises(DBAPIError):
        await work.run(lambda transaction: transaction.connection.execute(text(statement)))
    assert await scalar(work, "SELECT sum(amount) FROM ledger_entries WHERE amount > 0") == 5


async def test_a_customer_is_a_member_once_whatever_the_code_does(work: Work) -> None:
    await enrolled(work, "c-1")
    columns = "customer_id, program_id, tier_id, tier_since, enrolled_at, revision"
    copied = f"INSERT INTO members (member_id, {columns}) SELECT :id, {columns} FROM members"
    with pytest.raises(DBAPIError, match="members_once_per_program"):
        await work.run(lambda transaction: transaction.connection.execute(text(copied), {"id": new_id()}))


async def test_two_refusals_of_the_ledger_leave_their_neighbours(work: Work) -> None:
    await enrolled(work, "c-1")
    (first,) = await awarded(work, award(5, at=JANUARY, transaction_id="t-1"))
    again, fresh = await awarded(
        work, award(5, at=JANUARY, transaction_id="t-1"), award(6, at=JANUARY, transaction_id="t-2")
    )
    assert (isinstance(first, Booked), isinstance(again, Refusal), isinstance(fresh, Booked)) == (True, True, True)
