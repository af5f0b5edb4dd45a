"""What is known of customers: their tags now and over time, since when they are customers, their purchases."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from campaign.domain.catalogue import AttributeType, Catalogue, Scalar, TagId
from campaign.domain.intake import CustomerId, TagValue, last_of_accounts, newest_of
from campaign.domain.purchases import ChargeId, Purchase, Standing

_VALUES = """
FROM unnest(CAST(:customer_ids AS text[]), CAST(:tag_ids AS text[]), CAST(:valid_froms AS timestamptz[]),
            CAST(:sequences AS bigint[]), CAST(:tag_values AS text[]))
     AS v(customer_id, tag_id, valid_from, sequence, value)
WHERE NOT EXISTS (SELECT FROM erased_customers WHERE erased_customers.customer_id = v.customer_id)
"""
_REMEMBER = text(f"""
INSERT INTO tag_values (customer_id, tag_id, valid_from, sequence, value, recorded_at)
SELECT v.customer_id, v.tag_id, v.valid_from, v.sequence, v.value::jsonb, CAST(:recorded_at AS timestamptz) {_VALUES}
ON CONFLICT (customer_id, tag_id, valid_from, sequence)
DO UPDATE SET value = excluded.value, recorded_at = excluded.recorded_at
""")
_SET = text(f"""
INSERT INTO customer_tags (customer_id, tag_id, valid_from, sequence, value)
SELECT v.customer_id, v.tag_id, v.valid_from, v.sequence, v.value::jsonb {_VALUES}
ON CONFLICT (customer_id, tag_id)
DO UPDATE SET value = excluded.value, valid_from = excluded.valid_from, sequence = excluded.sequence
WHERE (customer_tags.valid_from, customer_tags.sequence) <= (excluded.valid_from, excluded.sequence)
""")
# What an account says is kept beside, so that its own sequence decides between two values of it. What it comes to only
# ever rises in rank, so that the tag is the highest of all accounts, in whatever order they tell.
_SET_OF_ACCOUNTS = text("""
WITH kept AS (
    INSERT INTO account_tags AS known (customer_id, tag_id, account_id, valid_from, sequence, value)
    SELECT v.customer_id, v.tag_id, v.account_id, v.valid_from, v.sequence, v.value::jsonb
    FROM unnest(CAST(:customer_ids AS text[]), CAST(:tag_ids AS text[]), CAST(:account_ids AS text[]),
                CAST(:valid_froms AS timestamptz[]), CAST(:sequences AS bigint[]), CAST(:tag_values AS text[]))
         AS v(customer_id, tag_id, account_id, valid_from, sequence, value)
    WHERE NOT EXISTS (SELECT FROM erased_customers WHERE erased_customers.customer_id = v.customer_id)
    ON CONFLICT (customer_id, tag_id, account_id)
    DO UPDATE SET value = CASE WHEN known.sequence <= excluded.sequence THEN excluded.value ELSE known.value END,
        valid_from = greatest(known.valid_from, excluded.valid_from),
        sequence = greatest(known.sequence, excluded.sequence)
    RETURNING customer_id, tag_id, valid_from, sequence, value)
INSERT INTO customer_tags (customer_id, tag_id, valid_from, sequence, value)
SELECT DISTINCT ON (customer_id, tag_id) customer_id, tag_id, valid_from, sequence, value FROM kept
ORDER BY customer_id, tag_id, valid_from DESC, sequence DESC
ON CONFLICT (customer_id, tag_id)
DO UPDATE SET value = excluded.value, valid_from = excluded.valid_from, sequence = excluded.sequence
WHERE (customer_tags.valid_from, customer_tags.sequence) <= (excluded.valid_from, excluded.sequence)
""")
_TAGS = text("""
SELECT customer_id, tag_id, value::text AS value FROM customer_tags
WHERE customer_id = ANY(CAST(:customer_ids AS text[])) AND tag_id = ANY(CAST(:tag_ids AS text[])) AND value IS NOT NULL
""")
_ALL_TAGS = text("""
SELECT customer_id, tag_id, value::text AS value, valid_from, sequence FROM customer_tags
WHERE customer_id = CAST(:customer_id AS text) AND value IS NOT NULL ORDER BY tag_id
""")
_MEET = text("""
INSERT INTO customers (customer_id, registered_at)
SELECT c.customer_id, c.registered_at
FROM unnest(CAST(:customer_ids AS text[]), CAST(:registered_ats AS timestamptz[])) AS c(customer_id, registered_at)
WHERE NOT EXISTS (SELECT FROM erased_customers WHERE erased_customers.customer_id = c.customer_id)
ON CONFLICT (customer_id) DO UPDATE SET registered_at = least(customers.registered_at, excluded.registered_at)
""")
_REGISTERED = text("""
SELECT customer_id, registered_at FROM customers
WHERE customer_id = ANY(CAST(:customer_ids AS text[]))
""")
_ADD_PURCHASES = text("""
INSERT INTO purchases (charge_id, customer_id, occurred_at, amount_minor)
SELECT * FROM unnest(CAST(:charge_ids AS text[]), CAST(:customer_ids AS text[]),
                     CAST(:occurred_ats AS timestamptz[]), CAST(:amounts_minor AS bigint[]))
