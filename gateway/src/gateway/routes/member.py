"""Customers, memberships and points."""

from typing import Any

from chassis.times import to_proto
from fastapi import APIRouter
from touchstone.member.v1 import customer_service_pb2 as customer_pb
from touchstone.member.v1 import member_pb2 as resources
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.member.v1 import points_service_pb2 as points_pb

from gateway.admission import Key, To, admits
from gateway.bodies import (
    AsOf,
    ConfirmBody,
    CustomerBody,
    EnrolBody,
    HoldBody,
    PageSize,
    PageToken,
    Timed,
    optional_time,
)
from gateway.schema import enum_number, model_of, to_json

router = APIRouter(prefix="/v1/customers", tags=["member"])


@router.get(
    "/{customer_id}",
    dependencies=[admits("member.v1.CustomerService.GetCustomer")],
    response_model=model_of(resources.Customer),
)
async def get_customer(customer_id: str, to: To) -> Any:
    """The customer with persons and service lines."""
    reply = await to.customers.GetCustomer(customer_pb.GetCustomerRequest(customer_id=customer_id))
    return to_json(reply.customer)


@router.put(
    "/{customer_id}",
    dependencies=[admits("member.v1.CustomerService.UpsertCustomer")],
    response_model=model_of(resources.Customer),
)
async def put_customer(customer_id: str, body: CustomerBody, key: Key, to: To) -> Any:
    """Creates the customer or replaces what has changed."""
    customer = resources.Customer(
        customer_id=customer_id,
        kind=enum_number(resources.CustomerKind.DESCRIPTOR, body.kind),  # type: ignore[arg-type]
        display_name=body.display_name,
        persons=[resources.Person(**person.model_dump()) for person in body.persons],
        subscribers=[
            resources.Subscriber(
                subscriber_id=line.subscriber_id,
                kind=enum_number(resources.SubscriberKind.DESCRIPTOR, line.kind),  # type: ignore[arg-type]
                in_service_since=to_proto(line.in_service_since),
            )
            for line in body.subscribers
        ],
        registered_at=to_proto(body.registered_at),
    )
    reply = await to.customers.UpsertCustomer(customer_pb.UpsertCustomerRequest(request_id=key, customer=customer))
    return to_json(reply.customer)


@router.post(
    "/{customer_id}/membership",
    dependencies=[admits("member.v1.MembershipService.Enrol")],
    response_model=model_of(resources.Member),
    status_code=201,
)
async def enrol(customer_id: str, body: EnrolBody, key: Key, to: To) -> Any:
    """Makes the customer a member."""
    request = membership_pb.EnrolRequest(
        request_id=key, customer_id=customer_id, program_id=body.program_id, occurred_at=body.when()
    )
    return to_json((await to.memberships.Enrol(request)).member)


@router.get(
    "/{customer_id}/membership",
    dependencies=[admits("member.v1.MembershipService.GetMember")],
    response_model=model_of(resources.Member),
)
async def get_membership(customer_id: str, to: To, program_id: str = "", as_of: AsOf = None) -> Any:
    """The membership: the tier, and what is missing to the next."""
    request = membership_pb.GetMemberRequest(customer_id=customer_id, program_id=program_id, as_of=optional_time(as_of))
    return to_json((await to.memberships.GetMember(request)).member)


@router.get(
    "/{customer_id}/points",
    dependencies=[admits("member.v1.PointsService.GetPointsBalance")],
    response_model=model_of(points_pb.GetPointsBalanceResponse),
)
async def get_points(customer_id: str, to: To, as_of: AsOf = None) -> Any:
    """Points now, or at an instant past or future, and what expires next."""
    request = points_pb.GetPointsBalanceRequest(customer_id=customer_id, as_of=optional_time(as_of))
    return to_json(await to.points.GetPointsBalance(request))


@router.get(
    "/{customer_id}/points/entries",
    dependencies=[admits("member.v1.PointsService.ListPointsEntries")],
    response_model=model_of(points_pb.ListPointsEntriesResponse),
)
async def list_points_entries(customer_id: str, to: To, page_size: PageSize = 0, page_token: PageToken = "") -> Any:
    """The points statement, newest first."""
    request = points_pb.ListPointsEntriesRequest(customer_id=customer_id, page_size=page_size, page_token=page_token)
    return to_json(await to.points.ListPointsEntries(request))


@router.post(
    "/{customer_id}/points/holds",
    dependencies=[admits("member.v1.PointsService.HoldPoints")],
    response_model=model_of(points_pb.HoldPointsResponse),
    status_code=201,
)
async def hold_points(customer_id: str, body: HoldBody, key: Key, to: To) -> Any:
    """Holds points for a use that is not certain yet."""
    request = points_pb.HoldPointsRequest(
        request_id=key,
        customer_id=customer_id,
        points=body.points,
        reason=body.reason,
        occurred_at=body.when(),
        expires_at=to_proto(body.expires_at),
    )
    return to_json(await to.points.HoldPoints(request))


@router.post(
    "/{customer_id}/points/holds/{hold_id}/confirm",
    dependencies=[admits("member.v1.PointsService.ConfirmHold")],
    response_model=model_of(points_pb.ConfirmHoldResponse),
)
async def confirm_hold(customer_id: str, hold_id: str, body: ConfirmBody, key: Key, to: To) -> Any:
    """Spends held points, all or a part; the rest is free again."""
    request = points_pb.ConfirmHoldRequest(
        request_id=key, customer_id=customer_id, hold_id=hold_id, points=body.points, occurred_at=body.when()
    )
    return to_json(await to.points.ConfirmHold(request))


@router.post(
    "/{customer_id}/points/holds/{hold_id}/release",
    dependencies=[admits("member.v1.PointsService.ReleaseHold")],
    response_model=model_of(points_pb.ReleaseHoldResponse),
)
async def release_hold(customer_id: str, hold_id: str, body: Timed, key: Key, to: To) -> Any:
    """Frees held points."""
    request = points_pb.ReleaseHoldRequest(
        request_id=key, customer_id=customer_id, hold_id=hold_id, occurred_at=body.when()
    )
    return to_json(await to.points.ReleaseHold(request))
