"""Crossings of every cause, and races at the line, through the hub and on the real database: the proof agrees."""

import asyncio
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
from billing.domain.bill import Bill, BillAlreadyPaid, BillClosed, BillKind, BillState
from billing.domain.ids import AccountId, PlanId
from billing.domain.movement import (
    Act,
    Credit,
    Debit,
    GiftTerms,
    InsufficientBalance,
    Limit,
    Moved,
    Movement,
    MovementKind,
    SetAside,
    Shortfall,
    Undo,
)
from billing.domain.movement import (
    Billing as BillingOf,
)
from billing.domain.payment import PaymentOrigin, Report, ReportType
from billing.domain.plan import BillCycle
from billing.domain.threshold import CrossingCause
from billing.store.bill import BillFilter
from billing.use_cases.bill import bills_page
from billing.use_cases.callback import take_report
from billing.use_cases.movement import apply_movements
from billing.use_cases.payment import CreatePayment, create_payment
from billing.use_cases.plan import SetAccountPlan, set_account_plans
from chassis.errors import Refusal
from chassis.ids import new_id
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
    payment,
    plan_with,
    recharge,
)

HOUR = timedelta(hours=1)
PAYER = AccountId("payer")


@pytest.fixture
async def billing(work: Work) -> Billing:
    """The basic plan, and two accounts on it with 100 yuan each."""
    made = Billing(work)
    await made.put_plan(a_plan())
    await made.open(opening(plan_id=PLAN), opening(PAYER, plan_id=PLAN))
    await made.move(recharge(100_00), recharge(100_00, PAYER))
    return made


def movement(act: Act, kind: MovementKind = MovementKind.CHARGE, **changed: object) -> Movement:
    """A movement of the account."""
    return Movement(new_id(), ACCOUNT, kind, act, "why", OCCURRED_AT)._replace(**changed)  # type: ignore[arg-type]


async def applied(billing: Billing, *movements: Movement) -> list[Moved | Refusal]:
    """What the hub made of movements."""

    async def act(transaction: Transaction) -> list[Moved | Refusal]:
        return await apply_movements(transaction, movements, CALENDAR)

    return await billing.work.run(act)


async def bills(billing: Billing, account_id: str = ACCOUNT) -> list[Bill]:
    """Bills of an account, oldest first."""
    wanted = BillFilter(customer_id=None, account_id=AccountId(account_id), state=None)
    async with billing.work.reading() as connection:
        return (await bills_page(connection, wanted, before=None, limit=1000))[::-1]


async def told(billing: Billing) -> Counter[str]:
    """How often each event stands in the outbox."""
    async with billing.work.reading() as connection:
        names = (await connection.execute(text("SELECT event_type FROM outbox"))).scalars()
        return Counter(name.removeprefix("touchstone.billing.v1.") for name in names)


async def test_gift_credit_that_expires_crosses(billing: Billing) -> None:
    await applied(billing, movement(Credit(cny(30_00), GiftTerms(OCCURRED_AT + HOUR)), MovementKind.RECHARGE))
    await applied(billing, movement(Limit(cny(0)), MovementKind.CREDIT_LIMIT))
    await billing.put_plan(a_plan(110_00, 150_00))
    assert await bills(billing) == []

    later = OCCURRED_AT + 2 * HOUR
    (moved,) = await applied(billing, movement(Credit(cny(20_00)), MovementKind.RECHARGE, occurred_at=later))

    (bill,) = await bills(billing)
    assert isinstance(moved, Moved)
    assert (bill.cause, bill.amount, bill.state) == (CrossingCause.EXPIRY, cny(50_00), BillState.CLOSED)
    assert bill.issued_at == OCCURRED_AT + HOUR, "an expiry is dated at its own instant"
    assert await billing.proof() == []


