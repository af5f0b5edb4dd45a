"""Alliance merchants: what they give to members of a tier, and the code by which they know one without knowing who."""

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NewType

from chassis.calendar import Period
from chassis.errors import FieldViolation, NotFound, PermissionDenied, Refusal, ResourceExhausted
from chassis.money import MAX_BASIS_POINTS
from chassis.violations import (
    count_violations,
    range_violations,
    refuse_any,
    repeat_violations,
)

from member.domain.membership import MemberId
from member.domain.program import MAX_EARN_RATE_PERCENT, ProgramId, TierId
from member.domain.text import MAX_NAME_CHARACTERS, line_violations

MerchantId = NewType("MerchantId", str)
ShopId = NewType("ShopId", str)
VerificationId = NewType("VerificationId", str)

MAX_SHOPS = 1_000
MAX_SUBJECTS = 1_000
MAX_SUBJECT_CHARACTERS = 255
MAX_FAMILIES = 100
MAX_CAP_MINOR = 10**12
TTL_SECONDS_DEFAULT = 120
TTL_SECONDS_MAX = 600
SALE_WITHIN = timedelta(hours=72)
FAILURES_MAX = 10
FAILURES_WINDOW = timedelta(minutes=10)

# Crockford's alphabet has no letters that are read as digits. 16 characters of it are 80 bits, drawn evenly.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_CHARACTERS = 16
_GROUP = 4
_READ_AS = str.maketrans("OIL", "011", "- ")
_QR_PREFIX = "touchstone:member-code:"


class MerchantNotFound(NotFound):
    """No merchant has this id, or it is not the caller's to see."""

    def __init__(self, merchant_id: str) -> None:
        super().__init__("there is no such merchant", merchant_id=merchant_id)


class TokenOfNoMerchant(PermissionDenied):
    """The subject of the token acts for no merchant."""

    def __init__(self) -> None:
        super().__init__("the token acts for no merchant")


class SubjectTaken(Refusal):
    """A subject acts for one merchant."""

    def __init__(self, subject: str) -> None:
        super().__init__("the subject acts for another merchant", subject=subject)


class MerchantCurrencyFixed(Refusal):
    """What was sold in one currency is not settled in another."""

    def __init__(self, merchant_id: MerchantId) -> None:
        super().__init__("the currency of a merchant stays what it is", merchant_id=merchant_id)


class MerchantNotServing(Refusal):
    """The merchant is set aside, or it is not the time in which it serves members."""

    def __init__(self, merchant_id: MerchantId) -> None:
        super().__init__("the merchant does not serve members now", merchant_id=merchant_id)


class ShopUnknown(NotFound):
    """The merchant has no such shop."""

    def __init__(self, shop_id: ShopId) -> None:
        super().__init__("the merchant has no such shop", shop_id=shop_id)


class CodeNotValid(Refusal):
    """The code was never given out, or is used, expired, replaced, or for members of another program: one answer."""

    def __init__(self) -> None:
        super().__init__("the code is not valid")


class CodeToldAlready(Refusal):
    """A code is told once and kept nowhere; who lost it asks for another."""

    def __init__(self) -> None:
        super().__init__("this code was told already; ask for another one under a new request_id")


class TooManyWrongCodes(ResourceExhausted):
    """Somebody is guessing, or a reader is broken: no code is looked at until the window ends."""

    def __init__(self, until: datetime) -> None:
        super().__init__("too many wrong codes; try again later", until=until.isoformat())


@dataclass(frozen=True, slots=True)
class MerchantShop:
    """A shop of a merchant."""

    shop_id: ShopId
    display_name: str
    address: str


@dataclass(frozen=True, slots=True)
class TierDiscount:
    """The discount of a tier in hundredths of a percent."""

    tier_id: TierId
    basis_points: int


@dataclass(frozen=True, slots=True)
class Merchant:
    """What is agreed with a merchant. Caps of 0 do not bind; `valid_until` is exclusive, None without end."""

    merchant_id: MerchantId
    display_name: str
    contact: str
    shops: tuple[MerchantShop, ...]
    subjects: tuple[str, ...]
    program_id: ProgramId
    discounts: tuple[TierDiscount, ...]
    currency: str
    product_families: tuple[str, ...]
    sale_discount_cap_minor: int
    month_discount_cap_minor: int
    operator_share_basis_points: int
    earn_rate_percent: int
    settlement_period: Period
    valid_from: datetime
    valid_until: datetime | None
    suspended: bool
    revision: int = 0

    def discount_of(self, tier_id: TierId) -> int:
        """The discount of a tier in hundredths of a percent; 0 for one that is not named."""
        return next((each.basis_points for each in self.discounts if each.tier_id == tier_id), 0)

    def check_serves(self, shop_id: ShopId, at: datetime) -> None:
        """Refuses MerchantNotServing outside its time, ShopUnknown for a shop that it does not have."""
        if self.suspended or at < self.valid_from or (self.valid_until is not None and at >= self.valid_until):
            raise MerchantNotServing(self.merchant_id)
        if shop_id and all(shop.shop_id != shop_id for shop in self.shops):
            raise ShopUnknown(shop_id)


