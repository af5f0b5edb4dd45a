"""A plain model of orders, changes and cancellations: days of months counted by hand, amounts in whole numbers."""

from calendar import monthrange
from dataclasses import dataclass, field
from datetime import date, timedelta

MONTHLY = {"tv": 99_00, "net": 31_07, "free": 0}
YEARLY = {"year": 365_01}


@dataclass(slots=True)
class Held:
    """A subscription as the model keeps it: what it is, and the cycle that was paid."""

    product: str
    quantity: int
    start: date
    end: date
    charged: int
    anchor: int


@dataclass(slots=True)
class OrderModel:
    """One account: its balance, and what it holds. Every act answers whether it was done."""

    balance: int = 0
    held: dict[str, Held] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    def recharge(self, amount: int) -> bool:
        self.balance += amount
        return True

    def order(self, name: str, product: str, quantity: int, day: date) -> bool:
        if name in self.held or name in self.ended:
            return False
        end, charged = _first(product, quantity, day)
        if charged > self.balance:
            return False
        self.balance -= charged
        self.held[name] = Held(product, quantity, day, end, charged, day.day)
        return True

    def cancel(self, name: str, day: date) -> bool:
        held = self.held.pop(name, None)
        if held is None:
            return False
        self.ended.add(name)
        self.balance += held.charged - _used(held, _days(held, day, at_least=1))
        return True

    def change(self, name: str, product: str, quantity: int, day: date) -> bool:
        held = self.held.get(name)
        if held is None or (product, quantity) == (held.product, held.quantity):
            return False
        day = max(day, held.start)
        same = (product in MONTHLY) == (held.product in MONTHLY)
        end, charged = _again(held, product, quantity, day) if same else _first(product, quantity, day)
        # A day of the new one costs so much of its days, compared without dividing.
        dearer = charged * (held.end - held.start).days >= held.charged * (end - day).days
        days = (
            _days(held, day, at_least=1) if not dearer else min((day - held.start).days, (held.end - held.start).days)
        )
        back = held.charged - _used(held, days)
        if self.balance + back < charged:
            return False
        self.balance += back - charged
        self.held[name] = Held(product, quantity, day, end, charged, held.anchor if same else day.day)
        return True


def _days(held: Held, day: date, *, at_least: int) -> int:
    return min(max((day - held.start).days + 1, at_least), (held.end - held.start).days)


def _used(held: Held, days: int) -> int:
    return _half_up(held.charged * days, (held.end - held.start).days)


def _first(product: str, quantity: int, day: date) -> tuple[date, int]:
    """Until the end of the month, or for a year."""
    if product in YEARLY:
        return _in_year(day, day.year + 1, day.day), YEARLY[product] * quantity
    month = monthrange(day.year, day.month)[1]
    end = day.replace(day=month) + timedelta(days=1)
    return end, _half_up(MONTHLY[product] * quantity * (end - day).days, month)


def _again(held: Held, product: str, quantity: int, day: date) -> tuple[date, int]:
    """Until the end that the old one has, or, after that, of the cycle around the day."""
    if product in MONTHLY:
        return _first(product, quantity, day)
    begin, end = held.end, held.end
    while end <= day:
        begin, end = end, _in_year(end, end.year + 1, held.anchor)
    if day < held.end:
        begin = _in_year(held.end, held.end.year - 1, held.anchor)
    return end, _half_up(YEARLY[product] * quantity * (end - day).days, (end - begin).days)


def _in_year(day: date, year: int, anchor: int) -> date:
    return date(year, day.month, min(anchor, monthrange(year, day.month)[1]))


def _half_up(dividend: int, divisor: int) -> int:
    return (2 * dividend + divisor) // (2 * divisor)
