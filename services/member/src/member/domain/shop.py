"""The rewards shop: what points buy, at what price for which tier, and how an order goes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType
from urllib.parse import urlsplit

from chassis.errors import AlreadyExists, FieldViolation, NotFound, Refusal, ResourceExhausted
from chassis.violations import count_violations, range_violations, refuse_any, repeat_violations

from member.domain.membership import Holder, MemberId
from member.domain.program import MAX_DAYS, MAX_TIERS, ProgramId, TierId
from member.domain.text import MAX_NAME_CHARACTERS, has_control_characters, line_violations

ItemId = NewType("ItemId", str)
OrderId = NewType("OrderId", str)

MAX_TEXTS = 30
MAX_LANGUAGE_CHARACTERS = 35
MAX_DESCRIPTION_CHARACTERS = 2_000
MAX_URL_CHARACTERS = 2_000
MAX_PRICE_POINTS = 10**9
MAX_PER_MEMBER = 1_000_000
MAX_STOCK = 10**9
MAX_CODE_CHARACTERS = 200
CODES_AT_ONCE = 1_000


class ItemNotFound(NotFound):
    """The shop has no such item."""

    def __init__(self, item_id: ItemId) -> None:
        super().__init__("the shop has no such item", item_id=item_id)


class ItemNotOffered(Refusal):
    """The item cannot be ordered now: it is withdrawn, not for this time, or not for this program."""

    def __init__(self, item_id: ItemId) -> None:
        super().__init__("the item cannot be ordered now", item_id=item_id)


class NotForYourTier(Refusal):
    """The item has no price for the member's tier."""

    def __init__(self, item_id: ItemId, tier_id: TierId) -> None:
        super().__init__("the item is not for the member's tier", item_id=item_id, tier_id=tier_id)


class OutOfStock(ResourceExhausted):
    """None of the item is left."""

    def __init__(self, item_id: ItemId) -> None:
        super().__init__("none of the item is left", item_id=item_id)


class ItemLimitReached(Refusal):
    """The member has as many of the item as one may."""

    def __init__(self, item_id: ItemId) -> None:
        super().__init__("the member has as many of the item as one may", item_id=item_id)


class PriceChanged(Refusal):
    """The item costs another number of points than the member saw."""

    def __init__(self, points: int) -> None:
        super().__init__("the item has another price now", points=str(points))


class StockTooLow(Refusal):
    """No more can be taken from a stock than is in it, and no more put than may lie there."""

    def __init__(self, stock: int) -> None:
        super().__init__("the stock cannot be changed by so many", stock=str(stock))


class ItemKindFixed(Refusal):
    """What is ordered keeps its kind: orders of it could not be ended otherwise."""

    def __init__(self, item_id: ItemId) -> None:
        super().__init__("the kind of an item stays what it is", item_id=item_id)


class NotAnItemOfCodes(Refusal):
    """Codes belong to items of codes, whose stock changes by them alone."""

    def __init__(self, item_id: ItemId) -> None:
        super().__init__("stock of codes changes by adding codes, that of other items by a number", item_id=item_id)


class CodeKnown(AlreadyExists):
    """A code is given to one member; which of them is known is not told."""

    def __init__(self, item_id: ItemId) -> None:
        super().__init__("one of the codes is there already", item_id=item_id)


class OrderNotFound(NotFound):
    """There is no such order, or it is another customer's."""

    def __init__(self, order_id: OrderId) -> None:
        super().__init__("there is no such order", order_id=order_id)


class OrderEnded(Refusal):
    """The order was fulfilled or cancelled already."""

    def __init__(self, order_id: OrderId, state: "OrderState") -> None:
        super().__init__("the order has ended", order_id=order_id, state=state.value)


class OrderOverdue(Refusal):
    """The order was to be fulfilled before; its points are held no longer."""

    def __init__(self, order_id: OrderId, fulfil_until: datetime) -> None:
        super().__init__("the order is overdue", order_id=order_id, fulfil_until=fulfil_until.isoformat())


class ItemKind(StrEnum):
    """What an item is; all but gifts are given at once."""

    GIFT = "gift"
    COUPON = "coupon"
    CASH_OFF = "cash_off"
    CODE = "code"


OF_COUPONS = (ItemKind.COUPON, ItemKind.CASH_OFF)


class OrderState(StrEnum):
    """Where an order stands."""

    OPEN = "open"
    FULFILLED = "fulfilled"
    CANCELLED = "cancelled"


