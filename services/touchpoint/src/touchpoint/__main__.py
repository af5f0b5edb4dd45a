"""The composition root of the touchpoint service: `python -m touchpoint serve | migrate`."""

from chassis.process import Parts, Process, Served, Servicer, run
from touchstone.touchpoint.v1 import touchpoint_service_pb2_grpc as pb_grpc

from touchpoint.api.contacts import ContactApi
from touchpoint.api.partners import PartnerApi
from touchpoint.api.touchpoints import TouchpointApi
from touchpoint.clients.campaign import CampaignClient
from touchpoint.clients.webhook import WebhookSender
from touchpoint.consumers import handlers
from touchpoint.jobs import DeliveryWorker
from touchpoint.settings import TouchpointSettings
from touchpoint.use_cases.figures import prove_contacts
from touchpoint.wire import FACTS


def build(parts: Parts[TouchpointSettings]) -> Served:
    """Puts the parts together."""
    settings, work = parts.settings, parts.work
    sender = WebhookSender(
        allow_private=settings.allow_private_webhooks, timeout_seconds=settings.delivery_timeout_seconds
    )
    campaign = (
        CampaignClient(parts.channel(settings.campaign_target), settings.decide_timeout_seconds)
        if settings.campaign_target
        else None
    )
    partners = PartnerApi(work, sender, allow_private=settings.allow_private_webhooks)
    name = "touchstone.touchpoint.v1."
    return Served(
        servicers=[
            Servicer(f"{name}TouchpointService", pb_grpc.add_TouchpointServiceServicer_to_server, TouchpointApi(work)),
            Servicer(f"{name}ContactService", pb_grpc.add_ContactServiceServicer_to_server, ContactApi(work, campaign)),
            Servicer(f"{name}PartnerService", pb_grpc.add_PartnerServiceServicer_to_server, partners),
        ],
        handlers=handlers(),
        background=[DeliveryWorker(work, sender, settings).run],
        prove=prove_contacts,
    )


PROCESS = Process(name="touchpoint", package="touchpoint", settings=TouchpointSettings, facts=FACTS, build=build)

if __name__ == "__main__":
    run(PROCESS)
