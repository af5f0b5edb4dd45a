"""Amounts, days and instants as people write them, in Chinese and English."""

from datetime import date, datetime
from enum import StrEnum
from typing import assert_never
from zoneinfo import ZoneInfo

from chassis.money import Money


class Language(StrEnum):
    """A language that documents are written in."""

    CHINESE = "zh"
    ENGLISH = "en"


_SIGNS = {"CNY": "¥", "USD": "US$", "EUR": "€", "GBP": "£", "HKD": "HK$", "MOP": "MOP$", "TWD": "NT$"}
# ISO 4217: currencies whose minor unit is not a hundredth.
_DECIMALS = dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "PYG", "VND", "XAF", "XOF", "XPF"), 0) | dict.fromkeys(
    ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def write_money(money: Money) -> str:
    """With the currency's sign, or its code where it has none of its own; whole thousands are parted."""
    decimals = _DECIMALS.get(money.currency, 2)
    whole, part = divmod(abs(money.minor_units), 10**decimals)
    figures = f"{whole:,}.{part:0{decimals}}" if decimals else f"{whole:,}"
    sign = "-" if money.minor_units < 0 else ""
    return f"{sign}{_SIGNS.get(money.currency, money.currency + ' ')}{figures}"


def write_day(day: date, language: Language) -> str:
    """A day of the calendar."""
    match language:
        case Language.CHINESE:
            return f"{day.year}年{day.month}月{day.day}日"
        case Language.ENGLISH:
            return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
        case _:
            assert_never(language)


def write_instant(instant: datetime, language: Language, zone: ZoneInfo) -> str:
    """An instant by the operator's clock, to the minute."""
    local = instant.astimezone(zone)
    return f"{write_day(local.date(), language)} {local:%H:%M}"
