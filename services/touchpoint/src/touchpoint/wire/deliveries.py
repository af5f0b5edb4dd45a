"""Webhook endpoints and deliveries between protobuf and the domain, and the message that partners receive."""

from typing import assert_never

from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.times import to_proto
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from touchstone.touchpoint.v1 import touchpoint_pb2 as pb
from touchstone.touchpoint.v1 import touchpoint_service_pb2 as service_pb

from touchpoint.domain.contact import Contact
from touchpoint.domain.delivery import Delivery, DeliveryState, Endpoint
from touchpoint.domain.identity import PartnerId, TouchpointCode
from touchpoint.use_cases.deliveries import CreateEndpoint

TOUCHPOINTS_MAX = 100

_STATES = {
    pb.DELIVERY_STATE_UNSPECIFIED: None,
    pb.DELIVERY_STATE_PENDING: DeliveryState.PENDING,
    pb.DELIVERY_STATE_DELIVERED: DeliveryState.DELIVERED,
    pb.DELIVERY_STATE_EXHAUSTED: DeliveryState.EXHAUSTED,
}


def endpoint_from_proto(request: service_pb.CreateEndpointRequest) -> CreateEndpoint:
    """What to register, or InvalidArgument; whether the address may be sent to is judged apart."""
    if len(request.touchpoints) > TOUCHPOINTS_MAX:
        raise InvalidArgument("touchpoints", f"must be at most {TOUCHPOINTS_MAX}")
    return CreateEndpoint(
        partner_id=PartnerId(check_id("partner_id", request.partner_id)),
        url=request.url,
        touchpoints=tuple(TouchpointCode(check_id("touchpoints", code)) for code in request.touchpoints),
    )


def endpoint_to_proto(endpoint: Endpoint) -> pb.WebhookEndpoint:
    """The endpoint, without its secret."""
    return pb.WebhookEndpoint(
        endpoint_id=endpoint.endpoint_id,
        partner_id=endpoint.partner_id,
        url=endpoint.url,
        touchpoints=endpoint.touchpoints,
        disabled=endpoint.disabled,
    )


def delivery_to_proto(delivery: Delivery) -> pb.Delivery:
    """The delivery."""
    return pb.Delivery(
        delivery_id=delivery.delivery_id,
        endpoint_id=delivery.endpoint_id,
        message_type=delivery.message_type,
        contact_id=delivery.contact_id,
        state=state_to_proto(delivery.state),
        attempts=delivery.attempts,
        last_status=delivery.last_status,
        last_error=delivery.last_error,
        recorded_at=to_proto(delivery.recorded_at),
        delivered_at=None if delivery.delivered_at is None else to_proto(delivery.delivered_at),
    )


def state_from_proto(state: "pb.DeliveryState.ValueType") -> DeliveryState | None:
    """The state asked for, None for any, or InvalidArgument."""
    if state not in _STATES:
        raise InvalidArgument("state", "must be one of the known states")
    return _STATES[state]


def state_to_proto(state: DeliveryState) -> "pb.DeliveryState.ValueType":
    """The state."""
    match state:
        case DeliveryState.PENDING:
            return pb.DELIVERY_STATE_PENDING
        case DeliveryState.DELIVERED:
            return pb.DELIVERY_STATE_DELIVERED
        case DeliveryState.EXHAUSTED:
            return pb.DELIVERY_STATE_EXHAUSTED
        case _:
            assert_never(state)


def message_to_json(delivery: Delivery, contact: Contact) -> bytes:
    """The CloudEvent that a partner receives: ids that mean something to the operator alone, and the offer.

    The same bytes at every attempt and replay, since contacts never change and outcomes are not in it.
    """
    event = CloudEvent(
        attributes={
            "specversion": "1.0",
            "id": delivery.delivery_id,
            "source": "/touchstone/touchpoint",
            "type": delivery.message_type,
            "subject": contact.contact_id,
            "time": contact.occurred_at,
            "datacontenttype": "application/json",
        },
        data={
            "contact_id": contact.contact_id,
            "opportunity_id": contact.opportunity_id,
            "customer_id": contact.customer_id,
            "campaign_id": contact.campaign_id,
            "touchpoint": contact.touchpoint,
            "delivery_way": contact.delivery_way,
            "offer": {
                "offer_id": contact.offer.offer_id,
                "title": contact.offer.title,
                "body": contact.offer.body,
                "value_minor": contact.offer.value_minor,
            },
        },
    )
    return JSONFormat().write(event)
