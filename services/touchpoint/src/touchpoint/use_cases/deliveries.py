"""Webhook endpoints and the life of a delivery: leased, attempted, finished, replayed."""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from chassis.ids import new_id
from chassis.work import Transaction

from touchpoint.domain.contact import Contact
from touchpoint.domain.delivery import (
    Answer,
    Delivery,
    DeliveryCompleted,
    DeliveryNotFound,
    DeliveryState,
    Endpoint,
    EndpointNotFound,
    RetrySchedule,
)
from touchpoint.domain.identity import DeliveryId, EndpointId, PartnerId, TouchpointCode
from touchpoint.domain.touchpoint import TouchpointNotFound, TouchpointNotOutbound
from touchpoint.store import contacts, deliveries, registry

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class CreateEndpoint:
    """Registers a partner's address for the offers of these touchpoints."""

    partner_id: PartnerId
    url: str
    touchpoints: tuple[TouchpointCode, ...]


@dataclass(frozen=True, slots=True)
class CreatedEndpoint:
    """The endpoint with the secret that is shown this once."""

    endpoint: Endpoint
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LeaseDeliveries:
    """Asks for at most `limit` due deliveries, to be sent by `owner` within `lease`."""

    owner: str
    lease: timedelta
    limit: int
    slots_per_endpoint: int


@dataclass(frozen=True, slots=True)
class LeasedDelivery:
    """All that sending one message takes."""

    delivery: Delivery
    contact: Contact
    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecordAttempt:
    """What an attempt came to. `spread` in [-1, 1] is the jitter of the next delay."""

    delivery_id: DeliveryId
    owner: str
    answer: Answer
    schedule: RetrySchedule
    spread: float


async def create_endpoint(transaction: Transaction, command: CreateEndpoint) -> CreatedEndpoint:
    """Stores the endpoint and its secret. Refuses touchpoints that are unknown or reach nobody."""
    endpoint = Endpoint(EndpointId(new_id()), command.partner_id, command.url, command.touchpoints)
    known = await registry.load_touchpoints(transaction.connection, command.touchpoints)
    for code in command.touchpoints:
        if code not in known:
            raise TouchpointNotFound(f"no touchpoint {code!r}", touchpoint=code)
        if not known[code].outbound:
            raise TouchpointNotOutbound(f"nothing is sent through {code}", touchpoint=code)
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
    await deliveries.add_endpoint(transaction.connection, endpoint, secret, transaction.recorded_at)
    return CreatedEndpoint(endpoint, secret)


async def set_endpoint_disabled(transaction: Transaction, endpoint_id: EndpointId, *, disabled: bool) -> Endpoint:
    """Switches an endpoint off or on; while it is off its queue grows and waits. Refuses an unknown one."""
    endpoint = await deliveries.switch_endpoint(transaction.connection, endpoint_id, disabled=disabled)
    if endpoint is None:
        raise EndpointNotFound(f"no endpoint {endpoint_id!r}", endpoint_id=endpoint_id)
    return endpoint


async def lease_deliveries(transaction: Transaction, command: LeaseDeliveries) -> Sequence[LeasedDelivery]:
    """Claims due deliveries for one sender, no more per endpoint than its slots, counting all senders."""
    now = transaction.recorded_at
    lease = deliveries.Lease(command.owner, now, now + command.lease)
    claimed = await deliveries.claim_deliveries(
        transaction.connection, lease, limit=command.limit, slots_per_endpoint=command.slots_per_endpoint
    )
    about = await contacts.load_contacts(transaction.connection, {one.delivery.contact_id for one in claimed})
    return [LeasedDelivery(one.delivery, about[one.delivery.contact_id], one.url, one.secret) for one in claimed]


async def record_attempt(transaction: Transaction, command: RecordAttempt) -> Delivery | None:
    """Appends the attempt and moves the delivery on; a final one is told in this same transaction.

    A sender whose lease was taken over records nothing (None): the message is then in another's hands. An answer
    that the receiver is gone switches its endpoint off; the delivery keeps waiting unless its schedule is used up.
    """
    stored = await deliveries.load_delivery_for_update(
        transaction.connection, command.delivery_id, leased_by=command.owner
    )
    if stored is None:
        return None
    attempts_now = stored.attempts + 1 - stored.attempts_before
    verdict = command.schedule.judge(command.answer, attempts_now, spread=command.spread)
    delivery = stored.attempted(command.answer, verdict, transaction.recorded_at)
    await deliveries.save_attempt(
        transaction.connection, delivery, command.answer, verdict=verdict, recorded_at=transaction.recorded_at
    )
    if command.answer.gone:
        await deliveries.switch_endpoint(transaction.connection, delivery.endpoint_id, disabled=True)
    if delivery.state is not DeliveryState.PENDING:
        transaction.emit(
            DeliveryCompleted(
                delivery.delivery_id, delivery.endpoint_id, delivery.state, delivery.attempts, delivery.occurred_at
            )
        )
    return delivery


async def replay_delivery(transaction: Transaction, delivery_id: DeliveryId) -> Delivery:
    """Makes a delivery wait again, due at once and with a whole schedule before it. Refuses an unknown one."""
    stored = await deliveries.load_delivery_for_update(transaction.connection, delivery_id)
    if stored is None:
        raise DeliveryNotFound(f"no delivery {delivery_id!r}", delivery_id=delivery_id)
    delivery = stored.replayed()
    await deliveries.requeue_delivery(transaction.connection, delivery, transaction.recorded_at)
    return delivery
