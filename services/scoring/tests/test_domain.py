"""The rules around the models: histories, ranks, bands, reasons, terms, and a whole run on drawn purchases."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from chassis.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st
from scoring.domain.band import BandCutoffs, ValueBand, draw_cutoffs
from scoring.domain.history import CustomerId, PurchaseDay, gather_histories, merge_days, summarise
from scoring.domain.rank import rank
from scoring.domain.reason import ReasonCode, Standing, reasons_for
from scoring.domain.run import NothingToScore, SeveralCurrencies, StartRun, agree_terms, last_day_before
from scoring.domain.scoring import ScoredRun, score_customers

from services.scoring.tests.factories import AS_OF, UNTIL, a_summary, drawn_purchases, purchases, terms

SHANGHAI = ZoneInfo("Asia/Shanghai")


def bought(day: str, amount_minor: int, *, customer: str = "ann") -> PurchaseDay:
    """One purchase."""
    return PurchaseDay(CustomerId(customer), date.fromisoformat(day), 1, amount_minor)


def test_a_day_is_one_purchase_and_the_first_is_no_repeat() -> None:
    lines = [bought("2026-01-01", 500), bought("2026-01-01", 700), bought("2026-01-15", 0), bought("2026-02-05", 301)]
    (history,) = gather_histories(lines, date(2026, 2, 12))
    summary = summarise(history, date(2026, 2, 12))
    assert (history.purchases, history.purchase_days) == (4, 3)
    assert (summary.repeats, summary.recency_days, summary.age_days, summary.silent_days) == (2, 35, 42, 7)
    assert (summary.repeat_minor, summary.total_minor, summary.repeat_mean_minor) == (301, 1501, 150)


def test_what_was_bought_later_is_not_known_yet() -> None:
    lines = [bought("2026-01-01", 500), bought("2026-01-03", 900), bought("2026-01-02", 1, customer="bob")]
    assert [history.customer_id for history in gather_histories(lines, date(2026, 1, 1))] == ["ann"]
    assert [history.purchase_days for history in gather_histories(lines, date(2026, 1, 3))] == [2, 1]


@given(purchases, st.randoms(use_true_random=False))
def test_histories_do_not_depend_on_the_order_of_purchases(lines: list[PurchaseDay], shuffle: random.Random) -> None:
    before = gather_histories(lines, UNTIL)
    shuffle.shuffle(lines)
    assert gather_histories(lines, UNTIL) == before


@given(purchases, purchases)
def test_merging_in_parts_is_merging_at_once(some: list[PurchaseDay], others: list[PurchaseDay]) -> None:
    assert merge_days(merge_days(some) + merge_days(others)) == merge_days(some + others)


@given(purchases)
def test_histories_lose_neither_purchases_nor_money(lines: list[PurchaseDay]) -> None:
    known = [line for line in lines if line.day <= UNTIL]
    histories = gather_histories(lines, UNTIL)
    assert sum(history.total_minor for history in histories) == sum(line.amount_minor for line in known)
    assert sum(history.purchases for history in histories) == sum(line.purchases for line in known)
    for history in histories:
        summary = summarise(history, UNTIL)
        assert 0 <= summary.repeats <= summary.recency_days <= summary.age_days
        assert (summary.repeats == 0) == (summary.recency_days == 0)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=60))
def test_equal_values_share_a_rank_and_higher_values_a_higher_one(values: list[int]) -> None:
    ranks = rank(values)
    columns = zip(ranks.percentiles(), ranks.quintiles(), ranks.deciles(), strict=True)
    rows = sorted(zip(values, columns, strict=True), key=lambda row: row[0])
    for (low, (percent, quintile, decile)), (high, (percent2, quintile2, decile2)) in pairwise(rows):
        assert (percent == percent2) == (low == high)
        assert percent <= percent2
        assert quintile <= quintile2
        assert decile >= decile2
    assert all(0 < percent < 100 and 1 <= fifth <= 5 and 1 <= tenth <= 10 for _, (percent, fifth, tenth) in rows)


def test_ten_different_values_fill_every_fifth_and_tenth() -> None:
    ranks = rank([30, 10, 20, 40, 50, 60, 70, 80, 100, 90])
    assert ranks.quintiles().tolist() == [2, 1, 1, 2, 3, 3, 4, 4, 5, 5]
    assert ranks.deciles().tolist() == [8, 10, 9, 7, 6, 5, 4, 3, 1, 2]
    assert rank([7, 7, 7]).percentiles().tolist() == [50, 50, 50]


def test_bands_begin_at_their_cutoffs() -> None:
    cutoffs = draw_cutoffs([value * 100 for value in range(1, 11)])
    assert cutoffs == BandCutoffs(a_minor=900, b_minor=600, c_minor=300)
    assert [cutoffs.band(value) for value in (900, 899, 600, 300, 299)] == list("ABBCD")
    assert {draw_cutoffs([5]).band(5), draw_cutoffs([5, 5, 5]).band(5)} == {ValueBand.A}


@given(st.lists(st.integers(0, 1000), min_size=5, max_size=200, unique=True))
def test_drawn_cutoffs_keep_the_reference_shares(values: list[int]) -> None:
    bands = [draw_cutoffs(values).band(value) for value in values]
    in_a = bands.count(ValueBand.A)
    in_a_to_c = len(bands) - bands.count(ValueBand.D)
    assert in_a - 1 < len(values) * 0.2 <= in_a
    assert in_a_to_c - 1 < len(values) * 0.8 <= in_a_to_c


def test_reasons_say_the_strongest_first() -> None:
    lapsed = Standing(a_summary(5, 50, 300), p_alive=0.02, recency_percent=10, frequency_percent=80, spend_percent=60)
    assert [reason.text for reason in reasons_for(lapsed)] == [
        "Probably gone: 2 % chance of still being active",
        "Has not bought for 35 weeks",
        "Came back on 5 days, more than 80 % of customers",
    ]
    best = Standing(
        a_summary(9, 290, 300), p_alive=0.99, recency_percent=60, frequency_percent=99.9, spend_percent=99.8
    )
    assert [reason.text for reason in reasons_for(best)][:2] == [
        "Came back on 9 days, more than 99 % of customers",
        "Spent more in all than 99 % of customers",
    ]
    new = Standing(a_summary(0, 0, 1), p_alive=1.0, recency_percent=99, frequency_percent=30, spend_percent=40)
    assert [reason.code for reason in reasons_for(new)] == [
        ReasonCode.NEW_CUSTOMER,
        ReasonCode.BOUGHT_RECENTLY,
        ReasonCode.BOUGHT_ONCE,
    ]


def test_midnight_belongs_to_the_day_it_ends() -> None:
    assert last_day_before(datetime(1997, 10, 1, tzinfo=UTC), UTC) == date(1997, 9, 30)
    assert last_day_before(datetime(1997, 9, 30, 23, 59, 59, tzinfo=UTC), UTC) == date(1997, 9, 30)
    assert last_day_before(datetime(1997, 9, 30, 16, 0, 1, tzinfo=UTC), SHANGHAI) == date(1997, 10, 1)


def wish(*, horizon_weeks: int = 0, currency: str = "") -> StartRun:
    """A wish for a run at the usual instant."""
    return StartRun(AS_OF, horizon_weeks, AS_OF - timedelta(days=100), currency)


def test_terms_fill_in_what_the_wish_leaves_open() -> None:
    agreed = agree_terms(wish(), ["CNY"], 1000, UTC)
    assert (agreed.currency, agreed.horizon_weeks, agreed.until) == ("CNY", 39, UNTIL)
    assert agreed.first_purchase_until == UNTIL - timedelta(days=100)
    assert agree_terms(wish(currency="USD", horizon_weeks=520), ["CNY", "USD"], 1000, UTC).currency == "USD"


@pytest.mark.parametrize("horizon_weeks", [-1, 521])
def test_a_horizon_out_of_range_is_refused_by_name(horizon_weeks: int) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        agree_terms(wish(horizon_weeks=horizon_weeks), ["CNY"], 1000, UTC)
    assert [violation.field for violation in refusal.value.violations] == ["horizon_weeks"]


def test_the_currency_is_never_guessed() -> None:
    with pytest.raises(SeveralCurrencies):
        agree_terms(wish(), ["CNY", "USD"], 1000, UTC)
    with pytest.raises(NothingToScore):
        agree_terms(wish(), [], 1000, UTC)
    with pytest.raises(InvalidArgument) as refusal:
        agree_terms(wish(currency="EUR"), ["CNY"], 1000, UTC)
    assert refusal.value.violations[0].field == "currency"


@pytest.fixture(scope="module")
def drawn() -> list[PurchaseDay]:
    """Purchases of 400 customers who behave as the models suppose."""
    return drawn_purchases(400, seed=7)


def scored(lines: Sequence[PurchaseDay], *, reference: BandCutoffs | None = None) -> ScoredRun:
    """A run over `lines` at the usual terms."""
    return score_customers(terms(), gather_histories(lines, UNTIL), reference=reference)


def test_a_run_scores_everybody_once_best_first(drawn: list[PurchaseDay]) -> None:
    run = scored(drawn)
    values = [score.lifetime_value_minor for score in run.scores]
    assert run.figures.note == ""
    assert run.figures.purchases == len(drawn)
    assert [score.position for score in run.scores] == list(range(1, run.figures.customers + 1))
    assert len({score.summary.customer_id for score in run.scores}) == run.figures.customers == 400
    assert values == sorted(values, key=lambda value: -(value or 0))
    assert sum(score.band == ValueBand.A for score in run.scores) == 80
    assert all(len(score.reasons) == 3 for score in run.scores)


def test_the_fits_find_the_parameters_that_purchases_were_drawn_from() -> None:
    figures = scored(drawn_purchases(4000, seed=11)).figures
    assert figures.bg_nbd is not None
    assert figures.gamma_gamma is not None
    found = figures.bg_nbd.parameters
    # Same-day purchases merge, which hides some; the means are what the draw fixes best.
    assert found.r / found.alpha == pytest.approx(0.9 / 6, rel=0.15)
    assert found.a / (found.a + found.b) == pytest.approx(0.8 / 3.3, rel=0.15)
    mean = (
        figures.gamma_gamma.parameters.p * figures.gamma_gamma.parameters.gamma / (figures.gamma_gamma.parameters.q - 1)
    )
    assert mean == pytest.approx(100, rel=0.1)


def test_only_who_came_back_and_probably_left_counts_as_lapsed(drawn: list[PurchaseDay]) -> None:
    run = scored(drawn)
    lapsed = {score.summary.customer_id for score in run.scores if score.lapsed}
    assert lapsed
    for score in run.scores:
        gone = score.p_alive is not None and score.p_alive < 0.5
        assert (score.summary.customer_id in lapsed) == (gone and score.summary.repeats > 0)


def test_a_run_does_not_depend_on_the_order_of_histories(drawn: list[PurchaseDay]) -> None:
    histories = gather_histories(drawn, UNTIL)
    assert score_customers(terms(), histories[::-1], reference=None) == scored(drawn)


def test_handed_on_cutoffs_are_kept(drawn: list[PurchaseDay]) -> None:
    reference = BandCutoffs(10**9, 10**8, 0)
    run = scored(drawn, reference=reference)
    assert run.figures.cutoffs == reference
    assert {score.band for score in run.scores} == {ValueBand.C}


def test_too_few_purchases_still_rank_and_say_what_is_missing() -> None:
    run = scored([bought("2026-05-01", 500), bought("2026-06-01", 100, customer="bob")])
    assert (run.figures.bg_nbd, run.figures.gamma_gamma, run.figures.cutoffs) == (None, None, None)
    assert "TOO_FEW_REPEAT_CUSTOMERS" in run.figures.note
    assert [(score.summary.customer_id, score.recency_quintile, score.monetary_quintile) for score in run.scores] == [
        ("ann", 2, 4),
        ("bob", 4, 2),
    ]
    first = run.scores[0]
    assert (first.p_alive, first.lifetime_value_minor, first.band, first.decile) == (None, None, None, None)
    assert not first.lapsed


def test_amounts_of_nothing_leave_the_money_out_and_keep_the_rest(drawn: list[PurchaseDay]) -> None:
    run = scored([PurchaseDay(each.customer_id, each.day, 1, 0) for each in drawn])
    assert run.figures.bg_nbd is not None
    assert run.figures.gamma_gamma is None
    assert all(score.p_alive is not None and score.lifetime_value_minor is None for score in run.scores)


def test_nobody_to_score_is_refused() -> None:
    with pytest.raises(NothingToScore):
        scored([])
