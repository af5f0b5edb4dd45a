"""Entitlements, uses of benefits and grants between protobuf and the domain."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from chassis import times
from chassis.auth import current_caller
from chassis.errors import InvalidArgument
from chassis.ids import check_id
from google.protobuf.message import Message
from touchstone.member.v1 import benefit_events_pb2, benefit_pb2
from touchstone.member.v1 import benefit_service_pb2 as pb

from member.domain.benefit import Benefit, BenefitId, Perk, ProductFamily
from member.domain.benefit_grant import Grant
from member.domain.benefit_use import BenefitUse, TakeBenefit, UseId, UseState
from member.domain.customer import EVERYBODY, PersonId
from member.domain.entitlement import (
    Entitlements,
    EntitlementsChanged,
    GrantedBenefit,
    GrantId,
    HeldTier,
    QuotaCount,
    QuotaLeft,
    SourceId,
)
from member.use_cases.benefit_grants import GrantBenefit, RevokeBenefit
from member.use_cases.benefit_uses import EndReservation
from member.use_cases.entitlements import Refreshed
from member.wire.benefits import benefit_from_proto, benefit_to_proto, period_to_proto
from member.wire.customers import customer_id_from_proto
from member.wire.points import transaction_id_of

_STATES = {
    UseState.RESERVED: benefit_pb2.BENEFIT_USE_STATE_RESERVED,
    UseState.USED: benefit_pb2.BENEFIT_USE_STATE_USED,
    UseState.RELEASED: benefit_pb2.BENEFIT_USE_STATE_RELEASED,
    UseState.EXPIRED: benefit_pb2.BENEFIT_USE_STATE_EXPIRED,
}


def person_id_from_proto(person_id: str) -> PersonId:
    """A person's id, everybody where it is empty, or InvalidArgument naming person_id."""
    return PersonId(check_id("person_id", person_id)) if person_id else EVERYBODY


def benefit_id_from_proto(benefit_id: str) -> BenefitId:
    """A benefit's id, or InvalidArgument naming benefit_id."""
    return BenefitId(check_id("benefit_id", benefit_id))


def as_of_from_proto(request: pb.GetEntitlementsRequest) -> datetime | None:
    """The instant asked about; None where it is not said."""
    return times.from_proto(request.as_of, "as_of") if request.HasField("as_of") else None


def entitlements_to_proto(held: Entitlements) -> pb.GetEntitlementsResponse:
    """What a customer is entitled to at an instant."""
    return pb.GetEntitlementsResponse(
        entitlements=benefit_pb2.Entitlements(
            customer_id=held.state.customer_id,
            person_id=held.person_id,
            tiers=[_tier_to_proto(tier) for tier in held.tiers],
            discounts=_rates_to_proto(held.discounts),
            earn_rates=_rates_to_proto(held.earn_rates),
            service_priority=held.service_priority,
            event_priority=held.event_priority,
            quotas=[_quota_left_to_proto(quota) for quota in held.quotas],
            perks=[_perk_to_proto(benefit) for benefit in held.perks],
            revision=held.state.revision,
        )
    )


def reserve_from_proto(request: pb.ReserveBenefitRequest) -> TakeBenefit:
    """The place to reserve, or InvalidArgument."""
    expires_at = times.from_proto(request.expires_at, "expires_at")
    return _take(request, transaction_id_of("reserve_benefit", request.request_id), expires_at)


def use_from_proto(request: pb.UseBenefitRequest) -> TakeBenefit:
    """The benefit to use, or InvalidArgument."""
    return _take(request, transaction_id_of("use_benefit", request.request_id), None)


def end_from_proto(request: pb.ConfirmBenefitRequest | pb.ReleaseBenefitRequest) -> EndReservation:
    """The end that a request puts to a reservation, or InvalidArgument."""
    confirmed = isinstance(request, pb.ConfirmBenefitRequest)
    return EndReservation(
        customer_id_from_proto(request.customer_id),
        UseId(check_id("use_id", request.use_id)),
        UseState.USED if confirmed else UseState.RELEASED,
        times.from_proto(request.occurred_at, "occurred_at"),
    )


