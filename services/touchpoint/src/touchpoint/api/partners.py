"""Calls on partners' webhook endpoints and deliveries."""

from typing import Any

import grpc
from chassis.ids import check_id
from chassis.paging import page_from_request
from chassis.work import Transaction, Work, ask
from touchstone.touchpoint.v1 import touchpoint_service_pb2 as pb
from touchstone.touchpoint.v1 import touchpoint_service_pb2_grpc as pb_grpc

from touchpoint.clients.webhook import WebhookSender
from touchpoint.domain.address import check_webhook_url
from touchpoint.domain.identity import DeliveryId, EndpointId, PartnerId
from touchpoint.store import deliveries
from touchpoint.use_cases.deliveries import CreateEndpoint, create_endpoint, replay_delivery, set_endpoint_disabled
from touchpoint.wire import deliveries as wire

Context = grpc.aio.ServicerContext[Any, Any]


async def _create(transaction: Transaction, command: CreateEndpoint) -> pb.CreateEndpointResponse:
    created = await create_endpoint(transaction, command)
    return pb.CreateEndpointResponse(endpoint=wire.endpoint_to_proto(created.endpoint), secret=created.secret)


async def _replay(transaction: Transaction, delivery_id: DeliveryId) -> pb.ReplayDeliveryResponse:
    return pb.ReplayDeliveryResponse(delivery=wire.delivery_to_proto(await replay_delivery(transaction, delivery_id)))


class PartnerApi(pb_grpc.PartnerServiceServicer):
    """PartnerService."""

    def __init__(self, work: Work, sender: WebhookSender, *, allow_private: bool) -> None:
        self._work = work
        self._sender = sender
        self._allow_private = allow_private

    async def CreateEndpoint(self, request: pb.CreateEndpointRequest, context: Context) -> pb.CreateEndpointResponse:
        """Registers an endpoint, once its address was judged by its form and by what it resolves to."""
        asked = ask(request, wire.endpoint_from_proto(request))
        check_webhook_url(request.url, allow_private=self._allow_private)
        await self._sender.check_reachable(request.url)
        return await self._work.answer("create_endpoint", asked, _create, pb.CreateEndpointResponse)

    async def ListEndpoints(self, request: pb.ListEndpointsRequest, context: Context) -> pb.ListEndpointsResponse:
        """A page in the order of registration."""
        page = page_from_request(request)
        partner_id = PartnerId(check_id("partner_id", request.partner_id)) if request.partner_id else None
        async with self._work.reading() as connection:
            listed = await deliveries.list_endpoints(connection, partner_id, size=page.wanted, after=page.after)
        listed, token = page.cut(listed, lambda one: one.endpoint_id)
        return pb.ListEndpointsResponse(
            endpoints=[wire.endpoint_to_proto(one) for one in listed],
            next_page_token=token,
        )

    async def SetEndpointDisabled(
        self, request: pb.SetEndpointDisabledRequest, context: Context
    ) -> pb.SetEndpointDisabledResponse:
        """Switches an endpoint off or on."""

        async def act(transaction: Transaction, endpoint_id: EndpointId) -> pb.SetEndpointDisabledResponse:
            endpoint = await set_endpoint_disabled(transaction, endpoint_id, disabled=request.disabled)
            return pb.SetEndpointDisabledResponse(endpoint=wire.endpoint_to_proto(endpoint))

        asked = ask(request, EndpointId(check_id("endpoint_id", request.endpoint_id)))
        return await self._work.answer("set_endpoint_disabled", asked, act, pb.SetEndpointDisabledResponse)

    async def ListDeliveries(self, request: pb.ListDeliveriesRequest, context: Context) -> pb.ListDeliveriesResponse:
        """A page, newest first, and how many there are in all."""
        page = page_from_request(request)
        endpoint_id = EndpointId(check_id("endpoint_id", request.endpoint_id)) if request.endpoint_id else None
        wanted = deliveries.DeliveryFilter(endpoint_id, wire.state_from_proto(request.state))
        async with self._work.reading() as connection:
            listed, total = await deliveries.list_deliveries(connection, wanted, size=page.wanted, after=page.after)
        listed, token = page.cut(listed, lambda one: one.delivery_id)
        return pb.ListDeliveriesResponse(
            deliveries=[wire.delivery_to_proto(one) for one in listed],
            next_page_token=token,
            total=total,
        )

    async def ReplayDelivery(self, request: pb.ReplayDeliveryRequest, context: Context) -> pb.ReplayDeliveryResponse:
        """Sends a delivery once more."""
        asked = ask(request, DeliveryId(check_id("delivery_id", request.delivery_id)))
        return await self._work.answer("replay_delivery", asked, _replay, pb.ReplayDeliveryResponse)
