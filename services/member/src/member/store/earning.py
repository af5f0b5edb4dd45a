"""What earning keeps beside the ledger: what caps count, points that ripen, which transactions a cause came to, what
was refunded, and how far anniversaries are rewarded."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple, cast

from chassis.calendar import Period, Span
from sqlalchemy import Row, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.customer import CustomerId, PersonId
from member.domain.earning import Counter
from member.domain.earning_rule import RuleId
from member.domain.kinds import PointsKind
from member.domain.membership import Holder, MemberId
from member.domain.pending import PendingPoints, Refund
from member.domain.program import ProgramId, TierId
from member.store.earning_tables import earning_counters, pending_points, tenure_marks
from member.store.postings import member_of_account

# Locks what it finds and what it adds, in the order of the keys, and brings what stands behind the lock.
_LOCK_COUNTERS = text("""
    INSERT INTO earning_counters AS counter (rule_id, member_id, period, period_start, points)
    SELECT rule_id, member_id, period, period_start, 0
    FROM unnest(CAST(:rules AS text[]), CAST(:members AS text[]), CAST(:periods AS text[]),
                CAST(:starts AS timestamptz[])) AS asked(rule_id, member_id, period, period_start)
    ORDER BY rule_id, member_id, period, period_start
    ON CONFLICT (rule_id, member_id, period, period_start) DO UPDATE SET points = counter.points
    RETURNING rule_id, member_id, period, period_start, points
""")

_SAVE_COUNTERS = text("""
    UPDATE earning_counters SET points = counted.points
    FROM unnest(CAST(:rules AS text[]), CAST(:members AS text[]), CAST(:periods AS text[]),
                CAST(:starts AS timestamptz[]), CAST(:points AS bigint[]))
        AS counted(rule_id, member_id, period, period_start, points)
    WHERE earning_counters.rule_id = counted.rule_id AND earning_counters.member_id = counted.member_id
        AND earning_counters.period = counted.period AND earning_counters.period_start = counted.period_start
""")

_KNOWN = text("""
    SELECT source FROM ledger_transactions WHERE source = ANY(CAST(:names AS text[]))
    UNION SELECT transaction_id FROM pending_points WHERE transaction_id = ANY(CAST(:names AS text[]))
""")

_INSERT_LEGS = text("""
    INSERT INTO earning_legs (source, transaction_id, recorded_at)
    SELECT source, transaction_id, :recorded_at
    FROM unnest(CAST(:sources AS text[]), CAST(:names AS text[])) AS leg(source, transaction_id)
""")

# What a cause came to in the ledger: under its own name, or under one that was made of it.
_LEGS = text("""
    SELECT leg.source, leg.transaction_id, entry.account_id, entry.amount, coalesce(waited.cancelled, 0) AS cancelled
    FROM (
        SELECT source, source AS transaction_id FROM unnest(CAST(:sources AS text[])) AS asked(source)
        UNION SELECT source, transaction_id FROM earning_legs WHERE source = ANY(CAST(:sources AS text[]))
    ) AS leg
    JOIN ledger_entries AS entry ON entry.source = leg.transaction_id
        AND entry.account_version IS NOT NULL AND entry.amount > 0
    LEFT JOIN pending_points AS waited ON waited.transaction_id = leg.transaction_id
    ORDER BY leg.source, leg.transaction_id
""")

_REVERSED = text("""
    SELECT reverses, sum(reversed_amount)::bigint AS points FROM ledger_transactions
    WHERE reverses = ANY(CAST(:names AS text[])) GROUP BY reverses
""")

_INSERT_PENDING = text("""
    INSERT INTO pending_points (source, transaction_id, member_id, kind, reason, rule_id, parts, points, cancelled,
        earned_at, ripens_at, expires_at, ripened, recorded_at)
    SELECT source, transaction_id, member_id, kind, reason, rule_id, parts, points, 0, earned_at, ripens_at, expires_at,
        false, :recorded_at
    FROM unnest(CAST(:sources AS text[]), CAST(:names AS text[]), CAST(:members AS text[]), CAST(:kinds AS text[]),
                CAST(:reasons AS text[]), CAST(:rules AS text[]), CAST(:parts AS text[]), CAST(:points AS bigint[]),
                CAST(:earned AS timestamptz[]), CAST(:ripe AS timestamptz[]), CAST(:expiries AS timestamptz[]))
        AS new(source, transaction_id, member_id, kind, reason, rule_id, parts, points, earned_at, ripens_at,
               expires_at)
