"""Calls of the member service as tests make them."""

from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from chassis.rpc.errors import RemoteRefusal, remote_refusal
from google.protobuf.message import Message
from touchstone.member.v1 import member_service_pb2 as pb
from touchstone.member.v1 import member_service_pb2_grpc as pb_grpc

from services.member.tests.factories import enrol_request, upsert_request

SCOPES = ("member.read", "member.write", "member.admin", "member.jobs", "member.contact", "points.write")


@dataclass(frozen=True, slots=True)
class Stubs:
    """The three services of member, for one caller."""

    customers: Any
    memberships: Any
    points: Any

    @classmethod
    def of(cls, channel: grpc.aio.Channel) -> "Stubs":
        """Stubs on a channel."""
        return cls(
            pb_grpc.CustomerServiceStub(channel),
            pb_grpc.MembershipServiceStub(channel),
            pb_grpc.PointsServiceStub(channel),
        )

    def method(self, name: str) -> Any:
        """The method with this name, in whichever service."""
        for stub in (self.customers, self.memberships, self.points):
            if hasattr(stub, name):
                return getattr(stub, name)
        raise AssertionError(name)


async def refused(stubs: Stubs, name: str, request: Message) -> RemoteRefusal:
    """What the call is refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stubs.method(name)(request)
    return remote_refusal(error.value)


def fields(refusal: RemoteRefusal) -> list[str]:
    """The fields it names."""
    return [violation.field for violation in refusal.violations]


async def become_member(boss: Stubs, customer_id: str = "c-1") -> pb.EnrolResponse:
    """A household put and enrolled."""
    await boss.customers.UpsertCustomer(upsert_request(customer_id))
    reply: pb.EnrolResponse = await boss.memberships.Enrol(enrol_request(customer_id))
    return reply
