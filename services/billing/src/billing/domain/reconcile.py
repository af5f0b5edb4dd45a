"""Reconciling: a closed day's ledger against what billing knows of it, and payments against their providers' files."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from chassis.errors import InvalidArgument
from chassis.money import Money

RECORDS_MAX = 10_000
"""Lines of a provider's file in one request."""


class RecordKind(StrEnum):
    """What a line of a provider's file is about."""

    PAYMENT = "payment"
    REFUND = "refund"
    CHARGEBACK = "chargeback"


class ProviderRecord(NamedTuple):
    """One line of a provider's file; what went back to the payer is negative."""

    provider_reference: str
    kind: RecordKind
    amount: Money
    settled_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRecords:
    """Wish to take in a channel's file of a day, or a part of it; `last` says that nothing more comes."""

    channel: str
    day: date
    records: Sequence[ProviderRecord]
    last: bool

    def __post_init__(self) -> None:
        if len(self.records) > RECORDS_MAX:
            raise InvalidArgument("records", f"must have at most {RECORDS_MAX} items")
        for place, record in enumerate(self.records):
            came_in = record.amount.minor_units > 0
            if not record.amount.minor_units or came_in != (record.kind is RecordKind.PAYMENT):
                raise InvalidArgument(
                    f"records[{place}].amount.minor_units", "must be above 0 for a payment and below 0 for all others"
                )


class Reconciled(NamedTuple):
    """How many things were compared, and how many do not agree, those of before among them."""

    compared: int
    differences: int
