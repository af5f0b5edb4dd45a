"""What spending asks of the database beside the ledger's own statements: rules, pools, and whose a transaction is."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from chassis.calendar import Span
from chassis.errors import Refusal
from chassis.money import Money
from ledger import AnyCommand, Posted
from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    Row,
    Table,
    Text,
    insert,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.customer import CustomerId
from member.domain.kinds import PointsKind
from member.domain.membership import MemberId
from member.domain.pool import Pool
from member.domain.program import ProgramId
from member.domain.spending import CashRate, PointsRules, ReversalShortfall, default_rules
from member.store.postings import BOOKS, in_points, member_of_account, points_account
from member.store.tables import METADATA

rules_table = Table(
    "points_rules",
    METADATA,
    Column("program_id", Text, primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("applies_from", DateTime(timezone=True), nullable=False),
    Column("shortfall", Text, nullable=False),
    Column("most_owed", BigInteger, nullable=False),
    Column("regrant_days", Integer, nullable=False),
    Column("most_transferred_a_day", BigInteger, nullable=False),
    Column("cash_off_points", BigInteger, comment="so many points; null where points are not taken for money"),
    Column("cash_off_minor", BigInteger, comment="are worth so much"),
    Column("cash_off_currency", Text),
    Column("put_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    CheckConstraint(
        "most_owed >= 0 AND regrant_days >= 0 AND most_transferred_a_day >= 0", name="points_rules_not_negative"
    ),
    CheckConstraint(
        "num_nulls(cash_off_points, cash_off_minor, cash_off_currency) IN (0, 3)", name="points_rules_rate_whole"
    ),
    Index("points_rules_in_force", "program_id", "applies_from", "revision"),
)

pools_table = Table(
    "points_pools",
    METADATA,
    Column("customer_id", Text, primary_key=True),
    Column("program_id", Text, primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    Column("member_ids", ARRAY(Text), nullable=False, comment="who pays, the first first; none: dissolved"),
    Column("put_by", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

_RULES_IN_FORCE = text("""
    SELECT asked.position, rule.* FROM
        unnest(CAST(:programs AS text[]), CAST(:instants AS timestamptz[]))
            WITH ORDINALITY AS asked(program_id, instant, position)
    CROSS JOIN LATERAL (
        SELECT points_rules.* FROM points_rules
        WHERE points_rules.program_id = asked.program_id AND points_rules.applies_from <= asked.instant
        ORDER BY points_rules.applies_from DESC, points_rules.revision DESC LIMIT 1
    ) AS rule
""")

_PUT_IN_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))")

_LOCK_ACCOUNTS = text("""
    SELECT id FROM ledger_accounts WHERE id = ANY(CAST(:accounts AS text[])) ORDER BY id FOR UPDATE
""")

_TRANSFERRED = text("""
    SELECT coalesce(sum(-entry.amount), 0)::bigint FROM ledger_entries AS entry
    JOIN ledger_transactions AS done ON done.source = entry.source AND done.kind = :kind
    WHERE entry.account_id = :account AND entry.account_version IS NOT NULL AND entry.amount < 0
        AND entry.occurred_at >= :start AND entry.occurred_at < :end
""")

_MEMBERS_OF = text("""
    SELECT source, account_id FROM ledger_entries
    WHERE source = ANY(CAST(:sources AS text[])) AND account_version IS NOT NULL
    GROUP BY source, account_id ORDER BY source, min(line)
""")


async def post(
    connection: AsyncConnection, commands: Sequence[AnyCommand], *, recorded_at: datetime
) -> list[Posted | Refusal]:
    """Carry out movements of points, each with its own outcome; refusals speak of points, not of accounts."""
    outcomes = await BOOKS.post(connection, commands, recorded_at=recorded_at)
    return [in_points(outcome) if isinstance(outcome, Refusal) else outcome for outcome in outcomes]


async def members_of_transactions(connection: AsyncConnection, ids: Collection[str]) -> dict[str, list[MemberId]]:
    """Whose points each transaction moved, in the order in which it did."""
    found: dict[str, list[MemberId]] = {}
    for row in await connection.execute(_MEMBERS_OF, {"sources": list(ids)}):
        found.setdefault(row.source, []).append(member_of_account(row.account_id))
    return found


async def rules_in_force(connection: AsyncConnection, asked: Sequence[tuple[ProgramId, datetime]]) -> list[PointsRules]:
    """The rules of each program at its instant; those of a program that set none where none applied yet."""
    parameters = {"programs": [program for program, _ in asked], "instants": [instant for _, instant in asked]}
    found = {row.position - 1: _rules(row) for row in await connection.execute(_RULES_IN_FORCE, parameters)}
    return [found.get(place) or default_rules(*each) for place, each in enumerate(asked)]


async def insert_rules(connection: AsyncConnection, rules: PointsRules, *, put_by: str, recorded_at: datetime) -> None:
    """Write a revision of a program's rules; two of one program wait for each other by `next_rules_revision`."""
    rate = rules.cash_rate
    await connection.execute(
        insert(rules_table).values(
            program_id=rules.program_id,
            revision=rules.revision,
            applies_from=rules.applies_from,
            shortfall=rules.shortfall.value,
            most_owed=rules.most_owed,
            regrant_days=rules.regrant_days,
            most_transferred_a_day=rules.most_transferred_a_day,
            cash_off_points=rate.points if rate else None,
            cash_off_minor=rate.money.minor_units if rate else None,
            cash_off_currency=rate.money.currency if rate else None,
            put_by=put_by,
            recorded_at=recorded_at,
        )
    )


