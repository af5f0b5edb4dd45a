"""Orders that billing placed or gave up, over a real broker: what was set aside for them is spent, or free again."""

from typing import Any

import pytest
from chassis.testing.serving import Serving
from chassis.times import to_proto
from chassis.work import Transaction
from member.domain.coupon_acts import Reserved
from member.domain.merge import Merged
from sqlalchemy import text
from touchstone.billing.v1 import order_events_pb2 as events

from services.member.tests import coupon_steps
from services.member.tests.billing import Billing
from services.member.tests.calls import SCOPES, Stubs
from services.member.tests.coupon_steps import activated, issued, prove_coupons, put_customers, terms
from services.member.tests.customers import erase, merge, merging
from services.member.tests.factories import award, awarded, day, enrolled, hold_request, rows, scalar
from services.member.tests.steps import prove

PLACED, REJECTED = events.OrderPlaced, events.OrderRejected
WHAT = [("coupons", "points"), ("coupons",), ("points",), ()]


def order(kind: Any, kept: dict[str, Any], *, customer_id: str = "c-1", order_id: str = "o-1") -> Any:
    """An order on day 2, as billing tells of it with what it had set aside."""
    about = {"product_ids": ["p-1"]} if kind is PLACED else {"because": "TOTAL_DIFFERS"}
    named = {"order_id": order_id, "account_id": "a-1", "customer_id": customer_id}
    return kind(**named, **about, **kept, occurred_at=to_proto(day(2)))


async def set_aside(
    served: Serving, *what: str, customer_id: str = "c-1", order_id: str = "o-1", until: int = 4
) -> dict[str, Any]:
    """A coupon and 60 of 100 points set aside on day 2, as far as asked for."""
    kept: dict[str, Any] = {}
    if "coupons" in what:
        await activated(served.work, terms())
        coupon = await issued(served.work, customer_id)
        asked = coupon_steps.use_command(
            coupon.coupon_id, order_id=order_id, customer_id=customer_id, ends_at=day(until)
        )
        (reserved,) = await coupon_steps.use(served.work, asked)
        assert isinstance(reserved, Reserved), reserved
        kept["coupon_ids"] = [coupon.coupon_id]
    if "points" in what:
        await awarded(served.work, award(100, at=day(1), customer_id=customer_id))
        asking = Stubs.of(served.channel(*SCOPES, subject="billing"))
        request = hold_request(60, customer_id, request_id=f"order-points:{order_id}", expires_at=to_proto(day(until)))
        kept["points_hold_id"] = (await asking.points.HoldPoints(request)).hold_id
    return kept


async def states(served: Serving) -> tuple[list[str], list[str]]:
    """How coupons and holds stand."""
    coupons = await rows(served.work, "SELECT state FROM coupons ORDER BY coupon_id")
    holds = await rows(served.work, "SELECT state FROM ledger_holds ORDER BY 1")
    return [state for (state,) in coupons], [state for (state,) in holds]


async def letters(served: Serving) -> list[str]:
    """The events that were put aside."""
    return [event_id for (event_id,) in await rows(served.work, "SELECT event_id FROM dead_letters ORDER BY 1")]


async def forget_claims(served: Serving) -> None:
    """Which events were handled is forgotten, as housekeeping does after weeks."""

    async def forget(transaction: Transaction) -> None:
        await transaction.connection.execute(text("DELETE FROM handled_requests"))

    await served.work.run(forget)


async def check(served: Serving, what: tuple[str, ...], coupon: str, hold: str) -> None:
    """What was set aside stands so, no event was put aside, and the books prove themselves."""
    assert await letters(served) == []
    assert await states(served) == ([coupon] * ("coupons" in what), [hold] * ("points" in what))
    await prove(served.work)
    await prove_coupons(served.work)


@pytest.mark.parametrize("what", WHAT)
async def test_a_placed_order_spends_what_was_set_aside_once(
    served: Serving, billing: Billing, what: tuple[str, ...]
) -> None:
    """Told again, also when it is long forgotten that it was handled, and beside an order with nothing."""
    await enrolled(served.work, "c-1")
    kept = await set_aside(served, *what)
    for again in range(3):
        await billing.tell(order(PLACED, {}, order_id="o-0"), event_id="e-0", again=again)
        await billing.tell(order(PLACED, kept), event_id="e-1", again=again)
        await served.settle()
        await forget_claims(served)
    await check(served, what, "redeemed", "captured")
    assert await scalar(served.work, "SELECT count(*) FROM ledger_transactions WHERE kind = 'redeem'") == len(
        set(what) & {"points"}
    )


@pytest.mark.parametrize("what", WHAT)
async def test_a_rejected_order_frees_what_was_set_aside_once(
    served: Serving, billing: Billing, what: tuple[str, ...]
) -> None:
    await enrolled(served.work, "c-1")
    kept = await set_aside(served, *what)
    for again in range(3):
        await billing.tell(order(REJECTED, {}, order_id="o-0"), event_id="e-0", again=again)
        await billing.tell(order(REJECTED, kept), event_id="e-1", again=again)
        await served.settle()
        await forget_claims(served)
    await check(served, what, "open", "released")


@pytest.mark.parametrize(("kind", "coupon", "hold"), [(PLACED, "redeemed", "captured"), (REJECTED, "open", "released")])
@pytest.mark.parametrize("what", WHAT[:-1])
async def test_an_order_of_a_customer_merged_away_meanwhile_ends_what_went_over(
    served: Serving, billing: Billing, what: tuple[str, ...], kind: Any, coupon: str, hold: str
) -> None:
    """Its membership goes over whole, as the one that stays is no member."""
    await put_customers(served.work, "c-1")
    await enrolled(served.work, "c-2")
    kept = await set_aside(served, *what, customer_id="c-2")
    (outcome,) = await merge(served.work, merging(on=3, p_1="p-2"))
    assert isinstance(outcome, Merged), outcome
    await billing.tell(order(kind, kept, customer_id="c-2"), event_id="e-1")
    await served.settle()
    await check(served, what, coupon, hold)


@pytest.mark.parametrize(("kind", "coupon", "hold"), [(PLACED, "redeemed", "captured"), (REJECTED, "open", "released")])
async def test_an_order_of_a_customer_erased_meanwhile_ends_all_the_same(
    served: Serving, billing: Billing, kind: Any, coupon: str, hold: str
) -> None:
    await enrolled(served.work, "c-1")
    kept = await set_aside(served, *WHAT[0])
    await erase(served.work, on=3)
    await billing.tell(order(kind, kept), event_id="e-1")
    await served.settle()
    await check(served, WHAT[0], coupon, hold)


@pytest.mark.parametrize("settings", [{"event_tries": 1}])
async def test_a_placed_order_whose_reservation_lapsed_before_is_put_aside_whole(
    served: Serving, billing: Billing
) -> None:
    """Its price was given, so somebody has to look at it; its neighbours are handled."""
    await enrolled(served.work, "c-1", "c-2")
    kept = await set_aside(served, *WHAT[0])
    others = await set_aside(served, "points", customer_id="c-2", order_id="o-2")
    await coupon_steps.expire(served.work, 5)
    await billing.tell(order(PLACED, kept), event_id="late")
    await billing.tell(order(PLACED, others, customer_id="c-2", order_id="o-2"), event_id="in-time")
    await served.settle()
    assert await letters(served) == ["late"]
    coupons, holds = await states(served)
    assert (coupons, sorted(holds)) == (["open"], ["captured", "open"])
    await billing.tell(order(REJECTED, kept), event_id="given-up")
    await served.settle()
    assert sorted((await states(served))[1]) == ["captured", "released"]
