"""The rules of billing without a database: the threshold machine against a plain model, and what commands refuse."""

from datetime import UTC, datetime, timedelta

import pytest
from billing.domain.account import Account
from billing.domain.bill import BillAlreadyPaid, BillNotFound, BillState
from billing.domain.facts import (
    AccountCharged,
    AccountRecharged,
    BalanceAdjusted,
    BalanceFellBelowThreshold,
    BalanceRestored,
    BillIssued,
    BillPaid,
    facts_of,
    turn_facts,
)
from billing.domain.ids import AccountId, BillId, CustomerId, TransactionId
from billing.domain.movement import Moved, Movement, Share
from billing.domain.plan import BillPlan, PlanCurrencyDiffers
from billing.domain.settlement import Demand, demands, settle
from billing.domain.threshold import Booked, Crossing, CrossingCause, Step, Turn, Turned, amount_to_ask, observe
from billing.domain.wish import bill_payment
from chassis.errors import InvalidArgument
from chassis.money import AMOUNT_MAX, Money
from hypothesis import given
from hypothesis import strategies as st

from services.billing.tests.factories import (
    ACCOUNT,
    CUSTOMER,
    OCCURRED_AT,
    PLAN,
    a_bill,
    a_plan,
    adjustment,
    an_account,
    charge,
    cny,
    opening,
    recharge,
)

changes = st.lists(st.integers(-40, 40), max_size=60)
thresholds = st.integers(0, 60)


def walked(changes: list[int], start: int = 30) -> list[Booked]:
    """The versions of a balance that never goes below 0: what would take it there is left out."""
    balance, steps = start, list[Booked]()
    for change in changes:
        if balance + change < 0:
            continue
        steps.append(Booked(balance, balance + change, len(steps) + 1))
        balance += change
    return steps


def turns(steps: list[Booked], threshold: int | None) -> list[Turn]:
    """What the machine did at each step."""
    crossing, seen = None, []
    for step in steps:
        crossing, turn, _ = observe(crossing, threshold, step)
        seen.append(turn)
    return seen


def stays_below(steps: list[Booked], threshold: int) -> list[int]:
    """The plain model: in each stretch of versions below the threshold, the first debit is where the bill belongs."""
    billed, in_stretch = [], False
    for place, step in enumerate(steps):
        if step.balance_after >= threshold:
            in_stretch = False
        elif not in_stretch and step.balance_after < step.balance_before:
            in_stretch = True
            billed.append(place)
    return billed


@given(changes, thresholds)
def test_each_stay_below_the_threshold_is_billed_once(changes: list[int], threshold: int) -> None:
    steps = walked(changes)

    crossed = [place for place, turn in enumerate(turns(steps, threshold)) if turn is Turn.CROSSED]

    assert crossed == stays_below(steps, threshold)


