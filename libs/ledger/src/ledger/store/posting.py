"""A batch's way through PostgreSQL: lock and load, then save, whatever the number of commands.

Accounts are locked first, in the order of their ids. Lots, holds and originals are read by statements that start
after the lock is held: READ COMMITTED gives each statement its own snapshot, and a single statement that waited for the
lock would see the new balance beside the old lots. Most batches need no second look, because the account's row says
whether it has anything in lots or on hold.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from asyncpg import Record
from chassis.arrays import array_of_documents, array_of_instants, array_of_numbers, array_of_texts
from chassis.driver import fetch
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.domain.account import Account, Hold, HoldState, Lot, first_taken
from ledger.domain.command import (
    AccountId,
    AnyCommand,
    ConfirmHold,
    Draw,
    HoldId,
    LotTerms,
    MakeHold,
    Post,
    ReleaseHold,
    Reverse,
    SetFloor,
    Source,
)
from ledger.domain.engine import HOLD_EXPIRY, LOT_EXPIRY, Books
from ledger.domain.posting import LotMove, Posted
from ledger.domain.reversal import Leg, Original

LOCK_ACCOUNTS = """
SELECT id, asset, balance, held, in_lots, floor, version, owed,
       (SELECT array_agg(source) FROM ledger_transactions WHERE source = ANY($2::text::text[])) AS known_sources
FROM ledger_accounts
WHERE id = ANY($1::text::text[]
    || ARRAY(SELECT account_id FROM ledger_holds WHERE id = ANY($3::text::text[]))
    || ARRAY(SELECT account_id FROM ledger_entries
             WHERE source = ANY($4::text::text[]) AND account_version IS NOT NULL))
ORDER BY id
FOR UPDATE"""

# Who spends looks through all open lots; who is only given something has none to look at but those that are due.
LOAD_LOTS = """
SELECT account_id, account_version, granted, remaining, expires_at, priority, expired
FROM ledger_lots
WHERE account_id = ANY($1::text[]) AND remaining > 0
UNION ALL
SELECT account_id, account_version, granted, remaining, expires_at, priority, expired
FROM ledger_lots
WHERE account_id = ANY($2::text[]) AND remaining > 0 AND expires_at <= $3"""

LOAD_HOLDS = """
SELECT id, account_id, account_version, amount, expires_at, state
FROM ledger_holds
WHERE account_id = ANY($1::text[]) AND state = 'open' OR id = ANY($2::text[])"""

LOAD_ORIGINALS = """
SELECT t.source, t.kind, t.reverses, e.account_id, e.amount, e.account_version,
       coalesce(h.account_version, e.account_version) AS taken_at_version,
       l.account_version AS lot,
       (SELECT coalesce(sum(r.reversed_amount), 0)::bigint
        FROM ledger_transactions r WHERE r.reverses = t.source) AS reversed_amount
FROM ledger_transactions t
JOIN ledger_entries e ON e.source = t.source
LEFT JOIN ledger_holds h ON h.id = t.ends AND h.account_id = e.account_id AND e.amount < 0
LEFT JOIN ledger_lots l ON l.account_id = e.account_id AND l.account_version = e.account_version AND e.amount > 0
WHERE t.source = ANY($1::text[])
ORDER BY t.source, e.line"""

LOAD_MOVES = """
SELECT m.account_id, m.account_version AS taken_at_version, m.amount,
       l.account_version, l.granted, l.remaining, l.expires_at, l.priority, l.expired
