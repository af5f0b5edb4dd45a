"""Callers who go on calling while a service is killed and started again, and remember all that they were told.

A call without an answer is made again with its own request id, alone or in a batch, until it has one.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import grpc
from chassis import clock
from chassis.errors import Code
from chassis.rpc.errors import RemoteRefusal, from_status, remote_refusal
from chassis.testing.processes import PATIENCE_SECONDS, ServiceProcess
from google.protobuf.message import Message
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import account_service_pb2_grpc as account_grpc
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import bill_service_pb2_grpc as bill_grpc
from touchstone.billing.v1 import catalog_service_pb2_grpc as catalog_grpc
from touchstone.billing.v1 import charging_service_pb2 as charging_pb
from touchstone.billing.v1 import charging_service_pb2_grpc as charging_grpc
from touchstone.billing.v1 import order_service_pb2 as order_pb
from touchstone.billing.v1 import order_service_pb2_grpc as order_grpc
from touchstone.billing.v1 import usage_service_pb2 as usage_pb
from touchstone.billing.v1 import usage_service_pb2_grpc as usage_grpc

from services.billing.tests.acts import Ask, Town, any_act

CALLERS = 12
TWINS = 0.04
BATCHES: dict[str, tuple[str, type[Any]]] = {
    "Recharge": ("BatchRecharge", account_pb.BatchRechargeRequest),
    "Charge": ("BatchCharge", charging_pb.BatchChargeRequest),
    "GrantGift": ("BatchGrantGifts", account_pb.BatchGrantGiftsRequest),
    "SetCreditLimit": ("BatchSetCreditLimits", account_pb.BatchSetCreditLimitsRequest),
    "OpenAccount": ("BatchOpenAccounts", account_pb.BatchOpenAccountsRequest),
    "Reserve": ("BatchReserve", charging_pb.BatchReserveRequest),
    "CommitReservation": ("BatchCommitReservations", charging_pb.BatchCommitReservationsRequest),
    "RefundCharge": ("BatchRefundCharges", charging_pb.BatchRefundChargesRequest),
    "RecordUsage": ("BatchRecordUsage", usage_pb.BatchRecordUsageRequest),
    "SetAccountPlan": ("BatchSetAccountPlans", bill_pb.BatchSetAccountPlansRequest),
    "PayBill": ("BatchPayBills", bill_pb.BatchPayBillsRequest),
    "PlaceOrder": ("BatchPlaceOrders", order_pb.BatchPlaceOrdersRequest),
    "CancelSubscription": ("BatchCancelSubscriptions", order_pb.BatchCancelSubscriptionsRequest),
}
_LOST = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
Outcome = Message | RemoteRefusal | None


class Answer(NamedTuple):
    """What was asked, and the first reply to it."""

    method: str
    request: Any
    reply: Any


class Load:
    """The callers of one service, and their memory."""

    def __init__(self, process: ServiceProcess, seed: int) -> None:
        self.process = process
        self.dice = random.Random(seed)
        self.town = Town(self.dice)
        self.answers: dict[str, Answer] = {}
        self.refused: dict[str, RemoteRefusal] = {}
        self.unanswered: set[str] = set()
        self.lost = 0
        self._methods: dict[str, Any] = {}
        self._served = asyncio.Event()
        self._in_calls = 0
        self._callers: list[asyncio.Task[None]] = []
        self._over = False

    async def start(self, failpoint: str = "") -> None:
        """Starts the service; those who wait for it go on."""
        channel = await self.process.start(failpoint)
        stubs = (
            account_grpc.AccountServiceStub(channel),
            bill_grpc.BillServiceStub(channel),
            catalog_grpc.CatalogServiceStub(channel),
            charging_grpc.ChargingServiceStub(channel),
            order_grpc.OrderServiceStub(channel),
            usage_grpc.UsageServiceStub(channel),
        )
        self._methods = {name: method for stub in stubs for name, method in vars(stub).items()}
        self._served.set()

    @property
    def served(self) -> bool:
        """Whether the service is there, as far as callers know."""
        return self._served.is_set()

    async def pause(self) -> None:
        """After the end of the service: nobody calls until it is started again."""
        self._served.clear()
        while self._in_calls:
            await asyncio.sleep(0.005)

    def begin(self) -> None:
        """Lets the callers begin."""
        self._callers = [asyncio.create_task(self._call()) for _ in range(CALLERS)]

    async def end(self) -> None:
        """Waits until every caller has the answer to its last call."""
        self._over = True
        await asyncio.gather(*self._callers)

    async def answered(self, more: int) -> None:
        """Waits until so many more calls are answered."""
        wanted, deadline = len(self.answers) + more, clock.monotonic() + PATIENCE_SECONDS
        while len(self.answers) < wanted:
            assert clock.monotonic() < deadline, f"{len(self.answers)} of {wanted} answers"
            for caller in self._callers:
                if caller.done():
                    caller.result()
            await asyncio.sleep(0.001)

    async def ask(self, asked: Ask) -> None:
        """Asks until every call has its answer. What was lost is asked again in either form."""
        waiting, batch = asked.requests, asked.batch
        while waiting:
            await self._served.wait()
            self._in_calls += 1
            try:
                outcomes = await self._outcomes(asked.method, waiting, batch=batch)
            finally:
                self._in_calls -= 1
            lost = []
            for request, outcome in zip(waiting, outcomes, strict=True):
                if outcome is None:
                    lost.append(request)
                else:
                    self.note(asked.method, request, outcome)
            self.lost += len(lost)
            self.unanswered |= {each.request_id for each in lost}
            waiting = lost
            batch = asked.method in BATCHES and (len(lost) > 1 or self.dice.random() < 0.5)
            await asyncio.sleep(0.02 if lost else 0)

    def note(self, method: str, request: Any, outcome: Message | RemoteRefusal) -> None:
        """Keeps an answer, which is the same as any earlier one."""
        name = request.request_id
        self.unanswered.discard(name)
        if isinstance(outcome, RemoteRefusal):
            if name not in self.answers:  # of twins, one may be refused before the other is answered
                self.refused[name] = outcome
            return
        self.refused.pop(name, None)
        if name not in self.answers:
            self.answers[name] = Answer(method, request, outcome)
            self.town.learn(request, outcome)
        assert self.answers[name].reply == outcome, (method, request)

    async def repeat_all(self) -> None:
        """Makes every call that was answered once more, together with others of its kind: nothing is done again, and
        the replies are the first ones."""
        by_method: dict[str, list[Any]] = {}
        for answer in self.answers.values():
            by_method.setdefault(answer.method, []).append(answer.request)
        for method, requests in by_method.items():
            size = 500 if method in BATCHES else 1
            for start in range(0, len(requests), size):
                await self.ask(Ask(method, requests[start : start + size], batch=method in BATCHES))

    async def _call(self) -> None:
        while not self._over:
            asked = any_act(self.town)
            times = 2 if self.dice.random() < TWINS else 1
            await asyncio.gather(*(self.ask(asked) for _ in range(times)))

    async def _outcomes(self, method: str, requests: Sequence[Any], *, batch: bool) -> Sequence[Outcome]:
        name, batch_type = BATCHES[method] if batch else (method, None)
        request = batch_type(requests=requests) if batch_type else requests[0]
        try:
            reply = await self._methods[name](request, timeout=20.0)
        except grpc.aio.AioRpcError as error:
            outcome = None if error.code() in _LOST else remote_refusal(error)
            return [outcome] * len(requests)
        return [_of_item(each) for each in reply.results] if batch_type else [reply]


def _of_item(result: Any) -> Outcome:
    """What became of an item of a batch; one that was lost says so itself."""
    if result.WhichOneof("result") == "response":
        response: Message = result.response
        return response
    refusal = from_status(result.error)
    return None if refusal.code is Code.UNAVAILABLE else refusal
