"""Stays over real gRPC: whoever is below is asked, chased and served as what is asked stands."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from billing.use_cases.proof import prove
from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text
from touchstone.billing.v1 import bill_service_pb2 as pb
from touchstone.billing.v1 import billing_pb2, payment_pb2

from services.billing.tests.bills import CHASED, chase, crossed, days_later, issue_due, operator
from services.billing.tests.calls import Calls, charged, cny, opened, paid, put_plan, recharged, set_plan
from services.billing.tests.catalog import instant, stocked
from services.billing.tests.factories import ACCOUNT, OCCURRED_AT, PLAN
from services.billing.tests.orders import change, item, order, orders_of
from services.billing.tests.payments import Paying, said

ORIGINAL, SUPPLEMENT = billing_pb2.BILL_KIND_ORIGINAL, billing_pb2.BILL_KIND_SUPPLEMENT
SHORTFALL: Mapping[str, Any] = {
    "amount_kind": billing_pb2.BILL_AMOUNT_KIND_SHORTFALL,
    "target_balance": None,
    "overdue_steps": CHASED[1:],
}


async def standing(calls: Calls) -> Any:
    """How the account stands."""
    return (await calls.bills.GetAccountStanding(pb.GetAccountStandingRequest(account_id=ACCOUNT))).standing


async def asked(calls: Calls) -> list[tuple[Any, int]]:
    """What is open, oldest first: kinds and what they still ask for."""
    reply = await calls.bills.ListBills(pb.ListBillsRequest(account_id=ACCOUNT, state=billing_pb2.BILL_STATE_OPEN))
    return [(bill.kind, bill.remaining.minor_units) for bill in reversed(reply.bills)]


async def holds(served: Serving) -> None:
    """Fails where the tables contradict a claim."""
    async with served.work.reading() as connection:
        assert [check for check in await prove(connection) if not check.holds] == []


async def told(served: Serving) -> set[str]:
    """The names of the events in the outbox."""
    async with served.work.reading() as connection:
        rows = await connection.execute(text("SELECT DISTINCT event_type FROM outbox"))
        return {name.removeprefix("touchstone.billing.v1.") for name in rows.scalars()}


async def test_who_pays_the_bill_that_suspended_is_served_though_more_was_used_since(served: Serving) -> None:
    calls, bill = await crossed(served, **SHORTFALL)
    await calls.bills.RunOverdueSteps(chase(days_later(21)))
    await calls.charging.Charge(charged("meanwhile", amount=cny(5_00), occurred_at=days_later(22)))
    suspended = await standing(calls)

    await calls.bills.PayBill(paid(bill_id=bill.bill_id, occurred_at=days_later(23)))

    assert suspended.state == billing_pb2.ACCOUNT_STATE_SUSPENDED
    now = await standing(calls)
    assert now.state == billing_pb2.ACCOUNT_STATE_ACTIVE
    assert await asked(calls) == [(SUPPLEMENT, 5_00)]
    assert now.next_overdue_at == to_proto((OCCURRED_AT + timedelta(days=38)).replace(hour=0))
    await holds(served)


async def ordering(served: Serving, *, used: int, quantity: int = 1) -> tuple[Calls, Any]:
    """An account with 200 yuan on a plan of 80 that ordered TV in the middle of March, after something was used."""
    await stocked(served)
    calls, orders = operator(served), orders_of(served)
    await calls.bills.PutBillPlan(put_plan(threshold=cny(80_00), **SHORTFALL))
    await calls.accounts.OpenAccount(opened())
    await calls.accounts.Recharge(recharged(amount=cny(200_00)))
    await calls.charging.Charge(charged(amount=cny(used)))
    await orders.PlaceOrder(order(items=[item(quantity=quantity)]))
    return calls, orders


async def test_a_supplement_is_chased_after_its_original_was_paid(served: Serving) -> None:
    calls, _ = await ordering(served, used=125_00)
    assert await asked(calls) == [(ORIGINAL, 5_00), (SUPPLEMENT, 47_90)]
    done = await calls.bills.RunOverdueSteps(chase(instant(2026, 3, 23)))
    assert (done.accounts, done.suspended) == (1, 1)
    assert not (await standing(calls)).HasField("next_overdue_at"), "nothing is left to be done about the original"
    bills = (await calls.bills.ListBills(pb.ListBillsRequest(kind=ORIGINAL))).bills
    await calls.bills.PayBill(paid(bill_id=bills[0].bill_id, occurred_at=instant(2026, 3, 24)))

    looked = await calls.bills.RunOverdueSteps(chase(instant(2026, 3, 25), "chase-2"))
    reminded = await calls.bills.RunOverdueSteps(chase(instant(2026, 4, 1), "chase-3"))

    assert (looked.accounts, looked.reminders) == (1, 0)
    assert reminded.reminders == 1
    await holds(served)


async def test_a_cheaper_subscription_is_credited_and_the_stay_goes_on(served: Serving) -> None:
    calls, orders = await ordering(served, used=60_00, quantity=2)
    # 200 − 60 − 95.81 leaves 44.19: the bill asks for 35.81. 4 of 15 days of the two are used and one goes on: 31.94.
    assert await asked(calls) == [(ORIGINAL, 35_81)]

    done = await orders.ChangeSubscription(change(quantity=1))

    assert done.balance_after == cny(76_13)
    assert not done.HasField("bill")
    assert await asked(calls) == [(ORIGINAL, 3_87)]
    assert not await told(served) & {"BalanceRestored", "BillClosed"}
    await holds(served)


async def test_more_of_a_subscription_is_asked_for_by_a_supplement_of_the_net(served: Serving) -> None:
    calls, orders = await ordering(served, used=100_00)
    await calls.accounts.Recharge(recharged("some", amount=cny(20_00)))
    # 72.10 is left; what is given back would be 110.42 for a moment.
    done = await orders.ChangeSubscription(change())

    net = done.charged.minor_units - done.refunded.minor_units
    assert await asked(calls) == [(ORIGINAL, 27_90), (SUPPLEMENT, net - 20_00)]
    assert not await told(served) & {"BalanceRestored", "BillClosed"}
    await holds(served)


async def test_a_change_that_brings_the_account_back_ends_the_stay(served: Serving) -> None:
    calls, orders = await ordering(served, used=40_00, quantity=2)
    assert await asked(calls) == [(ORIGINAL, 15_81)]

    await orders.ChangeSubscription(change(quantity=1))

    assert await asked(calls) == []
    assert not (await standing(calls)).below_threshold
    await holds(served)


async def test_a_payment_that_comes_to_nothing_is_asked_for_again(paying: Paying) -> None:
    calls = paying.calls
    await calls.bills.PutBillPlan(put_plan("put-2", **SHORTFALL))
    bill = await paying.cross(60_00)
    await calls.charging.Charge(charged("more", amount=cny(20_00)))
    payment = await paying.create(amount=cny(30_00))
    await calls.bills.PayBill(paid(bill_id=bill.bill_id))
    waiting = await standing(calls)
    assert (await asked(calls), waiting.on_its_way) == ([], cny(30_00))

    await paying.hear(said(payment, "payment.declined"))
    due = await calls.bills.IssueDueBills(issue_due(waiting.next_bill_at))

    assert (await paying.payment(payment.payment_id)).state == payment_pb2.PAYMENT_STATE_DECLINED
    assert (due.accounts, due.bills) == (1, 1)
    assert await asked(calls) == [(SUPPLEMENT, 20_00)]
    assert await paying.broken() == []


async def test_a_plan_that_was_taken_away_and_came_again_bills_the_stay(served: Serving) -> None:
    calls, _ = await crossed(served, cycle=billing_pb2.BILL_CYCLE_DAILY)
    await calls.accounts.Recharge(recharged("back", amount=cny(20_00)))
    await calls.charging.Charge(charged("again", amount=cny(30_00)))
    await calls.bills.SetAccountPlan(set_plan("off", plan_id=""))
    at = (await standing(calls)).next_bill_at

    nothing = await calls.bills.IssueDueBills(issue_due(at))
    await calls.bills.SetAccountPlan(set_plan("on", plan_id=PLAN))
    later = Timestamp(seconds=at.seconds + 3600)
    done = await calls.bills.IssueDueBills(issue_due(later, "due-2"))

    assert (nothing.accounts, nothing.bills, done.bills) == (1, 0, 1)
    assert await asked(calls) == [(ORIGINAL, 70_00)]
    await holds(served)


@pytest.fixture
def settings() -> Mapping[str, Any]:
    """What the calendar asks for is done by the tests' own calls alone."""
    return {"timed_work": False}
