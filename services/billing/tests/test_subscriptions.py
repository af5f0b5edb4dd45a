"""Subscriptions in mid-cycle over real gRPC: cancelled and changed to the day, and nobody gains or loses by it."""

import asyncio
from typing import Any

import pytest
from chassis.database import async_url
from chassis.rpc.errors import from_status
from chassis.testing import Database
from chassis.testing.serving import Serving
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from touchstone.billing.v1 import account_pb2, catalog_pb2, order_pb2
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import order_service_pb2 as pb

from services.billing.tests.calls import AT, boss, cny, opened, put_plan, recharged, refused
from services.billing.tests.catalog import catalog_of, instant, put_price, put_product, stocked
from services.billing.tests.factories import Billing
from services.billing.tests.orders import cancel, change, item, order, orders_of, rich

GONE = order_pb2.SUBSCRIPTION_STATE_ENDED


async def balance(served: Serving, account_id: str = "acc-1") -> int:
    """What the account has."""
    reply = await boss(served).accounts.GetAccount(account_pb.GetAccountRequest(account_id=account_id))
    return int(reply.account.balance.minor_units)


async def subscribed(served: Serving, yuan: int = 500, **changed: Any) -> Any:
    """The calls about orders; TV was ordered in the middle of March for 47.90, 15 days."""
    orders = await rich(served, yuan)
    await orders.PlaceOrder(order(**changed))
    return orders


def lines(reckoning: catalog_pb2.Reckoning) -> list[tuple[int, int, int]]:
    """Days, of days, and the amount."""
    return [(line.quantity, line.of_quantity, line.amount.minor_units) for line in reckoning.lines]


async def test_cancelling_gives_back_what_is_left(served: Serving) -> None:
    orders = await subscribed(served)
    done = await orders.CancelSubscription(cancel())
    # 4 of 15 days of 47.90 are 12.77.
    assert done.refunded == cny(35_13)
    assert lines(done.reckoning) == [(-1, 0, -47_90), (4, 15, 12_77)]
    assert done.reckoning.total == cny(-35_13)
    assert done.balance_after == cny(500_00 - 12_77)
    assert (done.subscription.state, done.subscription.revision) == (GONE, 2)
    assert done.subscription.ended_at == cancel().occurred_at
    assert (await refused(orders.CancelSubscription, cancel("again"))).reason == "SUBSCRIPTION_ENDED"
    assert (await refused(orders.ChangeSubscription, change())).reason == "SUBSCRIPTION_ENDED"
    assert await Billing(served.work).proof() == []


async def test_one_day_is_used_when_it_ends_on_the_day_it_began(served: Serving) -> None:
    orders = await subscribed(served)
    done = await orders.CancelSubscription(cancel(occurred_at=instant(2026, 3, 17, 23)))
    assert done.balance_after == cny(500_00 - 3_19)


async def test_fifty_cancellations_give_back_once(served: Serving) -> None:
    orders = await subscribed(served)
    wishes = [cancel(f"c-{n}") for n in range(50)]
    outcomes = await asyncio.gather(*(orders.CancelSubscription(wish) for wish in wishes), return_exceptions=True)
    assert sum(isinstance(outcome, pb.CancelSubscriptionResponse) for outcome in outcomes) == 1
    assert await balance(served) == 500_00 - 12_77
    assert await Billing(served.work).proof() == []


async def test_cancelling_with_the_cycle_moves_nothing(served: Serving) -> None:
    orders = await subscribed(served)
    done = await orders.CancelSubscription(cancel(at_cycle_end=True))
    assert (done.refunded, done.balance_after) == (cny(0), cny(452_10))
    assert done.subscription.state == order_pb2.SUBSCRIPTION_STATE_CANCELLING
    assert (await refused(orders.CancelSubscription, cancel("b", at_cycle_end=True))).reason == "SUBSCRIPTION_ENDED"
    assert (await refused(orders.ChangeSubscription, change())).reason == "SUBSCRIPTION_ENDED"
    at_once = await orders.CancelSubscription(cancel("c"))
    assert (at_once.subscription.state, at_once.refunded) == (GONE, cny(35_13))


async def test_after_the_cycle_nothing_is_left(served: Serving) -> None:
    orders = await subscribed(served)
    done = await orders.CancelSubscription(cancel(occurred_at=instant(2026, 4, 2), at_cycle_end=True))
    assert (done.subscription.state, done.refunded, done.balance_after) == (GONE, cny(0), cny(452_10))


async def test_what_is_not_refundable_is_kept(served: Serving) -> None:
    orders = await subscribed(served)
    await catalog_of(served).PutProduct(put_product("again", refundable=False))
    done = await orders.CancelSubscription(cancel())
    assert (done.subscription.state, done.refunded, done.balance_after) == (GONE, cny(0), cny(452_10))


