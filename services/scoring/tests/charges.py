"""Billing's side for tests: charges told as billing tells them."""

import asyncio
from collections.abc import Sequence

from chassis import times
from chassis.ids import new_id
from chassis.testing.serving import Serving
from scoring.domain.history import Purchase
from touchstone.billing.v1.billing_events_pb2 import AccountCharged
from touchstone.common.v1.common_pb2 import Money

from services.scoring.tests.factories import RECORDED_AT


def charge(purchase: Purchase) -> AccountCharged:
    """The charge that a purchase is known by."""
    return AccountCharged(
        charge_id=new_id(),
        account_id=f"a-{purchase.customer_id}",
        customer_id=purchase.customer_id,
        amount=Money(minor_units=purchase.amount.minor_units, currency=purchase.amount.currency),
        occurred_at=times.to_proto(purchase.occurred_at),
    )


async def tell(served: Serving, charges: Sequence[AccountCharged], *, event_ids: Sequence[str] = ()) -> None:
    """Publishes charges and waits until the broker has them. The same event id is the same event, sent again."""
    # The broker is reached before the process has made its streams; billing's relay would wait for them as well.
    await served.running.broker.ensure_streams()
    sent = []
    for index, told in enumerate(charges):
        headers = {
            "ce-id": event_ids[index] if event_ids else new_id(),
            "ce-type": AccountCharged.DESCRIPTOR.full_name,
            "ce-source": "billing",
            "ce-time": told.occurred_at.ToJsonString(),
            "ce-recordedtime": RECORDED_AT.isoformat(),
        }
        subject = f"events.{headers['ce-type']}"
        sent.append(await served.running.broker.publish(subject, told.SerializeToString(), headers))
    await asyncio.gather(*sent)
