"""Books of coupons: loaded under locks, written back by a few statements whatever their size.

Locks are always taken in one order, each kind by its ids: customers, templates, members' counters, coupons. A template
is locked against others only where the act counts something that it limits; else its row is shared, and only a new
version of it waits for those who use it.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from chassis.calendar import Calendar
from chassis.money import Money
from sqlalchemy import Row, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.coupon import IN_USE, Act, Coupon, CouponId, CouponState, HolderKey, OrderId, Step, Use
from member.domain.coupon_book import Book
from member.domain.coupon_judging import Standing
from member.domain.coupon_template import Template, TemplateId, TemplateState, Terms
from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder
from member.domain.program import ProgramId, TierId
from member.store.coupon_tables import coupon_template_versions, coupons
from member.store.coupon_terms import limits_from_document, terms_from_document
from member.store.tables import members

_LAPSED_AT_ONCE = 100


class Counting(StrEnum):
    """What of a template an act counts."""

    NOTHING = "nothing"
    ISSUED = "issued"
    USED = "used"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a book is to hold. Coupons are named by their ids, their codes, or the customers and orders that have them;
    templates also by themselves, and `holders` are those whose counters the acts may raise."""

    at: datetime
    counting: Counting
    templates: frozenset[TemplateId] = frozenset()
    holders: frozenset[HolderKey] = frozenset()
    coupon_ids: frozenset[CouponId] = frozenset()
    codes: frozenset[str] = frozenset()
    orders: frozenset[tuple[CustomerId, OrderId]] = frozenset()
    persons: Mapping[CustomerId, set[PersonId]] = field(default_factory=dict)


_LOCK_CUSTOMERS = text("""
    SELECT customer_id FROM customers WHERE customer_id = ANY(CAST(:ids AS text[]))
    ORDER BY customer_id FOR NO KEY UPDATE
""")

_LOCK_COUNTED = text("""
    SELECT template_id FROM coupon_templates
    WHERE template_id = ANY(CAST(:ids AS text[]))
        AND CASE CAST(:counting AS text) WHEN 'issued' THEN issued_max WHEN 'used' THEN used_max ELSE 0 END > 0
    ORDER BY template_id FOR NO KEY UPDATE
""")

_SHARE_TEMPLATES = text("""
    SELECT * FROM coupon_templates WHERE template_id = ANY(CAST(:ids AS text[])) ORDER BY template_id FOR SHARE
""")

_MAKE_HOLDERS = text("""
    INSERT INTO coupon_holders (template_id, customer_id, person_id, issued)
    SELECT template_id, customer_id, person_id, 0
    FROM unnest(CAST(:templates AS text[]), CAST(:customers AS text[]), CAST(:persons AS text[]))
        AS asked(template_id, customer_id, person_id)
    ORDER BY template_id, customer_id, person_id
    ON CONFLICT DO NOTHING
""")

_LOCK_HOLDERS = text("""
    SELECT held.* FROM coupon_holders AS held
    JOIN unnest(CAST(:templates AS text[]), CAST(:customers AS text[]), CAST(:persons AS text[]))
        AS asked(template_id, customer_id, person_id) USING (template_id, customer_id, person_id)
    ORDER BY held.template_id, held.customer_id, held.person_id FOR UPDATE OF held
""")

_LOCK_COUPONS = text("""
    SELECT * FROM coupons WHERE coupon_id = ANY(CAST(:ids AS text[])) ORDER BY coupon_id FOR UPDATE
""")

_LAPSED = text("""
    SELECT lapsed.coupon_id FROM unnest(CAST(:templates AS text[])) AS asked(template_id)
    CROSS JOIN LATERAL (
        SELECT coupon_id FROM coupons
        WHERE coupons.template_id = asked.template_id AND state = 'reserved' AND ends_at <= :at
        ORDER BY ends_at, coupon_id LIMIT :most
    ) AS lapsed
""")

_INSERT = text("""
    INSERT INTO coupons
    SELECT * FROM jsonb_populate_recordset(CAST(NULL AS coupons), CAST(CAST(:rows AS text) AS jsonb))
""")