async def test_more_of_it_is_charged_to_the_day(served: Serving) -> None:
    orders = await subscribed(served)
    done = await orders.ChangeSubscription(change())
    # 3 of 15 days of 47.90 are 9.58; two from the 20th are 12 of 31 days of 198.00: 76.65.
    assert (done.refunded, done.charged) == (cny(38_32), cny(76_65))
    assert done.balance_after == cny(500_00 - 9_58 - 76_65)
    assert lines(done.reckoning) == [(-1, 0, -47_90), (3, 15, 9_58), (2, 0, 198_00), (12, 31, -121_35)]
    assert done.reckoning.total == cny(76_65 - 38_32)
    changed = done.subscription
    assert (changed.quantity, changed.cycle_start, changed.cycle_end) == (2, "2026-03-20", "2026-04-01")
    assert changed.cycle_charged == cny(76_65)
    back = await orders.CancelSubscription(cancel())
    # One of 12 days is used.
    assert back.refunded == cny(76_65 - 6_39)
    assert await Billing(served.work).proof() == []


async def test_less_of_it_needs_no_balance(served: Serving) -> None:
    orders = await subscribed(served, yuan=96, items=[item(quantity=2)])
    assert await balance(served) == 19
    done = await orders.ChangeSubscription(change(quantity=1))
    # 4 of 15 days of 95.81 are 25.55; one from the 20th is 12 of 31 days of 99.00: 38.32.
    assert (done.refunded, done.charged) == (cny(70_26), cny(38_32))
    assert done.balance_after == cny(19 + 70_26 - 38_32)


async def test_another_product_by_the_year_begins_anew(served: Serving) -> None:
    orders = await subscribed(served, yuan=2000)
    catalog = catalog_of(served)
    await catalog.PutProduct(put_product("y", product_id="tv-year", cycle_unit=catalog_pb2.CYCLE_UNIT_YEAR))
    await catalog.PutPrice(put_price("y", product_id="tv-year", amount=cny(990_00)))
    done = await orders.ChangeSubscription(change(product_id="tv-year"))
    # 2.71 a day is less than 3.19, so the 20th counts as used as well: 4 of 15 days.
    assert (done.refunded, done.charged) == (cny(35_13), cny(990_00))
    assert (done.subscription.cycle_start, done.subscription.cycle_end) == ("2026-03-20", "2027-03-20")
    assert (done.subscription.product_id, done.subscription.anchor_day) == ("tv-year", 20)


async def test_a_change_is_whole_or_nothing(served: Serving) -> None:
    orders = await subscribed(served)
    assert (await refused(orders.ChangeSubscription, change(quantity=1000))).reason == "INSUFFICIENT_BALANCE"
    assert await balance(served) == 452_10
    still = await orders.GetSubscription(pb.GetSubscriptionRequest(subscription_id="sub-1"))
    assert (still.subscription.quantity, still.subscription.revision) == (1, 1)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"subscription_id": "none"}, "SUBSCRIPTION_NOT_FOUND"),
        ({"customer_id": "another"}, "SUBSCRIPTION_NOT_FOUND"),
        ({"product_id": "none"}, "PRODUCT_NOT_FOUND"),
        ({"product_id": "box"}, "PRODUCT_KIND_DIFFERS"),
        ({"product_id": "tv-old"}, "PRODUCT_RETIRED"),
        ({"product_id": "tv-dear"}, "PRICE_NOT_FOUND"),
        ({"quantity": 1}, "INVALID_ARGUMENT"),
    ],
)
async def test_what_it_cannot_become(served: Serving, changed: dict[str, Any], reason: str) -> None:
    orders = await subscribed(served)
    catalog = catalog_of(served)
    await catalog.PutProduct(put_product("old", product_id="tv-old", retired=True))
    await catalog.PutProduct(put_product("dear", product_id="tv-dear"))
    assert (await refused(orders.ChangeSubscription, change(**changed))).reason == reason
    assert await balance(served) == 452_10


async def test_changes_and_cancellations_at_once_sum_exactly(served: Serving) -> None:
    orders = await subscribed(served, yuan=5000)
    wishes = [orders.ChangeSubscription(change(f"c-{n}", quantity=n)) for n in range(2, 12)]
    await asyncio.gather(*wishes, orders.CancelSubscription(cancel()), return_exceptions=True)
    still = await orders.GetSubscription(pb.GetSubscriptionRequest(subscription_id="sub-1"))
    assert still.subscription.state == GONE
    async with served.work.reading() as connection:
        taken = (
            await connection.execute(
                text(
                    "SELECT (SELECT sum(amount_minor) FROM charges)"
                    " - (SELECT coalesce(sum(amount_minor), 0) FROM charge_refunds)"
                )
            )
        ).scalar_one()
        unexplained = (
            await connection.execute(
                text(
                    "SELECT count(*) FROM reckonings r WHERE total_minor <>"
                    " (SELECT sum(amount_minor) FROM reckoning_lines WHERE reckoning_id = r.reckoning_id)"
                )
            )
        ).scalar_one()
        revisions = (await connection.execute(text("SELECT count(*) FROM subscription_steps"))).scalar_one()
    assert await balance(served) == 5000_00 - taken
    assert unexplained == 0
    assert revisions == still.subscription.revision
    assert await Billing(served.work).proof() == []


