"""Customers: put in batches by one statement, read one or a page at a time."""

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.customer import (
    Customer,
    CustomerId,
    CustomerKind,
    Person,
    PersonId,
    Subscriber,
    SubscriberId,
    SubscriberKind,
)
from member.store.tables import customers

# Rows are written in the order of their ids, so that two batches wait for each other instead of locking each other
# out. A row whose content is the same is locked and left as it is.
_UPSERT = text("""
    INSERT INTO customers AS known (customer_id, kind, profile, subscribers, registered_at, revision, recorded_at)
    SELECT put.customer_id, put.kind, put.profile::jsonb, put.subscribers::jsonb, put.registered_at, 1, :recorded_at
    FROM unnest(CAST(:ids AS text[]), CAST(:kinds AS text[]), CAST(:profiles AS text[]), CAST(:subscribers AS text[]),
                CAST(:registered AS timestamptz[])) AS put(customer_id, kind, profile, subscribers, registered_at)
    ORDER BY put.customer_id
    ON CONFLICT (customer_id) DO UPDATE
        SET kind = excluded.kind, profile = excluded.profile, subscribers = excluded.subscribers,
            registered_at = excluded.registered_at, revision = known.revision + 1, recorded_at = excluded.recorded_at
        WHERE (known.kind, known.profile, known.subscribers, known.registered_at)
            IS DISTINCT FROM (excluded.kind, excluded.profile, excluded.subscribers, excluded.registered_at)
    RETURNING customer_id, revision
""")

_EXISTING = text("""
    SELECT customer_id, jsonb_path_query_array(profile, '$.persons[*].person_id') AS persons
    FROM customers WHERE customer_id = ANY(CAST(:ids AS text[]))
    ORDER BY customer_id FOR KEY SHARE
""")


class PutCustomer(NamedTuple):
    """A customer as stored, and what storing it did."""

    customer: Customer
    created: bool
    changed: bool


async def upsert_customers(
    connection: AsyncConnection, wanted: Sequence[Customer], *, recorded_at: datetime
) -> list[PutCustomer]:
    """Put customers, each id once; one whose content is the same keeps its revision."""
    if not wanted:
        return []
    written = await connection.execute(
        _UPSERT,
        {
            "ids": [customer.customer_id for customer in wanted],
            "kinds": [customer.kind.value for customer in wanted],
            "profiles": [json.dumps(_profile(customer), ensure_ascii=False) for customer in wanted],
            "subscribers": [json.dumps(_subscribers(customer)) for customer in wanted],
            "registered": [customer.registered_at for customer in wanted],
            "recorded_at": recorded_at,
        },
    )
    changed: dict[str, int] = {row.customer_id: row.revision for row in written}
    unchanged = await _revisions(connection, [each.customer_id for each in wanted if each.customer_id not in changed])
    return [
        PutCustomer(
            replace(customer, revision=(changed | unchanged)[customer.customer_id]),
            created=changed.get(customer.customer_id) == 1,
            changed=customer.customer_id in changed,
        )
        for customer in wanted
    ]


async def find_customer(connection: AsyncConnection, customer_id: CustomerId) -> Customer | None:
    """The customer, or None."""
    found = await connection.execute(select(customers).where(customers.c.customer_id == customer_id))
    row = found.one_or_none()
    return _customer(row) if row else None


async def list_customers(connection: AsyncConnection, *, after: str | None, limit: int) -> list[Customer]:
    """Customers in the order of their ids, from the one behind `after` on."""
    query = select(customers).order_by(customers.c.customer_id).limit(limit)
    if after is not None:
        query = query.where(customers.c.customer_id > after)
    return [_customer(row) for row in await connection.execute(query)]


async def existing_customers(connection: AsyncConnection, ids: Collection[CustomerId]) -> set[CustomerId]:
    """Which of the ids are customers; they stay so until the transaction ends."""
    return set(await existing_persons(connection, ids))


async def existing_persons(connection: AsyncConnection, ids: Collection[CustomerId]) -> dict[CustomerId, set[PersonId]]:
    """The persons of those of the ids that are customers; they stay so until the transaction ends."""
    found = await connection.execute(_EXISTING, {"ids": list(ids)})
    return {CustomerId(row.customer_id): {PersonId(each) for each in row.persons or ()} for row in found}


async def _revisions(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, int]:
    if not ids:
        return {}
    found = await connection.execute(
        select(customers.c.customer_id, customers.c.revision).where(customers.c.customer_id.in_(ids))
    )
    return {row.customer_id: row.revision for row in found}


def _profile(customer: Customer) -> dict[str, Any]:
    return {
        "display_name": customer.display_name,
        "persons": [
            {
                "person_id": person.person_id,
                "display_name": person.display_name,
                "role": person.role,
                "phone": person.phone,
                "email": person.email,
            }
            for person in customer.persons
        ],
    }


def _subscribers(customer: Customer) -> list[dict[str, str]]:
    return [
        {
            "subscriber_id": line.subscriber_id,
            "kind": line.kind.value,
            "in_service_since": line.in_service_since.isoformat(),
        }
        for line in customer.subscribers
    ]


def _customer(row: Row[Any]) -> Customer:
    return Customer(
        customer_id=CustomerId(row.customer_id),
        kind=CustomerKind(row.kind),
        display_name=row.profile["display_name"],
        persons=tuple(
            Person(
                PersonId(person["person_id"]), person["display_name"], person["role"], person["phone"], person["email"]
            )
            for person in row.profile["persons"]
        ),
        subscribers=tuple(
            Subscriber(
                SubscriberId(line["subscriber_id"]),
                SubscriberKind(line["kind"]),
                datetime.fromisoformat(line["in_service_since"]),
            )
            for line in row.subscribers
        ),
        registered_at=row.registered_at,
        revision=row.revision,
    )
