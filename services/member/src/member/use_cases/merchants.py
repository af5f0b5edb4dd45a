"""Alliance merchants: what is agreed with them, and the code by which they know a member's tier without the member."""

from dataclasses import dataclass
from datetime import timedelta

from chassis.errors import InvalidArgument
from chassis.ids import new_id
from chassis.money import check_currency
from chassis.paging import Page
from chassis.work import Transaction

from member.domain.membership import Holder
from member.domain.merchant import (
    FAILURES_MAX,
    FAILURES_WINDOW,
    SALE_WITHIN,
    TTL_SECONDS_MAX,
    MemberCode,
    Merchant,
    MerchantCurrencyFixed,
    MerchantNotFound,
    ShopId,
    TokenOfNoMerchant,
    TooManyWrongCodes,
    Verification,
    VerificationId,
    check_merchant,
)
from member.domain.program import ProgramNotFound
from member.store import Connection, members, programs
from member.store import merchants as store
from member.store.catalogue import PutBy
from member.use_cases.holding import find_held_for_use


@dataclass(frozen=True, slots=True)
class PutMerchant:
    """Create the merchant or replace what is agreed with it; `put_by` is who does."""

    merchant: Merchant
    put_by: str

    def __post_init__(self) -> None:
        check_merchant(self.merchant)
        check_currency("merchant.currency", self.merchant.currency)


@dataclass(frozen=True, slots=True)
class IssueCode:
    """Give the member a code of which the hash is known here; it is good for so many seconds of system time."""

    code_id: str
    code_hash: bytes
    holder: Holder
    ttl_seconds: int

    def __post_init__(self) -> None:
        if not 1 <= self.ttl_seconds <= TTL_SECONDS_MAX:
            raise InvalidArgument("ttl_seconds", f"must be from 1 to {TTL_SECONDS_MAX}, or 0 for the usual")


@dataclass(frozen=True, slots=True)
class VerifyCode:
    """Verify a code for the merchant that the subject of the caller's token acts for."""

    subject: str
    code_hash: bytes
    shop_id: ShopId


@dataclass(frozen=True, slots=True)
class Verified:
    """A verification, with the product families that the discount is for."""

    verification: Verification
    product_families: tuple[str, ...]


async def put_merchant(transaction: Transaction, command: PutMerchant) -> Merchant:
    """Put what is agreed; ProgramNotFound, MerchantCurrencyFixed, SubjectTaken, or InvalidArgument for a tier that the
    program does not have. A sale keeps the discount that was told when its code was verified."""
    connection, merchant = transaction.connection, command.merchant
    known = await programs.find_programs_for_use(connection, [merchant.program_id])
    if merchant.program_id not in known:
        raise ProgramNotFound(merchant.program_id)
    tiers = {tier.tier_id for tier in known[merchant.program_id].tiers}
    for index, each in enumerate(merchant.discounts):
        if each.tier_id not in tiers:
            raise InvalidArgument(f"merchant.discounts[{index}].tier_id", "must be a tier of the program")
    before = await store.find_merchant(connection, merchant.merchant_id)
    if before is not None and before.currency != merchant.currency:
        raise MerchantCurrencyFixed(merchant.merchant_id)
    return await store.put_merchant(connection, merchant, PutBy(command.put_by, transaction.recorded_at))


async def get_merchant(connection: Connection, merchant_id: str) -> Merchant:
    """The merchant, or MerchantNotFound."""
    merchant = await store.find_merchant(connection, merchant_id)
    if merchant is None:
        raise MerchantNotFound(merchant_id)
    return merchant


async def merchant_of(connection: Connection, subject: str) -> Merchant:
    """The merchant that a token's subject acts for, or TokenOfNoMerchant."""
    merchant = await store.find_merchant_of(connection, subject)
    if merchant is None:
        raise TokenOfNoMerchant
    return merchant


async def list_merchants(connection: Connection, page: Page) -> list[Merchant]:
    """Merchants by id, one more than the page holds where there are more."""
    return await store.list_merchants(connection, after=page.after, limit=page.wanted)


async def issue_code(transaction: Transaction, command: IssueCode) -> MemberCode:
    """Give the member a code; the one before is good no longer. MemberNotFound. Its time is the system's: a code is a
    secret, and a business time would be chosen by who shows or reads it."""
    held = await find_held_for_use(transaction.connection, command.holder)
    expires_at = transaction.recorded_at + timedelta(seconds=command.ttl_seconds)
    code = MemberCode(command.code_id, held.member.member_id, command.code_hash, expires_at)
    await store.put_code(transaction.connection, code)
    return code


async def verify_code(transaction: Transaction, command: VerifyCode) -> Verified | None:
    """Verify a code, once; None for one that is not valid, whatever the reason, which is counted.

    Refuses TokenOfNoMerchant, MerchantNotServing, ShopUnknown, and TooManyWrongCodes after so many wrong ones in a
    window, also a right one then. None is no refusal, because a refusal would leave no trace of the guess.
    """
    connection, now = transaction.connection, transaction.recorded_at
    merchant = await merchant_of(connection, command.subject)
    merchant.check_serves(command.shop_id, now)
    window_start, failures = await store.failures_for_update(
        connection, command.subject, now, before=now - FAILURES_WINDOW
    )
    if failures >= FAILURES_MAX:
        raise TooManyWrongCodes(window_start + FAILURES_WINDOW)
    verification = await _verification(transaction, merchant, command)
    if verification is None:
        await store.count_failure(connection, command.subject)
        return None
    await store.insert_verification(connection, verification)
    return Verified(verification, merchant.product_families)


async def _verification(transaction: Transaction, merchant: Merchant, command: VerifyCode) -> Verification | None:
    """What the code proves; None for a code that was never given out, is used, expired or replaced, or whose member is
    one of another program or left it. No refusal names the member: the merchant must not learn who it is."""
    connection, now = transaction.connection, transaction.recorded_at
    code = await store.find_code_for_update(connection, command.code_hash)
    if code is None or code.expires_at <= now:
        return None
    member = (await members.find_members_by_id(connection, [code.member_id]))[code.member_id]
    if member.program_id != merchant.program_id or member.left_at is not None:
        return None
    await store.use_code(connection, code)
    program = (await programs.find_programs(connection, [member.program_id]))[member.program_id]
    tier = program.tier(member.tier_id)
    return Verification(
        VerificationId(new_id()),
        merchant.merchant_id,
        member.member_id,
        command.shop_id,
        tier.tier_id,
        tier.display_name,
        merchant.discount_of(tier.tier_id),
        verified_at=now,
        expires_at=now + SALE_WITHIN,
    )
