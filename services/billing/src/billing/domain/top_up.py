"""Automatic top-up: pays what is asked of an account with a stored means of payment, and knows when to stop.

What is on its way is counted, one payment is in flight at a time, a decline is answered by an hour of patience, and a
rule that does harm stops itself and says so: it never does nothing in silence.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from chassis.errors import InvalidArgument, NotFound, Refusal
from chassis.money import Money

from billing.domain.account import Account
from billing.domain.ids import AccountId, BillId, CustomerId
from billing.domain.payment import PaymentState, TokenId

PATIENCE = timedelta(hours=1)
"""How long the next attempt waits after a decline."""

DECLINES_MAX = 3
"""So many declines in a row stop a rule."""

ALARM_PAYMENTS = 3
"""So many top-ups of one account within `ALARM_SPAN` stop its rule, and somebody should look."""

ALARM_SPAN = timedelta(minutes=10)

# Digits of any script; blanks and dashes are how numbers of cards are written.
_CARD_NUMBER = re.compile(r"(?:\d[\s-]*){5}")


class PaymentTokenNotFound(NotFound):
    """No such stored means of payment on this account, or it was removed, or it is no longer good."""


class PaymentTokenRefused(Refusal):
    """The provider's alias is another customer's. Whose, and since when, is not told."""

    def __init__(self) -> None:
        super().__init__("this means of payment cannot be stored for this account")


class TopUpRuleNotFound(NotFound):
    """The account has no automatic top-up, or is not one of the customer named: the answer is the same."""


class TopUpState(StrEnum):
    """Where an automatic top-up stands; derived, never stored."""

    READY = "ready"
    IN_FLIGHT = "in_flight"
    BACKING_OFF = "backing_off"
    PAUSED = "paused"


class Pause(StrEnum):
    """Why a rule was stopped."""

    DECLINED = "declined"
    TOO_MANY = "too_many"
    MONTHLY_LIMIT = "monthly_limit"
    TOKEN = "token"  # noqa: S105 - a reason, not a secret
    CHARGEBACK = "chargeback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A means of payment that a provider stored for an account; `provider_token` is its alias there."""

    account_id: AccountId
    token_id: TokenId
    channel: str
    provider_token: str
    display_name: str
    expires_at: datetime | None
    stored_at: datetime
    removed_at: datetime | None = None

    def good_at(self, instant: datetime) -> bool:
        """Whether it may be used then."""
        return self.removed_at is None and (self.expires_at is None or instant < self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpRule:
    """The rule of an account, and what came of it so far."""

    account_id: AccountId
    token_id: TokenId
    currency: str
    minimum_minor: int
    monthly_limit_minor: int | None
    enabled: bool
    declines: int = 0
    next_attempt_at: datetime | None = None
    paused_because: Pause | None = None
    in_flight: bool = False

    def state_at(self, instant: datetime) -> TopUpState:
        """Where it stands."""
        if self.paused_because is not None:
            return TopUpState.PAUSED
        if self.in_flight:
            return TopUpState.IN_FLIGHT
        waits = self.next_attempt_at is not None and instant < self.next_attempt_at
        return TopUpState.BACKING_OFF if waits else TopUpState.READY

    def paused(self, because: Pause) -> "TopUpRule":
        """Stopped, until it is put again. What stopped it first stays said."""
        return self if self.paused_because is not None else replace(self, paused_because=because, next_attempt_at=None)

    def after(self, state: PaymentState, at: datetime) -> "TopUpRule":
        """The rule after one of its payments ended. One that was not paid in time counts as declined."""
        match state:
            case PaymentState.SUCCEEDED:
                return replace(self, declines=0, next_attempt_at=None)
            case PaymentState.DECLINED | PaymentState.EXPIRED:
                declined = replace(self, declines=self.declines + 1, next_attempt_at=at + PATIENCE)
                return declined.paused(Pause.DECLINED) if declined.declines >= DECLINES_MAX else declined
            case _:
                return replace(self, next_attempt_at=at + PATIENCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PutTopUpRule:
    """Wish to put a rule; it acts again if it was stopped."""

    account_id: AccountId
    customer_id: CustomerId | None
    token_id: TokenId
    minimum: Money | None
    monthly_limit: Money | None
    enabled: bool
    occurred_at: datetime

    def rule_for(self, account: Account) -> TopUpRule:
        """The rule as it starts. Refuses another customer's account and amounts in another currency."""
        account.check_owner(self.customer_id)
        for field, amount in (("rule.minimum", self.minimum), ("rule.monthly_limit", self.monthly_limit)):
            if amount is not None and amount.currency != account.currency:
                raise InvalidArgument(f"{field}.currency", f"must be {account.currency}, the currency of the account")
        return TopUpRule(
            account_id=self.account_id,
            token_id=self.token_id,
            currency=account.currency,
            minimum_minor=self.minimum.minor_units if self.minimum else 0,
            monthly_limit_minor=self.monthly_limit.minor_units if self.monthly_limit else None,
            enabled=self.enabled,
        )


class Occasion(NamedTuple):
    """An open bill that a rule might pay, and all that the decision rests on; amounts in minor units."""

    bill_id: BillId
    remaining_minor: int
    missing_minor: int
    """What of all that is asked is to be paid now; nothing on its way covers it."""
    this_month_minor: int
    """Of the rule's payments of this month, what was paid or still may be."""
    lately: int
    """Payments of the rule within `ALARM_SPAN`."""
    token: Token | None


class Attempt(NamedTuple):
    """A payment to ask for. `pays_bill` says whether it is what the bill asks for, to the last unit."""

    amount_minor: int
    pays_bill: bool


def next_attempt(rule: TopUpRule, occasion: Occasion, at: datetime) -> Attempt | Pause:
    """What a rule does about a bill: a payment, or a stop."""
    if occasion.token is None or not occasion.token.good_at(at):
        return Pause.TOKEN
    if occasion.lately >= ALARM_PAYMENTS:
        return Pause.TOO_MANY
    amount = max(occasion.missing_minor, rule.minimum_minor)
    if rule.monthly_limit_minor is not None and occasion.this_month_minor + amount > rule.monthly_limit_minor:
        return Pause.MONTHLY_LIMIT
    return Attempt(amount, amount == occasion.remaining_minor)


def check_display_name(name: str) -> str:
    """A name to show, or InvalidArgument for what may be the number of a card."""
    if _CARD_NUMBER.search(name):
        raise InvalidArgument("display_name", "must have no more than four digits in a row, blanks and dashes aside")
    return name


def token_not_found(token_id: str) -> PaymentTokenNotFound:
    """The one answer for a means of payment that cannot be used."""
    return PaymentTokenNotFound(f"there is no means of payment {token_id}", token_id=token_id)
