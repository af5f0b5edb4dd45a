"""Stays that began with a cycle that was due, over real gRPC: once it is charged or called off, nothing comes on top.

TV costs 99 yuan a month and was ordered in March. On the first of April 92.10 are left above a threshold of 80: the
bill asks for 86.90, up to 179.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
from billing.domain.reconcile import Reconciled
from chassis.testing.serving import Serving
from touchstone.billing.v1 import account_pb2, billing_events_pb2, billing_pb2
from touchstone.billing.v1 import account_service_pb2 as account_pb

from services.billing.tests.bills import operator
from services.billing.tests.calls import Calls, charged, cny, opened, paid, put_plan, recharged
from services.billing.tests.catalog import catalog_of, instant, put_price, put_product, stocked
from services.billing.tests.factories import ACCOUNT
from services.billing.tests.orders import cancel, change, order, orders_of
from services.billing.tests.test_api import told
from services.billing.tests.test_reconciling import reconcile
from services.billing.tests.test_recurring import run
from services.billing.tests.test_statements import close
from services.billing.tests.test_stay_calls import SHORTFALL, asked, holds, standing

ORIGINAL = billing_pb2.BILL_KIND_ORIGINAL
LEFT, BILL = 92_10, 86_90


async def refused(served: Serving, *payers: str) -> Calls:
    """The account after the run that refused April, and asked for it."""
    await stocked(served)
    calls = operator(served)
    await calls.bills.PutBillPlan(put_plan(threshold=cny(80_00), **SHORTFALL))
    await calls.accounts.OpenAccount(opened())
    await calls.accounts.Recharge(recharged(amount=cny(140_00)))
    await orders_of(served).PlaceOrder(order())
    for payer in payers:
        await calls.accounts.OpenAccount(opened(f"open-{payer}", account_id=payer, plan_id=""))
        pays = account_pb2.Payer(payer_account_id=payer)
        await calls.accounts.PutPayers(
            account_pb.PutPayersRequest(
                request_id="payers", account_id=ACCOUNT, payers=[pays], occurred_at=instant(2026, 3, 18)
            )
        )
    assert await run(served, 2026, 4, 1) == (0, 1, 0, 0)
    assert await asked(calls) == [(ORIGINAL, BILL)]
    assert (await standing(calls)).crossed_threshold == cny(179_00)
    return calls


async def put_in(calls: Calls, minor_units: int, request_id: str = "in", **changed: Any) -> None:
    """Puts money in."""
    await calls.accounts.Recharge(recharged(request_id, amount=cny(minor_units), **changed))


async def pay_bill(served: Serving, calls: Calls) -> None:
    """Pays what the refusal asked for."""
    issued, *_ = await told(served, billing_events_pb2.BillIssued)
    await calls.bills.PayBill(paid(bill_id=issued.bill_id))


async def is_back(served: Serving, calls: Calls) -> None:
    """Fails where the stay goes on, is told wrongly, or leaves something asked for."""
    assert not (await standing(calls)).below_threshold
    assert await asked(calls) == []
    (fell,) = await told(served, billing_events_pb2.BalanceFellBelowThreshold)
    (restored,) = await told(served, billing_events_pb2.BalanceRestored)
    assert restored.account_version > fell.account_version, "whoever hears both in any order knows which came last"
    assert (fell.threshold, restored.threshold) == (cny(179_00), cny(80_00))
    await holds(served)


async def test_a_cycle_that_was_charged_is_not_asked_for_on_top(served: Serving) -> None:
    calls = await refused(served)
    await put_in(calls, 40_00)
    assert await run(served, 2026, 4, 1, request_id="paid") == (1, 0, 0, 0)

    now = await standing(calls)
    assert (now.below_threshold, now.crossed_threshold) == (True, cny(80_00))
    assert await asked(calls) == [(ORIGINAL, BILL)], "what was issued stays as it is"
    await holds(served)
    await put_in(calls, 80_00 - (LEFT + 40_00 - 99_00) - 1, "nearly")
    assert (await standing(calls)).below_threshold
    await put_in(calls, 1, "back")
    await is_back(served, calls)


async def test_the_payment_of_its_bill_asks_for_nothing_more(served: Serving) -> None:
    calls = await refused(served)
    await put_in(calls, 40_00)
    await run(served, 2026, 4, 1, request_id="paid")
    await pay_bill(served, calls)
    await is_back(served, calls)


@pytest.mark.parametrize(
    "called_off",
    [
        {"occurred_at": instant(2026, 4, 2)},
        {"occurred_at": instant(2026, 3, 30), "at_cycle_end": True},
        {"occurred_at": instant(2026, 3, 20)},
    ],
    ids=["at once", "with the cycle before", "within the cycle before"],
)
async def test_a_cycle_that_was_called_off_brings_the_account_back(
    served: Serving, called_off: Mapping[str, Any]
) -> None:
    calls = await refused(served)
    await orders_of(served).CancelSubscription(cancel(**called_off))
    await is_back(served, calls)


async def test_books_agree_on_an_account_that_is_back_without_a_movement(served: Serving) -> None:
    calls = await refused(served)
    await orders_of(served).CancelSubscription(cancel(occurred_at=instant(2026, 4, 2, 10)))
    await is_back(served, calls)

    await close(served.work, datetime(2026, 4, 3, 2, tzinfo=UTC))

    assert await reconcile(served.work, date(2026, 4, 2)) == Reconciled(compared=3, differences=0)


async def test_whoever_is_below_without_it_has_to_come_back_to_the_threshold_itself(served: Serving) -> None:
    calls = await refused(served)
    await calls.charging.Charge(charged("used", amount=cny(20_00), occurred_at=instant(2026, 4, 1)))
    await orders_of(served).CancelSubscription(cancel(occurred_at=instant(2026, 4, 2)))

    now = await standing(calls)
    assert (now.below_threshold, now.crossed_threshold) == (True, cny(80_00))
    await holds(served)
    await put_in(calls, 7_90)
    await is_back(served, calls)


async def test_another_subscription_of_less_brings_the_account_back(served: Serving) -> None:
    catalog = catalog_of(served)
    calls = await refused(served)
    await catalog.PutProduct(put_product("small", product_id="tv-small"))
    await catalog.PutPrice(put_price("small-price", product_id="tv-small", amount=cny(10_00)))
    await orders_of(served).ChangeSubscription(change(product_id="tv-small", occurred_at=instant(2026, 4, 1, 10)))
    await is_back(served, calls)


async def test_a_cycle_that_somebody_else_paid_brings_the_account_back(served: Serving) -> None:
    calls = await refused(served, "parent")
    await put_in(calls, 200_00, account_id="parent")
    assert await run(served, 2026, 4, 2) == (1, 0, 0, 0)

    await is_back(served, calls)
    await calls.charging.Charge(charged("used", amount=cny(150_00), occurred_at=instant(2026, 4, 3)))
    assert len(await told(served, billing_events_pb2.BalanceFellBelowThreshold)) == 2
    await holds(served)


async def test_who_pays_the_bill_has_the_cycle_and_the_threshold(served: Serving) -> None:
    calls = await refused(served)
    await pay_bill(served, calls)
    assert not (await standing(calls)).below_threshold
    assert await run(served, 2026, 4, 1, request_id="paid") == (1, 0, 0, 0)
    assert not (await standing(calls)).below_threshold
    await holds(served)


@pytest.fixture
def settings() -> Mapping[str, Any]:
    """What the calendar asks for is done by the tests' own calls alone."""
    return {"timed_work": False}
