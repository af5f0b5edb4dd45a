"""The purchase files, as published: sizes, sums, repeated rows, rows of nothing; and what is refused."""

from datetime import date

import pytest
from demo.purchases import (
    MalformedPurchaseError,
    Purchase,
    PurchaseFile,
    amount_to_cents,
    parse_purchases,
    read_purchases,
)


def test_the_sample_is_whole() -> None:
    purchases = read_purchases(PurchaseFile.SAMPLE)
    rows = [(each.customer, each.day, each.units, each.amount_minor) for each in purchases]
    assert (len(purchases), len({each.customer for each in purchases})) == (6919, 2357)
    assert sum(each.amount_minor == 0 for each in purchases) == 8
    assert len(rows) - len(set(rows)) == 21
    assert [each.line for each in purchases] == list(range(1, 6920))
    assert purchases[0] == Purchase(1, "0001", date(1997, 1, 1), 2, 2933)
    assert {min(each.day for each in purchases), max(each.day for each in purchases)} == {
        date(1997, 1, 1),
        date(1998, 6, 30),
    }


def test_the_full_file_starts_after_its_header() -> None:
    purchases = read_purchases(PurchaseFile.FULL)
    assert (len(purchases), len({each.customer for each in purchases})) == (69659, 23570)
    assert purchases[0] == Purchase(2, "00001", date(1997, 1, 1), 1, 1177)
    assert purchases[-1].line == 69660


@pytest.mark.parametrize(("amount", "cents"), [("0.00", 0), ("0.29", 29), ("1286.01", 128601), ("7", 700)])
def test_amounts_are_exact(amount: str, cents: int) -> None:
    assert amount_to_cents(amount) == cents


@pytest.mark.parametrize(
    "line", ["00004 0001 19970101 2", "00004 0001 19970199 2 1.00", "00004 0001 19970101 two 1.00"]
)
def test_a_line_that_is_no_purchase_is_named(line: str) -> None:
    with pytest.raises(MalformedPurchaseError, match=r"CDNOW_sample\.txt:2: "):
        list(parse_purchases(PurchaseFile.SAMPLE, ["00004 0001 19970101 2 29.33", line]))


@pytest.mark.parametrize("amount", ["1.005", "-1.00", "NaN", "Infinity", "ten"])
def test_an_amount_that_is_no_cents_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match=r"cents|amount"):
        amount_to_cents(amount)
