"""The values that many messages share: money, identities, page tokens."""

from chassis.errors import InvalidArgument
from chassis.ids import check_id, check_text
from chassis.money import Money
from chassis.paging import Page
from touchstone.common.v1 import common_pb2

from billing.domain.ids import AccountId, CustomerId, PlanId

_CHANNEL_LENGTH_MAX = 64
_TEXT_LENGTH_MAX = 500
# Longest decimal that surely fits the database's bigint.
_NUMBER_DIGITS_MAX = 18


def money_to_proto(money: Money) -> common_pb2.Money:
    """Minor units and currency."""
    return common_pb2.Money(minor_units=money.minor_units, currency=money.currency)


def minor_to_proto(amount_minor: int, currency: str) -> common_pb2.Money:
    """An amount in minor units, where no Money was made of it."""
    return common_pb2.Money(minor_units=amount_minor, currency=currency)


def money_from_proto(money: common_pb2.Money) -> Money:
    """As it came; commands check it and name the field."""
    return Money(money.minor_units, money.currency)


def account_id_from_proto(value: str) -> AccountId:
    """Refuses a malformed account number."""
    return AccountId(check_id("account_id", value))


def owner_from_proto(value: str) -> CustomerId | None:
    """The customer that data must belong to; None where the request names none."""
    return CustomerId(check_id("customer_id", value)) if value else None


def plan_id_from_proto(value: str) -> PlanId | None:
    """The plan named, or none."""
    return PlanId(check_id("plan_id", value)) if value else None


def text_from_proto(field: str, value: str, *, required: bool = False) -> str:
    """A line in the caller's words."""
    return check_text(field, value, length_max=_TEXT_LENGTH_MAX, required=required)


def channel_from_proto(value: str) -> str:
    """The payment channel in the caller's words."""
    return check_text("channel", value, length_max=_CHANNEL_LENGTH_MAX)


def number_after(page: Page) -> int | None:
    """The number that a page of a numbered list begins below; refuses a token that no list call returned."""
    if page.after is None:
        return None
    if not (page.after.isascii() and page.after.isdecimal() and len(page.after) <= _NUMBER_DIGITS_MAX):
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    return int(page.after)
