"""Benefits as they stand inside stored documents: a program's tiers, a grant, the row of entitlements."""

from typing import Any, assert_never

from chassis.calendar import Period

from member.domain.benefit import (
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


def benefit_to_json(benefit: Benefit) -> dict[str, Any]:
    """The benefit as JSON."""
    return {"benefit_id": benefit.benefit_id, "display_name": benefit.display_name, **_terms_to_json(benefit.terms)}


def benefit_from_json(document: dict[str, Any]) -> Benefit:
    """The benefit that was written as JSON."""
    return Benefit(BenefitId(document["benefit_id"]), document["display_name"], _terms_from_json(document))


def _terms_to_json(terms: Terms) -> dict[str, Any]:
    match terms:
        case Discount(family, basis_points):
            return {"kind": "discount", "family": family, "basis_points": basis_points}
        case EarnRate(family, multiplier_percent):
            return {"kind": "earn_rate", "family": family, "multiplier_percent": multiplier_percent}
        case ServicePriority(level):
            return {"kind": "service_priority", "level": level}
        case EventPriority(level):
            return {"kind": "event_priority", "level": level}
        case Quota(period, uses):
            return {"kind": "quota", "period": period.value, "uses": uses}
        case Perk(text):
            return {"kind": "perk", "text": text}
        case _:
            assert_never(terms)


def _terms_from_json(document: dict[str, Any]) -> Terms:
    match document["kind"]:
        case "discount":
            return Discount(ProductFamily(document["family"]), document["basis_points"])
        case "earn_rate":
            return EarnRate(ProductFamily(document["family"]), document["multiplier_percent"])
        case "service_priority":
            return ServicePriority(document["level"])
        case "event_priority":
            return EventPriority(document["level"])
        case "quota":
            return Quota(Period(document["period"]), document["uses"])
        case "perk":
            return Perk(document["text"])
        case kind:
            raise ValueError(f"no benefit is of the kind {kind!r}")
