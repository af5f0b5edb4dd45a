"""ChargingService: what goes out of accounts."""

from functools import partial
from typing import Any

import grpc
from chassis.calendar import Calendar
from chassis.gathering import Gatherer
from chassis.rpc.errors import item_result
from chassis.work import Work, ask
from touchstone.billing.v1 import charging_service_pb2 as pb
from touchstone.billing.v1.charging_service_pb2_grpc import ChargingServiceServicer

from billing.api.acting import replying
from billing.use_cases.wish import move_balances
from billing.wire.movement import charge_from_proto, charged_to_proto

Context = grpc.aio.ServicerContext[Any, Any]


class ChargingApi(ChargingServiceServicer):
    """A unary charge and a batch of them are one use case and share their claims."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        charge = replying(partial(move_balances, calendar=calendar), charged_to_proto)
        self._charging = Gatherer(work, "charge_account", charge, pb.ChargeResponse)

    async def Charge(self, request: pb.ChargeRequest, context: Context) -> pb.ChargeResponse:
        return await self._charging.answer(ask(request, charge_from_proto(request)))

    async def BatchCharge(self, request: pb.BatchChargeRequest, context: Context) -> pb.BatchChargeResponse:
        results = await self._charging.answer_batch(
            request.requests, read=charge_from_proto, result=item_result(pb.ChargeResult)
        )
        return pb.BatchChargeResponse(results=results)
