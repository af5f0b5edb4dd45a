"""DecisionService: what was decided, and deciding on request."""

from chassis.auth import current_caller
from chassis.ids import check_id
from chassis.paging import page_from_request
from chassis.work import Transaction, Work, ask
from touchstone.campaign.v1 import campaign_service_pb2 as proto
from touchstone.campaign.v1.campaign_service_pb2_grpc import DecisionServiceServicer

from campaign.store.decisions import DecisionFilter, count_decisions, list_decisions
from campaign.use_cases.decisions import Visit, decide_at_touchpoint
from campaign.use_cases.live import LiveRules
from campaign.wire.decisions import decision_to_proto, visit_from_proto


class DecisionApi(DecisionServiceServicer):
    """Decisions that were made, and one on request."""

    def __init__(self, work: Work, live: LiveRules) -> None:
        self._work = work
        self._live = live

    async def ListDecisions(self, request: proto.ListDecisionsRequest, context: object) -> proto.ListDecisionsResponse:
        page = page_from_request(request)
        wanted = DecisionFilter(
            customer_id=request.customer_id and check_id("customer_id", request.customer_id),
            campaign_id=request.campaign_id and check_id("campaign_id", request.campaign_id),
        )
        async with self._work.reading() as connection:
            found = await list_decisions(connection, wanted, page)
        found, token = page.cut(found, lambda one: one.id)
        return proto.ListDecisionsResponse(decisions=[decision_to_proto(each) for each in found], next_page_token=token)

    async def Decide(self, request: proto.DecideRequest, context: object) -> proto.DecideResponse:
        async def act(transaction: Transaction, visit: Visit) -> proto.DecideResponse:
            made = await decide_at_touchpoint(transaction, self._live, visit)
            return proto.DecideResponse(decisions=[decision_to_proto(each) for each in made])

        asked = ask(request, visit_from_proto(request, current_caller().subject))
        return await self._work.answer("decide_at_touchpoint", asked, act, proto.DecideResponse)

    async def CountDecisions(
        self, request: proto.CountDecisionsRequest, context: object
    ) -> proto.CountDecisionsResponse:
        async with self._work.reading() as connection:
            counts = await count_decisions(connection)
        return proto.CountDecisionsResponse(
            counts=[proto.DecisionCount(campaign_id=key, decisions=count) for key, count in counts.items()]
        )
