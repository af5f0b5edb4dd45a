"""CatalogueService: what rules may speak of."""

from collections.abc import Mapping
from typing import TypeVar

from chassis.paging import Page, page_from_request
from chassis.work import Transaction, Work, ask
from touchstone.campaign.v1 import campaign_pb2 as messages
from touchstone.campaign.v1 import campaign_service_pb2 as proto
from touchstone.campaign.v1.campaign_service_pb2_grpc import CatalogueServiceServicer

from campaign.use_cases.catalogue import put_event_type, put_tag
from campaign.use_cases.live import LiveRules
from campaign.wire.catalogue import event_type_from_proto, event_type_to_proto, tag_from_proto, tag_to_proto

K = TypeVar("K", bound=str)
V = TypeVar("V")


class CatalogueApi(CatalogueServiceServicer):
    """The ready-made catalogue and the operator's own entries."""

    def __init__(self, work: Work, live: LiveRules) -> None:
        self._work = work
        self._live = live

    async def ListEventTypes(
        self, request: proto.ListEventTypesRequest, context: object
    ) -> proto.ListEventTypesResponse:
        page = page_from_request(request)
        async with self._work.reading() as connection:
            await self._live.refresh(connection)
        found, token = _page(self._live.catalogue.event_types, page)
        return proto.ListEventTypesResponse(
            event_types=[event_type_to_proto(each) for each in found], next_page_token=token
        )

    async def ListTags(self, request: proto.ListTagsRequest, context: object) -> proto.ListTagsResponse:
        page = page_from_request(request)
        async with self._work.reading() as connection:
            await self._live.refresh(connection)
        found, token = _page(self._live.catalogue.tags, page)
        return proto.ListTagsResponse(tags=[tag_to_proto(each) for each in found], next_page_token=token)

    async def PutEventType(self, request: proto.PutEventTypeRequest, context: object) -> proto.PutEventTypeResponse:
        async def act(transaction: Transaction, wanted: messages.EventType) -> proto.PutEventTypeResponse:
            stored = await put_event_type(transaction, self._live, event_type_from_proto(wanted))
            return proto.PutEventTypeResponse(event_type=event_type_to_proto(stored))

        asked = ask(request, request.event_type)
        return await self._work.answer("put_event_type", asked, act, proto.PutEventTypeResponse)

    async def PutTag(self, request: proto.PutTagRequest, context: object) -> proto.PutTagResponse:
        async def act(transaction: Transaction, wanted: messages.Tag) -> proto.PutTagResponse:
            return proto.PutTagResponse(
                tag=tag_to_proto(await put_tag(transaction, self._live, tag_from_proto(wanted)))
            )

        return await self._work.answer("put_tag", ask(request, request.tag), act, proto.PutTagResponse)


def _page(entries: Mapping[K, V], page: Page) -> tuple[list[V], str]:
    """Entries after the page's key, by identifier, and the token of the page after them."""
    keys = sorted(key for key in entries if page.after is None or key > page.after)
    listed, token = page.cut(keys, str)
    return [entries[key] for key in listed], token
