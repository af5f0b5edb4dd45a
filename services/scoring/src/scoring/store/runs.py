"""Runs, their publications, and the one row that says which run counts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.paging import Page
from sqlalchemy import Row, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.domain.band import BandCutoffs
from scoring.domain.bgnbd import BgNbd, BgNbdFit
from scoring.domain.gamma_gamma import GammaGamma, GammaGammaFit
from scoring.domain.run import Run, RunFigures, RunId, RunTerms
from scoring.store.tables import CURRENT_RUN, PUBLICATIONS, RUNS

_REVISION = (
    select(func.max(PUBLICATIONS.c.revision)).where(PUBLICATIONS.c.run_id == RUNS.c.run_id).scalar_subquery()
).label("revision")
_CURRENT = (
    select(func.count()).select_from(CURRENT_RUN).where(CURRENT_RUN.c.run_id == RUNS.c.run_id).scalar_subquery()
).label("current")
_SELECT = select(RUNS, _REVISION, _CURRENT)
_PATIENCE = text("SELECT set_config('idle_in_transaction_session_timeout', '900000', true)")


@dataclass(frozen=True, slots=True)
class CurrentRun:
    """Which run counts, None before the first publication, and the number of the last publication."""

    run_id: RunId | None
    revision: int


async def allow_long_thinking(connection: AsyncConnection) -> None:
    """Lets this transaction alone sit idle for 15 minutes: a fit over millions of customers takes its time."""
    await connection.execute(_PATIENCE)


async def save_run(connection: AsyncConnection, run: Run) -> None:
    """Adds a run; it is never changed."""
    terms, figures = run.terms, run.figures
    await connection.execute(
        insert(RUNS),
        {
            "run_id": run.run_id,
            "as_of": terms.as_of,
            "until_day": terms.until,
            "first_purchase_before": terms.first_purchase_before,
            "first_purchase_until_day": terms.first_purchase_until,
            "horizon_weeks": terms.horizon_weeks,
            "annual_discount_bps": terms.annual_discount_bps,
            "currency": terms.currency,
            "customers": figures.customers,
            "purchases": figures.purchases,
            "note": figures.note,
            "model_version": run.model_version,
            "recorded_at": run.recorded_at,
            **_bg_nbd_columns(figures.bg_nbd),
            **_gamma_gamma_columns(figures.gamma_gamma),
            **_cutoff_columns(figures.cutoffs),
        },
    )


async def load_run(connection: AsyncConnection, run_id: RunId) -> Run | None:
    """A run by its identity."""
    row = (await connection.execute(_SELECT.where(RUNS.c.run_id == run_id))).one_or_none()
    return None if row is None else _run(row)


async def load_current_run(connection: AsyncConnection) -> Run | None:
    """The run that counts, None before the first publication."""
    chosen = select(CURRENT_RUN.c.run_id).scalar_subquery()
    row = (await connection.execute(_SELECT.where(RUNS.c.run_id == chosen))).one_or_none()
    return None if row is None else _run(row)


async def list_runs(connection: AsyncConnection, page: Page) -> list[Run]:
    """Runs, newest first, as their identities sort; one more than the page holds where there are more."""
    query = _SELECT.order_by(RUNS.c.run_id.desc()).limit(page.wanted)
    if page.after is not None:
        query = query.where(RUNS.c.run_id < page.after)
    return [_run(row) for row in await connection.execute(query)]


async def load_current_for_update(connection: AsyncConnection) -> CurrentRun:
    """Which run counts, held until the transaction ends, so that publications get their numbers one after another."""
    query = select(CURRENT_RUN.c.run_id, CURRENT_RUN.c.revision).with_for_update()
    row = (await connection.execute(query)).one()
    return CurrentRun(row.run_id, row.revision)


async def save_publication(connection: AsyncConnection, chosen: CurrentRun, recorded_at: datetime) -> None:
    """Switches to a run and keeps that it was switched to."""
    values = {"run_id": chosen.run_id, "revision": chosen.revision}
    await connection.execute(insert(PUBLICATIONS), {**values, "recorded_at": recorded_at})
    await connection.execute(update(CURRENT_RUN).values(values))


def _bg_nbd_columns(fit: BgNbdFit | None) -> dict[str, Any]:
    if fit is None:
        return {}
    return {
        "bg_r": fit.parameters.r,
        "bg_alpha": fit.parameters.alpha,
        "bg_a": fit.parameters.a,
        "bg_b": fit.parameters.b,
        "bg_log_likelihood": fit.log_likelihood,
        "bg_customers": fit.customers,
        "bg_repeat_customers": fit.repeat_customers,
        "bg_iterations": fit.iterations,
    }


def _gamma_gamma_columns(fit: GammaGammaFit | None) -> dict[str, Any]:
    if fit is None:
        return {}
    return {
        "gg_p": fit.parameters.p,
        "gg_q": fit.parameters.q,
        "gg_gamma": fit.parameters.gamma,
        "gg_log_likelihood": fit.log_likelihood,
        "gg_customers": fit.customers,
        "gg_iterations": fit.iterations,
    }


def _cutoff_columns(cutoffs: BandCutoffs | None) -> dict[str, Any]:
    if cutoffs is None:
        return {}
    return {
        "cutoff_a_minor": cutoffs.a_minor,
        "cutoff_b_minor": cutoffs.b_minor,
        "cutoff_c_minor": cutoffs.c_minor,
    }


def _run(row: Row[Any]) -> Run:
    return Run(
        run_id=RunId(row.run_id),
        terms=RunTerms(
            as_of=row.as_of,
            until=row.until_day,
            first_purchase_before=row.first_purchase_before,
            first_purchase_until=row.first_purchase_until_day,
            horizon_weeks=row.horizon_weeks,
            annual_discount_bps=row.annual_discount_bps,
            currency=row.currency,
        ),
        figures=RunFigures(
            customers=row.customers,
            purchases=row.purchases,
            bg_nbd=_bg_nbd_fit(row),
            gamma_gamma=_gamma_gamma_fit(row),
            cutoffs=_cutoffs(row),
            note=row.note,
        ),
        model_version=row.model_version,
        recorded_at=row.recorded_at,
        revision=row.revision or 0,
        current=bool(row.current),
    )


def _bg_nbd_fit(row: Row[Any]) -> BgNbdFit | None:
    if row.bg_r is None:
        return None
    return BgNbdFit(
        parameters=BgNbd(row.bg_r, row.bg_alpha, row.bg_a, row.bg_b),
        log_likelihood=row.bg_log_likelihood,
        customers=row.bg_customers,
        repeat_customers=row.bg_repeat_customers,
        iterations=row.bg_iterations,
    )


def _gamma_gamma_fit(row: Row[Any]) -> GammaGammaFit | None:
    if row.gg_p is None:
        return None
    return GammaGammaFit(
        parameters=GammaGamma(row.gg_p, row.gg_q, row.gg_gamma),
        log_likelihood=row.gg_log_likelihood,
        customers=row.gg_customers,
        iterations=row.gg_iterations,
    )


def _cutoffs(row: Row[Any]) -> BandCutoffs | None:
    if row.cutoff_a_minor is None:
        return None
    return BandCutoffs(row.cutoff_a_minor, row.cutoff_b_minor, row.cutoff_c_minor)
