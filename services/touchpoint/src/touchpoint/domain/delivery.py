"""Webhook endpoints and deliveries: the retry schedule, and what an answer makes of a delivery."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from chassis.errors import InvalidArgument, NotFound

from touchpoint.domain.contact import Contact
from touchpoint.domain.identity import ContactId, DeliveryId, EndpointId, PartnerId, TouchpointCode

OFFER_DISPATCHED = "offer.dispatched"
JITTER = 0.2
GONE = 410

# Delay before each attempt in seconds: at once, 5 s, 5 min, 30 min, then hours, over about three days.
STANDARD_SCHEDULE_SECONDS = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)


class EndpointNotFound(NotFound):
    """There is no such webhook endpoint."""


class DeliveryNotFound(NotFound):
    """There is no such delivery."""


class DeliveryState(StrEnum):
    """Pending until the receiver answers 2xx or the schedule is used up."""

    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A partner's address. The secret never leaves with it; a disabled endpoint keeps its queue."""

    endpoint_id: EndpointId
    partner_id: PartnerId
    url: str
    touchpoints: tuple[TouchpointCode, ...]
    disabled: bool = False

    def __post_init__(self) -> None:
        if not self.touchpoints or len(set(self.touchpoints)) < len(self.touchpoints):
            raise InvalidArgument("touchpoints", "must name different touchpoints, at least one")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one attempt came to. `status` is 0 where no answer came; `error` is empty on success."""

    status: int
    error: str
    duration_ms: int

    @property
    def accepted(self) -> bool:
        """Whether the receiver took the message."""
        return not self.error

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no more messages."""
        return self.status == GONE


def answer_of(status: int, duration_ms: int) -> Answer:
    """The answer that a receiver gave: any 2xx takes the message and nothing else does; a redirect is not followed."""
    if 200 <= status < 300:
        return Answer(status, "", duration_ms)
    return Answer(status, "a redirect is not followed" if 300 <= status < 400 else f"status {status}", duration_ms)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a delivery stands after an attempt. `wait` is the time until the next one while it is pending."""

    state: DeliveryState
    wait: timedelta | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to an endpoint. `attempts_before` were made before the last replay and do not use up its schedule.

    Times are system times except `occurred_at`, the business time of the contact it tells of.
    """

    delivery_id: DeliveryId
    endpoint_id: EndpointId
    message_type: str
    contact_id: ContactId
    state: DeliveryState
    attempts: int
    attempts_before: int
    last_status: int
    last_error: str
    occurred_at: datetime
    recorded_at: datetime
    delivered_at: datetime | None

    def attempted(self, answer: Answer, verdict: Verdict, recorded_at: datetime) -> "Delivery":
        """The delivery after one more attempt."""
        return replace(
            self,
            state=verdict.state,
            attempts=self.attempts + 1,
            last_status=answer.status,
            last_error=answer.error,
            delivered_at=recorded_at if verdict.state is DeliveryState.DELIVERED else None,
        )

    def replayed(self) -> "Delivery":
        """The delivery waiting once more, with a whole schedule before it."""
        return replace(self, state=DeliveryState.PENDING, attempts_before=self.attempts, delivered_at=None)


def queued_delivery(
    delivery_id: DeliveryId, endpoint_id: EndpointId, message_type: str, *, contact: Contact, recorded_at: datetime
) -> Delivery:
    """A new delivery that tells an endpoint of a contact."""
    return Delivery(
        delivery_id=delivery_id,
        endpoint_id=endpoint_id,
        message_type=message_type,
        contact_id=contact.contact_id,
        state=DeliveryState.PENDING,
        attempts=0,
        attempts_before=0,
        last_status=0,
        last_error="",
        occurred_at=contact.occurred_at,
        recorded_at=recorded_at,
        delivered_at=None,
    )


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Delays before each attempt, in seconds, the first usually 0; as many attempts as there are delays."""

    delays_seconds: Sequence[float] = STANDARD_SCHEDULE_SECONDS

    def judge(self, answer: Answer, attempts: int, *, spread: float) -> Verdict:
        """Where the delivery stands after its attempt number `attempts` since it was queued or replayed.

        `spread` in [-1, 1] moves the next delay by up to a fifth, so that what failed together does not
        come back together.
        """
        if answer.accepted:
            return Verdict(DeliveryState.DELIVERED, None)
        if attempts >= len(self.delays_seconds):
            return Verdict(DeliveryState.EXHAUSTED, None)
        return Verdict(DeliveryState.PENDING, timedelta(seconds=self.delays_seconds[attempts] * (1 + JITTER * spread)))


@dataclass(frozen=True, slots=True)
class DeliveryCompleted:
    """Effect: a webhook reached its receiver, or never will. A replayed delivery completes once more."""

    delivery_id: DeliveryId
    endpoint_id: EndpointId
    state: DeliveryState
    attempts: int
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The delivery."""
        return self.delivery_id
