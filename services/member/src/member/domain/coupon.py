"""A coupon: whose it is, where it stands, what may be refused about it, and the facts told of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, NewType

from chassis.errors import AlreadyExists, NotFound, Refusal, ResourceExhausted
from chassis.money import Money

from member.domain.coupon_template import TemplateId
from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder

_NAMED_MAX = 20

CouponId = NewType("CouponId", str)
OrderId = NewType("OrderId", str)


class CouponState(StrEnum):
    """Where a coupon stands; one of a code list is unassigned until somebody claims it."""

    UNASSIGNED = "unassigned"
    OPEN = "open"
    RESERVED = "reserved"
    REDEEMED = "redeemed"
    EXPIRED = "expired"
    VOID = "void"


IN_USE = (CouponState.RESERVED, CouponState.REDEEMED)


class Act(StrEnum):
    """What happened to a coupon; a lapse is the end of a reservation by itself."""

    LISTED = "listed"
    ISSUED = "issued"
    CLAIMED = "claimed"
    RESERVED = "reserved"
    REDEEMED = "redeemed"
    RELEASED = "released"
    LAPSED = "lapsed"
    REVERSED = "reversed"
    EXPIRED = "expired"
    VOIDED = "voided"


class By(NamedTuple):
    """Why something was done, and who did it; empty where it happened by itself or a member did it."""

    reason: str = ""
    actor: str = ""


NOBODY = By()


class Use(NamedTuple):
    """The order that a coupon is set aside for or was spent on; `ends_at` (exclusive) is None once it is spent."""

    order_id: OrderId
    used_at: datetime
    ends_at: datetime | None
    discount: Money


@dataclass(frozen=True, slots=True)
class Coupon:
    """A coupon as it stands. `valid_to` is exclusive; it is None for an unassigned one whose days begin with its claim.
    `revision` counts what happened to it from 1."""

    coupon_id: CouponId
    template_id: TemplateId
    version: int
    code: str
    holder: Holder | None
    state: CouponState
    issued_at: datetime
    valid_from: datetime
    valid_to: datetime | None
    reason: str = ""
    batch_id: str = ""
    use: Use | None = None
    revision: int = 1

    @property
    def due_at(self) -> datetime | None:
        """When it changes by itself: the end of its reservation, or of its life; None where nothing comes by itself."""
        if self.state is CouponState.RESERVED:
            return self.use.ends_at if self.use else None
        return self.valid_to if self.state in (CouponState.OPEN, CouponState.UNASSIGNED) else None

    @property
    def counter(self) -> "HolderKey | None":
        """Under which member's limits it counts; None while it is unassigned."""
        return HolderKey.of(self.template_id, self.holder) if self.holder else None

    def at(self, instant: datetime) -> "Coupon":
        """The coupon as it is at an instant, with what will have ended by itself by then."""
        coupon = self
        while (step := coupon.next_step(instant)) is not None:
            coupon = step.coupon
        return coupon

    def next_step(self, instant: datetime) -> "Step | None":
        """What happens to it by itself, next and not later than an instant."""
        due_at = self.due_at
        if due_at is None or due_at > instant:
            return None
        if self.state is CouponState.RESERVED:
            return self.moved(Act.LAPSED, CouponState.OPEN, occurred_at=due_at)
        return self.moved(Act.EXPIRED, CouponState.EXPIRED, occurred_at=due_at)

    def moved(
        self, act: Act, state: CouponState, *, occurred_at: datetime, use: Use | None = None, by: By = NOBODY
    ) -> "Step":
        """The step to another state; the order it leaves, or comes to, is noted in it."""
        after = replace(self, state=state, use=use, revision=self.revision + 1)
        return Step(after, act, occurred_at, use or self.use, by)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to a coupon, and the coupon after it; `use` is the use that it is about."""

    coupon: Coupon
    act: Act
    occurred_at: datetime
    use: Use | None = None
    by: By = NOBODY


class HolderKey(NamedTuple):
    """Who is one member to a template's limits: a person, or the customer as a whole, whatever the program."""

    template_id: TemplateId
    customer_id: CustomerId
    person_id: PersonId

    @classmethod
    def of(cls, template_id: TemplateId, holder: Holder) -> "HolderKey":
        """The key of a holder."""
        return cls(template_id, holder.customer_id, holder.person_id)


class CouponNotFound(NotFound):
    """No coupon has this id, or it is another customer's; the answer does not say which."""

    def __init__(self, coupon_id: str) -> None:
        super().__init__("the customer has no such coupon", coupon_id=coupon_id)


class CodeNotFound(NotFound):
    """Nobody gave out this code, or somebody else holds it; the answer does not say which."""

    def __init__(self) -> None:
        super().__init__("no coupon can be had for this code")


