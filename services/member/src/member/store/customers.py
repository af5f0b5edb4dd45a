"""Customers: put in batches by one statement, read one or a page at a time."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from chassis.errors import Refusal
from sqlalchemy import Column, ColumnElement, Row, Select, Text, any_, cast, func, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONPATH
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.customer import (
    Customer,
    CustomerErased,
    CustomerId,
    CustomerKind,
    CustomerMerged,
    CustomerNotFound,
    ManagerId,
    PersonErased,
    PersonId,
    Subscriber,
    SubscriberKind,
)
from member.store.customer_documents import (
    accounts_document,
    customer_from_row,
    lines_from_document,
    profile_document,
    subscribers_document,
)
from member.store.tables import customers

# Rows are written in the order of their ids, so that two batches wait for each other instead of locking each other
# out. A row whose content is the same, or which must not be written, is locked and left as it is. Whether it must not
# is asked of the row under the lock: an erasure that was a moment earlier is not undone.
_UPSERT = text("""
    INSERT INTO customers AS known
        (customer_id, kind, profile, subscribers, accounts, registered_at, revision, recorded_at)
    SELECT put.customer_id, put.kind, put.profile::jsonb, put.subscribers::jsonb, put.accounts::jsonb,
        put.registered_at, 1, :recorded_at
    FROM unnest(CAST(:ids AS text[]), CAST(:kinds AS text[]), CAST(:profiles AS text[]), CAST(:subscribers AS text[]),
                CAST(:accounts AS text[]), CAST(:registered AS timestamptz[]))
        AS put(customer_id, kind, profile, subscribers, accounts, registered_at)
    ORDER BY put.customer_id
    ON CONFLICT (customer_id) DO UPDATE
        SET kind = excluded.kind, profile = excluded.profile, subscribers = excluded.subscribers,
            accounts = excluded.accounts, registered_at = excluded.registered_at, revision = known.revision + 1,
            recorded_at = excluded.recorded_at
        WHERE (known.kind, known.profile, known.subscribers, known.accounts, known.registered_at)
            IS DISTINCT FROM
            (excluded.kind, excluded.profile, excluded.subscribers, excluded.accounts, excluded.registered_at)
            AND known.merged_into IS NULL AND known.erased_at IS NULL
            AND (known.erased_persons = '{}' OR NOT EXISTS (
                SELECT FROM jsonb_array_elements(excluded.profile->'persons') AS person
                WHERE person->>'person_id' = ANY(known.erased_persons)))
    RETURNING customer_id, revision, manager_id
""")

# A lock that keeps only the key would let an erasure or a merge through: neither changes it.
_EXISTING = text("""
    SELECT customer_id, jsonb_path_query_array(profile, '$.persons[*].person_id') AS persons
    FROM customers
    WHERE customer_id = ANY(CAST(:ids AS text[])) AND merged_into IS NULL AND erased_at IS NULL
    ORDER BY customer_id FOR SHARE
""")

_SUBSCRIPTIONS = text("""
    SELECT customer_id, subscribers FROM customers
    WHERE customer_id = ANY(CAST(:ids AS text[])) AND merged_into IS NULL AND erased_at IS NULL
