"""The recurring run over real gRPC: months and their ends, days without service, and runs at once or cut off."""

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import pytest
from billing.domain.recurring import month_to_close
from chassis.testing.serving import Serving
from chassis.times import to_proto
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import charging_events_pb2, charging_pb2, charging_service_pb2_grpc, order_pb2
from touchstone.billing.v1 import charging_service_pb2 as pb
from touchstone.billing.v1 import order_service_pb2 as order_service_pb

from services.billing.tests.calls import boss, charged, cny, recharged, refused, set_plan
from services.billing.tests.catalog import catalog_of, instant, put_price
from services.billing.tests.factories import Billing
from services.billing.tests.orders import cancel, item, order, orders_of, rich
from services.billing.tests.test_api import told
from services.billing.tests.test_usage import recording, send

FIRST = 500_00 - 47_90


def charging_of(served: Serving) -> Any:
    """The calls of whoever runs the jobs."""
    return charging_service_pb2_grpc.ChargingServiceStub(served.channel("billing.jobs", "billing.read", subject="jobs"))


async def run(served: Serving, year: int, month: int, day: int, request_id: str = "") -> tuple[int, int, int, int]:
    """A run on a day: cycles charged and refused, subscriptions that ended and that began to rest."""
    as_of = to_proto(datetime(year, month, day, 1, tzinfo=UTC))
    asked = pb.RunRecurringRequest(request_id=request_id or f"run-{year}-{month}-{day}", as_of=as_of)
    done = await charging_of(served).RunRecurring(asked)
    return done.charged, done.refused, done.ended, done.rested


async def subscription(served: Serving, subscription_id: str = "sub-1") -> order_pb2.Subscription:
    """As it stands."""
    asked = order_service_pb.GetSubscriptionRequest(subscription_id=subscription_id)
    found: order_pb2.Subscription = (await orders_of(served).GetSubscription(asked)).subscription
    return found


async def balance(served: Serving) -> int:
    """What the account has."""
    reply = await boss(served).accounts.GetAccount(account_pb.GetAccountRequest(account_id="acc-1"))
    return int(reply.account.balance.minor_units)


async def test_a_cycle_is_charged_when_it_begins(served: Serving) -> None:
    orders = await rich(served)
    await orders.PlaceOrder(order())
    assert await run(served, 2026, 3, 31) == (0, 0, 0, 0)
    assert await run(served, 2026, 4, 1) == (1, 0, 0, 0)
    assert await balance(served) == FIRST - 99_00
    standing = await subscription(served)
    assert (standing.cycle_start, standing.cycle_end) == ("2026-04-01", "2026-05-01")
    assert standing.cycle_charged == cny(99_00)
    assert await run(served, 2026, 4, 1, request_id="again") == (0, 0, 0, 0)
    charges = await boss(served).charging.ListCharges(pb.ListChargesRequest(account_id="acc-1"))
    assert [one.category for one in charges.charges] == [
        charging_pb2.CHARGE_CATEGORY_RECURRING,
        charging_pb2.CHARGE_CATEGORY_ORDER,
    ]
    found = await boss(served).charging.GetCharge(pb.GetChargeRequest(charge_id=charges.charges[0].charge_id))
    assert [line.amount for line in found.charge.reckoning.lines] == [cny(99_00)]
    assert await Billing(served.work).proof() == []


async def test_a_price_acts_on_cycles_that_begin_under_it(served: Serving) -> None:
    orders = await rich(served)
    await orders.PlaceOrder(order())
    await catalog_of(served).PutPrice(put_price("price-2", amount=cny(120_00), effective_from=instant(2026, 4, 1)))
    await run(served, 2026, 4, 1)
    assert (await subscription(served)).cycle_charged == cny(120_00)


async def test_days_without_service_cost_nothing(served: Serving) -> None:
    """What was not paid on the first begins on the day on which it is, and ends at the same anchor."""
    orders = await rich(served, 60)
    await orders.PlaceOrder(order())
    assert await run(served, 2026, 4, 1) == (0, 1, 0, 0)
    standing = await subscription(served)
    assert standing.state == order_pb2.SUBSCRIPTION_STATE_PAST_DUE
    (fact,) = await told(served, charging_events_pb2.RecurringChargeRefused)
    assert (fact.amount, fact.spendable, fact.cycle_start) == (cny(99_00), cny(12_10), "2026-04-01")
    assert await run(served, 2026, 4, 1, request_id="again") == (0, 0, 0, 0)
    assert await run(served, 2026, 4, 10) == (0, 1, 0, 0)
    await boss(served).accounts.Recharge(recharged("more", amount=cny(100_00)))
    assert await run(served, 2026, 4, 10, request_id="paid") == (1, 0, 0, 0)
    standing = await subscription(served)
    assert (standing.state, standing.cycle_start) == (order_pb2.SUBSCRIPTION_STATE_ACTIVE, "2026-04-10")
    assert (standing.cycle_end, standing.cycle_charged) == ("2026-05-01", cny(69_30))
    assert len(await told(served, charging_events_pb2.RecurringChargeRefused)) == 1
    assert await Billing(served.work).proof() == []