""")

_CANCEL_PENDING = text("""
    UPDATE pending_points SET cancelled = less.cancelled, ripened = (less.cancelled = pending_points.points)
    FROM unnest(CAST(:names AS text[]), CAST(:cancelled AS bigint[])) AS less(transaction_id, cancelled)
    WHERE pending_points.transaction_id = less.transaction_id
""")

# Refunds are rare and payments are not: payments share the lock, a refund has it alone. So of a payment and its refund
# the second always sees what the first has done, whichever comes first.
_LOCK_PAYMENTS = text("SELECT pg_advisory_xact_lock_shared(hashtext('payments and refunds'))")
_LOCK_REFUNDS = text("SELECT pg_advisory_xact_lock(hashtext('payments and refunds'))")

_NOTE_REFUNDS = text("""
    INSERT INTO payment_refunds (source, refund_id, paid_minor, refunded_minor, refunded_at, recorded_at)
    SELECT source, refund_id, paid_minor, refunded_minor, refunded_at, :recorded_at
    FROM unnest(CAST(:sources AS text[]), CAST(:refunds AS text[]), CAST(:paid AS bigint[]),
                CAST(:refunded AS bigint[]), CAST(:instants AS timestamptz[]))
        AS refund(source, refund_id, paid_minor, refunded_minor, refunded_at)
    ON CONFLICT DO NOTHING
""")

_REFUNDS = text("""
    SELECT source, max(paid_minor) AS paid_minor, sum(refunded_minor)::bigint AS refunded_minor,
        max(refunded_at) AS refunded_at
    FROM payment_refunds WHERE source = ANY(CAST(:sources AS text[])) GROUP BY source
""")

# Two tiers may begin at one instant (enrolled and judged at it): the later revision is the one that holds.
_TIERS_AT = text("""
    SELECT asked.position, members.member_id, members.customer_id, members.program_id, members.person_id, held.tier_id
    FROM unnest(CAST(:members AS text[]), CAST(:instants AS timestamptz[]))
        WITH ORDINALITY AS asked(member_id, instant, position)
    JOIN members ON members.member_id = asked.member_id
    CROSS JOIN LATERAL (
        SELECT tier_history.tier_id FROM tier_history
        WHERE tier_history.member_id = members.member_id AND tier_history.held_from <= asked.instant
        ORDER BY tier_history.held_from DESC, tier_history.revision DESC LIMIT 1
    ) AS held
    ORDER BY asked.position
""")

_NEAREST_MEMBERS = text("""
    SELECT DISTINCT ON (asked.position, members.program_id) asked.position, members.member_id
    FROM unnest(CAST(:customers AS text[]), CAST(:persons AS text[]))
        WITH ORDINALITY AS asked(customer_id, person_id, position)
    JOIN members ON members.customer_id = asked.customer_id AND members.person_id IN (asked.person_id, '')
    ORDER BY asked.position, members.program_id, members.person_id DESC
""")

# Day by day, and within a day by member: so a page ends at a member of a day, and the next one begins behind it.
_ENROLLED_WITHIN = text("""
    SELECT span.day, span.years, members.member_id
    FROM unnest(CAST(:days AS date[]), CAST(:years AS bigint[]), CAST(:starts AS timestamptz[]),
                CAST(:ends AS timestamptz[])) AS span(day, years, starts_at, ends_at)
    JOIN members ON members.program_id = :program
        AND members.enrolled_at >= span.starts_at AND members.enrolled_at < span.ends_at
    WHERE span.day > :first OR members.member_id > :after
    ORDER BY span.day, members.member_id LIMIT :most