@dataclass(frozen=True, slots=True)
class MemberCode:
    """A code as it is kept: its hash alone, and until when it is good (exclusive, system time)."""

    code_id: str
    member_id: MemberId
    code_hash: bytes
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Verification:
    """That a merchant saw a member's code: the tier and discount of that moment, good for one sale until
    `expires_at` (exclusive, system time)."""

    verification_id: VerificationId
    merchant_id: MerchantId
    member_id: MemberId
    shop_id: ShopId
    tier_id: TierId
    tier_name: str
    discount_basis_points: int
    verified_at: datetime
    expires_at: datetime


def new_code() -> str:
    """A code that nobody can guess: 80 random bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_CHARACTERS))


def code_shown(code: str) -> str:
    """The code in groups, as it is read out."""
    return "-".join(code[start : start + _GROUP] for start in range(0, _CODE_CHARACTERS, _GROUP))


def code_drawn(code: str) -> str:
    """The code as a QR code says it."""
    return _QR_PREFIX + code


def code_read(text: str) -> str:
    """The code as typed, spoken or scanned, without what people add to it and with digits for their look-alikes."""
    return text.strip().removeprefix(_QR_PREFIX).upper().translate(_READ_AS)


def hash_of(code: str) -> bytes:
    """What is kept of a code. A plain hash is enough: 80 random bits cannot be searched."""
    return hashlib.sha256(code.encode()).digest()


def check_merchant(merchant: Merchant) -> None:
    """Refuses, with InvalidArgument and every fault at once, an agreement that could not be kept or shown."""
    refuse_any(_violations(merchant))


def _violations(merchant: Merchant) -> Iterator[FieldViolation]:
    yield from line_violations("merchant.display_name", merchant.display_name, most=MAX_NAME_CHARACTERS)
    yield from line_violations("merchant.contact", merchant.contact, most=MAX_NAME_CHARACTERS, optional=True)
    yield from _shop_violations(merchant)
    yield from _subject_violations(merchant)
    yield from _discount_violations(merchant)
    yield from count_violations("merchant.product_families", merchant.product_families, most=MAX_FAMILIES)
    yield from repeat_violations("merchant.product_families", "", merchant.product_families)
    for name in ("sale_discount_cap_minor", "month_discount_cap_minor"):
        yield from range_violations(f"merchant.{name}", getattr(merchant, name), least=0, most=MAX_CAP_MINOR)
    share = merchant.operator_share_basis_points
    yield from range_violations("merchant.operator_share_basis_points", share, least=0, most=MAX_BASIS_POINTS)
    rate = merchant.earn_rate_percent
    yield from range_violations("merchant.earn_rate_percent", rate, least=0, most=MAX_EARN_RATE_PERCENT)
    if merchant.valid_until is not None and merchant.valid_until <= merchant.valid_from:
        yield FieldViolation("merchant.valid_until", "must be after valid_from")


def _shop_violations(merchant: Merchant) -> Iterator[FieldViolation]:
    yield from count_violations("merchant.shops", merchant.shops, most=MAX_SHOPS)
    yield from repeat_violations("merchant.shops", "shop_id", [shop.shop_id for shop in merchant.shops])
    for index, shop in enumerate(merchant.shops):
        field = f"merchant.shops[{index}]"
        yield from line_violations(f"{field}.display_name", shop.display_name, most=MAX_NAME_CHARACTERS)
        yield from line_violations(f"{field}.address", shop.address, most=MAX_NAME_CHARACTERS, optional=True)


def _subject_violations(merchant: Merchant) -> Iterator[FieldViolation]:
    yield from count_violations("merchant.subjects", merchant.subjects, most=MAX_SUBJECTS)
    yield from repeat_violations("merchant.subjects", "", merchant.subjects)
    for index, subject in enumerate(merchant.subjects):
        yield from line_violations(f"merchant.subjects[{index}]", subject, most=MAX_SUBJECT_CHARACTERS)


def _discount_violations(merchant: Merchant) -> Iterator[FieldViolation]:
    yield from repeat_violations("merchant.discounts", "tier_id", [each.tier_id for each in merchant.discounts])
    for index, each in enumerate(merchant.discounts):
        field = f"merchant.discounts[{index}].basis_points"
        yield from range_violations(field, each.basis_points, least=0, most=MAX_BASIS_POINTS)
