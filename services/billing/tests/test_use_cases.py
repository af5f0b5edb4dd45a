"""Use cases on the real database, a batch in a transaction: outcomes, bills, facts and the proof."""

import asyncio
from collections.abc import Sequence

import pytest
from billing.domain.account import AccountExists, AccountNotFound, Standing
from billing.domain.bill import Bill, BillAlreadyPaid, BillNotFound, BillState
from billing.domain.ids import AccountId, CustomerId, PlanId
from billing.domain.movement import InsufficientBalance, Moved
from billing.domain.plan import PlanCurrencyDiffers, PlanCurrencyFixed, PlanNotFound
from billing.store.bill import BillFilter
from billing.use_cases.account import get_account
from billing.use_cases.bill import bills_page
from billing.use_cases.plan import PlanSet, SetAccountPlan, get_bill_plan, set_account_plans
from chassis.errors import InvalidArgument, Refusal
from chassis.work import Transaction, Work
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.billing.tests.factories import (
    ACCOUNT,
    CALENDAR,
    CUSTOMER,
    OCCURRED_AT,
    PLAN,
    Billing,
    a_plan,
    adjustment,
    charge,
    cny,
    opening,
    payment,
    recharge,
)


@pytest.fixture
async def billing(work: Work) -> Billing:
    """The basic plan, and one account on it with 100 yuan."""
    made = Billing(work)
    await made.put_plan(a_plan())
    await made.open(opening(plan_id=PLAN))
    await made.move(recharge(100_00))
    return made


def moved(outcomes: Sequence[Moved | Refusal]) -> list[Moved]:
    """The outcomes, none of which is a refusal."""
    return [outcome for outcome in outcomes if isinstance(outcome, Moved)] if no_refusal(outcomes) else []


def no_refusal(outcomes: Sequence[object]) -> bool:
    """Fails on the first refusal."""
    for outcome in outcomes:
        assert not isinstance(outcome, Refusal), repr(outcome)
    return True


async def standing(billing: Billing, account_id: str = ACCOUNT) -> Standing:
    """Where an account stands."""
    async with billing.work.reading() as connection:
        return await get_account(connection, AccountId(account_id), None)


async def bills(billing: Billing, state: BillState | None = None) -> list[Bill]:
    """All bills, newest first."""
    async with billing.work.reading() as connection:
        wanted = BillFilter(customer_id=None, account_id=None, state=state)
        return await bills_page(connection, wanted, before=None, limit=1000)


async def told(billing: Billing) -> list[str]:
    """Names of the events in the outbox, in order."""
    async with billing.work.reading() as connection:
        rows = await connection.execute(text("SELECT event_type FROM outbox ORDER BY id"))
        return [name.removeprefix("touchstone.billing.v1.") for name in rows.scalars()]


async def rows(billing: Billing, table: str) -> int:
    """How many rows a table has."""
    async with billing.work.reading() as connection:
        return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def test_a_batch_of_accounts_has_an_outcome_each(billing: Billing) -> None:
    await billing.put_plan(a_plan(plan_id="dollars", currency="USD"))

    outcomes = await billing.open(
        opening("n1", plan_id=PLAN),
        opening("n1", customer_id="late"),
        opening(ACCOUNT),
        opening("n2", plan_id="missing"),
        opening("n3", plan_id="dollars"),
        opening("n4", plan_id="dollars", currency="USD"),
    )

    kinds = [Standing, AccountExists, AccountExists, PlanNotFound, PlanCurrencyDiffers, Standing]
    assert [type(outcome) for outcome in outcomes] == kinds
    assert (await standing(billing, "n1")).account.customer_id == CUSTOMER
    assert (await told(billing)).count("AccountOpened") == 3
    assert await billing.proof() == []


async def test_a_balance_never_goes_below_zero(billing: Billing) -> None:
    outcomes = await billing.move(charge(100_01), charge(99_99), charge(2), charge(1))

    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert [type(outcome) for outcome in outcomes] == [InsufficientBalance, Moved, InsufficientBalance, Moved]
    assert [refusal.metadata["available_minor"] for refusal in refusals] == ["10000", "1"]
    assert (await standing(billing)).balance == cny(0)
    assert await rows(billing, "charges") == 2
    assert await billing.proof() == []