ON CONFLICT DO NOTHING
""")
_STANDINGS = text("""
SELECT charge_id, number, total_minor, previous_at FROM (
    SELECT charge_id, row_number() OVER earlier AS number, sum(amount_minor) OVER earlier AS total_minor,
           lag(occurred_at) OVER earlier AS previous_at
    FROM purchases WHERE customer_id = ANY(CAST(:customer_ids AS text[]))
    WINDOW earlier AS (PARTITION BY customer_id ORDER BY occurred_at, charge_id)
) AS counted WHERE charge_id = ANY(CAST(:charge_ids AS text[]))
""")
_ADVANCE = text("""
INSERT INTO known_revisions AS known (kind, aggregate_id, revision)
SELECT CAST(:kind AS text), a.aggregate_id, a.revision
FROM unnest(CAST(:aggregate_ids AS text[]), CAST(:revisions AS bigint[])) AS a(aggregate_id, revision)
ON CONFLICT (kind, aggregate_id) DO UPDATE SET revision = greatest(known.revision, excluded.revision)
RETURNING new.aggregate_id, coalesce(old.revision, 0) AS before
""")


async def set_tags(connection: AsyncConnection, values: Sequence[TagValue], recorded_at: datetime) -> None:
    """Remember every value, and let the newest stand; an older one never replaces a newer. Of an account's values it is
    the account that says which is newer; of who was erased none is kept."""
    if not values:
        return
    distinct = {(value.key, value.rank): value for value in values}
    remembered = [distinct[key] for key in sorted(distinct)]
    await connection.execute(_REMEMBER, _parameters(remembered) | {"recorded_at": recorded_at})
    newest = newest_of(value for value in remembered if not value.account_id)
    if newest:
        await connection.execute(_SET, _parameters([newest[key] for key in sorted(newest)]))
    last = last_of_accounts(value for value in remembered if value.account_id)
    if last:
        said = [last[key] for key in sorted(last)]
        accounts = {"account_ids": [value.account_id for value in said]}
        await connection.execute(_SET_OF_ACCOUNTS, _parameters(said) | accounts)


async def tags_of(
    connection: AsyncConnection, customer_ids: Collection[CustomerId], tag_ids: Collection[TagId], catalogue: Catalogue
) -> dict[CustomerId, dict[str, Scalar]]:
    """These tags of these customers, as far as they carry them."""
    found: dict[CustomerId, dict[str, Scalar]] = {}
    if not tag_ids or not customer_ids:
        return found
    rows = await connection.execute(_TAGS, {"customer_ids": list(customer_ids), "tag_ids": list(tag_ids)})
    for customer_id, tag_id, value in rows:
        found.setdefault(customer_id, {})[tag_id] = _typed(catalogue, tag_id, value)
    return found


async def all_tags_of(connection: AsyncConnection, customer_id: CustomerId, catalogue: Catalogue) -> list[TagValue]:
    """Every tag that a customer carries, by identifier."""
    rows = await connection.execute(_ALL_TAGS, {"customer_id": customer_id})
    return [
        TagValue(customer_id, TagId(row.tag_id), _typed(catalogue, row.tag_id, row.value), row.valid_from, row.sequence)
        for row in rows
    ]


async def meet_customers(connection: AsyncConnection, registered: Mapping[CustomerId, datetime]) -> None:
    """Know these customers, each since the earliest instant told."""
    ordered = sorted(registered)
    await connection.execute(
        _MEET, {"customer_ids": ordered, "registered_ats": [registered[customer_id] for customer_id in ordered]}
    )


async def registered_at(
    connection: AsyncConnection, customer_ids: Collection[CustomerId]
) -> dict[CustomerId, datetime]:
    """Since when these are customers, as far as it was told."""
    rows = await connection.execute(_REGISTERED, {"customer_ids": list(customer_ids)})
    return {CustomerId(customer_id): instant for customer_id, instant in rows}


async def add_purchases(connection: AsyncConnection, purchases: Sequence[Purchase]) -> dict[ChargeId, Standing]:
    """Remember purchases, and say where each stands among all known of its customer, these included."""
    await connection.execute(
        _ADD_PURCHASES,
        {
            "charge_ids": [purchase.charge_id for purchase in purchases],
            "customer_ids": [purchase.customer_id for purchase in purchases],
            "occurred_ats": [purchase.occurred_at for purchase in purchases],
            "amounts_minor": [purchase.amount_minor for purchase in purchases],
        },
    )
    rows = await connection.execute(
        _STANDINGS,
        {
            "customer_ids": list({purchase.customer_id for purchase in purchases}),
            "charge_ids": [purchase.charge_id for purchase in purchases],
        },
    )
    return {ChargeId(row.charge_id): Standing(row.number, int(row.total_minor), row.previous_at) for row in rows}


async def advance(connection: AsyncConnection, kind: str, revisions: Mapping[str, int]) -> dict[str, int]:
    """Know these revisions of a kind of state; says which revision of each was known before, 0 for none."""
    ordered = sorted(revisions)
    rows = await connection.execute(
        _ADVANCE, {"kind": kind, "aggregate_ids": ordered, "revisions": [revisions[key] for key in ordered]}
    )
    return {row.aggregate_id: row.before for row in rows}


def _parameters(values: Sequence[TagValue]) -> dict[str, Any]:
    return {
        "customer_ids": [value.customer_id for value in values],
        "tag_ids": [value.tag_id for value in values],
        "valid_froms": [value.valid_from for value in values],
        "sequences": [value.sequence for value in values],
        "tag_values": [None if value.value is None else orjson.dumps(value.value).decode() for value in values],
    }


def _typed(catalogue: Catalogue, tag_id: str, written: str) -> Scalar:
    """The value in the type of its tag: jsonb keeps numbers, but not whether they were written as floating ones."""
    value: Scalar = orjson.loads(written)
    tag = catalogue.tags.get(TagId(tag_id))
    return float(value) if tag is not None and tag.type is AttributeType.DOUBLE else value
