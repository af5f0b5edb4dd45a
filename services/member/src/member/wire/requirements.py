"""What tiers ask for, between protobuf and the domain."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TypeVar, assert_never

from chassis.calendar import Period
from chassis.errors import InvalidArgument
from touchstone.member.v1 import member_pb2

from member.domain.customer import SubscriberKind
from member.domain.kinds import EARNED, EarnClass, PointsKind
from member.domain.requirement import (
    MAX_LEAVES,
    AllOf,
    AnyOf,
    Points,
    Requirement,
    Services,
    Spend,
    SpendKind,
    Tenure,
    TenureSince,
    Window,
)

E = TypeVar("E", bound=StrEnum)

_PERIODS = {
    Period.EVER: member_pb2.CALENDAR_PERIOD_UNSPECIFIED,
    Period.DAY: member_pb2.CALENDAR_PERIOD_DAY,
    Period.WEEK: member_pb2.CALENDAR_PERIOD_WEEK,
    Period.MONTH: member_pb2.CALENDAR_PERIOD_MONTH,
    Period.QUARTER: member_pb2.CALENDAR_PERIOD_QUARTER,
    Period.YEAR: member_pb2.CALENDAR_PERIOD_YEAR,
}
_SPEND = {SpendKind.RECHARGE: member_pb2.SPEND_KIND_RECHARGE, SpendKind.ORDER: member_pb2.SPEND_KIND_ORDER}
_SINCE = {
    TenureSince.ENROLMENT: member_pb2.TENURE_SINCE_ENROLMENT,
    TenureSince.REGISTRATION: member_pb2.TENURE_SINCE_REGISTRATION,
    TenureSince.IN_SERVICE: member_pb2.TENURE_SINCE_IN_SERVICE,
}
_LINES = {
    SubscriberKind.TV: member_pb2.SUBSCRIBER_KIND_TV,
    SubscriberKind.BROADBAND: member_pb2.SUBSCRIBER_KIND_BROADBAND,
    SubscriberKind.MOBILE: member_pb2.SUBSCRIBER_KIND_MOBILE,
    SubscriberKind.VALUE_ADDED: member_pb2.SUBSCRIBER_KIND_VALUE_ADDED,
}
_EARNED: Mapping[object, PointsKind] = {kind.value: kind for kind in EARNED}
_CLASSES: Mapping[object, EarnClass] = {each.value: each for each in EarnClass}


def period_from_proto(field: str, period: member_pb2.CalendarPeriod.ValueType) -> Period:
    """The period, EVER where none is said, or InvalidArgument."""
    return _known(field, _turned(_PERIODS), period)


def period_to_proto(period: Period) -> member_pb2.CalendarPeriod.ValueType:
    """The period."""
    return _PERIODS[period]


def requirement_from_proto(field: str, asked: member_pb2.Requirement) -> Requirement:
    """What is asked for, or InvalidArgument naming the part of it that says nothing or something unknown."""
    match asked.WhichOneof("condition"):
        case "all":
            return AllOf(_list(f"{field}.all.of", asked.all.of))
        case "any":
            return AnyOf(_list(f"{field}.any.of", asked.any.of))
        case "points":
            return _points(f"{field}.points", asked.points)
        case "spend":
            kinds = _each(f"{field}.spend.kinds", _turned(_SPEND), asked.spend.kinds)
            window = _window(f"{field}.spend.window", asked.spend.window)
            return Spend(asked.spend.at_least_minor_units, window, kinds)
        case "tenure":
            return Tenure(asked.tenure.days, _known(f"{field}.tenure.since", _turned(_SINCE), asked.tenure.since))
        case "services":
            lines = _each(f"{field}.services.kinds", _turned(_LINES), asked.services.kinds)
            return Services(asked.services.at_least, lines)
    raise InvalidArgument(field, "must say what is asked for")


def requirement_to_proto(requirement: Requirement) -> member_pb2.Requirement:
    """What is asked for."""
    match requirement:
        case AllOf(of):
            parts = member_pb2.RequirementList(of=[requirement_to_proto(each) for each in of])
            return member_pb2.Requirement(all=parts)
        case AnyOf(of):
            parts = member_pb2.RequirementList(of=[requirement_to_proto(each) for each in of])
            return member_pb2.Requirement(any=parts)
        case Points(at_least, window, kinds, classes):
            points = member_pb2.PointsRequirement(
                at_least=at_least, window=_window_to_proto(window), kinds=kinds, classes=classes
            )
            return member_pb2.Requirement(points=points)
        case Spend(at_least_minor, window, spent):
            spend = member_pb2.SpendRequirement(
                at_least_minor_units=at_least_minor,
                window=_window_to_proto(window),
                kinds=[_SPEND[kind] for kind in spent],
            )
            return member_pb2.Requirement(spend=spend)
        case Tenure(days, since):
            return member_pb2.Requirement(tenure=member_pb2.TenureRequirement(days=days, since=_SINCE[since]))
        case Services(at_least, lines):
            services = member_pb2.ServicesRequirement(at_least=at_least, kinds=[_LINES[kind] for kind in lines])
            return member_pb2.Requirement(services=services)
        case _:
            assert_never(requirement)


def _list(field: str, parts: Sequence[member_pb2.Requirement]) -> tuple[Requirement, ...]:
    if len(parts) > MAX_LEAVES:
        raise InvalidArgument(field, f"must have at most {MAX_LEAVES} items")
    return tuple(requirement_from_proto(f"{field}[{place}]", each) for place, each in enumerate(parts))


def _points(field: str, asked: member_pb2.PointsRequirement) -> Points:
    kinds: tuple[PointsKind, ...] = _each(f"{field}.kinds", _EARNED, asked.kinds)
    classes: tuple[EarnClass, ...] = _each(f"{field}.classes", _CLASSES, asked.classes)
    return Points(asked.at_least, _window(f"{field}.window", asked.window), kinds, classes)


def _window(field: str, window: member_pb2.RequirementWindow) -> Window:
    period = period_from_proto(f"{field}.period", window.period)
    if window.days and period is not Period.EVER:
        raise InvalidArgument(f"{field}.period", "must not be named beside days")
    return Window(window.days, period)


def _window_to_proto(window: Window) -> member_pb2.RequirementWindow:
    return member_pb2.RequirementWindow(days=window.days, period=_PERIODS[window.period])


def _each(field: str, known: Mapping[object, E], values: Sequence[object]) -> tuple[E, ...]:
    found = tuple(_known(f"{field}[{place}]", known, value) for place, value in enumerate(values[: len(known) + 1]))
    if len(set(found)) < len(values):
        raise InvalidArgument(field, "must not repeat an item")
    return found


def _known(field: str, known: Mapping[object, E], value: object) -> E:
    if value not in known:
        raise InvalidArgument(field, "must be one of those that there are")
    return known[value]


def _turned(named: Mapping[E, object]) -> Mapping[object, E]:
    return {value: name for name, value in named.items()}
