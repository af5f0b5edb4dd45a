"""A payment provider for tests, which answers as told, and the call-backs that it, or somebody else, signs."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from billing.store import Connection
from billing.use_cases.proof import prove
from chassis import clock
from chassis.testing.serving import Serving
from chassis.times import to_proto
from chassis.tokens import all_scopes
from google.protobuf.message import Message
from sqlalchemy import text
from standardwebhooks import Webhook
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import payment_pb2
from touchstone.billing.v1 import payment_service_pb2 as pb
from touchstone.billing.v1 import top_up_service_pb2 as top_up_pb

from services.billing.tests.calls import AT, Calls, charged, cny, opened, put_plan, recharged
from services.billing.tests.factories import ACCOUNT, OCCURRED_AT

Answer = dict[str, Any] | None
CHANNEL, OTHER = "sandbox", "bank"


def secret_of(name: str) -> str:
    """A secret that both sides know."""
    return "whsec_" + base64.b64encode(f"the secret of {name}, of some length".encode()).decode()


@dataclass(slots=True)
class Provider:
    """What was asked, and what is answered: `answer` makes the body, None answers nothing at all."""

    url: str = ""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    status: int = 200
    state: str = "pending"
    answer: Callable[[str, dict[str, Any]], Answer] | None = None

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
            verb, path, _ = head[0].split(" ")
            Webhook(secret_of(CHANNEL)).verify(body or path, headers, json_parse=False)
            read = json.loads(body) if body else {}
            self.asked.append((f"{verb} {path.partition('?')[0]}", read))
            self.keys.append(headers["idempotency-key"])
            await self._reply(reader, writer, path, read)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _reply(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, read: dict[str, Any]
    ) -> None:
        said = self.answer(path, read) if self.answer else self.report(path, read)
        if said is None:
            await reader.read()  # until the other side gives up
            return
        text_of = json.dumps(said)
        writer.write(f"HTTP/1.1 {self.status} X\r\ncontent-length: {len(text_of)}\r\n\r\n{text_of}".encode())
        await writer.drain()

    def report(self, path: str, read: dict[str, Any]) -> dict[str, Any]:
        """What a provider that has just taken a request says."""
        payment_id = read.get("payment_id") or path.rpartition("/")[2]
        return {
            "type": f"payment.{self.state}",
            "payment_id": payment_id,
            "reference": f"ref-{payment_id}",
            "amount_minor": read.get("amount_minor", 50_00),
            "currency": read.get("currency", "CNY"),
            "sequence": 1,
            "occurred_at": OCCURRED_AT.isoformat(),
            "redirect_url": f"https://pay.example/{payment_id}",
            "decline_code": "no_funds" if self.state == "declined" else "",
        }


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    """A provider on loopback until the block ends."""
    provider = Provider()
    server = await asyncio.start_server(provider.handle, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        server.close()


def write_channels(folder: Path, provider: Provider) -> Path:
    """The file of two channels: one that can do everything, and one that can do nothing but take money."""
    everything = {"redirects": True, "stores_tokens": True, "refunds": True}
    secrets = [secret_of(CHANNEL), secret_of("sandbox before")]
    file = folder / "channels.json"
    able = {"channel": CHANNEL, "base_url": provider.url, "secrets": secrets, **everything}
    unable = {"channel": OTHER, "base_url": provider.url, "secrets": [secret_of(OTHER)]}
    file.write_text(json.dumps({"channels": [able, unable]}))
    return file


def create(request_id: str = "create-1", **changed: Any) -> pb.CreatePaymentRequest:
    """Asks to pay 50 yuan on the provider's page."""
    values: dict[str, Any] = {"account_id": ACCOUNT, "amount": cny(50_00), "channel": CHANNEL, "occurred_at": AT}
    return pb.CreatePaymentRequest(request_id=request_id, **values | changed)


def said(payment: payment_pb2.Payment, kind: str, **changed: Any) -> dict[str, Any]:
    """What the provider says of a payment."""
    values = {
        "type": kind,
        "payment_id": payment.payment_id,
        "reference": payment.provider_reference or f"ref-{payment.payment_id}",
        "amount_minor": payment.amount.minor_units,
        "currency": payment.amount.currency,
        "sequence": 2,
        "occurred_at": (OCCURRED_AT + timedelta(minutes=1)).isoformat(),
    }
    return values | changed