async def test_the_bill_comes_with_the_debit_that_crossed(billing: Billing) -> None:
    first, crossed, deeper = moved(await billing.move(charge(50_00), charge(1), charge(20_00)))

    assert first.bill is None
    assert deeper.bill is None
    assert crossed.bill is not None
    assert (crossed.bill.amount, crossed.bill.balance_at_issue) == (cny(50_01), cny(49_99))
    assert crossed.bill.transaction_id == crossed.transaction_id
    assert await bills(billing) == [crossed.bill]
    assert (await standing(billing)).account.below_threshold
    assert (await told(billing))[2:] == [
        "AccountCharged",
        "AccountCharged",
        "BalanceFellBelowThreshold",
        "BillIssued",
        "AccountCharged",
    ]
    assert await billing.proof() == []


async def test_after_the_balance_is_back_the_next_crossing_is_billed_again(billing: Billing) -> None:
    await billing.move(charge(60_00), recharge(9_99), recharge(1))
    assert not (await standing(billing)).account.below_threshold
    assert [bill.state for bill in await bills(billing)] == [BillState.CLOSED]

    (again,) = moved(await billing.move(charge(10_00)))

    assert again.bill is not None
    assert [(bill.amount, bill.state) for bill in await bills(billing)] == [
        (cny(60_00), BillState.OPEN),
        (cny(60_00), BillState.CLOSED),
    ]
    assert (await told(billing))[5:] == [
        "AccountRecharged",
        "AccountRecharged",
        "BalanceRestored",
        "BillClosed",
        "AccountCharged",
        "BalanceFellBelowThreshold",
        "BillIssued",
    ]
    assert (await standing(billing)).account.below_threshold
    assert await billing.proof() == []


async def test_a_charge_of_zero_is_recorded_and_told_without_a_transaction(billing: Billing) -> None:
    first, second, third = moved(await billing.move(charge(0), charge(30_00), charge(0)))

    assert (first.balance_after, first.account_version, first.transaction_id) == (cny(100_00), 1, None)
    assert (third.balance_after, third.account_version, third.transaction_id) == (cny(70_00), 2, None)
    assert second.account_version == 2
    assert await rows(billing, "charges") == 3
    assert await rows(billing, "ledger_transactions") == 2
    assert (await told(billing)).count("AccountCharged") == 3
    assert await billing.proof() == []


async def test_items_of_a_batch_are_refused_alone(billing: Billing) -> None:
    outcomes = await billing.move(
        recharge(1, "missing"), recharge(1, customer_id="another"), charge(1, currency="USD"), recharge(1)
    )

    assert [type(outcome) for outcome in outcomes] == [AccountNotFound, AccountNotFound, InvalidArgument, Moved]
    missing, foreign = outcomes[:2]
    assert isinstance(missing, Refusal)
    assert isinstance(foreign, Refusal)
    assert missing.message.replace("missing", ACCOUNT) == foreign.message
    assert await billing.proof() == []


async def test_an_adjustment_down_may_cross(billing: Billing) -> None:
    (crossed,) = moved(await billing.move(adjustment(-60_00)))

    assert crossed.bill is not None
    assert (await told(billing))[-3:] == ["BalanceAdjusted", "BalanceFellBelowThreshold", "BillIssued"]
    assert await billing.proof() == []


async def test_a_bill_is_paid_once(billing: Billing) -> None:
    (crossed,) = moved(await billing.move(charge(60_00)))
    assert crossed.bill is not None
    bill_id = crossed.bill.bill_id

    outcomes = await billing.pay(
        payment("missing"), payment(bill_id, customer_id="another"), payment(bill_id), payment(bill_id)
    )

    assert [type(outcome) for outcome in outcomes] == [BillNotFound, BillNotFound, Moved, BillAlreadyPaid]
    assert isinstance((await billing.pay(payment(bill_id)))[0], BillAlreadyPaid)
    (paid,) = await bills(billing)
    assert (paid.state, paid.paid_at) == (BillState.PAID, OCCURRED_AT)
    assert await bills(billing, BillState.OPEN) == []
    assert await bills(billing, BillState.PAID) == [paid]
    assert (await standing(billing)).balance == cny(100_00)
    assert (await told(billing))[-3:] == ["AccountRecharged", "BillPaid", "BalanceRestored"]
    assert await billing.proof() == []


