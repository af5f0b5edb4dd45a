"""What scoring does: take purchases in, compute a run, publish it, and show what it found.

A use case loads, decides, saves and tells within the transaction it is given; it never ends one.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo

from chassis.ids import new_id
from chassis.paging import Page
from chassis.work import Transaction

from scoring.domain.band import BandCutoffs, ValueBand
from scoring.domain.history import CustomerId, Purchase, PurchaseDay, merge_days
from scoring.domain.run import (
    MODEL_VERSION,
    CustomerNotScored,
    CustomerScored,
    NoRunPublished,
    Run,
    RunId,
    RunNotFound,
    RunPublished,
    RunTerms,
    ScoredCustomer,
    StartRun,
    agree_terms,
    business_day,
)
from scoring.domain.scoring import score_customers
from scoring.store import Connection
from scoring.store import purchases as purchase_store
from scoring.store import runs as run_store
from scoring.store import scores as score_store


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator has settled for every run: whose days are business days, and what waiting costs."""

    zone: tzinfo
    annual_discount_bps: int


async def record_purchases(transaction: Transaction, purchases: Sequence[Purchase], policy: Policy) -> None:
    """Adds purchases to their customers' business days. Each counts, one of nothing too, in whatever order."""
    by_currency: dict[str, list[PurchaseDay]] = defaultdict(list)
    for each in purchases:
        day = business_day(each.occurred_at, policy.zone)
        by_currency[each.amount.currency].append(PurchaseDay(each.customer_id, day, 1, each.amount.minor_units))
    for currency in sorted(by_currency):
        await purchase_store.add_purchase_days(
            transaction.connection, currency, merge_days(by_currency[currency]), transaction.recorded_at
        )


async def start_run(transaction: Transaction, wish: StartRun, policy: Policy) -> Run:
    """Computes a run on what had arrived and happened before `as_of`, and stores it, unpublished.

    The computing is done in a thread: it takes seconds for a million customers, and other requests go on meanwhile.
    """
    connection = transaction.connection
    currencies = await purchase_store.load_currencies(connection)
    terms = agree_terms(wish, currencies, policy.annual_discount_bps, policy.zone)
    histories = await purchase_store.load_histories(connection, terms)
    reference = await _cutoffs_in_force(connection, terms)
    await run_store.allow_long_thinking(connection)
    outcome = await asyncio.to_thread(score_customers, terms, histories, reference=reference)
    run = Run(
        run_id=RunId(new_id()),
        terms=terms,
        figures=outcome.figures,
        model_version=MODEL_VERSION,
        recorded_at=transaction.recorded_at,
        revision=0,
        current=False,
    )
    await run_store.save_run(connection, run)
    await score_store.save_scores(connection, run.run_id, outcome.scores)
    return run


async def _cutoffs_in_force(connection: Connection, terms: RunTerms) -> BandCutoffs | None:
    """The bounds of the run that counts, unless its money is another."""
    current = await run_store.load_current_run(connection)
    return current.figures.cutoffs if current and current.terms.currency == terms.currency else None


async def publish_run(transaction: Transaction, run_id: RunId) -> Run:
    """Makes a run the one that counts and tells every score of it; an earlier run may be published again.

    Publishing the run that counts already changes and tells nothing. Raises `RunNotFound`.
    """
    connection = transaction.connection
    before = await run_store.load_current_for_update(connection)
    run = await get_run(connection, run_id)
    if before.run_id == run_id:
        return run
    chosen = run_store.CurrentRun(run_id, before.revision + 1)
    await run_store.save_publication(connection, chosen, transaction.recorded_at)
    published = replace(run, revision=chosen.revision, current=True)
    transaction.emit(RunPublished(published, occurred_at=run.terms.as_of))
    async for scores in score_store.walk_scores(connection, run_id):
        for score in scores:
            scored = ScoredCustomer(published, score)
            transaction.emit(CustomerScored(scored, occurred_at=run.terms.as_of, revision=chosen.revision))
    return published


async def get_run(connection: Connection, run_id: RunId) -> Run:
    """A run by its identity; raises `RunNotFound`."""
    run = await run_store.load_run(connection, run_id)
    if run is None:
        raise RunNotFound(f"no run {run_id}", run_id=run_id)
    return run


async def get_current_run(connection: Connection) -> Run:
    """The run that counts; raises `NoRunPublished`."""
    run = await run_store.load_current_run(connection)
    if run is None:
        raise NoRunPublished("no run has been published yet")
    return run


async def find_run(connection: Connection, run_id: RunId | None) -> Run:
    """The run named, or the one that counts when none is; raises `RunNotFound` or `NoRunPublished`."""
    return await (get_current_run(connection) if run_id is None else get_run(connection, run_id))


async def list_runs(connection: Connection, page: Page) -> list[Run]:
    """Runs, newest first, one more than the page holds where there are more."""
    return await run_store.list_runs(connection, page)


async def get_score(connection: Connection, customer_id: CustomerId) -> ScoredCustomer:
    """A customer's score in the run that counts; raises `NoRunPublished` or `CustomerNotScored`."""
    run = await get_current_run(connection)
    found = await score_store.load_scores(connection, run.run_id, [customer_id])
    if customer_id not in found:
        raise CustomerNotScored(f"customer {customer_id} has no score", customer_id=customer_id)
    return ScoredCustomer(run, found[customer_id])


async def get_scores(connection: Connection, customer_ids: Sequence[CustomerId]) -> list[ScoredCustomer]:
    """The scores of those customers who have one in the run that counts; raises `NoRunPublished`."""
    run = await get_current_run(connection)
    found = await score_store.load_scores(connection, run.run_id, customer_ids)
    return [ScoredCustomer(run, found[each]) for each in customer_ids if each in found]


async def list_scores(
    connection: Connection, run_id: RunId | None, band: ValueBand | None, page: Page
) -> list[ScoredCustomer]:
    """Scores of a run, of the one that counts unless another is named, best first; one more where there are more."""
    run = await find_run(connection, run_id)
    scores = await score_store.list_scores(connection, run.run_id, band, page)
    return [ScoredCustomer(run, score) for score in scores]
