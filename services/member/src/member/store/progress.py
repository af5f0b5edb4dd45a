"""What members did of tasks: a book each, days, proofs and records. Whoever counts locks the books first."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder, MemberId
from member.domain.program import ProgramId
from member.domain.progress import Book, Done, Tally, TaskRecord, Withheld, WithheldReason
from member.domain.reward import RewardGiven
from member.domain.streak import Run, SignedDays
from member.domain.task import TaskId
from member.store.engagement_tables import task_records
from member.store.rewards import reward_from_json, reward_to_json
from member.store.tables import members

BookKey = tuple[TaskId, MemberId]

# Made and locked in the order of members, so that two batches wait for each other instead of locking each other out.
_MAKE_BOOKS = text("""
    INSERT INTO task_books (task_id, member_id)
    SELECT asked.task_id, asked.member_id
    FROM unnest(CAST(:tasks AS text[]), CAST(:members AS text[])) AS asked(task_id, member_id)
    ORDER BY asked.member_id, asked.task_id
    ON CONFLICT DO NOTHING
""")
_BOOKS = """
    SELECT book.task_id, book.member_id, book.signed, book.rewarded FROM task_books AS book
    JOIN unnest(CAST(:tasks AS text[]), CAST(:members AS text[])) AS asked(task_id, member_id)
        USING (task_id, member_id)
    ORDER BY book.member_id, book.task_id
"""
_FIND_BOOKS = text(_BOOKS)
_LOCK_BOOKS = text(f"{_BOOKS} FOR UPDATE OF book")

_DAYS = text("""
    SELECT DISTINCT task_days.* FROM task_days
    JOIN unnest(CAST(:tasks AS text[]), CAST(:members AS text[]), CAST(:firsts AS date[]), CAST(:ends AS date[]))
        AS asked(task_id, member_id, first, "end") USING (task_id, member_id)
    WHERE task_days.day >= asked.first AND task_days.day < asked."end"
""")

_CLAIM_PROOFS = text("""
    INSERT INTO task_proofs (task_id, proof_id, recorded_at)
    SELECT asked.task_id, asked.proof_id, :recorded_at
    FROM unnest(CAST(:tasks AS text[]), CAST(:proofs AS text[])) AS asked(task_id, proof_id)
    ORDER BY asked.task_id, asked.proof_id
    ON CONFLICT DO NOTHING RETURNING task_id, proof_id
""")

_SAVE_DAYS = text("""
    INSERT INTO task_days (task_id, member_id, day, times, completions)
    SELECT * FROM unnest(CAST(:tasks AS text[]), CAST(:members AS text[]), CAST(:days AS date[]),
                         CAST(:times AS bigint[]), CAST(:completions AS bigint[]))
    ON CONFLICT (task_id, member_id, day)
        DO UPDATE SET times = excluded.times, completions = excluded.completions
""")

_SAVE_BOOKS = text("""
    UPDATE task_books SET signed = put.signed::jsonb, rewarded = put.rewarded::jsonb
    FROM unnest(CAST(:tasks AS text[]), CAST(:members AS text[]), CAST(:signed AS text[]), CAST(:rewarded AS text[]))
        AS put(task_id, member_id, signed, rewarded)
    WHERE task_books.task_id = put.task_id AND task_books.member_id = put.member_id
""")

_INSERT_RECORDS = text("""
    INSERT INTO task_records (source, task_id, task_version, member_id, occurred_at, day, times, completions, proof_id,
                              given, withheld, recorded_at)
    SELECT new.source, new.task_id, new.task_version, new.member_id, new.occurred_at, new.day, new.times,
        new.completions, new.proof_id, new.given::jsonb, new.withheld::jsonb, :recorded_at
    FROM unnest(CAST(:sources AS text[]), CAST(:tasks AS text[]), CAST(:versions AS bigint[]),
                CAST(:members AS text[]), CAST(:instants AS timestamptz[]), CAST(:days AS date[]),
                CAST(:times AS bigint[]), CAST(:completions AS bigint[]), CAST(:proofs AS text[]),
                CAST(:given AS text[]), CAST(:withheld AS text[]))
        WITH ORDINALITY AS new(source, task_id, task_version, member_id, occurred_at, day, times, completions,
                               proof_id, given, withheld, position)
    ORDER BY new.position
