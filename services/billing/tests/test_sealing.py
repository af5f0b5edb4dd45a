"""Billing seals its books by itself, and its proof says where they were tampered with."""

from datetime import UTC, datetime

from billing.jobs import timed
from billing.use_cases.proof import prove
from chassis.database import async_url
from chassis.testing import Database
from chassis.timed import do_round
from chassis.work import Transaction, Work
from ledger import AccountId, Asset, Entry, Ledger, NewAccount, Post, Source
from ledger.store.proof import SEALS_HOLD
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.billing.tests.factories import CALENDAR

AT = datetime(2026, 1, 1, tzinfo=UTC)
BALANCE = AccountId("balance:a1")


async def recharge(transaction: Transaction) -> None:
    """Two recharges of an account, as the ledger has them."""
    ledger = Ledger(["recharge"])
    await ledger.open_accounts(transaction.connection, [NewAccount(BALANCE, Asset("CNY"))], opened_at=AT)
    entries = (Entry(AccountId("recharge"), -80_00), Entry(BALANCE, 80_00))
    posts = [Post(source=Source(name), kind="recharge", occurred_at=AT, entries=entries) for name in ("r1", "r2")]
    await ledger.post(transaction.connection, posts, recorded_at=transaction.recorded_at)


async def test_what_was_booked_is_sealed_and_an_edit_of_it_is_found(work: Work, fresh: Database) -> None:
    await work.run(recharge)
    (sealing,) = (each for each in timed(CALENDAR) if each.name == "seal the books")
    assert not await do_round(work, sealing), "one round seals all there is"
    owner = create_async_engine(async_url(fresh.owner_url))
    async with owner.begin() as connection:
        assert (await connection.execute(text("SELECT number, transactions FROM ledger_seals"))).all() == [(1, 2)]
        before = {check.claim: check.offenders for check in await prove(connection)}
        await connection.execute(text("ALTER TABLE ledger_transactions DISABLE TRIGGER USER"))
        await connection.execute(text("""UPDATE ledger_transactions SET metadata = '{"note": "nothing to see"}'"""))
        after = {check.claim: check.offenders for check in await prove(connection)}
    await owner.dispose()
    assert before[SEALS_HOLD] == ()
    assert after[SEALS_HOLD] == ("seal 1 of 2 transactions, 2 found",)
