"""From histories to scores: fit, estimate, rank, band, explain. Pure, deterministic, and independent of row order."""

from collections.abc import Sequence
from dataclasses import dataclass

from chassis.errors import Refusal

from scoring.domain.band import BandCutoffs, draw_cutoffs
from scoring.domain.bgnbd import BgNbdFit, expected_purchases, fit_bgnbd, probability_alive
from scoring.domain.currency import minor_units_per_major
from scoring.domain.fit import DegenerateFit, TooFewRepeatCustomers
from scoring.domain.gamma_gamma import GammaGammaFit, expected_spend_minor, fit_gamma_gamma
from scoring.domain.history import CustomerHistory, Floats, Groups, Integers, Summary, summarise
from scoring.domain.lifetime import discounted_purchases
from scoring.domain.rank import rank
from scoring.domain.reason import Standing, reasons_for
from scoring.domain.run import NothingToScore, RunFigures, RunTerms, Score

# A customer who came back before and is less likely than this to be active counts as lapsed.
LAPSED_BELOW = 0.5


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """The outcome of a run before it is stored: the figures, and a score for every customer, best first."""

    figures: RunFigures
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class Fits:
    """The two fits, each None where the data do not carry it, and why."""

    bg_nbd: BgNbdFit | None
    gamma_gamma: GammaGammaFit | None
    note: str


@dataclass(frozen=True, slots=True)
class Estimates:
    """What the fits say of each summary, row for row; None where a fit is missing."""

    p_alive: Floats | None
    expected: Floats | None
    values_minor: tuple[int, ...] | None


def score_customers(
    terms: RunTerms, histories: Sequence[CustomerHistory], *, reference: BandCutoffs | None
) -> ScoredRun:
    """Scores everybody whose history is given; raises `NothingToScore` when that is nobody.

    `reference` are the cut-offs in force; without any, this run draws its own from its own values. A fit that fails
    leaves its part of the scores empty and says so in the note: the rest of the run is worth having.
    """
    if not histories:
        raise NothingToScore("nobody had bought anything before as_of", as_of=terms.as_of.isoformat())
    summaries = sorted((summarise(each, terms.until) for each in histories), key=lambda summary: summary.customer_id)
    groups = Groups.of(summaries)
    fits = fit_models(summaries, groups, terms.currency)
    estimates = estimate(terms, fits, summaries, groups)
    cutoffs = reference
    if cutoffs is None and estimates.values_minor is not None:
        cutoffs = draw_cutoffs(estimates.values_minor)
    figures = RunFigures(
        customers=len(summaries),
        purchases=sum(history.purchases for history in histories),
        bg_nbd=fits.bg_nbd,
        gamma_gamma=fits.gamma_gamma,
        cutoffs=cutoffs,
        note=fits.note,
    )
    return ScoredRun(figures, _scores(summaries, estimates, cutoffs))


def fit_models(summaries: Sequence[Summary], groups: Groups, currency: str) -> Fits:
    """Both fits, each on its own: the purchases may tell how often without telling how much."""
    notes: list[str] = []
    bg_nbd: BgNbdFit | None = None
    gamma_gamma: GammaGammaFit | None = None
    try:
        bg_nbd = fit_bgnbd(groups)
    except (TooFewRepeatCustomers, DegenerateFit) as refusal:
        notes.append(_note("purchases", refusal))
    try:
        gamma_gamma = fit_gamma_gamma(summaries, minor_units_per_major(currency))
    except (TooFewRepeatCustomers, DegenerateFit) as refusal:
        notes.append(_note("amounts", refusal))
    return Fits(bg_nbd, gamma_gamma, "; ".join(notes))


def _note(what: str, refusal: Refusal) -> str:
    return f"no fit of {what} ({refusal.reason}): {refusal.message}"


