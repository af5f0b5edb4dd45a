"""The policy of contacts: how often a customer may be met in any window, and the rest after a refusal."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.errors import FieldViolation, InvalidArgument

CONTACTS_MAX_LIMIT = 1000
WINDOW_DAYS_LIMIT = 366


@dataclass(frozen=True, slots=True)
class ContactPolicy:
    """At most `contacts_max` contacts of a customer in any half-open window [s, s + window) of business time."""

    contacts_max: int = 15
    window_days: int = 30
    cool_off_days: int = 30

    def __post_init__(self) -> None:
        violations = list(self._violations())
        if violations:
            raise InvalidArgument.many(violations)

    def _violations(self) -> Iterator[FieldViolation]:
        if not 1 <= self.contacts_max <= CONTACTS_MAX_LIMIT:
            yield FieldViolation("policy.contacts_max", f"must be 1 to {CONTACTS_MAX_LIMIT}")
        if not 1 <= self.window_days <= WINDOW_DAYS_LIMIT:
            yield FieldViolation("policy.window_days", f"must be 1 to {WINDOW_DAYS_LIMIT}")
        if not 0 <= self.cool_off_days <= WINDOW_DAYS_LIMIT:
            yield FieldViolation("policy.cool_off_days", f"must be 0 to {WINDOW_DAYS_LIMIT}")

    @property
    def window(self) -> timedelta:
        """Length of the window."""
        return timedelta(days=self.window_days)

    @property
    def cool_off(self) -> timedelta:
        """How long a campaign stays silent after a refusal."""
        return timedelta(days=self.cool_off_days)

    def room(self, contact_times: Iterable[datetime], at: datetime) -> int:
        """How many contacts may be made at `at`, given those made before and, out of order, after it.

        A contact at `at` lies in every window that starts in (at - window, at]. The fullest of them starts at a
        contact or at `at` itself, so only those starts are counted. Contacts a window or more away do not matter.
        """
        times = sorted(time for time in contact_times if at - self.window < time < at + self.window)
        starts = {time for time in times if time <= at} | {at}
        fullest = max(bisect_left(times, start + self.window) - bisect_left(times, start) for start in starts)
        return max(0, self.contacts_max - fullest)

    def cools_off(self, refusal_times: Iterable[datetime], at: datetime) -> bool:
        """Whether one of the refusals silences its campaign at `at`: from the refusal until the rest is over."""
        return any(refused_at <= at < refused_at + self.cool_off for refused_at in refusal_times)
