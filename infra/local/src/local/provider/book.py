"""The provider's own book: payments, refunds and what was settled on which day. It lives as long as the process."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from local.provider.fate import Fate


class State(StrEnum):
    """Where a payment stands at the provider."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment as the provider knows it. `said` counts what was said of it."""

    payment_id: str
    reference: str
    amount_minor: int
    currency: str
    fate: Fate
    return_url: str
    state: State = State.PENDING
    decline_code: str = ""
    said: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of a day's settlement: negative is what went back."""

    provider_reference: str
    kind: str
    amount_minor: int
    currency: str
    settled_at: datetime

    def to_json(self) -> dict[str, object]:
        """The line as the settlement file has it."""
        return {
            "provider_reference": self.provider_reference,
            "kind": self.kind,
            "amount_minor": self.amount_minor,
            "currency": self.currency,
            "settled_at": self.settled_at.isoformat(),
        }


@dataclass(slots=True)
class Book:
    """All that the provider has taken and given back."""

    payments: dict[str, Payment] = field(default_factory=dict)
    refunds: dict[str, tuple[str, int]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)

    def take(self, payment: Payment) -> Payment:
        """A payment under its key: the first request's, whatever a later one says."""
        return self.payments.setdefault(payment.payment_id, payment)

    def end(self, payment_id: str, state: State, at: datetime, *, decline_code: str = "") -> Payment:
        """A payment came to its end; what was paid is settled."""
        ended = replace(self.payments[payment_id], state=state, decline_code=decline_code)
        self.payments[payment_id] = ended
        if state is State.SUCCEEDED:
            self.settle(ended, "payment", ended.amount_minor, at)
        return ended

    def settle(self, payment: Payment, kind: str, amount_minor: int, at: datetime) -> None:
        """Writes a line of the day's settlement."""
        self.records.append(
            Record(
                provider_reference=payment.reference,
                kind=kind,
                amount_minor=amount_minor,
                currency=payment.currency,
                settled_at=at,
            )
        )

    def given_back(self, payment_id: str) -> int:
        """What refunds of a payment come to."""
        return sum(amount_minor for of, amount_minor in self.refunds.values() if of == payment_id)

    def say(self, payment_id: str) -> Payment:
        """Counts one more thing that is said of a payment."""
        said = replace(self.payments[payment_id], said=self.payments[payment_id].said + 1)
        self.payments[payment_id] = said
        return said

    def of_day(self, day: str) -> list[Record]:
        """What was settled on a day, `YYYY-MM-DD` in UTC."""
        return [each for each in self.records if each.settled_at.date().isoformat() == day]
