"""Look at coupons: the best combination for an order, a customer's coupons, and what happened to one."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chassis.calendar import Calendar
from chassis.errors import InvalidArgument, Refusal
from chassis.paging import Page

from member.domain.coupon import Coupon, CouponId, CouponNotFound, CouponState
from member.domain.coupon_book import Book
from member.domain.coupon_code import Code
from member.domain.coupon_judging import Judged, NotUsed, Obstacle, obstacle_to, unused
from member.domain.coupon_order import Order, check_order
from member.domain.coupon_quote import Best, best_combination
from member.domain.coupon_template import Terms
from member.domain.customer import CustomerId
from member.domain.membership import Holder
from member.domain.program import GENERAL
from member.store import Connection, coupon_books, coupon_lists, coupon_templates
from member.store.coupon_lists import CouponFilter, StepRecord

MAX_CODES = 20
# Past so many open coupons those that expire last are left out of a quote; it then says that it is not exact.
COUPONS_LOOKED_AT = 500


@dataclass(frozen=True, slots=True)
class AskQuote:
    """Which of the customer's coupons, and of these codes, are best for an order?"""

    customer_id: CustomerId
    order: Order
    codes: tuple[Code, ...]
    occurred_at: datetime

    def __post_init__(self) -> None:
        check_order(self.order)
        if len(self.codes) > MAX_CODES:
            raise InvalidArgument("codes", f"must have at most {MAX_CODES} items")


@dataclass(frozen=True, slots=True)
class Quote:
    """The best combination, why the others are not used, and codes: those unknown, and those chosen to be claimed."""

    best: Best
    not_used: tuple[NotUsed, ...]
    unknown: tuple[str, ...]
    codes: Mapping[CouponId, str]
    to_claim: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A coupon with its terms."""

    coupon: Coupon
    terms: Terms


async def quote_coupons(connection: Connection, asked: AskQuote, *, calendar: Calendar) -> Quote:
    """The best lawful combination for the order, and why each other coupon is not used. Nothing is changed."""
    looked = await _look(connection, asked, calendar)
    judged = [looked.book.judged(coupon, asked.occurred_at) for coupon in looked.usable]
    why = {each.coupon.coupon_id: obstacle_to(each, asked.order, asked.occurred_at) for each in judged}
    good = [each for each in judged if why[each.coupon.coupon_id] is None]
    # The search may take the better part of a second: others are served meanwhile.
    best, rest = await asyncio.to_thread(_choose, good, asked.order)
    if looked.more:
        best = replace(best, exact=False, at_most_minor=asked.order.price_minor)
    refused = [*looked.refused, *(found for found in why.values() if found), *rest]
    return Quote(
        best,
        tuple(refused),
        looked.unknown,
        {each.coupon_id: each.code for each in looked.by_code},
        to_claim=tuple(each.code for each in looked.claimed if each.coupon_id in best.chosen),
    )


async def get_coupon(
    connection: Connection, customer_id: CustomerId, coupon_id: CouponId, as_of: datetime
) -> tuple[Shown, list[StepRecord]]:
    """A customer's coupon as it is at an instant, and what happened to it; CouponNotFound."""
    found = await coupon_lists.find_coupons(connection, [coupon_id], [])
    if not found or found[0].holder is None or found[0].holder.customer_id != customer_id:
        raise CouponNotFound(coupon_id)
    (shown,) = await show(connection, [found[0].at(as_of)])
    return shown, await coupon_lists.list_steps(connection, coupon_id)


async def list_coupons(connection: Connection, wanted: CouponFilter, page: Page) -> list[Shown]:
    """A customer's coupons, the soonest to expire first, one more than the page holds where there are more."""
    after = _key_from(page.after) if page.after is not None else None
    return await show(connection, await coupon_lists.list_coupons(connection, wanted, after=after, limit=page.wanted))


async def show(connection: Connection, found: Sequence[Coupon]) -> list[Shown]:
    """Coupons with their terms."""
    terms = await coupon_books.find_terms(connection, {(each.template_id, each.version) for each in found})
    return [Shown(each, terms[each.template_id, each.version]) for each in found]


