"""Gifts, credit limits, payers, what is taken back and what expires: through the use cases on PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import pytest
from billing.domain.account import BalanceParts
from billing.domain.credit_limit import SetCreditLimit
from billing.domain.gift import GiftUsedUp, GrantGift, RevokeGift
from billing.domain.ids import AccountId, TransactionId
from billing.domain.movement import CreditLimitInUse, GiftTerms, InsufficientBalance, Moved
from billing.domain.payer import CurrencyMismatch, Payer, PayerChain, PayerIsAccount, PayerNotFound, PutPayers
from billing.domain.reversal import (
    RechargeAlreadyReversed,
    Recharged,
    RechargeExceeded,
    RechargeNotFound,
    RechargeOfPayment,
    ReverseRecharge,
)
from billing.domain.wish import Charge
from billing.store.balance import parts
from billing.use_cases.account import get_account, get_balance
from billing.use_cases.credit_limit import Limited, set_credit_limits
from billing.use_cases.expiry import ExpiredRound, expire_gifts
from billing.use_cases.gift import Granted, gifts_page, grant_gifts, revoke_gift
from billing.use_cases.payer import get_payers, put_payers
from billing.use_cases.reversal import reverse_recharge
from billing.use_cases.wish import charge_accounts
from chassis.errors import InvalidArgument, Refusal
from chassis.work import Transaction, Work
from sqlalchemy import text

from services.billing.tests.factories import (
    ACCOUNT,
    CALENDAR,
    OCCURRED_AT,
    PLAN,
    Billing,
    a_plan,
    charge,
    cny,
    opening,
    recharge,
)
from services.billing.tests.test_use_cases import bills, moved, told

T = TypeVar("T")
TOMORROW = OCCURRED_AT + timedelta(days=1)
PARENT = AccountId("parent")


@pytest.fixture
async def billing(work: Work) -> Billing:
    """One account on the basic plan with 100 yuan, and a parent of it with 50 and without a plan."""
    made = Billing(work)
    await made.put_plan(a_plan())
    await made.open(opening(plan_id=PLAN), opening(PARENT))
    await made.move(recharge(100_00), recharge(50_00, PARENT))
    return made


async def act(billing: Billing, use_case: Callable[..., Awaitable[T]], *wanted: object) -> T:
    """The use case in a transaction of its own."""

    async def run(transaction: Transaction) -> T:
        return await use_case(transaction, *wanted)

    return await billing.work.run(run)


async def refusal_of(billing: Billing, use_case: Callable[..., Awaitable[object]], wanted: object) -> type[Refusal]:
    """What it is refused with."""
    with pytest.raises(Refusal) as refused:
        await act(billing, use_case, wanted)
    return type(refused.value)


grant = partial(grant_gifts, calendar=CALENDAR)
limit = partial(set_credit_limits, calendar=CALENDAR)
take = partial(charge_accounts, calendar=CALENDAR)
expire = partial(expire_gifts, calendar=CALENDAR)
revoke = partial(revoke_gift, calendar=CALENDAR)
reverse = partial(reverse_recharge, calendar=CALENDAR)


def a_gift(amount: int = 20_00, *, expires_at: datetime | None = TOMORROW, priority: int = 0) -> GrantGift:
    """Gift credit of the account."""
    return GrantGift(
        account_id=ACCOUNT,
        amount=cny(amount),
        terms=GiftTerms(expires_at, priority),
        reason="welcome",
        occurred_at=OCCURRED_AT,
    )


async def given(billing: Billing, *wanted: GrantGift) -> list[Granted]:
    """Gifts that are not refused."""
    outcomes = await act(billing, grant, wanted)
    assert not [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    return [outcome for outcome in outcomes if isinstance(outcome, Granted)]


def a_limit(amount: int, account_id: str = ACCOUNT) -> SetCreditLimit:
    """A credit limit."""
    return SetCreditLimit(
        account_id=AccountId(account_id), credit_limit=cny(amount), reason="asked", occurred_at=OCCURRED_AT
    )


def paying(*payers: Payer, account_id: str = ACCOUNT) -> PutPayers:
    """Who pays for the account."""
    return PutPayers(account_id=AccountId(account_id), payers=payers, occurred_at=OCCURRED_AT)


async def balance(billing: Billing, account_id: str = ACCOUNT, *, as_of: datetime | None = None) -> BalanceParts:
    """What a balance consists of."""
    async with billing.work.reading() as connection:
        return await get_balance(connection, AccountId(account_id), None, as_of=as_of)


async def charged(billing: Billing, *wanted: Charge) -> list[Moved | Refusal]:
    """Rated charges, payers first."""
    return await act(billing, take, wanted)


async def test_gifts_are_spent_by_priority_then_expiry_then_age_and_cash_last(billing: Billing) -> None:
    later = TOMORROW + timedelta(days=1)
    await given(
        billing,
        a_gift(4, priority=1, expires_at=TOMORROW),
        a_gift(3, expires_at=None),
        a_gift(2, expires_at=later),
        a_gift(1, expires_at=TOMORROW),
    )
    async with billing.work.reading() as connection:
        listed = await gifts_page(connection, ACCOUNT, None, after=None, limit=10)

    assert [gift.remaining.minor_units for gift in listed] == [1, 2, 3, 4]
    (spent,) = moved(await charged(billing, charge(8)))
    assert (spent.amount, spent.gift) == (cny(8), cny(8))
    async with billing.work.reading() as connection:
        left = await gifts_page(connection, ACCOUNT, None, after=None, limit=10)
    assert [(gift.granted.minor_units, gift.remaining.minor_units) for gift in left] == [(4, 2)]
    (mixed,) = moved(await charged(billing, charge(10_00)))
    assert (mixed.gift, (await balance(billing)).cash) == (cny(2), cny(90_02))
    assert await billing.proof() == []


async def test_gifts_give_no_recharge_and_tell_themselves(billing: Billing) -> None:
    await given(billing, a_gift())

    assert (await told(billing)).count("AccountRecharged") == 2
    assert (await told(billing))[-1] == "GiftGranted"


@pytest.mark.parametrize(
    ("at", "left"),
    [(datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC), 20_00), (datetime(2026, 3, 29, 1, tzinfo=UTC), 0)],
    ids=["the last second", "the instant itself"],
)
async def test_a_gift_is_gone_at_its_very_instant(billing: Billing, at: datetime, left: int) -> None:
    # One hour before the clocks of Europe leap from two to three: instants are what counts.
    await given(billing, a_gift(expires_at=datetime(2026, 3, 29, 1, tzinfo=UTC)))

    assert (await balance(billing, as_of=at)).gift == cny(left)
    (spent,) = moved(await charged(billing, replace(charge(1), occurred_at=at)))
    assert spent.gift == cny(1 if left else 0)
    assert (await balance(billing)).balance == cny(100_00 + left - 1)


async def test_what_expires_untouched_is_booked_at_its_own_instant_and_may_be_billed(billing: Billing) -> None:
    await billing.open(opening("new", plan_id=PLAN))
    await billing.move(recharge(30_00, "new"))
    await given(billing, replace(a_gift(40_00), account_id=AccountId("new")))

    done = [await act(billing, expire, TOMORROW) for _ in range(2)]

    assert done == [ExpiredRound(1, 1), ExpiredRound(0, 0)]
    (bill,) = await bills(billing)
    assert (bill.balance_at_issue, bill.issued_at) == (cny(30_00), TOMORROW)
    assert (await told(billing))[-3:] == ["GiftExpired", "BalanceFellBelowThreshold", "BillIssued"]
    assert await billing.proof() == []


async def test_a_gift_is_taken_back_once_and_never_as_cash(billing: Billing) -> None:
    (gift,) = (each.gift for each in await given(billing, a_gift()))
    await charged(billing, charge(5_00))
    wanted = RevokeGift(gift_id=gift.gift_id, reason="typed twice", occurred_at=OCCURRED_AT)

    revoked = await act(billing, revoke, wanted)

    assert (revoked.moved.amount, revoked.gift.remaining) == (cny(15_00), cny(0))
    assert (await balance(billing)).cash == (await balance(billing)).balance == cny(100_00)
    assert await refusal_of(billing, revoke, wanted) is GiftUsedUp
    (late,) = (each.gift for each in await given(billing, a_gift()))
    after = replace(wanted, gift_id=late.gift_id, occurred_at=TOMORROW)
    assert await refusal_of(billing, revoke, after) is GiftUsedUp, "it had expired by then"
    assert await billing.proof() == []


async def test_a_credit_limit_lets_a_balance_go_below_zero_and_no_further(billing: Billing) -> None:
    (limited,) = await act(billing, limit, [a_limit(30_00, PARENT)])
    assert isinstance(limited, Limited)
    assert limited.standing.parts.spendable == cny(80_00)

    outcomes = await charged(billing, charge(80_01, PARENT), charge(80_00, PARENT), charge(1, PARENT))

    assert [type(outcome) for outcome in outcomes] == [InsufficientBalance, Moved, InsufficientBalance]
    found = await balance(billing, PARENT)
    assert (found.balance, found.cash, found.spendable) == (cny(-30_00), cny(-30_00), cny(0))
    lower = await act(billing, limit, [a_limit(29_99, PARENT), a_limit(30_00, PARENT)])
    assert [type(outcome) for outcome in lower] == [CreditLimitInUse, Limited]
    assert await billing.proof() == []


async def test_a_gift_does_not_make_room_for_a_lower_limit(billing: Billing) -> None:
    await act(billing, limit, [a_limit(10_00)])
    await charged(billing, charge(105_00))
    await given(billing, a_gift(20_00))

    assert (await balance(billing)).balance == cny(15_00)
    (refused,) = await act(billing, limit, [a_limit(4_99)])
    assert isinstance(refused, CreditLimitInUse), "what is owed on cash is not paid by gifts"


async def test_a_lower_limit_crosses_and_a_higher_one_restores(billing: Billing) -> None:
    await act(billing, limit, [a_limit(50_00)])
    await charged(billing, charge(60_00))
    assert await bills(billing) == [], "balance and limit together are at the threshold"

    (lower,) = await act(billing, limit, [a_limit(0)])
    (higher,) = await act(billing, limit, [a_limit(50_00)])

    assert isinstance(lower, Limited)
    assert isinstance(higher, Limited)
    assert lower.moved.bill is not None
    assert [each.account.below_threshold for each in (lower.standing, higher.standing)] == [True, False]
    assert [name for name in await told(billing) if name.startswith("Balance")] == [
        "BalanceFellBelowThreshold",
        "BalanceRestored",
    ]


async def test_a_charge_is_drawn_from_payers_in_order_and_whole_or_not_at_all(billing: Billing) -> None:
    await act(billing, put_payers, paying(Payer(PARENT)))

    small, large, too_much = await charged(billing, charge(20_00), charge(60_00), charge(70_01))

    assert isinstance(small, Moved)
    assert isinstance(large, Moved)
    assert isinstance(too_much, InsufficientBalance)
    assert [(share.account_id, share.amount) for share in small.shares] == [(PARENT, cny(20_00))]
    assert (small.balance_after, small.account_version) == (cny(100_00), 1), "its own balance did not move"
    assert [(share.account_id, share.amount) for share in large.shares] == [(PARENT, cny(30_00)), (ACCOUNT, cny(30_00))]
    assert too_much.metadata["available_minor"] == "7000"
    assert await billing.proof() == []


async def test_a_payer_is_left_out_of_what_its_month_or_its_products_do_not_cover(billing: Billing) -> None:
    await act(billing, put_payers, paying(Payer(PARENT, cny(10_00), ("tv",))))
    tv = partial(replace, family="tv")
    april = datetime(2026, 4, 1, tzinfo=UTC)

    outcomes = [
        await charged(billing, charge(1_00)),
        await charged(billing, tv(charge(11_00)), tv(charge(6_00)), tv(charge(5_00))),
        await charged(billing, tv(charge(4_00)), tv(charge(1)), tv(charge(10_00), occurred_at=april)),
    ]

    paid = [[bool(each.paid_by_others) for each in moved(of_batch)] for of_batch in outcomes]
    assert paid == [[False], [False, True, False], [True, False, True]]
    assert (await balance(billing, PARENT)).balance == cny(30_00)
    assert await billing.proof() == []


async def test_a_payer_that_is_drawn_below_its_threshold_is_billed(billing: Billing) -> None:
    await billing.open(opening("rich", plan_id=PLAN))
    await billing.move(recharge(60_00, "rich"))
    await act(billing, put_payers, paying(Payer(AccountId("rich"))))

    (paid,) = moved(await charged(billing, charge(20_00)))

    assert paid.bill is None
    assert [(bill.account_id, bill.balance_at_issue) for bill in paid.bills] == [("rich", cny(40_00))]
    assert await billing.proof() == []


async def test_payers_are_one_level_of_other_accounts_in_one_currency(billing: Billing) -> None:
    await billing.open(opening("child"), opening("dollars", currency="USD"))
    await act(billing, put_payers, paying(Payer(PARENT)))
    wrong = {
        PayerIsAccount: paying(Payer(ACCOUNT)),
        PayerNotFound: paying(Payer(AccountId("missing"))),
        CurrencyMismatch: paying(Payer(AccountId("dollars"))),
        PayerChain: paying(Payer(ACCOUNT), account_id="child"),
    }

    for refusal, wanted in wrong.items():
        assert await refusal_of(billing, put_payers, wanted) is refusal
    assert await refusal_of(billing, put_payers, paying(Payer(AccountId("child")), account_id=PARENT)) is PayerChain
    async with billing.work.reading() as connection:
        assert list(await get_payers(connection, ACCOUNT, None)) == [Payer(PARENT)]
    await act(billing, put_payers, paying())
    (own,) = moved(await charged(billing, charge(1)))
    assert own.paid_by_others == ()
    assert await billing.proof() == []


async def test_two_who_would_make_a_chain_see_each_other(billing: Billing) -> None:
    await billing.open(opening("child"))
    wishes = [paying(Payer(PARENT)), paying(Payer(ACCOUNT), account_id="child")] * 5

    outcomes = await asyncio.gather(*(act(billing, put_payers, wanted) for wanted in wishes), return_exceptions=True)

    assert {type(outcome) for outcome in outcomes} == {tuple, PayerChain}
    assert await billing.proof() == []


async def test_fifty_charges_of_two_children_take_from_one_payer_what_there_is(billing: Billing) -> None:
    await billing.open(opening("child"))
    await billing.move(recharge(100_00, "child"))
    for child in (ACCOUNT, "child"):
        await act(billing, put_payers, paying(Payer(PARENT), account_id=child))

    outcomes = await asyncio.gather(
        *(charged(billing, charge(3_00, child)) for child in (ACCOUNT, "child") for _ in range(25))
    )

    assert {type(outcome) for (outcome,) in outcomes} == {Moved}
    assert (await balance(billing, PARENT)).balance == cny(0)
    assert (await balance(billing)).balance + (await balance(billing, "child")).balance == cny(100_00)
    assert await billing.proof() == []


async def test_a_charge_that_waited_for_other_payers_is_drawn_from_them(billing: Billing) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")

    async def put(transaction: Transaction) -> asyncio.Task[list[Moved | Refusal]]:
        await put_payers(transaction, paying(Payer(PARENT)))
        charging = asyncio.create_task(charged(billing, charge(30_00)))
        while not (await transaction.connection.execute(waiting)).scalar_one():
            await asyncio.sleep(0.01)
        return charging

    (outcome,) = await (await billing.work.run(put))

    assert isinstance(outcome, Moved)
    assert [share.account_id for share in outcome.paid_by_others] == [PARENT]
    assert (await balance(billing, PARENT)).balance == cny(20_00)
    assert await billing.proof() == []


async def test_debits_race_a_lower_limit_and_the_floor_holds(billing: Billing) -> None:
    await act(billing, limit, [a_limit(30_00, PARENT)])

    async def lower() -> list[Limited | Refusal]:
        return await act(billing, limit, [a_limit(0, PARENT)])

    (lowered,), outcomes = await asyncio.gather(
        lower(), asyncio.gather(*(charged(billing, charge(10_00, PARENT)) for _ in range(10)))
    )

    taken = sum(isinstance(outcome, Moved) for (outcome,) in outcomes)
    assert taken == (5 if isinstance(lowered, Limited) else 8)
    assert (await balance(billing, PARENT)).spendable == cny(0)
    assert await billing.proof() == []


def mistaken(transaction_id: str, amount: int | None = None, *, owe: bool = False) -> ReverseRecharge:
    """A recharge that is to be taken back."""
    return ReverseRecharge(
        transaction_id=TransactionId(transaction_id),
        amount=None if amount is None else cny(amount),
        reason="typed twice",
        owe=owe,
        occurred_at=OCCURRED_AT,
    )


async def test_a_recharge_is_taken_back_in_parts_up_to_itself(billing: Billing) -> None:
    (put_in,) = moved(await billing.move(recharge(30_00)))
    transaction_id = put_in.movement.transaction_id

    first = await act(billing, reverse, mistaken(transaction_id, 10_00))

    assert (first.amount, first.balance_after) == (cny(10_00), cny(120_00))
    assert await refusal_of(billing, reverse, mistaken(transaction_id, 20_01)) is RechargeExceeded
    await act(billing, reverse, mistaken(transaction_id))
    assert await refusal_of(billing, reverse, mistaken(transaction_id)) is RechargeAlreadyReversed
    assert await refusal_of(billing, reverse, mistaken("charge:1")) is RechargeNotFound
    assert (await told(billing)).count("RechargeReversed") == 2
    assert await billing.proof() == []


async def test_what_is_spent_of_a_recharge_is_owed_only_where_that_is_asked(billing: Billing) -> None:
    (put_in,) = moved(await billing.move(recharge(30_00)))
    await charged(billing, charge(125_00))
    wanted = mistaken(put_in.movement.transaction_id)

    assert await refusal_of(billing, reverse, wanted) is InsufficientBalance
    done = await act(billing, reverse, replace(wanted, owe=True))

    async with billing.work.reading() as connection:
        standing = await get_account(connection, ACCOUNT, None)
        assert (await parts(connection, [standing.account], None))[ACCOUNT] == standing.parts
    assert (done.balance_after, standing.parts.owed, standing.parts.spendable) == (cny(-25_00), cny(25_00), cny(0))
    (granted,) = await given(billing, a_gift(30_00))
    assert granted.gift.remaining == cny(5_00), "what is owed is paid first"
    assert await billing.proof() == []


async def test_what_a_channel_brought_is_refunded_through_its_payment() -> None:
    recharged = Recharged(TransactionId("recharge:1"), ACCOUNT, cny(1), 0, "payment-1", OCCURRED_AT)

    with pytest.raises(RechargeOfPayment):
        mistaken("recharge:1").movement("r", recharged)


def test_a_gift_that_is_dead_when_it_is_given_is_refused() -> None:
    with pytest.raises(InvalidArgument) as refused:
        a_gift(expires_at=OCCURRED_AT)
    assert [violation.field for violation in refused.value.violations] == ["expires_at"]
