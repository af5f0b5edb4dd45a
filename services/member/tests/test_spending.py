"""Spending, undoing, transfers, pools and statements on the real database: what changes, is refused, and is told."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from chassis.calendar import Calendar, Period
from chassis.errors import InvalidArgument, Refusal
from chassis.ids import new_id
from chassis.money import Money
from chassis.paging import Page
from chassis.work import Transaction, Work
from ledger import AlreadyReversed, EntryFilter, InsufficientBalance, NotReversible, ReversalExceedsOriginal
from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder, MemberNotFound
from member.domain.pool import PoolNotFound
from member.domain.program import GENERAL, ProgramId
from member.domain.spending import (
    CashOffNotOffered,
    CashRate,
    PointsRules,
    Purpose,
    ReversalShortfall,
    TransactionNotFound,
    TransferLimitReached,
)
from member.domain.statement import EntryClass, kinds_of
from member.use_cases import balances, points_rules, pools, reversing, spending, transfers
from member.use_cases.customers import UpsertCustomer
from member.use_cases.memberships import EnrolCustomer, enrol_customers

from services.member.tests.customers import merge, merging
from services.member.tests.factories import JANUARY, award, awarded, customer, day, enrolled, person, rows, told
from services.member.tests.steps import C1, balance, confirm, expire, hold, prove, put

SHANGHAI = Calendar(ZoneInfo("Asia/Shanghai"))
WHOLE, CHILD, AUNT = PersonId(""), PersonId("p-1"), PersonId("p-2")


def holder(person_id: PersonId = WHOLE, program_id: ProgramId = GENERAL) -> Holder:
    return Holder(C1, program_id, person_id)


async def household(work: Work) -> None:
    """A customer who is a member as a whole, and two persons of it who are."""
    await put(work, UpsertCustomer(customer(persons=(person("p-1"), person("p-2")))))
    wanted = [EnrolCustomer(holder(each), JANUARY) for each in (WHOLE, CHILD, AUNT)]
    await work.run(lambda transaction: enrol_customers(transaction, wanted))


async def give(work: Work, points: int, who: PersonId = WHOLE, *, on: int = 1, **changes: Any) -> str:
    (done,) = await awarded(work, replace(award(points, at=day(on), **changes), holder=holder(who)))
    assert not isinstance(done, Refusal), done
    return done.transaction_id


async def spend(work: Work, points: int, *, on: int = 2, **changes: Any) -> spending.Spent:
    values: dict[str, Any] = {"holder": holder(), "reason": "", "occurred_at": day(on), "purpose": Purpose.GIFT}
    command = spending.SpendPoints(new_id(), points=points, **values | changes)
    return await work.run(lambda transaction: spending.spend_points(transaction, command))


async def reverse(work: Work, of: str, points: int | None = None, *, on: int = 3, **changes: Any) -> reversing.Reversed:
    values: dict[str, Any] = {"customer_id": C1, "reason": "returned", "occurred_at": day(on)}
    command = reversing.ReversePoints(new_id(), of=of, points=points, **values | changes)
    return await work.run(lambda transaction: reversing.reverse_points(transaction, command))


async def transfer(
    work: Work, points: int, giver: PersonId, receiver: PersonId, *, on: float = 2
) -> transfers.Transferred:
    command = transfers.TransferPoints(
        new_id(), C1, GENERAL, giver, receiver, points, reason="", occurred_at=JANUARY + timedelta(days=on)
    )
    return await work.run(lambda t: transfers.transfer_points(t, command, calendar=SHANGHAI))


async def pool(work: Work, *persons: PersonId) -> pools.PoolView:
    command = pools.PutPool(C1, GENERAL, persons, put_by="boss")
    return await work.run(lambda transaction: pools.put_pool(transaction, command))


async def rules(work: Work, *, since: int = 0, **changes: Any) -> PointsRules:
    values: dict[str, Any] = {
        "shortfall": ReversalShortfall.ONLY_WHAT_IS_LEFT,
        "most_owed": 0,
        "regrant_days": 0,
        "most_transferred_a_day": 1000,
        "cash_rate": CashRate(100, Money(100, "CNY")),
    }
    command = points_rules.PutPointsRules(PointsRules(GENERAL, day(since), **values | changes), put_by="boss")
    return await work.run(lambda transaction: points_rules.put_rules(transaction, command))


async def of(work: Work, who: PersonId, *, on: int | None = None) -> int:
    async with work.reading() as connection:
        found, _ = await balances.get_balance(connection, holder(who), as_of=None if on is None else day(on))
    return found.balance


async def test_points_are_spent_at_once_for_money_at_the_rate_of_that_day(work: Work) -> None:
    await enrolled(work, "c-1")
    await give(work, 1000)
    await rules(work, since=5, cash_rate=CashRate(3, Money(1, "CNY")))
    before = await spend(work, 199, purpose=Purpose.CASH_OFF, reference="order-1", on=4)
    after = await spend(work, 199, purpose=Purpose.CASH_OFF, reference="order-2", on=5)
    assert (before.cash_off, after.cash_off) == (Money(199, "CNY"), Money(66, "CNY")), "rounded down"
    assert (before.balance.balance, after.balance.balance) == (801, 602)
    with pytest.raises(CashOffNotOffered):
        await spend(work, 2, purpose=Purpose.CASH_OFF, on=6)
    await rules(work, since=7, cash_rate=None)
    with pytest.raises(CashOffNotOffered):
        await spend(work, 100, purpose=Purpose.CASH_OFF, on=7)
    found = await rows(work, "SELECT metadata FROM ledger_transactions WHERE kind = 'redeem' ORDER BY occurred_at")
    assert found[0][0] == {
        "reason": "",
        "purpose": "cash_off",
        "reference": "order-1",
        "cash_off_minor": 199,
        "currency": "CNY",
    }
    assert await told(work, "PointsRedeemed") == 2


async def test_what_is_missing_is_said_in_points_and_names_no_account(work: Work) -> None:
    await enrolled(work, "c-1")
    await give(work, 20)
    with pytest.raises(InsufficientBalance) as refusal:
        await spend(work, 21)
    assert refusal.value.message == "20 points are available, 21 were asked for"
    assert refusal.value.metadata == {"available": "20", "asked": "21"}


async def test_a_redemption_across_a_thousand_small_grants_is_one_call(work: Work) -> None:
    await enrolled(work, "c-1")
    await awarded(work, *(award(3, at=day(1), expires_at=day(10 + number)) for number in range(1000)))
    spent = await spend(work, 2999)
    assert spent.balance.balance == 1
    ((moves,),) = await rows(
        work, "SELECT count(*) FROM ledger_lot_moves WHERE account_version = :v", v=spent.balance.account_version
    )
    assert moves == 1000
    await reverse(work, spent.transaction_id)
    assert await balance(work, on=509) == (1500, 0), "each is back in its own grant: 500 have expired by then"
    await prove(work)


async def test_points_expire_at_their_very_instant(work: Work) -> None:
    await enrolled(work, "c-1")
    await give(work, 10, expires_at=day(5))
    await give(work, 10, expires_at=day(5))
    await spend(work, 5, occurred_at=day(5) - timedelta(microseconds=1))
    with pytest.raises(InsufficientBalance):
        await spend(work, 1, occurred_at=day(5))
    async with work.reading() as connection:
        for at, left in ((day(5) - timedelta(microseconds=1), 15), (day(5), 0)):
            found, _ = await balances.get_balance(connection, holder(), as_of=at)
            assert found.balance == left


async def test_a_part_of_a_redemption_is_given_back_once(work: Work) -> None:
    await enrolled(work, "c-1")
    await give(work, 100)
    spent = await spend(work, 80)
    done = await reverse(work, spent.transaction_id, 30)
    assert [(each.points, each.balance.balance) for each in done.undone] == [(30, 50)]
    with pytest.raises(ReversalExceedsOriginal):
        await reverse(work, spent.transaction_id, 51)
    assert (await reverse(work, spent.transaction_id)).reversed_points == 50
    with pytest.raises(AlreadyReversed):
        await reverse(work, spent.transaction_id)
    with pytest.raises(NotReversible):
        await reverse(work, done.transaction_id)
    assert (await balance(work), await told(work, "PointsReversed")) == ((100, 0), 2)
    await prove(work)


@pytest.mark.parametrize(("regrant_days", "left"), [(0, 0), (7, 40)])
async def test_what_comes_back_to_an_expired_grant_lives_as_the_rules_say(
    work: Work, regrant_days: int, left: int
) -> None:
    await enrolled(work, "c-1")
    await rules(work, regrant_days=regrant_days)
    await give(work, 40, expires_at=day(10))
    spent = await spend(work, 40)
    await expire(work, 15)
    await reverse(work, spent.transaction_id, on=20)
    assert [(await balance(work, on=number))[0] for number in (20, 26, 27)] == [left, left, 0]


@pytest.mark.parametrize(
    ("policy", "most_owed", "taken", "after"),
    [
        (ReversalShortfall.ONLY_WHAT_IS_LEFT, 50, 20, 30),
        (ReversalShortfall.DOWN_TO_ZERO, 50, 50, 0),
        (ReversalShortfall.NEGATIVE, 50, 100, -50),
        (ReversalShortfall.NEGATIVE, 10, 60, -10),
        (None, 50, 20, 30),
    ],
)
async def test_an_earning_already_spent_is_taken_back_by_the_stated_policy(
    work: Work, policy: ReversalShortfall | None, most_owed: int, taken: int, after: int
) -> None:
    await enrolled(work, "c-1")
    await rules(work, most_owed=most_owed)
    earned = await give(work, 100, expires_at=day(50))
    await give(work, 30, expires_at=day(60))
    await spend(work, 80)
    done = await reverse(work, earned, shortfall=policy)
    assert ([-each.points for each in done.undone], done.reversed_points) == ([taken], 100)
    assert await balance(work) == (after, 0)
    await prove(work)


async def test_what_is_owed_is_paid_back_by_what_is_earned_next(work: Work) -> None:
    await enrolled(work, "c-1")
    await rules(work, most_owed=100)
    earned = await give(work, 100)
    await spend(work, 80)
    await reverse(work, earned, shortfall=ReversalShortfall.NEGATIVE)
    assert await balance(work) == (-80, 0)
    await give(work, 50, on=4)
    with pytest.raises(InsufficientBalance) as refusal:
        await spend(work, 1, on=5)
    assert refusal.value.metadata["available"] == "-30"
    await give(work, 50, on=6)
    assert (await spend(work, 20, on=7)).balance.balance == 0
    await prove(work)


async def test_a_transaction_of_somebody_else_is_not_found(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    earned = await give(work, 100)
    for of_whom, which in (("c-2", earned), ("c-1", "nothing")):
        with pytest.raises(TransactionNotFound):
            await reverse(work, which, customer_id=CustomerId(of_whom))


async def test_points_move_within_a_household_and_keep_their_expiry(work: Work) -> None:
    await household(work)
    await give(work, 30, expires_at=day(10))
    await give(work, 30, expires_at=day(20))
    moved = await transfer(work, 40, WHOLE, CHILD)
    assert (moved.giver.balance, moved.receiver.balance) == (20, 40)
    assert [await of(work, CHILD, on=number) for number in (9, 10, 20)] == [40, 10, 0]
    await reverse(work, moved.transaction_id)
    assert [await of(work, each) for each in (WHOLE, CHILD)] == [60, 0]
    assert [await of(work, WHOLE, on=number) for number in (9, 10, 20)] == [60, 30, 0]
    assert (await told(work, "PointsTransferred"), await told(work, "PointsReversed")) == (1, 2)
    await prove(work)


async def test_a_day_of_the_operators_has_a_limit_of_transfers(work: Work) -> None:
    """In Shanghai a day begins at 16:00 of the day before, in UTC."""
    await household(work)
    await give(work, 3000)
    await rules(work, most_transferred_a_day=1000)
    await transfer(work, 600, WHOLE, CHILD, on=2)
    with pytest.raises(TransferLimitReached) as refusal:
        await transfer(work, 401, WHOLE, AUNT, on=2.6)
    assert refusal.value.metadata == {"limit": "1000", "left": "400"}
    await transfer(work, 400, WHOLE, AUNT, on=2.6)
    await transfer(work, 1000, WHOLE, AUNT, on=2.7)
    with pytest.raises(InsufficientBalance):
        await transfer(work, 601, CHILD, WHOLE, on=3)
    with pytest.raises(MemberNotFound):
        await transfer(work, 1, WHOLE, PersonId("p-9"), on=3)


async def test_a_pool_pays_in_its_order_and_gives_back_to_who_paid(work: Work) -> None:
    await household(work)
    await give(work, 50, CHILD)
    await give(work, 50, WHOLE)
    await give(work, 50, AUNT)
    with pytest.raises(PoolNotFound):
        await spend(work, 1, from_pool=True)
    assert (await pool(work, CHILD, WHOLE)).pool.revision == 1
    spent = await spend(work, 70, from_pool=True)
    assert [(each.holder.person_id, each.points) for each in spent.payments] == [("p-1", 50), ("", 20)]
    with pytest.raises(InsufficientBalance):
        await spend(work, 31, from_pool=True)
    await pool(work, AUNT)
    await reverse(work, spent.transaction_id, 30)
    assert [await of(work, each) for each in (CHILD, WHOLE, AUNT)] == [10, 50, 50], "who paid last gets back first"
    await reverse(work, spent.transaction_id)
    assert [await of(work, each) for each in (CHILD, WHOLE, AUNT)] == [50, 50, 50]
    assert (await pool(work)).pool.revision == 3
    with pytest.raises(PoolNotFound):
        await spend(work, 1, from_pool=True)
    assert (await pool(work)).pool.revision == 3, "putting it as it is changes nothing"
    await prove(work)


async def test_duplicates_are_merged_with_all_that_is_free(work: Work) -> None:
    one, other = (each.member for each in await enrolled(work, "c-1", "c-2"))
    await give(work, 100, expires_at=day(30))
    await hold(work, 40, expires_at=day(9))
    move = transfers.MoveAll(new_id(), one.member_id, other.member_id, "merged", day(3))
    again = transfers.MoveAll(new_id(), one.member_id, other.member_id, "merged", day(4))

    async def act(transaction: Transaction) -> list[int]:
        return await transfers.move_all(transaction, [move, again])

    assert await work.run(act) == [60, 0]
    assert (await balance(work), await balance(work, CustomerId("c-2"), on=29)) == ((40, 40), (60, 0))
    assert await balance(work, CustomerId("c-2"), on=30) == (0, 0)
    await prove(work)


async def test_a_month_adds_up_in_the_operators_calendar(work: Work) -> None:
    await household(work)
    await give(work, 100, on=1, expires_at=day(45))
    earned = await give(work, 70, on=2)
    spent = await spend(work, 30, on=3)
    await reverse(work, spent.transaction_id, 10, on=4)
    await reverse(work, earned, 20, on=5)
    await transfer(work, 15, WHOLE, CHILD, on=6)
    await hold(work, 10, occurred_at=day(40), expires_at=day(50))
    await confirm(work, 4, on=41)
    feb = SHANGHAI.span(Period.MONTH, day(40))
    for booked in (False, True):
        if booked:
            await expire(work, 60)
        async with work.reading() as connection:
            january = await balances.get_statement(connection, holder(), SHANGHAI.span(Period.MONTH, day(3)))
            february = await balances.get_statement(connection, holder(), feb)
        assert (january.opening, january.earned, january.spent, january.expired) == (0, 170, 30, 0)
        assert (january.reversed, january.transferred, january.closing) == (10 - 20, -15, 115)
        assert (february.opening, february.spent, february.expired, february.closing) == (115, 4, 61, 50)
    async with work.reading() as connection:
        taken = EntryFilter(kinds_of(frozenset([EntryClass.REVERSED, EntryClass.SPENT])), day(3), day(5))
        found = await balances.list_entries(connection, holder(), Page(9, None), among=taken)
    assert [(entry.kind, entry.amount) for entry in found] == [("reversal", 10), ("redeem", -30)]


@pytest.mark.parametrize(
    "bad",
    [
        lambda: spending.SpendPoints("t", holder(), 0, "", day(1)),
        lambda: spending.SpendPoints("t", holder(), 1, "x" * 201, day(1)),
        lambda: spending.SpendPoints("t", holder(), 1, "", day(1), reference="a\x00"),
        lambda: reversing.ReversePoints("t", C1, "of", 0, "why", day(1)),
        lambda: reversing.ReversePoints("t", C1, "of", 1, "", day(1)),
        lambda: transfers.TransferPoints("t", C1, GENERAL, CHILD, CHILD, 1, reason="", occurred_at=day(1)),
        lambda: pools.PutPool(C1, GENERAL, (CHILD, CHILD), put_by="boss"),
    ],
)
def test_what_no_state_could_make_right_is_malformed(bad: Any) -> None:
    with pytest.raises(InvalidArgument):
        bad()


async def test_a_pool_does_not_pay_with_who_went_over_to_another_customer(work: Work) -> None:
    await household(work)
    await give(work, 100, CHILD)
    await pool(work, CHILD)
    await put(work, UpsertCustomer(customer("c-9", persons=())))
    await merge(work, merging("c-9", "c-1"))
    with pytest.raises(PoolNotFound):
        await spend(work, 10, from_pool=True, on=12)
    async with work.reading() as connection:
        with pytest.raises(PoolNotFound):
            await pools.get_pool(connection, C1, GENERAL, as_of=None)
    await prove(work)
