"""The care calendar between protobuf and the domain."""

from collections.abc import Callable, Mapping
from typing import Any

from chassis import times
from chassis.auth import current_caller
from chassis.calendar import Calendar
from chassis.errors import InvalidArgument
from chassis.ids import check_id, check_request_id
from chassis.outbox import Routed
from google.protobuf.message import Message
from touchstone.member.v1 import care_events_pb2, care_pb2, member_pb2
from touchstone.member.v1 import care_service_pb2 as pb

from member.domain.care import Care, CareDue, CareRule, CareRuleId, Holiday, HolidayId, Occasion, PutRule
from member.store.care import CareFilter
from member.use_cases.care import CareTold, PutCareRule, PutHoliday, TellCare
from member.wire.customers import (
    customer_id_from_proto,
    customer_kind_from_proto,
    customer_kind_to_proto,
    day_from_proto,
)
from member.wire.managers import manager_id_from_proto

_OCCASIONS = {
    Occasion.BIRTHDAY: care_pb2.CARE_OCCASION_BIRTHDAY,
    Occasion.HOLIDAY: care_pb2.CARE_OCCASION_HOLIDAY,
    Occasion.MEMBERSHIP_ANNIVERSARY: care_pb2.CARE_OCCASION_MEMBERSHIP_ANNIVERSARY,
    Occasion.SERVICE_ANNIVERSARY: care_pb2.CARE_OCCASION_SERVICE_ANNIVERSARY,
    Occasion.LONG_HELD_NUMBER: care_pb2.CARE_OCCASION_LONG_HELD_NUMBER,
}
_OCCASIONS_KNOWN = {value: occasion for occasion, value in _OCCASIONS.items()}


def put_holiday_from_proto(request: pb.PutHolidayRequest) -> PutHoliday:
    """The holiday to put, or InvalidArgument."""
    holiday = request.holiday
    return PutHoliday(
        Holiday(
            HolidayId(check_id("holiday.holiday_id", holiday.holiday_id)),
            holiday.display_name,
            tuple(sorted(day_from_proto(f"holiday.days[{index}]", day) for index, day in enumerate(holiday.days))),
        ),
        by=current_caller().subject,
    )


def holiday_to_proto(holiday: Holiday) -> care_pb2.Holiday:
    """The holiday."""
    return care_pb2.Holiday(
        holiday_id=holiday.holiday_id,
        display_name=holiday.display_name,
        days=[day.isoformat() for day in holiday.days],
        revision=holiday.revision,
    )


def put_rule_from_proto(request: pb.PutCareRuleRequest) -> PutCareRule:
    """The rule to put, or InvalidArgument."""
    rule = request.rule
    occasion = _OCCASIONS_KNOWN.get(rule.occasion)
    if occasion is None:
        raise InvalidArgument("rule.occasion", "must be an occasion that is known")
    return PutCareRule(
        CareRule(
            CareRuleId(check_id("rule.rule_id", rule.rule_id)),
            occasion,
            HolidayId(check_id("rule.holiday_id", rule.holiday_id)) if rule.holiday_id else None,
            rule.days_ahead,
            rule.years_at_least,
            customer_kind_from_proto("rule.customer_kind", rule.customer_kind) if rule.customer_kind else None,
            rule.active,
        ),
        by=current_caller().subject,
    )


def rule_to_proto(put: PutRule) -> care_pb2.CareRule:
    """The rule, with who put it."""
    rule = put.rule
    return care_pb2.CareRule(
        rule_id=rule.rule_id,
        occasion=_OCCASIONS[rule.occasion],
        holiday_id=rule.holiday_id or "",
        days_ahead=rule.days_ahead,
        years_at_least=rule.years_at_least,
        customer_kind=customer_kind_to_proto(rule.customer_kind)
        if rule.customer_kind
        else member_pb2.CUSTOMER_KIND_UNSPECIFIED,
        active=rule.active,
        revision=put.revision,
        put_by=put.put_by,
        put_at=times.to_proto(put.put_at),
    )


def tell_from_proto(request: pb.TellCareRequest, calendar: Calendar) -> TellCare:
    """The pass that the request asks for: one of its own, on the day of the instant."""
    day = calendar.day_of(times.from_proto(request.as_of, "as_of"))
    return TellCare(f"asked:{current_caller().subject}:{check_request_id(request.request_id)}", day)


def told_to_proto(told: CareTold) -> pb.TellCareResponse:
    """What a round came to."""
    return pb.TellCareResponse(customers=told.customers, told=told.told)


def filter_from_proto(request: pb.ListCareRequest) -> CareFilter:
    """Which care to list, or InvalidArgument; what is not said lists all."""
    return CareFilter(
        customer_id_from_proto(request.customer_id) if request.customer_id else None,
        manager_id_from_proto(request.manager_id) if request.manager_id else None,
        times.from_proto(request.told_from, "told_from") if request.HasField("told_from") else None,
        times.from_proto(request.told_until, "told_until") if request.HasField("told_until") else None,
    )


def care_to_proto(care: Care) -> care_pb2.Care:
    """Care that was told."""
    return care_pb2.Care(
        care_id=care.care_id,
        customer_id=care.due.customer_id,
        person_id=care.due.person_id,
        occasion=_OCCASIONS[care.due.occasion],
        subject_id=care.due.subject_id,
        years=care.due.years,
        occurred_at=times.to_proto(care.occurred_at),
    )


def care_due_to_proto(fact: CareDue) -> care_events_pb2.CareDue:
    """The event of care that is due."""
    care = fact.care
    return care_events_pb2.CareDue(
        care_id=care.care_id,
        customer_id=care.due.customer_id,
        person_id=care.due.person_id,
        occasion=_OCCASIONS[care.due.occasion],
        subject_id=care.due.subject_id,
        years=care.due.years,
        occurred_at=times.to_proto(care.occurred_at),
    )


FACTS: Mapping[type[Any], Callable[[Any], Message | Routed]] = {CareDue: care_due_to_proto}
