"""Calls of the member service as tests make them."""

from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any

import grpc
from chassis.testing.calls import fields, methods_of, refused, refuses_bad_input
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

from services.member.tests.factories import enrol_request, upsert_request

__all__ = ["SCOPES", "Stubs", "become_member", "fields", "methods_of", "refused", "refuses_bad_input"]

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


async def become_member(boss: Stubs, customer_id: str = "c-1") -> pb.EnrolResponse:
    """A household put and enrolled."""
    await boss.customers.UpsertCustomer(upsert_request(customer_id))
    reply: pb.EnrolResponse = await boss.memberships.Enrol(enrol_request(customer_id))
    return reply