""")

_FIRST_ENROLMENT = text("SELECT min(enrolled_at) AS enrolled_at FROM members WHERE program_id = :program")


class Leg(NamedTuple):
    """Points that a cause gave a member, booked under a transaction of the ledger; `cancelled` were not, as they were
    taken back before they ripened."""

    source: str
    transaction_id: str
    member_id: MemberId
    points: int
    cancelled: int

    @property
    def given(self) -> int:
        """What the cause gave by this."""
        return self.points + self.cancelled


class Refunded(NamedTuple):
    """How much of a payment was refunded by now, at `refunded_at` last (business time)."""

    paid_minor: int
    refunded_minor: int
    refunded_at: datetime

    def of(self, points: int) -> int:
        """What is to be taken back by now of points that the payment gave: their share of it, rounded down."""
        return points * min(self.refunded_minor, self.paid_minor) // self.paid_minor


class MemberThen(NamedTuple):
    """A membership with the tier held at an instant; `position` counts the instants asked for from 0."""

    position: int
    member_id: MemberId
    holder: Holder
    tier_id: TierId


class Kept(NamedTuple):
    """On a day those keep an anniversary, of so many years, who enrolled within a span."""

    day: date
    years: int
    span: Span


class TenureMark(NamedTuple):
    """The day whose anniversaries are being rewarded, and behind which member to go on."""

    day: date
    to_member: str


async def counters_for_update(connection: AsyncConnection, wanted: Collection[Counter]) -> dict[Counter, int]:
    """What the counters stand at, locked in the order of their keys until the transaction ends."""
    found = await connection.execute(_LOCK_COUNTERS, _counter_columns(wanted))
    return {_counter(row): row.points for row in found}


async def read_counters(
    connection: AsyncConnection, member_id: MemberId, rules: Collection[RuleId], *, since: datetime
) -> dict[Counter, int]:
    """What the counters of these rules stand at, unlocked: those of all members, and this member's of periods that
    begin at an instant or later."""
    of_member = (earning_counters.c.member_id == member_id) & (earning_counters.c.period_start >= since)
    found = await connection.execute(
        select(earning_counters).where(
            earning_counters.c.rule_id.in_(rules), of_member | (earning_counters.c.member_id == "")
        )
    )
    return {_counter(row): row.points for row in found}


async def save_counters(connection: AsyncConnection, counted: Mapping[Counter, int]) -> None:
    """Write what the counters stand at."""
    await connection.execute(_SAVE_COUNTERS, {**_counter_columns(counted), "points": list(counted.values())})


async def known_names(connection: AsyncConnection, names: Collection[str]) -> set[str]:
    """Which of these transactions were booked before, or wait to ripen."""
    return {row.source for row in await connection.execute(_KNOWN, {"names": list(names)})}


async def insert_legs(connection: AsyncConnection, legs: Sequence[tuple[str, str]], *, recorded_at: datetime) -> None:
    """Remember which transactions a cause came to, where they do not bear its very name."""
    if legs:
        sources, names = zip(*legs, strict=True)
        await connection.execute(
            _INSERT_LEGS, {"sources": list(sources), "names": list(names), "recorded_at": recorded_at}
        )


async def find_legs(connection: AsyncConnection, sources: Collection[str]) -> list[Leg]:
    """What these causes gave, as booked in the ledger."""
    found = await connection.execute(_LEGS, {"sources": list(sources)})
    return [
        Leg(row.source, row.transaction_id, member_of_account(row.account_id), row.amount, row.cancelled)
        for row in found
    ]


async def reversed_points(connection: AsyncConnection, names: Collection[str]) -> dict[str, int]:
    """How many points of each transaction count as reversed."""
    found = await connection.execute(_REVERSED, {"names": list(names)})
    return {row.reverses: row.points for row in found}


async def insert_pending(connection: AsyncConnection, new: Sequence[PendingPoints], *, recorded_at: datetime) -> None:
    """Write points that will ripen."""
    if not new:
        return
    await connection.execute(
        _INSERT_PENDING,
        {
            "sources": [each.source for each in new],
            "names": [each.transaction_id for each in new],
            "members": [each.member_id for each in new],
            "kinds": [each.kind.value for each in new],
            "reasons": [each.reason for each in new],
            "rules": [each.rule_id for each in new],
            "parts": [each.parts for each in new],
            "points": [each.points for each in new],
            "earned": [each.earned_at for each in new],
            "ripe": [each.ripens_at for each in new],
            "expiries": [each.expires_at for each in new],
            "recorded_at": recorded_at,
        },
    )


async def due_pending_for_update(connection: AsyncConnection, as_of: datetime, *, most: int) -> list[PendingPoints]:
    """The points that are ripe by an instant, those that were first first, locked."""
    return await _pending_for_update(connection, pending_points.c.ripens_at <= as_of, most=most)


async def pending_of_for_update(connection: AsyncConnection, sources: Collection[str]) -> list[PendingPoints]:
    """The points of these causes that still wait, locked."""
    return await _pending_for_update(connection, pending_points.c.source.in_(sources))


async def list_pending(
    connection: AsyncConnection, member_id: MemberId, *, as_of: datetime | None
) -> list[PendingPoints]:
    """The member's points that wait, the next to ripen first. With an instant those that waited at it, and those that
    still do though they are ripe by then: they are not in the balance either."""
    kept = pending_points.c
    waiting = ~kept.ripened
    if as_of is not None:
        waiting = (kept.earned_at <= as_of) & ((kept.ripens_at > as_of) | ~kept.ripened)
    wanted = select(pending_points).where(kept.member_id == member_id, kept.cancelled < kept.points, waiting)
    found = await connection.execute(wanted.order_by(kept.ripens_at, kept.transaction_id))
    return [_pending(row) for row in found]


async def save_ripened(connection: AsyncConnection, names: Collection[str]) -> None:
    """These points have become the members'."""
    await connection.execute(
        update(pending_points).where(pending_points.c.transaction_id.in_(names)).values(ripened=True)
    )


