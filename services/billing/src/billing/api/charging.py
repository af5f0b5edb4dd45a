"""ChargingService: what goes out of accounts, at once or by reservation, and what of it is given back."""

from functools import partial
from typing import Any

import grpc
from chassis.calendar import Calendar
from chassis.gathering import Gatherer
from chassis.paging import page_from_request
from chassis.rpc.errors import item_result
from chassis.times import from_proto
from chassis.work import Transaction, Work, ask
from touchstone.billing.v1 import charging_service_pb2 as pb
from touchstone.billing.v1.charging_service_pb2_grpc import ChargingServiceServicer

from billing.api.acting import replying
from billing.api.rounds import total_of_rounds
from billing.domain.reservation import Release, Renew
from billing.store.reservation import ReservationFilter
from billing.use_cases import charge as charges
from billing.use_cases import reservation as reservations
from billing.use_cases.recurring import RunRecurring, run_recurring
from billing.use_cases.refund_charge import refund_charges
from billing.use_cases.wish import charge_accounts
from billing.wire import charging as wire
from billing.wire.movement import charge_from_proto, charged_to_proto
from billing.wire.value import account_id_from_proto, number_after, owner_from_proto

Context = grpc.aio.ServicerContext[Any, Any]


class ChargingApi(ChargingServiceServicer):
    """A unary call and a batch of them are one use case and share their claims."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work, self._calendar = work, calendar
        charge = replying(partial(charge_accounts, calendar=calendar), charged_to_proto)
        refund = replying(partial(refund_charges, calendar=calendar), wire.refunded_to_proto)
        reserve = replying(partial(reservations.reserve, calendar=calendar), wire.reserved_to_proto)
        commit = replying(partial(reservations.commit_reservations, calendar=calendar), wire.committed_to_proto)
        self._charging = Gatherer(work, "charge_account", charge, pb.ChargeResponse)
        self._refunding = Gatherer(work, "refund_charge", refund, pb.RefundChargeResponse)
        self._reserving = Gatherer(work, "reserve", reserve, pb.ReserveResponse)
        self._committing = Gatherer(work, "commit_reservation", commit, pb.CommitReservationResponse)

    async def Charge(self, request: pb.ChargeRequest, context: Context) -> pb.ChargeResponse:
        return await self._charging.answer(ask(request, charge_from_proto(request)))

    async def BatchCharge(self, request: pb.BatchChargeRequest, context: Context) -> pb.BatchChargeResponse:
        results = await self._charging.answer_batch(
            request.requests, read=charge_from_proto, result=item_result(pb.ChargeResult)
        )
        return pb.BatchChargeResponse(results=results)

    async def GetCharge(self, request: pb.GetChargeRequest, context: Context) -> pb.GetChargeResponse:
        charge_id, owner = wire.charge_id_from_proto(request.charge_id), owner_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            found = await charges.get_charge(connection, charge_id, owner)
        shown = wire.charge_to_proto(found.charge, reckoned=found.reckoned, shares=found.shares)
        return pb.GetChargeResponse(charge=shown)

    async def ListCharges(self, request: pb.ListChargesRequest, context: Context) -> pb.ListChargesResponse:
        page = page_from_request(request)
        account_id, owner = account_id_from_proto(request.account_id), owner_from_proto(request.customer_id)
        category = wire.category_from_proto(request.category)
        async with self._work.reading() as connection:
            found = await charges.charges_page(connection, account_id, owner, category=category, page=page)
        shown, token = page.cut(found, lambda one: one.charge_id)
        return pb.ListChargesResponse(charges=map(wire.charge_to_proto, shown), next_page_token=token)

    async def RefundCharge(self, request: pb.RefundChargeRequest, context: Context) -> pb.RefundChargeResponse:
        return await self._refunding.answer(ask(request, wire.refund_from_proto(request)))

    async def BatchRefundCharges(
        self, request: pb.BatchRefundChargesRequest, context: Context
    ) -> pb.BatchRefundChargesResponse:
        results = await self._refunding.answer_batch(
            request.requests, read=wire.refund_from_proto, result=item_result(pb.RefundChargeResult)
        )
        return pb.BatchRefundChargesResponse(results=results)

    async def Reserve(self, request: pb.ReserveRequest, context: Context) -> pb.ReserveResponse:
        return await self._reserving.answer(ask(request, wire.reserve_from_proto(request)))

    async def BatchReserve(self, request: pb.BatchReserveRequest, context: Context) -> pb.BatchReserveResponse:
        results = await self._reserving.answer_batch(
            request.requests, read=wire.reserve_from_proto, result=item_result(pb.ReserveResult)
        )
        return pb.BatchReserveResponse(results=results)

    async def UpdateReservation(
        self, request: pb.UpdateReservationRequest, context: Context
    ) -> pb.UpdateReservationResponse:
        async def renew(transaction: Transaction, wanted: Renew) -> pb.UpdateReservationResponse:
            return wire.renewed_to_proto(await reservations.renew_reservation(transaction, wanted, self._calendar))

        wanted = ask(request, wire.renew_from_proto(request))
        return await self._work.answer("update_reservation", wanted, renew, pb.UpdateReservationResponse)

    async def CommitReservation(
        self, request: pb.CommitReservationRequest, context: Context
    ) -> pb.CommitReservationResponse:
        return await self._committing.answer(ask(request, wire.commit_from_proto(request)))

    async def BatchCommitReservations(
        self, request: pb.BatchCommitReservationsRequest, context: Context
    ) -> pb.BatchCommitReservationsResponse:
        results = await self._committing.answer_batch(
            request.requests, read=wire.commit_from_proto, result=item_result(pb.CommitReservationResult)
        )
        return pb.BatchCommitReservationsResponse(results=results)

    async def ReleaseReservation(
        self, request: pb.ReleaseReservationRequest, context: Context
    ) -> pb.ReleaseReservationResponse:
        async def release(transaction: Transaction, wanted: Release) -> pb.ReleaseReservationResponse:
            return wire.released_to_proto(await reservations.release_reservation(transaction, wanted, self._calendar))

        wanted = ask(request, wire.release_from_proto(request))
        return await self._work.answer("release_reservation", wanted, release, pb.ReleaseReservationResponse)

    async def GetReservation(self, request: pb.GetReservationRequest, context: Context) -> pb.GetReservationResponse:
        reservation_id = wire.reservation_id_from_proto(request.reservation_id)
        owner = owner_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            found = await reservations.get_reservation(connection, reservation_id, owner)
        return pb.GetReservationResponse(reservation=wire.reservation_to_proto(found))

    async def ListReservations(
        self, request: pb.ListReservationsRequest, context: Context
    ) -> pb.ListReservationsResponse:
        page = page_from_request(request)
        account_id, owner = account_id_from_proto(request.account_id), owner_from_proto(request.customer_id)
        asked = ReservationFilter(account_id, wire.state_from_proto(request.state))
        before = number_after(page)
        async with self._work.reading() as connection:
            found = await reservations.reservations_page(connection, asked, owner, before=before, limit=page.wanted)
        shown, token = page.cut(found, lambda one: str(one.number))
        return pb.ListReservationsResponse(
            reservations=[wire.reservation_to_proto(one.reservation) for one in shown], next_page_token=token
        )

    async def RunRecurring(self, request: pb.RunRecurringRequest, context: Context) -> pb.RunRecurringResponse:
        async def act(transaction: Transaction, wanted: RunRecurring) -> pb.RunRecurringResponse:
            return wire.run_to_proto(await run_recurring(transaction, wanted, self._calendar))

        asked = ask(request, RunRecurring(from_proto(request.as_of, "as_of")))
        reply = pb.RunRecurringResponse
        return await total_of_rounds(self._work, "run_recurring", asked=asked, act=act, reply_type=reply)
