"""Give coupons to members, let them claim codes, withdraw coupons, and end those whose time has come."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from chassis.calendar import Calendar
from chassis.errors import InvalidArgument, Refusal
from chassis.work import Transaction

from member.domain.coupon import By, CodeNotFound, Coupon, CouponId, HolderKey, TooManyGuesses, fact_of
from member.domain.coupon_acts import Issue, Void
from member.domain.coupon_book import Book
from member.domain.coupon_code import Code, new_code
from member.domain.coupon_template import TemplateId
from member.domain.customer import CustomerId, PersonId
from member.domain.membership import Holder
from member.domain.text import check_reason
from member.store import coupon_books, coupon_codes, coupon_lists, customers
from member.store.coupon_books import Counting, Wanted
from member.store.coupon_codes import KnownCode

EXPIRIES_PER_ROUND = 500

C = TypeVar("C")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class IssueCoupon:
    """Give the holder a coupon of the template's active version; `coupon_id` names it for ever."""

    coupon_id: CouponId
    template_id: TemplateId
    holder: Holder
    occurred_at: datetime
    reason: str
    actor: str = ""

    def __post_init__(self) -> None:
        check_reason("reason", self.reason)


@dataclass(frozen=True, slots=True)
class ClaimCode:
    """Make the coupon of a code the holder's; `caller` is who is held back when it guesses."""

    caller: str
    code: Code
    holder: Holder
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class VoidCoupon:
    """Withdraw a coupon."""

    coupon_id: CouponId
    occurred_at: datetime
    reason: str
    actor: str

    def __post_init__(self) -> None:
        check_reason("reason", self.reason)


@dataclass(frozen=True, slots=True)
class ExpireCoupons:
    """End, in one round, reservations and coupons whose time has come by `as_of`."""

    as_of: datetime
    most: int = EXPIRIES_PER_ROUND


@dataclass(frozen=True, slots=True)
class Ended:
    """What one round ended: how many coupons it looked at, and how many of them expired."""

    coupons: int
    expired: int


async def issue_coupons(
    transaction: Transaction, commands: Sequence[IssueCoupon], *, calendar: Calendar
) -> list[Coupon | Refusal]:
    """Give coupons, each with its own outcome, in their order: where the stock runs out, those before it have theirs.

    Refuses TemplateNotFound, TemplateNotActive, CustomerNotFound, PersonNotFound, NotEligible, ValidityOver,
    StockExhausted, MemberLimitReached, CouponAlreadyIssued.
    """
    if not commands:
        return []
    persons = await customers.existing_persons(
        transaction.connection, {command.holder.customer_id for command in commands}
    )
    wanted = Wanted(
        at=max(command.occurred_at for command in commands),
        counting=Counting.ISSUED,
        templates=frozenset(command.template_id for command in commands),
        holders=frozenset(HolderKey.of(command.template_id, command.holder) for command in commands),
        coupon_ids=frozenset(command.coupon_id for command in commands),
        persons=persons,
    )
    book = await coupon_books.load_book_for_update(transaction.connection, wanted, calendar)
    outcomes = [attempt(book.issue, _issue(command)) for command in commands]
    await close_book(transaction, book)
    return outcomes


async def claim_codes(
    transaction: Transaction, commands: Sequence[ClaimCode], *, calendar: Calendar
) -> list[Coupon | Refusal]:
    """Make coupons of codes the claimers', each with its own outcome.

    CodeNotFound, CodeAlreadyClaimed, and what issuing refuses; TooManyGuesses for a caller that named too many codes
    which nobody gave out, whatever it names next.
    """
    connection = transaction.connection
    held_back = await coupon_codes.held_back(
        connection, {command.caller for command in commands}, at=transaction.recorded_at
    )
    asked = [command for command in commands if command.caller not in held_back]
    persons = await customers.existing_persons(connection, {command.holder.customer_id for command in asked})
    known = await coupon_codes.find_codes(connection, {command.code.text for command in asked})
    wanted = _claimable(asked, known, persons, at=max(command.occurred_at for command in commands))
    book = await coupon_books.load_book_for_update(connection, wanted, calendar)

    def claim(command: ClaimCode) -> Coupon:
        if command.caller in held_back:
            raise TooManyGuesses
        found = known.get(command.code.text)
        return book.claim(found.coupon_id if found else None, command.holder, occurred_at=command.occurred_at)

    outcomes = [attempt(claim, command) for command in commands]
    guessed = [
        command.caller for command, each in zip(commands, outcomes, strict=True) if isinstance(each, CodeNotFound)
    ]
    await coupon_codes.count_guesses(connection, guessed, at=transaction.recorded_at)
    await close_book(transaction, book)
    return outcomes


async def void_coupons(
    transaction: Transaction, commands: Sequence[VoidCoupon], *, calendar: Calendar
) -> list[Coupon | Refusal]:
    """Withdraw coupons, each with its own outcome; CouponNotFound, and CouponNotOpen for one that is in use or over."""
    wanted = Wanted(
        at=max(command.occurred_at for command in commands),
        counting=Counting.USED,
        coupon_ids=frozenset(command.coupon_id for command in commands),
    )
    book = await coupon_books.load_book_for_update(transaction.connection, wanted, calendar)
    voids = [Void(each.coupon_id, each.occurred_at, By(each.reason, each.actor)) for each in commands]
    outcomes = [attempt(book.void, each) for each in voids]
    await close_book(transaction, book)
    return outcomes


async def expire_coupons(transaction: Transaction, command: ExpireCoupons, *, calendar: Calendar) -> Ended:
    """End one round of what is due; fewer than asked for means that nothing is left."""
    connection = transaction.connection
    due = await coupon_lists.due_coupons(connection, command.as_of, limit=command.most)
    wanted = Wanted(at=command.as_of, counting=Counting.USED, coupon_ids=frozenset(due))
    book = await coupon_books.load_book_for_update(connection, wanted, calendar)
    book.settle_all(command.as_of)
    expired = sum(coupon.due_at is None for coupon in book.coupons.values())
    await close_book(transaction, book)
    return Ended(len(due), expired)


async def close_book(transaction: Transaction, book: Book) -> None:
    """Write what the acts on a book came to, and tell it."""
    await coupon_books.save_book(transaction.connection, book, recorded_at=transaction.recorded_at)
    for step in book.steps:
        fact = fact_of(step)
        if fact is not None:
            transaction.emit(fact)


def attempt(act: Callable[[C], T], command: C) -> T | Refusal:
    """What the act comes to; a refusal of the state is an outcome, a malformed command is not."""
    try:
        return act(command)
    except InvalidArgument:
        raise
    except Refusal as refusal:
        return refusal


def _claimable(
    asked: Sequence[ClaimCode],
    known: Mapping[str, KnownCode],
    persons: Mapping[CustomerId, set[PersonId]],
    *,
    at: datetime,
) -> Wanted:
    """The coupons of the codes, and the counters of those who ask for them."""
    found = [(known[command.code.text], command.holder) for command in asked if command.code.text in known]
    return Wanted(
        at,
        Counting.NOTHING,
        holders=frozenset(HolderKey.of(each.template_id, holder) for each, holder in found),
        coupon_ids=frozenset(each.coupon_id for each, _ in found),
        persons=persons,
    )


def _issue(command: IssueCoupon) -> Issue:
    return Issue(
        command.coupon_id,
        command.template_id,
        new_code(),
        command.holder,
        command.occurred_at,
        By(command.reason, command.actor),
    )