@given(changes, thresholds)
def test_a_crossing_and_a_return_take_turns(changes: list[int], threshold: int) -> None:
    seen = [turn for turn in turns(walked(changes), threshold) if turn is not Turn.NONE]

    assert seen == [Turn.CROSSED, Turn.RESTORED] * (len(seen) // 2) + [Turn.CROSSED] * (len(seen) % 2)


@given(changes)
def test_without_a_plan_nothing_crosses(changes: list[int]) -> None:
    assert set(turns(walked(changes), None)) <= {Turn.NONE}


def test_the_threshold_itself_is_not_below() -> None:
    assert observe(None, 50, Booked(60, 50, 1)).turn is Turn.NONE
    assert observe(None, 50, Booked(60, 49, 1)).turn is Turn.CROSSED
    assert observe(Crossing(50, 1), 50, Booked(49, 50, 2)) == (None, Turn.RESTORED, 50)


def test_a_credit_never_crosses() -> None:
    assert observe(None, 50, Booked(0, 30, 1)).turn is Turn.NONE


def test_a_charge_of_zero_moves_no_machine() -> None:
    assert observe(None, 50, Booked(30, 30, 1)).turn is Turn.NONE
    assert observe(Crossing(50, 1), 50, Booked(30, 30, 1)) == (Crossing(50, 1), Turn.NONE, 0)


def test_a_changed_threshold_acts_on_the_next_crossing() -> None:
    crossed_at_50 = Crossing(50, 1)

    assert observe(crossed_at_50, 10, Booked(30, 20, 2)).turn is Turn.NONE, "still below the one it crossed"
    assert observe(crossed_at_50, 80, Booked(30, 55, 2)).turn is Turn.RESTORED, "back at the one it crossed"
    assert observe(None, 80, Booked(90, 70, 3)) == (Crossing(80, 3), Turn.CROSSED, 80)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_bill_and_the_open_ones_ask_for_the_whole_gap(target: int, balance: int, open_minor: int) -> None:
    asked = amount_to_ask(target, balance, open_minor)

    assert asked >= 0
    assert balance + open_minor + asked == max(target, balance + open_minor)


def step(before: int, after: int, version: int, *, account_id: str = ACCOUNT, by: str = "c1") -> Step:
    """A change of a balance without a credit limit."""
    return Step(
        account_id=AccountId(account_id),
        cause=CrossingCause.DEBIT,
        measured_before=before,
        measured_after=after,
        balance_after=after,
        account_version=version,
        occurred_at=OCCURRED_AT,
        transaction_id=TransactionId(f"charge:{by}"),
    )


def turned(*steps: Step, account: Account | None = None) -> tuple[Turned, ...]:
    """What the machine of the account on the plan makes of steps."""
    return settle({ACCOUNT: account or an_account()}, {PLAN: a_plan()}, steps)


def asked(*steps: Step) -> list[Demand]:
    """The bills that steps of the account on the plan call for, without an open bill before."""
    return demands(turned(*steps), {ACCOUNT: an_account()}, {PLAN: a_plan()}, {})


def test_the_demand_names_its_debit() -> None:
    (demand,) = asked(step(100_00, 40_00, 2))
    bill = demand.bill(BillId("b1"), 7)

    assert (bill.amount, bill.balance_at_issue, bill.threshold) == (cny(60_00), cny(40_00), cny(50_00))
    assert (bill.transaction_id, bill.bill_number, bill.state) == ("charge:c1", 7, BillState.OPEN)
    assert bill.due_at == OCCURRED_AT + timedelta(days=14)


def test_the_second_crossing_of_a_batch_counts_the_first_bill() -> None:
    found = asked(step(100_00, 40_00, 2), step(40_00, 60_00, 3, by="r1"), step(60_00, 30_00, 4, by="c2"))

    assert [demand.amount for demand in found] == [cny(60_00), cny(10_00)]


def test_open_bills_that_cover_the_gap_leave_nothing_to_ask() -> None:
    plans, accounts = {PLAN: a_plan()}, {ACCOUNT: an_account()}
    crossed = turned(step(50_00, 49_99, 2))

    assert crossed[0].turn is Turn.CROSSED
    assert demands(crossed, accounts, plans, {ACCOUNT: 50_01}) == []
    assert [demand.amount for demand in demands(crossed, accounts, plans, {ACCOUNT: 50_00})] == [cny(1)]


def test_accounts_of_a_batch_do_not_see_each_other() -> None:
    other = AccountId("acc-2")
    standing = {ACCOUNT: an_account(), other: an_account(other)}
    found = settle(
        standing,
        {PLAN: a_plan()},
        [
            step(100_00, 40_00, 2),
            step(100_00, 40_00, 2, account_id=other, by="c2"),
            step(40_00, 30_00, 3, by="c3"),
        ],
    )

    assert [each.turn for each in found] == [Turn.CROSSED, Turn.CROSSED, Turn.NONE]
    assert [account.below_threshold for account in standing.values()] == [True, True]


def moved(movement: Movement, balance: int, version: int) -> Moved:
    """A movement as booked on its own account."""
    share = Share(movement.account_id, movement.amount, cny(0), cny(balance), version)
    return Moved(movement, an_account(), (share,), cny(balance), version)


def test_a_movement_tells_first_itself_and_then_the_bill_it_paid() -> None:
    paying = bill_payment(a_bill(), customer_id=None, channel="app", occurred_at=OCCURRED_AT)

    assert [type(fact) for fact in facts_of(moved(charge(60_00).movement("c1"), 40_00, 2))] == [AccountCharged]
    assert [type(fact) for fact in facts_of(moved(paying, 100_00, 3))] == [AccountRecharged, BillPaid]
    (adjusted,) = facts_of(moved(adjustment(-5).movement("a1"), 95, 2))
    assert isinstance(adjusted, BalanceAdjusted)
    assert (adjusted.amount, adjusted.balance_after, adjusted.account_version) == (cny(-5), cny(95), 2)


def test_a_crossing_with_a_bill_tells_both_and_a_return_tells_itself() -> None:
    accounts = {ACCOUNT: an_account()}
    turns = turned(step(100_00, 40_00, 2), step(40_00, 100_00, 3))
    (demand,) = demands(turns, accounts, {PLAN: a_plan()}, {})

    fell, issued, restored = turn_facts(turns, [demand.bill(BillId("b1"), 1)], accounts)
    assert isinstance(fell, BalanceFellBelowThreshold)
    assert isinstance(issued, BillIssued)
    assert isinstance(restored, BalanceRestored)
    assert fell.bill_id == issued.bill_id == "b1"
    assert {fact.aggregate_id for fact in (fell, issued, restored)} == {ACCOUNT}


def test_a_bill_is_payable_once_and_by_its_customer() -> None:
    bill = a_bill()

    bill.check_payable_by(None)
    bill.check_payable_by(CUSTOMER)
    with pytest.raises(BillNotFound):
        bill.check_payable_by(CustomerId("another"))
    paid = bill.paid(OCCURRED_AT)
    assert paid.state is BillState.PAID
    with pytest.raises(BillAlreadyPaid):
        paid.check_payable_by(CUSTOMER)
    with pytest.raises(BillNotFound):
        paid.check_payable_by(CustomerId("another"))


def field_of(refused: pytest.ExceptionInfo[InvalidArgument]) -> list[str]:
    """The fields a refusal names."""
    return [violation.field for violation in refused.value.violations]


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX + 1, 2**63 - 1, -(2**63)])
def test_a_recharge_is_more_than_zero_and_bounded(amount: int) -> None:
    with pytest.raises(InvalidArgument) as refused:
        recharge(amount)
    assert field_of(refused) == ["amount.minor_units"]


