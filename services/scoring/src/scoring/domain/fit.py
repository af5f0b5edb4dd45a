"""What the two model fits share: the optimiser over positive parameters, and when its answer is refused."""

from collections.abc import Callable

import numpy as np
from chassis.errors import Refusal
from scipy.optimize import minimize

from scoring.domain.history import Floats

# Logarithms of a parameter: beyond e^±12 the data no longer hold it and the optimiser walks along a ridge.
LOG_PARAMETER_BOUND = 12.0
# The mean log-likelihood's gradient in log-parameters at an accepted optimum. Below this, no published digit moves.
GRADIENT_TOLERANCE = 1e-5
MAX_ITERATIONS = 500


class TooFewRepeatCustomers(Refusal):
    """There are not enough customers who came back to say anything about coming back."""


class DegenerateFit(Refusal):
    """The likelihood has no maximum inside the parameters' range: the data do not tell such a model's parameters."""


def maximise(
    model: str, mean_log_likelihood: Callable[[Floats], tuple[float, Floats]], start: Floats
) -> tuple[Floats, int]:
    """The positive parameters at the maximum, and the iterations; `mean_log_likelihood` gives value and gradient.

    Works in logarithms of the parameters, so that positivity needs no rule. Raises `DegenerateFit` when the maximum
    lies on the edge of the range or the gradient does not vanish there.
    """

    def objective(logarithms: Floats) -> tuple[float, Floats]:
        parameters = np.exp(logarithms)
        value, gradient = mean_log_likelihood(parameters)
        return -value, -gradient * parameters

    bounds = [(-LOG_PARAMETER_BOUND, LOG_PARAMETER_BOUND)] * len(start)
    found = minimize(
        objective,
        np.log(start),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": MAX_ITERATIONS, "ftol": 1e-15, "gtol": GRADIENT_TOLERANCE / 100},
    )
    slope = float(np.max(np.abs(objective(found.x)[1])))
    if not np.isfinite(found.fun) or slope > GRADIENT_TOLERANCE or np.any(np.abs(found.x) >= LOG_PARAMETER_BOUND):
        raise DegenerateFit(f"the {model} model does not fit these purchases", model=model)
    return np.exp(found.x), int(found.nit)
