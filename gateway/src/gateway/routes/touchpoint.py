"""Offers at touchpoints, contacts and their outcomes, and partners' webhooks."""

from gateway.routing import create, get, post, router_of

_CUSTOMER = "/customers/{customer_id}"
_DELIVERIES = "/webhook-deliveries"

router = router_of(
    "touchpoint",
    [
        get("/touchpoints", "touchpoint.v1.TouchpointService.ListTouchpoints"),
        get(f"{_CUSTOMER}/offers", "touchpoint.v1.ContactService.ListOffers"),
        post(f"{_CUSTOMER}/touchpoints/{{touchpoint}}/present", "touchpoint.v1.ContactService.Present"),
        get(f"{_CUSTOMER}/contacts", "touchpoint.v1.ContactService.ListContacts"),
        post(
            f"{_CUSTOMER}/contacts/{{contact_id}}/outcome",
            "touchpoint.v1.ContactService.RecordOutcome",
            part="contact",
        ),
        create("/webhook-endpoints", "touchpoint.v1.PartnerService.CreateEndpoint"),
        get("/webhook-endpoints", "touchpoint.v1.PartnerService.ListEndpoints"),
        get(_DELIVERIES, "touchpoint.v1.PartnerService.ListDeliveries"),
        post(f"{_DELIVERIES}/{{delivery_id}}/replay", "touchpoint.v1.PartnerService.ReplayDelivery", part="delivery"),
    ],
)