def expire_reservations_from_proto(request: pb.ExpireBenefitReservationsRequest) -> datetime:
    """The instant by which reservations have ended, or InvalidArgument."""
    return times.from_proto(request.as_of, "as_of")


def reservations_expired_to_proto(expired: int) -> pb.ExpireBenefitReservationsResponse:
    """How many reservations were booked as ended."""
    return pb.ExpireBenefitReservationsResponse(expired=expired)


def refreshed_to_proto(refreshed: Refreshed) -> pb.RefreshEntitlementsResponse:
    """What a round looked at."""
    return pb.RefreshEntitlementsResponse(customers=refreshed.customers)


def reserved_to_proto(use: BenefitUse) -> pb.ReserveBenefitResponse:
    """The reservation."""
    return pb.ReserveBenefitResponse(use=benefit_use_to_proto(use))


def used_to_proto(use: BenefitUse) -> pb.UseBenefitResponse:
    """The use."""
    return pb.UseBenefitResponse(use=benefit_use_to_proto(use))


def confirmed_to_proto(use: BenefitUse) -> pb.ConfirmBenefitResponse:
    """The reservation, used."""
    return pb.ConfirmBenefitResponse(use=benefit_use_to_proto(use))


def released_to_proto(use: BenefitUse) -> pb.ReleaseBenefitResponse:
    """The reservation, given back."""
    return pb.ReleaseBenefitResponse(use=benefit_use_to_proto(use))


def benefit_use_to_proto(use: BenefitUse) -> benefit_pb2.BenefitUse:
    """One use."""
    return benefit_pb2.BenefitUse(
        use_id=use.use_id,
        customer_id=use.customer_id,
        person_id=use.person_id,
        source_id=use.source_id,
        benefit_id=use.benefit_id,
        state=_STATES[use.state],
        occurred_at=times.to_proto(use.occurred_at),
        expires_at=times.to_proto(use.expires_at) if use.expires_at else None,
        ended_at=times.to_proto(use.ended_at) if use.ended_at else None,
        note=use.note,
    )


def grant_from_proto(request: pb.GrantBenefitRequest) -> GrantBenefit:
    """The benefit to grant, or InvalidArgument."""
    if not request.HasField("benefit"):
        raise InvalidArgument("benefit", "is required")
    return GrantBenefit(
        customer_id=customer_id_from_proto(request.customer_id),
        person_id=person_id_from_proto(request.person_id),
        benefit=benefit_from_proto("benefit", request.benefit),
        starts_at=times.from_proto(request.starts_at, "starts_at"),
        ends_at=times.from_proto(request.ends_at, "ends_at"),
        reason=request.reason,
        granted_by=current_caller().subject,
    )


def revoke_from_proto(request: pb.RevokeBenefitRequest) -> RevokeBenefit:
    """The grant to take back, or InvalidArgument."""
    return RevokeBenefit(
        customer_id=customer_id_from_proto(request.customer_id),
        grant_id=GrantId(check_id("grant_id", request.grant_id)),
        occurred_at=times.from_proto(request.occurred_at, "occurred_at"),
        reason=request.reason,
        revoked_by=current_caller().subject,
    )


def granted_to_proto(grant: Grant) -> pb.GrantBenefitResponse:
    """The grant as it was made."""
    return pb.GrantBenefitResponse(grant=benefit_grant_to_proto(grant))


def revoked_to_proto(grant: Grant) -> pb.RevokeBenefitResponse:
    """The grant as it was taken back."""
    return pb.RevokeBenefitResponse(grant=benefit_grant_to_proto(grant))


def benefit_grant_to_proto(grant: Grant) -> benefit_pb2.BenefitGrant:
    """One grant."""
    return benefit_pb2.BenefitGrant(
        grant_id=grant.grant_id,
        customer_id=grant.customer_id,
        person_id=grant.person_id,
        benefit=benefit_to_proto(grant.benefit),
        starts_at=times.to_proto(grant.starts_at),
        ends_at=times.to_proto(grant.ends_at),
        reason=grant.reason,
        granted_by=grant.granted_by,
        recorded_at=times.to_proto(grant.recorded_at),
        revoked_by=grant.revoked_by,
        revoke_reason=grant.revoke_reason,
        revoked_at=times.to_proto(grant.revoked_at) if grant.revoked_at else None,
    )


