"""The database itself: it is what the code says it is, and keeps what must not change."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from campaign.catalogue import ready_made
from campaign.store import METADATA
from campaign.use_cases.live import LiveRules
from campaign.use_cases.matching import take_facts
from chassis.database import async_url
from chassis.testing import Database
from chassis.work import Work
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from services.campaign.tests.factories import launched, plan, top_up


async def test_the_migrations_make_the_declared_tables(campaign_database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        found = compare_metadata(MigrationContext.configure(connection), METADATA)
        return [each for each in found if "alembic_version" not in str(each)]

    engine = create_async_engine(async_url(campaign_database.owner_url))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


@pytest.mark.parametrize("table", ["customer_events", "decisions", "campaign_versions"])
@pytest.mark.parametrize("change", ["UPDATE {} SET recorded_at = recorded_at", "DELETE FROM {}"])
async def test_what_happened_stays(work: Work, table: str, change: str) -> None:
    live = LiveRules(ready_made())
    await launched(work, live, plan())
    await work.run(lambda t: take_facts(t, live, [top_up()]))
    with pytest.raises(DBAPIError, match=r"append-only|permission denied"):
        await work.run(lambda t: t.connection.execute(text(change.format(table))))
