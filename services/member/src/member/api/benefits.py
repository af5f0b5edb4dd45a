"""BenefitService: what customers are entitled to, the use of benefits, and grants of extra ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from chassis import clock
from chassis.calendar import Calendar
from chassis.errors import InvalidArgument, Refusal
from chassis.gathering import BATCH_MAX, Gatherer
from chassis.paging import page_from_request
from chassis.reading import Reader
from chassis.rounds import answer_in_rounds
from chassis.rpc.errors import item_result
from chassis.work import Transaction, Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import benefit_service_pb2 as pb
from touchstone.member.v1 import benefit_service_pb2_grpc as pb_grpc

from member.api.rendering import many, one
from member.domain.benefit_use import BenefitUse, TakeBenefit
from member.domain.customer import CustomerId
from member.domain.entitlement import EntitlementsNotFound, EntitlementState, entitlements_at
from member.domain.program import ProgramId
from member.use_cases import benefit_grants, benefit_uses, entitlements
from member.wire import entitlements as wire
from member.wire.customers import customer_id_from_proto
from member.wire.memberships import program_id_from_proto

_CONFIRM = one(benefit_uses.end_reservation, wire.confirmed_to_proto)
_RELEASE = one(benefit_uses.end_reservation, wire.released_to_proto)
_GRANT = one(benefit_grants.grant_benefit, wire.granted_to_proto)
_REVOKE = one(benefit_grants.revoke_benefit, wire.revoked_to_proto)
_RESULT = item_result(pb.GetEntitlementsResult)


class BenefitApi(pb_grpc.BenefitServiceServicer):
    """The calls of BenefitService."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        async def take(transaction: Transaction, commands: Sequence[TakeBenefit]) -> list[BenefitUse | Refusal]:
            return await benefit_uses.take_benefits(transaction, commands, calendar)

        self._work = work
        self._calendar = calendar
        self._states: Reader[CustomerId, EntitlementState] = Reader(work, entitlements.find_entitlements)
        self._reserving = Gatherer(
            work, "reserve_benefit", many(take, wire.reserved_to_proto), pb.ReserveBenefitResponse
        )
        self._using = Gatherer(work, "use_benefit", many(take, wire.used_to_proto), pb.UseBenefitResponse)

    async def GetEntitlements(
        self, request: pb.GetEntitlementsRequest, context: ServicerContext[Any, Any]
    ) -> pb.GetEntitlementsResponse:
        customer_id = customer_id_from_proto(request.customer_id)
        state = await self._states.get(customer_id)
        return self._answer(request, {} if state is None else {customer_id: state})

    async def BatchGetEntitlements(
        self, request: pb.BatchGetEntitlementsRequest, context: ServicerContext[Any, Any]
    ) -> pb.BatchGetEntitlementsResponse:
        if len(request.requests) > BATCH_MAX:
            raise InvalidArgument("requests", f"must have at most {BATCH_MAX} items")
        async with self._work.reading() as connection:
            ids = {CustomerId(each.customer_id) for each in request.requests if "\x00" not in each.customer_id}
            found = await entitlements.find_entitlements(connection, ids)
        return pb.BatchGetEntitlementsResponse(results=[self._result(each, found) for each in request.requests])

    async def ReserveBenefit(
        self, request: pb.ReserveBenefitRequest, context: ServicerContext[Any, Any]
    ) -> pb.ReserveBenefitResponse:
        return await self._reserving.answer(ask(request, wire.reserve_from_proto(request)))

    async def ConfirmBenefit(
        self, request: pb.ConfirmBenefitRequest, context: ServicerContext[Any, Any]
    ) -> pb.ConfirmBenefitResponse:
        asked = ask(request, wire.end_from_proto(request))
        return await self._work.answer("confirm_benefit", asked, _CONFIRM, pb.ConfirmBenefitResponse)

    async def ReleaseBenefit(
        self, request: pb.ReleaseBenefitRequest, context: ServicerContext[Any, Any]
    ) -> pb.ReleaseBenefitResponse:
        asked = ask(request, wire.end_from_proto(request))
        return await self._work.answer("release_benefit", asked, _RELEASE, pb.ReleaseBenefitResponse)

    async def UseBenefit(
        self, request: pb.UseBenefitRequest, context: ServicerContext[Any, Any]
    ) -> pb.UseBenefitResponse:
        return await self._using.answer(ask(request, wire.use_from_proto(request)))

    async def ListBenefitUses(
        self, request: pb.ListBenefitUsesRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListBenefitUsesResponse:
        customer_id = customer_id_from_proto(request.customer_id)
        benefit_id = wire.benefit_id_from_proto(request.benefit_id) if request.benefit_id else None
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await benefit_uses.list_uses(connection, customer_id, benefit_id, page)
        shown, token = page.cut(found, lambda one: str(one.sequence))
        return pb.ListBenefitUsesResponse(
            uses=[wire.benefit_use_to_proto(listed.use) for listed in shown], next_page_token=token
        )

    async def GrantBenefit(
        self, request: pb.GrantBenefitRequest, context: ServicerContext[Any, Any]
    ) -> pb.GrantBenefitResponse:
        asked = ask(request, wire.grant_from_proto(request))
        return await self._work.answer("grant_benefit", asked, _GRANT, pb.GrantBenefitResponse)

    async def RevokeBenefit(
        self, request: pb.RevokeBenefitRequest, context: ServicerContext[Any, Any]
    ) -> pb.RevokeBenefitResponse:
        asked = ask(request, wire.revoke_from_proto(request))
        return await self._work.answer("revoke_benefit", asked, _REVOKE, pb.RevokeBenefitResponse)

    async def ListBenefitGrants(
        self, request: pb.ListBenefitGrantsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListBenefitGrantsResponse:
        customer_id = customer_id_from_proto(request.customer_id)
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await benefit_grants.list_grants(connection, customer_id, page)
        shown, token = page.cut(found, lambda one: one.grant_id)
        return pb.ListBenefitGrantsResponse(
            grants=[wire.benefit_grant_to_proto(grant) for grant in shown], next_page_token=token
        )

    async def ExpireBenefitReservations(
        self, request: pb.ExpireBenefitReservationsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ExpireBenefitReservationsResponse:
        asked = ask(request, wire.expire_reservations_from_proto(request))
        total = pb.ExpireBenefitReservationsResponse()
        async for done in answer_in_rounds(
            self._work,
            "expire_benefit_reservations",
            asked=asked,
            act=one(benefit_uses.expire_reservations, wire.reservations_expired_to_proto),
            reply_type=pb.ExpireBenefitReservationsResponse,
        ):
            if done.expired == 0:
                break
            total.expired += done.expired
        return total

    async def RefreshEntitlements(
        self, request: pb.RefreshEntitlementsRequest, context: ServicerContext[Any, Any]
    ) -> pb.RefreshEntitlementsResponse:
        program_id = program_id_from_proto(request.program_id)
        await self._work.answer(
            "ask_for_refresh", ask(request, program_id), _ask_for_refresh, pb.RefreshEntitlementsResponse
        )
        total = pb.RefreshEntitlementsResponse()
        async for done in answer_in_rounds(
            self._work,
            "refresh_entitlements",
            asked=ask(request, entitlements.RefreshProgram(program_id)),
            act=one(entitlements.refresh_program, wire.refreshed_to_proto),
            reply_type=pb.RefreshEntitlementsResponse,
        ):
            total.customers += done.customers
            if done.customers < entitlements.CUSTOMERS_PER_ROUND:
                break
        return total

    def _answer(
        self, request: pb.GetEntitlementsRequest, known: Mapping[CustomerId, EntitlementState]
    ) -> pb.GetEntitlementsResponse:
        customer_id = customer_id_from_proto(request.customer_id)
        person_id = wire.person_id_from_proto(request.person_id)
        as_of = wire.as_of_from_proto(request) or clock.now()
        state = known.get(customer_id)
        if state is None:
            raise EntitlementsNotFound(customer_id)
        return wire.entitlements_to_proto(entitlements_at(state, person_id, as_of, self._calendar))

    def _result(
        self, request: pb.GetEntitlementsRequest, known: Mapping[CustomerId, EntitlementState]
    ) -> pb.GetEntitlementsResult:
        try:
            return _RESULT(self._answer(request, known))
        except Refusal as refusal:
            return _RESULT(refusal)


async def _ask_for_refresh(transaction: Transaction, program_id: ProgramId) -> pb.RefreshEntitlementsResponse:
    await entitlements.ask_for_refresh(transaction, program_id)
    return pb.RefreshEntitlementsResponse()