def page_key(coupon: Coupon) -> str:
    """The place of a coupon in a list."""
    assert coupon.valid_to is not None
    return f"{coupon.valid_to.isoformat()} {coupon.coupon_id}"


@dataclass(slots=True)
class _Looked:
    """What was found for a quote; `more` where not all of the customer's coupons were looked at."""

    book: Book
    usable: list[Coupon]
    claimed: list[Coupon]
    by_code: list[Coupon]
    refused: list[NotUsed]
    unknown: tuple[str, ...]
    more: bool


async def _look(connection: Connection, asked: AskQuote, calendar: Calendar) -> _Looked:
    at, texts = asked.occurred_at, [code.text for code in asked.codes]
    open_now = CouponFilter(asked.customer_id, [CouponState.OPEN], at)
    mine = await coupon_lists.list_coupons(connection, open_now, after=None, limit=COUPONS_LOOKED_AT + 1)
    coded = [each.at(at) for each in await coupon_lists.find_coupons(connection, [], texts)]
    theirs = [each for each in coded if each.holder is not None and each.holder.customer_id != asked.customer_id]
    by_code = [each for each in coded if each not in theirs]
    book = await _book(connection, asked, [*mine, *by_code], calendar)
    looked = _Looked(
        book,
        usable=list({each.coupon_id: each for each in [*mine[:COUPONS_LOOKED_AT], *by_code] if each.holder}.values()),
        claimed=[],
        by_code=by_code,
        refused=[],
        unknown=tuple(sorted(set(texts) - {each.code for each in by_code})),
        more=len(mine) > COUPONS_LOOKED_AT,
    )
    for coupon in by_code:
        if coupon.holder is None:
            _claim(looked, coupon, asked)
    return looked


def _claim(looked: _Looked, coupon: Coupon, asked: AskQuote) -> None:
    """An unclaimed code counts as if it were claimed now; where it cannot be, that is why it is not used."""
    if coupon.state is not CouponState.UNASSIGNED:
        looked.refused.append(NotUsed(coupon.coupon_id, Obstacle.NOT_OPEN, f"is {coupon.state.value}"))
        return
    try:
        claimed = looked.book.claimed(coupon, Holder(asked.customer_id, GENERAL), asked.occurred_at)
    except Refusal as refusal:
        looked.refused.append(NotUsed(coupon.coupon_id, Obstacle.NOT_CLAIMABLE, refusal.message))
        return
    counter = claimed.counter
    assert counter is not None
    looked.book.issued[counter] += 1
    looked.claimed.append(claimed)
    looked.usable.append(claimed)


async def _book(connection: Connection, asked: AskQuote, found: Sequence[Coupon], calendar: Calendar) -> Book:
    """A book to look at: nothing in it is locked, and nothing of it is written."""
    ids = {each.template_id for each in found}
    templates = await coupon_templates.find_templates(connection, ids)
    terms = await coupon_books.find_terms(connection, {(each.template_id, each.version) for each in found})
    book = Book(calendar, templates, terms)
    limited = [each.template_id for each in templates.values() if each.limits.used_per_member]
    using = await coupon_lists.uses_of(connection, asked.customer_id, limited)
    book.coupons = {each.coupon_id: each.at(asked.occurred_at) for each in using}
    book.persons = await coupon_lists.known_customer(connection, asked.customer_id)
    book.standings = await coupon_books.find_standings(connection, {asked.customer_id})
    book.issued.update(await coupon_lists.issued_to(connection, asked.customer_id, ids))
    lapsed = await coupon_lists.count_lapsed(connection, ids, asked.occurred_at)
    for template_id, count in lapsed.items():
        if book.templates[template_id].limits.used:
            book.templates[template_id].used -= count
    return book


def _choose(good: Sequence[Judged], order: Order) -> tuple[Best, list[NotUsed]]:
    best = best_combination([each.candidate() for each in good], order)
    return best, list(unused(good, best, order))


def _key_from(key: str) -> tuple[datetime, str]:
    instant, _, coupon_id = key.partition(" ")
    try:
        parsed = datetime.fromisoformat(instant)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None or not coupon_id:
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    return parsed, coupon_id
