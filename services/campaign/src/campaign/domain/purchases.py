"""A customer's purchases as rules see them: the how-manieth, and how long after the one before."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NewType

from campaign.domain.catalogue import EventTypeId, Scalar, TagId
from campaign.domain.intake import CustomerEvent, CustomerId, TagValue

ChargeId = NewType("ChargeId", str)
PURCHASE_MADE = EventTypeId("purchase_made")


@dataclass(frozen=True, slots=True)
class Purchase:
    """A charge, seen as a purchase; one of zero counts."""

    source: str
    event_id: str
    charge_id: ChargeId
    account_id: str
    customer_id: CustomerId
    amount_minor: int
    balance_minor: int
    account_version: int
    description: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a purchase stands among those known of its customer, in order of business time, itself included."""

    number: int
    total_minor: int
    previous_at: datetime | None


def purchase_event(purchase: Purchase, standing: Standing) -> CustomerEvent:
    """The event that a purchase is to rules; the first one has no days since the previous."""
    attributes: dict[str, Scalar] = {
        "account_id": purchase.account_id,
        "charge_id": purchase.charge_id,
        "amount_minor": purchase.amount_minor,
        "balance_minor": purchase.balance_minor,
        "description": purchase.description,
        "purchase_number": standing.number,
        "total_purchases_minor": standing.total_minor,
    }
    if standing.previous_at is not None:
        attributes["days_since_previous_purchase"] = (purchase.occurred_at - standing.previous_at) / timedelta(days=1)
    return CustomerEvent(
        source=purchase.source,
        event_id=purchase.event_id,
        event_type=PURCHASE_MADE,
        customer_id=purchase.customer_id,
        occurred_at=purchase.occurred_at,
        attributes=attributes,
    )


def purchase_tags(purchase: Purchase, standing: Standing) -> list[TagValue]:
    """What a purchase makes known of its customer."""
    values: Mapping[str, int] = {
        "purchases_total": standing.number,
        "purchases_total_minor": standing.total_minor,
    }
    counted = [
        TagValue(purchase.customer_id, TagId(tag), value, purchase.occurred_at, sequence=standing.number)
        for tag, value in values.items()
    ]
    balance = TagValue(
        purchase.customer_id,
        TagId("balance_minor"),
        purchase.balance_minor,
        purchase.occurred_at,
        sequence=purchase.account_version,
        account_id=purchase.account_id,
    )
    return [*counted, balance]