async def save_cancelled(connection: AsyncConnection, cancelled: Mapping[str, int]) -> None:
    """So many of these points will never ripen."""
    if cancelled:
        asked = {"names": list(cancelled), "cancelled": list(cancelled.values())}
        await connection.execute(_CANCEL_PENDING, asked)


async def lock_payments(connection: AsyncConnection) -> None:
    """No refund is noted while this transaction rewards payments; other payments go on."""
    await connection.execute(_LOCK_PAYMENTS)


async def lock_refunds(connection: AsyncConnection) -> None:
    """No payment is rewarded, and no other refund noted, until this transaction ends."""
    await connection.execute(_LOCK_REFUNDS)


async def insert_refunds(connection: AsyncConnection, refunds: Sequence[Refund], *, recorded_at: datetime) -> None:
    """Note refunds, each once."""
    await connection.execute(
        _NOTE_REFUNDS,
        {
            "sources": [refund.source for refund in refunds],
            "refunds": [refund.refund_id for refund in refunds],
            "paid": [refund.paid_minor for refund in refunds],
            "refunded": [refund.refunded_minor for refund in refunds],
            "instants": [refund.occurred_at for refund in refunds],
            "recorded_at": recorded_at,
        },
    )


async def find_refunds(connection: AsyncConnection, sources: Collection[str]) -> dict[str, Refunded]:
    """What was refunded of these payments."""
    found = await connection.execute(_REFUNDS, {"sources": list(sources)})
    return {row.source: Refunded(row.paid_minor, row.refunded_minor, row.refunded_at) for row in found}


async def tiers_at(connection: AsyncConnection, asked: Sequence[tuple[MemberId, datetime]]) -> list[MemberThen]:
    """These memberships with the tier held at an instant each; who was no member then is left out."""
    if not asked:
        return []
    found = await connection.execute(
        _TIERS_AT, {"members": [member for member, _ in asked], "instants": [instant for _, instant in asked]}
    )
    return [
        MemberThen(
            row.position - 1,
            MemberId(row.member_id),
            Holder(CustomerId(row.customer_id), ProgramId(row.program_id), PersonId(row.person_id)),
            TierId(row.tier_id),
        )
        for row in found
    ]


