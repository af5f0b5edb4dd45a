"""The probe: a charge adds to a sum and tells it; hearing it told is an effect."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.consumers import Delivery, Handlers
from chassis.errors import InvalidArgument, Refusal
from chassis.gathering import Gatherer
from chassis.ids import check_id
from chassis.process import Parts, Process, Served, Servicer
from chassis.rpc.errors import item_result
from chassis.settings import ServiceSettings
from chassis.times import from_proto, to_proto
from chassis.work import Transaction, ask
from sqlalchemy import insert, text
from touchstone.billing.v1 import billing_events_pb2, charging_service_pb2_grpc
from touchstone.billing.v1 import charging_service_pb2 as pb

from probe.store import EFFECTS

_ADD = text("""
INSERT INTO sums (account_id, total) VALUES (:account_id, :amount)
ON CONFLICT (account_id) DO UPDATE SET total = sums.total + excluded.total RETURNING total
""")


class NotCounted(Refusal):
    """The probe does not count 13."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What to add."""

    charge_id: str
    account_id: str
    amount: int
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Charged:
    """It was added."""

    charge: Charge
    total: int

    @property
    def aggregate_id(self) -> str:
        return self.charge.account_id

    @property
    def occurred_at(self) -> datetime:
        return self.charge.occurred_at


def charged_to_proto(fact: Charged) -> billing_events_pb2.AccountCharged:
    """The fact as an event."""
    return billing_events_pb2.AccountCharged(
        charge_id=fact.charge.charge_id,
        account_id=fact.charge.account_id,
        occurred_at=to_proto(fact.charge.occurred_at),
    )


def read(request: pb.ChargeRequest) -> Charge:
    """The command in a request; 0 names a field that is wrong."""
    if request.amount.minor_units < 0:
        raise InvalidArgument("amount.minor_units", "must be 0 or more")
    account_id = check_id("account_id", request.account_id)
    occurred_at = from_proto(request.occurred_at, "occurred_at")
    return Charge(request.request_id, account_id, request.amount.minor_units, occurred_at)


async def add(transaction: Transaction, charge: Charge) -> pb.ChargeResponse:
    """Adds and tells; 13 is refused, 666 breaks, 99 takes its time."""
    if charge.amount == 13:
        raise NotCounted("13 is not counted", amount="13")
    if charge.amount == 666:
        raise RuntimeError("broken")
    if charge.amount == 99:
        await asyncio.sleep(0.05)
    total = (await transaction.connection.execute(_ADD, _parameters(charge))).scalar_one()
    transaction.emit(Charged(charge, total))
    return pb.ChargeResponse(charge_id=charge.charge_id, account_version=total)


async def add_many(transaction: Transaction, charges: Sequence[Charge]) -> list[pb.ChargeResponse | Refusal]:
    """Adds each; a refusal is that one's outcome."""
    outcomes: list[pb.ChargeResponse | Refusal] = []
    for charge in charges:
        try:
            outcomes.append(await add(transaction, charge))
        except Refusal as refusal:
            outcomes.append(refusal)
    return outcomes


def _parameters(charge: Charge) -> dict[str, Any]:
    return {"account_id": charge.account_id, "amount": charge.amount}


async def note(transaction: Transaction, deliveries: Sequence[Delivery[billing_events_pb2.AccountCharged]]) -> None:
    """One effect per event; an account named `poison` breaks, `curable` while POISON is set, `malformed` is refused."""
    for delivery in deliveries:
        if delivery.message.account_id == "curable" and os.environ.get("POISON"):
            os.environ["POISON"] = "met"
            raise RuntimeError("not yet")
        if delivery.message.account_id == "poison":
            raise RuntimeError("poison")
        if delivery.message.account_id == "malformed":
            raise InvalidArgument("account_id", "is malformed")
    rows = [{"charge_id": delivery.message.charge_id} for delivery in deliveries]
    await transaction.connection.execute(insert(EFFECTS), rows)


class ChargingApi(charging_service_pb2_grpc.ChargingServiceServicer):
    """The probe's calls: unary ones are gathered unless the description says `alone`."""

    def __init__(self, parts: Parts[ServiceSettings]) -> None:
        self._work = parts.work
        self._gatherer = Gatherer(parts.work, "add", add_many, pb.ChargeResponse)

    async def Charge(self, request: pb.ChargeRequest, context: Any) -> pb.ChargeResponse:
        asked = ask(request, read(request))
        if request.description == "alone":
            return await self._work.answer("add", asked, add, pb.ChargeResponse)
        return await self._gatherer.answer(asked)

    async def BatchCharge(self, request: pb.BatchChargeRequest, context: Any) -> pb.BatchChargeResponse:
        results = await self._gatherer.answer_batch(request.requests, read=read, result=item_result(pb.ChargeResult))
        return pb.BatchChargeResponse(results=results)


def build(parts: Parts[ServiceSettings]) -> Served:
    """The probe's parts."""
    handlers = Handlers()
    handlers.on(billing_events_pb2.AccountCharged, note)
    name = "touchstone.billing.v1.ChargingService"
    register = charging_service_pb2_grpc.add_ChargingServiceServicer_to_server
    api = ChargingApi(parts)  # type: ignore[abstract]  # the others are not called
    return Served([Servicer(name, register, api)], handlers)


PROCESS = Process("probe", "probe", ServiceSettings, {Charged: charged_to_proto}, build)