_UPDATE = text("""
    UPDATE coupons SET (customer_id, program_id, person_id, state, issued_at, valid_from, valid_to, order_id, used_at,
            ends_at, discount_minor, currency, due_at, revision, recorded_at)
        = (now_so.customer_id, now_so.program_id, now_so.person_id, now_so.state, now_so.issued_at, now_so.valid_from,
            now_so.valid_to, now_so.order_id, now_so.used_at, now_so.ends_at, now_so.discount_minor, now_so.currency,
            now_so.due_at, now_so.revision, now_so.recorded_at)
    FROM jsonb_populate_recordset(CAST(NULL AS coupons), CAST(CAST(:rows AS text) AS jsonb)) AS now_so
    WHERE coupons.coupon_id = now_so.coupon_id
""")

_INSERT_STEPS = text("""
    INSERT INTO coupon_steps
        (coupon_id, revision, act, order_id, discount_minor, reason, actor, occurred_at, recorded_at)
    SELECT coupon_id, revision, act, order_id, discount_minor, reason, actor, occurred_at, recorded_at
    FROM jsonb_populate_recordset(CAST(NULL AS coupon_steps), CAST(CAST(:rows AS text) AS jsonb))
        WITH ORDINALITY AS happened
    ORDER BY happened.ordinality
""")

_COUNT_HOLDERS = text("""
    UPDATE coupon_holders AS held SET issued = counted.issued
    FROM unnest(CAST(:templates AS text[]), CAST(:customers AS text[]), CAST(:persons AS text[]),
                CAST(:issued AS bigint[])) AS counted(template_id, customer_id, person_id, issued)
    WHERE (held.template_id, held.customer_id, held.person_id)
        = (counted.template_id, counted.customer_id, counted.person_id) AND held.issued <> counted.issued
""")

_COUNT_TEMPLATES = text("""
    UPDATE coupon_templates SET issued = counted.issued, used = counted.used
    FROM unnest(CAST(:ids AS text[]), CAST(:issued AS bigint[]), CAST(:used AS bigint[]))
        AS counted(template_id, issued, used)
    WHERE coupon_templates.template_id = counted.template_id
        AND (coupon_templates.issued, coupon_templates.used) <> (counted.issued, counted.used)
""")


async def load_book_for_update(connection: AsyncConnection, wanted: Wanted, calendar: Calendar) -> Book:
    """A book of what is wanted, locked until the transaction ends."""
    if wanted.orders:
        await connection.execute(_LOCK_CUSTOMERS, {"ids": sorted({customer_id for customer_id, _ in wanted.orders})})
    named = await _named(connection, wanted)
    ids = {TemplateId(row.template_id) for row in named} | wanted.templates
    templates = await _templates_for_update(connection, ids, wanted.counting)
    keys = _counted_holders(wanted, named, templates)
    issued = await _holders_for_update(connection, keys)
    behind = await _behind_limits(connection, wanted, _short_of(templates, named), keys)
    found = await _coupons_for_update(connection, {CouponId(row.coupon_id) for row in named} | behind)
    customers = {key.customer_id for key in keys} | set(wanted.persons) | {customer for customer, _ in wanted.orders}
    book = Book(calendar, templates, await find_terms(connection, _versions(templates, found)))
    book.coupons |= {each.coupon_id: each for each in found}
    book.issued.update(issued)
    book.persons = wanted.persons
    if any(terms.audience for terms in book.terms.values()):
        book.standings = await find_standings(connection, customers)
    return book


async def save_book(connection: AsyncConnection, book: Book, *, recorded_at: datetime) -> None:
    """Write what the acts on the book came to."""
    if not book.steps:
        return
    first = {step.coupon.coupon_id for step in book.steps if step.act in (Act.ISSUED, Act.LISTED)}
    last = {step.coupon.coupon_id: step.coupon for step in book.steps}
    new = [_row(each, recorded_at) for coupon_id, each in last.items() if coupon_id in first]
    changed = [_row(each, recorded_at) for coupon_id, each in last.items() if coupon_id not in first]
    if new:
        await connection.execute(_INSERT, {"rows": json.dumps(new)})
    if changed:
        await connection.execute(_UPDATE, {"rows": json.dumps(changed)})
    await connection.execute(_INSERT_STEPS, {"rows": json.dumps([_step_row(each, recorded_at) for each in book.steps])})
    await _save_counters(connection, book)


async def find_terms(
    connection: AsyncConnection, versions: Collection[tuple[TemplateId, int]]
) -> dict[tuple[TemplateId, int], Terms]:
    """The terms of versions of templates."""
    if not versions:
        return {}
    table = coupon_template_versions.c
    found = await connection.execute(
        select(table.template_id, table.version, table.terms).where(
            tuple_(table.template_id, table.version).in_(list(versions))
        )
    )
    return {(TemplateId(row.template_id), row.version): terms_from_document(row.terms) for row in found}