async def test_bills_of_many_accounts_are_paid_in_one_batch(billing: Billing) -> None:
    names = [f"many-{number}" for number in range(20)]
    await billing.open(*(opening(name, plan_id=PLAN) for name in names))
    await billing.move(*(recharge(80_00, name) for name in names))
    issued = [each.bill for each in moved(await billing.move(*(charge(40_00, name) for name in names))) if each.bill]

    paid = moved(await billing.pay(*(payment(bill.bill_id) for bill in issued)))

    assert [bill.bill_number for bill in issued] == list(range(1, 21))
    assert {each.balance_after.minor_units for each in paid} == {100_00}
    assert await bills(billing, BillState.OPEN) == []
    assert await billing.proof() == []


async def test_a_plan_keeps_its_currency_and_counts_its_revisions(billing: Billing) -> None:
    changed = await billing.put_plan(a_plan(10_00, 20_00))

    assert (changed.revision, changed.threshold) == (2, cny(10_00))
    with pytest.raises(PlanCurrencyFixed):
        await billing.put_plan(a_plan(currency="USD"))
    async with billing.work.reading() as connection:
        assert await get_bill_plan(connection, PLAN, revision=0, as_of=OCCURRED_AT) == changed
        with pytest.raises(PlanNotFound):
            await get_bill_plan(connection, PlanId("missing"), revision=0, as_of=OCCURRED_AT)


async def set_plan(billing: Billing, account_id: str, plan_id: str | None) -> PlanSet:
    """Hangs an account on a plan."""
    wanted = SetAccountPlan(
        account_id=AccountId(account_id), plan_id=PlanId(plan_id) if plan_id else None, occurred_at=OCCURRED_AT
    )

    async def act(transaction: Transaction) -> PlanSet:
        (done,) = await set_account_plans(transaction, [wanted], calendar=CALENDAR)
        if isinstance(done, Refusal):
            raise done
        return done

    return await billing.work.run(act)


async def test_another_plan_acts_on_the_next_crossing(billing: Billing) -> None:
    await billing.put_plan(a_plan(10_00, 30_00, plan_id="small"))
    await billing.move(charge(60_00))

    changed = await set_plan(billing, ACCOUNT, "small")
    # Still below the 50 yuan it crossed: falling below 10 as well belongs to the same stay.
    (deeper,) = moved(await billing.move(charge(35_00)))
    await billing.move(recharge(95_00))
    (crossed,) = moved(await billing.move(charge(95_00)))

    account = changed.standing.account
    assert (account.plan_id, account.below_threshold, changed.bill) == ("small", True, None)
    assert deeper.bill is None
    assert crossed.bill is not None
    assert (crossed.bill.amount, crossed.bill.threshold) == (cny(25_00), cny(10_00))
    assert await billing.proof() == []


async def test_without_a_plan_no_bill_is_issued(billing: Billing) -> None:
    await set_plan(billing, ACCOUNT, None)

    assert [each.bill for each in moved(await billing.move(charge(99_00), charge(1_00)))] == [None, None]
    assert await bills(billing) == []


async def test_a_plan_is_set_only_where_it_suits(billing: Billing) -> None:
    await billing.put_plan(a_plan(plan_id="dollars", currency="USD"))

    with pytest.raises(PlanCurrencyDiffers):
        await set_plan(billing, ACCOUNT, "dollars")
    with pytest.raises(PlanNotFound):
        await set_plan(billing, ACCOUNT, "missing")
    with pytest.raises(AccountNotFound):
        await set_plan(billing, "missing", PLAN)


async def test_parallel_debits_over_the_line_make_one_bill(billing: Billing) -> None:
    outcomes = await asyncio.gather(*(billing.move(charge(1_00)) for _ in range(100)))

    crossed = [outcome for (outcome,) in outcomes if isinstance(outcome, Moved) and outcome.bill]
    assert len(crossed) == 1
    assert crossed[0].balance_after == cny(49_00)
    assert (await standing(billing)).balance == cny(0)
    assert await bills(billing) == [crossed[0].bill]
    assert await billing.proof() == []