def entitlements_changed_to_proto(fact: EntitlementsChanged) -> benefit_events_pb2.EntitlementsChanged:
    """The event of a customer's entitlements, whole."""
    state = fact.state
    return benefit_events_pb2.EntitlementsChanged(
        customer_id=state.customer_id,
        tiers=[_held_tier_to_proto(tier) for tier in state.tiers],
        grants=[_granted_to_proto(grant) for grant in state.grants],
        counts=[_count_to_proto(count) for count in state.counts],
        occurred_at=times.to_proto(fact.occurred_at),
        revision=fact.revision,
    )


FACTS: Mapping[type[Any], Callable[[Any], Message]] = {EntitlementsChanged: entitlements_changed_to_proto}


def _take(
    request: pb.ReserveBenefitRequest | pb.UseBenefitRequest, use_id: str, expires_at: datetime | None
) -> TakeBenefit:
    return TakeBenefit(
        UseId(use_id),
        customer_id_from_proto(request.customer_id),
        person_id_from_proto(request.person_id),
        benefit_id_from_proto(request.benefit_id),
        SourceId(check_id("source_id", request.source_id)) if request.source_id else None,
        times.from_proto(request.occurred_at, "occurred_at"),
        expires_at,
        request.note,
    )


def _tier_to_proto(tier: HeldTier) -> benefit_pb2.TierHeld:
    return benefit_pb2.TierHeld(
        member_id=tier.member_id,
        program_id=tier.program_id,
        person_id=tier.person_id,
        tier_id=tier.tier_id,
        rank=tier.rank,
    )


def _held_tier_to_proto(tier: HeldTier) -> benefit_pb2.HeldTier:
    return benefit_pb2.HeldTier(
        member_id=tier.member_id,
        program_id=tier.program_id,
        person_id=tier.person_id,
        tier_id=tier.tier_id,
        rank=tier.rank,
        benefits=[benefit_to_proto(benefit) for benefit in tier.benefits],
    )


def _granted_to_proto(grant: GrantedBenefit) -> benefit_pb2.GrantedBenefit:
    return benefit_pb2.GrantedBenefit(
        grant_id=grant.grant_id,
        person_id=grant.person_id,
        benefit=benefit_to_proto(grant.benefit),
        starts_at=times.to_proto(grant.starts_at),
        ends_at=times.to_proto(grant.ends_at),
    )


def _count_to_proto(count: QuotaCount) -> benefit_pb2.QuotaCount:
    return benefit_pb2.QuotaCount(
        source_id=count.source_id,
        benefit_id=count.benefit_id,
        period_start=times.to_proto(count.span.start),
        period_end=times.to_proto(count.span.end),
        used=count.used,
        reserved_until=[times.to_proto(until) for until in count.reserved_until],
    )


def _quota_left_to_proto(left: QuotaLeft) -> benefit_pb2.QuotaLeft:
    return benefit_pb2.QuotaLeft(
        source_id=left.source_id,
        benefit_id=left.benefit.benefit_id,
        display_name=left.benefit.display_name,
        period=period_to_proto(left.quota.period),
        allowed=left.quota.uses,
        used=left.used,
        reserved=left.reserved,
        available=left.available,
        renews_at=times.to_proto(left.renews_at) if left.renews_at else None,
    )


def _rates_to_proto(rates: dict[ProductFamily, int]) -> list[benefit_pb2.FamilyRate]:
    return [benefit_pb2.FamilyRate(product_family=family, rate=rate) for family, rate in sorted(rates.items())]


def _perk_to_proto(benefit: Benefit) -> benefit_pb2.PerkHeld:
    said = benefit.terms.text if isinstance(benefit.terms, Perk) else ""
    return benefit_pb2.PerkHeld(benefit_id=benefit.benefit_id, display_name=benefit.display_name, text=said)
