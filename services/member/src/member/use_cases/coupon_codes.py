"""Lists of codes that members claim: made here, or a partner's own; and what a code is good for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.calendar import Calendar
from chassis.errors import AlreadyExists, InvalidArgument, NotFound, Refusal
from chassis.ids import new_id
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.coupon import CodeNotFound, Coupon, CouponId, CouponState, TooManyGuesses
from member.domain.coupon_code import Code, CodeOrigin, new_code
from member.domain.coupon_template import TemplateId, TemplateState, Terms
from member.store import Connection, coupon_books, coupon_lists, coupon_templates
from member.store import coupon_codes as store
from member.store.coupon_books import Counting, Wanted
from member.store.coupon_codes import Batch
from member.store.coupon_templates import AuditEntry
from member.use_cases.coupons import close_book

MAX_CODES = 10_000


class BatchAlreadyMade(AlreadyExists):
    """A list of codes has this id already."""

    def __init__(self, batch_id: str) -> None:
        super().__init__("a list of codes has this id already", batch_id=batch_id)


class BatchNotFound(NotFound):
    """No list of codes has this id."""

    def __init__(self, batch_id: str) -> None:
        super().__init__("no list of codes has this id", batch_id=batch_id)


@dataclass(frozen=True, slots=True)
class GenerateCodes:
    """Make so many unassigned codes."""

    batch_id: str
    template_id: TemplateId
    count: int
    occurred_at: datetime
    actor: str

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_CODES:
            raise InvalidArgument("count", f"must be from 1 to {MAX_CODES}")


@dataclass(frozen=True, slots=True)
class ImportCodes:
    """Take in codes of a partner, as `read_external_code` reads them."""

    batch_id: str
    template_id: TemplateId
    codes: tuple[str, ...]
    occurred_at: datetime
    actor: str

    def __post_init__(self) -> None:
        if not 1 <= len(self.codes) <= MAX_CODES:
            raise InvalidArgument("codes", f"must have 1 to {MAX_CODES} items")


@dataclass(frozen=True, slots=True)
class Imported:
    """The list taken in, and the codes left out because they were known."""

    batch: Batch
    known: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerifyCode:
    """What is a code good for, at an instant and in a channel? `caller` is held back when it guesses."""

    caller: str
    code: Code
    channel: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Verified:
    """What a code is good for; `words` say why it is not, and are empty where it is. Whose it is, is not told."""

    coupon: Coupon
    terms: Terms
    words: str


async def generate_codes(transaction: Transaction, command: GenerateCodes, *, calendar: Calendar) -> Batch:
    """Make a list of codes, all or none: BatchAlreadyMade, TemplateNotFound, TemplateNotActive, StockExhausted."""
    batch = Batch(
        command.batch_id, command.template_id, CodeOrigin.OURS, command.count, command.actor, command.occurred_at
    )
    codes = {CouponId(new_id()): new_code() for _ in range(command.count)}
    await _list_codes(transaction, batch, codes, calendar)
    return batch


async def import_codes(transaction: Transaction, command: ImportCodes, *, calendar: Calendar) -> Imported:
    """Take in a partner's codes; those that are known, or named twice, are left out and named.

    BatchAlreadyMade, TemplateNotFound, TemplateNotActive, StockExhausted.
    """
    await store.list_in_turn(transaction.connection)
    known = await store.find_codes(transaction.connection, set(command.codes))
    fresh = {code: CouponId(new_id()) for code in command.codes if code not in known}
    batch = Batch(
        command.batch_id, command.template_id, CodeOrigin.EXTERNAL, len(fresh), command.actor, command.occurred_at
    )
    await _list_codes(transaction, batch, {coupon_id: code for code, coupon_id in fresh.items()}, calendar)
    return Imported(batch, tuple(sorted(known)))


async def list_codes(connection: Connection, batch_id: str, page: Page) -> list[Coupon]:
    """Coupons of a list of codes, one more than the page holds where there are more; BatchNotFound."""
    if await store.find_batch(connection, batch_id) is None:
        raise BatchNotFound(batch_id)
    return await store.list_codes(connection, batch_id, after=page.after or "", limit=page.wanted)


async def verify_code(transaction: Transaction, command: VerifyCode) -> Verified | Refusal:
    """What a code is good for. CodeNotFound and TooManyGuesses are outcomes here: an unknown code is counted against
    the caller, and what is refused by raising leaves nothing behind."""
    connection, at = transaction.connection, transaction.recorded_at
    if await store.held_back(connection, [command.caller], at=at):
        return TooManyGuesses()
    found = await coupon_lists.find_coupons(connection, [], [command.code.text])
    if not found:
        await store.count_guesses(connection, [command.caller], at=at)
        return CodeNotFound()
    coupon = found[0].at(command.occurred_at)
    terms = await coupon_books.find_terms(connection, [(coupon.template_id, coupon.version)])
    template = await coupon_templates.find_template(connection, coupon.template_id)
    assert template is not None
    words = _words(coupon, terms[coupon.template_id, coupon.version], command, template.state)
    return Verified(coupon, terms[coupon.template_id, coupon.version], words)


async def refuse_guessers(transaction: Transaction, *, caller: str) -> None:
    """TooManyGuesses for a caller that named too many codes which nobody gave out."""
    if await store.held_back(transaction.connection, [caller], at=transaction.recorded_at):
        raise TooManyGuesses


async def count_unknown(transaction: Transaction, *, caller: str, unknown: Sequence[str]) -> None:
    """Count codes that nobody gave out against who named them."""
    await store.count_guesses(transaction.connection, [caller] * len(unknown), at=transaction.recorded_at)


async def _list_codes(transaction: Transaction, batch: Batch, codes: dict[CouponId, str], calendar: Calendar) -> None:
    connection = transaction.connection
    await store.list_in_turn(connection)
    if await store.find_batch(connection, batch.batch_id) is not None:
        raise BatchAlreadyMade(batch.batch_id)
    wanted = Wanted(at=batch.occurred_at, counting=Counting.ISSUED, templates=frozenset([batch.template_id]))
    book = await coupon_books.load_book_for_update(connection, wanted, calendar)
    book.list_codes(batch.template_id, codes, batch_id=batch.batch_id, occurred_at=batch.occurred_at)
    await store.insert_batch(connection, batch, recorded_at=transaction.recorded_at)
    await close_book(transaction, book)
    act = "codes made" if batch.origin is CodeOrigin.OURS else "codes imported"
    version = book.templates[batch.template_id].active_version
    reason = f"{batch.batch_id}: {batch.codes}"
    entry = AuditEntry(batch.template_id, act, version, batch.actor, reason, transaction.recorded_at)
    await coupon_templates.note(connection, entry)


def _words(coupon: Coupon, terms: Terms, command: VerifyCode, template: TemplateState) -> str:
    if coupon.state is CouponState.UNASSIGNED and template is not TemplateState.ACTIVE:
        return "can no longer be claimed"
    if coupon.state not in (CouponState.OPEN, CouponState.UNASSIGNED):
        return f"is {coupon.state.value}"
    if coupon.valid_from > command.occurred_at:
        return f"is good from {coupon.valid_from.isoformat()} on"
    if terms.channels and command.channel not in terms.channels:
        return f"is for the channels {', '.join(sorted(terms.channels))}"
    return ""
