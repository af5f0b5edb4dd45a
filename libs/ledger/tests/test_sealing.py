"""The chain of seals: nothing written is left out, and nothing sealed changes or vanishes unseen."""

import asyncio
import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from ledger import AnyCommand, Entry, Ledger, Post, Seal, Source, create_ledger_seals
from ledger.store.proof import SEALS_HOLD
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from .factories import ANNA, BEN, ISSUED, NOW, add, confirm, day, earn, hold, open_accounts, post, reverse, spend


@pytest.fixture(autouse=True)
async def accounts(engine: AsyncEngine, ledger: Ledger) -> None:
    async with engine.begin() as connection:
        await open_accounts(ledger, connection, ANNA, BEN)


async def seal(engine: AsyncEngine, ledger: Ledger, *, limit: int = 10_000) -> Seal | None:
    """A block, in a transaction of its own."""
    async with engine.begin() as connection:
        return await ledger.seal(connection, sealed_at=NOW, limit=limit)


async def seal_all(engine: AsyncEngine, ledger: Ledger, *, limit: int) -> list[Seal]:
    """Block after block until nothing is left."""
    seals = []
    while (found := await seal(engine, ledger, limit=limit)) is not None:
        seals.append(found)
    return seals


async def broken(engine: AsyncEngine, ledger: Ledger) -> tuple[str, ...]:
    """What the proof says of the seals."""
    async with engine.connect() as connection:
        proof = await ledger.prove(connection)
    (offenders,) = (check.offenders for check in proof.checks if check.rule == SEALS_HOLD)
    return offenders


async def rows(engine: AsyncEngine, statement: str) -> list[Any]:
    async with engine.connect() as connection:
        return list(await connection.execute(text(statement)))


async def as_owner(engine: AsyncEngine, *statements: str) -> None:
    """Who owns the database lets the triggers sleep."""
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            await connection.execute(text(statement))


async def play(engine: AsyncEngine, ledger: Ledger) -> None:
    """Something of everything, a transaction each."""
    rule = Post(
        source=Source("rule"),
        kind="earn",
        occurred_at=day(1),
        entries=(Entry(ISSUED, -7), Entry(ANNA, 7)),
        metadata={"rule": 'gold "x"\n', "rate": 120},
    )
    commands: list[AnyCommand] = [
        earn("e1", 100, expires=30),
        earn("e2", 5),
        rule,
        hold("h", 3, on=1),
        spend("s1", 10, on=1),
    ]
    commands += [confirm("c", "h", on=2), reverse("r", "s1", 4, on=2), spend("s2", 20, on=3), add("a", 1, on=3)]
    for command in commands:
        await post(ledger, engine, command)


async def test_blocks_hold_everything_once_and_in_turn(engine: AsyncEngine, ledger: Ledger) -> None:
    assert await seal(engine, ledger) is None
    await play(engine, ledger)
    seals = await seal_all(engine, ledger, limit=2)
    assert [(each.number, each.transactions) for each in seals] == [(1, 2), (2, 2), (3, 2), (4, 2), (5, 1)]
    (counted,) = await rows(engine, "SELECT count(*) FROM ledger_entries")
    assert sum(each.entries for each in seals) == counted[0]
    assert await broken(engine, ledger) == ()
    await post(ledger, engine, add("later", 1))
    later = await seal(engine, ledger)
    assert later is not None
    assert (later.number, later.transactions, later.entries) == (6, 1, 2)
    assert await broken(engine, ledger) == ()


def microseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=at.tzinfo)) // timedelta(microseconds=1)


async def test_a_digest_is_the_hash_of_what_the_record_says(engine: AsyncEngine, ledger: Ledger) -> None:
    """Made again here from the rows alone."""
    await post(ledger, engine, earn("e", 9, expires=30), spend("s", 4))
    sealed = await seal(engine, ledger)
    assert sealed is not None
    (writer,) = {row.written_by for row in await rows(engine, "SELECT written_by FROM ledger_transactions")}
    at, now = microseconds(day(0)), microseconds(NOW)
    lines = {
        "e": [[0, ANNA, 9, 0, 1, 9, 0, 0, at, "[1, 9]"], [1, ISSUED, -9, None, None, None, None, None, at, None]],
        "s": [[0, ANNA, -4, 0, 2, 5, 0, 0, at, "[1, -4]"], [1, "redeemed", 4, None, None, None, None, None, at, None]],
    }
    kinds = {"e": "earn", "s": "spend"}
    digests = []
    for source, of in lines.items():
        head = [source, kinds[source], "points", at, now, "{}", None, None, 0, 0, writer]
        digests.append(hashlib.sha256("\n".join(map(json.dumps, [head, *of])).encode()).digest())
    block = json.dumps([1, writer, 2, 4, now]).encode() + b"\n" + b"".join(sorted(digests))
    assert sealed.digest == hashlib.sha256(bytes(32) + block).digest()