async def test_a_cycle_that_is_not_covered_asks_for_a_bill(served: Serving) -> None:
    """The balance itself lies above the threshold: what is due counts as gone."""
    orders = await rich(served, 100 + 48)
    await boss(served).bills.SetAccountPlan(set_plan())
    await orders.PlaceOrder(order(items=[item(quantity=1)]))
    await boss(served).charging.Charge(charged(amount=cny(5_00)))
    assert await run(served, 2026, 4, 1) == (0, 1, 0, 0)
    bills = (await boss(served).bills.ListBills(bill_pb.ListBillsRequest(account_id="acc-1"))).bills
    assert len(bills) == 1


async def test_one_that_ends_with_its_cycle_is_not_charged_again(served: Serving) -> None:
    orders = await rich(served)
    await orders.PlaceOrder(order())
    await orders.CancelSubscription(cancel(at_cycle_end=True))
    assert await run(served, 2026, 4, 2) == (0, 0, 1, 0)
    standing = await subscription(served)
    assert standing.state == order_pb2.SUBSCRIPTION_STATE_ENDED
    assert standing.ended_at == to_proto(datetime(2026, 4, 1, tzinfo=UTC))
    assert await balance(served) == FIRST


async def test_runs_that_were_missed_are_not_made_up_for(served: Serving) -> None:
    orders = await rich(served)
    await orders.PlaceOrder(order())
    assert await run(served, 2026, 6, 16) == (1, 0, 0, 0)
    standing = await subscription(served)
    assert (standing.cycle_start, standing.cycle_end) == ("2026-06-16", "2026-07-01")
    assert standing.cycle_charged == cny(49_50)


async def test_eight_runs_at_once_charge_once(served: Serving) -> None:
    orders = await rich(served, 1000)
    for name in "abcd":
        await orders.PlaceOrder(order(f"o-{name}", order_id=f"o-{name}", items=[item(subscription_id=f"s-{name}")]))
    outcomes = await asyncio.gather(*(run(served, 2026, 4, 1, request_id=f"run-{n}") for n in range(8)))
    assert sum(charged for charged, *_ in outcomes) == 4
    assert await balance(served) == 1000_00 - 4 * (47_90 + 99_00)
    assert await Billing(served.work).proof() == []


@pytest.mark.parametrize("settings", [{"business_timezone": "America/New_York", "cycle_anchor_day": 31}])
async def test_cycles_keep_their_anchor_over_short_months_and_changes_of_the_clock(served: Serving) -> None:
    orders = await rich(served, 1000)
    await orders.PlaceOrder(order(occurred_at=instant(2028, 1, 31, 12)))
    starts = []
    for day in ((2028, 2, 29), (2028, 3, 31), (2028, 4, 30), (2028, 5, 31)):
        # One at night in UTC is the evening before there.
        early = pb.RunRecurringRequest(request_id=f"early-{day}".replace(" ", ""), as_of=instant(*day, 1))
        assert (await charging_of(served).RunRecurring(early)).charged == 0
        noon = pb.RunRecurringRequest(request_id=f"noon-{day}".replace(" ", ""), as_of=instant(*day, 12))
        assert (await charging_of(served).RunRecurring(noon)).charged == 1
        standing = await subscription(served)
        starts.append(standing.cycle_start)
        assert standing.cycle_charged == cny(99_00)
    assert starts == ["2028-02-29", "2028-03-31", "2028-04-30", "2028-05-31"]


async def test_a_run_that_is_cut_off_goes_on_where_it_was(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.use_cases.recurring.ROUND", 1)
    orders = await rich(served)
    for name in ("a", "b", "c"):
        await orders.PlaceOrder(order(f"o-{name}", order_id=f"o-{name}", items=[item(subscription_id=f"s-{name}")]))
    assert await run(served, 2026, 4, 1) == (3, 0, 0, 0)
    assert await run(served, 2026, 4, 1) == (3, 0, 0, 0)
    assert await balance(served) == 500_00 - 3 * (47_90 + 99_00)


def test_a_month_stays_open_for_three_days() -> None:
    assert [month_to_close(date(2026, 3, day)) for day in (1, 3, 4, 31)] == [
        None,
        None,
        date(2026, 2, 1),
        date(2026, 2, 1),
    ]


async def test_what_comes_for_a_closed_month_is_late(served: Serving) -> None:
    await rich(served)
    calls = boss(served)
    await run(served, 2026, 4, 3)
    (early,) = await send(calls, recording("early"))
    await run(served, 2026, 4, 4)
    late, now = await send(calls, recording("late"), recording("now", occurred_at=instant(2026, 4, 2)))
    assert [one.late for one in (early, late, now)] == [False, True, False]
    charge = await calls.charging.GetCharge(pb.GetChargeRequest(charge_id=late.charge_id))
    assert charge.charge.late
    await run(served, 2026, 7, 4)
    months = [recording(f"in-{month}", occurred_at=instant(2026, month, 2)) for month in (2, 4, 5, 6, 7)]
    assert [one.late for one in await send(calls, *months)] == [True, True, True, True, False]


async def test_the_run_needs_an_instant(served: Serving) -> None:
    refusal = await refused(charging_of(served).RunRecurring, pb.RunRecurringRequest(request_id="r"))
    assert [one.field for one in refusal.violations] == ["as_of"]
