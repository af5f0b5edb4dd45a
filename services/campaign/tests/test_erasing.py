"""A customer that is erased: nothing that was known of it is kept, whatever comes before, meanwhile and afterwards."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from campaign.catalogue import ready_made
from campaign.domain.catalogue import EventTypeId, TagId
from campaign.domain.intake import CustomerEvent, CustomerId, TagValue
from campaign.use_cases.facts import forget_customers
from campaign.use_cases.intake import submit_events
from campaign.use_cases.live import LiveRules
from campaign.use_cases.matching import take_facts
from chassis.errors import Refusal
from chassis.testing.serving import Serving
from chassis.times import to_proto
from chassis.work import Transaction, Work
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from touchstone.billing.v1 import billing_events_pb2 as billing
from touchstone.member.v1 import member_events_pb2 as member
from touchstone.member.v1 import member_pb2
from touchstone.member.v1.customer_events_pb2 import CustomerErased

from services.campaign.tests.factories import NOON, days, tell, yuan

ANN, BOB = CustomerId("ann"), CustomerId("bob")
KEPT = ("tag_values", "customer_tags", "account_tags", "customers")


async def known(work: Work, customer_id: str) -> dict[str, int]:
    """How many rows each table has of a customer, and how many of its events say something."""
    counted = {}
    async with work.reading() as connection:
        for name, condition in [(name, "true") for name in KEPT] + [("customer_events", "attributes <> '{}'")]:
            query = f"SELECT count(*) FROM {name} WHERE customer_id = :id AND {condition}"
            counted[name] = int((await connection.execute(text(query), {"id": customer_id})).scalar_one())
    return counted


def search(customer_id: CustomerId, number: int) -> CustomerEvent:
    """What somebody looked for."""
    return CustomerEvent(
        "boss", f"{customer_id}-{number}", EventTypeId("search_made"), customer_id, NOON, {"query": "a"}
    )


async def take(work: Work, customer_id: CustomerId, number: int) -> None:
    """An event and a tag of a customer."""

    async def act(transaction: Transaction) -> None:
        tags = [TagValue(customer_id, TagId("age_group"), "26_35", NOON, sequence=number)]
        await take_facts(transaction, LiveRules(ready_made()), [search(customer_id, number)], tags)

    await work.run(act)


async def forget(work: Work, customer_id: CustomerId) -> None:
    """A customer forgotten."""
    await work.run(lambda transaction: forget_customers(transaction, {customer_id: NOON}))


def told_of(customer_id: str) -> list[Any]:
    """A registration, a charge, and an erasure."""
    at = to_proto(NOON)
    kind = member_pb2.CUSTOMER_KIND_HOUSEHOLD
    return [
        member.CustomerRegistered(customer_id=customer_id, kind=kind, revision=1, occurred_at=at),
        billing.AccountCharged(
            charge_id=f"x-{customer_id}", customer_id=customer_id, account_id="a", amount=yuan(1), occurred_at=at
        ),
        CustomerErased(customer_id=customer_id, occurred_at=to_proto(NOON + days(1))),
    ]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (0, 2, 1)])
async def test_an_erasure_told_first_or_last_leaves_nothing(served: Serving, order: tuple[int, ...]) -> None:
    for number in order:
        await tell(served, "m", [told_of("ann")[number], *([told_of("bob")[number]] if number < 2 else [])])
        await served.settle()
    assert set((await known(served.work, "ann")).values()) == {0}
    assert 0 not in (await known(served.work, "bob")).values()


async def test_the_erasure_of_one_person_leaves_what_is_known_of_the_customer(served: Serving) -> None:
    await tell(served, "m", told_of("ann")[:2])
    await tell(served, "m", [CustomerErased(customer_id="ann", person_id="p-1", occurred_at=to_proto(NOON))])
    await served.settle()
    assert 0 not in (await known(served.work, "ann")).values()


async def test_what_is_taken_while_a_customer_is_erased_is_forgotten(work: Work) -> None:
    await take(work, ANN, 0)
    await asyncio.gather(
        *(take(work, each, number) for number in range(1, 20) for each in (ANN, BOB)),
        forget(work, ANN),
    )
    assert await known(work, "ann") == dict.fromkeys([*KEPT, "customer_events"], 0)
    assert (await known(work, "bob"))["customer_events"] == 19


async def test_the_service_itself_may_change_no_event(work: Work) -> None:
    await take(work, ANN, 0)
    for statement in ("UPDATE customer_events SET attributes = '{}'", "DELETE FROM customer_events"):

        async def change(transaction: Transaction, asked: str = statement) -> None:
            await transaction.connection.execute(text(asked))

        with pytest.raises(DBAPIError):
            await work.run(change)
    assert (await known(work, "ann"))["customer_events"] == 1


async def test_an_event_of_who_is_erased_is_taken_again_without_effect(work: Work) -> None:
    """What it said is not known any more, so that it cannot be told from another body."""
    live = LiveRules(ready_made())
    event = replace(search(ANN, 1), fingerprint=b"abc")

    async def submit(transaction: Transaction) -> list[Refusal | None]:
        return await submit_events(transaction, live, [event])

    assert await work.run(submit) == [None]
    await forget(work, ANN)
    assert await work.run(submit) == [None]
    assert (await known(work, "ann"))["customer_events"] == 0
