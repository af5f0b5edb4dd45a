"""Benefits between protobuf and the domain: in a tier of a program, or granted to one customer."""

from typing import assert_never

from chassis.calendar import Period
from chassis.errors import InvalidArgument
from chassis.ids import check_id
from touchstone.member.v1 import benefit_pb2

from member.domain.benefit import (
    EVERY_PRODUCT,
    Benefit,
    BenefitId,
    Discount,
    EarnRate,
    EventPriority,
    Perk,
    ProductFamily,
    Quota,
    ServicePriority,
    Terms,
)

_PERIODS = {
    Period.DAY: benefit_pb2.BENEFIT_PERIOD_DAY,
    Period.WEEK: benefit_pb2.BENEFIT_PERIOD_WEEK,
    Period.MONTH: benefit_pb2.BENEFIT_PERIOD_MONTH,
    Period.QUARTER: benefit_pb2.BENEFIT_PERIOD_QUARTER,
    Period.YEAR: benefit_pb2.BENEFIT_PERIOD_YEAR,
    Period.EVER: benefit_pb2.BENEFIT_PERIOD_EVER,
}
_PERIODS_KNOWN = {value: period for period, value in _PERIODS.items()}


def benefit_from_proto(field: str, benefit: benefit_pb2.Benefit) -> Benefit:
    """The benefit, or InvalidArgument naming the field of it that is no id, or not said."""
    benefit_id = BenefitId(check_id(f"{field}.benefit_id", benefit.benefit_id))
    return Benefit(benefit_id, benefit.display_name, _terms_from_proto(field, benefit))


def benefit_to_proto(benefit: Benefit) -> benefit_pb2.Benefit:
    """The benefit."""
    message = benefit_pb2.Benefit(benefit_id=benefit.benefit_id, display_name=benefit.display_name)
    _put_terms(message, benefit.terms)
    return message


def period_to_proto(period: Period) -> benefit_pb2.BenefitPeriod.ValueType:
    """The period as protobuf names it."""
    return _PERIODS[period]


def _terms_from_proto(field: str, benefit: benefit_pb2.Benefit) -> Terms:
    match benefit.WhichOneof("terms"):
        case "discount":
            family = _family(f"{field}.discount", benefit.discount.product_family)
            return Discount(family, benefit.discount.basis_points)
        case "earn_rate":
            family = _family(f"{field}.earn_rate", benefit.earn_rate.product_family)
            return EarnRate(family, benefit.earn_rate.multiplier_percent)
        case "service_priority":
            return ServicePriority(benefit.service_priority.level)
        case "event_priority":
            return EventPriority(benefit.event_priority.level)
        case "quota":
            period = _PERIODS_KNOWN.get(benefit.quota.period)
            if period is None:
                raise InvalidArgument(f"{field}.quota.period", "must be day, week, month, quarter, year or ever")
            return Quota(period, benefit.quota.uses)
        case "perk":
            return Perk(benefit.perk.text)
        case _:
            raise InvalidArgument(f"{field}.terms", "must say what the benefit gives")


def _family(field: str, family: str) -> ProductFamily:
    return ProductFamily(check_id(f"{field}.product_family", family)) if family else EVERY_PRODUCT


def _put_terms(message: benefit_pb2.Benefit, terms: Terms) -> None:
    match terms:
        case Discount(family, basis_points):
            message.discount.product_family = family
            message.discount.basis_points = basis_points
        case EarnRate(family, multiplier_percent):
            message.earn_rate.product_family = family
            message.earn_rate.multiplier_percent = multiplier_percent
        case ServicePriority(level):
            message.service_priority.level = level
        case EventPriority(level):
            message.event_priority.level = level
        case Quota(period, uses):
            message.quota.period = period_to_proto(period)
            message.quota.uses = uses
        case Perk(text):
            message.perk.text = text
        case _:
            assert_never(terms)
