"""Payers: accounts that pay another's charges, in their order and before the account itself.

A charge is drawn from them whole or not at all, and each pays as far as it goes. A payer whose products or monthly
limit do not cover the whole of a charge is left out of it: nobody has to explain a charge split at a limit.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from chassis.calendar import Calendar
from chassis.errors import NotFound, Refusal
from chassis.money import Money
from chassis.violations import count_violations, refuse_any, repeat_violations

from billing.domain.account import Account
from billing.domain.ids import AccountId
from billing.domain.movement import Debit, Moved, check_occurred_at

PAYERS_MAX = 4
FAMILIES_MAX = 50


class PayerNotFound(NotFound):
    """No account has the number of a payer."""


class PayerIsAccount(Refusal):
    """An account is not its own payer: it pays last in any case."""


class PayerChain(Refusal):
    """Who pays for others is not paid for: there is one level of payers."""


class CurrencyMismatch(Refusal):
    """A payer's account is kept in the currency of the accounts it pays for."""


class Payer(NamedTuple):
    """An account that pays for another: up to a monthly limit, for the products of some families or for all."""

    payer_account_id: AccountId
    monthly_limit: Money | None = None
    families: tuple[str, ...] = ()

    def pays(self, bearing: "Bearing", paid_minor: int) -> bool:
        """Whether it may pay the whole of a charge, after what it paid in the month."""
        if self.families and bearing.family not in self.families:
            return False
        return self.monthly_limit is None or paid_minor + bearing.amount_minor <= self.monthly_limit.minor_units


class Bearing(NamedTuple):
    """A charge that somebody is to bear; `family` is its product's, empty where it came rated."""

    account_id: AccountId
    amount_minor: int
    family: str
    occurred_at: datetime


class PaidMonth(NamedTuple):
    """A payer's month for an account it pays for; `month` is its first day in the operator's calendar."""

    account_id: AccountId
    payer_account_id: AccountId
    month: date


@dataclass(frozen=True, slots=True, kw_only=True)
class PutPayers:
    """Wish of BOSS: who pays for an account from now on, in this order; nobody where the list is empty."""

    account_id: AccountId
    payers: tuple[Payer, ...]
    occurred_at: datetime

    def __post_init__(self) -> None:
        check_occurred_at(self.occurred_at)
        found = [*count_violations("payers", self.payers, most=PAYERS_MAX)]
        found += repeat_violations("payers", "payer_account_id", [each.payer_account_id for each in self.payers])
        for place, payer in enumerate(self.payers):
            found += count_violations(f"payers[{place}].families", payer.families, most=FAMILIES_MAX)
            if payer.monthly_limit is not None:
                payer.monthly_limit.not_negative(f"payers[{place}].monthly_limit")
        refuse_any(found)

    def check_against(self, accounts: Mapping[AccountId, Account], *, pays_for_others: bool) -> None:
        """Refuses PayerIsAccount, PayerNotFound, CurrencyMismatch and PayerChain. The accounts are locked."""
        account = accounts[self.account_id]
        for place, payer in enumerate(self.payers):
            if payer.payer_account_id == self.account_id:
                raise PayerIsAccount(f"account {self.account_id} would pay for itself", account_id=self.account_id)
            paying = accounts.get(payer.payer_account_id)
            if paying is None:
                raise PayerNotFound(
                    f"there is no account {payer.payer_account_id}", payer_account_id=payer.payer_account_id
                )
            if paying.currency != account.currency:
                raise CurrencyMismatch(
                    f"account {paying.account_id} is kept in {paying.currency}, not in {account.currency}",
                    payer_account_id=paying.account_id,
                )
            if payer.monthly_limit is not None:
                account.check_amount(payer.monthly_limit, f"payers[{place}].monthly_limit")
            if paying.has_payers or pays_for_others:
                chained = paying.account_id if paying.has_payers else self.account_id
                raise PayerChain(f"account {chained} would pay and be paid for", account_id=chained)


def month_of(calendar: Calendar, instant: datetime) -> date:
    """The first day of the month in which an instant falls."""
    return calendar.day_of(instant).replace(day=1)


def who_pays(
    bearings: Sequence[Bearing],
    payers: Mapping[AccountId, Sequence[Payer]],
    paid_minor: Mapping[PaidMonth, int],
    calendar: Calendar,
) -> list[tuple[AccountId, ...]]:
    """Who pays each charge before its own account, in order. Earlier charges of the batch count whole against a payer's
    month, as if it had paid all of them: what it really pays is known only when they are booked."""
    counted = Counter(dict(paid_minor))
    found = []
    for bearing in bearings:
        chosen: list[AccountId] = []
        for payer in payers.get(bearing.account_id, ()) if bearing.amount_minor else ():
            key = PaidMonth(bearing.account_id, payer.payer_account_id, month_of(calendar, bearing.occurred_at))
            if payer.pays(bearing, counted[key]):
                chosen.append(payer.payer_account_id)
                counted[key] += bearing.amount_minor
        found.append(tuple(chosen))
    return found


def paid_by_others(moved: Iterable[Moved], calendar: Calendar) -> dict[PaidMonth, int]:
    """What payers paid of charges, by month. What comes back with a refund does not make room in a month again."""
    paid: Counter[PaidMonth] = Counter()
    for each in moved:
        if isinstance(each.movement.act, Debit) and each.movement.act.payers:
            month = month_of(calendar, each.movement.occurred_at)
            for share in each.paid_by_others:
                key = PaidMonth(each.account.account_id, share.account_id, month)
                paid[key] += share.amount.minor_units
    return dict(paid)
