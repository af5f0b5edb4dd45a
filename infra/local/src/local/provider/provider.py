"""What the provider does with a payment: takes it, lets it come to its fate, and calls back."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, assert_never

from chassis import clock
from chassis.ids import new_id

from local.provider.book import Book, Payment, State
from local.provider.calling import Caller
from local.provider.fate import Fate, fate_of

_INSUFFICIENT_FUNDS = "insufficient_funds"


class Provider:
    """The provider behind its interface. `late_seconds` is how long a late call-back takes."""

    def __init__(self, caller: Caller, *, url: str, late_seconds: float) -> None:
        self.book = Book()
        self._caller = caller
        self._url = url
        self._late_seconds = late_seconds
        self._doing: set[asyncio.Task[None]] = set()
        self._started: set[str] = set()

    def take(self, asked: Mapping[str, Any]) -> tuple[Payment, bool]:
        """A payment that is asked for, and whether this is the first time. With a token it comes to its fate at once,
        without one when the payer has been at the provider's page."""
        known = asked["payment_id"] in self.book.payments
        payment = self.book.take(
            Payment(
                payment_id=asked["payment_id"],
                reference=f"sandbox-{new_id()}",
                amount_minor=asked["amount_minor"],
                currency=asked["currency"],
                fate=fate_of(asked["amount_minor"], asked.get("token", "")),
                return_url=asked.get("return_url", ""),
            )
        )
        if not known and asked.get("token"):
            self.start(payment)
        return payment, not known

    def start(self, payment: Payment) -> None:
        """Lets a payment come to its fate, in its own time and once: who presses the button twice pays once."""
        if payment.payment_id not in self._started:
            self._started.add(payment.payment_id)
            self._do(self._fulfil(payment))

    def report(self, payment: Payment) -> dict[str, object]:
        """How a payment stands, as an answer says it."""
        body = self._body(f"payment.{payment.state}", payment)
        if payment.state is State.PENDING:
            body["redirect_url"] = f"{self._url}/pay/{payment.payment_id}"
        return body

    def refund(self, asked: Mapping[str, Any]) -> bool:
        """Gives money back, once for each key; False for a payment not taken here, and for more than is left."""
        payment = self.book.payments.get(asked["payment_id"])
        if payment is None or payment.state is not State.SUCCEEDED:
            return False
        if asked["refund_id"] not in self.book.refunds:
            given = self.book.given_back(payment.payment_id)
            if given + asked["amount_minor"] > payment.amount_minor:
                return False
            self.book.refunds[asked["refund_id"]] = (payment.payment_id, asked["amount_minor"])
            self._do(self._give_back(payment, asked["refund_id"], asked["amount_minor"]))
        return True

    async def close(self) -> None:
        """Ends what is being done."""
        for task in self._doing:
            task.cancel()
        await asyncio.gather(*self._doing, return_exceptions=True)

    async def _fulfil(self, payment: Payment) -> None:
        match payment.fate:
            case Fate.SUCCEED | Fate.TIMEOUT:
                await self._succeed(payment)
            case Fate.DECLINE:
                await self._decline(payment)
            case Fate.LATE:
                await asyncio.sleep(self._late_seconds)
                await self._succeed(payment)
            case Fate.TWICE:
                name, body = self._paid(payment)
                await asyncio.gather(*(self._caller.tell(name, body, clock.now()) for _ in range(2)))
            case Fate.OUT_OF_ORDER:
                name, body = self._paid(payment)
                await self._charge_back(payment)
                await self._caller.tell(name, body, clock.now())
            case Fate.FORGED:
                lie = self._body("payment.declined", payment) | {"decline_code": "forged"}
                await self._caller.forge(f"{payment.payment_id}:forged", lie, clock.now())
                await self._succeed(payment)
            case Fate.CHARGEBACK:
                await self._succeed(payment)
                await self._charge_back(payment)
            case Fate.STALE:
                name, body = self._paid(payment)
                await self._caller.play_again(name, body, clock.now())
                await self._caller.tell(name, body, clock.now())
            case Fate.DECLINE_THEN_SUCCEED:
                await self._decline(payment)
                await self._succeed(payment)
            case _:
                assert_never(payment.fate)

    def _paid(self, payment: Payment) -> tuple[str, dict[str, object]]:
        """The payer's money is here; the name and the body of the call-back that says so."""
        self.book.end(payment.payment_id, State.SUCCEEDED, clock.now())
        return self._said("payment.succeeded", payment)

    async def _succeed(self, payment: Payment) -> None:
        name, body = self._paid(payment)
        await self._caller.tell(name, body, clock.now())

    async def _decline(self, payment: Payment) -> None:
        self.book.end(payment.payment_id, State.DECLINED, clock.now(), decline_code=_INSUFFICIENT_FUNDS)
        name, body = self._said("payment.declined", payment)
        await self._caller.tell(name, body | {"decline_code": _INSUFFICIENT_FUNDS}, clock.now())

    async def _charge_back(self, payment: Payment) -> None:
        self.book.settle(payment, "chargeback", -payment.amount_minor, clock.now())
        name, body = self._said("chargeback.opened", payment)
        await self._caller.tell(name, body, clock.now())

    async def _give_back(self, payment: Payment, refund_id: str, amount_minor: int) -> None:
        declined = fate_of(amount_minor, "") is Fate.DECLINE
        if declined:
            self.book.refunds[refund_id] = (payment.payment_id, 0)
        else:
            self.book.settle(payment, "refund", -amount_minor, clock.now())
        name, body = self._said("refund.declined" if declined else "refund.succeeded", payment)
        await self._caller.tell(name, body | {"refund_id": refund_id, "amount_minor": amount_minor}, clock.now())

    def _said(self, kind: str, payment: Payment) -> tuple[str, dict[str, object]]:
        said = self.book.say(payment.payment_id)
        return f"{payment.payment_id}:{said.said}", self._body(kind, said)

    @staticmethod
    def _body(kind: str, payment: Payment) -> dict[str, object]:
        return {
            "type": kind,
            "payment_id": payment.payment_id,
            "reference": payment.reference,
            "amount_minor": payment.amount_minor,
            "currency": payment.currency,
            "sequence": payment.said,
            "occurred_at": clock.now().isoformat(),
            "decline_code": payment.decline_code,
        }

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)
