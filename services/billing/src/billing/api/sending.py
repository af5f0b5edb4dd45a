"""Calls to payment providers, which lie between two transactions: the first has stored what is asked for, the second
stores what the provider said. A crash between them costs nothing, for the provider knows each payment by its key."""

import asyncio
from collections.abc import Awaitable
from functools import partial

import structlog
from chassis import clock, failpoints
from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.work import Transaction, Work

from billing.channels import ChannelFailed, Channels, RefundOrder
from billing.domain.payment import Payment, PaymentId, PaymentState, Refund, Report, Verdict, never_taken
from billing.use_cases.callback import take_report, take_waiting, waited_for
from billing.use_cases.payment import provider_token
from billing.use_cases.payment_round import ROUND, Waiting, begin_round

_log = structlog.get_logger(__name__)
_EVERY_SECONDS = 1.0


class Sending:
    """What is sent to providers: by the calls that ask for it, and by the rounds that look after the rest."""

    def __init__(self, work: Work, channels: Channels, calendar: Calendar) -> None:
        self._work = work
        self._channels = channels
        self._calendar = calendar

    async def send(self, payment: Payment) -> None:
        """Brings a payment to its provider, or asks there how it stands. What the provider does not answer is asked
        again by a later round."""
        await self._heard(payment.payment_id, self._asked(payment))

    async def send_back(self, payment: Payment, refund: Refund) -> None:
        """Brings a refund to the payment's provider."""
        await self._heard(payment.payment_id, self._asked_back(payment, refund))

    async def call(self, waiting: Waiting) -> None:
        """Does what a round has taken to do, all at once, and then what waited for a payment to succeed. What goes
        wrong with one of these concerns no other, and is due again by itself."""
        payments = (self.send(each) for each in waiting.payments)
        refunds = (self.send_back(payment, refund) for payment, refund in waiting.refunds)
        await _each_by_itself(*payments, *refunds)
        async with self._work.reading() as connection:
            late = await waited_for(connection, ROUND)
        await _each_by_itself(*map(self.take_waiting, late))

    async def take_waiting(self, payment_id: PaymentId) -> None:
        """Does what waited for a payment to succeed."""

        async def take(transaction: Transaction) -> bool:
            return await take_waiting(transaction, payment_id, self._calendar)

        while await self._work.run(take):
            pass

    async def keep_sending(self) -> None:
        """Sends what is due, round after round, for as long as the process runs. Each channel has one round of calls
        under way at most, and none waits for another's provider."""
        calling: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                calling = {channel: task for channel, task in calling.items() if not task.done()}
                waiting = await self._work.run(partial(begin_round, as_of=clock.now(), but_for=tuple(calling)))
                for channel, part in waiting.by_channel().items():
                    calling[channel] = asyncio.create_task(_each_by_itself(self.call(part)))
                if not calling:
                    await self.call(Waiting())
                if waiting.more and calling:  # the first channel that is done goes on at once
                    await asyncio.wait(calling.values(), timeout=_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await asyncio.sleep(_EVERY_SECONDS)
        except asyncio.CancelledError:
            for task in calling.values():
                task.cancel()
            await self._channels.close()
            raise

    async def _asked(self, payment: Payment) -> Report | None:
        channel = self._channels.named(payment.channel)
        async with self._work.reading() as connection:
            token = await provider_token(connection, payment)
        # One whose means of payment is gone may have been sent before: the provider knows.
        sent = payment.state is PaymentState.PENDING or token is None
        if sent and (report := await channel.ask(payment)) is not None:
            return report
        return never_taken(payment, "token_removed") if token is None else await channel.pay(payment, token)

    async def _asked_back(self, payment: Payment, refund: Refund) -> Report | None:
        return await self._channels.named(payment.channel).refund(RefundOrder(payment, refund))

    async def _heard(self, payment_id: PaymentId, asked: Awaitable[Report | None]) -> None:
        """Takes in what the provider says. Whatever goes wrong on the way there concerns no other payment."""
        await failpoints.reach("payment.before_send")
        try:
            report = await asked
        except (ChannelFailed, Refusal) as failed:
            _log.warning("payment provider did not answer", payment_id=payment_id, error=str(failed))
            return
        await failpoints.reach("payment.after_send")
        if report is not None:
            await self.take(report)

    async def take(self, report: Report) -> None:
        """Takes in what a provider says, and what waited for that."""

        async def take(transaction: Transaction) -> Verdict:
            return await take_report(transaction, report, self._calendar)

        if await self._work.run(take) is Verdict.SUCCEED:
            await self.take_waiting(report.payment_id)


async def _each_by_itself(*acts: Awaitable[None]) -> None:
    """Does all of these at once. What breaks is told to operators, and breaks nothing else."""
    for failed in await asyncio.gather(*acts, return_exceptions=True):
        if isinstance(failed, Exception):
            _log.error("what a payment provider said was not taken in", exc_info=failed)
