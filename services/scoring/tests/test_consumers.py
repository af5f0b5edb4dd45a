"""Charges as they come over the broker: each counted once, in any order, and what cannot be one put aside."""

import random

from chassis.testing.serving import Serving
from scoring.domain.history import CustomerId, PurchaseDay
from sqlalchemy import text

from services.scoring.tests.charges import charge, tell
from services.scoring.tests.factories import UNTIL, as_arrived, drawn_purchases

DAYS = drawn_purchases(30, seed=4)


async def stored(served: Serving) -> set[tuple[str, str, int, int]]:
    """The purchase days that scoring knows."""
    query = "SELECT customer_id, CAST(business_day AS text), purchases, amount_minor FROM purchase_days"
    async with served.work.reading() as connection:
        return {tuple(row) for row in await connection.execute(text(query))}


async def test_a_charge_told_twice_counts_once(served: Serving) -> None:
    charges = [charge(as_arrived(day)) for day in DAYS]
    event_ids = [each.charge_id for each in charges]
    await tell(served, charges, event_ids=event_ids)
    again = list(zip(charges, event_ids, strict=True))
    random.Random(1).shuffle(again)
    await tell(served, [each for each, _ in again], event_ids=[event_id for _, event_id in again])
    await served.settle()
    assert await stored(served) == {(day.customer_id, day.day.isoformat(), 1, day.amount_minor) for day in DAYS}


async def test_charges_of_one_day_merge_and_a_charge_of_nothing_counts(served: Serving) -> None:
    day = PurchaseDay(CustomerId("ann"), UNTIL, 1, 500)
    free = PurchaseDay(CustomerId("ann"), UNTIL, 1, 0)
    await tell(served, [charge(as_arrived(day, hour=1)), charge(as_arrived(free)), charge(as_arrived(day, hour=23))])
    await served.settle()
    assert await stored(served) == {("ann", UNTIL.isoformat(), 3, 1000)}


async def test_what_cannot_be_a_purchase_is_put_aside_and_stops_nothing(served: Serving) -> None:
    good = charge(as_arrived(DAYS[0]))
    negative, nobody, timeless = (charge(as_arrived(DAYS[0])) for _ in range(3))
    negative.amount.minor_units = -1
    nobody.customer_id = ""
    timeless.ClearField("occurred_at")
    await tell(served, [negative, nobody, timeless, good])
    await served.settle()
    assert len(await stored(served)) == 1
    async with served.work.reading() as connection:
        errors = list((await connection.execute(text("SELECT error FROM dead_letters ORDER BY error"))).scalars())
    assert [field for field in ("amount", "customer_id", "occurred_at") if any(field in error for error in errors)] == [
        "amount",
        "customer_id",
        "occurred_at",
    ]
    assert len(errors) == 3
