"""The money rule: exact fractions until the total, rounded half up to the minor unit once, and parts that sum to it."""

from collections.abc import Sequence
from fractions import Fraction

_HALF = Fraction(1, 2)


def round_half_up(amount: Fraction) -> int:
    """The nearest whole minor unit; a half goes up."""
    return (amount + _HALF).__floor__()


def round_share(amount: int, part: int, whole: int) -> int:
    """`amount * part / whole`, rounded half up; for whole numbers, without a fraction made."""
    return (2 * amount * part + whole) // (2 * whole)


def spread(total: int, weights: Sequence[Fraction]) -> list[int]:
    """The total divided by weights, none below 0 and one above: by largest remainder, ties to the first."""
    whole = sum(weights, Fraction(0))
    return round_parts([total * weight / whole for weight in weights], total)


def round_parts(exact: Sequence[Fraction], total: int) -> list[int]:
    """Whole parts that sum to the total, which lies less than 1 from the sum of the exact ones. Each lies less than 1
    from its exact part, and a part that is whole stays as it is: the largest remainders go up, ties to the first."""
    parts = [part.__floor__() for part in exact]
    missing = total - sum(parts)
    by_remainder = sorted(range(len(exact)), key=lambda place: parts[place] - exact[place])
    for place in by_remainder[:missing]:
        parts[place] += 1
    return parts
