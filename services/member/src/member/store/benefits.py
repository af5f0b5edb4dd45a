"""Uses of quota benefits, and benefits granted by operators."""

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from chassis.calendar import Span
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Row,
    Table,
    Text,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.benefit import BenefitId
from member.domain.benefit_grant import Grant
from member.domain.benefit_use import BenefitUse, Place, UseId, UseState
from member.domain.customer import CustomerId, PersonId
from member.domain.entitlement import GrantedBenefit, GrantId, SourceId
from member.store.benefit_documents import benefit_from_json, benefit_to_json
from member.store.tables import METADATA

_LIVE = text("state IN ('reserved', 'used')")

benefit_uses = Table(
    "benefit_uses",
    METADATA,
    Column("use_id", Text, primary_key=True),
    Column("customer_id", Text, ForeignKey("customers.customer_id"), nullable=False),
    Column("person_id", Text, nullable=False),
    Column("source_id", Text, nullable=False, comment="the membership or grant that gives the quota"),
    Column("benefit_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("period_start", DateTime(timezone=True), nullable=False),
    Column("period_end", DateTime(timezone=True), nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("note", Text, nullable=False),
    Column("sequence", BigInteger, Identity(always=True), nullable=False, comment="orders the list of uses"),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("state IN ('reserved', 'used', 'released', 'expired')", name="benefit_uses_state_known"),
    CheckConstraint("occurred_at >= period_start AND occurred_at < period_end", name="benefit_uses_in_period"),
    CheckConstraint("state = 'used' OR expires_at IS NOT NULL", name="benefit_uses_reserved_until"),
    Index("benefit_uses_live", "customer_id", "period_end", postgresql_where=_LIVE),
    Index("benefit_uses_latest", "customer_id", "occurred_at", postgresql_where=_LIVE),
    Index("benefit_uses_reserved", "expires_at", "use_id", postgresql_where=text("state = 'reserved'")),
    Index("benefit_uses_of_customer", "customer_id", "sequence"),
)

benefit_grants = Table(
    "benefit_grants",
    METADATA,
    Column("grant_id", Text, primary_key=True),
    Column("customer_id", Text, ForeignKey("customers.customer_id"), nullable=False),
    Column("person_id", Text, nullable=False),
    Column("benefit", JSONB, nullable=False),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("granted_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    Column("revoke_reason", Text, nullable=False, server_default=""),
    Column("revoked_by", Text, nullable=False, server_default=""),
    CheckConstraint("starts_at < ends_at", name="benefit_grants_for_a_time"),
    Index("benefit_grants_of_customer", "customer_id", "grant_id"),
)

_LIVE_USES = text("""
    SELECT uses.* FROM benefit_uses AS uses
    JOIN unnest(CAST(:customers AS text[]), CAST(:sources AS text[]), CAST(:benefits AS text[]),
                CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]))
        AS place(customer_id, source_id, benefit_id, period_start, period_end)
        USING (customer_id, source_id, benefit_id, period_start, period_end)
    WHERE uses.state IN ('reserved', 'used')
""")

_INSERT_USES = text("""
    INSERT INTO benefit_uses (use_id, customer_id, person_id, source_id, benefit_id, state, period_start, period_end,
        occurred_at, expires_at, note, recorded_at)
    SELECT new.use_id, new.customer_id, new.person_id, new.source_id, new.benefit_id, new.state, new.period_start,
        new.period_end, new.occurred_at, new.expires_at, new.note, :recorded_at
    FROM unnest(CAST(:ids AS text[]), CAST(:customers AS text[]), CAST(:persons AS text[]), CAST(:sources AS text[]),
                CAST(:benefits AS text[]), CAST(:states AS text[]), CAST(:starts AS timestamptz[]),
                CAST(:ends AS timestamptz[]), CAST(:instants AS timestamptz[]), CAST(:expiries AS timestamptz[]),
                CAST(:notes AS text[]))
        WITH ORDINALITY AS new(use_id, customer_id, person_id, source_id, benefit_id, state, period_start, period_end,
            occurred_at, expires_at, note, position)
    ORDER BY new.position
    ON CONFLICT (use_id) DO NOTHING
    RETURNING use_id
""")

_END_USES = text("""
    UPDATE benefit_uses SET state = ended.state, ended_at = ended.ended_at
    FROM unnest(CAST(:ids AS text[]), CAST(:states AS text[]), CAST(:instants AS timestamptz[]))
        AS ended(use_id, state, ended_at)
    WHERE benefit_uses.use_id = ended.use_id AND benefit_uses.state = 'reserved'
""")

# Those whose grants end last: nothing that may still hold is left out where there are more.
_GRANTS_IN_FORCE = text("""
    SELECT held.* FROM unnest(CAST(:ids AS text[])) AS asked(customer_id)
    CROSS JOIN LATERAL (
        SELECT benefit_grants.*, least(benefit_grants.ends_at, benefit_grants.revoked_at) AS ends
        FROM benefit_grants
        WHERE benefit_grants.customer_id = asked.customer_id
            AND (benefit_grants.revoked_at IS NULL OR benefit_grants.revoked_at > benefit_grants.starts_at)
        ORDER BY ends DESC, benefit_grants.grant_id LIMIT :most
    ) AS held
    ORDER BY held.customer_id, held.grant_id
""")

_MOVE = (
    text("UPDATE benefit_uses SET customer_id = :to WHERE customer_id = :away"),
    text("UPDATE benefit_grants SET customer_id = :to WHERE customer_id = :away"),
)


@dataclass(frozen=True, slots=True)
class ListedUse:
    """A use, and where it stands in the list."""

    use: BenefitUse
    sequence: int


async def live_uses(connection: AsyncConnection, places: Collection[Place]) -> list[BenefitUse]:
    """The uses that take a place of these quotas."""
    asked = {
        "customers": [place.customer_id for place in places],
        "sources": [place.source_id for place in places],
        "benefits": [place.benefit_id for place in places],
        "starts": [place.span.start for place in places],
        "ends": [place.span.end for place in places],
    }
    return [_use(row) for row in await connection.execute(_LIVE_USES, asked)]


async def insert_uses(connection: AsyncConnection, new: Collection[BenefitUse], *, recorded_at: datetime) -> set[UseId]:
    """Write uses; returns those written: an id is used once."""
    if not new:
        return set()
    asked = {
        "ids": [use.use_id for use in new],
        "customers": [use.customer_id for use in new],
        "persons": [use.person_id for use in new],
        "sources": [use.source_id for use in new],
        "benefits": [use.benefit_id for use in new],
        "states": [use.state.value for use in new],
        "starts": [use.span.start for use in new],
        "ends": [use.span.end for use in new],
        "instants": [use.occurred_at for use in new],
        "expiries": [use.expires_at for use in new],
        "notes": [use.note for use in new],
        "recorded_at": recorded_at,
    }
    return {UseId(row.use_id) for row in await connection.execute(_INSERT_USES, asked)}


async def end_uses(connection: AsyncConnection, ended: Collection[BenefitUse]) -> None:
    """Write what became of reservations."""
    if ended:
        asked = {
            "ids": [use.use_id for use in ended],
            "states": [use.state.value for use in ended],
            "instants": [use.ended_at for use in ended],
        }
        await connection.execute(_END_USES, asked)


async def find_use(connection: AsyncConnection, use_id: UseId) -> BenefitUse | None:
    """The use, or None."""
    row = (await connection.execute(select(benefit_uses).where(benefit_uses.c.use_id == use_id))).one_or_none()
    return _use(row) if row else None


async def find_uses(connection: AsyncConnection, ids: Collection[UseId]) -> list[BenefitUse]:
    """The uses with these ids."""
    found = await connection.execute(select(benefit_uses).where(benefit_uses.c.use_id.in_(ids)))
    return [_use(row) for row in found]


async def expired_reservations(
    connection: AsyncConnection, as_of: datetime, *, most: int
) -> list[tuple[UseId, CustomerId]]:
    """The first reservations that had ended by an instant and are not booked as ended."""
    asked = (
        select(benefit_uses.c.use_id, benefit_uses.c.customer_id)
        .where(benefit_uses.c.state == UseState.RESERVED.value, benefit_uses.c.expires_at <= as_of)
        .order_by(benefit_uses.c.expires_at, benefit_uses.c.use_id)
        .limit(most)
    )
    return [(UseId(row.use_id), CustomerId(row.customer_id)) for row in await connection.execute(asked)]


async def list_uses(
    connection: AsyncConnection,
    customer_id: CustomerId,
    benefit_id: BenefitId | None,
    *,
    before: int | None,
    limit: int,
) -> list[ListedUse]:
    """The customer's uses, of one benefit or of all, newest first."""
    asked = select(benefit_uses).where(benefit_uses.c.customer_id == customer_id)
    if benefit_id is not None:
        asked = asked.where(benefit_uses.c.benefit_id == benefit_id)
    if before is not None:
        asked = asked.where(benefit_uses.c.sequence < before)
    found = await connection.execute(asked.order_by(benefit_uses.c.sequence.desc()).limit(limit))
    return [ListedUse(_use(row), row.sequence) for row in found]


async def insert_grant(connection: AsyncConnection, grant: Grant) -> None:
    """Write a grant."""
    await connection.execute(
        benefit_grants.insert().values(
            grant_id=grant.grant_id,
            customer_id=grant.customer_id,
            person_id=grant.person_id,
            benefit=benefit_to_json(grant.benefit),
            starts_at=grant.starts_at,
            ends_at=grant.ends_at,
            reason=grant.reason,
            granted_by=grant.granted_by,
            recorded_at=grant.recorded_at,
        )
    )


async def save_revocation(connection: AsyncConnection, grant: Grant) -> None:
    """Write that a grant was taken back."""
    await connection.execute(
        update(benefit_grants)
        .where(benefit_grants.c.grant_id == grant.grant_id)
        .values(revoked_at=grant.revoked_at, revoke_reason=grant.revoke_reason, revoked_by=grant.revoked_by)
    )


async def find_grant(connection: AsyncConnection, grant_id: GrantId) -> Grant | None:
    """The grant, or None."""
    found = await connection.execute(select(benefit_grants).where(benefit_grants.c.grant_id == grant_id))
    row = found.one_or_none()
    return _grant(row) if row else None


async def count_grants_after(connection: AsyncConnection, customer_id: CustomerId, instant: datetime) -> int:
    """How many of the customer's grants end behind an instant."""
    ends = func.least(benefit_grants.c.ends_at, benefit_grants.c.revoked_at)
    asked = select(func.count()).where(benefit_grants.c.customer_id == customer_id, ends > instant)
    return int((await connection.execute(asked)).scalar_one())


async def list_grants(
    connection: AsyncConnection, customer_id: CustomerId, *, before: str | None, limit: int
) -> list[Grant]:
    """The customer's grants, newest first."""
    asked = select(benefit_grants).where(benefit_grants.c.customer_id == customer_id)
    if before is not None:
        asked = asked.where(benefit_grants.c.grant_id < before)
    found = await connection.execute(asked.order_by(benefit_grants.c.grant_id.desc()).limit(limit))
    return [_grant(row) for row in found]


async def grants_in_force(
    connection: AsyncConnection, ids: Collection[CustomerId], *, most: int
) -> dict[CustomerId, list[GrantedBenefit]]:
    """The grants that hold, held or will hold of each customer, at most so many, in the order of their ids."""
    found: dict[CustomerId, list[GrantedBenefit]] = {}
    for row in await connection.execute(_GRANTS_IN_FORCE, {"ids": list(ids), "most": most}):
        granted = GrantedBenefit(
            GrantId(row.grant_id),
            PersonId(row.person_id),
            benefit_from_json(_document(row.benefit)),
            row.starts_at,
            row.ends,
        )
        found.setdefault(CustomerId(row.customer_id), []).append(granted)
    return found


async def move_to_customer(connection: AsyncConnection, away: CustomerId, *, to: CustomerId) -> None:
    """Uses and grants of one customer become those of another."""
    for statement in _MOVE:
        await connection.execute(statement, {"away": away, "to": to})


def _document(stored: str | dict[str, Any]) -> dict[str, Any]:
    """JSON that a statement of text brings as text, and a selected column as what it says."""
    if isinstance(stored, str):
        document: dict[str, Any] = json.loads(stored)
        return document
    return stored


def _use(row: Row[Any]) -> BenefitUse:
    return BenefitUse(
        UseId(row.use_id),
        CustomerId(row.customer_id),
        PersonId(row.person_id),
        SourceId(row.source_id),
        BenefitId(row.benefit_id),
        UseState(row.state),
        Span(row.period_start, row.period_end),
        row.occurred_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
        note=row.note,
    )


def _grant(row: Row[Any]) -> Grant:
    grant = Grant(
        GrantId(row.grant_id),
        CustomerId(row.customer_id),
        PersonId(row.person_id),
        benefit_from_json(row.benefit),
        row.starts_at,
        row.ends_at,
        row.reason,
        row.granted_by,
        row.recorded_at,
    )
    return replace(grant, revoked_at=row.revoked_at, revoke_reason=row.revoke_reason, revoked_by=row.revoked_by)