class Obstacle(StrEnum):
    """Why a member cannot have an item, in the order in which an order is refused."""

    NOT_FOR_YOUR_TIER = "not_for_your_tier"
    LIMIT_REACHED = "limit_reached"
    OUT_OF_STOCK = "out_of_stock"
    NOT_ENOUGH_POINTS = "not_enough_points"


@dataclass(frozen=True, slots=True)
class ItemText:
    """An item's words in one language."""

    language: str
    title: str
    description: str


@dataclass(frozen=True, slots=True)
class TierPrice:
    """What an item costs members of a tier, in points."""

    tier_id: TierId
    points: int


@dataclass(frozen=True, slots=True)
class Item:
    """Something that points buy. A limit of 0 does not bind; `valid_until` is exclusive, None without end. `stock` is
    what can be ordered; codes of somebody else are counted by it one by one."""

    item_id: ItemId
    kind: ItemKind
    texts: tuple[ItemText, ...]
    picture_url: str
    program_id: ProgramId
    prices: tuple[TierPrice, ...]
    per_member_limit: int
    template_id: str
    fulfil_within_days: int
    valid_from: datetime
    valid_until: datetime | None
    withdrawn: bool
    stock: int = 0
    revision: int = 0

    def price_of(self, tier_id: TierId) -> int | None:
        """What the item costs a tier; None where it is not for it."""
        return next((each.points for each in self.prices if each.tier_id == tier_id), None)

    def text_in(self, language: str) -> ItemText:
        """The words in a language, in another form of it ("zh" for "zh-CN"), or those that come first."""
        wanted = language.lower()
        spoken = wanted.partition("-")[0]
        exact = (each for each in self.texts if each.language.lower() == wanted)
        alike = (each for each in self.texts if each.language.lower().partition("-")[0] == spoken)
        return next(exact, None) or next(alike, self.texts[0])

    def is_offered(self, at: datetime) -> bool:
        """Whether it can be ordered at an instant."""
        return not self.withdrawn and self.valid_from <= at and (self.valid_until is None or at < self.valid_until)

    def fulfil_until(self, placed_at: datetime) -> datetime | None:
        """Until when a gift ordered at an instant is to be handed over; None for what is given at once."""
        return placed_at + timedelta(days=self.fulfil_within_days) if self.kind is ItemKind.GIFT else None


@dataclass(frozen=True, slots=True)
class Order:
    """An order of one item; `points` is the price when it was placed. `coupon_id` and `code` say what was given."""

    order_id: OrderId
    item_id: ItemId
    kind: ItemKind
    member_id: MemberId
    holder: Holder
    points: int
    state: OrderState
    placed_at: datetime
    fulfil_until: datetime | None
    ended_at: datetime | None = None
    coupon_id: str = ""
    code: str = ""
    revision: int = 1

    @property
    def hold_id(self) -> str:
        """The hold of its points: the service's own, which no caller ends past the order."""
        return f"shop:{self.order_id}"

    def fulfilled(self, at: datetime) -> "Order":
        """The order whose thing was handed over; refuses OrderEnded, and OrderOverdue where the hold is over."""
        self._check_open()
        if self.fulfil_until is not None and at >= self.fulfil_until:
            raise OrderOverdue(self.order_id, self.fulfil_until)
        return replace(self, state=OrderState.FULFILLED, ended_at=at, revision=self.revision + 1)

    def cancelled(self, at: datetime) -> "Order":
        """The order taken back; refuses OrderEnded."""
        self._check_open()
        return replace(self, state=OrderState.CANCELLED, ended_at=at, revision=self.revision + 1)

    def _check_open(self) -> None:
        if self.state is not OrderState.OPEN:
            raise OrderEnded(self.order_id, self.state)


@dataclass(frozen=True, slots=True)
class Offer:
    """An item as a member sees it; `points` is None where it is not for the member's tier."""

    item: Item
    points: int | None
    obstacles: tuple[Obstacle, ...]
    points_missing: int


@dataclass(frozen=True, slots=True)
class ShopOrderChanged:
    """State: where an order stands from `occurred_at` on."""

    order: Order
    occurred_at: datetime

    @property
    def aggregate_id(self) -> str:
        """The order orders its facts."""
        return self.order.order_id

    @property
    def revision(self) -> int:
        """Rises with every change of the order."""
        return self.order.revision


