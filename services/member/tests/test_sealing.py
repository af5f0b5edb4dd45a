"""Member seals its books by itself, and its proof says where they were tampered with."""

from chassis.database import async_url
from chassis.embedded.databases import Database
from chassis.testing import Databases
from chassis.timed import do_round
from chassis.work import Work
from ledger.store.proof import SEALS_HOLD
from member.__main__ import PROCESS
from member.jobs import timed
from member.use_cases.proving import prove
from member.wire import FACTS
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.member.tests.factories import CALENDAR, RECORDED_AT, award, awarded, day, enrolled
from services.member.tests.steps import prove as assert_proven


async def seal(fresh: Database) -> None:
    """Points of two members, and a round of sealing with the service's login."""
    engine = create_async_engine(async_url(fresh.url))
    work = Work(engine, FACTS, now=lambda: RECORDED_AT)
    await enrolled(work, "c-1", "c-2")
    await awarded(work, *(award(10, at=day(1), customer_id=name) for name in ("c-1", "c-2")))
    (sealing,) = (each for each in timed(CALENDAR) if each.name == "seal the books")
    assert not await do_round(work, sealing), "one round seals all there is"
    await assert_proven(work)
    await engine.dispose()


async def test_what_was_booked_is_sealed_and_an_edit_of_it_is_found(database: Databases) -> None:
    fresh = await database(PROCESS)
    await seal(fresh)
    owner = create_async_engine(async_url(fresh.owner_url))
    async with owner.begin() as connection:
        assert (await connection.execute(text("SELECT number, transactions FROM ledger_seals"))).all() == [(1, 2)]
        await connection.execute(text("ALTER TABLE ledger_transactions DISABLE TRIGGER USER"))
        await connection.execute(text("""UPDATE ledger_transactions SET metadata = '{"rule": "gold"}'"""))
        broken = [check for check in await prove(connection) if not check.holds]
    await owner.dispose()
    assert [(check.claim, check.offenders) for check in broken] == [
        (f"points: {SEALS_HOLD}", ("seal 1 of 2 transactions, 2 found",)),
    ]