async def test_a_batch_of_cancellations_has_an_outcome_for_each(served: Serving) -> None:
    orders = await subscribed(served)
    wishes = [cancel("a"), cancel("b"), cancel("c", subscription_id="none"), cancel("d", subscription_id="-")]
    reply = await orders.BatchCancelSubscriptions(pb.BatchCancelSubscriptionsRequest(requests=wishes))
    assert reply.results[0].response.refunded == cny(35_13)
    reasons = [from_status(each.error).reason for each in reply.results[1:]]
    assert reasons == ["SUBSCRIPTION_ENDED", "SUBSCRIPTION_NOT_FOUND", "INVALID_ARGUMENT"]


async def test_ended_ones_are_listed_on_wish(served: Serving) -> None:
    orders = await subscribed(served, items=[item(), item(subscription_id="sub-2")])
    await orders.CancelSubscription(cancel())
    open_ones = await orders.ListSubscriptions(pb.ListSubscriptionsRequest(account_id="acc-1"))
    assert [one.subscription_id for one in open_ones.subscriptions] == ["sub-2"]
    everything = pb.ListSubscriptionsRequest(account_id="acc-1", include_ended=True, page_size=1)
    first = await orders.ListSubscriptions(everything)
    everything.page_token = first.next_page_token
    rest = await orders.ListSubscriptions(everything)
    assert [page.subscriptions[0].subscription_id for page in (first, rest)] == ["sub-1", "sub-2"]
    assert not rest.next_page_token


async def test_who_paid_gets_it_back(served: Serving) -> None:
    await rich(served, yuan=1)
    calls = boss(served)
    await calls.accounts.OpenAccount(opened("parent", account_id="acc-2", plan_id=""))
    await calls.accounts.Recharge(recharged("parent", account_id="acc-2"))
    payers = [account_pb2.Payer(payer_account_id="acc-2", families=["tv"])]
    await calls.accounts.PutPayers(
        account_pb.PutPayersRequest(request_id="p", account_id="acc-1", payers=payers, occurred_at=AT)
    )
    orders = orders_of(served)
    placed = await orders.PlaceOrder(order())
    assert (placed.balance_after, await balance(served, "acc-2")) == (cny(1_00), 52_10)
    await orders.ChangeSubscription(change())
    assert await balance(served, "acc-2") == 100_00 - 9_58 - 76_65
    await orders.CancelSubscription(cancel())
    assert (await balance(served), await balance(served, "acc-2")) == (1_00, 100_00 - 9_58 - 6_39)
    assert await Billing(served.work).proof() == []


async def test_an_open_bill_is_credited_with_the_balance_of_a_change(served: Serving) -> None:
    await stocked(served)
    calls = boss(served)
    await calls.bills.PutBillPlan(put_plan(threshold=cny(95_00)))
    await calls.accounts.OpenAccount(opened())
    await calls.accounts.Recharge(recharged())
    orders = orders_of(served)
    placed = await orders.PlaceOrder(order(items=[item(quantity=2)]))
    # 100.00 less 95.81 is 4.19: up to 100.00 the bill asks for 95.81.
    assert (placed.balance_after, placed.bill.amount) == (cny(4_19), cny(95_81))
    done = await orders.ChangeSubscription(change(quantity=1))
    assert (done.refunded, done.charged, done.balance_after) == (cny(70_26), cny(38_32), cny(36_13))
    bills = (await calls.bills.ListBills(bill_pb.ListBillsRequest(account_id="acc-1"))).bills
    assert [bill.amount for bill in bills] == [cny(31_94), cny(95_81)]
    assert bills[1].remaining == cny(63_87)
    assert await Billing(served.work).proof() == []


DAMAGE = {
    "the lines of a reckoning sum to its total": (
        "UPDATE reckoning_lines SET amount_minor = amount_minor + 1 WHERE line = 1"
    ),
    "a charge of an order or a cycle was what its reckoning comes to": "UPDATE reckonings SET total_minor = 1",
    "an order that was placed has a charge of its account for each of its items, and no other has any": (
        "UPDATE orders SET charge_ids = charge_ids || 'another'::text"
    ),
    "a subscription stands as the last of its steps says, and none is missing": (
        "UPDATE subscriptions SET revision = revision + 1"
    ),
    "the cycle that a subscription paid last was charged to its account, and so much": (
        "UPDATE subscriptions SET cycle_charged_minor = cycle_charged_minor + 1"
    ),
}


@pytest.mark.parametrize("claim", DAMAGE)
async def test_the_proof_sees_damage(served: Serving, fresh: Database, claim: str) -> None:
    await subscribed(served)
    owner = create_async_engine(async_url(fresh.owner_url))
    async with owner.begin() as connection:
        for table in ("reckonings", "reckoning_lines"):
            await connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        await connection.execute(text(DAMAGE[claim]))
    await owner.dispose()
    assert claim in [check.claim for check in await Billing(served.work).proof()]
