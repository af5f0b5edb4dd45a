"""A game of coupons against the plainest model one can think of: a list looked through again for every question.

A move is an act and three numbers. What the coupons are kept in, a book in memory or the database, is said by
subclasses.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chassis.calendar import Period
from member.domain.coupon import CouponId, OrderId
from member.domain.coupon_template import Fixed, Lasting, Limits, Terms
from member.domain.customer import CustomerId

from services.member.tests.coupon_steps import terms
from services.member.tests.factories import JANUARY

SHAPES: dict[str, Terms] = {
    "plain": terms(validity=Lasting(1), grace_days=1),
    "scarce": terms(validity=Lasting(2), limits=Limits(issued=5, used=2)),
    "rationed": terms(validity=Lasting(4), limits=Limits(issued_per_member=3, used_per_member=1, period=Period.DAY)),
    "dated": terms(
        validity=Fixed(JANUARY + timedelta(hours=20), JANUARY + timedelta(days=3)), limits=Limits(used_per_member=1)
    ),
}
HOURS = [1, 3, 7, 8, 16, 24, 40]
ACTS = [
    "pass",
    "pass",
    "issue",
    "issue",
    "list",
    "claim",
    "reserve",
    "reserve",
    "spend",
    "redeem",
    "release",
    "reverse",
    "void",
    "expire",
]


@dataclass
class Held:
    """A coupon of the model."""

    shape: str
    owner: str | None
    starts: datetime
    ends: datetime | None
    state: str = "open"
    order: tuple[str, str] | None = None
    used_at: datetime | None = None
    until: datetime | None = None


def midnight(at: datetime, days: int) -> datetime:
    """The end of the day in Shanghai so many days later."""
    local = at + timedelta(hours=8)
    return local.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days + 1, hours=-8)


@dataclass
class Model:
    """Every act returns the name of the refusal, or None; `settle` is called with each act's instant before it."""

    coupons: dict[str, Held] = field(default_factory=dict)

    def settle(self, at: datetime) -> None:
        for each in self.coupons.values():
            if each.state == "reserved" and each.until is not None and each.until <= at:
                each.state, each.order, each.used_at, each.until = "open", None, None, None
            if each.state in ("open", "unassigned") and each.ends is not None and each.ends <= at:
                each.state = "expired"

    def of(self, shape: str) -> list[Held]:
        return [each for each in self.coupons.values() if each.shape == shape]

    def span(self, shape: str, at: datetime) -> tuple[datetime, datetime]:
        validity = SHAPES[shape].validity
        if isinstance(validity, Fixed):
            return max(validity.start, at), validity.end
        return at, midnight(at, validity.days)

    def issue(self, name: str, shape: str, owner: str, at: datetime) -> str | None:
        limits = SHAPES[shape].limits
        starts, ends = self.span(shape, at)
        if refusal := self.too_many(shape, owner):
            return refusal
        if ends <= at:
            return "ValidityOver"
        if limits.issued and len(self.of(shape)) >= limits.issued:
            return "StockExhausted"
        self.coupons[name] = Held(shape, owner, starts, ends)
        return None

    def too_many(self, shape: str, owner: str) -> str | None:
        most = SHAPES[shape].limits.issued_per_member
        had = sum(each.owner == owner for each in self.of(shape))
        return "MemberLimitReached" if most and had >= most else None

    def list_code(self, name: str, shape: str, at: datetime) -> str | None:
        limits, (starts, ends) = SHAPES[shape].limits, self.span(shape, at)
        if ends <= at:
            return "ValidityOver"
        if limits.issued and len(self.of(shape)) >= limits.issued:
            return "StockExhausted"
        fixed = isinstance(SHAPES[shape].validity, Fixed)
        self.coupons[name] = Held(shape, None, starts, ends if fixed else None, "unassigned")
        return None

    def claim(self, name: str, owner: str, at: datetime) -> str | None:
        coupon = self.coupons.get(name)
        if coupon is None or coupon.owner not in (None, owner):
            return "CodeNotFound"
        if coupon.owner == owner:
            return "CodeAlreadyClaimed"
        if coupon.state != "unassigned":
            return "CouponNotOpen"
        if refusal := self.too_many(coupon.shape, owner):
            return refusal
        coupon.starts, coupon.ends = self.span(coupon.shape, at)
        coupon.owner, coupon.state = owner, "open"
        return None

    def use(self, names: list[str], owner: str, order: str, at: datetime, until: datetime | None) -> str | None:
        if any(each.order == (owner, order) for each in self.coupons.values()):
            return "OrderHasCoupons"
        wanted = [self.coupons[name] for name in names if name in self.coupons]
        if len(wanted) < len(names) or any(each.owner != owner for each in wanted):
            return "CouponNotFound"
        if any(each.state != "open" or each.starts > at for each in wanted) or self.over(wanted, owner, at):
            return "CouponsNotUsable"
        for each in wanted:
            each.state, each.order = ("reserved" if until else "redeemed"), (owner, order)
            each.used_at, each.until = at, until
        return None

    def over(self, wanted: list[Held], owner: str, at: datetime) -> bool:
        """Whether these would be more than may be used of a shape, in all or by the owner in a period."""
        for shape in {each.shape for each in wanted}:
            limits, count = SHAPES[shape].limits, sum(each.shape == shape for each in wanted)
            used = [each for each in self.of(shape) if each.order is not None]
            if limits.used and len(used) + count > limits.used:
                return True
            same_day = [each for each in used if each.used_at and midnight(each.used_at, 0) == midnight(at, 0)]
            mine = [each for each in (same_day if limits.period is Period.DAY else used) if each.owner == owner]
            if limits.used_per_member and len(mine) + count > limits.used_per_member:
                return True
        return False

    def end(self, act: str, owner: str, order: str, at: datetime) -> str | None:
        from_state = "redeemed" if act == "reverse" else "reserved"
        found = [each for each in self.coupons.values() if each.order == (owner, order) and each.state == from_state]
        if not found:
            return "RedemptionNotFound" if act == "reverse" else "ReservationNotOpen"
        for each in found:
            if act == "redeem":
                each.state, each.until = "redeemed", None
                continue
            each.state, each.order, each.used_at, each.until = "open", None, None, None
            grace = SHAPES[each.shape].grace_days
            if act == "reverse" and grace and each.ends is not None and each.ends <= at:
                each.ends = midnight(at, grace)
        self.settle(at)
        return None

    def void(self, name: str) -> str | None:
        coupon = self.coupons.get(name)
        if coupon is None:
            return "CouponNotFound"
        if coupon.state not in ("open", "unassigned"):
            return "CouponNotOpen"
        coupon.state = "void"
        return None


