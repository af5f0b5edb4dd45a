"""Put customers as BOSS knows them, and read them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chassis.paging import Page
from chassis.work import Transaction

from member.domain.customer import (
    ContactAddress,
    Customer,
    CustomerId,
    CustomerNotFound,
    CustomerRegistered,
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


async def upsert_customers(transaction: Transaction, commands: Sequence[UpsertCustomer]) -> list[store.PutCustomer]:
    """Put customers in their order. Putting what is known already changes nothing: same revision, no fact."""
    put: dict[int, store.PutCustomer] = {}
    for positions in _rounds([command.customer.customer_id for command in commands]):
        wanted = [commands[position].customer for position in positions]
        outcomes = await store.upsert_customers(transaction.connection, wanted, recorded_at=transaction.recorded_at)
        put.update(zip(positions, outcomes, strict=True))
        for outcome in outcomes:
            if outcome.changed:
                transaction.emit(_registered(outcome, transaction))
    return [put[position] for position in range(len(commands))]


async def get_customer(connection: Connection, customer_id: CustomerId) -> Customer:
    """The customer, or CustomerNotFound."""
    customer = await store.find_customer(connection, customer_id)
    if customer is None:
        raise CustomerNotFound(customer_id)
    return customer


async def list_customers(connection: Connection, page: Page) -> list[Customer]:
    """Customers by id, one more than the page holds where there are more."""
    return await store.list_customers(connection, after=page.after, limit=page.wanted)


async def get_contact_address(connection: Connection, customer_id: CustomerId) -> ContactAddress:
    """Where to reach the customer now, or CustomerNotFound."""
    return contact_address(await get_customer(connection, customer_id))


def _rounds(ids: Sequence[CustomerId]) -> Iterator[list[int]]:
    """Positions in groups that name each customer once, in order: one statement writes a row only once."""
    waiting = list(range(len(ids)))
    while waiting:
        taken: dict[CustomerId, int] = {}
        for position in waiting:
            taken.setdefault(ids[position], position)
        now = set(taken.values())
        yield sorted(now)
        waiting = [position for position in waiting if position not in now]


def _registered(put: store.PutCustomer, transaction: Transaction) -> CustomerRegistered:
    """A new customer is told at the time of registration; of a change, only the time we learnt it is known."""
    customer = put.customer
    occurred_at = customer.registered_at if put.created else transaction.recorded_at
    return CustomerRegistered(customer.customer_id, customer.kind, occurred_at, customer.revision)
