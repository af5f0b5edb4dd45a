"""Facts as events. None of them carries a name, a phone number or an address."""

from collections.abc import Callable, Mapping
from typing import Any

from chassis import times
from chassis.outbox import Routed
from google.protobuf.message import Message
from touchstone.member.v1 import member_events_pb2

from member.domain.customer import CustomerRegistered
from member.domain.membership import Holder, MemberEnrolled, TierChanged
from member.domain.points import PaymentRewarded, PointsEarned, PointsExpired, PointsRedeemed
from member.wire import (
    activities,
    care,
    clubs,
    consents,
    coupon_facts,
    customer_changes,
    entitlements,
    managers,
    merchants,
    program_facts,
    shop,
    spending,
    tasks,
)
from member.wire.customers import customer_kind_to_proto
from member.wire.money import money_to_proto


def customer_registered_to_proto(fact: CustomerRegistered) -> member_events_pb2.CustomerRegistered:
    """The event of a customer's becoming known or changing."""
    return member_events_pb2.CustomerRegistered(
        customer_id=fact.customer_id,
        kind=customer_kind_to_proto(fact.kind),
        occurred_at=times.to_proto(fact.occurred_at),
        revision=fact.revision,
    )


def member_enrolled_to_proto(fact: MemberEnrolled) -> member_events_pb2.MemberEnrolled:
    """The event of a new membership."""
    return member_events_pb2.MemberEnrolled(
        member_id=fact.member_id,
        customer_id=fact.holder.customer_id,
        program_id=fact.holder.program_id,
        person_id=fact.holder.person_id,
        tier_id=fact.tier_id,
        occurred_at=times.to_proto(fact.occurred_at),
    )


def tier_changed_to_proto(fact: TierChanged) -> member_events_pb2.TierChanged:
    """The event of a tier; the previous one is empty at the first."""
    return member_events_pb2.TierChanged(
        member_id=fact.member_id,
        customer_id=fact.holder.customer_id,
        program_id=fact.holder.program_id,
        person_id=fact.holder.person_id,
        previous_tier_id=fact.previous.tier_id if fact.previous else "",
        previous_rank=fact.previous.rank if fact.previous else 0,
        tier_id=fact.tier.tier_id,
        rank=fact.tier.rank,
        occurred_at=times.to_proto(fact.occurred_at),
        revision=fact.revision,
    )


def points_earned_to_proto(fact: PointsEarned) -> member_events_pb2.PointsEarned:
    """The event of points given."""
    return member_events_pb2.PointsEarned(
        member_id=fact.member_id,
        **_named(fact.holder),
        points=fact.points,
        balance_after=fact.balance_after,
        kind=fact.kind.value,
        transaction_id=fact.transaction_id,
        occurred_at=times.to_proto(fact.occurred_at),
        account_version=fact.account_version,
    )


def payment_rewarded_to_proto(fact: PaymentRewarded) -> member_events_pb2.PaymentRewarded:
    """The event of a payment that gave points."""
    return member_events_pb2.PaymentRewarded(
        member_id=fact.member_id,
        kind=fact.kind.value,
        transaction_id=fact.transaction_id,
        occurred_at=times.to_proto(fact.occurred_at),
    )


def points_redeemed_to_proto(fact: PointsRedeemed) -> member_events_pb2.PointsRedeemed:
    """The event of points spent."""
    return member_events_pb2.PointsRedeemed(
        member_id=fact.member_id,
        **_named(fact.holder),
        points=fact.points,
        balance_after=fact.balance_after,
        transaction_id=fact.transaction_id,
        occurred_at=times.to_proto(fact.occurred_at),
        account_version=fact.account_version,
        purpose=fact.purpose,
        reference=fact.reference,
        cash_off=None if fact.cash_off is None else money_to_proto(fact.cash_off),
    )


def points_expired_to_proto(fact: PointsExpired) -> member_events_pb2.PointsExpired:
    """The event of points that reached the end of their life."""
    return member_events_pb2.PointsExpired(
        member_id=fact.member_id,
        **_named(fact.holder),
        points=fact.points,
        balance_after=fact.balance_after,
        occurred_at=times.to_proto(fact.occurred_at),
        account_version=fact.account_version,
    )


_TOLD: Mapping[type[Any], Callable[[Any], Message | Routed]] = {
    CustomerRegistered: customer_registered_to_proto,
    MemberEnrolled: member_enrolled_to_proto,
    TierChanged: tier_changed_to_proto,
    PointsEarned: points_earned_to_proto,
    PaymentRewarded: payment_rewarded_to_proto,
    PointsRedeemed: points_redeemed_to_proto,
    PointsExpired: points_expired_to_proto,
}

FACTS: Mapping[type[Any], Callable[[Any], Message | Routed]] = {
    **_TOLD,
    **consents.FACTS,
    **care.FACTS,
    **managers.FACTS,
    **customer_changes.FACTS,
    **entitlements.FACTS,
    **clubs.FACTS,
    **tasks.FACTS,
    **activities.FACTS,
    **merchants.FACTS,
    **coupon_facts.FACTS,
    **shop.FACTS,
    **spending.FACTS,
    **program_facts.FACTS,
}


def _named(holder: Holder) -> dict[str, str]:
    """Whose points they are."""
    return {"customer_id": holder.customer_id, "program_id": holder.program_id, "person_id": holder.person_id}
