"""Composition root of the member service: `python -m member serve | migrate`."""

from chassis.calendar import Calendar
from chassis.process import Parts, Process, Register, Served, Servicer, run
from touchstone.member.v1.activity_service_pb2_grpc import add_ActivityServiceServicer_to_server
from touchstone.member.v1.benefit_service_pb2_grpc import add_BenefitServiceServicer_to_server
from touchstone.member.v1.care_service_pb2_grpc import add_CareServiceServicer_to_server
from touchstone.member.v1.club_service_pb2_grpc import add_ClubServiceServicer_to_server
from touchstone.member.v1.consent_service_pb2_grpc import add_ConsentServiceServicer_to_server
from touchstone.member.v1.coupon_service_pb2_grpc import add_CouponServiceServicer_to_server
from touchstone.member.v1.customer_service_pb2_grpc import add_CustomerServiceServicer_to_server
from touchstone.member.v1.earning_service_pb2_grpc import add_EarningServiceServicer_to_server
from touchstone.member.v1.membership_service_pb2_grpc import add_MembershipServiceServicer_to_server
from touchstone.member.v1.merchant_service_pb2_grpc import add_MerchantServiceServicer_to_server
from touchstone.member.v1.package_migration_service_pb2_grpc import add_PackageMigrationServiceServicer_to_server
from touchstone.member.v1.points_service_pb2_grpc import add_PointsServiceServicer_to_server
from touchstone.member.v1.shop_service_pb2_grpc import add_ShopServiceServicer_to_server
from touchstone.member.v1.task_service_pb2_grpc import add_TaskServiceServicer_to_server

from member import api
from member.consumers import handlers
from member.jobs import timed
from member.settings import MemberSettings
from member.use_cases.proving import prove
from member.wire import FACTS


def build(parts: Parts[MemberSettings]) -> Served:
    """The service's parts, put together."""
    work = parts.work
    calendar, zone = Calendar(parts.settings.zone), parts.settings.business_timezone
    back, ahead = parts.settings.member_time_back, parts.settings.member_time_ahead
    merchants = api.MerchantApi(work, calendar, back=back, ahead=ahead)
    return Served(
        servicers=[
            _servicer("CustomerService", add_CustomerServiceServicer_to_server, api.CustomerApi(work)),
            _servicer("ConsentService", add_ConsentServiceServicer_to_server, api.ConsentApi(work)),
            _servicer("CareService", add_CareServiceServicer_to_server, api.CareApi(work, calendar)),
            _servicer(
                "MembershipService",
                add_MembershipServiceServicer_to_server,
                api.MembershipApi(work, zone),
            ),
            _servicer("PointsService", add_PointsServiceServicer_to_server, api.PointsApi(work, calendar)),
            _servicer("EarningService", add_EarningServiceServicer_to_server, api.EarningApi(work, calendar)),
            _servicer("BenefitService", add_BenefitServiceServicer_to_server, api.BenefitApi(work, calendar)),
            _servicer(
                "PackageMigrationService",
                add_PackageMigrationServiceServicer_to_server,
                api.PackageMigrationApi(work, calendar),
            ),
            _servicer("CouponService", add_CouponServiceServicer_to_server, api.CouponApi(work, calendar)),
            _servicer("TaskService", add_TaskServiceServicer_to_server, api.TaskApi(work, calendar)),
            _servicer("ActivityService", add_ActivityServiceServicer_to_server, api.ActivityApi(work, calendar)),
            _servicer("ClubService", add_ClubServiceServicer_to_server, api.ClubApi(work, calendar)),
            _servicer("MerchantService", add_MerchantServiceServicer_to_server, merchants),
            _servicer("ShopService", add_ShopServiceServicer_to_server, api.ShopApi(work, calendar)),
        ],
        handlers=handlers(calendar),
        timed=timed(calendar),
        prove=prove,
    )


def _servicer(name: str, register: Register, implementation: object) -> Servicer:
    return Servicer(f"touchstone.member.v1.{name}", register, implementation)


PROCESS = Process(name="member", package="member", settings=MemberSettings, facts=FACTS, build=build)

if __name__ == "__main__":
    run(PROCESS)
