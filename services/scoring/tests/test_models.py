"""The two models against the published CDNOW figures, against quadrature, and against what holds of any customer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import roots_jacobi
from scoring.domain import bgnbd, gamma_gamma
from scoring.domain.bgnbd import BgNbd, expected_purchases, fit_bgnbd, probability_alive
from scoring.domain.fit import DegenerateFit, TooFewRepeatCustomers
from scoring.domain.gamma_gamma import GammaGamma, RepeatSpend, expected_spend_minor, fit_gamma_gamma
from scoring.domain.history import Groups, Population, Summary, gather_histories, summarise
from scoring.domain.lifetime import ValueTerms, discounted_purchases

from services.scoring.tests.cdnow import CALIBRATION_END, HOLDOUT_WEEKS, sample
from services.scoring.tests.factories import a_summary, models, one_customer, positive, summaries


@pytest.fixture(scope="module")
def calibration() -> list[Summary]:
    """The sample's customers as they were known after 39 weeks."""
    return [summarise(history, CALIBRATION_END) for history in gather_histories(sample(), CALIBRATION_END)]


def test_the_sample_has_the_published_sizes(calibration: list[Summary]) -> None:
    assert len(calibration) == 2357
    assert sum(summary.repeats for summary in calibration) == 2457
    assert sum(summary.repeats > 0 for summary in calibration) == 946


def test_bgnbd_reaches_the_published_fit(calibration: list[Summary]) -> None:
    fit = fit_bgnbd(Groups.of(calibration))
    found = fit.parameters
    assert (found.r, found.alpha, found.a, found.b) == pytest.approx((0.243, 4.414, 0.793, 2.426), abs=0.002)
    assert fit.log_likelihood == pytest.approx(-9582.429, abs=0.01)
    assert (fit.customers, fit.repeat_customers) == (2357, 946)


def test_gamma_gamma_reaches_the_published_fit(calibration: list[Summary]) -> None:
    fit = fit_gamma_gamma(calibration, 100)
    found = fit.parameters
    assert (found.p, found.q, found.gamma) == pytest.approx((6.25, 3.74, 15.44), abs=0.02)
    assert fit.log_likelihood == pytest.approx(-4055.92, abs=0.01)
    assert fit.customers == 946
    spend = expected_spend_minor(found, calibration[:10], 100) / 100
    published = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    assert spend == pytest.approx(published, abs=0.01)


def test_the_published_customers_come_out(calibration: list[Summary]) -> None:
    model = fit_bgnbd(Groups.of(calibration)).parameters
    heavy = one_customer(26, 30.857, 31)
    assert expected_purchases(model, heavy, 52)[0] == pytest.approx(25.757, abs=0.001)
    assert probability_alive(model, heavy)[0] == pytest.approx(0.96885, abs=1e-5)
    assert expected_purchases(model, one_customer(2, 30.43, 38.86), 39)[0] == pytest.approx(1.2259, abs=1e-4)
    assert expected_purchases(model, one_customer(0, 0, 0), 52)[0] == pytest.approx(1.4440, abs=1e-4)


def test_the_holdout_is_predicted_as_published(calibration: list[Summary]) -> None:
    model = fit_bgnbd(Groups.of(calibration)).parameters
    expected = expected_purchases(model, Population.of(calibration), HOLDOUT_WEEKS)
    bins = np.minimum([summary.repeats for summary in calibration], 7)
    means = [expected[bins == size].mean() for size in range(8)]
    assert np.bincount(bins).tolist() == [1411, 439, 214, 100, 62, 38, 29, 64]
    assert means == pytest.approx([0.225, 0.523, 1.044, 1.520, 2.164, 2.654, 3.504, 6.157], abs=0.001)


def test_a_group_counts_as_often_as_its_customers(calibration: list[Summary]) -> None:
    groups = Groups.of(calibration)
    population = Population.of(calibration)
    raw = Groups(population, np.ones(len(calibration)), np.arange(len(calibration)))
    model = BgNbd(0.3, 5.0, 0.9, 2.0)
    assert len(groups.customers) == 1016
    assert bgnbd.log_likelihood(model, groups)[0] == pytest.approx(bgnbd.log_likelihood(model, raw)[0], rel=1e-12)
    assert (groups.population.recency_weeks[groups.group_of] == population.recency_weeks).all()


@given(models, st.lists(summaries(), min_size=1, max_size=8))
def test_bgnbds_gradient_is_the_slope_of_its_likelihood(model: BgNbd, known: list[Summary]) -> None:
    groups = Groups.of(known)
    parameters = np.array([model.r, model.alpha, model.a, model.b])
    _, gradient = bgnbd.log_likelihood(model, groups)
    for index, slope in enumerate(gradient):
        step = np.zeros(4)
        step[index] = 1e-5 * parameters[index]
        above = bgnbd.log_likelihood(BgNbd(*(parameters + step)), groups)[0]
        below = bgnbd.log_likelihood(BgNbd(*(parameters - step)), groups)[0]
        scale = max(1.0, abs(above) / parameters[index])
        assert slope == pytest.approx((above - below) / (2 * step[index]), rel=1e-4, abs=1e-4 * scale)


