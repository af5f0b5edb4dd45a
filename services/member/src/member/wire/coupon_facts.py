"""Facts of coupons as events. Codes are not told: who has one may use it."""

from collections.abc import Callable, Mapping
from typing import Any

from chassis import times
from google.protobuf.message import Message
from touchstone.member.v1 import coupon_events_pb2 as events

from member.domain.coupon import (
    Act,
    CouponExpired,
    CouponFact,
    CouponIssued,
    CouponRedeemed,
    CouponRedemptionReversed,
    CouponReleased,
    CouponReserved,
    CouponVoided,
    Use,
)
from member.domain.coupon_template import CouponTemplateChanged, TemplateVersion
from member.wire.coupon_terms import template_to_proto
from member.wire.money import money_to_proto


def template_changed_to_proto(fact: CouponTemplateChanged) -> events.CouponTemplateChanged:
    """The event of a template."""
    template = fact.template
    shown = TemplateVersion(template, template.active_version or template.latest_version, fact.terms)
    return events.CouponTemplateChanged(
        template=template_to_proto(shown), occurred_at=times.to_proto(fact.occurred_at), revision=fact.revision
    )


def issued_to_proto(fact: CouponIssued) -> events.CouponIssued:
    """The event of a coupon that a member got."""
    coupon = fact.step.coupon
    assert coupon.holder is not None
    return events.CouponIssued(
        **_common(fact),
        template_version=coupon.version,
        person_id=coupon.holder.person_id,
        claimed=fact.step.act is Act.CLAIMED,
        valid_to=times.to_proto(coupon.valid_to) if coupon.valid_to else None,
        reason=coupon.reason,
    )


def reserved_to_proto(fact: CouponReserved) -> events.CouponReserved:
    """The event of a coupon set aside."""
    use = _use(fact)
    until = times.to_proto(use.ends_at) if use.ends_at else None
    return events.CouponReserved(
        **_common(fact), order_id=use.order_id, discount=money_to_proto(use.discount), reserved_until=until
    )


def released_to_proto(fact: CouponReleased) -> events.CouponReleased:
    """The event of a coupon that is free again."""
    return events.CouponReleased(**_common(fact), order_id=_use(fact).order_id, lapsed=fact.step.act is Act.LAPSED)


def redeemed_to_proto(fact: CouponRedeemed) -> events.CouponRedeemed:
    """The event of a coupon spent."""
    use = _use(fact)
    return events.CouponRedeemed(**_common(fact), order_id=use.order_id, discount=money_to_proto(use.discount))


def reversed_to_proto(fact: CouponRedemptionReversed) -> events.CouponRedemptionReversed:
    """The event of a redemption undone."""
    use = _use(fact)
    return events.CouponRedemptionReversed(
        **_common(fact), order_id=use.order_id, discount=money_to_proto(use.discount), reason=fact.step.by.reason
    )


def expired_to_proto(fact: CouponExpired) -> events.CouponExpired:
    """The event of a coupon that expired."""
    return events.CouponExpired(**_common(fact))


def voided_to_proto(fact: CouponVoided) -> events.CouponVoided:
    """The event of a coupon withdrawn."""
    return events.CouponVoided(**_common(fact), reason=fact.step.by.reason)


FACTS: Mapping[type[Any], Callable[[Any], Message]] = {
    CouponTemplateChanged: template_changed_to_proto,
    CouponIssued: issued_to_proto,
    CouponReserved: reserved_to_proto,
    CouponReleased: released_to_proto,
    CouponRedeemed: redeemed_to_proto,
    CouponRedemptionReversed: reversed_to_proto,
    CouponExpired: expired_to_proto,
    CouponVoided: voided_to_proto,
}


def _common(fact: CouponFact) -> dict[str, Any]:
    coupon = fact.step.coupon
    assert coupon.holder is not None
    return {
        "coupon_id": coupon.coupon_id,
        "template_id": coupon.template_id,
        "customer_id": coupon.holder.customer_id,
        "occurred_at": times.to_proto(fact.occurred_at),
        "revision": coupon.revision,
    }


def _use(fact: CouponFact) -> Use:
    assert fact.step.use is not None
    return fact.step.use
