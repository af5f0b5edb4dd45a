"""The book of coupons: every rule about who may have, hold and use how many, carried out one act after another.

A book holds what the acts of one transaction are about: templates with their counters, what members have had, and
coupons. It knows nothing of where they are kept. An act that is refused changes nothing; one that is done notes its
steps. What has ended by itself before an act (reservations, lives) is noted first, dated at its own end.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from chassis.calendar import EARLIEST, LATEST, Calendar
from chassis.money import Money

from member.domain.coupon import (
    IN_USE,
    NOBODY,
    Act,
    By,
    CodeAlreadyClaimed,
    CodeNotFound,
    Coupon,
    CouponAlreadyIssued,
    CouponId,
    CouponNotFound,
    CouponNotOpen,
    CouponsNotUsable,
    CouponState,
    HolderKey,
    MemberLimitReached,
    NotEligible,
    OrderHasCoupons,
    OrderId,
    RedemptionNotFound,
    ReservationNotOpen,
    Step,
    StockExhausted,
    Use,
    ValidityOver,
)
from member.domain.coupon_acts import Issue, Reserve, Reserved, Reverse, Void
from member.domain.coupon_judging import Judged, Room, Standing, eligible, obstacle_to
from member.domain.coupon_order import apply_coupons
from member.domain.coupon_quote import lawful
from member.domain.coupon_template import (
    Fixed,
    Template,
    TemplateId,
    TemplateNotActive,
    TemplateNotFound,
    TemplateState,
    Terms,
    end_of_day,
)
from member.domain.customer import EVERYBODY, CustomerId, CustomerNotFound, PersonId, PersonNotFound
from member.domain.membership import Holder


class Mark(NamedTuple):
    """A book as it stood: coupons, counters of members and of templates, and how many steps it had."""

    coupons: dict[CouponId, Coupon]
    issued: dict[HolderKey, int]
    counted: dict[TemplateId, tuple[int, int]]
    steps: int


@dataclass
class Book:
    """What is known to the acts. `persons` are those of the customers named; `standings` the tiers they hold.

    An act may be dated by a member, and lie ahead. So it ends its own customer's coupons by its instant, but those of
    others not later than at `others_until`.
    """

    calendar: Calendar
    templates: dict[TemplateId, Template] = field(default_factory=dict)
    terms: dict[tuple[TemplateId, int], Terms] = field(default_factory=dict)
    issued: defaultdict[HolderKey, int] = field(default_factory=lambda: defaultdict(int))
    coupons: dict[CouponId, Coupon] = field(default_factory=dict)
    persons: Mapping[CustomerId, set[PersonId]] = field(default_factory=dict)
    standings: Mapping[CustomerId, Sequence[Standing]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    others_until: datetime = LATEST

    def issue(self, command: Issue) -> Coupon:
        """Give a coupon. Refuses TemplateNotFound, TemplateNotActive, CustomerNotFound, PersonNotFound, ValidityOver,
        NotEligible, StockExhausted, MemberLimitReached, CouponAlreadyIssued."""
        template = self._active(command.template_id)
        if command.coupon_id in self.coupons:
            raise CouponAlreadyIssued(command.coupon_id)
        terms = self.terms[template.template_id, template.active_version]
        self._check_holder(template, terms, command.holder)
        start, end = terms.span(command.occurred_at, self.calendar)
        if end <= command.occurred_at:
            raise ValidityOver(template.template_id)
        self._check_stock(template, 1)
        coupon = Coupon(
            command.coupon_id,
            template.template_id,
            template.active_version,
            command.code,
            command.holder,
            CouponState.OPEN,
            issued_at=command.occurred_at,
            valid_from=start,
            valid_to=end,
            reason=command.by.reason,
        )
        self._count_issued(template, 1)
        self.issued[HolderKey.of(template.template_id, command.holder)] += 1
        self._note(Step(coupon, Act.ISSUED, command.occurred_at, by=command.by))
        return coupon

    def list_codes(
        self, template_id: TemplateId, codes: Mapping[CouponId, str], *, batch_id: str, occurred_at: datetime
    ) -> list[Coupon]:
        """Make unassigned coupons of the active version, all or none: TemplateNotFound, TemplateNotActive,
        ValidityOver, StockExhausted."""
        template = self._active(template_id)
        terms = self.terms[template_id, template.active_version]
        start, end = terms.span(occurred_at, self.calendar)
        if end <= occurred_at:
            raise ValidityOver(template_id)
        self._check_stock(template, len(codes))
        fixed = isinstance(terms.validity, Fixed)
        made = [
            Coupon(
                coupon_id,
                template_id,
                template.active_version,
                code,
                None,
                CouponState.UNASSIGNED,
                issued_at=occurred_at,
                valid_from=start,
                valid_to=end if fixed else None,
                batch_id=batch_id,
            )
            for coupon_id, code in codes.items()
        ]
        self._count_issued(template, len(made))
        for coupon in made:
            self._note(Step(coupon, Act.LISTED, occurred_at))
        return made

    def claim(self, coupon_id: CouponId | None, holder: Holder, *, occurred_at: datetime) -> Coupon:
        """Make an unassigned coupon the holder's. CodeNotFound where there is none, or somebody else's;
        CodeAlreadyClaimed, and what issuing refuses."""
        coupon = self.coupons.get(coupon_id) if coupon_id else None
        if coupon is None:
            raise CodeNotFound
        if coupon.holder is not None:
            raise CodeAlreadyClaimed(coupon.coupon_id) if coupon.holder == holder else CodeNotFound
        coupon = self.settled(coupon.coupon_id, occurred_at) or coupon
        if coupon.state is not CouponState.UNASSIGNED:
            raise CouponNotOpen(coupon)
        claimed = self.claimed(coupon, holder, occurred_at)
        self.issued[HolderKey.of(coupon.template_id, holder)] += 1
        self._note(Step(claimed, Act.CLAIMED, occurred_at))
        return claimed

    def claimed(self, coupon: Coupon, holder: Holder, at: datetime) -> Coupon:
        """An unassigned coupon as it would be once claimed, or what claiming it would be refused with."""
        template, terms = self._active(coupon.template_id), self.terms[coupon.template_id, coupon.version]
        self._check_holder(template, terms, holder)
        start, end = terms.span(at, self.calendar)
        if end <= at:
            raise ValidityOver(coupon.template_id)
        return replace(
            coupon,
            holder=holder,
            state=CouponState.OPEN,
            issued_at=at,
            valid_from=start,
            valid_to=end,
            revision=coupon.revision + 1,
        )

    def reserve(self, command: Reserve) -> Reserved:
        """Set coupons aside, or spend them at once: all of them or none. OrderHasCoupons, CouponNotFound,
        CouponsNotUsable with the reason of each."""
        at = command.occurred_at
        for coupon_id, each in sorted(self.coupons.items()):
            mine = each.holder is not None and each.holder.customer_id == command.customer_id
            self.settled(coupon_id, at if mine else min(at, self.others_until))
        if any(each.state in IN_USE for each in self._of_order(command.customer_id, command.order_id)):
            raise OrderHasCoupons(command.order_id)
        judged = [self.judged(self._of_customer(each, command.customer_id), at) for each in command.coupon_ids]
        why = {each.coupon.coupon_id: obstacle_to(each, command.order, at) for each in judged}
        refused = {str(coupon_id): found.words for coupon_id, found in why.items() if found}
        if refused:
            raise CouponsNotUsable(refused)
        candidates = [each.candidate() for each in judged]
        if not lawful(candidates):
            raise CouponsNotUsable(
                {str(each.coupon_id): "cannot be used together with the others" for each in candidates}
            )
        priced = apply_coupons(candidates, command.order)
        used = tuple(self._use(command, part.coupon_id, part.total_minor) for part in priced.parts)
        return Reserved(command.order, used, priced)

    def redeem(self, customer_id: CustomerId, order_id: OrderId, *, occurred_at: datetime) -> list[Coupon]:
        """Spend what is set aside for an order; ReservationNotOpen."""
        return [
            self._note(each.moved(Act.REDEEMED, CouponState.REDEEMED, occurred_at=occurred_at, use=_spent(each)))
            for each in self._reservation(customer_id, order_id, occurred_at)
        ]

    def spent(self, customer_id: CustomerId, order_id: OrderId) -> list[Coupon]:
        """The coupons that were spent for an order and not given back since."""
        return [each for each in self._of_order(customer_id, order_id) if each.state is CouponState.REDEEMED]

    def release(self, customer_id: CustomerId, order_id: OrderId, *, occurred_at: datetime) -> list[Coupon]:
        """Free what is set aside for an order; ReservationNotOpen. What has expired meanwhile ends at once."""
        return [
            self._free(each, Act.RELEASED, occurred_at)
            for each in self._reservation(customer_id, order_id, occurred_at)
        ]

    def reverse(self, command: Reverse) -> list[Coupon]:
        """Undo the redemption of these coupons of an order, of all where none is named; RedemptionNotFound.

        A coupon that has expired meanwhile is good to the end of the operator's day so many days later as its terms
        grant, and expires at once where they grant none.
        """
        spent = self.spent(command.customer_id, command.order_id)
        named = set(command.coupon_ids)
        wanted = [each for each in spent if not named or each.coupon_id in named]
        if not wanted or (named and len(wanted) != len(named)):
            raise RedemptionNotFound(command.order_id)
        return [self._free(each, Act.REVERSED, command.occurred_at, by=command.by) for each in wanted]

    def void(self, command: Void) -> Coupon:
        """Withdraw a coupon that waits to be used or claimed; CouponNotFound, CouponNotOpen."""
        coupon = self.settled(command.coupon_id, command.occurred_at)
        if coupon is None:
            raise CouponNotFound(command.coupon_id)
        if coupon.state not in (CouponState.OPEN, CouponState.UNASSIGNED):
            raise CouponNotOpen(coupon)
        return self._note(coupon.moved(Act.VOIDED, CouponState.VOID, occurred_at=command.occurred_at, by=command.by))

    def mark(self) -> Mark:
        """Where the book stands, to go back to."""
        counted = {key: (each.issued, each.used) for key, each in self.templates.items()}
        return Mark(dict(self.coupons), dict(self.issued), counted, len(self.steps))

    def go_back(self, mark: Mark) -> None:
        """Undo what was done since."""
        self.coupons = dict(mark.coupons)
        self.issued = defaultdict(int, mark.issued)
        for key, (issued, used) in mark.counted.items():
            self.templates[key].issued, self.templates[key].used = issued, used
        del self.steps[mark.steps :]

    def settle_all(self, at: datetime) -> None:
        """Note what has ended by itself by an instant."""
        for coupon_id in sorted(self.coupons):
            self.settled(coupon_id, at)

    def settled(self, coupon_id: CouponId, at: datetime) -> Coupon | None:
        """The coupon at an instant, with what ended by itself by then noted; None where it is not known."""
        coupon = self.coupons.get(coupon_id)
        earliest = EARLIEST
        while coupon is not None and (step := coupon.next_step(at)) is not None:
            # What was set aside outlived its own life if need be; it ends when it is free again.
            earliest = max(earliest, step.occurred_at)
            if step.act is Act.LAPSED:
                self._count_used(coupon.template_id, -1)
            coupon = self._note(replace(step, occurred_at=earliest))
        return coupon

    def judged(self, coupon: Coupon, at: datetime) -> Judged:
        """The coupon with what decides about its use."""
        assert coupon.holder is not None
        terms = self.terms[coupon.template_id, coupon.version]
        standings = self.standings.get(coupon.holder.customer_id, ())
        return Judged(coupon, terms, standings, self.room(coupon, at))

    def room(self, coupon: Coupon, at: datetime) -> Room:
        """How many more coupons of the template may be used, in all and by the member in the period of an instant."""
        template = self.templates[coupon.template_id]
        limits, key = template.limits, coupon.counter
        of_template = limits.used - template.used if limits.used else None
        if not limits.used_per_member:
            return Room(of_template)
        span = self.calendar.span(limits.period, at)
        used = sum(
            each.counter == key and each.use is not None and span.start <= each.use.used_at < span.end
            for each in self.coupons.values()
        )
        return Room(of_template, limits.used_per_member - used)

    def _active(self, template_id: TemplateId) -> Template:
        template = self.templates.get(template_id)
        if template is None:
            raise TemplateNotFound(template_id)
        if template.state is not TemplateState.ACTIVE:
            raise TemplateNotActive(template)
        return template

    def _check_holder(self, template: Template, terms: Terms, holder: Holder) -> None:
        """Whether the holder is there, is among those that the terms are for, and may have one more."""
        if holder.customer_id not in self.persons:
            raise CustomerNotFound(holder.customer_id)
        if holder.person_id != EVERYBODY and holder.person_id not in self.persons[holder.customer_id]:
            raise PersonNotFound(holder.customer_id, holder.person_id)
        if not eligible(terms.audience, holder, self.standings.get(holder.customer_id, ())):
            raise NotEligible(template.template_id)
        most = template.limits.issued_per_member
        if most and self.issued[HolderKey.of(template.template_id, holder)] >= most:
            raise MemberLimitReached(template.template_id, "had", most)

    def _check_stock(self, template: Template, count: int) -> None:
        if template.limits.issued and template.issued + count > template.limits.issued:
            raise StockExhausted(template.template_id, "issued")

    def _count_issued(self, template: Template, count: int) -> None:
        if template.limits.issued:
            template.issued += count

    def _count_used(self, template_id: TemplateId, count: int) -> None:
        template = self.templates[template_id]
        if template.limits.used:
            template.used += count

    def _of_customer(self, coupon_id: CouponId, customer_id: CustomerId) -> Coupon:
        coupon = self.coupons.get(coupon_id)
        if coupon is None or coupon.holder is None or coupon.holder.customer_id != customer_id:
            raise CouponNotFound(coupon_id)
        return coupon

    def _of_order(self, customer_id: CustomerId, order_id: OrderId) -> list[Coupon]:
        found = (each for each in self.coupons.values() if each.use is not None and each.use.order_id == order_id)
        mine = (each for each in found if each.holder is not None and each.holder.customer_id == customer_id)
        return sorted(mine, key=lambda each: each.coupon_id)

    def _reservation(self, customer_id: CustomerId, order_id: OrderId, at: datetime) -> list[Coupon]:
        found = [
            each
            for each in self._of_order(customer_id, order_id)
            if each.state is CouponState.RESERVED and each.use and each.use.ends_at and each.use.ends_at > at
        ]
        if not found:
            raise ReservationNotOpen(order_id)
        return found

    def _use(self, command: Reserve, coupon_id: CouponId, discount_minor: int) -> Coupon:
        coupon = self.coupons[coupon_id]
        discount = Money(discount_minor, command.order.currency)
        use = Use(command.order_id, command.occurred_at, command.ends_at, discount)
        self._count_used(coupon.template_id, 1)
        act, state = (Act.RESERVED, CouponState.RESERVED) if use.ends_at else (Act.REDEEMED, CouponState.REDEEMED)
        return self._note(coupon.moved(act, state, occurred_at=command.occurred_at, use=use))

    def _free(self, coupon: Coupon, act: Act, at: datetime, *, by: By = NOBODY) -> Coupon:
        self._count_used(coupon.template_id, -1)
        step = coupon.moved(act, CouponState.OPEN, occurred_at=at, by=by)
        grace_days = self.terms[coupon.template_id, coupon.version].grace_days
        if act is Act.REVERSED and grace_days and coupon.valid_to is not None and coupon.valid_to <= at:
            longer = replace(step.coupon, valid_to=end_of_day(self.calendar, at, grace_days))
            step = replace(step, coupon=longer)
        freed = self._note(step)
        ended = freed.next_step(at)
        return self._note(replace(ended, occurred_at=at)) if ended else freed

    def _note(self, step: Step) -> Coupon:
        self.coupons[step.coupon.coupon_id] = step.coupon
        self.steps.append(step)
        return step.coupon


def _spent(coupon: Coupon) -> Use:
    assert coupon.use is not None
    return coupon.use._replace(ends_at=None)
