"""Whether a coupon may be used for an order, and if not, why and what is missing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from member.domain.coupon import Coupon, CouponId, CouponState
from member.domain.coupon_order import Candidate, Order, apply_coupons, covered, worked_on
from member.domain.coupon_quote import Best, lawful
from member.domain.coupon_template import Audience, Terms
from member.domain.customer import EVERYBODY, PersonId
from member.domain.membership import Holder
from member.domain.program import ProgramId, TierId

_MINOR_UNITS = 100


class Obstacle(StrEnum):
    """Why a coupon is not used for an order."""

    UNKNOWN_CODE = "unknown_code"
    NOT_OPEN = "not_open"
    NOT_YET_VALID = "not_yet_valid"
    OTHER_CURRENCY = "other_currency"
    OTHER_CHANNEL = "other_channel"
    NOT_ELIGIBLE = "not_eligible"
    NOTHING_COVERED = "nothing_covered"
    SPEND_MORE = "spend_more"
    MEMBER_LIMIT = "member_limit"
    STOCK_EXHAUSTED = "stock_exhausted"
    NOT_COMBINABLE = "not_combinable"
    NO_GAIN = "no_gain"
    NOT_CLAIMABLE = "not_claimable"


class Standing(NamedTuple):
    """The tier that the customer as a whole, or a person of it, holds in a program."""

    person_id: PersonId
    program_id: ProgramId
    tier_id: TierId


@dataclass(frozen=True, slots=True)
class NotUsed:
    """A coupon that is not used, in words; what is missing to its minimum, or from when on it is good."""

    coupon_id: CouponId
    obstacle: Obstacle
    words: str
    missing_minor: int = 0
    valid_from: datetime | None = None


class Room(NamedTuple):
    """How many more coupons may be used: of the template, and of it by the member. None is without limit."""

    of_template: int | None = None
    of_member: int | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A coupon as it is at the instant of the order, with its terms, the tiers held, and the room there is."""

    coupon: Coupon
    terms: Terms
    standings: Sequence[Standing]
    room: Room

    def candidate(self) -> Candidate:
        """The coupon as one to choose from."""
        coupon = self.coupon
        assert coupon.valid_to is not None
        assert coupon.counter is not None
        quotas = ((coupon.template_id, self.room.of_template), (":".join(coupon.counter), self.room.of_member))
        return Candidate(
            coupon.coupon_id,
            coupon.template_id,
            coupon.version,
            self.terms,
            coupon.valid_to,
            quotas=tuple((key, most) for key, most in quotas if most is not None),
        )


def eligible(audience: Sequence[Audience], holder: Holder, standings: Sequence[Standing]) -> bool:
    """Whether the holder is among those that the terms are for: by a membership of its own or of the customer's."""
    held = {(each.program_id, each.tier_id) for each in standings if each.person_id in (EVERYBODY, holder.person_id)}
    return not audience or any(
        program_id == wanted.program_id and (not wanted.tier_ids or tier_id in wanted.tier_ids)
        for wanted in audience
        for program_id, tier_id in held
    )


def obstacle_to(judged: Judged, order: Order, at: datetime) -> NotUsed | None:
    """The first thing that keeps the coupon from being used for the order on its own; None where nothing does."""
    return _life(judged, at) or _order(judged, order) or _spend(judged, order) or _room(judged)


def unused(judged: Sequence[Judged], best: Best, order: Order) -> Iterator[NotUsed]:
    """Why each coupon that could be used alone is not among the chosen."""
    candidates = {each.coupon.coupon_id: each.candidate() for each in judged}
    chosen = [candidates[coupon_id] for coupon_id in best.chosen]
    for coupon_id, candidate in candidates.items():
        if coupon_id in best.chosen:
            continue
        if not lawful([*chosen, candidate]):
            words = "cannot be used together with the coupons chosen, which take off more"
            yield NotUsed(coupon_id, Obstacle.NOT_COMBINABLE, words)
        else:
            more = apply_coupons([*chosen, candidate], order).discount_minor - best.priced.discount_minor
            words = "would take nothing more off" if more <= 0 else f"would take off {more} minor units more"
            yield NotUsed(coupon_id, Obstacle.NO_GAIN, words)


def amount_in_words(minor: int, currency: str) -> str:
    """An amount as people read it; every currency is taken to have a hundred minor units."""
    return f"{minor // _MINOR_UNITS}.{minor % _MINOR_UNITS:02} {currency}"


def _life(judged: Judged, at: datetime) -> NotUsed | None:
    coupon = judged.coupon
    if coupon.state is not CouponState.OPEN:
        return NotUsed(coupon.coupon_id, Obstacle.NOT_OPEN, f"is {coupon.state.value}")
    if coupon.valid_from > at:
        words = f"is good from {coupon.valid_from.isoformat()} on"
        return NotUsed(coupon.coupon_id, Obstacle.NOT_YET_VALID, words, valid_from=coupon.valid_from)
    return None


def _order(judged: Judged, order: Order) -> NotUsed | None:
    coupon, terms = judged.coupon, judged.terms
    if terms.currency != order.currency:
        return NotUsed(coupon.coupon_id, Obstacle.OTHER_CURRENCY, f"is for orders in {terms.currency}")
    if terms.channels and order.channel not in terms.channels:
        words = f"is for the channels {', '.join(sorted(terms.channels))}"
        return NotUsed(coupon.coupon_id, Obstacle.OTHER_CHANNEL, words)
    assert coupon.holder is not None
    if not eligible(terms.audience, coupon.holder, judged.standings):
        return NotUsed(coupon.coupon_id, Obstacle.NOT_ELIGIBLE, "is for members of other programs or tiers")
    return None


def _spend(judged: Judged, order: Order) -> NotUsed | None:
    coupon, terms = judged.coupon, judged.terms
    if not worked_on(terms, order):
        return NotUsed(coupon.coupon_id, Obstacle.NOTHING_COVERED, "covers nothing of this order")
    spent = sum(order.lines[place].price_minor for place in covered(terms, order))
    missing = terms.minimum_minor - spent
    if missing > 0:
        words = f"spend {amount_in_words(missing, terms.currency)} more on what it covers"
        return NotUsed(coupon.coupon_id, Obstacle.SPEND_MORE, words, missing_minor=missing)
    return None


def _room(judged: Judged) -> NotUsed | None:
    coupon_id, room = judged.coupon.coupon_id, judged.room
    if room.of_template is not None and room.of_template <= 0:
        return NotUsed(coupon_id, Obstacle.STOCK_EXHAUSTED, "as many as there are have been used")
    if room.of_member is not None and room.of_member <= 0:
        return NotUsed(coupon_id, Obstacle.MEMBER_LIMIT, "the member has used as many as one may for now")
    return None
