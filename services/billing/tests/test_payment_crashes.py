"""A billing service that is killed between storing a payment and hearing of it: nothing is lost or paid twice."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from billing.__main__ import PROCESS
from chassis import clock
from chassis.embedded import NatsServer
from chassis.testing import Databases, Keys
from chassis.testing.processes import UNTIMED, ServiceProcess
from chassis.times import to_proto
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import account_service_pb2_grpc as account_grpc
from touchstone.billing.v1 import payment_pb2
from touchstone.billing.v1 import payment_service_pb2 as pb
from touchstone.billing.v1 import payment_service_pb2_grpc as payment_grpc

from services.billing.tests.calls import opened
from services.billing.tests.factories import ACCOUNT
from services.billing.tests.payments import Provider, create, providing, said, signed, write_channels


class PayingProcess(NamedTuple):
    """Billing with a payment channel, not started yet, and the provider at the other end of it."""

    process: ServiceProcess
    provider: Provider


@pytest.fixture
async def billing(database: Databases, nats: NatsServer, keys: Keys, tmp_path: Path) -> AsyncIterator[PayingProcess]:
    """A billing service with a provider."""
    async with providing() as provider:
        settings = UNTIMED | {"TOUCHSTONE_PAYMENT_CHANNELS_FILE": str(write_channels(tmp_path, provider))}
        process = ServiceProcess(await database(PROCESS), nats, keys, tmp_path, "billing", settings)
        yield PayingProcess(process, provider)
        await process.close()


@pytest.mark.parametrize("point", ["work.after_commit:kill@2", "payment.before_send:kill", "payment.after_send:kill"])
async def test_a_payment_outlives_its_process(billing: PayingProcess, point: str) -> None:
    """Killed when the payment is stored, before it is sent, or when the provider has it and nobody wrote that down."""
    channel = await billing.process.start(point)
    await account_grpc.AccountServiceStub(channel).OpenAccount(opened(plan_id=""))
    now = to_proto(clock.now())
    with pytest.raises(grpc.aio.AioRpcError):
        await payment_grpc.PaymentServiceStub(channel).CreatePayment(create(occurred_at=now))
    assert await billing.process.killed() == -9
    channel = await billing.process.start()
    calls = payment_grpc.PaymentServiceStub(channel)

    payment = (await calls.CreatePayment(create(occurred_at=now))).payment

    assert payment.state == payment_pb2.PAYMENT_STATE_PENDING, "a repeat goes on where the first one ended"
    assert payment.redirect_url
    assert set(billing.provider.keys) == {payment.payment_id}
    await calls.ReceiveCallback(signed(said(payment, "payment.succeeded")))
    later = to_proto(clock.now() + timedelta(minutes=1))
    await calls.AdvancePayments(pb.AdvancePaymentsRequest(request_id="advance-1", as_of=later))
    accounts = account_grpc.AccountServiceStub(channel)
    account = (await accounts.GetAccount(account_pb.GetAccountRequest(account_id=ACCOUNT))).account
    assert account.balance.minor_units == 50_00
    assert len((await calls.ListPayments(pb.ListPaymentsRequest())).payments) == 1


async def test_what_was_stored_and_never_repeated_is_sent_by_the_round(billing: PayingProcess) -> None:
    channel = await billing.process.start("payment.before_send:kill")
    await account_grpc.AccountServiceStub(channel).OpenAccount(opened(plan_id=""))
    with pytest.raises(grpc.aio.AioRpcError):
        await payment_grpc.PaymentServiceStub(channel).CreatePayment(create(occurred_at=to_proto(clock.now())))
    assert await billing.process.killed() == -9
    assert billing.provider.asked == []
    calls = payment_grpc.PaymentServiceStub(await billing.process.start())
    later = to_proto(clock.now() + timedelta(minutes=1))

    reply = await calls.AdvancePayments(pb.AdvancePaymentsRequest(request_id="advance-1", as_of=later))

    assert (reply.sent, len(billing.provider.asked)) == (1, 1)
    (payment,) = (await calls.ListPayments(pb.ListPaymentsRequest())).payments
    assert payment.state == payment_pb2.PAYMENT_STATE_PENDING


async def test_a_call_back_that_was_cut_off_is_taken_in_when_it_comes_again(billing: PayingProcess) -> None:
    channel = await billing.process.start("work.before_commit:kill@3")
    await account_grpc.AccountServiceStub(channel).OpenAccount(opened(plan_id=""))
    calls = payment_grpc.PaymentServiceStub(channel)
    payment = (await calls.CreatePayment(create(occurred_at=to_proto(clock.now())))).payment
    asked = pb.CancelPaymentRequest(request_id="c-1", payment_id=payment.payment_id, occurred_at=payment.requested_at)
    with pytest.raises(grpc.aio.AioRpcError):
        await calls.CancelPayment(asked)
    assert await billing.process.killed() == -9
    calls = payment_grpc.PaymentServiceStub(await billing.process.start())
    request = signed(said(payment, "payment.succeeded"))
    assert [(await calls.ReceiveCallback(request)).duplicate for _ in range(2)] == [False, True]
    found = (await calls.GetPayment(pb.GetPaymentRequest(payment_id=payment.payment_id))).payment
    assert found.state == payment_pb2.PAYMENT_STATE_SUCCEEDED, "the cancel was never done, and would not have counted"