FROM unnest($1::text[], $2::bigint[]) AS step (account_id, account_version)
JOIN ledger_lot_moves m ON m.account_id = step.account_id AND m.account_version = step.account_version
JOIN ledger_lots l ON l.account_id = m.account_id AND l.account_version = m.lot
ORDER BY l.priority, l.expires_at NULLS LAST, l.account_version"""

Step = tuple[AccountId, int]


async def load_for_update(
    connection: AsyncConnection, commands: Sequence[AnyCommand], system_accounts: frozenset[AccountId]
) -> Books:
    """Lock every account the commands touch and bring what the engine must know of them."""
    accounts, holds, originals = _asked(commands)
    sources = [command.source for command in commands]
    asked = (accounts - system_accounts, sources, holds, originals)
    rows = await fetch(connection, LOCK_ACCOUNTS, *map(array_of_texts, asked))
    books = Books(system_accounts)
    for row in rows:
        account = Account(*row[:8])
        books.accounts[account.id] = account
    if rows and rows[0][8]:
        books.sources.update(rows[0][8])
    with_lots = {account.id for account in books.accounts.values() if account.in_lots}
    given = with_lots & _only_given(commands)
    until = max(command.occurred_at for command in commands)
    if with_lots:
        for row in await fetch(connection, LOAD_LOTS, [*(with_lots - given)], [*given], until):
            _put_lot(books, row)
    await _load_behind_the_lock(connection, books, holds, originals)
    return books


async def load_accounts_for_update(
    connection: AsyncConnection, accounts: Sequence[AccountId], system_accounts: frozenset[AccountId]
) -> Books:
    """Lock accounts for nothing but what is due on them."""
    rows = await fetch(connection, LOCK_ACCOUNTS, array_of_texts(accounts), "{}", "{}", "{}")
    books = Books(system_accounts, {row["id"]: Account(*row[:8]) for row in rows})
    for row in await fetch(connection, LOAD_LOTS, list(books.accounts), [], None):
        _put_lot(books, row)
    await _load_behind_the_lock(connection, books, [], [])
    return books


def _asked(commands: Iterable[AnyCommand]) -> tuple[set[AccountId], list[HoldId], list[Source]]:
    accounts: set[AccountId] = set()
    holds: list[HoldId] = []
    originals: list[Source] = []
    for command in commands:
        match command:
            case Post():
                accounts.update([entry.account for entry in command.entries])
            case Draw():
                accounts.update(command.payers, [command.to])
            case MakeHold() | SetFloor():
                accounts.add(command.account)
            case ConfirmHold():
                accounts.add(command.to)
                holds.append(command.hold)
            case ReleaseHold():
                holds.append(command.hold)
            case Reverse():
                originals.append(command.of)
    return accounts, holds, originals


def _only_given(commands: Iterable[AnyCommand]) -> set[AccountId]:
    """The accounts that the commands add to and do nothing else with."""
    given: set[AccountId] = set()
    used: set[AccountId] = set()
    for command in commands:
        match command:
            case Post():
                for entry in command.entries:
                    (given if entry.amount > 0 else used).add(entry.account)
            case Draw():
                given.add(command.to)
                used.update(command.payers)
            case MakeHold() | SetFloor():
                used.add(command.account)
            case ConfirmHold() | ReleaseHold():
                continue  # touches the lots that the hold took, which are loaded with it
            case Reverse():
                return set()  # may undo what the batch itself posts, whose accounts are not known yet
    return given - used


async def _load_behind_the_lock(
    connection: AsyncConnection, books: Books, hold_ids: list[HoldId], originals: list[Source]
) -> None:
    with_holds = [account.id for account in books.accounts.values() if account.held]
    holds = await fetch(connection, LOAD_HOLDS, with_holds, hold_ids) if with_holds or hold_ids else ()
    legs = await fetch(connection, LOAD_ORIGINALS, originals) if originals else ()
    if not holds and not legs:
        return
    steps: list[Step] = [(row["account_id"], row["account_version"]) for row in holds]
    steps += [(row["account_id"], row["taken_at_version"]) for row in legs if row["taken_at_version"] is not None]
    taken = await _load_taken(connection, books, steps)
    for row in holds:
        _put_hold(books, row, taken)
    for row in legs:
        _put_leg(books, row, taken)


async def _load_taken(connection: AsyncConnection, books: Books, steps: list[Step]) -> dict[Step, tuple[LotMove, ...]]:
    """What each step took from lots, in the order of taking; and the lots, open or not."""
    taken: dict[Step, tuple[LotMove, ...]] = {}
    distinct = sorted(set(steps))
    names, versions = [step[0] for step in distinct], [step[1] for step in distinct]
    for row in await fetch(connection, LOAD_MOVES, names, versions):
        _put_lot(books, row)
        step = (row["account_id"], row["taken_at_version"])
        taken[step] = (*taken.get(step, ()), LotMove(row["account_version"], row["amount"]))
    return taken


def _put_lot(books: Books, row: Record) -> None:
    terms = LotTerms(row["expires_at"], row["priority"])
    lot = Lot(row["account_version"], row["granted"], row["remaining"], terms, row["expired"])
    books.accounts[row["account_id"]].lots[lot.version] = lot


def _put_hold(books: Books, row: Record, taken: dict[Step, tuple[LotMove, ...]]) -> None:
    account = books.accounts[row["account_id"]]
    account.holds[row["id"]] = Hold(
        id=row["id"],
        account=account.id,
        version=row["account_version"],
        amount=row["amount"],
        expires_at=row["expires_at"],
        state=HoldState(row["state"]),
        taken=taken.get((account.id, row["account_version"]), ()),
    )
    books.holds[row["id"]] = account.id


def _put_leg(books: Books, row: Record, taken: dict[Step, tuple[LotMove, ...]]) -> None:
    source = row["source"]
    moves = taken.get((row["account_id"], row["taken_at_version"]), ()) if row["amount"] < 0 else ()
    leg = Leg(row["account_id"], row["amount"], row["lot"], first_taken(moves, max(-row["amount"], 0)))
    reversible = row["reverses"] is None and row["kind"] not in (LOT_EXPIRY, HOLD_EXPIRY)
    known = books.originals.get(source)
    legs = (*known.legs, leg) if known else (leg,)
    books.originals[source] = Original(source, legs, reversible, row["reversed_amount"])


_TRANSACTIONS = "text source, text kind, text asset, timestamptz occurred_at, timestamptz recorded_at, jsonb metadata"
_TRANSACTIONS_WITH_REFERENCES = (
    f"{_TRANSACTIONS}, text ends, text reverses, bigint reversed_before, bigint reversed_amount"
)
_SYSTEM_LINES = "text source, smallint line, text account_id, bigint amount, timestamptz occurred_at"
_LINES = (
    f"{_SYSTEM_LINES}, bigint held_change, bigint account_version, bigint balance_after, bigint held_after, "
    "bigint floor"
)
_ACCOUNTS = "text id, bigint balance, bigint held, bigint in_lots, bigint floor, bigint version, bigint owed"
_LOTS = (
    "text account_id, bigint account_version, bigint granted, bigint remaining, timestamptz expires_at, "
    "integer priority, boolean expired"
)
_MOVES = "text account_id, bigint account_version, bigint lot, bigint amount"
_HOLDS = "text id, text account_id, bigint account_version, bigint amount, timestamptz expires_at, text state"

_ARRAY_TEXT: dict[str, Callable[[Sequence[Any]], str]] = {
    "text": array_of_texts,
    "jsonb": array_of_documents,
    "timestamptz": array_of_instants,
    "bigint": array_of_numbers,
    "integer": array_of_numbers,
    "smallint": array_of_numbers,
    "boolean": array_of_numbers,
}

_UPDATE_ACCOUNTS = """
UPDATE ledger_accounts AS a
SET balance = new.balance, held = new.held, in_lots = new.in_lots, floor = new.floor, version = new.version,
    owed = new.owed