async def test_a_lower_limit_crosses_and_a_higher_one_restores(billing: Billing) -> None:
    await applied(billing, movement(Limit(cny(100_00)), MovementKind.CREDIT_LIMIT))
    await billing.move(charge(120_00))
    assert await bills(billing) == [], "a measure of 80 is above 50"

    (lowered,) = await applied(billing, movement(Limit(cny(60_00)), MovementKind.CREDIT_LIMIT))
    (bill,) = await bills(billing)
    await applied(billing, movement(Limit(cny(70_00)), MovementKind.CREDIT_LIMIT))

    assert isinstance(lowered, Moved)
    assert (bill.cause, bill.amount, bill.credit_limit_minor) == (CrossingCause.CREDIT_LIMIT, cny(120_00), 60_00)
    assert [each.state for each in await bills(billing)] == [BillState.CLOSED]
    assert await billing.proof() == []


async def test_a_cycle_that_the_balance_does_not_cover_is_asked_for(billing: Billing) -> None:
    cycle = movement(Debit(cny(120_00)), billing=BillingOf.DUE)

    first, again = await applied(billing, cycle, cycle._replace(identity=new_id()))
    (bill,) = await bills(billing)
    await billing.pay(payment(bill.bill_id))
    (taken,) = await applied(billing, cycle._replace(identity=new_id()))

    assert isinstance(first, InsufficientBalance)
    assert isinstance(again, InsufficientBalance)
    assert (bill.cause, bill.amount, bill.threshold) == (CrossingCause.DUE_CHARGE, cny(70_00), cny(170_00))
    assert isinstance(taken, Moved)
    assert taken.balance_after == cny(50_00)
    assert (await told(billing))["BalanceFellBelowThreshold"] == 1
    assert await billing.proof() == []


async def test_who_pays_for_others_is_billed_for_it(billing: Billing) -> None:
    (drawn,) = await applied(billing, movement(Debit(cny(160_00), (PAYER,))))

    assert isinstance(drawn, Moved)
    assert [bill.amount for bill in await bills(billing, PAYER)] == [cny(100_00)]
    assert [bill.amount for bill in await bills(billing)] == [cny(60_00)]
    assert drawn.bill is not None
    assert drawn.bill.account_id == ACCOUNT
    assert await billing.proof() == []


async def test_orders_and_refunds_in_mid_cycle_append(billing: Billing) -> None:
    await billing.move(charge(60_00))
    order = movement(Debit(cny(25_00)), billing=BillingOf.SUPPLEMENT)
    await applied(billing, order)
    await applied(
        billing,
        movement(Undo(order.transaction_id), MovementKind.CHARGE_REFUND, billing=BillingOf.CREDIT),
    )

    original, supplement, note = await bills(billing)
    assert (supplement.kind, supplement.amount, supplement.state) == (BillKind.SUPPLEMENT, cny(25_00), BillState.CLOSED)
    assert (note.kind, note.amount, note.corrects) == (BillKind.CREDIT_NOTE, cny(25_00), supplement.bill_id)
    assert (original.state, supplement.corrects) == (BillState.OPEN, original.bill_id)
    assert (await told(billing))["BillCredited"] == 1
    assert await billing.proof() == []


async def test_a_change_counts_by_its_net(billing: Billing) -> None:
    tv = movement(Debit(cny(10_00)))
    await applied(billing, tv)
    await billing.move(charge(60_00))
    back = movement(Undo(tv.transaction_id), MovementKind.CHARGE_REFUND)
    more = movement(Debit(cny(18_00)), billing=BillingOf.SUPPLEMENT, billed_minor=8_00)

    await applied(billing, back, more)

    assert [bill.amount for bill in await bills(billing)] == [cny(70_00), cny(8_00)]
    assert await billing.proof() == []


async def pending(billing: Billing, amount: int, payment_id: str = "p-1") -> None:
    """A payment on its way."""

    async def act(transaction: Transaction) -> None:
        await transaction.connection.execute(
            text("""
            INSERT INTO payments (payment_id, account_id, customer_id, amount_minor, currency, channel, return_url,
                                  origin, state, requested_at, expires_at, next_ask_at, recorded_at)
            VALUES (:payment_id, :account_id, 'cus-1', :amount, 'CNY', 'app', '', 'customer', 'pending', now(),
                    now(), now(), now())"""),
            {"payment_id": payment_id, "account_id": ACCOUNT, "amount": amount},
        )

    await billing.work.run(act)


