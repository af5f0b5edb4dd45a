"""Composition root of the member service: `python -m member serve | migrate`."""

from chassis.process import Parts, Process, Served, Servicer, run
from touchstone.member.v1 import member_service_pb2_grpc as pb_grpc

from member.api import CustomerApi, MembershipApi, PointsApi
from member.consumers import handlers
from member.settings import MemberSettings
from member.use_cases.proving import prove
from member.wire import FACTS


def build(parts: Parts[MemberSettings]) -> Served:
    """The service's parts, put together."""
    work = parts.work
    customers, memberships, points = CustomerApi(work), MembershipApi(work), PointsApi(work)
    return Served(
        servicers=[
            Servicer("touchstone.member.v1.CustomerService", pb_grpc.add_CustomerServiceServicer_to_server, customers),
            Servicer(
                "touchstone.member.v1.MembershipService", pb_grpc.add_MembershipServiceServicer_to_server, memberships
            ),
            Servicer("touchstone.member.v1.PointsService", pb_grpc.add_PointsServiceServicer_to_server, points),
        ],
        handlers=handlers(),
        prove=prove,
    )


PROCESS = Process(name="member", package="member", settings=MemberSettings, facts=FACTS, build=build)

if __name__ == "__main__":
    run(PROCESS)