@pytest.mark.parametrize(
    ("tampering", "found"),
    [
        ("UPDATE ledger_entries SET amount = amount + 1 WHERE source = 's1'", "seal 3 "),
        ("UPDATE ledger_entries SET account_id = 'x' WHERE source = 'e1' AND line = 0", "seal 1 "),
        (
            "UPDATE ledger_entries SET occurred_at = occurred_at + interval '1 microsecond' WHERE source = 'a'",
            "seal 5 ",
        ),
        ("UPDATE ledger_transactions SET metadata = '{}' WHERE source = 'rule'", "seal 2 "),
        ("UPDATE ledger_transactions SET recorded_at = now() WHERE source = 'c'", "seal 3 "),
        ("UPDATE ledger_transactions SET source = 'e0' WHERE source = 'e1'", "seal 1 "),
        ("UPDATE ledger_lot_moves SET amount = amount - 1 WHERE account_version = 2", "seal 1 "),
        ("DELETE FROM ledger_entries WHERE source = 's2' AND line = 1", "seal 4 "),
        ("DELETE FROM ledger_transactions WHERE source = 'e2'", "seal 1 "),
        ("DELETE FROM ledger_lot_moves WHERE account_version = 1", "seal 1 "),
        (
            """INSERT INTO ledger_entries (source, line, account_id, amount, occurred_at)
               SELECT source, 9, 'x', 0, occurred_at FROM ledger_transactions WHERE source = 'e1'""",
            "seal 1 ",
        ),
        (
            """INSERT INTO ledger_transactions (source, kind, asset, occurred_at, recorded_at, metadata, written_by)
               SELECT 'new', kind, asset, occurred_at, recorded_at, metadata, written_by
               FROM ledger_transactions WHERE source = 's1'""",
            "seal 3 ",
        ),
        (
            """UPDATE ledger_transactions SET written_by = (SELECT through FROM ledger_seals WHERE number = 1)
               WHERE source = 'rule'""",
            "seal 1 ",
        ),
        ("UPDATE ledger_seals SET digest = sha256(digest) WHERE number = 2", "seal 2 "),
        ("UPDATE ledger_seals SET previous = sha256(previous) WHERE number = 1", "seal 1 "),
        ("UPDATE ledger_seals SET sealed_at = sealed_at + interval '1 day' WHERE number = 3", "seal 3 "),
        ("UPDATE ledger_seals SET entries = entries - 1 WHERE number = 4", "seal 4 "),
        ("DELETE FROM ledger_seals WHERE number = 1", "seal 2 does not follow"),
        ("DELETE FROM ledger_seals WHERE number = 4", "seal 5 does not follow"),
    ],
)
async def test_the_proof_finds_the_first_block_that_does_not_fit(
    engine: AsyncEngine, ledger: Ledger, tampering: str, found: str
) -> None:
    await play(engine, ledger)
    await seal_all(engine, ledger, limit=2)
    assert await broken(engine, ledger) == ()
    await as_owner(engine, tampering)
    offenders = await broken(engine, ledger)
    assert offenders, "must be found"
    assert offenders[0].startswith(found), offenders


async def test_who_writes_late_is_waited_for(engine: AsyncEngine, ledger: Ledger) -> None:
    """Whoever began before a block's end and is still at work is in no block, and so is all that came after it."""
    await post(ledger, engine, add("before", 1))
    async with engine.connect() as late:
        await ledger.post(late, [add("late", 1, account=BEN)], recorded_at=NOW)
        await post(ledger, engine, add("after", 1))
        first = await seal(engine, ledger)
        assert await seal(engine, ledger) is None
        await late.commit()
    second = await seal(engine, ledger)
    assert first is not None
    assert second is not None
    assert (first.transactions, second.transactions) == (1, 2)
    assert await broken(engine, ledger) == ()


