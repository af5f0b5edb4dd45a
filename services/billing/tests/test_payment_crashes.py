"""A billing service that is killed between storing a payment and hearing of it: nothing is lost or paid twice."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from billing.__main__ import PROCESS
from chassis import clock
from chassis.embedded import Child, Launch, NatsServer, free_port
from chassis.rpc.client import open_channel
from chassis.testing import Database, Databases, Keys
from chassis.times import to_proto
from chassis.tokens import all_scopes
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import account_service_pb2_grpc as account_grpc
from touchstone.billing.v1 import payment_pb2
from touchstone.billing.v1 import payment_service_pb2 as pb
from touchstone.billing.v1 import payment_service_pb2_grpc as payment_grpc

from services.billing.tests.calls import opened
from services.billing.tests.factories import ACCOUNT
from services.billing.tests.payments import Provider, create, providing, said, signed, write_channels

PATIENCE_SECONDS = 30.0


@dataclass(slots=True)
class BillingProcess:
    """`python -m billing serve` with a payment channel, on a port that it keeps over its starts."""

    database: Database
    nats: NatsServer
    keys: Keys
    folder: Path
    provider: Provider
    port: int = field(default_factory=free_port)
    child: Child | None = None
    channel: grpc.aio.Channel | None = None

    async def start(self, failpoint: str = "") -> grpc.aio.Channel:
        """Starts and waits until it answers."""
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("TOUCHSTONE_", "FAILPOINT"))}
        settings = {
            "TOUCHSTONE_DATABASE_URL": self.database.url,
            "TOUCHSTONE_NATS_URL": self.nats.url,
            "TOUCHSTONE_JWKS": str(self.keys.jwks),
            "TOUCHSTONE_GRPC_PORT": str(self.port),
            "TOUCHSTONE_BIND_HOST": "127.0.0.1",
            "TOUCHSTONE_TIMED_WORK": "false",
            "TOUCHSTONE_PAYMENT_CHANNELS_FILE": str(write_channels(self.folder, self.provider)),
        }
        armed = {"FAILPOINT": failpoint} if failpoint else {}
        command = [sys.executable, "-m", "billing", "serve"]
        self.child = Child(Launch(command, self.folder / "log", inherited | settings | armed, self.folder))
        await self.close_channel()
        token = self.keys.mint("boss", all_scopes())
        self.channel = open_channel(f"127.0.0.1:{self.port}", lambda: token)
        await asyncio.wait_for(self.channel.channel_ready(), PATIENCE_SECONDS)
        return self.channel

    async def killed(self) -> int:
        """Waits for the end of the process; its exit code, minus the signal."""
        child, deadline = self.child, clock.monotonic() + PATIENCE_SECONDS
        assert child is not None
        while child.exit_code() is None:
            assert clock.monotonic() < deadline, "the process lives on"
            await asyncio.sleep(0.05)
        return child.wait()

    async def close_channel(self) -> None:
        """A channel that saw the end of the last process waits longer and longer before it looks again."""
        if self.channel is not None:
            await self.channel.close()


@pytest.fixture
async def billing(database: Databases, nats: NatsServer, keys: Keys, tmp_path: Path) -> AsyncIterator[BillingProcess]:
    """A billing service that is not started yet."""
    async with providing() as provider:
        made = BillingProcess(await database(PROCESS), nats, keys, tmp_path, provider)
        yield made
        if made.child is not None:
            made.child.kill()
        await made.close_channel()


@pytest.mark.parametrize("point", ["work.after_commit:kill@2", "payment.before_send:kill", "payment.after_send:kill"])
async def test_a_payment_outlives_its_process(billing: BillingProcess, point: str) -> None:
    """Killed when the payment is stored, before it is sent, or when the provider has it and nobody wrote that down."""
    channel = await billing.start(point)
    await account_grpc.AccountServiceStub(channel).OpenAccount(opened(plan_id=""))
    now = to_proto(clock.now())
    with pytest.raises(grpc.aio.AioRpcError):
        await payment_grpc.PaymentServiceStub(channel).CreatePayment(create(occurred_at=now))
    assert await billing.killed() == -9
    channel = await billing.start()
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


async def test_what_was_stored_and_never_repeated_is_sent_by_the_round(billing: BillingProcess) -> None:
    channel = await billing.start("payment.before_send:kill")
    await account_grpc.AccountServiceStub(channel).OpenAccount(opened(plan_id=""))
    with pytest.raises(grpc.aio.AioRpcError):
        await payment_grpc.PaymentServiceStub(channel).CreatePayment(create(occurred_at=to_proto(clock.now())))
    assert await billing.killed() == -9
    assert billing.provider.asked == []
    calls = payment_grpc.PaymentServiceStub(await billing.start())
    later = to_proto(clock.now() + timedelta(minutes=1))

    reply = await calls.AdvancePayments(pb.AdvancePaymentsRequest(request_id="advance-1", as_of=later))

    assert (reply.sent, len(billing.provider.asked)) == (1, 1)
    (payment,) = (await calls.ListPayments(pb.ListPaymentsRequest())).payments
    assert payment.state == payment_pb2.PAYMENT_STATE_PENDING


async def test_a_call_back_that_was_cut_off_is_taken_in_when_it_comes_again(billing: BillingProcess) -> None:
    channel = await billing.start("work.before_commit:kill@3")
    await account_grpc.AccountServiceStub(channel).OpenAccount(opened(plan_id=""))
    calls = payment_grpc.PaymentServiceStub(channel)
    payment = (await calls.CreatePayment(create(occurred_at=to_proto(clock.now())))).payment
    asked = pb.CancelPaymentRequest(request_id="c-1", payment_id=payment.payment_id, occurred_at=payment.requested_at)
    with pytest.raises(grpc.aio.AioRpcError):
        await calls.CancelPayment(asked)
    assert await billing.killed() == -9
    calls = payment_grpc.PaymentServiceStub(await billing.start())
    request = signed(said(payment, "payment.succeeded"))
    assert [(await calls.ReceiveCallback(request)).duplicate for _ in range(2)] == [False, True]
    found = (await calls.GetPayment(pb.GetPaymentRequest(payment_id=payment.payment_id))).payment
    assert found.state == payment_pb2.PAYMENT_STATE_SUCCEEDED, "the cancel was never done, and would not have counted"