async def test_payments_on_their_way_are_counted(billing: Billing) -> None:
    await pending(billing, 15_00)

    (crossed,) = await billing.move(charge(60_00))
    (deeper,) = await billing.move(charge(20_00))

    assert isinstance(crossed, Moved)
    assert crossed.bill is None, "15 on their way cover the 10 that are missing"
    assert isinstance(deeper, Moved)
    assert (await told(billing))["BalanceFellBelowThreshold"] == 1
    assert await bills(billing) == []


async def test_a_plan_changed_on_the_day_of_the_crossing_acts_from_its_instant(billing: Billing) -> None:
    await billing.put_plan(plan_with(threshold=cny(95_00), effective_from=OCCURRED_AT + HOUR))

    before, after = await billing.move(charge(10_00), charge(1_00, at=OCCURRED_AT + HOUR))

    assert isinstance(before, Moved)
    assert isinstance(after, Moved)
    assert before.bill is None
    assert after.bill is not None
    assert (after.bill.threshold, after.bill.plan and after.bill.plan.revision) == (cny(95_00), 2)
    late = await billing.move(recharge(20_00), charge(15_00, at=OCCURRED_AT))
    assert isinstance(late[1], Moved)
    assert late[1].bill is None, "a late charge is measured by the version of its own time"
    assert await billing.proof() == []


async def test_hundred_debits_at_once_on_a_plan_that_bills_daily_make_one_bill(billing: Billing) -> None:
    await billing.put_plan(plan_with(cycle=BillCycle.DAILY))

    await asyncio.gather(*(billing.move(charge(1_00)) for _ in range(100)))

    (bill,) = await bills(billing)
    assert bill.balance_at_issue == cny(49_00)
    assert await billing.proof() == []


async def test_debits_and_credits_at_once_have_one_bill_for_each_stay(billing: Billing) -> None:
    moves = [charge(20_00) if place % 2 else recharge(20_00) for place in range(100)]

    await asyncio.gather(*(billing.move(move) for move in moves))

    found, events = await bills(billing), await told(billing)
    assert len(found) == events["BalanceFellBelowThreshold"] == events["BillIssued"]
    assert len([bill for bill in found if bill.state is BillState.OPEN]) <= 1
    assert events["BillClosed"] == len([bill for bill in found if bill.state is BillState.CLOSED])
    assert await billing.proof() == []


async def test_a_bill_is_paid_or_closed_by_another_never_both(billing: Billing) -> None:
    for _ in range(10):
        (crossed,) = await billing.move(charge(60_00))
        assert isinstance(crossed, Moved)
        assert crossed.bill is not None
        bill_id = crossed.bill.bill_id
        (paid,), _ = await asyncio.gather(billing.pay(payment(bill_id)), billing.move(recharge(60_00)))
        if isinstance(paid, Moved):
            await billing.move(charge(60_00))
        else:
            assert isinstance(paid, BillClosed)
        late = (await billing.pay(payment(bill_id)))[0]
        assert isinstance(late, BillClosed | BillAlreadyPaid)

    assert await billing.proof() == []


async def test_a_plan_set_while_debits_run_makes_one_bill(billing: Billing) -> None:
    await billing.put_plan(a_plan(80_00, 100_00, plan_id="high"))
    wanted = [SetAccountPlan(account_id=ACCOUNT, plan_id=PlanId("high"), occurred_at=OCCURRED_AT)]

    async def set_plan(transaction: Transaction) -> None:
        await set_account_plans(transaction, wanted, calendar=CALENDAR)

    await asyncio.gather(*(billing.move(charge(1_00)) for _ in range(40)), billing.work.run(set_plan))

    assert len(await bills(billing)) == 1
    assert await billing.proof() == []


class Broken(Exception):
    """What goes wrong after a number was drawn."""


async def test_a_number_that_was_drawn_in_vain_is_drawn_again(billing: Billing) -> None:
    async def act(transaction: Transaction) -> None:
        moved = await apply_movements(transaction, [charge(60_00).movement(new_id())], CALENDAR)
        assert isinstance(moved[0], Moved)
        assert moved[0].bill is not None
        raise Broken

    with pytest.raises(Broken):
        await billing.work.run(act)
    await billing.move(charge(60_00), charge(60_00, PAYER))

    numbers = [bill.bill_number for bill in [*await bills(billing), *await bills(billing, PAYER)]]
    assert sorted(numbers) == [1, 2]
    assert await billing.proof() == []


