"""Terms and templates of coupons between protobuf and the domain."""

from collections.abc import Sequence

from chassis import times
from chassis.auth import current_caller
from chassis.calendar import Period
from chassis.errors import InvalidArgument
from chassis.ids import check_id
from touchstone.common.v1 import common_pb2
from touchstone.member.v1 import coupon_pb2
from touchstone.member.v1 import coupon_service_pb2 as pb

from member.domain.coupon import CouponState
from member.domain.coupon_template import (
    MAX_LIST,
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
    TemplateId,
    TemplateState,
    TemplateVersion,
    Terms,
)
from member.domain.program import ProgramId, TierId
from member.store.coupon_templates import AuditEntry
from member.use_cases.coupon_templates import ActivateTemplate, EndTemplate, Figures, PutTemplate

_PERIODS = {
    Period.DAY: coupon_pb2.COUPON_PERIOD_DAY,
    Period.WEEK: coupon_pb2.COUPON_PERIOD_WEEK,
    Period.MONTH: coupon_pb2.COUPON_PERIOD_MONTH,
    Period.QUARTER: coupon_pb2.COUPON_PERIOD_QUARTER,
    Period.YEAR: coupon_pb2.COUPON_PERIOD_YEAR,
    Period.EVER: coupon_pb2.COUPON_PERIOD_EVER,
}
_PERIODS_KNOWN = {number: period for period, number in _PERIODS.items()} | {
    coupon_pb2.COUPON_PERIOD_UNSPECIFIED: Period.EVER
}
_STATES = {
    TemplateState.DRAFT: coupon_pb2.COUPON_TEMPLATE_STATE_DRAFT,
    TemplateState.ACTIVE: coupon_pb2.COUPON_TEMPLATE_STATE_ACTIVE,
    TemplateState.ENDED: coupon_pb2.COUPON_TEMPLATE_STATE_ENDED,
}
_STATES_KNOWN = {number: state for state, number in _STATES.items()}


def template_id_from_proto(template_id: str) -> TemplateId:
    """A template's id, or InvalidArgument naming template_id."""
    return TemplateId(check_id("template_id", template_id))


def put_template_from_proto(request: pb.PutCouponTemplateRequest) -> PutTemplate:
    """The draft to put, or InvalidArgument."""
    if not request.HasField("terms"):
        raise InvalidArgument("terms", "is required")
    template_id = template_id_from_proto(request.template_id)
    return PutTemplate(template_id, terms_from_proto(request.terms), current_caller().subject)


def activate_from_proto(request: pb.ActivateCouponTemplateRequest) -> ActivateTemplate:
    """The template to activate, or InvalidArgument."""
    return ActivateTemplate(template_id_from_proto(request.template_id), current_caller().subject)


def end_from_proto(request: pb.EndCouponTemplateRequest) -> EndTemplate:
    """The template to end, or InvalidArgument."""
    return EndTemplate(template_id_from_proto(request.template_id), request.reason, current_caller().subject)


def version_from_proto(request: pb.GetCouponTemplateRequest) -> tuple[TemplateId, int]:
    """The version asked for, or InvalidArgument; 0 is the active one."""
    if request.version < 0:
        raise InvalidArgument("version", "must be 0 or more")
    return template_id_from_proto(request.template_id), request.version


def template_state_from_proto(state: coupon_pb2.CouponTemplateState.ValueType) -> TemplateState | None:
    """The state asked for, None for all, or InvalidArgument."""
    if state == coupon_pb2.COUPON_TEMPLATE_STATE_UNSPECIFIED:
        return None
    if state not in _STATES_KNOWN:
        raise InvalidArgument("state", "is unknown")
    return _STATES_KNOWN[state]


def template_to_proto(shown: TemplateVersion) -> coupon_pb2.CouponTemplate:
    """The template with the terms of a version."""
    template = shown.template
    return coupon_pb2.CouponTemplate(
        template_id=template.template_id,
        state=_STATES[template.state],
        active_version=template.active_version,
        latest_version=template.latest_version,
        version=shown.version,
        terms=terms_to_proto(shown.terms),
        revision=template.revision,
    )


def audit_to_proto(entry: AuditEntry) -> coupon_pb2.CouponAuditEntry:
    """What was done to a template."""
    return coupon_pb2.CouponAuditEntry(
        act=entry.act,
        version=entry.version,
        actor=entry.actor,
        reason=entry.reason,
        recorded_at=times.to_proto(entry.recorded_at),
    )


def figures_to_proto(figures: Figures) -> pb.GetCouponFiguresResponse:
    """The figures of a template."""
    by_state = figures.by_state
    return pb.GetCouponFiguresResponse(
        issued=figures.issued,
        unassigned=by_state.get(CouponState.UNASSIGNED, 0),
        open=by_state.get(CouponState.OPEN, 0),
        reserved=by_state.get(CouponState.RESERVED, 0),
        redeemed=by_state.get(CouponState.REDEEMED, 0),
        expired=by_state.get(CouponState.EXPIRED, 0),
        void=by_state.get(CouponState.VOID, 0),
        discount_given=common_pb2.Money(minor_units=figures.discount_minor, currency=figures.currency),
    )