async def test_who_seals_does_not_seal_its_own(engine: AsyncEngine, ledger: Ledger) -> None:
    async with engine.begin() as connection:
        await ledger.post(connection, [add("own", 1)], recorded_at=NOW)
        assert await ledger.seal(connection, sealed_at=NOW) is None
    sealed = await seal(engine, ledger)
    assert sealed is not None
    assert sealed.transactions == 1


async def test_posting_goes_on_while_others_seal(engine: AsyncEngine, ledger: Ledger) -> None:
    posting = True

    async def keep_posting(writer: int) -> None:
        for number in range(40):
            async with engine.begin() as connection:
                account = (ANNA, BEN)[number % 2]
                await ledger.post(connection, [add(f"{writer}-{number}", 1, account=account)], recorded_at=NOW)
                await asyncio.sleep(0.001 * (writer % 3))

    async def keep_sealing() -> int:
        sealed = 0
        while posting:
            sealed += (found := await seal(engine, ledger, limit=7)) is not None
            await asyncio.sleep(0 if found else 0.001)
        return sealed

    sealers = [asyncio.create_task(keep_sealing()) for _ in range(2)]
    await asyncio.gather(*map(keep_posting, range(8)))
    posting = False
    meanwhile = sum(await asyncio.gather(*sealers))
    rest = await seal_all(engine, ledger, limit=7)
    ((seals, transactions),) = await rows(engine, "SELECT count(*), sum(transactions) FROM ledger_seals")
    assert seals == meanwhile + len(rest)
    assert meanwhile > 1
    assert transactions == 8 * 40
    assert await broken(engine, ledger) == ()


async def test_a_crash_loses_no_more_than_the_block_it_ends(engine: AsyncEngine, ledger: Ledger) -> None:
    await play(engine, ledger)
    await seal(engine, ledger, limit=3)
    async with engine.connect() as connection:
        doomed = await ledger.seal(connection, sealed_at=NOW, limit=3)
        me = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        await rows(engine, f"SELECT pg_terminate_backend({me})")
        with pytest.raises(DBAPIError):
            await connection.execute(text("SELECT"))
        await connection.invalidate()
    seals = await seal_all(engine, ledger, limit=3)
    assert doomed is not None
    assert [each.number for each in seals] == [2, 3]
    assert seals[0][:3] == doomed[:3]
    assert await broken(engine, ledger) == ()


async def test_no_setting_of_a_session_changes_a_digest(engine: AsyncEngine, ledger: Ledger) -> None:
    await play(engine, ledger)
    await seal_all(engine, ledger, limit=4)
    async with engine.connect() as connection:
        for setting in (
            "timezone = 'Asia/Shanghai'",
            "datestyle = 'German, DMY'",
            "extra_float_digits = -5",
            "bytea_output = 'escape'",
            "enable_seqscan = off",
        ):
            await connection.execute(text(f"SET LOCAL {setting}"))
        proof = await ledger.prove(connection)
    assert proof.holds, proof.broken


async def test_who_says_that_a_writer_to_come_wrote_it_is_found(engine: AsyncEngine, ledger: Ledger) -> None:
    await play(engine, ledger)
    await as_owner(engine, "UPDATE ledger_transactions SET written_by = written_by + 1000000 WHERE source = 'a'")
    async with engine.connect() as connection:
        proof = await ledger.prove(connection)
    assert [(check.rule[:14], check.offenders) for check in proof.broken] == [("nothing says t", ("a",))]


async def test_a_ledger_made_before_there_were_seals_learns_them(engine: AsyncEngine, ledger: Ledger) -> None:
    """What is there is sealed in portions, and what comes is sealed after it."""
    await post(ledger, engine, *(add(f"a{number}", 1) for number in range(2100)))
    await as_owner(engine, "DROP TABLE ledger_seals", "ALTER TABLE ledger_transactions DROP COLUMN written_by")
    async with engine.begin() as connection:
        for _ in range(2):
            await connection.run_sync(lambda c: create_ledger_seals(Operations(MigrationContext.configure(c))))
    await post(ledger, engine, spend("s", 4))
    seals = await seal_all(engine, ledger, limit=500)
    # Portions of 1, 1000, 1000 and 99, and what came after; a block ends with the portion that it reaches.
    assert [each.transactions for each in seals] == [1001, 1000, 99 + 1]
    assert await broken(engine, ledger) == ()
    with pytest.raises(DBAPIError, match="append-only"):
        await as_owner(engine, "RESET session_replication_role", "DELETE FROM ledger_seals")