def price_for(item: Item, tier_id: TierId, *, points_expected: int) -> int:
    """What an order costs; refuses NotForYourTier, and PriceChanged where the member saw another price."""
    points = item.price_of(tier_id)
    if points is None:
        raise NotForYourTier(item.item_id, tier_id)
    if points_expected and points_expected != points:
        raise PriceChanged(points)
    return points


def offer_of(item: Item, tier_id: TierId, *, available: int, taken: int) -> Offer:
    """The item as a member sees it who has so many points free and so many of it already."""
    points = item.price_of(tier_id)
    missing = 0 if points is None else max(0, points - available)
    found = {
        Obstacle.NOT_FOR_YOUR_TIER: points is None,
        Obstacle.LIMIT_REACHED: 0 < item.per_member_limit <= taken,
        Obstacle.OUT_OF_STOCK: item.stock == 0,
        Obstacle.NOT_ENOUGH_POINTS: missing > 0,
    }
    return Offer(item, points, tuple(each for each in Obstacle if found[each]), missing)


def check_item(item: Item) -> None:
    """Refuses, with InvalidArgument and every fault at once, an item that could not be shown, priced or given."""
    refuse_any(_violations(item))


def check_codes(codes: tuple[str, ...]) -> None:
    """Refuses, with InvalidArgument, codes that could not be told apart or read out."""
    refuse_any(_code_violations(codes))


def _violations(item: Item) -> Iterator[FieldViolation]:
    yield from _text_violations(item)
    yield from _picture_violations(item.picture_url)
    yield from count_violations("item.prices", item.prices, least=1, most=MAX_TIERS)
    yield from repeat_violations("item.prices", "tier_id", [price.tier_id for price in item.prices])
    for index, price in enumerate(item.prices):
        yield from range_violations(f"item.prices[{index}].points", price.points, least=1, most=MAX_PRICE_POINTS)
    yield from range_violations("item.per_member_limit", item.per_member_limit, least=0, most=MAX_PER_MEMBER)
    if item.kind not in OF_COUPONS and item.template_id:
        yield FieldViolation("item.coupon_template_id", "is for coupons and cash-off vouchers only")
    if item.kind is ItemKind.GIFT:
        yield from range_violations("item.fulfil_within_days", item.fulfil_within_days, least=1, most=MAX_DAYS)
    elif item.fulfil_within_days:
        yield FieldViolation("item.fulfil_within_days", "is for gifts only")
    if item.valid_until is not None and item.valid_until <= item.valid_from:
        yield FieldViolation("item.valid_until", "must be after valid_from")


def _text_violations(item: Item) -> Iterator[FieldViolation]:
    yield from count_violations("item.texts", item.texts, least=1, most=MAX_TEXTS)
    yield from repeat_violations("item.texts", "language", [text.language.lower() for text in item.texts])
    for index, text in enumerate(item.texts):
        field = f"item.texts[{index}]"
        if not _is_language(text.language):
            yield FieldViolation(f"{field}.language", "must be a language tag, such as zh-CN")
        yield from line_violations(f"{field}.title", text.title, most=MAX_NAME_CHARACTERS)
        if len(text.description) > MAX_DESCRIPTION_CHARACTERS:
            yield FieldViolation(f"{field}.description", f"must have at most {MAX_DESCRIPTION_CHARACTERS} characters")
        if has_control_characters(text.description.replace("\n", "")):
            yield FieldViolation(f"{field}.description", "must have no control characters but line ends")


def _is_language(tag: str) -> bool:
    parts = tag.split("-")
    fits = len(tag) <= MAX_LANGUAGE_CHARACTERS and tag.isascii() and 2 <= len(parts[0]) <= 3 and parts[0].isalpha()
    return fits and all(1 <= len(part) <= 8 and part.isalnum() for part in parts)


def _picture_violations(url: str) -> Iterator[FieldViolation]:
    if not url:
        return
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= MAX_URL_CHARACTERS
    if not plain or not _is_https(url):
        yield FieldViolation("item.picture_url", "must be an address that begins with https://")


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname) and parts.username is None


def _code_violations(codes: tuple[str, ...]) -> Iterator[FieldViolation]:
    if not 1 <= len(codes) <= CODES_AT_ONCE:
        yield from count_violations("codes", codes, least=1, most=CODES_AT_ONCE)
        return
    yield from repeat_violations("codes", "", codes)
    for index, code in enumerate(codes):
        yield from line_violations(f"codes[{index}]", code, most=MAX_CODE_CHARACTERS)