def terms_from_proto(terms: coupon_pb2.CouponTerms) -> Terms:
    """The terms, or InvalidArgument naming the field."""
    return Terms(
        terms.display_name,
        terms.currency,
        _discount_from_proto(terms.discount),
        _validity_from_proto(terms.validity),
        scope=Scope(
            _ids("scope.product_ids", terms.scope.product_ids),
            _ids("scope.families", terms.scope.families),
            _ids("scope.excluded_product_ids", terms.scope.excluded_product_ids),
            _ids("scope.excluded_families", terms.scope.excluded_families),
        ),
        minimum_minor=terms.minimum_spend_minor_units,
        stacking=_stacking_from_proto(terms.stacking),
        limits=_limits_from_proto(terms.limits),
        audience=_audience_from_proto(terms.audience),
        channels=_ids("channels", terms.channels),
        grace_days=terms.reversal_grace_days,
    )


def terms_to_proto(terms: Terms) -> coupon_pb2.CouponTerms:
    """The terms; lists are sorted."""
    scope, stacking, limits = terms.scope, terms.stacking, terms.limits
    return coupon_pb2.CouponTerms(
        display_name=terms.display_name,
        currency=terms.currency,
        discount=_discount_to_proto(terms.discount),
        validity=_validity_to_proto(terms.validity),
        scope=coupon_pb2.CouponScope(**{name: sorted(each) for name, each in scope._asdict().items()}),
        minimum_spend_minor_units=terms.minimum_minor,
        stacking=coupon_pb2.CouponStacking(
            exclusive=stacking.exclusive,
            group=stacking.group,
            stacks_with=sorted(stacking.stacks_with),
            group_limit=stacking.group_limit,
            order_limit=stacking.order_limit,
        ),
        limits=coupon_pb2.CouponLimits(
            issued=limits.issued,
            used=limits.used,
            issued_per_member=limits.issued_per_member,
            used_per_member=limits.used_per_member,
            period=_PERIODS[limits.period],
        ),
        audience=[
            coupon_pb2.CouponAudience(program_id=each.program_id, tier_ids=sorted(each.tier_ids))
            for each in terms.audience
        ],
        channels=sorted(terms.channels),
        reversal_grace_days=terms.grace_days,
    )


def _discount_from_proto(discount: coupon_pb2.CouponDiscount) -> Discount:
    match discount.WhichOneof("kind"):
        case "amount_off_minor_units":
            return AmountOff(discount.amount_off_minor_units)
        case "percent_off":
            return PercentOff(discount.percent_off.basis_points, discount.percent_off.cap_minor_units)
        case "free_product":
            free = discount.free_product
            product_id = check_id("terms.discount.free_product.product_id", free.product_id)
            return FreeProduct(product_id, free.quantity or 1)
        case _:
            raise InvalidArgument("terms.discount", "must be an amount, a percentage or a free product")


def _discount_to_proto(discount: Discount) -> coupon_pb2.CouponDiscount:
    match discount:
        case AmountOff():
            return coupon_pb2.CouponDiscount(amount_off_minor_units=discount.amount_minor)
        case PercentOff():
            percent = coupon_pb2.PercentOff(basis_points=discount.basis_points, cap_minor_units=discount.cap_minor)
            return coupon_pb2.CouponDiscount(percent_off=percent)
        case FreeProduct():
            free = coupon_pb2.FreeProduct(product_id=discount.product_id, quantity=discount.quantity)
            return coupon_pb2.CouponDiscount(free_product=free)


def _validity_from_proto(validity: coupon_pb2.CouponValidity) -> Fixed | Lasting:
    match validity.WhichOneof("kind"):
        case "fixed":
            return Fixed(
                times.from_proto(validity.fixed.start, "terms.validity.fixed.start"),
                times.from_proto(validity.fixed.end, "terms.validity.fixed.end"),
            )
        case "days":
            return Lasting(validity.days)
        case _:
            raise InvalidArgument("terms.validity", "must be a fixed span or a number of days")


def _validity_to_proto(validity: Fixed | Lasting) -> coupon_pb2.CouponValidity:
    if isinstance(validity, Lasting):
        return coupon_pb2.CouponValidity(days=validity.days)
    span = coupon_pb2.CouponSpan(start=times.to_proto(validity.start), end=times.to_proto(validity.end))
    return coupon_pb2.CouponValidity(fixed=span)


def _stacking_from_proto(stacking: coupon_pb2.CouponStacking) -> Stacking:
    group = check_id("terms.stacking.group", stacking.group) if stacking.group else ""
    named = _ids("stacking.stacks_with", [each for each in stacking.stacks_with if each])
    nobody = frozenset([""]) if "" in stacking.stacks_with else frozenset()
    return Stacking(stacking.exclusive, group, named | nobody, stacking.group_limit, stacking.order_limit)


def _limits_from_proto(limits: coupon_pb2.CouponLimits) -> Limits:
    if limits.period not in _PERIODS_KNOWN:
        raise InvalidArgument("terms.limits.period", "is unknown")
    return Limits(
        limits.issued,
        limits.used,
        limits.issued_per_member,
        limits.used_per_member,
        _PERIODS_KNOWN[limits.period],
    )


def _audience_from_proto(audience: Sequence[coupon_pb2.CouponAudience]) -> tuple[Audience, ...]:
    if len(audience) > MAX_LIST:
        raise InvalidArgument("terms.audience", f"must have at most {MAX_LIST} items")
    return tuple(
        Audience(
            ProgramId(check_id(f"terms.audience[{index}].program_id", each.program_id)),
            frozenset(TierId(tier) for tier in _ids(f"audience[{index}].tier_ids", each.tier_ids)),
        )
        for index, each in enumerate(audience)
    )


def _ids(name: str, values: Sequence[str]) -> frozenset[str]:
    if len(values) > MAX_LIST:
        raise InvalidArgument(f"terms.{name}", f"must have at most {MAX_LIST} items")
    return frozenset(check_id(f"terms.{name}[{index}]", each) for index, each in enumerate(values))