""")


class DaysAsked(NamedTuple):
    """Days of a member in a task that are needed: from `first` on, before `end`."""

    key: BookKey
    first: date
    end: date


class ListedRecord(NamedTuple):
    """A record, when it was written, and its place in the order of writing."""

    record: TaskRecord
    recorded_at: datetime
    sequence: int


async def find_books_for_update(connection: AsyncConnection, asked: Sequence[DaysAsked]) -> dict[BookKey, Book]:
    """The members' books with the days asked for, made where there are none, locked against others who count."""
    keys = _columns({each.key for each in asked})
    await connection.execute(_MAKE_BOOKS, keys)
    books = {_key(row): _book(row) for row in await connection.execute(_LOCK_BOOKS, keys)}
    await _read_days(connection, asked, books)
    return books


async def find_books(connection: AsyncConnection, asked: Sequence[DaysAsked]) -> dict[BookKey, Book]:
    """The members' books with the days asked for; an empty one for who has none."""
    keys = {each.key for each in asked}
    found = {_key(row): _book(row) for row in await connection.execute(_FIND_BOOKS, _columns(keys))}
    books = {key: found.get(key) or Book() for key in keys}
    await _read_days(connection, asked, books)
    return books


async def carry_books(connection: AsyncConnection, pairs: Sequence[tuple[BookKey, BookKey]]) -> None:
    """Let the second book of each pair, made where there is none, have what the first one has, but for its days."""
    if not pairs:
        return
    await connection.execute(_MAKE_BOOKS, _columns(into for _, into in pairs))
    keys = _columns({key for pair in pairs for key in pair})
    books = {_key(row): _book(row) for row in await connection.execute(_LOCK_BOOKS, keys)}
    for ended, into in pairs:
        books[into] = books[into].with_book(books[ended])
    await save_books(connection, {into: books[into] for _, into in pairs}, ())


async def find_sources(connection: AsyncConnection, sources: Collection[str]) -> set[str]:
    """Which of these were recorded before."""
    found = await connection.execute(select(task_records.c.source).where(task_records.c.source.in_(sources)))
    return {row.source for row in found}


async def claim_proofs(
    connection: AsyncConnection, proofs: Collection[tuple[TaskId, str]], *, recorded_at: datetime
) -> set[tuple[TaskId, str]]:
    """Use up proofs; returns those that nobody had used before."""
    if not proofs:
        return set()
    asked = {"tasks": [task for task, _ in proofs], "proofs": [proof for _, proof in proofs]}
    found = await connection.execute(_CLAIM_PROOFS, {**asked, "recorded_at": recorded_at})
    return {(TaskId(row.task_id), row.proof_id) for row in found}


async def save_books(
    connection: AsyncConnection, books: Mapping[BookKey, Book], days: Collection[tuple[BookKey, date]]
) -> None:
    """Write what counted: the days named, and the sign-ins of all the books."""
    ordered = list(days)
    tallies = [books[key].days[day] for key, day in ordered]
    await connection.execute(
        _SAVE_DAYS,
        {
            **_columns([key for key, _ in ordered]),
            "days": [day for _, day in ordered],
            "times": [tally.times for tally in tallies],
            "completions": [tally.completions for tally in tallies],
        },
    )
    signed = {key: book for key, book in books.items() if book.signed.runs}
    if signed:
        await connection.execute(
            _SAVE_BOOKS,
            {
                **_columns(signed),
                "signed": [json.dumps([list(map(str, run)) for run in book.signed.runs]) for book in signed.values()],
                "rewarded": [
                    json.dumps({str(days): str(last) for days, last in book.rewarded.items()})
                    for book in signed.values()
                ],
            },
        )