async def nearest_members(
    connection: AsyncConnection, asked: Sequence[tuple[CustomerId, PersonId]]
) -> list[tuple[int, MemberId]]:
    """In every program the membership of a person, or that of its customer as a whole where the person has none, with
    the position of who was asked for, from 0."""
    if not asked:
        return []
    found = await connection.execute(
        _NEAREST_MEMBERS, {"customers": [customer for customer, _ in asked], "persons": [person for _, person in asked]}
    )
    return [(row.position - 1, MemberId(row.member_id)) for row in found]


async def tenure_mark_for_update(connection: AsyncConnection, program_id: ProgramId, *, first: date) -> TenureMark:
    """How far the program's anniversaries are rewarded, locked; from the day `first` on where none are."""
    put = insert(tenure_marks).values(program_id=program_id, day=first, to_member="")
    kept = put.on_conflict_do_update(index_elements=["program_id"], set_={"day": tenure_marks.c.day})
    row = (await connection.execute(kept.returning(tenure_marks.c.day, tenure_marks.c.to_member))).one()
    return TenureMark(row.day, row.to_member)


async def save_tenure_mark(connection: AsyncConnection, program_id: ProgramId, mark: TenureMark) -> None:
    """Remember how far the program's anniversaries are rewarded."""
    await connection.execute(
        update(tenure_marks)
        .where(tenure_marks.c.program_id == program_id)
        .values(day=mark.day, to_member=mark.to_member)
    )


async def first_enrolment(connection: AsyncConnection, program_id: ProgramId) -> datetime | None:
    """When the program's first member enrolled; None while it has none."""
    row = (await connection.execute(_FIRST_ENROLMENT, {"program": program_id})).one()
    return None if row.enrolled_at is None else cast(datetime, row.enrolled_at)


async def enrolled_within(
    connection: AsyncConnection, program_id: ProgramId, kept: Sequence[Kept], *, mark: TenureMark, most: int
) -> list[tuple[date, int, MemberId]]:
    """Who enrolled within the spans: the day on which it is kept, the years it is, and the member; in this order, from
    behind the mark on."""
    found = await connection.execute(
        _ENROLLED_WITHIN,
        {
            "program": program_id,
            "days": [each.day for each in kept],
            "years": [each.years for each in kept],
            "starts": [each.span.start for each in kept],
            "ends": [each.span.end for each in kept],
            "first": mark.day,
            "after": mark.to_member,
            "most": most,
        },
    )
    return [(row.day, row.years, MemberId(row.member_id)) for row in found]


async def _pending_for_update(
    connection: AsyncConnection, condition: Any, *, most: int | None = None
) -> list[PendingPoints]:
    wanted = select(pending_points).where(condition, ~pending_points.c.ripened)
    ordered = wanted.order_by(pending_points.c.ripens_at, pending_points.c.transaction_id).limit(most)
    return [_pending(row) for row in await connection.execute(ordered.with_for_update())]


def _pending(row: Row[Any]) -> PendingPoints:
    return PendingPoints(
        row.source,
        row.transaction_id,
        MemberId(row.member_id),
        PointsKind(row.kind),
        row.reason,
        rule_id=row.rule_id,
        parts=row.parts,
        points=row.points,
        cancelled=row.cancelled,
        earned_at=row.earned_at,
        ripens_at=row.ripens_at,
        expires_at=row.expires_at,
    )


def _counter(row: Row[Any]) -> Counter:
    return Counter(RuleId(row.rule_id), row.member_id, Period(row.period), row.period_start)


def _counter_columns(counters: Collection[Counter]) -> dict[str, list[Any]]:
    return {
        "rules": [counter.rule_id for counter in counters],
        "members": [counter.member_id for counter in counters],
        "periods": [counter.period.value for counter in counters],
        "starts": [counter.start for counter in counters],
    }
