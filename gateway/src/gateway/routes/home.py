"""The member home page: one call that gathers from every service at once and says which part is missing.

All parts run in parallel under one deadline. A part whose service is down, slow or closed to the caller is named in
`missing`; one that simply does not exist yet (no membership, no score) is null.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import grpc
from chassis.errors import Code
from chassis.rpc.client import set_deadline
from chassis.rpc.errors import RemoteRefusal, remote_refusal
from fastapi import Query, Request
from pydantic import BaseModel, Field
from touchstone.billing.v1 import account_service_pb2, bill_service_pb2, billing_pb2
from touchstone.member.v1 import benefit_pb2, coupon_pb2, member_pb2, task_pb2
from touchstone.member.v1 import benefit_service_pb2 as benefit_pb
from touchstone.member.v1 import coupon_service_pb2 as coupon_calls_pb
from touchstone.member.v1 import customer_service_pb2 as customer_pb
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.member.v1 import points_service_pb2 as points_pb
from touchstone.member.v1 import task_service_pb2 as task_calls_pb
from touchstone.scoring.v1 import scoring_pb2, scoring_service_pb2
from touchstone.touchpoint.v1 import touchpoint_service_pb2

from gateway.admission import To, admits, state_of
from gateway.asking import AsOf, optional_time
from gateway.routing import router_under
from gateway.schema import model_of, to_json
from gateway.services import Services

router = router_under("/v1/customers", "home")
_LIST_MAX = 20


class MissingPart(BaseModel):
    """A part that could not be had, and why."""

    part: str = Field(examples=["value"])
    reason: str = Field(examples=["UNAVAILABLE"])


class Home(BaseModel):
    """Everything a member's home page shows."""

    customer_id: str
    profile: model_of(member_pb2.Customer) | None  # type: ignore[valid-type]
    membership: model_of(member_pb2.Member) | None  # type: ignore[valid-type]
    points: model_of(points_pb.GetPointsBalanceResponse) | None  # type: ignore[valid-type]
    entitlements: model_of(benefit_pb2.Entitlements) | None  # type: ignore[valid-type]
    open_coupons: list[model_of(coupon_pb2.Coupon)] | None  # type: ignore[valid-type]
    tasks: list[model_of(task_pb2.TaskStanding)] | None  # type: ignore[valid-type]
    accounts: list[model_of(billing_pb2.Account)] | None  # type: ignore[valid-type]
    open_bills: list[model_of(billing_pb2.Bill)] | None  # type: ignore[valid-type]
    offers: list[model_of(touchpoint_service_pb2.WaitingOffer)] | None  # type: ignore[valid-type]
    value: model_of(scoring_pb2.Score) | None  # type: ignore[valid-type]
    missing: list[MissingPart]


@router.get("/{customer_id}/home", dependencies=[admits("member.v1.CustomerService.GetCustomer")], response_model=Home)
async def get_home(
    customer_id: str,
    request: Request,
    to: To,
    touchpoint: Annotated[str, Query(description="Code of the touchpoint that shows the page.")] = "TP09",
    as_of: AsOf = None,
) -> Any:
    """The member home page in one call; `missing` names the parts that could not be had."""
    set_deadline(state_of(request).settings.home_seconds)
    when = optional_time(as_of)
    parts = _of_member(to, customer_id, when) | _of_others(to, customer_id, touchpoint, when)
    results = await asyncio.gather(*(_part(load) for load in parts.values()))
    page: dict[str, Any] = {"customer_id": customer_id, "missing": []}
    for name, result in zip(parts, results, strict=True):
        page[name] = None if isinstance(result, RemoteRefusal) else result
        if isinstance(result, RemoteRefusal):
            _check_asked_well(name, result)
            if result.code is not Code.NOT_FOUND:
                page["missing"].append({"part": name, "reason": result.reason})
    return page


def _check_asked_well(part: str, refusal: RemoteRefusal) -> None:
    """Raises what is no service's fault: a customer who does not exist, or a request that cannot be answered."""
    if refusal.code is Code.INVALID_ARGUMENT or (refusal.code is Code.NOT_FOUND and part == "profile"):
        raise refusal


_Loaders = dict[str, Callable[[], Awaitable[Any]]]


def _of_member(to: Services, customer_id: str, as_of: Any) -> _Loaders:
    """How each part that the member service knows is loaded."""

    async def profile() -> Any:
        request = customer_pb.GetCustomerRequest(customer_id=customer_id)
        reply = await to.call("member.v1.CustomerService.GetCustomer", request)
        return to_json(reply.customer)

    async def membership() -> Any:
        request = membership_pb.GetMemberRequest(customer_id=customer_id, as_of=as_of)
        return to_json((await to.call("member.v1.MembershipService.GetMember", request)).member)

    async def points() -> Any:
        request = points_pb.GetPointsBalanceRequest(customer_id=customer_id, as_of=as_of)
        return to_json(await to.call("member.v1.PointsService.GetPointsBalance", request))

    async def entitlements() -> Any:
        request = benefit_pb.GetEntitlementsRequest(customer_id=customer_id, as_of=as_of)
        return to_json((await to.call("member.v1.BenefitService.GetEntitlements", request)).entitlements)

    async def open_coupons() -> Any:
        request = coupon_calls_pb.ListCouponsRequest(
            customer_id=customer_id, states=[coupon_pb2.COUPON_STATE_OPEN], as_of=as_of, page_size=_LIST_MAX
        )
        return [to_json(each) for each in (await to.call("member.v1.CouponService.ListCoupons", request)).coupons]

    async def tasks() -> Any:
        request = task_calls_pb.GetTasksRequest(customer_id=customer_id, as_of=as_of)
        return [to_json(each) for each in (await to.call("member.v1.TaskService.GetTasks", request)).tasks]

    return _named(profile, membership, points, entitlements, open_coupons, tasks)


def _of_others(to: Services, customer_id: str, touchpoint: str, as_of: Any) -> _Loaders:
    """How each part of the other services is loaded."""

    async def accounts() -> Any:
        request = account_service_pb2.ListAccountsRequest(customer_id=customer_id, page_size=_LIST_MAX)
        return [to_json(each) for each in (await to.call("billing.v1.AccountService.ListAccounts", request)).accounts]

    async def open_bills() -> Any:
        request = bill_service_pb2.ListBillsRequest(
            customer_id=customer_id, state=billing_pb2.BILL_STATE_OPEN, page_size=_LIST_MAX
        )
        return [to_json(each) for each in (await to.call("billing.v1.BillService.ListBills", request)).bills]

    async def offers() -> Any:
        request = touchpoint_service_pb2.ListOffersRequest(customer_id=customer_id, touchpoint=touchpoint, as_of=as_of)
        return [to_json(each) for each in (await to.call("touchpoint.v1.ContactService.ListOffers", request)).offers]

    async def value() -> Any:
        request = scoring_service_pb2.GetScoreRequest(customer_id=customer_id)
        reply = await to.call("scoring.v1.ScoreService.GetScore", request)
        return to_json(reply.score)

    return _named(accounts, open_bills, offers, value)


def _named(*loaders: Callable[[], Awaitable[Any]]) -> _Loaders:
    return {load.__name__: load for load in loaders}


async def _part(load: Callable[[], Awaitable[Any]]) -> Any:
    """The part, or the refusal that stands in its place."""
    try:
        return await load()
    except grpc.aio.AioRpcError as error:
        return remote_refusal(error)
    except RemoteRefusal as refusal:
        return refusal
