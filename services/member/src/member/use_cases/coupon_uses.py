"""Use coupons for orders: set them aside and spend or free them, spend them at once, undo that."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from chassis.calendar import Calendar
from chassis.errors import InvalidArgument, Refusal
from chassis.work import Transaction

from member.domain.coupon import (
    By,
    CodeAlreadyClaimed,
    CodeNotFound,
    Coupon,
    CouponId,
    HolderKey,
    OrderId,
    TooManyGuesses,
)
from member.domain.coupon_acts import Reserve, Reserved, Reverse
from member.domain.coupon_book import Book
from member.domain.coupon_code import Code
from member.domain.coupon_order import MAX_COUPONS, Order, check_order
from member.domain.customer import CustomerId
from member.domain.membership import Holder
from member.domain.program import GENERAL
from member.domain.text import check_reason
from member.store import coupon_books, coupon_codes, customers
from member.store.coupon_books import Counting, Wanted
from member.store.coupon_codes import KnownCode
from member.use_cases.coupons import attempt, close_book

LONGEST_RESERVATION = timedelta(days=30)

C = TypeVar("C")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class UseCoupons:
    """Set coupons aside for an order until `ends_at`, or spend them at once where it is None. A code that nobody has
    claimed is claimed by the way; `caller` is held back when it guesses codes."""

    caller: str
    customer_id: CustomerId
    order_id: OrderId
    order: Order
    coupon_ids: tuple[CouponId, ...]
    codes: tuple[Code, ...]
    occurred_at: datetime
    ends_at: datetime | None

    def __post_init__(self) -> None:
        check_order(self.order)
        named = len(self.coupon_ids) + len(self.codes)
        if not 1 <= named <= MAX_COUPONS:
            raise InvalidArgument("coupon_ids", f"must be 1 to {MAX_COUPONS} with the codes")
        if len(set(self.coupon_ids)) + len(set(self.codes)) != named:
            raise InvalidArgument("coupon_ids", "must name each coupon once")
        if self.ends_at is not None and self.ends_at <= self.occurred_at:
            raise InvalidArgument("expires_at", "must be after occurred_at")
        if self.ends_at is not None and self.ends_at - self.occurred_at > LONGEST_RESERVATION:
            raise InvalidArgument("expires_at", f"must be at most {LONGEST_RESERVATION.days} days after occurred_at")


@dataclass(frozen=True, slots=True)
class EndReservation:
    """Spend, or free, what is set aside for an order."""

    customer_id: CustomerId
    order_id: OrderId
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class ReverseRedemption:
    """Undo the redemption of coupons of an order, of all of them where none is named."""

    customer_id: CustomerId
    order_id: OrderId
    coupon_ids: tuple[CouponId, ...]
    occurred_at: datetime
    reason: str
    actor: str

    def __post_init__(self) -> None:
        check_reason("reason", self.reason)
        if len(self.coupon_ids) > MAX_COUPONS:
            raise InvalidArgument("coupon_ids", f"must have at most {MAX_COUPONS} items")


async def use_coupons(
    transaction: Transaction, commands: Sequence[UseCoupons], *, calendar: Calendar
) -> list[Reserved | Refusal]:
    """Set coupons aside for orders, or spend them at once; for each order all of them or none.

    OrderHasCoupons, CouponNotFound, CouponsNotUsable with the reason of each; for codes also CodeNotFound,
    TooManyGuesses, and what claiming refuses.
    """
    connection, at = transaction.connection, transaction.recorded_at
    typing = {command.caller for command in commands if command.codes}
    held_back = await coupon_codes.held_back(connection, typing, at=at) if typing else set()
    codes = {code.text for command in commands if command.caller not in held_back for code in command.codes}
    known = await coupon_codes.find_codes(connection, codes)
    wanted = await _wanted(transaction, commands, known)
    book = await coupon_books.load_book_for_update(connection, wanted, calendar)
    book.others_until = at
    guesses: list[str] = []

    def use(command: UseCoupons) -> Reserved:
        if command.codes and command.caller in held_back:
            raise TooManyGuesses
        unknown = [code for code in command.codes if code.text not in known]
        if unknown:
            guesses.extend(command.caller for _ in unknown)
            raise CodeNotFound
        return _use(book, command, known)

    outcomes = [_all_or_nothing(book, use, command) if command.codes else attempt(use, command) for command in commands]
    await coupon_codes.count_guesses(connection, guesses, at=at)
    await close_book(transaction, book)
    return outcomes


async def redeem_reserved(
    transaction: Transaction, commands: Sequence[EndReservation], *, calendar: Calendar, told: bool = False
) -> list[Sequence[Coupon] | Refusal]:
    """Spend what is set aside for orders; ReservationNotOpen, but not of what was `told` before and is spent."""
    if not commands:
        return []
    book = await _orders(transaction, commands, Counting.NOTHING, calendar)

    def redeem(each: EndReservation) -> Sequence[Coupon]:
        known = book.spent(each.customer_id, each.order_id) if told else []
        return known or book.redeem(each.customer_id, each.order_id, occurred_at=each.occurred_at)

    outcomes = [attempt(redeem, command) for command in commands]
    await close_book(transaction, book)
    return list(outcomes)


async def release_coupons(
    transaction: Transaction, commands: Sequence[EndReservation], *, calendar: Calendar
) -> list[Sequence[Coupon] | Refusal]:
    """Free what is set aside for orders; ReservationNotOpen."""
    if not commands:
        return []
    book = await _orders(transaction, commands, Counting.USED, calendar)
    outcomes = [
        attempt(lambda each: book.release(each.customer_id, each.order_id, occurred_at=each.occurred_at), command)
        for command in commands
    ]
    await close_book(transaction, book)
    return list(outcomes)


async def reverse_redemptions(
    transaction: Transaction, commands: Sequence[ReverseRedemption], *, calendar: Calendar
) -> list[Sequence[Coupon] | Refusal]:
    """Undo redemptions; RedemptionNotFound."""
    book = await _orders(transaction, commands, Counting.USED, calendar)
    reversals = [
        Reverse(each.customer_id, each.order_id, each.coupon_ids, each.occurred_at, By(each.reason, each.actor))
        for each in commands
    ]
    outcomes = [attempt(book.reverse, each) for each in reversals]
    await close_book(transaction, book)
    return list(outcomes)


async def _wanted(transaction: Transaction, commands: Sequence[UseCoupons], known: dict[str, KnownCode]) -> Wanted:
    named = {coupon_id for command in commands for coupon_id in command.coupon_ids}
    claiming = [(command, known[code.text]) for command in commands for code in command.codes if code.text in known]
    persons = {}
    if claiming:
        wanted = {command.customer_id for command, _ in claiming}
        persons = await customers.existing_persons(transaction.connection, wanted)
    return Wanted(
        at=max(command.occurred_at for command in commands),
        counting=Counting.USED,
        holders=frozenset(
            HolderKey.of(found.template_id, Holder(command.customer_id, GENERAL)) for command, found in claiming
        ),
        coupon_ids=frozenset(named | {found.coupon_id for _, found in claiming}),
        orders=frozenset((command.customer_id, command.order_id) for command in commands),
        persons=persons,
    )


def _use(book: Book, command: UseCoupons, known: dict[str, KnownCode]) -> Reserved:
    coupon_ids = list(command.coupon_ids)
    for code in command.codes:
        coupon_id = known[code.text].coupon_id
        if coupon_id not in coupon_ids:
            coupon_ids.append(coupon_id)
        coupon = book.coupons.get(coupon_id)
        if coupon is not None and coupon.holder is not None and coupon.holder.customer_id == command.customer_id:
            continue
        holder = Holder(command.customer_id, GENERAL)
        try:
            book.claim(coupon_id, holder, occurred_at=command.occurred_at)
        except CodeAlreadyClaimed as refusal:
            raise CodeNotFound from refusal
    return book.reserve(
        Reserve(
            command.order_id,
            command.customer_id,
            tuple(coupon_ids),
            command.order,
            command.occurred_at,
            command.ends_at,
        )
    )


def _all_or_nothing(book: Book, act: Callable[[C], T], command: C) -> T | Refusal:
    """The act of several steps: where a later one is refused, the book is as it was before the first."""
    before = book.mark()
    outcome = attempt(act, command)
    if isinstance(outcome, Refusal):
        book.go_back(before)
    return outcome


async def _orders(
    transaction: Transaction,
    commands: Sequence[EndReservation] | Sequence[ReverseRedemption],
    counting: Counting,
    calendar: Calendar,
) -> Book:
    wanted = Wanted(
        at=max(command.occurred_at for command in commands),
        counting=counting,
        orders=frozenset((command.customer_id, command.order_id) for command in commands),
    )
    return await coupon_books.load_book_for_update(transaction.connection, wanted, calendar)
