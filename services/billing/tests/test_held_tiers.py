"""Tiers as the member service tells them: the newest state counts, and rating goes by it."""

from collections.abc import AsyncIterator
from typing import Any

import nats as nats_client
import pytest
from billing.domain.discount import HeldTier, TiersHeld
from billing.domain.ids import CustomerId
from billing.store.held_tier import held_tiers
from billing.use_cases.held_tier import follow_tiers
from chassis.embedded import NatsServer
from chassis.testing.serving import DATED_LONG_AGO, Serving
from chassis.work import Work
from sqlalchemy import text
from touchstone.billing.v1 import order_service_pb2 as pb
from touchstone.member.v1 import benefit_events_pb2, benefit_pb2

from services.billing.tests.calls import cny
from services.billing.tests.catalog import catalog_of, put_discount
from services.billing.tests.factories import CUSTOMER, RECORDED_AT
from services.billing.tests.orders import MID_MARCH, item, rich

GOLD, SILVER = HeldTier("general", "gold"), HeldTier("general", "silver")
FAN = HeldTier("football", "fan")


@pytest.fixture
def settings() -> dict[str, Any]:
    """Orders are dated by the tests."""
    return dict(DATED_LONG_AGO)


def state(*tiers: HeldTier, revision: int, customer_id: str = CUSTOMER) -> TiersHeld:
    """What a customer holds."""
    return TiersHeld(CustomerId(customer_id), tiers, revision)


async def follow(work: Work, *states: TiersHeld) -> dict[CustomerId, set[HeldTier]]:
    """What is held after these states were told in one batch."""
    await work.run(lambda transaction: follow_tiers(transaction, states))
    async with work.reading() as connection:
        return await held_tiers(connection, {CUSTOMER, CustomerId("cus-2"), CustomerId("nobody")})


async def test_the_newest_state_counts_whatever_the_order(work: Work) -> None:
    assert await follow(work, state(SILVER, revision=2), state(GOLD, FAN, revision=3), state(revision=1)) == {
        CUSTOMER: {GOLD, FAN}
    }
    assert await follow(work, state(SILVER, revision=2)) == {CUSTOMER: {GOLD, FAN}}
    both = await follow(work, state(SILVER, revision=4), state(FAN, revision=1, customer_id="cus-2"))
    assert both == {CUSTOMER: {SILVER}, "cus-2": {FAN}}
    assert await follow(work, state(revision=5)) == {"cus-2": {FAN}}, "who left holds nothing"


async def tell(client: Any, event: benefit_events_pb2.EntitlementsChanged, event_id: str) -> None:
    """Publishes as the member service does."""
    name = event.DESCRIPTOR.full_name
    headers = {
        "Nats-Msg-Id": event_id,
        "ce-id": event_id,
        "ce-type": name,
        "ce-source": "member",
        "ce-time": RECORDED_AT.isoformat(),
        "ce-recordedtime": RECORDED_AT.isoformat(),
    }
    await client.jetstream().publish(f"events.{name}", event.SerializeToString(), headers=headers)


@pytest.fixture
async def member_service(nats: NatsServer) -> AsyncIterator[Any]:
    """The member service, as far as billing hears of it."""
    client = await nats_client.connect(nats.url)
    yield client
    await client.close()


def told(*tiers: benefit_pb2.HeldTier, revision: int, customer_id: str = CUSTOMER) -> Any:
    """The event of a customer's state."""
    return benefit_events_pb2.EntitlementsChanged(customer_id=customer_id, tiers=tiers, revision=revision)


def tier(tier_id: str, person_id: str = "") -> benefit_pb2.HeldTier:
    """A tier held in the general program."""
    return benefit_pb2.HeldTier(member_id="m-1", program_id="general", tier_id=tier_id, person_id=person_id)


async def test_an_order_is_discounted_by_the_tier_that_was_told(served: Serving, member_service: Any) -> None:
    orders = await rich(served)
    await catalog_of(served).PutDiscount(put_discount())
    quote = pb.QuoteOrderRequest(account_id="acc-1", items=[item()], as_of=MID_MARCH)

    async def total() -> Any:
        await served.settle()
        return (await orders.QuoteOrder(quote)).reckoning.total

    assert await total() == cny(47_90)
    await tell(member_service, told(tier("gold", person_id="p-1"), revision=1), "e-1")
    assert await total() == cny(47_90), "what a person of the household holds is not the household's"
    await tell(member_service, told(tier("gold"), revision=2), "e-2")
    assert await total() == cny(43_11)
    await tell(member_service, told(tier("silver"), revision=3), "e-3")
    assert await total() == cny(47_90)


async def test_an_event_that_cannot_be_one_is_put_aside(served: Serving, member_service: Any) -> None:
    await tell(member_service, told(tier("gold"), revision=0), "no-revision")
    await tell(member_service, told(tier("gold"), revision=1, customer_id="a b"), "no-customer")
    await tell(member_service, told(tier("a/b"), revision=1), "no-tier")
    await served.settle()
    async with served.work.reading() as connection:
        found = await connection.execute(text("SELECT event_id FROM dead_letters ORDER BY 1"))
        assert found.scalars().all() == ["no-customer", "no-revision", "no-tier"]
