"""Runs from start to publication: cut-offs handed on, revisions, who waits for whom, and what is told."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, timedelta
from functools import partial

import pytest
from chassis.work import Transaction, Work
from scoring.domain.history import CustomerId, PurchaseDay
from scoring.domain.run import CustomerNotScored, NoRunPublished, Run, RunId, RunNotFound, StartRun
from scoring.use_cases import (
    Policy,
    find_run,
    get_current_run,
    get_score,
    get_scores,
    publish_run,
    record_purchases,
    start_run,
)
from sqlalchemy import text

from services.scoring.tests.factories import AS_OF, UNTIL, as_arrived, drawn_purchases

POLICY = Policy(UTC, 1000)
DAYS = drawn_purchases(150, seed=2)


async def arrive(work: Work, days: Sequence[PurchaseDay], *, currency: str = "CNY") -> None:
    """Purchases arrive, all at once."""
    purchases = [as_arrived(day, currency=currency) for day in days]
    await work.run(partial(record_purchases, purchases=purchases, policy=POLICY))


async def start(work: Work, *, weeks_earlier: int = 0, currency: str = "") -> Run:
    """A run as of the usual instant, or some weeks before."""
    wish = StartRun(AS_OF - timedelta(weeks=weeks_earlier), 0, None, currency)
    return await work.run(partial(start_run, wish=wish, policy=POLICY))


async def publish(work: Work, run: Run) -> Run:
    """Publishes a run."""
    return await work.run(partial(publish_run, run_id=run.run_id))


async def told(work: Work) -> dict[str, int]:
    """How many events of each sort wait in the outbox or have left it."""
    async with work.reading() as connection:
        rows = await connection.execute(text("SELECT event_type, count(*) FROM outbox GROUP BY event_type"))
        return {event_type.rpartition(".")[2]: count for event_type, count in rows}


async def test_a_run_counts_only_once_it_is_published(work: Work) -> None:
    await arrive(work, DAYS)
    run = await start(work)
    async with work.reading() as connection:
        with pytest.raises(NoRunPublished):
            await get_score(connection, DAYS[0].customer_id)
    assert await told(work) == {}
    published = await publish(work, run)
    assert (published.revision, published.current) == (1, True)
    assert await told(work) == {"RunPublished": 1, "CustomerScored": 150}
    async with work.reading() as connection:
        assert await get_current_run(connection) == published
        assert (await get_score(connection, DAYS[0].customer_id)).run == published
        with pytest.raises(CustomerNotScored):
            await get_score(connection, CustomerId("nobody"))


async def test_publishing_again_tells_nothing_and_an_earlier_run_can_come_back(work: Work) -> None:
    await arrive(work, DAYS)
    first, second = await start(work, weeks_earlier=4), await start(work)
    await publish(work, first)
    await publish(work, first)
    assert await told(work) == {"RunPublished": 1, "CustomerScored": first.figures.customers}
    assert (await publish(work, second)).revision == 2
    assert (await publish(work, first)).revision == 3
    async with work.reading() as connection:
        assert (await get_current_run(connection)).run_id == first.run_id
        replaced = await find_run(connection, second.run_id)
    assert (replaced.revision, replaced.current) == (2, False)


async def test_publications_at_once_get_numbers_of_their_own(work: Work) -> None:
    await arrive(work, DAYS)
    runs = [await start(work, weeks_earlier=weeks) for weeks in range(4)]
    published = await asyncio.gather(*(publish(work, run) for run in runs))
    assert sorted(run.revision for run in published) == [1, 2, 3, 4]
    async with work.reading() as connection:
        assert (await get_current_run(connection)).revision == 4


async def test_bands_keep_the_bounds_of_the_run_that_counts(work: Work) -> None:
    await arrive(work, DAYS)
    reference = await start(work, weeks_earlier=8)
    other = await start(work)
    await publish(work, reference)
    later = await start(work)
    assert reference.figures.cutoffs is not None
    assert other.figures.cutoffs != reference.figures.cutoffs
    assert later.figures.cutoffs == reference.figures.cutoffs
    await arrive(work, DAYS, currency="USD")
    dollars = await start(work, currency="USD")
    assert dollars.figures.cutoffs == other.figures.cutoffs


async def test_what_arrives_late_is_in_the_next_run_and_not_in_the_last(work: Work) -> None:
    await arrive(work, DAYS)
    before = await start(work)
    await arrive(work, [PurchaseDay(DAYS[0].customer_id, UNTIL, 1, 0), PurchaseDay(CustomerId("new"), UNTIL, 1, 700)])
    after = await start(work)
    assert (after.figures.customers, after.figures.purchases) == (151, before.figures.purchases + 2)
    await publish(work, before)
    async with work.reading() as connection:
        assert await get_scores(connection, [CustomerId("new")]) == []
    await publish(work, after)
    async with work.reading() as connection:
        (scored,) = await get_scores(connection, [CustomerId("new"), CustomerId("nobody")])
    assert scored.score.summary.total_minor == 700


async def test_equal_purchases_make_equal_scores(work: Work) -> None:
    await arrive(work, DAYS)
    one, two = await start(work), await start(work)
    assert one.run_id != two.run_id
    assert one.figures == two.figures
    query = "SELECT count(DISTINCT (to_jsonb(s) - 'run_id')), count(*) FROM scores s"
    async with work.reading() as connection:
        distinct, rows = (await connection.execute(text(query))).one()
    assert (distinct, rows) == (150, 300)


async def test_a_run_that_does_not_exist_is_not_published(work: Work) -> None:
    async def act(transaction: Transaction) -> Run:
        return await publish_run(transaction, RunId("none"))

    with pytest.raises(RunNotFound):
        await work.run(act)
