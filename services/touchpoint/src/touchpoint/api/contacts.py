"""Calls that make contacts, record what became of them, and tell of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import grpc
from chassis import clock
from chassis.errors import Refusal
from chassis.gathering import Gatherer
from chassis.ids import check_id
from chassis.paging import page_from_request
from chassis.rpc.errors import item_result
from chassis.times import from_proto, from_proto_or
from chassis.work import Ask, Transaction, Work, ask
from touchstone.touchpoint.v1 import touchpoint_service_pb2 as pb
from touchstone.touchpoint.v1 import touchpoint_service_pb2_grpc as pb_grpc

from touchpoint.clients.campaign import CampaignClient
from touchpoint.domain.identity import CustomerId, TouchpointCode
from touchpoint.domain.situation import SilenceReason
from touchpoint.store import contacts, opportunities
from touchpoint.use_cases.contacts import PresentOffers, foresee_silence, present_offers
from touchpoint.use_cases.dispatch import DispatchOffers, dispatch_offers
from touchpoint.use_cases.figures import read_contact_figures
from touchpoint.use_cases.opportunities import EXPIRED_AT_ONCE_MAX, expire_opportunities
from touchpoint.use_cases.outcomes import RecordOutcome, record_outcomes
from touchpoint.wire import contacts as wire

Context = grpc.aio.ServicerContext[Any, Any]

_OFFERS_LISTED_MAX = 50


async def _present(transaction: Transaction, commands: Sequence[PresentOffers]) -> list[pb.PresentResponse | Refusal]:
    presented = await present_offers(transaction, commands)
    return [one if isinstance(one, Refusal) else wire.presented_to_proto(one) for one in presented]


async def _record(
    transaction: Transaction, commands: Sequence[RecordOutcome]
) -> list[pb.RecordOutcomeResponse | Refusal]:
    told = await record_outcomes(transaction, commands)
    return [
        one if isinstance(one, Refusal) else pb.RecordOutcomeResponse(contact=wire.contact_to_proto(one))
        for one in told
    ]


async def _dispatch(transaction: Transaction, command: DispatchOffers) -> pb.DispatchResponse:
    return wire.dispatched_to_proto(await dispatch_offers(transaction, command))


async def _expire(work: Work, asked: Ask[datetime]) -> int:
    """Expires everything that ended by then, in portions; how many.

    Each portion is a request of its own with a stored answer: a repeat counts the same and goes on where a run that
    was cut off stopped.
    """

    async def act(transaction: Transaction, as_of: datetime) -> pb.ExpireOpportunitiesResponse:
        return pb.ExpireOpportunitiesResponse(expired=await expire_opportunities(transaction, as_of))

    expired, portion = 0, 0
    while True:
        use_case = f"expire_opportunities.{portion}"
        reply = await work.answer(use_case, asked, act, pb.ExpireOpportunitiesResponse)
        expired, portion = expired + reply.expired, portion + 1
        if reply.expired < EXPIRED_AT_ONCE_MAX:
            return expired


class ContactApi(pb_grpc.ContactServiceServicer):
    """ContactService. `campaign` is None where nobody is asked when nothing waits."""

    def __init__(self, work: Work, campaign: CampaignClient | None) -> None:
        self._work = work
        self._campaign = campaign
        self._presenting = Gatherer(work, "present_offers", _present, pb.PresentResponse)
        self._recording = Gatherer(work, "record_outcomes", _record, pb.RecordOutcomeResponse)

    async def Present(self, request: pb.PresentRequest, context: Context) -> pb.PresentResponse:
        """Takes what waits; where nothing does, campaign is asked first."""
        asked = ask(request, wire.present_from_proto(request))
        if self._campaign is not None:
            decided = await self._decide(self._campaign, asked.request_id, asked.command)
            asked = asked._replace(command=decided)
        return await self._presenting.answer(asked)

    async def _decide(self, campaign: CampaignClient, request_id: str, command: PresentOffers) -> PresentOffers:
        async with self._work.reading() as connection:
            silence = await foresee_silence(connection, command)
        if silence is not SilenceReason.NOTHING_WAITS:
            return command
        return replace(command, decided=await campaign.decide(request_id, command))

    async def BatchPresent(self, request: pb.BatchPresentRequest, context: Context) -> pb.BatchPresentResponse:
        """Presents for many; campaign is not asked."""
        results = await self._presenting.answer_batch(
            request.requests, read=wire.present_from_proto, result=item_result(pb.PresentResult)
        )
        return pb.BatchPresentResponse(results=results)

    async def ListOffers(self, request: pb.ListOffersRequest, context: Context) -> pb.ListOffersResponse:
        """What waits, the best first; cap and rest after a refusal are applied when an offer is taken."""
        customer_id = CustomerId(check_id("customer_id", request.customer_id))
        touchpoint = TouchpointCode(check_id("touchpoint", request.touchpoint)) if request.touchpoint else None
        as_of = from_proto_or(request.as_of, "as_of", clock.now())
        async with self._work.reading() as connection:
            waiting = await opportunities.list_waiting(
                connection, customer_id, touchpoint, as_of=as_of, limit=_OFFERS_LISTED_MAX
            )
        return pb.ListOffersResponse(offers=[wire.waiting_to_proto(one) for one in waiting])

    async def Dispatch(self, request: pb.DispatchRequest, context: Context) -> pb.DispatchResponse:
        """Takes what waits for an outbound touchpoint and queues its messages."""
        asked = ask(request, wire.dispatch_from_proto(request))
        return await self._work.answer("dispatch_offers", asked, _dispatch, pb.DispatchResponse)

    async def RecordOutcome(self, request: pb.RecordOutcomeRequest, context: Context) -> pb.RecordOutcomeResponse:
        """Records an outcome."""
        return await self._recording.answer(ask(request, wire.outcome_from_proto(request)))

    async def BatchRecordOutcomes(
        self, request: pb.BatchRecordOutcomesRequest, context: Context
    ) -> pb.BatchRecordOutcomesResponse:
        """Records many."""
        results = await self._recording.answer_batch(
            request.requests, read=wire.outcome_from_proto, result=item_result(pb.RecordOutcomeResult)
        )
        return pb.BatchRecordOutcomesResponse(results=results)

    async def ListContacts(self, request: pb.ListContactsRequest, context: Context) -> pb.ListContactsResponse:
        """A page, newest first."""
        page = page_from_request(request)
        customer_id = CustomerId(check_id("customer_id", request.customer_id)) if request.customer_id else None
        after = wire.contacts_after(page)
        async with self._work.reading() as connection:
            listed = await contacts.list_contacts(connection, customer_id, size=page.wanted, after=after)
        listed, token = page.cut(listed, wire.contact_key)
        return pb.ListContactsResponse(
            contacts=[wire.contact_to_proto(one) for one in listed],
            next_page_token=token,
        )

    async def ExpireOpportunities(
        self, request: pb.ExpireOpportunitiesRequest, context: Context
    ) -> pb.ExpireOpportunitiesResponse:
        """Expires what nobody took in time."""
        asked = ask(request, from_proto(request.as_of, "as_of"))
        return pb.ExpireOpportunitiesResponse(expired=await _expire(self._work, asked))

    async def GetContactFigures(
        self, request: pb.GetContactFiguresRequest, context: Context
    ) -> pb.GetContactFiguresResponse:
        """Counts on one snapshot."""
        async with self._work.reading() as connection:
            return wire.figures_to_proto(await read_contact_figures(connection))
