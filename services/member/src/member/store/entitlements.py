"""The one row for each customer that says what it is entitled to, and what that row is made of."""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from chassis.arrays import array_of_texts
from chassis.calendar import Span
from chassis.driver import fetch
from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Table, Text, text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.benefit import Benefit, BenefitId
from member.domain.customer import CustomerId, PersonId
from member.domain.entitlement import (
    EntitlementState,
    GrantedBenefit,
    GrantId,
    HeldTier,
    QuotaCount,
    SourceId,
)
from member.domain.membership import MemberId
from member.domain.program import ProgramId, TierId
from member.store.benefit_documents import benefit_from_json, benefit_to_json
from member.store.tables import METADATA

entitlements = Table(
    "entitlements",
    METADATA,
    Column("customer_id", Text, ForeignKey("customers.customer_id"), primary_key=True),
    Column("state", Text, nullable=False, comment="JSON that is read as a whole and never searched"),
    Column("revision", BigInteger, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

entitlement_rounds = Table(
    "entitlement_rounds",
    METADATA,
    Column("program_id", Text, ForeignKey("programs.program_id"), primary_key=True),
    Column("wanted", BigInteger, nullable=False, comment="how often the program's benefits changed"),
    Column("done", BigInteger, nullable=False, comment="up to which change all members were looked at"),
    Column("after_member", Text, nullable=False, comment="behind which member to go on"),
)

_READ = "SELECT customer_id, state, revision FROM entitlements WHERE customer_id = ANY($1::text::text[])"

_MAKE = text("""
    INSERT INTO entitlements (customer_id, state, revision, recorded_at)
    SELECT asked.customer_id, '{}', 0, :recorded_at FROM unnest(CAST(:ids AS text[])) AS asked(customer_id)
    ORDER BY asked.customer_id
    ON CONFLICT (customer_id) DO NOTHING
""")

# In the order of their ids, so that two batches wait for each other instead of locking each other out.
_LOCK = text("""
    SELECT customer_id, state, revision FROM entitlements WHERE customer_id = ANY(CAST(:ids AS text[]))
    ORDER BY customer_id FOR UPDATE
""")

_WRITE = text("""
    UPDATE entitlements SET state = put.state, revision = put.revision, recorded_at = :recorded_at
    FROM unnest(CAST(:ids AS text[]), CAST(:states AS text[]), CAST(:revisions AS bigint[]))
        AS put(customer_id, state, revision)
    WHERE entitlements.customer_id = put.customer_id
""")

# Only periods that had not ended at a customer's last use can be the present one of an instant after it.
_COUNTS = text("""
    SELECT uses.customer_id, uses.source_id, uses.benefit_id, uses.period_start, uses.period_end,
        count(*) FILTER (WHERE uses.state = 'used') AS used,
        array_agg(uses.expires_at ORDER BY uses.expires_at) FILTER (WHERE uses.state = 'reserved') AS reserved_until
    FROM unnest(CAST(:ids AS text[])) AS asked(customer_id)
    CROSS JOIN LATERAL (
        SELECT max(benefit_uses.occurred_at) AS instant FROM benefit_uses
        WHERE benefit_uses.customer_id = asked.customer_id AND benefit_uses.state IN ('reserved', 'used')
    ) AS latest
    JOIN benefit_uses AS uses ON uses.customer_id = asked.customer_id AND uses.period_end > latest.instant
        AND uses.state IN ('reserved', 'used')
    GROUP BY uses.customer_id, uses.source_id, uses.benefit_id, uses.period_start, uses.period_end
    ORDER BY uses.customer_id, uses.source_id, uses.benefit_id, uses.period_start
""")

_ASK_FOR_ROUNDS = text("""
    INSERT INTO entitlement_rounds AS known (program_id, wanted, done, after_member) VALUES (:program, 1, 0, '')
    ON CONFLICT (program_id) DO UPDATE SET wanted = known.wanted + 1, after_member = ''
""")

_NEXT_ROUND = text("""
    SELECT program_id, after_member FROM entitlement_rounds
    WHERE done < wanted AND (CAST(:program AS text) IS NULL OR program_id = :program)
    ORDER BY program_id LIMIT 1 FOR UPDATE
""")

_NEXT_MEMBERS = text("""
    SELECT member_id, customer_id FROM members WHERE program_id = :program AND member_id > :after AND left_at IS NULL
    ORDER BY member_id LIMIT :most
""")

_ROUND_DONE = text("""
    UPDATE entitlement_rounds SET after_member = :after, done = CASE WHEN :after = '' THEN wanted ELSE done END
    WHERE program_id = :program
""")

_OFF_THEIR_MEMBERS = text("""
    SELECT coalesce(held.customer_id, told.customer_id) AS customer_id
    FROM (
        SELECT customer_id, jsonb_object_agg(member_id, tier_id) AS tiers FROM members
        WHERE left_at IS NULL GROUP BY customer_id
    ) AS held
    FULL JOIN (
        SELECT entitlements.customer_id, (
            SELECT jsonb_object_agg(tier ->> 'member_id', tier ->> 'tier_id')
            FROM jsonb_array_elements(entitlements.state::jsonb -> 'tiers') AS tier
        ) AS tiers FROM entitlements
    ) AS told ON told.customer_id = held.customer_id
    WHERE held.tiers IS DISTINCT FROM told.tiers
    ORDER BY 1 LIMIT 10
""")


class KnownState(NamedTuple):
    """A row as it was found under its lock; what is written only where it differs."""

    text: str
    state: EntitlementState


class Round(NamedTuple):
    """A program whose members are to be looked at, and behind which member to go on."""

    program_id: ProgramId
    after: MemberId


async def find_states(connection: AsyncConnection, ids: Collection[CustomerId]) -> dict[CustomerId, EntitlementState]:
    """What customers are entitled to, for those who have a row."""
    found = await fetch(connection, _READ, array_of_texts(ids))
    return {
        CustomerId(customer_id): state_from_text(customer_id, state, revision) for customer_id, state, revision in found
    }


async def make_rows(connection: AsyncConnection, ids: Collection[CustomerId], *, recorded_at: datetime) -> None:
    """A row without a state for customers who have none."""
    await connection.execute(_MAKE, {"ids": list(ids), "recorded_at": recorded_at})


async def states_for_update(connection: AsyncConnection, ids: Collection[CustomerId]) -> dict[CustomerId, KnownState]:
    """What customers are entitled to, for those who have a row, locked against every other change."""
    found = await connection.execute(_LOCK, {"ids": list(ids)})
    return {
        CustomerId(row.customer_id): KnownState(row.state, state_from_text(row.customer_id, row.state, row.revision))
        for row in found
    }


async def save_states(
    connection: AsyncConnection, states: Sequence[EntitlementState], *, recorded_at: datetime
) -> None:
    """Write rows that are locked."""
    if states:
        asked = {
            "ids": [state.customer_id for state in states],
            "states": [state_to_text(state) for state in states],
            "revisions": [state.revision for state in states],
            "recorded_at": recorded_at,
        }
        await connection.execute(_WRITE, asked)


async def quota_counts(connection: AsyncConnection, ids: Collection[CustomerId]) -> dict[CustomerId, list[QuotaCount]]:
    """What each customer used of quotas, in periods that had not ended at its last use."""
    counts: dict[CustomerId, list[QuotaCount]] = {}
    for row in await connection.execute(_COUNTS, {"ids": list(ids)}):
        count = QuotaCount(
            SourceId(row.source_id),
            BenefitId(row.benefit_id),
            Span(row.period_start, row.period_end),
            row.used,
            tuple(row.reserved_until or ()),
        )
        counts.setdefault(CustomerId(row.customer_id), []).append(count)
    return counts


async def ask_for_rounds(connection: AsyncConnection, program_id: ProgramId) -> None:
    """All members of the program are to be looked at, from the first one on."""
    await connection.execute(_ASK_FOR_ROUNDS, {"program": program_id})


async def next_round_for_update(connection: AsyncConnection, program_id: ProgramId | None) -> Round | None:
    """A program, or this one, of which members are still to be looked at; None where there is nothing to do."""
    row = (await connection.execute(_NEXT_ROUND, {"program": program_id})).one_or_none()
    return Round(ProgramId(row.program_id), MemberId(row.after_member)) if row else None


async def next_customers(connection: AsyncConnection, round_: Round, *, most: int) -> list[tuple[MemberId, CustomerId]]:
    """The next members of the round with their customers, in the order of the members' ids."""
    asked = {"program": round_.program_id, "after": round_.after, "most": most}
    found = await connection.execute(_NEXT_MEMBERS, asked)
    return [(MemberId(row.member_id), CustomerId(row.customer_id)) for row in found]


async def save_round(connection: AsyncConnection, program_id: ProgramId, *, after: MemberId | None) -> None:
    """Remember how far the round has come; None where it is through."""
    await connection.execute(_ROUND_DONE, {"program": program_id, "after": after or ""})


async def rows_off_their_members(connection: AsyncConnection) -> tuple[int, tuple[str, ...]]:
    """How many rows there are, and the first customers whose row names other tiers than they hold."""
    examined = (await connection.execute(text("SELECT count(*) FROM entitlements"))).scalar_one()
    return examined, tuple(row.customer_id for row in await connection.execute(_OFF_THEIR_MEMBERS))


def state_to_text(state: EntitlementState) -> str:
    """The state as it is written; the same state is always the same text."""
    return json.dumps(
        {
            "tiers": [_tier_to_json(tier) for tier in state.tiers],
            "grants": [_grant_to_json(grant) for grant in state.grants],
            "counts": [_count_to_json(count) for count in state.counts],
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


def state_from_text(customer_id: str, document: str, revision: int) -> EntitlementState:
    """The state that was written; that of a row just made is empty."""
    known: dict[str, list[dict[str, Any]]] = json.loads(document)
    return EntitlementState(
        CustomerId(customer_id),
        tuple(_tier_from_json(tier) for tier in known.get("tiers", ())),
        tuple(_grant_from_json(grant) for grant in known.get("grants", ())),
        tuple(_count_from_json(count) for count in known.get("counts", ())),
        revision,
    )


def _tier_to_json(tier: HeldTier) -> dict[str, Any]:
    return {
        "member_id": tier.member_id,
        "program_id": tier.program_id,
        "person_id": tier.person_id,
        "tier_id": tier.tier_id,
        "rank": tier.rank,
        "benefits": json.dumps([benefit_to_json(benefit) for benefit in tier.benefits], ensure_ascii=False),
    }


def _tier_from_json(tier: dict[str, Any]) -> HeldTier:
    return HeldTier(
        MemberId(tier["member_id"]),
        ProgramId(tier["program_id"]),
        PersonId(tier["person_id"]),
        TierId(tier["tier_id"]),
        tier["rank"],
        _benefits_from_text(tier["benefits"]),
    )


@lru_cache(maxsize=1024)
def _benefits_from_text(document: str) -> tuple[Benefit, ...]:
    """The benefits of a tier, which many customers share and which are written as one text for that: read it once."""
    return tuple(benefit_from_json(benefit) for benefit in json.loads(document))


def _grant_to_json(grant: GrantedBenefit) -> dict[str, Any]:
    return {
        "grant_id": grant.grant_id,
        "person_id": grant.person_id,
        "benefit": benefit_to_json(grant.benefit),
        "starts_at": grant.starts_at.isoformat(),
        "ends_at": grant.ends_at.isoformat(),
    }


def _grant_from_json(grant: dict[str, Any]) -> GrantedBenefit:
    return GrantedBenefit(
        GrantId(grant["grant_id"]),
        PersonId(grant["person_id"]),
        benefit_from_json(grant["benefit"]),
        datetime.fromisoformat(grant["starts_at"]),
        datetime.fromisoformat(grant["ends_at"]),
    )


def _count_to_json(count: QuotaCount) -> dict[str, Any]:
    return {
        "source_id": count.source_id,
        "benefit_id": count.benefit_id,
        "start": count.span.start.isoformat(),
        "end": count.span.end.isoformat(),
        "used": count.used,
        "reserved_until": [until.isoformat() for until in count.reserved_until],
    }


def _count_from_json(count: dict[str, Any]) -> QuotaCount:
    return QuotaCount(
        SourceId(count["source_id"]),
        BenefitId(count["benefit_id"]),
        Span(datetime.fromisoformat(count["start"]), datetime.fromisoformat(count["end"])),
        count["used"],
        tuple(datetime.fromisoformat(until) for until in count["reserved_until"]),
    )