FROM {rows} WHERE a.id = new.id"""
_LOT_CHANGES = """
ON CONFLICT (account_id, account_version) DO UPDATE SET remaining = excluded.remaining, expired = excluded.expired"""
_INSERT_ENTRIES = """
INSERT INTO ledger_entries ({names}) SELECT {names} FROM {lines}
UNION ALL SELECT {system_names}, NULL, NULL, NULL, NULL, NULL FROM {system_lines}"""
_HOLD_CHANGES = "ON CONFLICT (id) DO UPDATE SET state = excluded.state"


def _rows(spec: str, start: int) -> tuple[str, str, int]:
    """`unnest($1::text[], …) AS new (…)`, the names, and the number after the last argument."""
    pairs = [column.split() for column in spec.split(", ")]
    arrays = ", ".join(f"${number}::text::{kind}[]" for number, (kind, _) in enumerate(pairs, start))
    names = ", ".join(name for _, name in pairs)
    return f"unnest({arrays}) AS new ({names})", names, start + len(pairs)


def _insert(table: str, spec: str, start: int, *, on_conflict: str = "") -> tuple[str, int]:
    """`INSERT INTO … SELECT … FROM unnest(…)` with its arguments numbered from `start`, and the next number."""
    rows, names, at = _rows(spec, start)
    return f"INSERT INTO {table} ({names}) SELECT {names} FROM {rows} {on_conflict}", at  # noqa: S608 - constants


def save_statement(*, references: bool, lots: bool, holds: bool) -> str:
    """The one statement that writes a batch: whole columns as arrays, the same columns in the same order as `saving`
    gives them. What a batch has nothing of takes no part."""
    rows, _, at = _rows(_ACCOUNTS, 1)
    parts = [_UPDATE_ACCOUNTS.format(rows=rows)]
    part, at = _insert("ledger_transactions", _TRANSACTIONS_WITH_REFERENCES if references else _TRANSACTIONS, at)
    parts.append(part)
    if lots:
        part, at = _insert("ledger_lots", _LOTS, at, on_conflict=_LOT_CHANGES)
        parts.append(part)
        part, at = _insert("ledger_lot_moves", _MOVES, at)
        parts.append(part)
    if holds:
        part, at = _insert("ledger_holds", _HOLDS, at, on_conflict=_HOLD_CHANGES)
        parts.append(part)
    lines, names, at = _rows(_LINES, at)
    system_lines, system_names, _ = _rows(_SYSTEM_LINES, at)
    entries = _INSERT_ENTRIES.format(names=names, lines=lines, system_names=system_names, system_lines=system_lines)
    return "WITH " + ", ".join(f"part_{number} AS ({part})" for number, part in enumerate(parts)) + entries


SAVE = {
    (references, lots, holds): save_statement(references=references, lots=lots, holds=holds)
    for references in (False, True)
    for lots in (False, True)
    for holds in (False, True)
}


async def save(connection: AsyncConnection, books: Books, recorded_at: datetime) -> None:
    """Write everything the batch booked, by one statement."""
    if books.booked:
        statement, arguments = saving(books, recorded_at)
        await fetch(connection, statement, *arguments)


def saving(books: Books, recorded_at: datetime) -> tuple[str, list[str]]:
    """The statement that writes what the batch booked, and its columns."""
    booked = books.booked.values()
    references = any(posted.ends or posted.reverses for posted in booked)
    lots, moves = _lot_columns(books, booked)
    holds = _hold_columns(books, booked)
    columns = [*_account_columns(books, booked), *_transaction_columns(booked, recorded_at, references=references)]
    columns += [*lots, *moves, *holds, *_line_columns(booked)]
    return SAVE[references, bool(moves), bool(holds)], columns


def _columns(spec: str, rows: Sequence[tuple[Any, ...]]) -> list[str]:
    """Rows as columns, each the text of an array; no columns at all where there are no rows."""
    kinds = [column.split()[0] for column in spec.split(", ")]
    return [_ARRAY_TEXT[kind](column) for kind, column in zip(kinds, zip(*rows, strict=True), strict=False)]


def _account_columns(books: Books, booked: Iterable[Posted]) -> list[str]:
    changed = {line.account for posted in booked for line in posted.lines}
    accounts = [books.accounts[account_id] for account_id in sorted(changed)]
    return _columns(_ACCOUNTS, [(a.id, a.balance, a.held, a.in_lots, a.floor, a.version, a.owed) for a in accounts])


def _transaction_columns(booked: Iterable[Posted], recorded_at: datetime, *, references: bool) -> list[str]:
    rows = [
        (
            posted.source,
            posted.kind,
            posted.asset,
            posted.occurred_at,
            recorded_at,
            posted.metadata,
        )
        for posted in booked
    ]
    if not references:
        return _columns(_TRANSACTIONS, rows)
    more = [(posted.ends, posted.reverses, posted.reversed_before, posted.reversed_amount) for posted in booked]
    return _columns(_TRANSACTIONS_WITH_REFERENCES, [(*row, *other) for row, other in zip(rows, more, strict=True)])


def _line_columns(booked: Iterable[Posted]) -> list[str]:
    lines: list[tuple[object, ...]] = []
    system_lines: list[tuple[object, ...]] = []
    for source, _, _, occurred_at, of_accounts, of_system, *_ in booked:
        for number, (account, amount, held_change, version, balance, held, floor, _) in enumerate(of_accounts):
            lines.append((source, number, account, amount, occurred_at, held_change, version, balance, held, floor))
        for number, (account, amount) in enumerate(of_system, start=len(of_accounts)):
            system_lines.append((source, number, account, amount, occurred_at))
    return _columns(_LINES, lines) + (_columns(_SYSTEM_LINES, system_lines) or ["{}"] * 5)


def _lot_columns(books: Books, booked: Iterable[Posted]) -> tuple[list[str], list[str]]:
    moves = [
        (line.account, line.account_version, move.lot, move.amount)
        for posted in booked
        for line in posted.lines
        for move in line.moves
    ]
    changed = sorted({(account_id, lot) for account_id, _, lot, _ in moves})
    lots = [(account_id, books.accounts[account_id].lots[lot]) for account_id, lot in changed]
    rows = [(a, lot.version, lot.granted, lot.remaining, *lot.terms, lot.expired) for a, lot in lots]
    return _columns(_LOTS, rows), _columns(_MOVES, moves)


def _hold_columns(books: Books, booked: Iterable[Posted]) -> list[str]:
    changed: dict[str, Hold] = {}
    for posted in booked:
        for line in posted.lines:
            if line.held_change:
                hold = books.accounts[line.account].holds[posted.ends or HoldId(posted.source)]
                changed[hold.id] = hold
    return _columns(_HOLDS, [hold[:6] for hold in changed.values()])