async def find_standings(
    connection: AsyncConnection, customers: Collection[CustomerId]
) -> dict[CustomerId, list[Standing]]:
    """The tiers that the customers and their persons hold."""
    standings: dict[CustomerId, list[Standing]] = {}
    if not customers:
        return standings
    asked = select(members.c.customer_id, members.c.person_id, members.c.program_id, members.c.tier_id)
    for row in await connection.execute(asked.where(members.c.customer_id.in_(list(customers)))):
        standing = Standing(PersonId(row.person_id), ProgramId(row.program_id), TierId(row.tier_id))
        standings.setdefault(CustomerId(row.customer_id), []).append(standing)
    return standings


def template_from_row(row: Row[Any]) -> Template:
    """A template from a row that has all columns of the table."""
    return Template(
        TemplateId(row.template_id),
        TemplateState(row.state),
        row.active_version,
        row.latest_version,
        limits_from_document(row.limits),
        revision=row.revision,
        issued=row.issued,
        used=row.used,
    )


def coupon_from_row(row: Row[Any]) -> Coupon:
    """A coupon from a row that has all columns of the table."""
    holder = Holder(CustomerId(row.customer_id), ProgramId(row.program_id), PersonId(row.person_id))
    return Coupon(
        CouponId(row.coupon_id),
        TemplateId(row.template_id),
        row.version,
        row.code,
        holder if row.customer_id is not None else None,
        CouponState(row.state),
        issued_at=row.issued_at,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        reason=row.reason,
        batch_id=row.batch_id,
        use=_use(row) if row.order_id is not None else None,
        revision=row.revision,
    )


def _use(row: Row[Any]) -> Use:
    return Use(OrderId(row.order_id), row.used_at, row.ends_at, Money(row.discount_minor, row.currency))


async def _named(connection: AsyncConnection, wanted: Wanted) -> list[Row[Any]]:
    """The coupons that are named, not locked yet: what is read of them never changes, or is looked at again."""
    found: dict[str, Row[Any]] = {}
    asked = select(coupons.c.coupon_id, coupons.c.template_id, coupons.c.customer_id, coupons.c.person_id)
    for condition in (
        coupons.c.coupon_id.in_(list(wanted.coupon_ids)) if wanted.coupon_ids else None,
        coupons.c.code.in_(list(wanted.codes)) if wanted.codes else None,
        tuple_(coupons.c.customer_id, coupons.c.order_id).in_(list(wanted.orders)) if wanted.orders else None,
    ):
        if condition is not None:
            found |= {row.coupon_id: row for row in await connection.execute(asked.where(condition))}
    return list(found.values())


async def _templates_for_update(
    connection: AsyncConnection, ids: Collection[TemplateId], counting: Counting
) -> dict[TemplateId, Template]:
    if counting is not Counting.NOTHING:
        await connection.execute(_LOCK_COUNTED, {"ids": list(ids), "counting": counting.value})
    found = await connection.execute(_SHARE_TEMPLATES, {"ids": list(ids)})
    return {TemplateId(row.template_id): template_from_row(row) for row in found}


def _counted_holders(
    wanted: Wanted, named: Iterable[Row[Any]], templates: Mapping[TemplateId, Template]
) -> set[HolderKey]:
    """Members whose counters the acts may raise, and those whose uses are limited where something is to be used."""
    keys = {key for key in wanted.holders if key.template_id in templates and key.customer_id in wanted.persons}
    if wanted.counting is not Counting.USED:
        return keys
    held = [row for row in named if row.customer_id is not None]
    using = {HolderKey(TemplateId(row.template_id), row.customer_id, row.person_id) for row in held}
    return keys | {key for key in using if templates[key.template_id].limits.used_per_member}


async def _holders_for_update(connection: AsyncConnection, keys: Collection[HolderKey]) -> dict[HolderKey, int]:
    if not keys:
        return {}
    asked = _columns(sorted(keys))
    await connection.execute(_MAKE_HOLDERS, asked)
    found = await connection.execute(_LOCK_HOLDERS, asked)
    return {
        HolderKey(TemplateId(row.template_id), CustomerId(row.customer_id), PersonId(row.person_id)): row.issued
        for row in found
    }


