"""Consents: every statement is a row that stays; what holds is the latest by business time."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.consent import NOTHING_SAID, Consent, Said, Standing, Subject
from member.domain.customer import CustomerId, PersonId
from member.store.customer_tables import consents

_INSERT = text("""
    INSERT INTO consents (customer_id, person_id, purpose, revision, given, text_version, channel, occurred_at, said_by,
                          recorded_at)
    SELECT said.customer_id, said.person_id, said.purpose, said.revision, said.given, said.text_version, said.channel,
        said.occurred_at, said.said_by, :recorded_at
    FROM unnest(CAST(:customers AS text[]), CAST(:persons AS text[]), CAST(:purposes AS text[]),
                CAST(:revisions AS bigint[]), CAST(:given AS boolean[]), CAST(:versions AS text[]),
                CAST(:channels AS text[]), CAST(:instants AS timestamptz[]), CAST(:sayers AS text[]))
        WITH ORDINALITY AS said(customer_id, person_id, purpose, revision, given, text_version, channel, occurred_at,
                                said_by, place)
    ORDER BY said.place
""")

_STANDINGS = text("""
    SELECT held.*, counted.statements
    FROM unnest(CAST(:customers AS text[]), CAST(:persons AS text[]), CAST(:purposes AS text[]))
        AS asked(customer_id, person_id, purpose)
    CROSS JOIN LATERAL (
        SELECT * FROM consents
        WHERE (consents.customer_id, consents.person_id, consents.purpose)
            = (asked.customer_id, asked.person_id, asked.purpose)
        ORDER BY consents.occurred_at DESC, consents.revision DESC LIMIT 1
    ) AS held
    CROSS JOIN LATERAL (
        SELECT max(consents.revision) AS statements FROM consents
        WHERE (consents.customer_id, consents.person_id, consents.purpose)
            = (asked.customer_id, asked.person_id, asked.purpose)
    ) AS counted
""")

# What somebody agreed to who is not there any more is not to be relied on.
_CHECK = text("""
    SELECT asked.place, coalesce(held.given, false) AS given, held.text_version
    FROM unnest(CAST(:customers AS text[]), CAST(:persons AS text[]), CAST(:purposes AS text[]))
        WITH ORDINALITY AS asked(customer_id, person_id, purpose, place)
    LEFT JOIN customers ON customers.customer_id = asked.customer_id
        AND customers.merged_into IS NULL AND customers.erased_at IS NULL
        AND (asked.person_id = '' OR customers.profile @> jsonb_build_object(
            'persons', jsonb_build_array(jsonb_build_object('person_id', asked.person_id))))
    LEFT JOIN LATERAL (
        SELECT consents.given, consents.text_version FROM consents
        WHERE (consents.customer_id, consents.person_id, consents.purpose)
            = (customers.customer_id, asked.person_id, asked.purpose)
            AND (CAST(:as_of AS timestamptz) IS NULL OR consents.occurred_at <= :as_of)
        ORDER BY consents.occurred_at DESC, consents.revision DESC LIMIT 1
    ) AS held ON true
    ORDER BY asked.place
""")

_HELD = text("""
    SELECT DISTINCT ON (person_id, purpose) * FROM consents
    WHERE customer_id = :customer_id AND (person_id, purpose) > (:person_id, :purpose)
    ORDER BY person_id, purpose, occurred_at DESC, revision DESC
    LIMIT :limit
""")

_HELD_BY_ALL = text("""
    SELECT DISTINCT ON (customer_id, person_id, purpose) * FROM consents
    WHERE customer_id = ANY(CAST(:ids AS text[]))
    ORDER BY customer_id, person_id, purpose, occurred_at DESC, revision DESC
""")


async def insert_consents(connection: AsyncConnection, new: Sequence[Consent], *, recorded_at: datetime) -> None:
    """Write statements, in their order."""
    if not new:
        return
    said = [consent.said for consent in new]
    parameters = _subjects([each.subject for each in said]) | {
        "revisions": [consent.revision for consent in new],
        "given": [each.given for each in said],
        "versions": [each.text_version for each in said],
        "channels": [each.channel for each in said],
        "instants": [each.occurred_at for each in said],
        "sayers": [each.said_by for each in said],
        "recorded_at": recorded_at,
    }
    await connection.execute(_INSERT, parameters)


async def standings(connection: AsyncConnection, subjects: Collection[Subject]) -> dict[Subject, Standing]:
    """What holds about each subject; the caller holds the lock on their customers."""
    found = dict.fromkeys(subjects, NOTHING_SAID)
    for row in await connection.execute(_STANDINGS, _subjects(list(subjects))):
        consent = _consent(row)
        found[consent.said.subject] = Standing(consent, row.statements)
    return found


async def check_consents(
    connection: AsyncConnection, subjects: Sequence[Subject], *, as_of: datetime | None
) -> list[str | None]:
    """The version of the text agreed to, for each subject whose consent is given; None where it is not."""
    found = await connection.execute(_CHECK, _subjects(subjects) | {"as_of": as_of})
    return [row.text_version if row.given else None for row in found]


async def list_consents(
    connection: AsyncConnection, customer_id: CustomerId, *, after: tuple[str, str], limit: int
) -> list[Consent]:
    """What holds about each subject of the customer, from behind a person and a purpose on."""
    asked = {"customer_id": customer_id, "person_id": after[0], "purpose": after[1], "limit": limit}
    return [_consent(row) for row in await connection.execute(_HELD, asked)]


async def all_consents(connection: AsyncConnection, ids: Collection[CustomerId]) -> list[Consent]:
    """What holds about every subject of these customers."""
    return [_consent(row) for row in await connection.execute(_HELD_BY_ALL, {"ids": list(ids)})]


async def list_history(
    connection: AsyncConnection, customer_id: CustomerId, *, before: int | None, limit: int
) -> list[tuple[int, Consent]]:
    """Every statement of the customer with its place, the one recorded last first."""
    query = select(consents).where(consents.c.customer_id == customer_id)
    if before is not None:
        query = query.where(consents.c.position < before)
    found = await connection.execute(query.order_by(consents.c.position.desc()).limit(limit))
    return [(row.position, _consent(row)) for row in found]


def _subjects(subjects: Sequence[Subject]) -> dict[str, Any]:
    return {
        "customers": [subject.customer_id for subject in subjects],
        "persons": [subject.person_id for subject in subjects],
        "purposes": [subject.purpose for subject in subjects],
    }


def _consent(row: Row[Any]) -> Consent:
    said = Said(
        Subject(CustomerId(row.customer_id), PersonId(row.person_id), row.purpose),
        row.given,
        row.text_version,
        row.channel,
        row.occurred_at,
        row.said_by,
    )
    return Consent(said, row.revision, row.recorded_at)
