"""The account machine, on the pure engine and through PostgreSQL."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from itertools import pairwise
from typing import TypeVar

import pytest
from chassis.errors import Refusal
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from ledger import AccountId, AnyCommand, Ledger, Posted
from ledger.domain.account import Account
from ledger.domain.engine import Books
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from .factories import ISSUED, NOW, POINTS, REDEEMED, day, open_accounts
from .machine import LedgerMachine

T = TypeVar("T")


class PureMachine(LedgerMachine):
    """The engine alone: one set of books for the whole game."""

    def __init__(self) -> None:
        super().__init__()
        system = frozenset([ISSUED, REDEEMED])
        self.books = Books(system, {name: Account(name, POINTS) for name in map(AccountId, self.accounts)})

    def carry_out(self, commands: list[AnyCommand]) -> list[Posted | Refusal]:
        return self.books.decide(commands)

    def settled(self, name: str, number: int) -> Account:
        account = AccountId(name)
        books = Books(self.books.system_accounts, {account: self.books.accounts[account].copy()})
        books.settle(account, day(number))
        return books.accounts[account]

    def balance_at(self, account: str, number: int) -> tuple[int, int]:
        then = self.settled(account, number)
        later = [
            line
            for posted in self.books.booked.values()
            if posted.occurred_at > day(number)
            for line in posted.lines
            if line.account == account
        ]
        balance = then.balance - sum(line.amount for line in later)
        return balance, then.held - sum(line.held_change for line in later)

    def open_lots(self, account: str) -> Counter[float]:
        lots = self.books.accounts[AccountId(account)].lots.values()
        return _by_expiry((lot.terms.expires_at, lot.remaining) for lot in lots)

    def expire_due(self) -> None:
        for account in self.accounts:
            self.books.settle(AccountId(account), day(self.now))

    def teardown(self) -> None:
        super().teardown()
        for account in self.accounts:
            lines = [line for posted in self.books.booked.values() for line in posted.lines if line.account == account]
            assert [line.account_version for line in lines] == list(range(1, len(lines) + 1))
            assert all(line.available_after >= line.floor for line in lines)
            for before, after in pairwise(lines):
                assert (before.balance_after, before.available_after) == (after.balance_before, after.available_before)
        for posted in self.books.booked.values():
            credited = sum(line.amount for line in posted.lines)
            assert credited + sum(line.amount for line in posted.system_lines) == 0


def _by_expiry(lots: Iterable[tuple[datetime | None, int]]) -> Counter[float]:
    counted: Counter[float] = Counter()
    for expires_at, remaining in lots:
        counted[expires_at.timestamp() if expires_at else float("inf")] += remaining
    return +counted


def test_engine_agrees_with_the_model() -> None:
    run_state_machine_as_test(PureMachine, settings=settings(max_examples=250, stateful_step_count=50))


@pytest.mark.soak
def test_engine_agrees_with_the_model_for_long() -> None:
    run_state_machine_as_test(PureMachine, settings=settings(max_examples=2000, stateful_step_count=50))


@pytest.fixture
def machine_on_postgres(engine: AsyncEngine) -> type[LedgerMachine]:
    """Every game plays on an account of its own, in one database, on a loop of its own."""
    address = make_url(engine.url.render_as_string(hide_password=False))
    games = iter(range(1_000_000))

    class PostgresMachine(LedgerMachine):
        def __init__(self) -> None:
            self.accounts = (f"points:{next(games)}-anna", f"points:{next(games)}-ben")
            super().__init__()
            self.ledger = Ledger([ISSUED, REDEEMED])
            self.runner = asyncio.Runner()
            self.engine = create_async_engine(address, pool_size=1)
            self.run(lambda connection: open_accounts(self.ledger, connection, *self.accounts))

        def run(self, act: Callable[[AsyncConnection], Awaitable[T]]) -> T:
            async def in_a_transaction() -> T:
                async with self.engine.begin() as connection:
                    return await act(connection)

            return self.runner.run(in_a_transaction())

        def carry_out(self, commands: list[AnyCommand]) -> list[Posted | Refusal]:
            return self.run(lambda c: self.ledger.post(c, commands, recorded_at=NOW))

        def balance_at(self, account: str, number: int) -> tuple[int, int]:
            return self.run(lambda c: self.ledger.balance(c, AccountId(account), day(number)))[2:4]

        def open_lots(self, account: str) -> Counter[float]:
            lots = self.run(lambda c: self.ledger.lots(c, AccountId(account)))
            return _by_expiry((lot.expires_at, lot.remaining) for lot in lots)

        def expire_due(self) -> None:
            self.run(lambda c: self.ledger.expire_due(c, day(self.now), recorded_at=NOW))

        def teardown(self) -> None:
            super().teardown()
            self.runner.run(self.engine.dispose())
            self.runner.close()

    return PostgresMachine


async def test_database_agrees_with_the_model(
    machine_on_postgres: type[LedgerMachine], engine: AsyncEngine, ledger: Ledger
) -> None:
    games = settings(max_examples=100, stateful_step_count=25)
    await asyncio.to_thread(run_state_machine_as_test, machine_on_postgres, settings=games)
    async with engine.connect() as connection:
        proof = await ledger.prove(connection)
    assert proof.holds, proof.broken
    assert proof.entries > 100
