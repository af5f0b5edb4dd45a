"""Requirements as SQL: the measures of a member, and the best tier that they reach.

The statement asks member by member through indexes that hold all it reads, so that the time it takes grows with the
members asked for and not with how many there are. `asked` is what the caller selects from: columns of members, and
`as_of`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from chassis.calendar import Period

from member.domain.kinds import EARNED
from member.domain.program import Program
from member.domain.requirement import (
    AllOf,
    AnyOf,
    Leaf,
    LinesOf,
    Measure,
    Measured,
    Points,
    PointsIn,
    Requirement,
    Services,
    Since,
    Spend,
    SpendIn,
    SpendKind,
    Tenure,
    TenureSince,
    Window,
)

_SECONDS_PER_DAY = 86_400
_BEFORE_ALL = "timestamptz '-infinity'"

_OLDEST_LINE = """(
    SELECT min((line ->> 'in_service_since')::timestamptz) FROM jsonb_array_elements(customer.subscribers) AS line
    WHERE {in_service}
)"""
_LINES = """(
    SELECT count(*) FROM jsonb_array_elements(customer.subscribers) AS line
    WHERE {in_service} AND line ->> 'kind' = ANY(CAST({kinds} AS text[]))
)"""
_IN_SERVICE = """(line ->> 'in_service_since')::timestamptz <= asked.as_of
    AND coalesce((line ->> 'in_service_until')::timestamptz > asked.as_of, true)"""


@dataclass(slots=True)
class Measuring:
    """Fragments of a statement that measures: joins to put behind `asked`, columns by measure, and their arguments."""

    program: Program
    measures: Sequence[Measure]
    joins: str = ""
    columns: dict[Measure, str] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        points = [each for each in self.measures if isinstance(each, PointsIn)]
        spend = [each for each in self.measures if isinstance(each, SpendIn)]
        others = [each for each in self.measures if isinstance(each, Since | LinesOf)]
        if points:
            self._join_points(points)
        if spend:
            self._join_spend(spend)
        for measure in others:
            self.columns[measure] = self._of_customer(measure)
        if any("customer." in column for column in self.columns.values()):
            self.joins += " JOIN customers AS customer ON customer.customer_id = asked.customer_id"

    @property
    def selected(self) -> str:
        """The columns, as m0, m1 … in the order of the measures."""
        return ", ".join(f"{self.columns[measure]} AS m{place}" for place, measure in enumerate(self.measures)) or "1"

    def read(self, row: Any) -> Measured:
        """The measures of a row that has the columns selected."""
        return {measure: getattr(row, f"m{place}") for place, measure in enumerate(self.measures)}

    def argument(self, value: Any) -> str:
        """A name in the statement for a value."""
        name = f"v{len(self.arguments)}"
        self.arguments[name] = value
        return f":{name}"

    def reached(self) -> str:
        """The rank of the best tier whose requirement is met, as `Program.tier_reached` says it."""
        cases = [
            f"WHEN {self._met(requirement)} THEN {tier.rank}"
            for tier in reversed(self.program.tiers)
            if (requirement := self.program.requirement(tier))
        ]
        return f"CASE {' '.join(cases)} ELSE 0 END" if cases else "0"

    def _met(self, requirement: Requirement) -> str:
        match requirement:
            case AllOf(of):
                return "(" + " AND ".join(self._met(each) for each in of) + ")"
            case AnyOf(of):
                return "(" + " OR ".join(self._met(each) for each in of) + ")"
            case _:
                return self._leaf_met(requirement)

    def _leaf_met(self, leaf: Leaf) -> str:
        column = self.columns[leaf.measure]
        match leaf:
            case Points(at_least) | Services(at_least):
                return f"{column} >= CAST({self.argument(at_least)} AS bigint)"
            case Spend(at_least_minor):
                return f"{column} >= CAST({self.argument(at_least_minor)} AS bigint)"
            case Tenure(days):
                return f"{column} <= asked.as_of - {self._days(days)}"
            case _:
                assert_never(leaf)

    def _join_points(self, measures: Sequence[PointsIn]) -> None:
        sums = []
        for place, measure in enumerate(measures):
            of_kinds = (
                f" AND kind = ANY(CAST({self.argument([kind.value for kind in measure.kinds])} AS text[]))"
                if measure.kinds != EARNED
                else ""
            )
            sums.append(self._sum("points", f"earned_at > {self._start(measure.window)}{of_kinds}", f"p{place}"))
            self.columns[measure] = f"earned.p{place}"
        self.joins += f"""
            CROSS JOIN LATERAL (
                SELECT {", ".join(sums)} FROM tier_points
                WHERE tier_points.member_id = asked.member_id AND tier_points.earned_at <= asked.as_of
                    AND tier_points.known_from <= asked.as_of
                    AND tier_points.earned_at > {self._earliest([measure.window for measure in measures])}
            ) AS earned"""  # noqa: S608 - made of constants

    def _join_spend(self, measures: Sequence[SpendIn]) -> None:
        sums = []
        for place, measure in enumerate(measures):
            kinds = self.argument([kind.value for kind in measure.kinds])
            of_kinds = f" AND kind = ANY(CAST({kinds} AS text[]))" if len(measure.kinds) < len(SpendKind) else ""
            sums.append(self._sum("amount_minor", f"spent_at > {self._start(measure.window)}{of_kinds}", f"s{place}"))
            self.columns[measure] = f"spent.s{place}"
        # What is paid is the household's, so it counts for the membership of the customer as a whole.
        self.joins += f"""
            CROSS JOIN LATERAL (
                SELECT {", ".join(sums)} FROM tier_spend
                WHERE tier_spend.customer_id = asked.customer_id AND asked.person_id = ''
                    AND tier_spend.spent_at <= asked.as_of
                    AND coalesce(tier_spend.refunded_at <= asked.as_of, true)
                    AND tier_spend.spent_at > {self._earliest([measure.window for measure in measures])}
            ) AS spent"""  # noqa: S608 - made of constants

    def _of_customer(self, measure: Since | LinesOf) -> str:
        match measure:
            case Since(TenureSince.ENROLMENT):
                return "asked.enrolled_at"
            case Since(TenureSince.REGISTRATION):
                return "customer.registered_at"
            case Since(TenureSince.IN_SERVICE):
                return _OLDEST_LINE.format(in_service=_IN_SERVICE)
            case LinesOf(kinds):
                named = self.argument([kind.value for kind in kinds])
                return _LINES.format(in_service=_IN_SERVICE, kinds=named)
            case _:
                raise AssertionError(measure)

    def _sum(self, column: str, condition: str, name: str) -> str:
        return f"coalesce(sum({column}) FILTER (WHERE {condition}), 0)::bigint AS {name}"

    def _start(self, window: Window) -> str:
        if window.days:
            return f"asked.as_of - {self._days(window.days)}"
        if window.period is Period.EVER:
            return _BEFORE_ALL
        zone = f"CAST({self.argument(self.program.time_zone)} AS text)"
        begun = f"date_trunc('{window.period.value}', asked.as_of AT TIME ZONE {zone}) AT TIME ZONE {zone}"
        return f"{begun} - interval '1 microsecond'"

    def _earliest(self, windows: Sequence[Window]) -> str:
        starts = list(dict.fromkeys(windows))
        return f"least({', '.join(self._start(window) for window in starts)})"

    def _days(self, days: int) -> str:
        return f"make_interval(secs => CAST({self.argument(days * _SECONDS_PER_DAY)} AS double precision))"
