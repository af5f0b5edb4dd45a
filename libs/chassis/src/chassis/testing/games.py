"""Acts of a game as hypothesis draws them, for state machines of whole services.

An act is a number, from which its kind and its parts are taken by division, and five acts are drawn at once: drawing
everything by itself would cost more than the acts. They are drawn as bytes, because those are evenly distributed; of
integers most are small, so that the parts taken last would mostly be 0.
"""

from collections.abc import Iterator

from hypothesis import Phase, settings
from hypothesis import strategies as st

DRAWN_AT_ONCE = 5
_SIZE = 6
DRAWN = st.binary(min_size=DRAWN_AT_ONCE * _SIZE, max_size=DRAWN_AT_ONCE * _SIZE)
TO_THE_END = (Phase.generate, Phase.shrink)


def games(count: int, *, acts: int, begun_by: int = 0, phases: tuple[Phase, ...] = TO_THE_END) -> settings:
    """So many games of so many acts, and of the steps that they are begun by.

    Nothing is remembered between runs, and nothing is asked twice: what a run costs is the games themselves."""
    steps = begun_by + acts // DRAWN_AT_ONCE
    return settings(max_examples=count, stateful_step_count=steps, phases=list(phases), database=None)


class Parts:
    """An act's number, taken apart."""

    def __init__(self, number: int) -> None:
        self._left = number

    def below(self, bound: int) -> int:
        self._left, part = divmod(self._left, bound)
        return part


def numbers_of(drawn: bytes) -> Iterator[int]:
    """The numbers of the acts."""
    for start in range(0, len(drawn), _SIZE):
        yield int.from_bytes(drawn[start : start + _SIZE], "little")
