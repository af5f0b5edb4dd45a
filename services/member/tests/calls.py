"""Calls of the member service as tests make them."""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any

import grpc
import pytest
from chassis.errors import Code
from chassis.rpc.errors import RemoteRefusal, remote_refusal
from chassis.testing.serving import Serving
from google.protobuf.message import Message
from member.store import METADATA
from touchstone.member.v1 import activity_service_pb2_grpc as activity_grpc
from touchstone.member.v1 import benefit_service_pb2_grpc as benefit_grpc
from touchstone.member.v1 import care_service_pb2_grpc as care_grpc
from touchstone.member.v1 import club_service_pb2_grpc as club_grpc
from touchstone.member.v1 import consent_service_pb2_grpc as consent_grpc
from touchstone.member.v1 import coupon_service_pb2_grpc as coupon_grpc
from touchstone.member.v1 import customer_service_pb2_grpc as customer_grpc
from touchstone.member.v1 import earning_service_pb2_grpc as earning_grpc
from touchstone.member.v1 import membership_service_pb2 as pb
from touchstone.member.v1 import membership_service_pb2_grpc as membership_grpc
from touchstone.member.v1 import merchant_service_pb2_grpc as merchant_grpc
from touchstone.member.v1 import package_migration_service_pb2_grpc as migration_grpc
from touchstone.member.v1 import points_service_pb2_grpc as points_grpc
from touchstone.member.v1 import shop_service_pb2_grpc as shop_grpc
from touchstone.member.v1 import task_service_pb2_grpc as task_grpc

from services.member.tests.factories import enrol_request, scalar, upsert_request

SCOPES = (
    "member.read",
    "member.write",
    "member.admin",
    "member.jobs",
    "member.contact",
    "points.write",
    "coupons.write",
    "engagement.write",
    "merchant.verify",
)


@dataclass(frozen=True, slots=True)
class Stubs:
    """The services of member, for one caller."""

    customers: Any
    memberships: Any
    points: Any
    earning: Any
    benefits: Any
    migrations: Any
    consents: Any
    care: Any
    tasks: Any
    activities: Any
    clubs: Any
    merchants: Any
    shop: Any
    coupons: Any

    @classmethod
    def of(cls, channel: grpc.aio.Channel) -> "Stubs":
        """Stubs on a channel."""
        return cls(
            customer_grpc.CustomerServiceStub(channel),
            membership_grpc.MembershipServiceStub(channel),
            points_grpc.PointsServiceStub(channel),
            earning_grpc.EarningServiceStub(channel),
            benefit_grpc.BenefitServiceStub(channel),
            migration_grpc.PackageMigrationServiceStub(channel),
            consent_grpc.ConsentServiceStub(channel),
            care_grpc.CareServiceStub(channel),
            task_grpc.TaskServiceStub(channel),
            activity_grpc.ActivityServiceStub(channel),
            club_grpc.ClubServiceStub(channel),
            merchant_grpc.MerchantServiceStub(channel),
            shop_grpc.ShopServiceStub(channel),
            coupon_grpc.CouponServiceStub(channel),
        )

    def method(self, name: str) -> Any:
        """The method with this name, in whichever service."""
        for stub in (getattr(self, each.name) for each in dataclass_fields(self)):
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


async def refuses_bad_input(
    served: Serving,
    boss: Stubs,
    bad: Sequence[tuple[str, Message, list[str]]],
    unknown: Sequence[tuple[str, Message, str]] = (),
) -> None:
    """Each bad request is refused with the names of its fields, each unknown thing with its reason, and nothing is
    stored: rows are counted before and after all of them."""
    await served.settle()  # what was done before the test's own requests may still be heard by the service itself
    before = await _stored(served)
    for name, request, expected in bad:
        refusal = await refused(boss, name, request)
        assert (refusal.code, fields(refusal)) == (Code.INVALID_ARGUMENT, expected), (name, request)
    for name, request, reason in unknown:
        assert (await refused(boss, name, request)).reason == reason, (name, request)
    assert await _stored(served) == before


def methods_of(*modules: Any) -> set[str]:
    """The methods of the services in these generated modules: a test that lists requests lists them all."""
    services = [service for module in modules for service in module.DESCRIPTOR.services_by_name.values()]
    return {method.name for service in services for method in service.methods}


async def _stored(served: Serving) -> list[int]:
    """Rows of every table."""
    return [await scalar(served.work, f"SELECT count(*) FROM {table}") for table in METADATA.tables]
