"""Calls on the registry of touchpoints and on the policy of contacts."""

from typing import Any

import grpc
from chassis.paging import page_from_request
from chassis.work import Transaction, Work, ask
from touchstone.touchpoint.v1 import touchpoint_service_pb2 as pb
from touchstone.touchpoint.v1 import touchpoint_service_pb2_grpc as pb_grpc

from touchpoint.domain.policy import ContactPolicy
from touchpoint.domain.touchpoint import Touchpoint
from touchpoint.store import registry
from touchpoint.use_cases.registry import put_contact_policy, put_touchpoint
from touchpoint.wire.registry import policy_from_proto, policy_to_proto, touchpoint_from_proto, touchpoint_to_proto

Context = grpc.aio.ServicerContext[Any, Any]


class TouchpointApi(pb_grpc.TouchpointServiceServicer):
    """TouchpointService."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def ListTouchpoints(self, request: pb.ListTouchpointsRequest, context: Context) -> pb.ListTouchpointsResponse:
        """A page by code."""
        page = page_from_request(request)
        async with self._work.reading() as connection:
            listed = await registry.list_touchpoints(connection, page.wanted, page.after)
        listed, token = page.cut(listed, lambda one: one.code)
        return pb.ListTouchpointsResponse(
            touchpoints=[touchpoint_to_proto(one) for one in listed],
            next_page_token=token,
        )

    async def PutTouchpoint(self, request: pb.PutTouchpointRequest, context: Context) -> pb.PutTouchpointResponse:
        """Adds or changes one."""

        async def act(transaction: Transaction, command: Touchpoint) -> pb.PutTouchpointResponse:
            return pb.PutTouchpointResponse(touchpoint=touchpoint_to_proto(await put_touchpoint(transaction, command)))

        command = touchpoint_from_proto(request.touchpoint)
        return await self._work.answer("put_touchpoint", ask(request, command), act, pb.PutTouchpointResponse)

    async def GetContactPolicy(
        self, request: pb.GetContactPolicyRequest, context: Context
    ) -> pb.GetContactPolicyResponse:
        """The policy that holds."""
        async with self._work.reading() as connection:
            return pb.GetContactPolicyResponse(policy=policy_to_proto(await registry.load_policy(connection)))

    async def PutContactPolicy(
        self, request: pb.PutContactPolicyRequest, context: Context
    ) -> pb.PutContactPolicyResponse:
        """Puts another."""

        async def act(transaction: Transaction, command: ContactPolicy) -> pb.PutContactPolicyResponse:
            return pb.PutContactPolicyResponse(policy=policy_to_proto(await put_contact_policy(transaction, command)))

        command = policy_from_proto(request.policy)
        return await self._work.answer("put_contact_policy", ask(request, command), act, pb.PutContactPolicyResponse)