""")


class PutCustomer(NamedTuple):
    """A customer as stored, and what storing it did."""

    customer: Customer
    created: bool
    changed: bool


@dataclass(frozen=True, slots=True)
class CustomerFilter:
    """Which customers to list; None lists all. A line counts while it has no end."""

    kind: CustomerKind | None = None
    manager_id: ManagerId | None = None
    service_kind: SubscriberKind | None = None
    registered_from: datetime | None = None
    registered_until: datetime | None = None


async def upsert_customers(
    connection: AsyncConnection, wanted: Sequence[Customer], *, recorded_at: datetime
) -> list[PutCustomer | Refusal]:
    """Put customers, each id once; one whose content is the same keeps its revision.

    CustomerMerged, CustomerErased and PersonErased for those that must not be put again.
    """
    if not wanted:
        return []
    found = await connection.execute(_UPSERT, _parameters(wanted, recorded_at))
    written: dict[str, Row[Any]] = {row.customer_id: row for row in found}
    left = await _left_as_they_are(connection, [each for each in wanted if each.customer_id not in written])
    return [_put(customer, written.get(customer.customer_id), left) for customer in wanted]


async def find_customers(
    connection: AsyncConnection, ids: Collection[CustomerId]
) -> dict[CustomerId, Customer | Refusal]:
    """Each of the customers, or why there is none: CustomerNotFound, CustomerMerged, CustomerErased."""
    return await _customers_of(connection, ids, select(customers))


async def find_customers_for_update(
    connection: AsyncConnection, ids: Collection[CustomerId]
) -> dict[CustomerId, Customer | Refusal]:
    """As `find_customers`, locked in the order of their ids: nobody else changes them or says anything about them."""
    return await _customers_of(connection, ids, select(customers).with_for_update(key_share=True))


async def list_customers(
    connection: AsyncConnection, only: CustomerFilter, *, after: str | None, limit: int
) -> list[Customer]:
    """Customers in the order of their ids, from the one behind `after` on; not those merged away or erased."""
    query = select(customers).where(customers.c.merged_into.is_(None), customers.c.erased_at.is_(None))
    query = _filtered(query, only).order_by(customers.c.customer_id).limit(limit)
    if after is not None:
        query = query.where(customers.c.customer_id > after)
    return [customer_from_row(row) for row in await connection.execute(query)]


async def existing_customers(connection: AsyncConnection, ids: Collection[CustomerId]) -> set[CustomerId]:
    """Which of the ids are customers; they stay so until the transaction ends."""
    return set(await existing_persons(connection, ids))


async def existing_persons(connection: AsyncConnection, ids: Collection[CustomerId]) -> dict[CustomerId, set[PersonId]]:
    """The persons of those of the ids that are customers; they stay so until the transaction ends."""
    found = await connection.execute(_EXISTING, {"ids": list(ids)})
    return {CustomerId(row.customer_id): {PersonId(each) for each in row.persons or ()} for row in found}


async def subscriptions_of(
    connection: AsyncConnection, ids: Collection[CustomerId]
) -> dict[CustomerId, tuple[Subscriber, ...]]:
    """The service lines, with the products they hold and held, of those of the ids that are customers."""
    found = await connection.execute(_SUBSCRIPTIONS, {"ids": list(ids)})
    return {CustomerId(row.customer_id): lines_from_document(row.subscribers) for row in found}


async def merged_into(connection: AsyncConnection, ids: Collection[CustomerId]) -> dict[CustomerId, CustomerId]:
    """Of those of the ids that were merged away, into whom."""
    query = select(customers.c.customer_id, customers.c.merged_into)
    found = await connection.execute(query.where(_among(ids), customers.c.merged_into.is_not(None)))
    return {CustomerId(row.customer_id): CustomerId(row.merged_into) for row in found}


def gone(row: Row[Any]) -> Refusal | None:
    """Why the row of a customer is none to work with; None for one that is."""
    if row.merged_into is not None:
        return CustomerMerged(CustomerId(row.customer_id), CustomerId(row.merged_into))
    if row.erased_at is not None:
        return CustomerErased(CustomerId(row.customer_id))
    return None


def _parameters(wanted: Sequence[Customer], recorded_at: datetime) -> dict[str, Any]:
    return {
        "ids": [customer.customer_id for customer in wanted],
        "kinds": [customer.kind.value for customer in wanted],
        "profiles": [json.dumps(profile_document(customer), ensure_ascii=False) for customer in wanted],
        "subscribers": [json.dumps(subscribers_document(customer)) for customer in wanted],
        "accounts": [json.dumps(accounts_document(customer), ensure_ascii=False) for customer in wanted],
        "registered": [customer.registered_at for customer in wanted],
        "recorded_at": recorded_at,
    }


async def _left_as_they_are(connection: AsyncConnection, wanted: Sequence[Customer]) -> dict[str, Row[Any]]:
    if not wanted:
        return {}
    columns: tuple[Column[Any], ...] = (
        customers.c.customer_id,
        customers.c.revision,
        customers.c.manager_id,
        customers.c.merged_into,
        customers.c.erased_at,
        customers.c.erased_persons,
    )
    found = await connection.execute(select(*columns).where(_among([each.customer_id for each in wanted])))
    return {row.customer_id: row for row in found}


def _put(customer: Customer, written: Row[Any] | None, left: dict[str, Row[Any]]) -> PutCustomer | Refusal:
    row = written or left[customer.customer_id]
    if written is None:
        if (refusal := gone(row)) is not None:
            return refusal
        if erased := [each.person_id for each in customer.persons if each.person_id in row.erased_persons]:
            return PersonErased(customer.customer_id, erased)
    stored = replace(customer, revision=row.revision, manager_id=row.manager_id)
    return PutCustomer(stored, created=written is not None and row.revision == 1, changed=written is not None)


async def _customers_of(
    connection: AsyncConnection, ids: Collection[CustomerId], query: Select[Any]
) -> dict[CustomerId, Customer | Refusal]:
    asked = query.where(_among(ids)).order_by(customers.c.customer_id)
    found: dict[CustomerId, Customer | Refusal] = {each: CustomerNotFound(each) for each in ids}
    for row in await connection.execute(asked):
        found[CustomerId(row.customer_id)] = gone(row) or customer_from_row(row)
    return found


def _among(ids: Collection[CustomerId]) -> ColumnElement[bool]:
    return customers.c.customer_id == any_(literal(sorted(set(ids)), ARRAY(Text)))


def _filtered(query: Select[Any], only: CustomerFilter) -> Select[Any]:
    if only.kind is not None:
        query = query.where(customers.c.kind == only.kind.value)
    if only.manager_id is not None:
        query = query.where(customers.c.manager_id == only.manager_id)
    if only.service_kind is not None:
        in_service = f'$[*] ? (@.kind == "{only.service_kind.value}" && !exists(@.in_service_until))'
        query = query.where(func.jsonb_path_exists(customers.c.subscribers, cast(in_service, JSONPATH)))
    if only.registered_from is not None:
        query = query.where(customers.c.registered_at >= only.registered_from)
    if only.registered_until is not None:
        query = query.where(customers.c.registered_at < only.registered_until)
    return query
