"""What other services tell, as customer events, tags and states of this domain.

Each event keeps the source and identity under which it was told, so that a redelivery is the same event here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from chassis.consumers import Delivery
from touchstone.billing.v1 import billing_events_pb2 as billing
from touchstone.member.v1 import care_events_pb2, care_pb2, member_pb2
from touchstone.member.v1 import member_events_pb2 as member
from touchstone.scoring.v1 import scoring_events_pb2 as scoring

from campaign.domain.catalogue import EventTypeId, Scalar, TagId
from campaign.domain.intake import CustomerEvent, TagValue
from campaign.domain.purchases import ChargeId, Purchase
from campaign.domain.scores import Score
from campaign.use_cases.facts import State, TierHeld
from campaign.wire.intake import customer_id_from_proto

_KINDS = {member_pb2.CUSTOMER_KIND_HOUSEHOLD: "household", member_pb2.CUSTOMER_KIND_ENTERPRISE: "enterprise"}


@dataclass(frozen=True, slots=True)
class Told:
    """What one delivery comes to: an event, and tags that hold from it on."""

    event: CustomerEvent
    tags: list[TagValue]


def recharge_from_proto(delivery: Delivery[billing.AccountRecharged]) -> Told:
    """A recharge is a top-up."""
    m = delivery.message
    attributes: dict[str, Scalar] = {
        "account_id": m.account_id,
        "amount_minor": m.amount.minor_units,
        "balance_minor": m.balance_after.minor_units,
        "payment_channel": m.channel,
    }
    tags = _of_account(delivery, {"balance_minor": m.balance_after.minor_units}, sequence=m.account_version)
    return Told(_event(delivery, "top_up_succeeded", attributes), tags)


def purchase_from_proto(delivery: Delivery[billing.AccountCharged]) -> Purchase:
    """A charge is a purchase, also one of zero."""
    m = delivery.message
    return Purchase(
        source=delivery.source,
        event_id=delivery.event_id,
        charge_id=ChargeId(m.charge_id),
        account_id=m.account_id,
        customer_id=customer_id_from_proto(m.customer_id),
        amount_minor=m.amount.minor_units,
        balance_minor=m.balance_after.minor_units,
        account_version=m.account_version,
        description=m.description,
        occurred_at=delivery.occurred_at,
    )


def low_balance_from_proto(delivery: Delivery[billing.BalanceFellBelowThreshold]) -> Told:
    """The first threshold is the one that the bill plan sets."""
    m = delivery.message
    attributes: dict[str, Scalar] = {
        "account_id": m.account_id,
        "balance_minor": m.balance.minor_units,
        "threshold_minor": m.threshold.minor_units,
    }
    return Told(
        _event(delivery, "balance_below_l1", attributes),
        _of_account(delivery, {"below_threshold": True}, sequence=_stay_number(m.account_version, below=True)),
    )


def restored_balance_from_proto(delivery: Delivery[billing.BalanceRestored]) -> Told:
    """The balance is back at or above the threshold."""
    m = delivery.message
    attributes: dict[str, Scalar] = {
        "account_id": m.account_id,
        "balance_minor": m.balance.minor_units,
        "threshold_minor": m.threshold.minor_units,
    }
    return Told(
        _event(delivery, "balance_restored", attributes),
        _of_account(delivery, {"below_threshold": False}, sequence=_stay_number(m.account_version, below=False)),
    )


def _stay_number(account_version: int, *, below: bool) -> int:
    """The order of falls and returns. What moves nothing, another plan or a charge that is due, falls under the version
    of the movement before it, which may be the very one that brought the account back; no account is brought back by
    what moves nothing. So of the two that share a version the fall is the later."""
    return 2 * account_version + int(below)


def issued_bill_from_proto(delivery: Delivery[billing.BillIssued]) -> Told:
    """A bill."""
    m = delivery.message
    attributes: dict[str, Scalar] = {
        "account_id": m.account_id,
        "bill_id": m.bill_id,
        "amount_minor": m.amount.minor_units,
    }
    return Told(_event(delivery, "bill_issued", attributes), [])


def paid_bill_from_proto(delivery: Delivery[billing.BillPaid]) -> Told:
    """A bill that was paid is a payment received."""
    m = delivery.message
    attributes: dict[str, Scalar] = {
        "account_id": m.account_id,
        "bill_id": m.bill_id,
        "amount_minor": m.amount.minor_units,
    }
    return Told(_event(delivery, "payment_received", attributes), [])


def enrolment_from_proto(delivery: Delivery[member.MemberEnrolled]) -> Told:
    """A new member holds the first tier; sequence 0, so that any change of tier stands over it."""
    m = delivery.message
    attributes = {"program_id": m.program_id, "member_id": m.member_id, "tier": m.tier_id}
    tags: dict[str, Scalar] = {"is_member": True}
    if m.tier_id and not m.person_id:
        tags["tier"] = m.tier_id
    return Told(_event(delivery, "enrolled", attributes), _tags(delivery, tags, sequence=0))


def earned_points_from_proto(delivery: Delivery[member.PointsEarned]) -> Told:
    """Points that were given; what kind of earning it was stays with the member service."""
    m = delivery.message
    attributes = {"points": m.points, "points_balance": m.balance_after}
    return Told(_event(delivery, "points_earned", attributes), _points_balance(delivery))


def redeemed_points_from_proto(delivery: Delivery[member.PointsRedeemed]) -> Told:
    """Points that were spent."""
    m = delivery.message
    attributes = {"points": m.points, "points_balance": m.balance_after}
    return Told(_event(delivery, "points_redeemed", attributes), _points_balance(delivery))


def reversed_points_from_proto(delivery: Delivery[member.PointsReversed]) -> Told:
    """Points given back, or less than 0 where they were taken back."""
    m = delivery.message
    attributes = {"points": m.points, "points_balance": m.balance_after}
    return Told(_event(delivery, "points_reversed", attributes), _points_balance(delivery))


def expired_points_from_proto(delivery: Delivery[member.PointsExpired]) -> Told:
    """Points that came to their end."""
    m = delivery.message
    attributes = {"points": m.points, "points_balance": m.balance_after}
    return Told(_event(delivery, "points_expired", attributes), _points_balance(delivery))


def transferred_points_from_proto(delivery: Delivery[member.PointsTransferred]) -> list[TagValue]:
    """What both sides have after a transfer, which is no event of either; the receiver may be of another customer."""
    m = delivery.message
    sides = [
        (m.customer_id, m.from_person_id, m.from_balance_after, m.from_account_version),
        (m.to_customer_id or m.customer_id, m.to_person_id, m.to_balance_after, m.to_account_version),
    ]
    return [
        replace(tag, customer_id=customer_id_from_proto(customer_id))
        for customer_id, person_id, balance, version in sides
        if m.program_id in ("", "general") and not person_id
        for tag in _tags(delivery, {"points_balance": balance}, sequence=version)
    ]


def tier_from_proto(delivery: Delivery[member.TierChanged]) -> State[TierHeld]:
    """A tier of higher or lower rank is an event; the first one, and one of equal rank, is not."""
    m = delivery.message
    attributes: dict[str, Scalar] = {
        "program_id": m.program_id,
        "member_id": m.member_id,
        "tier": m.tier_id,
        "previous_tier": m.previous_tier_id,
    }
    event: CustomerEvent | None = None
    if m.previous_tier_id and m.rank != m.previous_rank:
        event_type = "tier_upgraded" if m.rank > m.previous_rank else "tier_downgraded"
        event = _event(delivery, event_type, attributes)
    tag = _tags(delivery, {"tier": m.tier_id}, sequence=m.revision)[0]
    return State(m.member_id, m.revision, TierHeld(tag, event))


def care_from_proto(delivery: Delivery[care_events_pb2.CareDue]) -> CustomerEvent | None:
    """A birthday, or an anniversary of a membership or a service with its full years; None for other care, for which
    there is no customer event. Whose birthday it is, and which, stays with the member service."""
    m = delivery.message
    match m.occasion:
        case care_pb2.CARE_OCCASION_BIRTHDAY:
            return _event(delivery, "birthday", {})
        case care_pb2.CARE_OCCASION_MEMBERSHIP_ANNIVERSARY | care_pb2.CARE_OCCASION_SERVICE_ANNIVERSARY:
            return _event(delivery, "anniversary", {"tenure_years": m.years})
        case _:
            return None


def score_from_proto(delivery: Delivery[scoring.CustomerScored]) -> Score:
    """A score; the days since the last purchase are told from its weeks. What the run could not estimate is no tag."""
    m = delivery.message.score
    estimated: dict[str, Scalar] = {
        name: getattr(m, name) for name in ("p_alive", "expected_purchases", "lifetime_value_minor") if m.HasField(name)
    }
    if m.band:
        estimated |= {"value_band": m.band, "value_decile": m.decile}
    figures: dict[str, Scalar] = estimated | {
        "lapsed": m.lapsed,
        "average_purchase_minor": m.monetary_minor,
        "days_since_last_purchase": round((m.age_weeks - m.recency_weeks) * 7),
        "rfm_recency": m.recency_quintile,
        "rfm_frequency": m.frequency_quintile,
        "rfm_monetary": m.monetary_quintile,
    }
    return Score(
        source=delivery.source,
        event_id=delivery.event_id,
        customer_id=customer_id_from_proto(m.customer_id),
        as_of=delivery.occurred_at,
        revision=delivery.message.revision,
        tags={TagId(name): value for name, value in figures.items()},
    )


def customer_kind_from_proto(delivery: Delivery[member.CustomerRegistered]) -> list[TagValue]:
    """What kind of customer it is, where that is said."""
    kind = _KINDS.get(delivery.message.kind)
    return [] if kind is None else _tags(delivery, {"customer_kind": kind}, sequence=delivery.message.revision)


def _points_balance(
    delivery: Delivery[member.PointsEarned]
    | Delivery[member.PointsRedeemed]
    | Delivery[member.PointsReversed]
    | Delivery[member.PointsExpired],
) -> list[TagValue]:
    """The customer's balance is that of its general membership as a whole. Points of a person or of another program are
    none of it; an event told before programs were named is of the general one."""
    m = delivery.message
    if m.program_id not in ("", "general") or m.person_id:
        return []
    return _tags(delivery, {"points_balance": m.balance_after}, sequence=m.account_version)


def _event(delivery: Delivery[Any], event_type: str, attributes: Mapping[str, Scalar]) -> CustomerEvent:
    """Empty text is how protobuf says that something is not known: such an attribute is left out."""
    return CustomerEvent(
        source=delivery.source,
        event_id=delivery.event_id,
        event_type=EventTypeId(event_type),
        customer_id=customer_id_from_proto(delivery.message.customer_id),
        occurred_at=delivery.occurred_at,
        attributes={name: value for name, value in attributes.items() if value != ""},
    )


def _of_account(delivery: Delivery[Any], values: Mapping[str, Scalar], *, sequence: int) -> list[TagValue]:
    """Tags whose order the account itself knows: what is booked late is the last word all the same."""
    account_id = delivery.message.account_id
    return [replace(tag, account_id=account_id) for tag in _tags(delivery, values, sequence=sequence)]


def _tags(delivery: Delivery[Any], values: Mapping[str, Scalar], *, sequence: int) -> list[TagValue]:
    customer_id = customer_id_from_proto(delivery.message.customer_id)
    return [TagValue(customer_id, TagId(tag), value, delivery.occurred_at, sequence) for tag, value in values.items()]