class Game:
    """Plays moves on the model and on what is tried, which must always agree.

    Subclasses say what is tried: they carry out each act, returning the name of its refusal or None, and tell what
    state every coupon is in at an instant.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.model = Model()
        self.hours = 0
        self.made = 0
        self.customers = [f"{name}-c1", f"{name}-c2"]

    @property
    def now(self) -> datetime:
        return JANUARY + timedelta(hours=self.hours)

    def template(self, shape: str) -> str:
        return f"{self.name}-{shape}"

    def fresh(self) -> str:
        self.made += 1
        return f"{self.name}-{self.made:03}"

    def issue(self, name: str, shape: str, owner: str, at: datetime) -> str | None:
        raise NotImplementedError

    def list_code(self, name: str, shape: str) -> str | None:
        raise NotImplementedError

    def claim(self, name: str, owner: str) -> str | None:
        raise NotImplementedError

    def use(self, names: list[CouponId], owner: CustomerId, order: OrderId, until: datetime | None) -> str | None:
        raise NotImplementedError

    def end(self, act: str, owner: CustomerId, order: OrderId) -> str | None:
        raise NotImplementedError

    def void(self, name: CouponId) -> str | None:
        raise NotImplementedError

    def expire(self) -> None:
        raise NotImplementedError

    def states(self) -> dict[str, tuple[str, datetime | None]]:
        """Every coupon's state at this instant, and its end."""
        raise NotImplementedError

    def play(self, act: str, a: int, b: int, c: int) -> None:
        """One move."""
        if act == "pass":
            self.hours += HOURS[a % len(HOURS)]
            return
        self.model.settle(self.now)
        expected, got = self._move(act, a, b, c)
        assert got == expected, (act, a, b, c, self.hours, got, expected)

    def agree(self) -> None:
        """Both say the same of every coupon."""
        self.model.settle(self.now)
        assert self.states() == {name: (each.state, each.ends) for name, each in self.model.coupons.items()}

    def _move(self, act: str, a: int, b: int, c: int) -> tuple[str | None, str | None]:
        shape, owner = list(SHAPES)[a % len(SHAPES)], self.customers[b % 2]
        order, now = f"{self.name}-o{c % 3}", self.now
        match act:
            case "issue":
                name, at = self.fresh(), now - timedelta(hours=c % 3)
                return self.model.issue(name, shape, owner, at), self.issue(name, shape, owner, at)
            case "list":
                name = self.fresh()
                return self.model.list_code(name, shape, now), self.list_code(name, shape)
            case "claim":
                name = self._some("unassigned", a)
                return self.model.claim(name, owner, now), self.claim(name, owner)
            case "reserve" | "spend":
                names = sorted(
                    {self._some("open", a), self._some("open", a + c)} if c % 4 == 0 else {self._some("open", a)}
                )
                until = now + timedelta(hours=HOURS[c % len(HOURS)]) if act == "reserve" else None
                mine = self.model.coupons.get(names[0])
                owner = mine.owner if mine and mine.owner and b % 5 else owner
                expected = self.model.use(names, owner, order, now, until)
                coupon_ids = [CouponId(each) for each in names]
                return expected, self.use(coupon_ids, CustomerId(owner), OrderId(order), until)
            case "void":
                name = self._some("open", a)
                return self.model.void(name), self.void(CouponId(name))
            case "expire":
                self.expire()
                return None, None
        return self.model.end(act, owner, order, now), self.end(act, CustomerId(owner), OrderId(order))

    def _some(self, state: str, number: int) -> str:
        """A coupon, more often one in the state; now and then one that there is not."""
        names = [name for name, each in self.model.coupons.items() if each.state == state] * 3
        names += [*self.model.coupons, f"{self.name}-none"]
        return names[number * 7 % len(names)]
