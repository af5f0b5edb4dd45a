"""Offers at touchpoints, contacts and their outcomes, and partners' webhooks."""

from typing import Any, Literal

from fastapi import APIRouter
from touchstone.touchpoint.v1 import touchpoint_pb2 as resources
from touchstone.touchpoint.v1 import touchpoint_service_pb2 as pb

from gateway.admission import Key, To, admits
from gateway.bodies import AsOf, EndpointBody, OutcomeBody, PageSize, PageToken, PresentBody, optional_time
from gateway.schema import enum_number, model_of, to_json

router = APIRouter(prefix="/v1", tags=["touchpoint"])


@router.get(
    "/touchpoints",
    dependencies=[admits("touchpoint.v1.TouchpointService.ListTouchpoints")],
    response_model=model_of(pb.ListTouchpointsResponse),
)
async def list_touchpoints(to: To, page_size: PageSize = 0, page_token: PageToken = "") -> Any:
    """The registry of touchpoints."""
    request = pb.ListTouchpointsRequest(page_size=page_size, page_token=page_token)
    return to_json(await to.touchpoints.ListTouchpoints(request))


@router.get(
    "/customers/{customer_id}/offers",
    dependencies=[admits("touchpoint.v1.ContactService.ListOffers")],
    response_model=model_of(pb.ListOffersResponse),
)
async def list_offers(customer_id: str, to: To, touchpoint: str = "", as_of: AsOf = None) -> Any:
    """What waits for the customer, without taking it."""
    request = pb.ListOffersRequest(customer_id=customer_id, touchpoint=touchpoint, as_of=optional_time(as_of))
    return to_json(await to.contacts.ListOffers(request))


@router.post(
    "/customers/{customer_id}/touchpoints/{touchpoint}/present",
    dependencies=[admits("touchpoint.v1.ContactService.Present")],
    response_model=model_of(pb.PresentResponse),
)
async def present(customer_id: str, touchpoint: str, body: PresentBody, key: Key, to: To) -> Any:
    """The customer is at a touchpoint: takes what waits; exactly one touchpoint gets each offer."""
    request = pb.PresentRequest(
        request_id=key,
        customer_id=customer_id,
        touchpoint=touchpoint,
        delivery_way=body.delivery_way,
        offers_max=body.offers_max,
        occurred_at=body.when(),
    )
    return to_json(await to.contacts.Present(request))


@router.get(
    "/customers/{customer_id}/contacts",
    dependencies=[admits("touchpoint.v1.ContactService.ListContacts")],
    response_model=model_of(pb.ListContactsResponse),
)
async def list_contacts(customer_id: str, to: To, page_size: PageSize = 0, page_token: PageToken = "") -> Any:
    """The customer's contacts, newest first."""
    request = pb.ListContactsRequest(customer_id=customer_id, page_size=page_size, page_token=page_token)
    return to_json(await to.contacts.ListContacts(request))


@router.post(
    "/customers/{customer_id}/contacts/{contact_id}/outcome",
    dependencies=[admits("touchpoint.v1.ContactService.RecordOutcome")],
    response_model=model_of(resources.Contact),
)
async def record_outcome(customer_id: str, contact_id: str, body: OutcomeBody, key: Key, to: To) -> Any:
    """Records what became of a contact."""
    request = pb.RecordOutcomeRequest(
        request_id=key,
        contact_id=contact_id,
        customer_id=customer_id,
        outcome=enum_number(resources.Outcome.DESCRIPTOR, body.outcome),  # type: ignore[arg-type]
        occurred_at=body.when(),
    )
    return to_json((await to.contacts.RecordOutcome(request)).contact)


@router.post(
    "/webhook-endpoints",
    dependencies=[admits("touchpoint.v1.PartnerService.CreateEndpoint")],
    response_model=model_of(pb.CreateEndpointResponse),
    status_code=201,
)
async def create_endpoint(body: EndpointBody, key: Key, to: To) -> Any:
    """Registers a partner's webhook endpoint; the signing secret is shown once."""
    request = pb.CreateEndpointRequest(request_id=key, **body.model_dump())
    return to_json(await to.partners.CreateEndpoint(request))


@router.get(
    "/webhook-endpoints",
    dependencies=[admits("touchpoint.v1.PartnerService.ListEndpoints")],
    response_model=model_of(pb.ListEndpointsResponse),
)
async def list_endpoints(to: To, partner_id: str = "", page_size: PageSize = 0, page_token: PageToken = "") -> Any:
    """Partners' webhook endpoints."""
    request = pb.ListEndpointsRequest(partner_id=partner_id, page_size=page_size, page_token=page_token)
    return to_json(await to.partners.ListEndpoints(request))


@router.get(
    "/webhook-deliveries",
    dependencies=[admits("touchpoint.v1.PartnerService.ListDeliveries")],
    response_model=model_of(pb.ListDeliveriesResponse),
)
async def list_deliveries(
    to: To,
    endpoint_id: str = "",
    state: Literal["PENDING", "DELIVERED", "EXHAUSTED"] | None = None,
    page_size: PageSize = 0,
    page_token: PageToken = "",
) -> Any:
    """Webhook deliveries, newest first."""
    request = pb.ListDeliveriesRequest(
        endpoint_id=endpoint_id,
        state=enum_number(resources.DeliveryState.DESCRIPTOR, state or "UNSPECIFIED"),  # type: ignore[arg-type]
        page_size=page_size,
        page_token=page_token,
    )
    return to_json(await to.partners.ListDeliveries(request))


@router.post(
    "/webhook-deliveries/{delivery_id}/replay",
    dependencies=[admits("touchpoint.v1.PartnerService.ReplayDelivery")],
    response_model=model_of(resources.Delivery),
)
async def replay_delivery(delivery_id: str, key: Key, to: To) -> Any:
    """Sends a delivery once more."""
    reply = await to.partners.ReplayDelivery(pb.ReplayDeliveryRequest(request_id=key, delivery_id=delivery_id))
    return to_json(reply.delivery)
