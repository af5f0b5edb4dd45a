"""Put customers as BOSS knows them, and read them."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from chassis.errors import InvalidArgument, Refusal
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.customer import (
    EVERYBODY,
    ContactAddress,
    Customer,
    CustomerId,
    CustomerRegistered,
    PersonId,
    check_birthdays,
    check_customer,
    contact_address,
)
from member.store import Connection
from member.store import customers as store


@dataclass(frozen=True, slots=True)
class UpsertCustomer:
    """Create the customer or replace what is known of it."""

    customer: Customer

    def __post_init__(self) -> None:
        check_customer(self.customer)


async def upsert_customers(
    transaction: Transaction, commands: Sequence[UpsertCustomer]
) -> list[store.PutCustomer | Refusal]:
    """Put customers in their order. Putting what is known already changes nothing: same revision, no fact.

    Refuses CustomerMerged, CustomerErased and PersonErased: what was forgotten does not come back with the next put.
    """
    put: dict[int, store.PutCustomer | Refusal] = {**_unborn(transaction, commands)}
    wanted = [place for place in range(len(commands)) if place not in put]
    for round_ in in_turn([{commands[place].customer.customer_id} for place in wanted]):
        positions = [wanted[each] for each in round_]
        batch = [commands[position].customer for position in positions]
        outcomes = await store.upsert_customers(transaction.connection, batch, recorded_at=transaction.recorded_at)
        put.update(zip(positions, outcomes, strict=True))
        for outcome in outcomes:
            if isinstance(outcome, store.PutCustomer) and outcome.changed:
                transaction.emit(_registered(outcome, transaction))
    return [put[position] for position in range(len(commands))]


async def get_customer(connection: Connection, customer_id: CustomerId) -> Customer:
    """The customer; CustomerNotFound, CustomerMerged or CustomerErased where there is none to show."""
    customer = (await store.find_customers(connection, [customer_id]))[customer_id]
    if isinstance(customer, Refusal):
        raise customer
    return customer


async def list_customers(connection: Connection, page: Page, only: store.CustomerFilter) -> list[Customer]:
    """Customers by id, one more than the page holds where there are more."""
    return await store.list_customers(connection, only, after=page.after, limit=page.wanted)


async def get_contact_address(
    connection: Connection, customer_id: CustomerId, person_id: PersonId = EVERYBODY
) -> ContactAddress:
    """Where to reach the customer, or a person of it, now; PersonNotFound, and the refusals of `get_customer`."""
    return contact_address(await get_customer(connection, customer_id), person_id)


def in_turn(keys: Sequence[set[Hashable]]) -> Iterator[list[int]]:
    """Positions in groups that name each thing once, each thing's in their order: one statement writes a row once."""
    waiting = list(range(len(keys)))
    while waiting:
        taken: set[Hashable] = set()
        now: list[int] = []
        for position in waiting:
            if taken.isdisjoint(keys[position]):
                now.append(position)
            taken |= keys[position]
        yield now
        chosen = set(now)
        waiting = [position for position in waiting if position not in chosen]


def _unborn(transaction: Transaction, commands: Sequence[UpsertCustomer]) -> dict[int, Refusal]:
    """Those with a birthday that has not come yet; somewhere on the globe it is a day later already."""
    latest = (transaction.recorded_at + timedelta(days=1)).date()
    refused: dict[int, Refusal] = {}
    for place, command in enumerate(commands):
        try:
            check_birthdays(command.customer, latest)
        except InvalidArgument as refusal:
            refused[place] = refusal
    return refused


def _registered(put: store.PutCustomer, transaction: Transaction) -> CustomerRegistered:
    """A new customer is told at the time of registration; of a change, only the time we learnt it is known."""
    customer = put.customer
    occurred_at = customer.registered_at if put.created else transaction.recorded_at
    return CustomerRegistered(customer.customer_id, customer.kind, occurred_at, customer.revision)