def estimate(terms: RunTerms, fits: Fits, summaries: Sequence[Summary], groups: Groups) -> Estimates:
    """What can be said of each summary; computed once per group of equal customers and read back per customer."""
    if fits.bg_nbd is None:
        return Estimates(None, None, None)
    model, population = fits.bg_nbd.parameters, groups.population
    p_alive = probability_alive(model, population)[groups.group_of]
    expected = expected_purchases(model, population, terms.horizon_weeks)[groups.group_of]
    if fits.gamma_gamma is None:
        return Estimates(p_alive, expected, None)
    discounted = discounted_purchases(model, population, terms.value_terms)[groups.group_of]
    spend_minor = expected_spend_minor(fits.gamma_gamma.parameters, summaries, minor_units_per_major(terms.currency))
    return Estimates(p_alive, expected, tuple(round(float(each)) for each in discounted * spend_minor))


@dataclass(frozen=True, slots=True)
class _Column:
    """One measure's ranks, cut once for all rows."""

    percentiles: Floats
    quintiles: Integers
    deciles: Integers

    @classmethod
    def of(cls, values: Sequence[int]) -> "_Column":
        ranks = rank(values)
        return cls(ranks.percentiles(), ranks.quintiles(), ranks.deciles())


@dataclass(frozen=True, slots=True)
class _Table:
    """Everything known of all customers, row for row; a score is one row of it."""

    summaries: Sequence[Summary]
    estimates: Estimates
    cutoffs: BandCutoffs | None
    recency: _Column
    frequency: _Column
    monetary: _Column
    value: _Column | None


def _scores(summaries: Sequence[Summary], estimates: Estimates, cutoffs: BandCutoffs | None) -> tuple[Score, ...]:
    """The scores, best first: by value, then by what was spent so far, then by customer, so that no place is shared."""
    values = estimates.values_minor
    table = _Table(
        summaries=summaries,
        estimates=estimates,
        cutoffs=cutoffs,
        recency=_Column.of([-summary.silent_days for summary in summaries]),
        frequency=_Column.of([summary.repeats for summary in summaries]),
        monetary=_Column.of([summary.total_minor for summary in summaries]),
        value=_Column.of(values) if values is not None else None,
    )

    def best_first(row: int) -> tuple[int, int, int]:
        return (-values[row] if values is not None else 0, -summaries[row].total_minor, row)

    order = sorted(range(len(summaries)), key=best_first)
    return tuple(_score(table, row, position) for position, row in enumerate(order, start=1))


def _score(table: _Table, row: int, position: int) -> Score:
    summary, estimates = table.summaries[row], table.estimates
    p_alive = float(estimates.p_alive[row]) if estimates.p_alive is not None else None
    value_minor = estimates.values_minor[row] if estimates.values_minor is not None else None
    return Score(
        summary=summary,
        position=position,
        p_alive=p_alive,
        expected_purchases=float(estimates.expected[row]) if estimates.expected is not None else None,
        lifetime_value_minor=value_minor,
        recency_quintile=int(table.recency.quintiles[row]),
        frequency_quintile=int(table.frequency.quintiles[row]),
        monetary_quintile=int(table.monetary.quintiles[row]),
        percentile=float(table.value.percentiles[row]) if table.value else None,
        decile=int(table.value.deciles[row]) if table.value else None,
        band=table.cutoffs.band(value_minor) if table.cutoffs and value_minor is not None else None,
        lapsed=summary.repeats > 0 and p_alive is not None and p_alive < LAPSED_BELOW,
        reasons=tuple(reason.text for reason in reasons_for(_standing(table, row, p_alive))),
    )


def _standing(table: _Table, row: int, p_alive: float | None) -> Standing:
    return Standing(
        summary=table.summaries[row],
        p_alive=p_alive,
        recency_percent=float(table.recency.percentiles[row]),
        frequency_percent=float(table.frequency.percentiles[row]),
        spend_percent=float(table.monetary.percentiles[row]),
    )