class CodeAlreadyClaimed(Refusal):
    """The customer has claimed this code before."""

    def __init__(self, coupon_id: CouponId) -> None:
        super().__init__("the customer has claimed this code already", coupon_id=coupon_id)


class TooManyGuesses(ResourceExhausted):
    """The caller named too many codes that nobody gave out; it may try again later."""

    def __init__(self) -> None:
        super().__init__("too many unknown codes were tried; try again later")


class CouponAlreadyIssued(AlreadyExists):
    """A coupon has this id already."""

    def __init__(self, coupon_id: CouponId) -> None:
        super().__init__("a coupon has this id already", coupon_id=coupon_id)


class StockExhausted(ResourceExhausted):
    """No further coupon of the template may be issued, or used."""

    def __init__(self, template_id: TemplateId, what: str) -> None:
        super().__init__(f"no further coupon of the template can be {what}", template_id=template_id)


class MemberLimitReached(ResourceExhausted):
    """The member has had, or used, as many coupons of the template as one member may."""

    def __init__(self, template_id: TemplateId, what: str, most: int) -> None:
        super().__init__(f"the member has {what} {most}, the most allowed", template_id=template_id, most=str(most))


class NotEligible(Refusal):
    """The coupon is for members of other programs or tiers."""

    def __init__(self, template_id: TemplateId) -> None:
        super().__init__("the coupon is not for this member's programs and tiers", template_id=template_id)


class ValidityOver(Refusal):
    """The time for which coupons of the template are good has ended."""

    def __init__(self, template_id: TemplateId) -> None:
        super().__init__("coupons of the template are no longer good", template_id=template_id)


class CouponNotOpen(Refusal):
    """Only a coupon that waits to be used, or to be claimed, can be withdrawn."""

    def __init__(self, coupon: Coupon) -> None:
        super().__init__(f"the coupon is {coupon.state.value}", coupon_id=coupon.coupon_id, state=coupon.state.value)


class OrderHasCoupons(Refusal):
    """Coupons are reserved for the order, or were spent on it, already."""

    def __init__(self, order_id: OrderId) -> None:
        super().__init__("the order has its coupons already", order_id=order_id)


class ReservationNotOpen(NotFound):
    """The customer's order has no reservation that is open: none was made, it was ended, or it ended by itself."""

    def __init__(self, order_id: OrderId) -> None:
        super().__init__("the customer's order has no open reservation of coupons", order_id=order_id)


class RedemptionNotFound(NotFound):
    """The customer's order has no such redemption, or it was undone."""

    def __init__(self, order_id: OrderId) -> None:
        super().__init__("the customer's order has no such redemption", order_id=order_id)


class CouponsNotUsable(Refusal):
    """At least one of the coupons cannot be used for the order; the metadata say for each of them why."""

    def __init__(self, why: Mapping[str, str]) -> None:
        words = "; ".join(f"{coupon_id}: {reason}" for coupon_id, reason in why.items())
        named = {f"coupon {coupon_id}": reason for coupon_id, reason in list(why.items())[:_NAMED_MAX]}
        super().__init__(f"not all of the coupons can be used: {words}", **named)


@dataclass(frozen=True, slots=True)
class CouponFact:
    """What the facts of a coupon have in common; the coupon orders them by its revision."""

    step: Step

    @property
    def aggregate_id(self) -> str:
        """The coupon orders its facts."""
        return self.step.coupon.coupon_id

    @property
    def occurred_at(self) -> datetime:
        """Business time."""
        return self.step.occurred_at


class CouponIssued(CouponFact):
    """Effect: a member got a coupon, given or claimed by its code."""


class CouponReserved(CouponFact):
    """Effect: a coupon was set aside for an order."""


class CouponReleased(CouponFact):
    """Effect: a coupon set aside is free again, on request or by itself."""


class CouponRedeemed(CouponFact):
    """Effect: a coupon was spent on an order."""


class CouponRedemptionReversed(CouponFact):
    """Effect: a redemption was undone."""


class CouponExpired(CouponFact):
    """Effect: a coupon reached the end of its life unused."""


class CouponVoided(CouponFact):
    """Effect: a coupon was withdrawn."""


_FACTS: Mapping[Act, type[CouponFact]] = {
    Act.ISSUED: CouponIssued,
    Act.CLAIMED: CouponIssued,
    Act.RESERVED: CouponReserved,
    Act.RELEASED: CouponReleased,
    Act.LAPSED: CouponReleased,
    Act.REDEEMED: CouponRedeemed,
    Act.REVERSED: CouponRedemptionReversed,
    Act.EXPIRED: CouponExpired,
    Act.VOIDED: CouponVoided,
}


def fact_of(step: Step) -> CouponFact | None:
    """The fact of a step; None for one that concerns no member, such as the listing of a code."""
    told = _FACTS.get(step.act)
    return told(step) if told and step.coupon.holder else None
