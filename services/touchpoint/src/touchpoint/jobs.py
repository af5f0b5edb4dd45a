"""Work that nobody asks for call by call: webhooks are sent as long as the process runs."""

import asyncio
import random
from datetime import timedelta

import structlog
from chassis.ids import new_id
from chassis.work import Work
from opentelemetry import metrics

from touchpoint.clients.webhook import WebhookSender
from touchpoint.domain.delivery import Delivery, RetrySchedule
from touchpoint.settings import TouchpointSettings
from touchpoint.use_cases.deliveries import (
    LeasedDelivery,
    LeaseDeliveries,
    RecordAttempt,
    lease_deliveries,
    record_attempt,
)
from touchpoint.wire.deliveries import message_to_json

_log = structlog.get_logger(__name__)
_attempts = metrics.get_meter("touchstone").create_counter(
    "webhook_attempts", description="Attempts to deliver a webhook, by what the delivery then was."
)
_random = random.SystemRandom()

# Longer than an attempt may take by far, so that a lease is taken over only from a sender that is gone.
_LEASE_BEYOND_TIMEOUT = timedelta(seconds=50)


class DeliveryWorker:
    """Sends due webhooks, several at once. What it dies with is sent by another once the lease is over."""

    def __init__(self, work: Work, sender: WebhookSender, settings: TouchpointSettings) -> None:
        self._work = work
        self._sender = sender
        self._poll_seconds = settings.delivery_poll_seconds
        self._slots = settings.delivery_slots
        self._slots_per_endpoint = settings.delivery_slots_per_endpoint
        self._schedule = RetrySchedule(settings.delivery_schedule_seconds)
        self._lease = timedelta(seconds=settings.delivery_timeout_seconds) + _LEASE_BEYOND_TIMEOUT
        self._owner = new_id()
        self._sending: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()

    async def run(self) -> None:
        """Claims and sends for ever; when it is stopped, what is under way is stopped too."""
        try:
            while True:
                self._freed.clear()
                if not await self._claim():
                    await self._rest()
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)

    async def _claim(self) -> bool:
        """Starts what is due; whether there may be more at once."""
        free = self._slots - len(self._sending)
        if free <= 0:
            return False
        command = LeaseDeliveries(self._owner, self._lease, free, self._slots_per_endpoint)
        leased = await self._work.run(lambda transaction: lease_deliveries(transaction, command))
        for one in leased:
            task = asyncio.create_task(self._attempt(one))
            self._sending.add(task)
            task.add_done_callback(self._done)
        return len(leased) == free

    def _done(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._freed.set()

    async def _rest(self) -> None:
        """Until a slot is free again or it is time to look."""
        try:
            async with asyncio.timeout(self._poll_seconds):
                await self._freed.wait()
        except TimeoutError:
            return

    async def _attempt(self, leased: LeasedDelivery) -> None:
        delivery = leased.delivery
        try:
            body = message_to_json(delivery, leased.contact)
            answer = await self._sender.send(leased.url, leased.secret, message_id=delivery.delivery_id, body=body)
            spread = _random.uniform(-1, 1)
            command = RecordAttempt(delivery.delivery_id, self._owner, answer, self._schedule, spread)
            _count(await self._work.run(lambda transaction: record_attempt(transaction, command)))
        except Exception:  # noqa: BLE001 - the lease runs out and the delivery is tried again
            _log.exception("webhook attempt not recorded", delivery_id=delivery.delivery_id)


def _count(delivery: Delivery | None) -> None:
    _attempts.add(1, {"state": "lease_lost" if delivery is None else delivery.state.value})
