"""Terms of coupon templates as documents of the database."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, assert_never

from chassis.calendar import Period

from member.domain.coupon_template import (
    AmountOff,
    Audience,
    Discount,
    Fixed,
    FreeProduct,
    Lasting,
    Limits,
    PercentOff,
    Scope,
    Stacking,
    Terms,
)
from member.domain.program import ProgramId, TierId


def terms_to_document(terms: Terms) -> dict[str, Any]:
    """The document; sets are sorted, so that equal terms are equal documents."""
    return {
        "display_name": terms.display_name,
        "currency": terms.currency,
        "discount": _discount_to_document(terms.discount),
        "validity": _validity_to_document(terms.validity),
        "scope": {name: sorted(each) for name, each in terms.scope._asdict().items()},
        "minimum_minor": terms.minimum_minor,
        "stacking": terms.stacking._asdict() | {"stacks_with": sorted(terms.stacking.stacks_with)},
        "limits": limits_to_document(terms.limits),
        "audience": [{"program_id": each.program_id, "tier_ids": sorted(each.tier_ids)} for each in terms.audience],
        "channels": sorted(terms.channels),
        "grace_days": terms.grace_days,
    }


def terms_from_document(document: Mapping[str, Any]) -> Terms:
    """The terms."""
    stacking = document["stacking"]
    return Terms(
        document["display_name"],
        document["currency"],
        _discount_from_document(document["discount"]),
        _validity_from_document(document["validity"]),
        scope=Scope(**{name: frozenset(each) for name, each in document["scope"].items()}),
        minimum_minor=document["minimum_minor"],
        stacking=Stacking(**(stacking | {"stacks_with": frozenset(stacking["stacks_with"])})),
        limits=limits_from_document(document["limits"]),
        audience=tuple(
            Audience(ProgramId(each["program_id"]), frozenset(TierId(tier) for tier in each["tier_ids"]))
            for each in document["audience"]
        ),
        channels=frozenset(document["channels"]),
        grace_days=document["grace_days"],
    )


def limits_to_document(limits: Limits) -> dict[str, Any]:
    """The limits."""
    return limits._asdict() | {"period": limits.period.value}


def limits_from_document(document: Mapping[str, Any]) -> Limits:
    """The limits."""
    return Limits(**(dict(document) | {"period": Period(document["period"])}))


def _discount_to_document(discount: Discount) -> dict[str, Any]:
    match discount:
        case AmountOff():
            return {"kind": "amount", "amount_minor": discount.amount_minor}
        case PercentOff():
            return {"kind": "percent", "basis_points": discount.basis_points, "cap_minor": discount.cap_minor}
        case FreeProduct():
            return {"kind": "free", "product_id": discount.product_id, "quantity": discount.quantity}
        case _:
            assert_never(discount)


def _discount_from_document(document: Mapping[str, Any]) -> Discount:
    if document["kind"] == "amount":
        return AmountOff(document["amount_minor"])
    if document["kind"] == "percent":
        return PercentOff(document["basis_points"], document["cap_minor"])
    return FreeProduct(document["product_id"], document["quantity"])


def _validity_to_document(validity: Fixed | Lasting) -> dict[str, Any]:
    if isinstance(validity, Lasting):
        return {"days": validity.days}
    return {"start": validity.start.isoformat(), "end": validity.end.isoformat()}


def _validity_from_document(document: Mapping[str, Any]) -> Fixed | Lasting:
    if "days" in document:
        return Lasting(document["days"])
    return Fixed(datetime.fromisoformat(document["start"]), datetime.fromisoformat(document["end"]))