@pytest.mark.parametrize("amount", [-1, AMOUNT_MAX + 1, -(2**63)])
def test_a_charge_is_zero_or_more_and_bounded(amount: int) -> None:
    with pytest.raises(InvalidArgument) as refused:
        charge(amount)
    assert field_of(refused) == ["amount.minor_units"]
    assert not charge(0).movement("c1").booked


@pytest.mark.parametrize("amount", [0, AMOUNT_MAX + 1, -AMOUNT_MAX - 1])
def test_an_adjustment_is_not_zero_and_bounded(amount: int) -> None:
    with pytest.raises(InvalidArgument) as refused:
        adjustment(amount)
    assert field_of(refused) == ["amount.minor_units"]


@pytest.mark.parametrize("currency", ["", "cny", "YUAN", "C1Y"])
def test_a_currency_has_three_capital_letters(currency: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        charge(1, currency=currency)
    assert field_of(refused) == ["amount.currency"]
    with pytest.raises(InvalidArgument) as refused:
        opening(currency=currency)
    assert field_of(refused) == ["currency"]


def test_an_account_takes_its_own_currency_only() -> None:
    with pytest.raises(InvalidArgument) as refused:
        charge(1, currency="USD").movement("c1").check_against(an_account())
    assert field_of(refused) == ["amount.currency"]


def test_business_time_leaves_room_for_a_due_date() -> None:
    with pytest.raises(InvalidArgument) as refused:
        charge(1, at=datetime(9900, 1, 1, tzinfo=UTC))
    assert field_of(refused) == ["occurred_at"]


@pytest.mark.parametrize(
    ("threshold", "target", "due_days", "field"),
    [
        (cny(-1), cny(10), 14, "plan.threshold.minor_units"),
        (cny(50), cny(49), 14, "plan.target_balance.minor_units"),
        (cny(50), Money(100, "USD"), 14, "plan.target_balance.currency"),
        (cny(50), Money(100, ""), 14, "plan.target_balance.currency"),
        (cny(50), cny(100), -1, "plan.due_days"),
        (cny(50), cny(100), 3651, "plan.due_days"),
        (cny(AMOUNT_MAX + 1), cny(AMOUNT_MAX + 2), 14, "plan.threshold.minor_units"),
    ],
)
def test_a_plan_is_checked(threshold: Money, target: Money, due_days: int, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        BillPlan(plan_id=PLAN, display_name="x", threshold=threshold, target_balance=target, due_days=due_days)
    assert field_of(refused) == [field]


def test_a_plan_suits_accounts_of_its_currency() -> None:
    a_plan().check_suits(opening())
    with pytest.raises(PlanCurrencyDiffers):
        a_plan().check_suits(opening(currency="USD"))
