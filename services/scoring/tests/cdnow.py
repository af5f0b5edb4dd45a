"""The CDNOW sample and what is published about it, for the tests that hold the models to the literature.

The file comes out of the `lifetimes` distribution, which carries it; the distribution's code is not imported.
"""

import importlib.metadata
from datetime import date
from functools import cache
from pathlib import Path

from scoring.domain.history import CustomerId, PurchaseDay

# The first 39 of the 78 weeks; Fader and Hardie fit on these and hold the rest back.
CALIBRATION_END = date(1997, 9, 30)
HOLDOUT_WEEKS = 39


@cache
def sample() -> tuple[PurchaseDay, ...]:
    """Every line of the sample as one purchase, amounts in cents."""
    distribution = importlib.metadata.distribution("lifetimes")
    path = Path(str(distribution.locate_file("lifetimes/datasets/CDNOW_sample.txt")))
    return tuple(_purchase(line) for line in path.read_text(encoding="ascii").splitlines())


def _purchase(line: str) -> PurchaseDay:
    _, customer, day, _, amount = line.split()
    dollars, cents = amount.split(".")
    return PurchaseDay(CustomerId(customer), date.fromisoformat(day), 1, int(dollars) * 100 + int(cents))
