"""Erasing personal data: the columns that hold them are emptied, and what else could tell who it was goes too."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.customer import EVERYBODY, CustomerId, PersonId
from member.domain.erasure import Erasure
from member.store.customer_tables import erasures

# Lines and accounts have numbers by which BOSS finds the customer.
_ERASE_CUSTOMER = text("""
    UPDATE customers
    SET profile = '{}', subscribers = '[]', accounts = '[]', manager_id = NULL, erased_at = :erased_at,
        revision = revision + 1, recorded_at = :recorded_at
    WHERE customer_id = :customer_id
""")

_ERASE_PERSON = text("""
    UPDATE customers
    SET profile = jsonb_set(profile, '{persons}', coalesce((
            SELECT jsonb_agg(known.person ORDER BY known.place)
            FROM jsonb_array_elements(profile->'persons') WITH ORDINALITY AS known(person, place)
            WHERE known.person->>'person_id' <> :person_id), '[]')),
        erased_persons = array_append(erased_persons, :person_id),
        revision = revision + 1, recorded_at = :recorded_at
    WHERE customer_id = :customer_id
""")

# When birthdays were told says when they are.
_FORGET_BIRTHDAYS = text("""
    DELETE FROM care_told
    WHERE customer_id = :customer_id AND occasion = 'birthday' AND (:person_id = '' OR person_id = :person_id)
""")


_PARTS = text("SELECT customer_id FROM customers WHERE merged_into = :customer_id ORDER BY customer_id")


async def parts_of(connection: AsyncConnection, customer_id: CustomerId) -> list[CustomerId]:
    """The customers that were merged into this one, also by way of another."""
    return [CustomerId(row.customer_id) for row in await connection.execute(_PARTS, {"customer_id": customer_id})]


async def find_erasure(connection: AsyncConnection, customer_id: CustomerId, person_id: PersonId) -> Erasure | None:
    """The erasure of the customer, or of the person by itself; None where there was none."""
    query = select(erasures).where(erasures.c.customer_id == customer_id, erasures.c.person_id == person_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _erasure(row)


async def erase(connection: AsyncConnection, erasure: Erasure, *, recorded_at: datetime) -> None:
    """Forget the customer with everybody, or one person; the caller holds the lock on the customer."""
    named = {"customer_id": erasure.customer_id, "person_id": erasure.person_id}
    if erasure.person_id == EVERYBODY:
        asked = {
            "customer_id": erasure.customer_id,
            "erased_at": erasure.erased_at,
            "recorded_at": recorded_at,
        }
        await connection.execute(_ERASE_CUSTOMER, asked)
    else:
        await connection.execute(_ERASE_PERSON, named | {"recorded_at": recorded_at})
    await connection.execute(_FORGET_BIRTHDAYS, named)
    written = named | {
        "erased_at": erasure.erased_at,
        "erased_by": erasure.erased_by,
        "recorded_at": recorded_at,
    }
    await connection.execute(insert(erasures).values(written))


def _erasure(row: Row[Any]) -> Erasure:
    return Erasure(CustomerId(row.customer_id), PersonId(row.person_id), row.erased_at, row.erased_by)
