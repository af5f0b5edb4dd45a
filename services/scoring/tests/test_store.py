"""The tables: what purchases add up to, what a run reads of them, what comes back as it went in, what never changes."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, timedelta
from functools import partial

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from chassis.errors import InvalidArgument
from chassis.paging import Page
from chassis.work import Transaction, Work
from scoring.domain.band import ValueBand
from scoring.domain.history import CustomerHistory, CustomerId, PurchaseDay, gather_histories
from scoring.domain.run import Run, RunId, RunTerms, Score
from scoring.domain.scoring import ScoredRun, score_customers
from scoring.store import METADATA
from scoring.store.purchases import load_currencies, load_histories
from scoring.store.runs import list_runs, load_current_run, load_run, save_run
from scoring.store.scores import list_scores, load_scores, save_scores, walk_scores
from scoring.use_cases import Policy, record_purchases
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from services.scoring.tests.factories import RECORDED_AT, UNTIL, as_arrived, drawn_purchases, terms

POLICY = Policy(UTC, 1000)


async def arrive(work: Work, days: Sequence[PurchaseDay], *, currency: str = "CNY", at_once: int = 97) -> None:
    """Purchases arrive in batches, as events do."""
    purchases = [as_arrived(day, currency=currency) for day in days]
    for start in range(0, len(purchases), at_once):
        await work.run(partial(record_purchases, purchases=purchases[start : start + at_once], policy=POLICY))


async def histories(work: Work, wanted: RunTerms) -> list[CustomerHistory]:
    """What a run of these terms would read, by customer."""
    async with work.reading() as connection:
        return sorted(await load_histories(connection, wanted), key=lambda history: history.customer_id)


async def test_the_migrations_make_the_tables_that_are_declared(work: Work) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), METADATA))

    async with work.reading() as connection:
        assert await connection.run_sync(differences) == []


async def test_the_database_adds_up_what_the_domain_adds_up(work: Work) -> None:
    days = drawn_purchases(60, seed=3)
    days += [replace(day, amount_minor=0) for day in days[::7]]
    random.Random(5).shuffle(days)
    await arrive(work, days)
    for until in (UNTIL, UNTIL - timedelta(days=90)):
        assert await histories(work, terms(until=until)) == gather_histories(days, until)


async def test_a_run_sees_only_its_currency_and_the_customers_it_asks_for(work: Work) -> None:
    late = PurchaseDay(CustomerId("late"), UNTIL, 1, 100)
    early = PurchaseDay(CustomerId("early"), UNTIL - timedelta(days=10), 1, 200)
    await arrive(work, [late, early, replace(early, day=UNTIL)])
    await arrive(work, [early], currency="USD")
    async with work.reading() as connection:
        assert sorted(await load_currencies(connection)) == ["CNY", "USD"]
    cohort = terms(first_purchase_until=UNTIL - timedelta(days=1))
    assert [(each.customer_id, each.purchase_days) for each in await histories(work, cohort)] == [("early", 2)]
    dollars = await histories(work, terms(currency="USD"))
    assert [(each.customer_id, each.total_minor) for each in dollars] == [("early", 200)]


def a_run(run_id: str, outcome: ScoredRun) -> Run:
    """A run of an outcome at the usual terms."""
    return Run(RunId(run_id), terms(), outcome.figures, "model-1", RECORDED_AT, revision=0, current=False)


async def save(work: Work, run: Run, scores: Sequence[Score]) -> None:
    """Stores a run and its scores."""

    async def act(transaction: Transaction) -> None:
        await save_run(transaction.connection, run)
        await save_scores(transaction.connection, run.run_id, scores)

    await work.run(act)


@pytest.mark.parametrize("customers", [3, 300])
async def test_a_run_comes_back_as_it_went_in(work: Work, customers: int) -> None:
    """Three customers make a run without fits, three hundred one with both."""
    outcome = score_customers(terms(), gather_histories(drawn_purchases(customers, seed=1), UNTIL), reference=None)
    run = a_run("run-1", outcome)
    await save(work, run, outcome.scores)
    assert (run.figures.bg_nbd is None) == (customers == 3)
    async with work.reading() as connection:
        assert await load_run(connection, run.run_id) == run
        assert await load_current_run(connection) is None
        walked = [score async for scores in walk_scores(connection, run.run_id) for score in scores]
        wanted = [outcome.scores[0].summary.customer_id, CustomerId("nobody")]
        found = await load_scores(connection, run.run_id, wanted)
    assert tuple(walked) == outcome.scores
    assert found == {wanted[0]: outcome.scores[0]}


async def test_pages_of_scores_meet_without_gap(work: Work) -> None:
    outcome = score_customers(terms(), gather_histories(drawn_purchases(200, seed=1), UNTIL), reference=None)
    await save(work, a_run("run-1", outcome), outcome.scores)
    async with work.reading() as connection:
        listed = await list_scores(connection, RunId("run-1"), ValueBand.B, Page(30, None))
        while more := await list_scores(connection, RunId("run-1"), ValueBand.B, Page(30, str(listed[-1].position))):
            listed += more
        with pytest.raises(InvalidArgument, match="page_token"):
            await list_scores(connection, RunId("run-1"), None, Page(30, "first"))
    assert listed == [score for score in outcome.scores if score.band == ValueBand.B]


async def test_runs_are_listed_newest_first(work: Work) -> None:
    outcome = score_customers(terms(), gather_histories(drawn_purchases(3, seed=1), UNTIL), reference=None)
    for run_id in ("run-1", "run-2", "run-3"):
        await save(work, a_run(run_id, outcome), outcome.scores)
    async with work.reading() as connection:
        first = await list_runs(connection, Page(1, None))
        rest = await list_runs(connection, Page(5, first[0].run_id))
    assert [run.run_id for run in first] == ["run-3", "run-2"]
    assert [run.run_id for run in rest] == ["run-2", "run-1"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runs SET note = 'better'",
        "DELETE FROM scores",
        "UPDATE scores SET p_alive = 1",
        "DELETE FROM publications",
    ],
)
async def test_what_a_run_found_is_never_changed(work: Work, statement: str) -> None:
    outcome = score_customers(terms(), gather_histories(drawn_purchases(3, seed=1), UNTIL), reference=None)
    await save(work, a_run("run-1", outcome), outcome.scores)

    async def act(transaction: Transaction) -> None:
        await transaction.connection.execute(text(statement))

    with pytest.raises(DBAPIError, match="permission denied"):
        await work.run(act)
