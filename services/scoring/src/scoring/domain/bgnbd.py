"""The BG/NBD model: how often a customer buys while active, and after which purchase a customer may be gone for good.

Fader, Hardie and Lee (2005), "Counting Your Customers the Easy Way". Purchase rates are gamma distributed (r, alpha),
the chance to leave after a purchase is beta distributed (a, b). Times are weeks. The likelihood is factored after
Hardie (2013), "Overcoming the BG/NBD Model's #NUM! Error Problem", so that many purchases do not overflow.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, digamma, expit, gammaln, hyp2f1

from scoring.domain.fit import TooFewRepeatCustomers, maximise
from scoring.domain.history import Floats, Groups, Population

# Fewer customers who came back than this leave four parameters to chance.
MIN_REPEAT_CUSTOMERS = 50
# Around a = 1 (and a + b + x = 1) the expectation is 0/0. A step to both sides meets its limit to ten digits.
SINGULARITY_WIDTH = 1e-6
SINGULARITY_STEP = 1e-5


@dataclass(frozen=True, slots=True)
class BgNbd:
    """The four parameters: purchase rate gamma(r, alpha in weeks), drop-out beta(a, b)."""

    r: float
    alpha: float
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class BgNbdFit:
    """Parameters at the maximum of the likelihood, its logarithm there, and on how many customers it stands."""

    parameters: BgNbd
    log_likelihood: float
    customers: int
    repeat_customers: int
    iterations: int


def fit_bgnbd(groups: Groups) -> BgNbdFit:
    """Maximum likelihood on the counted groups; raises `TooFewRepeatCustomers` or `DegenerateFit`."""
    customers = int(groups.customers.sum())
    repeat_customers = int(groups.customers[groups.population.repeats > 0].sum())
    if repeat_customers < MIN_REPEAT_CUSTOMERS:
        raise TooFewRepeatCustomers(
            f"{repeat_customers} customers bought on more than one day, and {MIN_REPEAT_CUSTOMERS} are needed",
            repeat_customers=str(repeat_customers),
            needed=str(MIN_REPEAT_CUSTOMERS),
        )

    def mean_log_likelihood(parameters: Floats) -> tuple[float, Floats]:
        value, gradient = log_likelihood(BgNbd(*map(float, parameters)), groups)
        return value / customers, gradient / customers

    found, iterations = maximise("BG/NBD", mean_log_likelihood, np.ones(4))
    parameters = BgNbd(*map(float, found))
    total, _ = log_likelihood(parameters, groups)
    return BgNbdFit(parameters, total, customers, repeat_customers, iterations)


def log_likelihood(model: BgNbd, groups: Groups) -> tuple[float, Floats]:
    """The log-likelihood of all customers and its gradient by (r, alpha, a, b).

    ln L = ln D1 + ln D2 + ln(C3 + C4), where D1 is the purchases' part at t_x, D2 the ratio of beta functions, C3 the
    silence of an active customer since t_x, and C4 the odds of having left at t_x (zero without a repeat purchase).
    """
    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    x, t_x, age = groups.population.repeats, groups.population.recency_weeks, groups.population.age_weeks
    exponent = r + x
    silence = np.log((alpha + t_x) / (alpha + age))
    log_c3 = exponent * silence
    log_c4 = _log_left(model, x)
    log_sum = np.logaddexp(log_c3, log_c4)
    active = np.exp(log_c3 - log_sum)
    left = np.exp(log_c4 - log_sum)

    log_d1 = gammaln(exponent) - gammaln(r) + r * np.log(alpha) - exponent * np.log(alpha + t_x)
    log_d2 = betaln(a, b + x) - betaln(a, b)
    each_by_r = digamma(exponent) - digamma(r) + np.log(alpha) - np.log(alpha + t_x) + active * silence
    each_by_alpha = r / alpha - exponent / (alpha + t_x) + active * exponent * (1 / (alpha + t_x) - 1 / (alpha + age))
    by_sum = digamma(a + b) - digamma(a + b + x)
    # Both beta functions of D2 hold gamma(a), so it cancels and leaves only the sums to the derivative by a.
    each_by_a = by_sum + left / a
    each_by_b = by_sum + digamma(b + x) - digamma(b) - left / np.where(x > 0, b + x - 1, 1.0)
    weights = groups.customers
    # Summed without BLAS: its threads cost more than they bring here, and their number would change the last digit.
    gradient = np.array([np.sum(weights * each) for each in (each_by_r, each_by_alpha, each_by_a, each_by_b)])
    return float(np.sum(weights * (log_d1 + log_d2 + log_sum))), gradient


def _log_left(model: BgNbd, repeats: Floats) -> Floats:
    """ln(a / (b + x - 1)), minus infinity without a repeat purchase: nobody leaves before having come back."""
    came_back = repeats > 0
    return np.where(came_back, np.log(model.a / np.where(came_back, model.b + repeats - 1, 1.0)), -np.inf)


def probability_alive(model: BgNbd, population: Population) -> Floats:
    """The chance, from 0 to 1, that each customer is still active at T; 1 for those without a repeat purchase.

    Fader, Hardie and Lee (2008), "Computing P(alive) Using the BG/NBD Model". As a logistic function, because the odds
    of a silent heavy buyer overflow.
    """
    x, t_x, age = population.repeats, population.recency_weeks, population.age_weeks
    log_odds_left = _log_left(model, x) + (model.r + x) * np.log((model.alpha + age) / (model.alpha + t_x))
    return np.asarray(expit(-log_odds_left), dtype=np.float64)


def expected_purchases(model: BgNbd, population: Population, horizon_weeks: float) -> Floats:
    """Purchases expected of each customer in the `horizon_weeks` after T (equation 10 of the 2005 paper)."""
    near = min(abs(model.a - 1), float(np.min(np.abs(model.a + model.b + population.repeats - 1), initial=1.0)))
    if near >= SINGULARITY_WIDTH:
        while_active = _purchases_while_active(model, population, horizon_weeks)
    else:
        sides = [BgNbd(model.r, model.alpha, model.a + step, model.b) for step in (-SINGULARITY_STEP, SINGULARITY_STEP)]
        below, above = (_purchases_while_active(side, population, horizon_weeks) for side in sides)
        while_active = (below + above) / 2
    return while_active * probability_alive(model, population)


def _purchases_while_active(model: BgNbd, population: Population, horizon_weeks: float) -> Floats:
    """The expectation for a customer known to be active at T.

    Euler's transformation of the paper's 2F1(r + x, b + x; a + b + x - 1; z): it takes the growing x out of the first
    two arguments, and the factor before it out of underflow, so that a thousand purchases are as exact as two.
    """
    a, b, x = model.a, model.b, population.repeats
    z = horizon_weeks / (model.alpha + population.age_weeks + horizon_weeks)
    series = hyp2f1(a + b - 1 - model.r, a - 1, a + b + x - 1, z)
    return np.asarray((a + b + x - 1) / (a - 1) * (1 - (1 - z) ** (a - 1) * series), dtype=np.float64)