async def test_parallel_payments_of_one_bill_pay_it_once(billing: Billing) -> None:
    (crossed,) = moved(await billing.move(charge(60_00)))
    assert crossed.bill is not None
    bill_id = crossed.bill.bill_id

    outcomes = [outcome for (outcome,) in await asyncio.gather(*(billing.pay(payment(bill_id)) for _ in range(20)))]

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["BillAlreadyPaid"] * 19 + ["Moved"]
    assert (await standing(billing)).balance == cny(100_00)
    assert await billing.proof() == []


async def test_batches_in_opposite_orders_wait_and_do_not_lock_each_other_out(billing: Billing) -> None:
    names = [f"pair-{number}" for number in range(10)]
    await billing.open(*(opening(name, plan_id=PLAN) for name in names))
    await billing.move(*(recharge(100_00, name) for name in names))
    orders = [names, names[::-1]] * 5

    await asyncio.gather(*(billing.move(*(charge(1_00, name) for name in order)) for order in orders))

    assert {(await standing(billing, name)).balance.minor_units for name in names} == {90_00}
    assert await billing.proof() == []


async def test_numbers_of_bills_issued_in_parallel_have_no_gaps(billing: Billing) -> None:
    names = [f"num-{number}" for number in range(30)]
    await billing.open(*(opening(name, plan_id=PLAN) for name in names))
    await billing.move(*(recharge(50_00, name) for name in names))

    # Every third asks for more than there is and is refused with its number never drawn.
    await asyncio.gather(
        *(billing.move(charge(10_00 if place % 3 else 60_00, name)) for place, name in enumerate(names))
    )

    assert sorted(bill.bill_number for bill in await bills(billing)) == list(range(1, 21))
    assert await billing.proof() == []


moves = st.lists(
    st.tuples(st.sampled_from(["recharge", "charge", "adjust"]), st.integers(-70_00, 70_00)), min_size=1, max_size=25
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(moves=moves, cuts=st.integers(1, 5))
async def test_any_history_keeps_every_promise(work: Work, moves: list[tuple[str, int]], cuts: int) -> None:
    """Against a plain model: the balance, one bill for each stay below the line, and the proof."""
    billing = Billing(work)
    await billing.put_plan(a_plan())
    account_id = f"acc-{await rows(billing, 'accounts')}"
    await billing.open(opening(account_id, plan_id=PLAN))
    wishes = [
        recharge(abs(amount) + 1, account_id)
        if kind == "recharge"
        else charge(abs(amount), account_id)
        if kind == "charge"
        else adjustment(amount or 1, account_id)
        for kind, amount in moves
    ]
    outcomes = [
        each for start in range(0, len(wishes), cuts) for each in await billing.move(*wishes[start : start + cuts])
    ]

    balance = 0
    armed, expected = True, []
    for wish, outcome in zip(wishes, outcomes, strict=True):
        change = wish.movement("x").change.minor_units
        assert isinstance(outcome, InsufficientBalance) == (balance + change < 0)
        if isinstance(outcome, Refusal):
            continue
        balance += change
        assert outcome.balance_after == cny(balance)
        crosses = armed and change < 0 and balance < 50_00
        asked = max(100_00 - balance, 0) if crosses else 0
        armed = (armed and not crosses) or balance >= 50_00
        expected.append(asked)
    asked_for = [
        outcome.bill.amount.minor_units if outcome.bill else 0 for outcome in outcomes if isinstance(outcome, Moved)
    ]
    assert asked_for == expected
    assert (await standing(billing, account_id)).account.below_threshold == (not armed)
    assert await billing.proof() == []


async def test_a_members_own_account_is_told_from_anothers(billing: Billing) -> None:
    async with billing.work.reading() as connection:
        assert (await get_account(connection, ACCOUNT, CUSTOMER)).account.account_id == ACCOUNT
        with pytest.raises(AccountNotFound):
            await get_account(connection, ACCOUNT, CustomerId("another"))