async def test_bills_of_one_account_are_paid_in_one_batch(billing: Billing) -> None:
    await billing.move(charge(60_00))
    await applied(billing, movement(Debit(cny(20_00)), billing=BillingOf.SUPPLEMENT))
    first, second = await bills(billing)

    outcomes = await billing.pay(payment(first.bill_id), payment(second.bill_id), payment(first.bill_id))

    assert [type(outcome) for outcome in outcomes] == [Moved, Moved, BillAlreadyPaid]
    assert [bill.state for bill in await bills(billing)] == [BillState.PAID] * 2
    assert (await told(billing))["BillPaid"] == 2
    assert await billing.proof() == []


async def test_what_expired_before_an_order_is_asked_for_apart_from_it_though_others_pay_as_well(
    billing: Billing,
) -> None:
    parent = AccountId("parent")
    await billing.open(opening(parent))
    await billing.move(recharge(5_00, parent))
    await applied(billing, movement(Credit(cny(10_00), GiftTerms(OCCURRED_AT + HOUR)), MovementKind.RECHARGE))
    await billing.put_plan(a_plan(105_00, 150_00))

    later = OCCURRED_AT + 2 * HOUR
    order = movement(Debit(cny(30_00), (parent,)), occurred_at=later, billing=BillingOf.SUPPLEMENT)
    await applied(billing, order)

    assert [(bill.kind, bill.amount) for bill in await bills(billing)] == [
        (BillKind.ORIGINAL, cny(50_00)),
        (BillKind.SUPPLEMENT, cny(25_00)),
    ]
    assert await billing.proof() == []


async def test_a_second_payment_of_a_bill_is_on_its_way_still_when_the_first_has_paid_it(billing: Billing) -> None:
    await billing.put_plan(a_plan(50_00, 50_00))
    await billing.move(charge(60_00))
    (bill,) = await bills(billing)
    first, _ = [await billing.work.run(partial(create_payment, wanted=payment_of(bill))) for _ in range(2)]
    await billing.move(charge(40_00))

    report = Report(
        type=ReportType.SUCCEEDED,
        payment_id=first.payment_id,
        channel=first.channel,
        reference="r-1",
        amount=first.amount,
        sequence=1,
        occurred_at=OCCURRED_AT,
    )
    await billing.work.run(partial(take_report, report=report, calendar=CALENDAR))

    assert [(bill.kind, bill.amount) for bill in await bills(billing)] == [
        (BillKind.ORIGINAL, cny(10_00)),
        (BillKind.SUPPLEMENT, cny(30_00)),
    ], "of 40 missing 10 are on their way"
    assert await billing.proof() == []


async def test_who_owes_while_something_is_set_aside_is_below(billing: Billing) -> None:
    aside = movement(SetAside(cny(60_00), OCCURRED_AT + HOUR), MovementKind.RESERVATION)
    paid = movement(Credit(cny(20_00)), MovementKind.RECHARGE)
    await applied(billing, paid, aside, movement(Debit(cny(60_00))))

    back = movement(Undo(paid.transaction_id, None, Shortfall.OWE), MovementKind.RECHARGE_REVERSAL)
    await applied(billing, back)
    await applied(billing, movement(Credit(cny(5_00)), MovementKind.RECHARGE))

    assert [(bill.balance_at_issue, bill.amount) for bill in await bills(billing)] == [(cny(40_00), cny(60_00))]
    assert await billing.proof() == []


def payment_of(bill: Bill) -> CreatePayment:
    """A wish to pay a bill through a channel."""
    return CreatePayment(
        account_id=bill.account_id,
        customer_id=None,
        amount=None,
        channel="sandbox",
        redirects=True,
        bill_id=bill.bill_id,
        token_id=None,
        return_url="",
        origin=PaymentOrigin.CUSTOMER,
        occurred_at=OCCURRED_AT,
    )
