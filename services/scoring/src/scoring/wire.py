"""Between protobuf and the domain: requests into commands, runs, scores and facts into messages."""

from collections.abc import Callable, Sequence
from typing import Any

from chassis import times
from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.money import Money, check_currency
from google.protobuf.message import Message
from touchstone.billing.v1 import billing_events_pb2
from touchstone.scoring.v1 import scoring_events_pb2, scoring_pb2, scoring_service_pb2

from scoring.domain.band import BandCutoffs, ValueBand
from scoring.domain.bgnbd import BgNbdFit
from scoring.domain.gamma_gamma import GammaGammaFit
from scoring.domain.history import DAYS_PER_WEEK, CustomerId, Purchase
from scoring.domain.run import CustomerScored, Run, RunId, RunPublished, ScoredCustomer, StartRun

CUSTOMERS_PER_BATCH = 1000


def purchase_from_charge(charge: billing_events_pb2.AccountCharged) -> Purchase:
    """A charge as a purchase; InvalidArgument names what cannot be one: no customer, a negative amount, no time."""
    amount = Money(charge.amount.minor_units, charge.amount.currency).not_negative("amount")
    customer_id = customer_id_from_proto(charge.customer_id)
    return Purchase(customer_id, amount, times.from_proto(charge.occurred_at, "occurred_at"))


def start_run_from_proto(request: scoring_service_pb2.StartRunRequest) -> StartRun:
    """The wish for a run; what is left empty is left to the terms."""
    first_before = request.first_purchase_before
    return StartRun(
        as_of=times.from_proto(request.as_of, "as_of"),
        horizon_weeks=request.horizon_weeks,
        first_purchase_before=times.from_proto(first_before, "first_purchase_before")
        if request.HasField("first_purchase_before")
        else None,
        currency=check_currency("currency", request.currency) if request.currency else "",
    )


def run_id_from_proto(run_id: str) -> RunId:
    """A run's identity, which must be given."""
    return RunId(check_id("run_id", run_id))


def customer_id_from_proto(customer_id: str) -> CustomerId:
    """A customer's identity, which must be given."""
    return CustomerId(check_id("customer_id", customer_id))


def customer_ids_from_proto(customer_ids: Sequence[str]) -> list[CustomerId]:
    """The customers of a batch; InvalidArgument names the one that cannot be, or the number when it is too large."""
    if len(customer_ids) > CUSTOMERS_PER_BATCH:
        raise InvalidArgument("customer_ids", f"must name at most {CUSTOMERS_PER_BATCH} customers")
    return [CustomerId(check_id(f"customer_ids[{index}]", each)) for index, each in enumerate(customer_ids)]


def band_from_proto(band: str) -> ValueBand | None:
    """The band asked for, None for all."""
    if not band:
        return None
    if band not in set(ValueBand):
        raise InvalidArgument("band", "must be A, B, C or D, or empty for all")
    return ValueBand(band)


def run_to_proto(run: Run) -> scoring_pb2.Run:
    """A run with its figures."""
    terms, figures = run.terms, run.figures
    before = terms.first_purchase_before
    return scoring_pb2.Run(
        run_id=run.run_id,
        as_of=times.to_proto(terms.as_of),
        horizon_weeks=terms.horizon_weeks,
        customers=figures.customers,
        purchases=figures.purchases,
        bg_nbd=_bg_nbd_to_proto(figures.bg_nbd),
        gamma_gamma=_gamma_gamma_to_proto(figures.gamma_gamma),
        state=scoring_pb2.RUN_STATE_PUBLISHED if run.revision else scoring_pb2.RUN_STATE_COMPLETED,
        recorded_at=times.to_proto(run.recorded_at),
        currency=terms.currency,
        note=figures.note,
        band_cutoffs=_cutoffs_to_proto(figures.cutoffs),
        annual_discount_bps=terms.annual_discount_bps,
        revision=run.revision,
        first_purchase_before=times.to_proto(before) if before else None,
        model_version=run.model_version,
        current=run.current,
    )


def _bg_nbd_to_proto(fit: BgNbdFit | None) -> scoring_pb2.BgNbdFit | None:
    if fit is None:
        return None
    found = fit.parameters
    return scoring_pb2.BgNbdFit(
        r=found.r,
        alpha=found.alpha,
        a=found.a,
        b=found.b,
        log_likelihood=fit.log_likelihood,
        customers=fit.customers,
        repeat_customers=fit.repeat_customers,
    )


def _gamma_gamma_to_proto(fit: GammaGammaFit | None) -> scoring_pb2.GammaGammaFit | None:
    if fit is None:
        return None
    found = fit.parameters
    return scoring_pb2.GammaGammaFit(
        p=found.p, q=found.q, gamma=found.gamma, log_likelihood=fit.log_likelihood, customers=fit.customers
    )


def _cutoffs_to_proto(cutoffs: BandCutoffs | None) -> scoring_pb2.BandCutoffs | None:
    if cutoffs is None:
        return None
    return scoring_pb2.BandCutoffs(a_minor=cutoffs.a_minor, b_minor=cutoffs.b_minor, c_minor=cutoffs.c_minor)


def score_to_proto(scored: ScoredCustomer) -> scoring_pb2.Score:
    """A score with what it needs of its run; what has no estimate stays unset."""
    run, score = scored.run, scored.score
    summary = score.summary
    return scoring_pb2.Score(
        customer_id=summary.customer_id,
        run_id=run.run_id,
        as_of=times.to_proto(run.terms.as_of),
        frequency=summary.repeats,
        recency_weeks=summary.recency_days / DAYS_PER_WEEK,
        age_weeks=summary.age_days / DAYS_PER_WEEK,
        monetary_minor=summary.repeat_mean_minor,
        total_minor=summary.total_minor,
        p_alive=score.p_alive,
        expected_purchases=score.expected_purchases,
        lifetime_value_minor=score.lifetime_value_minor,
        recency_quintile=score.recency_quintile,
        frequency_quintile=score.frequency_quintile,
        monetary_quintile=score.monetary_quintile,
        decile=score.decile or 0,
        band=score.band or "",
        lapsed=score.lapsed,
        reasons=score.reasons,
        currency=run.terms.currency,
        percentile=score.percentile,
    )


def run_published_to_proto(fact: RunPublished) -> scoring_events_pb2.RunPublished:
    """The event of a publication."""
    return scoring_events_pb2.RunPublished(run=run_to_proto(fact.run), occurred_at=times.to_proto(fact.occurred_at))


def customer_scored_to_proto(fact: CustomerScored) -> scoring_events_pb2.CustomerScored:
    """The event of one customer's new score."""
    return scoring_events_pb2.CustomerScored(
        score=score_to_proto(fact.scored), occurred_at=times.to_proto(fact.occurred_at), revision=fact.revision
    )


FACTS: dict[type[Any], Callable[[Any], Message]] = {
    RunPublished: run_published_to_proto,
    CustomerScored: customer_scored_to_proto,
}