async def insert_records(connection: AsyncConnection, new: Sequence[TaskRecord], *, recorded_at: datetime) -> None:
    """Write what members did, in order."""
    await connection.execute(
        _INSERT_RECORDS,
        {
            "sources": [record.source for record in new],
            **_columns([(record.task_id, record.member_id) for record in new]),
            "versions": [record.task_version for record in new],
            "instants": [record.occurred_at for record in new],
            "days": [record.day for record in new],
            "times": [record.done.times for record in new],
            "completions": [record.done.completions for record in new],
            "proofs": [record.proof_id for record in new],
            "given": [json.dumps([_given_to_json(each) for each in record.given]) for record in new],
            "withheld": [json.dumps([_withheld_to_json(each) for each in record.withheld]) for record in new],
            "recorded_at": recorded_at,
        },
    )


async def list_records(
    connection: AsyncConnection, member_id: MemberId, *, task_id: TaskId | None, before: int | None, limit: int
) -> list[ListedRecord]:
    """What the member did, newest first, from below the sequence `before`."""
    holder = (members.c.customer_id, members.c.program_id, members.c.person_id)
    query = select(task_records, *holder).join(members, members.c.member_id == task_records.c.member_id)
    query = query.where(task_records.c.member_id == member_id)
    if task_id is not None:
        query = query.where(task_records.c.task_id == task_id)
    if before is not None:
        query = query.where(task_records.c.sequence < before)
    found = await connection.execute(query.order_by(task_records.c.sequence.desc()).limit(limit))
    return [ListedRecord(_record(row), row.recorded_at, row.sequence) for row in found]


async def _read_days(connection: AsyncConnection, asked: Sequence[DaysAsked], books: Mapping[BookKey, Book]) -> None:
    ranges = {"firsts": [each.first for each in asked], "ends": [each.end for each in asked]}
    for row in await connection.execute(_DAYS, {**_columns([each.key for each in asked]), **ranges}):
        books[_key(row)].days[row.day] = Tally(row.times, row.completions)


def _columns(keys: Iterable[BookKey]) -> dict[str, Any]:
    ordered = list(keys)
    return {"tasks": [task for task, _ in ordered], "members": [member for _, member in ordered]}


def _key(row: Row[Any]) -> BookKey:
    return TaskId(row.task_id), MemberId(row.member_id)


def _book(row: Row[Any]) -> Book:
    runs = tuple(Run(date.fromisoformat(first), date.fromisoformat(last)) for first, last in row.signed)
    rewarded = {int(days): date.fromisoformat(last) for days, last in row.rewarded.items()}
    return Book(signed=SignedDays(runs), rewarded=rewarded)


def _given_to_json(given: RewardGiven) -> dict[str, Any]:
    return {"source": given.source, "points": given.points, "coupon_id": given.coupon_id}


def _withheld_to_json(withheld: Withheld) -> dict[str, Any]:
    return {"reward": reward_to_json(withheld.reward), "reason": withheld.reason.value}


def _record(row: Row[Any]) -> TaskRecord:
    return TaskRecord(
        source=row.source,
        task_id=TaskId(row.task_id),
        task_version=row.task_version,
        member_id=MemberId(row.member_id),
        holder=Holder(CustomerId(row.customer_id), ProgramId(row.program_id), PersonId(row.person_id)),
        occurred_at=row.occurred_at,
        day=row.day,
        done=Done(row.times, row.completions),
        proof_id=row.proof_id,
        given=tuple(RewardGiven(**each) for each in row.given),
        withheld=tuple(
            Withheld(reward_from_json(each["reward"]), WithheldReason(each["reason"])) for each in row.withheld
        ),
    )