def signed(body: dict[str, Any] | bytes, **changed: Any) -> pb.ReceiveCallbackRequest:
    """A call-back as the gateway brings it. `at` and `secret` are those of the signature."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    at: datetime = changed.pop("at", None) or clock.now()
    secret: str = changed.pop("secret", secret_of(CHANNEL))
    name: str = changed.pop("name", "wh-1")
    signature = Webhook(secret).sign(name, at.astimezone(UTC), content.decode(errors="replace"))
    values = {"channel": CHANNEL, "body": content, "webhook_id": name, "webhook_timestamp": str(int(at.timestamp()))}
    return pb.ReceiveCallbackRequest(**values | {"webhook_signature": signature} | changed)


@dataclass(slots=True)
class Paying:
    """Billing with a channel, an account below its threshold, and the open bill of that."""

    served: Serving
    provider: Provider
    calls: Calls
    bill: Any = None

    @classmethod
    async def begun(cls, served: Serving, provider: Provider) -> "Paying":
        """One account on the basic plan with 100 yuan."""
        calls = Calls(served, *all_scopes())
        await calls.bills.PutBillPlan(put_plan())
        await calls.accounts.OpenAccount(opened())
        await calls.accounts.Recharge(recharged())
        return cls(served, provider, calls)

    async def cross(self, amount: int = 60_00, request_id: str = "charge-1") -> Any:
        """A charge that crosses the threshold; the bill that it causes."""
        reply = await self.calls.charging.Charge(charged(request_id, amount=cny(amount)))
        self.bill = reply.bill
        return reply.bill

    async def create(self, request_id: str = "create-1", **changed: Any) -> Any:
        """A payment, brought to the provider."""
        return (await self.calls.payments.CreatePayment(create(request_id, **changed))).payment

    async def hear(self, body: dict[str, Any], name: str = "wh-1") -> bool:
        """A call-back of the provider; whether it was known."""
        return bool((await self.calls.payments.ReceiveCallback(signed(body, name=name))).duplicate)

    async def payment(self, payment_id: str) -> Any:
        """A payment as it stands."""
        return (await self.calls.payments.GetPayment(pb.GetPaymentRequest(payment_id=payment_id))).payment

    async def advance(self, request_id: str, as_of: datetime) -> Any:
        """Brings payments on, as of an instant."""
        return await self.calls.payments.AdvancePayments(
            pb.AdvancePaymentsRequest(request_id=request_id, as_of=to_proto(as_of))
        )

    async def top_up(self, request_id: str, as_of: datetime) -> Any:
        """A run of top-ups, as of an instant."""
        return await self.calls.top_ups.RunTopUps(
            top_up_pb.RunTopUpsRequest(request_id=request_id, as_of=to_proto(as_of))
        )

    async def balance(self) -> int:
        """What the account has, in fen."""
        reply = await self.calls.accounts.GetAccount(account_pb.GetAccountRequest(account_id=ACCOUNT))
        return int(reply.account.balance.minor_units)

    async def told(self, event: type[Message]) -> list[Any]:
        """Events of a type in the outbox, in order."""
        asked = {"name": event.DESCRIPTOR.full_name}
        found = await self.rows("SELECT payload FROM outbox WHERE event_type = :name ORDER BY id", **asked)
        return [event.FromString(payload) for (payload,) in found]

    async def rows(self, statement: str, **asked: Any) -> list[Any]:
        """What a statement finds."""
        async with self.served.work.reading() as connection:
            return list(await connection.execute(text(statement), asked))

    async def broken(self) -> list[Any]:
        """The claims about billing's data that do not hold."""
        async with self.served.work.reading() as connection:
            return await self.broken_in(connection)

    @staticmethod
    async def broken_in(connection: Connection) -> list[Any]:
        """The same, as a transaction sees it."""
        return [check for check in await prove(connection) if not check.holds]
