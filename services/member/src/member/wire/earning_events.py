"""Facts of the service's own that members are rewarded for."""

from collections.abc import Sequence

from chassis import times
from chassis.consumers import Delivery
from touchstone.member.v1 import care_events_pb2, care_pb2, member_events_pb2

from member.domain.customer import PersonId
from member.domain.earning import Occasion
from member.domain.earning_rule import Trigger
from member.domain.membership import MemberId
from member.use_cases.occasions import CareOccasion, MemberOccasion
from member.wire.customers import customer_id_from_proto


def upgrades_from_deliveries(
    deliveries: Sequence[Delivery[member_events_pb2.TierChanged]],
) -> list[MemberOccasion]:
    """Better tiers reached, each once for the member and its revision; the first tier and worse ones are none."""
    return [
        MemberOccasion(
            f"upgrade:{message.member_id}:{message.revision}",
            MemberId(message.member_id),
            Occasion(Trigger.UPGRADE, times.from_proto(message.occurred_at, "occurred_at"), subject=message.tier_id),
            f"{message.previous_tier_id} to {message.tier_id}",
        )
        for message in (delivery.message for delivery in deliveries)
        if message.previous_tier_id and message.rank > message.previous_rank
    ]


def enrolments_from_deliveries(
    deliveries: Sequence[Delivery[member_events_pb2.MemberEnrolled]],
) -> list[MemberOccasion]:
    """Memberships begun."""
    return [
        MemberOccasion(
            f"enrolment:{message.member_id}",
            MemberId(message.member_id),
            Occasion(Trigger.ENROLMENT, times.from_proto(message.occurred_at, "occurred_at")),
            "enrolment",
        )
        for message in (delivery.message for delivery in deliveries)
    ]


def care_from_delivery(delivery: Delivery[care_events_pb2.CareDue]) -> CareOccasion:
    """An occasion of care. Its subject is the holiday, or the occasion's own name, such as "birthday"."""
    message = delivery.message
    name = care_pb2.CareOccasion.Name(message.occasion).removeprefix("CARE_OCCASION_").lower()
    subject = message.subject_id if message.occasion == care_pb2.CARE_OCCASION_HOLIDAY else name
    occasion = Occasion(
        Trigger.OCCASION,
        times.from_proto(message.occurred_at, "occurred_at"),
        subject=subject,
        years=message.years,
    )
    return CareOccasion(
        f"care:{message.care_id}", customer_id_from_proto(message.customer_id), PersonId(message.person_id), occasion
    )
