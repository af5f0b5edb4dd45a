"""Merging customers: rows change hands, and the record of it stays."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.customer import EVERYBODY, Customer, CustomerId, PersonId
from member.domain.membership import Holder, Member, MemberId
from member.domain.merge import Carried, Merge
from member.domain.program import ProgramId
from member.store.customer_documents import accounts_document, profile_document, subscribers_document
from member.store.customer_tables import carried_memberships, customer_merges
from member.store.postings import ACCOUNT_PREFIX, points_account
from member.store.tables import LEDGER, customers
from member.store.tables import members as _members

_ERASED = text("""
    SELECT customer_id, erased_persons FROM customers WHERE customer_id = ANY(CAST(:ids AS text[]))
""")

# Also those who are no persons of the customer any more.
_KEPT = text("""
    SELECT person_id FROM members WHERE customer_id = :customer_id AND left_at IS NULL
    UNION SELECT person_id FROM consents WHERE customer_id = :customer_id
    UNION SELECT person_id FROM coupons WHERE customer_id = :customer_id
    UNION SELECT person_id FROM benefit_grants WHERE customer_id = :customer_id
    UNION SELECT person_id FROM care_told WHERE customer_id = :customer_id
""")

_SAVE_CUSTOMER = text("""
    UPDATE customers
    SET profile = CAST(:profile AS jsonb), subscribers = CAST(:subscribers AS jsonb),
        accounts = CAST(:accounts AS jsonb), registered_at = :registered_at, erased_persons = :erased,
        revision = revision + 1, recorded_at = :recorded_at
    WHERE customer_id = :customer_id
    RETURNING revision
""")

# Who was merged into the one merged away points past it.
_SAVE_MERGED = text("""
    UPDATE customers
    SET merged_into = :customer_id,
        profile = CASE WHEN customers.customer_id = :merged_id THEN '{}' ELSE profile END,
        subscribers = '[]', accounts = '[]', revision = revision + 1, recorded_at = :recorded_at
    WHERE customers.customer_id = :merged_id OR customers.merged_into = :merged_id
""")

_MOVE_MEMBERS = text("""
    UPDATE members SET customer_id = moved.customer_id, person_id = moved.person_id
    FROM unnest(CAST(:members AS text[]), CAST(:customers AS text[]), CAST(:persons AS text[]))
        AS moved(member_id, customer_id, person_id)
    WHERE members.member_id = moved.member_id
""")

_END_MEMBERS = text("""
    UPDATE members SET left_at = ended.left_at
    FROM unnest(CAST(:members AS text[]), CAST(:instants AS timestamptz[])) AS ended(member_id, left_at)
    WHERE members.member_id = ended.member_id
""")

# What counted for the tier goes on counting: copies, because the record itself is never changed.
_CARRY_POINTS = text("""
    INSERT INTO tier_points (member_id, earned_at, kind, points, known_from)
    SELECT ended.into_member_id, counted.earned_at, counted.kind, counted.points, counted.known_from
    FROM unnest(CAST(:members AS text[]), CAST(:intos AS text[])) AS ended(member_id, into_member_id)
    JOIN tier_points AS counted ON counted.member_id = ended.member_id
""")

# A registration for what the one that goes on is registered for too stays where it is: nobody comes twice.
_CARRY_REGISTRATIONS = text("""
    UPDATE activity_registrations AS theirs SET member_id = ended.into_member_id
    FROM unnest(CAST(:members AS text[]), CAST(:intos AS text[])) AS ended(member_id, into_member_id)
    WHERE theirs.member_id = ended.member_id AND NOT EXISTS (
        SELECT FROM activity_registrations AS ours
        WHERE ours.activity_id = theirs.activity_id AND ours.member_id = ended.into_member_id
            AND ours.state <> 'left' AND theirs.state <> 'left')
""")

_CARRY_BARS = text("""
    INSERT INTO activity_bars AS known (member_id, barred_until, activity_id)
    SELECT ended.into_member_id, bars.barred_until, bars.activity_id
    FROM unnest(CAST(:members AS text[]), CAST(:intos AS text[])) AS ended(member_id, into_member_id)
    JOIN activity_bars AS bars ON bars.member_id = ended.member_id
    ORDER BY ended.into_member_id
    ON CONFLICT (member_id) DO UPDATE SET barred_until = excluded.barred_until, activity_id = excluded.activity_id
        WHERE excluded.barred_until > known.barred_until
""")

_MOVE_CARE = text("""
    WITH theirs AS (
        DELETE FROM care_told WHERE customer_id = :merged_id RETURNING care_told.*
    )
    INSERT INTO care_told
        (care_id, customer_id, person_id, occasion, subject_id, year, years, occurred_at, recorded_at)
    SELECT theirs.care_id, :customer_id, coalesce(moved.becomes, theirs.person_id), theirs.occasion,
        theirs.subject_id, theirs.year, theirs.years, theirs.occurred_at, theirs.recorded_at
    FROM theirs
    LEFT JOIN unnest(CAST(:persons AS text[]), CAST(:becomes AS text[])) AS moved(person_id, becomes)
        ON moved.person_id = theirs.person_id
    ORDER BY theirs.care_id
    ON CONFLICT (customer_id, person_id, occasion, subject_id, year) DO NOTHING