async def next_rules_revision(connection: AsyncConnection, program_id: ProgramId) -> int:
    """The number of the program's next rules; whoever asks too waits until this transaction ends."""
    await connection.execute(_PUT_IN_TURN, {"what": f"points rules {program_id}"})
    newest = select(rules_table.c.revision).where(rules_table.c.program_id == program_id)
    found = (await connection.execute(newest.order_by(rules_table.c.revision.desc()).limit(1))).scalar_one_or_none()
    return (found or 0) + 1


async def find_pools(
    connection: AsyncConnection, wanted: Collection[tuple[CustomerId, ProgramId]]
) -> dict[tuple[CustomerId, ProgramId], Pool]:
    """The pools of customers in programs as they are now, also dissolved ones."""
    asked = select(pools_table).where(pools_table.c.customer_id.in_({customer for customer, _ in wanted}))
    newest = asked.ext(distinct_on(pools_table.c.customer_id, pools_table.c.program_id)).order_by(
        pools_table.c.customer_id, pools_table.c.program_id, pools_table.c.revision.desc()
    )
    found = [
        Pool(
            CustomerId(row.customer_id),
            ProgramId(row.program_id),
            tuple(MemberId(each) for each in row.member_ids),
            row.revision,
        )
        for row in await connection.execute(newest)
    ]
    return {(pool.customer_id, pool.program_id): pool for pool in found}


async def find_pool_for_update(connection: AsyncConnection, customer_id: CustomerId, program_id: ProgramId) -> Pool:
    """The pool to be changed, of nobody and revision 0 where there was none; who asks too waits for this one."""
    await connection.execute(_PUT_IN_TURN, {"what": f"points pool {customer_id} {program_id}"})
    pools = await find_pools(connection, [(customer_id, program_id)])
    return pools.get((customer_id, program_id)) or Pool(customer_id, program_id, (), 0)


async def insert_pool(connection: AsyncConnection, pool: Pool, *, put_by: str, recorded_at: datetime) -> None:
    """Write a revision of a pool."""
    await connection.execute(
        insert(pools_table).values(
            customer_id=pool.customer_id,
            program_id=pool.program_id,
            revision=pool.revision,
            member_ids=list(pool.payers),
            put_by=put_by,
            recorded_at=recorded_at,
        )
    )


async def lock_accounts(connection: AsyncConnection, ids: Collection[MemberId]) -> None:
    """Keep these members' points as they are until the transaction ends, in the order in which the ledger locks too."""
    await connection.execute(_LOCK_ACCOUNTS, {"accounts": [points_account(member_id) for member_id in ids]})


async def transferred(connection: AsyncConnection, giver: MemberId, during: Span) -> int:
    """Points that the member sent to others, undone transfers counted too."""
    asked = {
        "account": points_account(giver),
        "kind": PointsKind.TRANSFER.value,
        "start": during.start,
        "end": during.end,
    }
    return int((await connection.execute(_TRANSFERRED, asked)).scalar_one())


def _rules(row: Row[Any]) -> PointsRules:
    rate = None
    if row.cash_off_points is not None:
        rate = CashRate(row.cash_off_points, Money(row.cash_off_minor, row.cash_off_currency))
    return PointsRules(
        ProgramId(row.program_id),
        row.applies_from,
        ReversalShortfall(row.shortfall),
        most_owed=row.most_owed,
        regrant_days=row.regrant_days,
        most_transferred_a_day=row.most_transferred_a_day,
        cash_rate=rate,
        revision=row.revision,
    )