@given(positive, positive, positive, st.lists(summaries(), min_size=1, max_size=8))
def test_gamma_gammas_gradient_is_the_slope_of_its_likelihood(
    p: float, q: float, gamma: float, known: list[Summary]
) -> None:
    spend = RepeatSpend.of(known, 100)
    parameters = np.array([p, q, gamma])
    _, gradient = gamma_gamma.log_likelihood(GammaGamma(p, q, gamma), spend)
    for index, slope in enumerate(gradient):
        step = np.zeros(3)
        step[index] = 1e-5 * parameters[index]
        above = gamma_gamma.log_likelihood(GammaGamma(*(parameters + step)), spend)[0]
        below = gamma_gamma.log_likelihood(GammaGamma(*(parameters - step)), spend)[0]
        scale = max(1.0, abs(above) / parameters[index])
        assert slope == pytest.approx((above - below) / (2 * step[index]), rel=1e-4, abs=1e-4 * scale)


@given(models, summaries())
def test_p_alive_is_a_probability_and_one_before_the_first_repeat(model: BgNbd, known: Summary) -> None:
    alive = probability_alive(model, Population.of([known]))[0]
    assert 0 <= alive <= 1
    assert known.repeats > 0 or alive == 1


@given(models, summaries(), st.integers(1, 100))
def test_silence_only_ever_lowers_p_alive(model: BgNbd, known: Summary, days: int) -> None:
    later = a_summary(known.repeats, known.recency_days, known.age_days + days)
    now, then = probability_alive(model, Population.of([known, later]))
    assert then <= now


@given(models, summaries(), st.integers(1, 52), st.integers(1, 52))
def test_a_longer_horizon_never_expects_less(model: BgNbd, known: Summary, weeks: int, more: int) -> None:
    population = Population.of([known])
    near = expected_purchases(model, population, weeks)[0]
    far = expected_purchases(model, population, weeks + more)[0]
    assert -1e-9 <= near <= far + 1e-9 * max(1.0, far)


@given(models, st.integers(0, 40), st.integers(1, 104))
def test_the_closed_expectation_equals_quadrature(model: BgNbd, repeats: int, weeks: int) -> None:
    """For somebody known to be active: the mean, over the beta posterior of leaving, of the expected purchases.

    Given a chance p to leave, a gamma(shape, rate) pace makes (1 - (rate / (rate + p t)) ** shape) / p purchases in t.
    """
    population = one_customer(repeats, 30.0 if repeats else 0.0, 30.0)
    shape, rate = model.r + repeats, model.alpha + 30.0
    nodes, weights = roots_jacobi(120, model.b + repeats - 1, model.a - 1)
    leaving = (1 + nodes) / 2
    purchases = -np.expm1(-shape * np.log1p(leaving * weeks / rate)) / leaving
    mean = weights @ purchases / weights.sum()
    alive = probability_alive(model, population)[0]
    assert expected_purchases(model, population, weeks)[0] == pytest.approx(alive * mean, rel=1e-6)


@pytest.mark.parametrize("repeats", [0, 3])
def test_the_expectation_has_no_hole_where_its_formula_divides_by_zero(repeats: int) -> None:
    population = one_customer(repeats, 10.0 if repeats else 0.0, 20.0)
    below, at, above = (expected_purchases(BgNbd(0.5, 4, a, 2.5), population, 39)[0] for a in (1 - 1e-4, 1.0, 1 + 1e-4))
    assert above < at < below
    assert at == pytest.approx((below + above) / 2, rel=1e-6)


@given(models, summaries(), st.integers(1, 104), st.integers(1, 5000))
def test_discounting_never_adds_value(model: BgNbd, known: Summary, weeks: int, discount_bps: int) -> None:
    population = Population.of([known])
    free = discounted_purchases(model, population, ValueTerms(weeks, 0))[0]
    dear = discounted_purchases(model, population, ValueTerms(weeks, discount_bps))[0]
    assert free == pytest.approx(expected_purchases(model, population, weeks)[0], rel=1e-9, abs=1e-12)
    assert dear <= free


@given(summaries(), st.floats(1.5, 20), st.floats(1.5, 20), st.floats(1, 100))
def test_expected_spend_lies_between_own_mean_and_everybodys(known: Summary, p: float, q: float, gamma: float) -> None:
    model = GammaGamma(p, q, gamma)
    spend = expected_spend_minor(model, [known], 100)[0]
    everybodys = p * gamma * 100 / (q - 1)
    own = known.repeat_minor / known.repeats if known.repeats else everybodys
    assert min(own, everybodys) - 1e-6 <= spend <= max(own, everybodys) + 1e-6


def test_too_few_repeat_customers_are_refused_by_number() -> None:
    known = [a_summary(1, 7, 70, repeat_minor=500 + number) for number in range(49)]
    with pytest.raises(TooFewRepeatCustomers) as purchases:
        fit_bgnbd(Groups.of(known))
    with pytest.raises(TooFewRepeatCustomers) as amounts:
        fit_gamma_gamma(known, 100)
    assert purchases.value.metadata == amounts.value.metadata == {"repeat_customers": "49", "needed": "50"}


def test_equal_customers_do_not_tell_how_customers_differ() -> None:
    known = [a_summary(5, 60, 70, repeat_minor=5000)] * 200
    with pytest.raises(DegenerateFit):
        fit_bgnbd(Groups.of(known))
    with pytest.raises(DegenerateFit):
        fit_gamma_gamma(known, 100)
