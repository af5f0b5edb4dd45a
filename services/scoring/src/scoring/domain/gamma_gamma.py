"""The Gamma-Gamma model: what a customer's average purchase is worth, drawn towards everybody's the less is known.

Fader and Hardie (2013), "The Gamma-Gamma Model of Monetary Value". The mean of a customer's x repeat purchases is
gamma(p x, nu x), and nu is gamma(q, gamma). `gamma` carries the unit of money and, as in the literature, that is the
major unit; amounts come in and go out in minor units.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, gammaln

from scoring.domain.bgnbd import MIN_REPEAT_CUSTOMERS
from scoring.domain.fit import DegenerateFit, TooFewRepeatCustomers, maximise
from scoring.domain.history import Floats, Summary


@dataclass(frozen=True, slots=True)
class GammaGamma:
    """Shape p of a purchase, shape q of its heterogeneity, and the scale in major units."""

    p: float
    q: float
    gamma: float


@dataclass(frozen=True, slots=True)
class GammaGammaFit:
    """Parameters at the maximum, the log-likelihood there (of means in major units), and the customers it stands on."""

    parameters: GammaGamma
    log_likelihood: float
    customers: int
    iterations: int


@dataclass(frozen=True, slots=True)
class RepeatSpend:
    """Columns of those who came back: how often, and what a repeat purchase was worth on average, in major units."""

    repeats: Floats
    mean: Floats

    @classmethod
    def of(cls, summaries: Sequence[Summary], minor_per_major: int) -> "RepeatSpend":
        """Repeat buyers only. One whose repeats all cost nothing is left out: the model knows no mean of 0."""
        paying = [summary for summary in summaries if summary.repeats > 0 and summary.repeat_minor > 0]
        repeats = np.array([summary.repeats for summary in paying], dtype=np.float64)
        repeat_minor = np.array([summary.repeat_minor for summary in paying], dtype=np.float64)
        return cls(repeats, repeat_minor / minor_per_major / repeats)


def fit_gamma_gamma(summaries: Sequence[Summary], minor_per_major: int) -> GammaGammaFit:
    """Maximum likelihood on the paying repeat buyers; raises `TooFewRepeatCustomers` or `DegenerateFit`.

    Fitted in units of the average spend, which makes every currency the same problem, and scaled back. A q of 1 or less
    is refused as degenerate: its mean spend is infinite, and so would be every new customer's value.
    """
    spend = RepeatSpend.of(summaries, minor_per_major)
    customers = len(spend.repeats)
    if customers < MIN_REPEAT_CUSTOMERS:
        raise TooFewRepeatCustomers(
            f"{customers} customers paid for a repeat purchase, and {MIN_REPEAT_CUSTOMERS} are needed",
            repeat_customers=str(customers),
            needed=str(MIN_REPEAT_CUSTOMERS),
        )
    unit = float(spend.mean.mean())
    scaled = RepeatSpend(spend.repeats, spend.mean / unit)

    def mean_log_likelihood(parameters: Floats) -> tuple[float, Floats]:
        value, gradient = log_likelihood(GammaGamma(*map(float, parameters)), scaled)
        return value / customers, gradient / customers

    (p, q, gamma), iterations = maximise("Gamma-Gamma", mean_log_likelihood, np.array([4.0, 4.0, 1.0]))
    model = GammaGamma(float(p), float(q), float(gamma) * unit)
    if model.q <= 1:
        raise DegenerateFit("the Gamma-Gamma model finds no finite average spend", model="Gamma-Gamma")
    total, _ = log_likelihood(model, spend)
    return GammaGammaFit(model, total, customers, iterations)


def log_likelihood(model: GammaGamma, spend: RepeatSpend) -> tuple[float, Floats]:
    """The log-likelihood of the means and its gradient by (p, q, gamma), for means and gamma in one unit."""
    p, q, gamma = model.p, model.q, model.gamma
    x, mean = spend.repeats, spend.mean
    scale = gamma + mean * x
    each = (
        gammaln(p * x + q)
        - gammaln(p * x)
        - gammaln(q)
        + q * np.log(gamma)
        + (p * x - 1) * np.log(mean)
        + p * x * np.log(x)
        - (p * x + q) * np.log(scale)
    )
    shared = digamma(p * x + q) - np.log(scale)
    by_p = float(np.sum(x * (shared - digamma(p * x) + np.log(mean) + np.log(x))))
    by_q = float(np.sum(shared - digamma(q) + np.log(gamma)))
    by_gamma = float(np.sum(q / gamma - (p * x + q) / scale))
    return float(each.sum()), np.array([by_p, by_q, by_gamma])


def expected_spend_minor(model: GammaGamma, summaries: Sequence[Summary], minor_per_major: int) -> Floats:
    """The expected worth of one purchase of each customer: own mean and population's, weighted by what is known.

    p (gamma + x m) / (p x + q - 1), where x m is the exact sum of the repeat purchases; minor units, not yet rounded.
    """
    repeats = np.array([summary.repeats for summary in summaries], dtype=np.float64)
    repeat_minor = np.array([summary.repeat_minor for summary in summaries], dtype=np.float64)
    spent_minor = model.gamma * minor_per_major + repeat_minor
    return np.asarray(model.p * spent_minor / (model.p * repeats + model.q - 1), dtype=np.float64)
