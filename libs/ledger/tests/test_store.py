"""The ledger on a real PostgreSQL: races, the record's protection, balances over time, the proof."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import asyncpg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from chassis.errors import InvalidArgument, Refusal
from ledger import (
    APPEND_ONLY,
    AccountId,
    AccountNotFound,
    AlreadyReversed,
    AnyCommand,
    Asset,
    AssetMismatch,
    Entry,
    HoldEnded,
    HoldExpired,
    HoldNotFound,
    InsufficientBalance,
    Ledger,
    NewAccount,
    Post,
    Posted,
    Shortfall,
    Source,
    SourceReused,
    let_accounts_owe,
)
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from .factories import (
    ANNA,
    BEN,
    ISSUED,
    NOW,
    POINTS,
    add,
    confirm,
    day,
    draw,
    earn,
    hold,
    open_accounts,
    pass_on,
    post,
    release,
    reverse,
    set_floor,
    spend,
)


@pytest.fixture(autouse=True)
async def accounts(engine: AsyncEngine, ledger: Ledger) -> None:
    async with engine.begin() as connection:
        await open_accounts(ledger, connection, ANNA, BEN)


async def balance(ledger: Ledger, engine: AsyncEngine, on: float = 999, account: AccountId = ANNA) -> tuple[int, int]:
    async with engine.connect() as connection:
        found = await ledger.balance(connection, account, day(on))
    return found.balance, found.held


async def assert_proven(ledger: Ledger, engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        proof = await ledger.prove(connection)
    assert proof.holds, proof.broken


async def all_at_once(ledger: Ledger, engine: AsyncEngine, commands: Sequence[AnyCommand]) -> list[Posted | Refusal]:
    """Each command in a transaction of its own, all started together."""
    outcomes = await asyncio.gather(*(post(ledger, engine, command) for command in commands))
    return [outcome for (outcome,) in outcomes]


def kinds(outcomes: Sequence[Posted | Refusal]) -> Counter[type]:
    return Counter(type(outcome) for outcome in outcomes)


async def test_a_balance_that_allows_ten_spends_allows_ten_of_sixty_four(engine: AsyncEngine, ledger: Ledger) -> None:
    await post(ledger, engine, earn("e", 100, expires=30))
    outcomes = await all_at_once(ledger, engine, [spend(f"s{n}", 10, on=1) for n in range(64)])
    assert kinds(outcomes) == {Posted: 10, InsufficientBalance: 54}
    assert await balance(ledger, engine, 2) == (0, 0)
    await assert_proven(ledger, engine)


async def test_concurrent_credits_of_lots_lose_none(engine: AsyncEngine, ledger: Ledger) -> None:
    outcomes = await all_at_once(ledger, engine, [earn(f"e{n}", 1, expires=30) for n in range(50)])
    lines = [outcome.lines[0] for outcome in outcomes if isinstance(outcome, Posted)]
    assert sorted(line.account_version for line in lines) == list(range(1, 51))
    assert all(line.balance_after == line.account_version for line in lines), "answers in order replay the account"
    await assert_proven(ledger, engine)


async def test_transfers_both_ways_do_not_deadlock(engine: AsyncEngine, ledger: Ledger) -> None:
    await post(ledger, engine, add("a", 1000), add("b", 1000, account=BEN))
    back = [
        Post(source=Source(f"b{n}"), kind="t", occurred_at=day(0), entries=(Entry(BEN, -1), Entry(ANNA, 1)))
        for n in range(25)
    ]
    commands = [command for n in range(25) for command in (pass_on(f"p{n}", 1), back[n])]
    assert kinds(await all_at_once(ledger, engine, commands)) == {Posted: 50}
    assert await balance(ledger, engine) == (1000, 0)
    await assert_proven(ledger, engine)


async def test_of_many_concurrent_reversals_one_wins(engine: AsyncEngine, ledger: Ledger) -> None:
    await post(ledger, engine, earn("e", 100, expires=30), spend("s", 40))
    outcomes = await all_at_once(ledger, engine, [reverse(f"r{n}", "s", on=1) for n in range(40)])
    assert kinds(outcomes) == {Posted: 1, AlreadyReversed: 39}
    await assert_proven(ledger, engine)


async def test_of_many_concurrent_captures_and_releases_one_wins(engine: AsyncEngine, ledger: Ledger) -> None:
    await post(ledger, engine, earn("e", 100, expires=30), hold("h", 40))
    ends: list[AnyCommand] = [confirm(f"c{n}", "h", on=1) for n in range(20)]
    ends += [release(f"r{n}", "h", on=1) for n in range(20)]
    assert kinds(await all_at_once(ledger, engine, ends)) == {Posted: 1, HoldEnded: 39}
    assert (await balance(ledger, engine, 2))[1] == 0
    await assert_proven(ledger, engine)


async def test_capture_and_expiry_at_one_instant_end_the_hold_once(engine: AsyncEngine, ledger: Ledger) -> None:
    await post(ledger, engine, earn("e", 100, expires=30), hold("h", 40, expires=5))

    async def expire() -> tuple[Posted, ...]:
        async with engine.begin() as connection:
            return (await ledger.expire_due(connection, day(5), recorded_at=NOW)).posted

    rounds = await asyncio.gather(*(expire() for _ in range(10)))
    outcomes = await all_at_once(ledger, engine, [confirm(f"c{n}", "h", on=5) for n in range(10)])
    assert kinds(outcomes) == {HoldExpired: 10}
    assert [posted.kind for found in rounds for posted in found] == ["hold_expiry"]
    assert await balance(ledger, engine, 5) == (100, 0)
    await assert_proven(ledger, engine)


async def test_burn_and_expiry_of_one_lot_have_one_winner(engine: AsyncEngine, ledger: Ledger) -> None:
    await post(ledger, engine, earn("e", 100, expires=5))

    async def expire() -> None:
        async with engine.begin() as connection:
            await ledger.expire_due(connection, day(5), recorded_at=NOW)

    late = [spend(f"s{n}", 100, on=4.5) for n in range(5)]
    spends = asyncio.create_task(all_at_once(ledger, engine, late))
    await asyncio.gather(*(expire() for _ in range(5)))
    assert kinds(await spends)[Posted] <= 1
    assert await balance(ledger, engine, 6) == (0, 0)
    await assert_proven(ledger, engine)


async def test_a_thousand_small_lots_are_redeemed_in_one_call(engine: AsyncEngine, ledger: Ledger) -> None:
    await post(ledger, engine, *(earn(f"e{n}", 3, expires=10 + n % 7) for n in range(1000)))
    (spent,) = await post(ledger, engine, spend("s", 2999, on=1))
    assert isinstance(spent, Posted)
    assert len(spent.lines[0].moves) == 1000
    assert await balance(ledger, engine, 2) == (1, 0)
    (undone,) = await post(ledger, engine, reverse("r", "s", on=2))
    assert isinstance(undone, Posted)
    await assert_proven(ledger, engine)


async def test_a_refused_item_in_the_middle_of_a_batch_changes_nothing(engine: AsyncEngine, ledger: Ledger) -> None:
    outcomes = await post(
        ledger, engine, earn("e", 10, expires=5), spend("s1", 11), hold("h", 4), confirm("c", "x"), reverse("r", "e", 5)
    )
    assert [type(outcome) for outcome in outcomes] == [Posted, InsufficientBalance, Posted, HoldNotFound, Posted]
    assert await balance(ledger, engine, 1) == (5, 4)
    outcomes = await post(ledger, engine, spend("s1", 1), earn("e", 10))
    assert [type(outcome) for outcome in outcomes] == [Posted, SourceReused], "a refused source is free, a used one not"
    await assert_proven(ledger, engine)


async def test_balances_are_right_for_the_past_and_the_future(engine: AsyncEngine, ledger: Ledger) -> None:
    await post(ledger, engine, earn("e1", 10, on=1, expires=10), earn("e2", 5, on=2, expires=20), add("a", 1, on=3))
    await post(ledger, engine, spend("s", 4, on=4))
    told = {0: 0, 1: 10, 2: 15, 3: 16, 4: 12, 9.999: 12, 10: 6, 20: 1, 500: 1}
    assert {on: (await balance(ledger, engine, on))[0] for on in told} == told
    async with engine.begin() as connection:
        await ledger.expire_due(connection, day(30), recorded_at=NOW)
    assert {on: (await balance(ledger, engine, on))[0] for on in told} == told, "booked or not, the answer is the same"


async def test_the_expiry_job_goes_on_where_it_stopped(engine: AsyncEngine, ledger: Ledger) -> None:
    names = [AccountId(f"points:{n}") for n in range(10)]
    async with engine.begin() as connection:
        await open_accounts(ledger, connection, *names)
    await post(ledger, engine, *(earn(f"e:{name}", 1, expires=5, account=name) for name in names))
    rounds = []
    for _ in range(4):
        async with engine.begin() as connection:
            rounds.append(await ledger.expire_due(connection, day(6), recorded_at=NOW, limit=4))
    assert [(len(each.posted), each.more) for each in rounds] == [(4, True), (4, True), (2, False), (0, False)]
    await assert_proven(ledger, engine)


async def test_entries_come_newest_first_by_pages(engine: AsyncEngine, ledger: Ledger) -> None:
    rule = Post(
        source=Source("s,{}\\\"'é"),
        kind="earn",
        occurred_at=day(1),
        entries=(Entry(ISSUED, -7), Entry(ANNA, 7)),
        metadata={"rule": 'gold "x"', "rate": 120},
    )
    await post(ledger, engine, *(add(f"a{n}", 1) for n in range(4)), rule)
    async with engine.connect() as connection:
        first = await ledger.entries(connection, ANNA, limit=2)
        second = await ledger.entries(connection, ANNA, before=first[-1].account_version, limit=10)
    assert [entry.account_version for entry in [*first, *second]] == [5, 4, 3, 2, 1]
    assert first[0].source == rule.source
    assert first[0].metadata == rule.metadata
    assert (first[0].occurred_at, first[0].recorded_at, first[0].balance_after) == (day(1), NOW, 11)


async def test_accounts_are_opened_once_and_keep_their_asset(engine: AsyncEngine, ledger: Ledger) -> None:
    await post(ledger, engine, add("a", 5))
    async with engine.begin() as connection:
        await open_accounts(ledger, connection, ANNA, "points:new")
        with pytest.raises(AssetMismatch):
            await ledger.open_accounts(connection, [NewAccount(ANNA, Asset("CNY"))], opened_at=day(0))
        with pytest.raises(InvalidArgument):
            await ledger.open_accounts(connection, [NewAccount(ISSUED, POINTS)], opened_at=day(0))
        with pytest.raises(AccountNotFound):
            await ledger.balance(connection, AccountId("points:nobody"), day(0))
    assert await balance(ledger, engine) == (5, 0)


async def test_a_rolled_back_transaction_leaves_nothing(engine: AsyncEngine, ledger: Ledger) -> None:
    async with engine.connect() as connection:
        await ledger.post_one(connection, add("a", 5), recorded_at=NOW)
        await connection.rollback()
    assert await balance(ledger, engine) == (0, 0)


async def test_one_source_in_two_concurrent_batches_is_booked_once(engine: AsyncEngine, ledger: Ledger) -> None:
    """The accounts differ, so no lock parts the two: the key on the source is the last resort."""
    results = await asyncio.gather(
        *(post(ledger, engine, add("same", 1, account=account)) for account in (ANNA, BEN) * 5), return_exceptions=True
    )
    done = [result for result in results if isinstance(result, list) and isinstance(result[0], Posted)]
    assert len(done) == 1
    assert all(isinstance(result, list | IntegrityError) for result in results)
    await assert_proven(ledger, engine)


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("change", ["UPDATE {} SET account_id = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_database_refuses_to_change_the_record(
    engine: AsyncEngine, ledger: Ledger, table: str, change: str
) -> None:
    await post(ledger, engine, earn("e", 5))
    columns = {"ledger_transactions": "source", "ledger_seals": "digest"}
    statement = change.format(table).replace("account_id", columns.get(table, "account_id"))
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError, match="append-only"):
            await connection.execute(text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_accounts SET balance = balance - 6 WHERE id = 'points:anna'",
        "UPDATE ledger_accounts SET held = 6 WHERE id = 'points:anna'",
        "UPDATE ledger_accounts SET owed = 1 WHERE id = 'points:anna'",
        "UPDATE ledger_lots SET remaining = 6",
        "UPDATE ledger_lots SET remaining = -1",
        "UPDATE ledger_lots SET expired = true",
        "INSERT INTO ledger_entries VALUES ('e', 5, 'points:anna', 0, 0, 1, 5, 0, 0, now())",
        "INSERT INTO ledger_entries VALUES ('x', 0, 'points:anna', 0, 0, 2, -1, 0, 0, now())",
        "INSERT INTO ledger_entries VALUES ('x', 0, 'issued', 1, NULL, NULL, NULL, NULL, NULL, now())",
        "INSERT INTO ledger_transactions SELECT * FROM ledger_transactions",
    ],
)
async def test_the_database_is_the_last_defence(engine: AsyncEngine, ledger: Ledger, statement: str) -> None:
    """Beyond the floor, more than granted, a version or a source twice, entries that do not sum to zero."""
    await post(ledger, engine, earn("e", 5))
    async with engine.connect() as connection:
        with pytest.raises(IntegrityError):
            await connection.execute(text(statement))


@pytest.mark.parametrize(
    ("tampering", "rule"),
    [
        ("UPDATE ledger_entries SET amount = 99 WHERE source = 'e1' AND amount > 0", "sum to zero"),
        ("UPDATE ledger_entries SET balance_after = balance_after + 1 WHERE source = 's'", "starts where the last"),
        ("UPDATE ledger_accounts SET balance = balance + 1", "sum of its entries"),
        ("UPDATE ledger_accounts SET version = version + 1", "newest step"),
        ("DELETE FROM ledger_entries WHERE source = 's'", "and entries a transaction"),
        ("DELETE FROM ledger_transactions WHERE source = 's'", "and entries a transaction"),
        ("UPDATE ledger_lots SET remaining = remaining - 1 WHERE account_version = 1", "sum of its moves"),
        ("UPDATE ledger_accounts SET in_lots = in_lots - 1 WHERE id = 'points:anna'", "has in lots"),
        ("UPDATE ledger_holds SET state = 'released' WHERE id = 'h2'", "open holds"),
        ("UPDATE ledger_holds SET state = 'released' WHERE id = 'h1'", "a hold ends once"),
        (
            "UPDATE ledger_transactions SET occurred_at = occurred_at + interval '60 days' WHERE source = 'c'",
            "or later",
        ),
        ("UPDATE ledger_lot_moves SET lot = 1 WHERE account_version = 3", "one before it in order"),
        ("UPDATE ledger_lots SET expired = false WHERE account_version = 2", "expiry is booked"),
        ("UPDATE ledger_transactions SET reversed_amount = 11 WHERE source = 'r'", "pass their original"),
    ],
)
async def test_the_proof_finds_what_was_tampered_with(
    engine: AsyncEngine, ledger: Ledger, tampering: str, rule: str
) -> None:
    await post(
        ledger,
        engine,
        earn("e1", 100),
        earn("e2", 5, expires=2),
        hold("h1", 3),
        hold("h2", 4, expires=50),
        spend("s", 10),
    )
    await post(ledger, engine, confirm("c", "h1", 2), reverse("r", "s", 4), add("late", 1, on=20))
    await assert_proven(ledger, engine)
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))  # triggers sleep
        await connection.execute(text(tampering))
        proof = await ledger.prove(connection)
    assert not proof.holds
    found = [check for check in proof.broken if rule in check.rule]
    assert found, proof.broken
    assert found[0].offenders


async def test_a_ledger_made_before_accounts_could_owe_learns_it(engine: AsyncEngine, ledger: Ledger) -> None:
    await post(ledger, engine, earn("e", 10, expires=30), spend("s", 4))
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE ledger_accounts DROP COLUMN owed"))
        await connection.execute(
            text("ALTER TABLE ledger_accounts ADD CONSTRAINT ledger_accounts_floor CHECK (balance - held >= floor)")
        )
        for _ in range(2):
            await connection.run_sync(lambda c: let_accounts_owe(Operations(MigrationContext.configure(c))))
    (undone,) = await post(ledger, engine, reverse("r", "e", on=1, shortfall=Shortfall.OWE, most_owed=9))
    assert isinstance(undone, Posted)
    assert await balance(ledger, engine, 1) == (-4, 0)
    await assert_proven(ledger, engine)


async def test_a_transfer_of_a_thousand_lots_keeps_the_term_of_each(engine: AsyncEngine, ledger: Ledger) -> None:
    await post(ledger, engine, *(earn(f"e{n}", 3, expires=10 + n / 100) for n in range(1000)))
    (moved,) = await post(ledger, engine, draw("d", [ANNA], on=1))
    assert isinstance(moved, Posted)
    async with engine.connect() as connection:
        lots = await ledger.lots(connection, BEN)
    assert [(lot.remaining, lot.expires_at) for lot in lots] == [(3, day(10 + n / 100)) for n in range(1000)]
    assert [await balance(ledger, engine, 15, account) for account in (ANNA, BEN)] == [(0, 0), (499 * 3, 0)]
    (undone,) = await post(ledger, engine, reverse("r", "d", on=2))
    assert isinstance(undone, Posted)
    assert [await balance(ledger, engine, 2, account) for account in (ANNA, BEN)] == [(3000, 0), (0, 0)]
    await assert_proven(ledger, engine)


async def test_a_floor_change_is_a_step_like_any_other(engine: AsyncEngine, ledger: Ledger) -> None:
    await post(ledger, engine, set_floor("f", -20), spend("s", 15))
    async with engine.connect() as connection:
        found = await ledger.balance(connection, ANNA, day(1))
    assert (found.balance, found.floor, found.available, found.account_version) == (-15, -20, -15, 2)
    await assert_proven(ledger, engine)


async def test_a_lock_lasts_to_the_end_of_the_callers_transaction(engine: AsyncEngine, ledger: Ledger) -> None:
    """Also when the ledger's is the transaction's first statement."""
    other = await asyncpg.connect(
        make_url(engine.url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    locked = "SELECT id FROM ledger_accounts WHERE id = 'points:anna' FOR UPDATE NOWAIT"
    async with engine.begin() as connection:
        await ledger.post(connection, [add("a", 1)], recorded_at=NOW)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await other.fetch(locked)
    assert len(await other.fetch(locked)) == 1
    await other.close()