def _short_of(templates: Mapping[TemplateId, Template], named: Iterable[Row[Any]]) -> list[TemplateId]:
    """The templates of which not all coupons that are named could be used, as they are counted."""
    asked = Counter(row.template_id for row in named)
    limited = (each for each in templates.values() if each.limits.used)
    return [each.template_id for each in limited if each.used + asked[each.template_id] > each.limits.used]


async def _behind_limits(
    connection: AsyncConnection, wanted: Wanted, full: Sequence[TemplateId], keys: Collection[HolderKey]
) -> set[CouponId]:
    """What stands behind limits that may be reached: reservations that have ended but still count, and what the members
    have in use. Read behind the locks of the counters, so that nobody adds to it."""
    if wanted.counting is not Counting.USED:
        return set()
    found: set[CouponId] = set()
    if full:
        asked = {"templates": list(full), "at": wanted.at, "most": _LAPSED_AT_ONCE}
        found |= {CouponId(row.coupon_id) for row in await connection.execute(_LAPSED, asked)}
    if keys:
        holder = tuple_(coupons.c.template_id, coupons.c.customer_id, coupons.c.person_id)
        using = select(coupons.c.coupon_id).where(holder.in_(list(keys)), coupons.c.order_id.is_not(None))
        found |= {CouponId(row.coupon_id) for row in await connection.execute(using)}
    return found


async def _coupons_for_update(connection: AsyncConnection, ids: Collection[CouponId]) -> list[Coupon]:
    if not ids:
        return []
    return [coupon_from_row(row) for row in await connection.execute(_LOCK_COUPONS, {"ids": list(ids)})]


def _versions(templates: Mapping[TemplateId, Template], found: Sequence[Coupon]) -> set[tuple[TemplateId, int]]:
    active = {(each.template_id, each.active_version) for each in templates.values() if each.active_version}
    return active | {(each.template_id, each.version) for each in found}


async def _save_counters(connection: AsyncConnection, book: Book) -> None:
    keys = sorted({key for step in book.steps if (key := step.coupon.counter) and key in book.issued})
    if keys:
        await connection.execute(_COUNT_HOLDERS, _columns(keys) | {"issued": [book.issued[key] for key in keys]})
    templates = sorted(book.templates.values(), key=lambda each: each.template_id)
    counted = [each for each in templates if each.limits.issued or each.limits.used]
    if counted:
        asked = {
            "ids": [each.template_id for each in counted],
            "issued": [each.issued for each in counted],
            "used": [each.used for each in counted],
        }
        await connection.execute(_COUNT_TEMPLATES, asked)


def _columns(keys: Sequence[HolderKey]) -> dict[str, list[Any]]:
    return {
        "templates": [key.template_id for key in keys],
        "customers": [key.customer_id for key in keys],
        "persons": [key.person_id for key in keys],
    }


def _row(coupon: Coupon, recorded_at: datetime) -> dict[str, Any]:
    holder, use = coupon.holder, coupon.use
    assert (coupon.state in IN_USE) == (use is not None), coupon
    return {
        "coupon_id": coupon.coupon_id,
        "template_id": coupon.template_id,
        "version": coupon.version,
        "code": coupon.code,
        "customer_id": holder.customer_id if holder else None,
        "program_id": holder.program_id if holder else "",
        "person_id": holder.person_id if holder else "",
        "state": coupon.state.value,
        "issued_at": coupon.issued_at.isoformat(),
        "valid_from": coupon.valid_from.isoformat(),
        "valid_to": _text(coupon.valid_to),
        "reason": coupon.reason,
        "batch_id": coupon.batch_id,
        "order_id": use.order_id if use else None,
        "used_at": _text(use.used_at) if use else None,
        "ends_at": _text(use.ends_at) if use else None,
        "discount_minor": use.discount.minor_units if use else None,
        "currency": use.discount.currency if use else None,
        "due_at": _text(coupon.due_at),
        "revision": coupon.revision,
        "recorded_at": recorded_at.isoformat(),
    }


def _step_row(step: Step, recorded_at: datetime) -> dict[str, Any]:
    return {
        "coupon_id": step.coupon.coupon_id,
        "revision": step.coupon.revision,
        "act": step.act.value,
        "order_id": step.use.order_id if step.use else "",
        "discount_minor": step.use.discount.minor_units if step.use else 0,
        "reason": step.by.reason,
        "actor": step.by.actor,
        "occurred_at": step.occurred_at.isoformat(),
        "recorded_at": recorded_at.isoformat(),
    }


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()