""")

_CARRY_SPEND = text("""
    INSERT INTO tier_spend (source, customer_id, kind, amount_minor, spent_at, refund_of, refunded_at)
    SELECT coalesce(refund_of, source) || '@' || :customer_id || coalesce(substr(source, length(refund_of) + 1), ''),
        :customer_id, kind, amount_minor, spent_at, refund_of || '@' || :customer_id, refunded_at
    FROM tier_spend WHERE customer_id = :merged_id
""")

_COUNT_COUPONS = text("""
    INSERT INTO coupon_holders AS held (template_id, customer_id, person_id, issued)
    SELECT theirs.template_id, :customer_id, coalesce(moved.becomes, theirs.person_id), theirs.issued
    FROM coupon_holders AS theirs
    LEFT JOIN unnest(CAST(:persons AS text[]), CAST(:becomes AS text[])) AS moved(person_id, becomes)
        ON moved.person_id = theirs.person_id
    WHERE theirs.customer_id = :merged_id
    ORDER BY theirs.template_id, theirs.person_id
    ON CONFLICT (template_id, customer_id, person_id) DO UPDATE SET issued = held.issued + excluded.issued
""")

_FORGET_COUPONS = text("DELETE FROM coupon_holders WHERE customer_id = :merged_id")

_MOVE_COUPONS = text("""
    UPDATE coupons SET customer_id = :customer_id, person_id = coalesce(
        (SELECT moved.becomes
         FROM unnest(CAST(:persons AS text[]), CAST(:becomes AS text[])) AS moved(person_id, becomes)
         WHERE moved.person_id = coupons.person_id), coupons.person_id)
    WHERE customer_id = :merged_id
""")

_ARRIVED_LATE = text("""
    SELECT carried.member_id, carried.into_member_id, accounts.version
    FROM carried_memberships AS carried
    JOIN ledger_accounts AS accounts ON accounts.id = :prefix || carried.member_id
    WHERE accounts.balance > accounts.held
    ORDER BY carried.member_id LIMIT :limit
