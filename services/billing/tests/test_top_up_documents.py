"""Automatic top-up of an account of which several documents are asked: each is paid once, and nothing twice."""

import asyncio
from typing import Any

import pytest
from touchstone.billing.v1 import billing_pb2, payment_pb2, top_up_service_pb2

from services.billing.tests.calls import cny, put_plan, recharged
from services.billing.tests.catalog import stocked
from services.billing.tests.orders import order, orders_of
from services.billing.tests.payments import Paying
from services.billing.tests.test_stay_calls import SHORTFALL, asked
from services.billing.tests.test_top_up import HOUR, MINUTE, NOON, a_rule, a_token, payments_of

ORIGINAL, SUPPLEMENT = billing_pb2.BILL_KIND_ORIGINAL, billing_pb2.BILL_KIND_SUPPLEMENT
NOTHING = top_up_service_pb2.RunTopUpsResponse()


@pytest.fixture
async def topping(paying: Paying) -> Paying:
    """A rule, an original for 10 yuan, and a supplement for 38.90 of what was ordered since. 1.10 are left of 50."""
    await stocked(paying.served)
    await paying.calls.bills.PutBillPlan(put_plan("put-2", **SHORTFALL))
    await paying.calls.top_ups.PutPaymentToken(a_token())
    await paying.calls.top_ups.PutTopUpRule(a_rule())
    await paying.cross()
    await paying.calls.accounts.Recharge(recharged("some", amount=cny(9_00)))
    await orders_of(paying.served).PlaceOrder(order())
    assert await asked(paying.calls) == [(ORIGINAL, 10_00), (SUPPLEMENT, 38_90)]
    return paying


async def asked_for(topping: Paying) -> list[tuple[Any, bool]]:
    """The rule's payments, oldest first: how much, and whether it was for a document."""
    found = await payments_of(topping)
    ours = [each for each in found if each.origin == payment_pb2.PAYMENT_ORIGIN_TOP_UP]
    return [(each.amount.minor_units, bool(each.bill_id)) for each in ours]


async def test_a_supplement_is_paid_after_its_original(topping: Paying) -> None:
    topping.provider.state = "succeeded"
    assert (await topping.top_up("run-1", NOON)).payments == 1
    assert await topping.top_up("run-2", NOON + HOUR) == NOTHING, "one is in flight at a time"
    await topping.advance("advance-1", NOON + HOUR)
    assert (await topping.top_up("run-3", NOON + HOUR)).payments == 1
    await topping.advance("advance-2", NOON + HOUR)

    assert await asked_for(topping) == [(10_00, True), (38_90, True)]
    assert await asked(topping.calls) == []
    assert await topping.balance() == 50_00
    assert await topping.rows("SELECT attempt, count(*) FROM top_up_attempts GROUP BY attempt") == [(1, 2)]
    assert await topping.top_up("run-4", NOON + 2 * HOUR) == NOTHING
    assert await topping.broken() == []


async def test_a_declined_supplement_is_tried_again_on_its_own(topping: Paying) -> None:
    topping.provider.state = "succeeded"
    await topping.top_up("run-1", NOON)
    await topping.advance("advance-1", NOON)
    topping.provider.state = "declined"
    await topping.top_up("run-2", NOON + MINUTE)
    await topping.advance("advance-2", NOON + MINUTE)
    assert await topping.top_up("soon", NOON + HOUR) == NOTHING
    assert (await topping.top_up("run-3", NOON + MINUTE + HOUR)).payments == 1

    tried = "SELECT b.kind, t.attempt FROM top_up_attempts t JOIN bills b USING (bill_id) ORDER BY bill_number, attempt"
    assert await topping.rows(tried) == [("original", 1), ("supplement", 1), ("supplement", 2)]


async def test_a_document_that_somebody_pays_is_left_alone(topping: Paying) -> None:
    await topping.create("create-1", bill_id=topping.bill.bill_id, amount=None)
    assert (await topping.top_up("run-1", NOON)).payments == 1
    assert await asked_for(topping) == [(38_90, True)]


@pytest.mark.parametrize(("coming", "asks"), [(20_00, [(28_90, False)]), (48_90, []), (48_89, [(1, False)])])
async def test_what_else_is_on_its_way_counts_for_all_of_them(
    topping: Paying, coming: int, asks: list[tuple[int, bool]]
) -> None:
    await topping.create("create-1", amount=cny(coming))
    await topping.top_up("run-1", NOON)
    assert await asked_for(topping) == asks


async def test_runs_at_once_ask_for_one_payment(topping: Paying) -> None:
    await asyncio.gather(*(topping.top_up(f"run-{number}", NOON) for number in range(10)))
    assert await asked_for(topping) == [(10_00, True)]


async def test_a_month_that_covers_the_original_alone_stops_at_the_supplement(topping: Paying) -> None:
    topping.provider.state = "succeeded"
    await topping.calls.top_ups.PutTopUpRule(a_rule("rule-2", monthly_limit=cny(48_89)))
    await topping.top_up("run-1", NOON)
    await topping.advance("advance-1", NOON)
    reply = await topping.top_up("run-2", NOON + MINUTE)
    assert (reply.payments, reply.paused) == (0, 1)
    assert await asked_for(topping) == [(10_00, True)]
