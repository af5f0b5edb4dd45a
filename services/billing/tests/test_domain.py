"""The rules of billing without a database: what movements tell, and what commands refuse."""

from datetime import UTC, datetime

import pytest
from billing.domain.bill import BillAlreadyPaid, BillClosed, BillNotFound, BillState
from billing.domain.facts import AccountCharged, AccountRecharged, BalanceAdjusted, facts_of
from billing.domain.ids import CustomerId
from billing.domain.movement import Moved, Movement, Share
from billing.domain.plan import BillPlan, PlanCurrencyDiffers
from billing.domain.wish import bill_payment
from chassis.errors import InvalidArgument
from chassis.money import AMOUNT_MAX, Money

from services.billing.tests.factories import (
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


def moved(movement: Movement, balance: int, version: int) -> Moved:
    """A movement as booked on its own account."""
    share = Share(movement.account_id, movement.amount, cny(0), cny(balance), version)
    return Moved(movement, an_account(), (share,), cny(balance), version)


def test_a_movement_tells_itself() -> None:
    paying = bill_payment(a_bill(), customer_id=None, channel="app", occurred_at=OCCURRED_AT)

    assert [type(fact) for fact in facts_of(moved(charge(60_00).movement("c1"), 40_00, 2))] == [AccountCharged]
    assert [type(fact) for fact in facts_of(moved(paying, 100_00, 3))] == [AccountRecharged]
    (adjusted,) = facts_of(moved(adjustment(-5).movement("a1"), 95, 2))
    assert isinstance(adjusted, BalanceAdjusted)
    assert (adjusted.amount, adjusted.balance_after, adjusted.account_version) == (cny(-5), cny(95), 2)


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
    with pytest.raises(BillClosed):
        bill.closed(OCCURRED_AT).check_payable_by(CUSTOMER)


def test_what_remains_of_a_bill_is_what_its_payment_brings() -> None:
    bill = a_bill().credited(20_00)

    payment = bill_payment(bill, customer_id=None, channel="app", occurred_at=OCCURRED_AT)

    assert (bill.remaining, payment.asked) == (cny(40_00), cny(40_00))
    assert {bill.paid(OCCURRED_AT).remaining, bill.closed(OCCURRED_AT).remaining} == {cny(0)}


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
