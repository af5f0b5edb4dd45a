"""Composition root: how the parts of the campaign service are put together."""

from chassis.process import Parts, Process, Served, Servicer, run
from touchstone.campaign.v1 import campaign_service_pb2_grpc as grpc_proto

from campaign.api.campaigns import CampaignApi
from campaign.api.catalogue import CatalogueApi
from campaign.api.decisions import DecisionApi
from campaign.api.intake import IntakeApi
from campaign.catalogue import ready_made
from campaign.consumers import handlers
from campaign.settings import CampaignSettings
from campaign.use_cases.live import LiveRules
from campaign.wire import FACTS

_PACKAGE = "touchstone.campaign.v1"


def build(parts: Parts[CampaignSettings]) -> Served:
    """One set of live rules for all calls and events of the process."""
    live = LiveRules(ready_made())
    work = parts.work
    return Served(
        servicers=[
            Servicer(
                f"{_PACKAGE}.CatalogueService",
                grpc_proto.add_CatalogueServiceServicer_to_server,
                CatalogueApi(work, live),
            ),
            Servicer(
                f"{_PACKAGE}.IntakeService", grpc_proto.add_IntakeServiceServicer_to_server, IntakeApi(work, live)
            ),
            Servicer(
                f"{_PACKAGE}.CampaignService", grpc_proto.add_CampaignServiceServicer_to_server, CampaignApi(work, live)
            ),
            Servicer(
                f"{_PACKAGE}.DecisionService", grpc_proto.add_DecisionServiceServicer_to_server, DecisionApi(work, live)
            ),
        ],
        handlers=handlers(live, parts.settings.intake_lanes),
    )


PROCESS = Process(name="campaign", package="campaign", settings=CampaignSettings, facts=FACTS, build=build)

if __name__ == "__main__":
    run(PROCESS)