""")


async def erased_persons(connection: AsyncConnection, ids: Collection[CustomerId]) -> dict[CustomerId, set[PersonId]]:
    """The persons of these customers who asked to be forgotten."""
    found = await connection.execute(_ERASED, {"ids": list(ids)})
    return {CustomerId(row.customer_id): {PersonId(each) for each in row.erased_persons} for row in found}


async def persons_kept(connection: AsyncConnection, customer_id: CustomerId) -> set[PersonId]:
    """The persons under whose ids something is kept that goes over with the customer."""
    found = await connection.execute(_KEPT, {"customer_id": customer_id})
    return {PersonId(row.person_id) for row in found} - {EVERYBODY}


async def save_customer(
    connection: AsyncConnection, customer: Customer, erased: Collection[PersonId], *, recorded_at: datetime
) -> int:
    """Write what the customer is now; its new revision."""
    saved = await connection.execute(
        _SAVE_CUSTOMER,
        {
            "customer_id": customer.customer_id,
            "profile": json.dumps(profile_document(customer), ensure_ascii=False),
            "subscribers": json.dumps(subscribers_document(customer)),
            "accounts": json.dumps(accounts_document(customer), ensure_ascii=False),
            "registered_at": customer.registered_at,
            "erased": sorted(erased),
            "recorded_at": recorded_at,
        },
    )
    return int(saved.scalar_one())


async def save_merge(connection: AsyncConnection, merge: Merge) -> None:
    """Empty the customer merged away, leave the pointer, and write the record."""
    await connection.execute(
        _SAVE_MERGED,
        {"customer_id": merge.customer_id, "merged_id": merge.merged_id, "recorded_at": merge.recorded_at},
    )
    await connection.execute(
        insert(customer_merges).values(
            merged_customer_id=merge.merged_id,
            customer_id=merge.customer_id,
            person_moves=dict(merge.person_moves),
            moved_memberships=merge.moved_memberships,
            merged_at=merge.merged_at,
            merged_by=merge.merged_by,
            recorded_at=merge.recorded_at,
        )
    )


async def find_merge(connection: AsyncConnection, merged_id: CustomerId) -> Merge | None:
    """The merge that took this customer away, or None."""
    query = select(customer_merges).where(customer_merges.c.merged_customer_id == merged_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _merge(row)


async def list_merges(
    connection: AsyncConnection, customer_id: CustomerId, *, after: str | None, limit: int
) -> list[Merge]:
    """The merges whose customers this one stands for, by those merged away, also by way of another."""
    query = select(customer_merges).join(customers, customers.c.customer_id == customer_merges.c.merged_customer_id)
    query = query.where(customers.c.merged_into == customer_id, customers.c.customer_id > (after or ""))
    found = await connection.execute(query.order_by(customers.c.customer_id).limit(limit))
    return [_merge(row) for row in found]


async def move_members(connection: AsyncConnection, moving: Sequence[tuple[Member, Holder]]) -> None:
    """Give memberships to other holders."""
    if not moving:
        return
    await connection.execute(
        _MOVE_MEMBERS,
        {
            "members": [member.member_id for member, _ in moving],
            "customers": [holder.customer_id for _, holder in moving],
            "persons": [holder.person_id for _, holder in moving],
        },
    )


async def end_members(
    connection: AsyncConnection,
    carried: Sequence[tuple[Carried, Merge]],
    *,
    recorded_at: datetime,
) -> None:
    """End memberships at an instant each, and write into which others they ended."""
    if not carried:
        return
    ended = {
        "members": [each.member_id for each, _ in carried],
        "instants": [merge.merged_at for _, merge in carried],
    }
    await connection.execute(_END_MEMBERS, ended)
    rows = [
        {
            "member_id": each.member_id,
            "into_member_id": each.into_member_id,
            "merged_customer_id": merge.merged_id,
            "points": each.points,
            "recorded_at": recorded_at,
        }
        for each, merge in carried
    ]
    await connection.execute(insert(carried_memberships).values(rows))


async def carry_merits(connection: AsyncConnection, ending: Sequence[tuple[Member, Member]]) -> None:
    """Let points earned by memberships that end count for those that go on."""
    if ending:
        members = {"members": [each.member_id for each, _ in ending], "intos": [into.member_id for _, into in ending]}
        await connection.execute(_CARRY_POINTS, members)


async def carry_registrations(connection: AsyncConnection, ending: Sequence[tuple[Member, Member]]) -> None:
    """Let memberships that go on come to what those that end were registered for, and be barred as they were."""
    if ending:
        asked = {"members": [each.member_id for each, _ in ending], "intos": [into.member_id for _, into in ending]}
        await connection.execute(_CARRY_REGISTRATIONS, asked)
        await connection.execute(_CARRY_BARS, asked)


async def carry_spend(connection: AsyncConnection, merge: Merge) -> None:
    """Let what the one merged away spent count for the other."""
    await connection.execute(_CARRY_SPEND, {"customer_id": merge.customer_id, "merged_id": merge.merged_id})


async def find_carried(connection: AsyncConnection, merged_id: CustomerId) -> list[Carried]:
    """The memberships of a customer merged away that ended in others."""
    query = select(carried_memberships, _members.c.program_id).join(
        _members, _members.c.member_id == carried_memberships.c.member_id
    )
    found = await connection.execute(
        query.where(carried_memberships.c.merged_customer_id == merged_id).order_by(carried_memberships.c.member_id)
    )
    return [
        Carried(ProgramId(row.program_id), MemberId(row.member_id), MemberId(row.into_member_id), row.points)
        for row in found
    ]


async def balances_for_update(
    connection: AsyncConnection, ids: Collection[MemberId]
) -> Mapping[MemberId, tuple[int, int]]:
    """Points and held points of memberships, locked in the order of their ids."""
    accounts = LEDGER.accounts
    by_account = {points_account(member_id): member_id for member_id in ids}
    query = select(accounts.c.id, accounts.c.balance, accounts.c.held).where(accounts.c.id.in_(by_account))
    found = await connection.execute(query.order_by(accounts.c.id).with_for_update(key_share=True))
    return {by_account[row.id]: (row.balance, row.held) for row in found}


async def move_coupons(connection: AsyncConnection, merge: Merge) -> None:
    """Give the coupons of the one merged away to the other, and count them there."""
    asked = _names(merge)
    for statement in (_COUNT_COUPONS, _FORGET_COUPONS, _MOVE_COUPONS):
        await connection.execute(statement, {name: asked[name] for name in asked if f":{name}" in statement.text})


async def move_care(connection: AsyncConnection, merge: Merge) -> None:
    """Give what was told of the one merged away to the other, as far as the same was not told of it."""
    await connection.execute(_MOVE_CARE, _names(merge))


async def arrived_late(connection: AsyncConnection, *, limit: int) -> list[tuple[MemberId, MemberId, int]]:
    """Memberships that ended in others and have points again, with the others and the versions of their accounts."""
    found = await connection.execute(_ARRIVED_LATE, {"prefix": ACCOUNT_PREFIX, "limit": limit})
    return [(MemberId(row.member_id), MemberId(row.into_member_id), row.version) for row in found]


def _names(merge: Merge) -> dict[str, Any]:
    return {
        "customer_id": merge.customer_id,
        "merged_id": merge.merged_id,
        "persons": list(merge.person_moves),
        "becomes": list(merge.person_moves.values()),
    }


def _merge(row: Row[Any]) -> Merge:
    return Merge(
        CustomerId(row.customer_id),
        CustomerId(row.merged_customer_id),
        {PersonId(key): PersonId(value) for key, value in row.person_moves.items()},
        row.moved_memberships,
        row.merged_at,
        row.merged_by,
        row.recorded_at,
    )
