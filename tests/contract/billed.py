"""Every shape in which billing can tell an event that somebody hears: built from its facts, rendered by its wire.

A shape is a name, and what it tells of a customer. Empty collections, fields that are not set, sums of zero, charges
that gift credit or somebody else paid, and names as long as they may be.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, TypeAlias

from billing.domain import account_facts, charge_refund, facts, order_facts
from billing.domain.bill import BillKind
from billing.domain.ids import AccountId, BillId, ChargeId, CustomerId, OrderId, ProductId, TransactionId
from billing.domain.movement import Share
from billing.domain.threshold import CrossingCause
from billing.wire import FACTS
from chassis.money import Money
from google.protobuf.message import Message

Fields: TypeAlias = dict[str, Any]

FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
LONGEST = "x" * 64


def named(head: str, customer_id: str) -> str:
    """An id of the customer's own, no longer than ids are."""
    return f"{head}:{customer_id}"[:64]


def yuan(minor_units: int) -> Money:
    """An amount."""
    return Money(minor_units, "CNY")


def shapes(customer_id: str) -> Iterator[Message]:
    """Every shape, of one customer; ids are the customer's own."""
    for number, (kind, fields) in enumerate(_facts(customer_id)):
        fact = kind(
            account_id=AccountId(named("a", customer_id)),
            customer_id=CustomerId(customer_id),
            occurred_at=FEBRUARY + timedelta(minutes=number),
            **fields,
        )
        yield FACTS[kind](fact)


def order_with_coupons(customer_id: str) -> Message:
    """An order for which member had set something aside: what hears it must have that."""
    fact = order_facts.OrderPlaced(
        account_id=AccountId(named("a", customer_id)),
        customer_id=CustomerId(customer_id),
        occurred_at=FEBRUARY,
        order_id=OrderId(named("placed", customer_id)),
        product_ids=(ProductId("p-1"),),
        total=yuan(60_00),
        coupon_ids=("k-1",),
        points_hold_id="h-1",
    )
    return FACTS[order_facts.OrderPlaced](fact)


def _facts(customer_id: str) -> Iterator[tuple[type[Any], Fields]]:
    for kind, listed in (
        (facts.AccountRecharged, _recharges(customer_id)),
        (facts.AccountCharged, _charges(customer_id)),
        (facts.BalanceFellBelowThreshold, _falls()),
        (facts.BalanceRestored, _returns()),
        (facts.BillIssued, _bills()),
        (facts.BillPaid, iter([{"bill_id": BillId("b-1"), "amount": yuan(1)}])),
        (account_facts.RechargeReversed, _reversals(customer_id)),
        (charge_refund.ChargeRefunded, _refunds(customer_id)),
        (order_facts.OrderPlaced, _placed(customer_id)),
        (order_facts.OrderRejected, _rejected(customer_id)),
    ):
        for fields in listed:
            yield kind, fields


def _recharges(customer_id: str) -> Iterator[Fields]:
    plain: Fields = {"amount": yuan(100_00), "balance_after": yuan(100_00), "account_version": 1, "channel": "app"}
    changed: tuple[Fields, ...] = (
        {},
        {"channel": ""},
        {"channel": "c" * 200},
        {"payment_id": "p-1"},
        {"payment_id": LONGEST, "bill_id": BillId("b-1")},
        {"balance_after": yuan(0)},
        {"balance_after": yuan(-500_00)},
        {"amount": yuan(1)},
        {"amount": yuan(10**9), "account_version": 2**40},
    )
    for number, changes in enumerate(changed):
        yield plain | {"transaction_id": TransactionId(f"recharge:{customer_id}:{number}")} | changes


def _charges(customer_id: str) -> Iterator[Fields]:
    """A charge of zero has no transaction, on an account that nothing moved yet no version either."""
    account = AccountId(named("a", customer_id))
    own = Share(account, yuan(20_00), yuan(20_00), yuan(0), 2)
    others = [Share(AccountId(f"payer-{place}"), yuan(10_00), yuan(0), yuan(-place), 7) for place in range(4)]
    zero: Fields = {"amount": yuan(0), "transaction_id": None}
    origins = {"order_id": named("o", customer_id), "product_id": "p-1", "subscription_id": "s-1"}
    plain: Fields = {
        "amount": yuan(60_00),
        "balance_after": yuan(40_00),
        "account_version": 2,
        "description": "TV",
        "gift": yuan(0),
    }
    changed: tuple[Fields, ...] = (
        {},
        {"description": ""},
        {"description": "d" * 200},
        zero,
        zero | {"account_version": 0, "balance_after": yuan(0)},
        zero | origins | {"late": True},
        {"gift": yuan(60_00)},
        {"gift": yuan(59_99), "late": True},
        origins,
        {"balance_after": yuan(-10_00)},
        {"paid_by": tuple(others)},
        {"paid_by": (*others, own), "gift": yuan(20_00)},
        {"paid_by": (others[0],), "balance_after": yuan(0), "account_version": 0},
        {"amount": yuan(1)},
    )
    for number, changes in enumerate(changed):
        name = named(f"charge-{number}", customer_id)
        yield plain | {"charge_id": ChargeId(name), "transaction_id": TransactionId(f"charge:{name}")} | changes


def _falls() -> Iterator[Fields]:
    for cause, bill_id, balance_minor in product(CrossingCause, (None, BillId("b-1")), (0, 19_99, -50_00)):
        yield {
            "balance": yuan(balance_minor),
            "threshold": yuan(20_00),
            "bill_id": bill_id,
            "account_version": 3,
            "cause": cause,
            "credit_limit": yuan(0 if bill_id else 100_00),
        }
    yield {
        "balance": yuan(0),
        "threshold": yuan(1),
        "bill_id": None,
        "account_version": 0,
        "cause": CrossingCause.PLAN,
        "credit_limit": yuan(0),
    }


def _returns() -> Iterator[Fields]:
    for balance_minor, threshold_minor, version in ((20_00, 20_00, 4), (0, 0, 0), (-50_00, 20_00, 5)):
        yield {"balance": yuan(balance_minor), "threshold": yuan(threshold_minor), "account_version": version}


def _bills() -> Iterator[Fields]:
    plain: Fields = {"bill_id": BillId("b-1"), "bill_number": 1, "amount": yuan(50_00), "due_at": FEBRUARY}
    yield plain
    for cause in CrossingCause:
        yield plain | {"cause": cause, "due_at": FEBRUARY + timedelta(days=365)}
    yield plain | {"bill_id": BillId("b-2"), "kind": BillKind.SUPPLEMENT, "corrects": BillId("b-1")}


def _reversals(customer_id: str) -> Iterator[Fields]:
    """Of a recharge that is known, in two parts and once more, and of one that is not."""
    for number, (of, amount_minor, before_minor, cause) in enumerate(
        (
            (f"recharge:{customer_id}:0", 30_00, 0, "mistake"),
            (f"recharge:{customer_id}:0", 70_00, 30_00, "refund"),
            (f"recharge:{customer_id}:1", 100_00, 0, "chargeback"),
            (f"recharge:{customer_id}:{LONGEST}", 1, 0, "chargeback"),
        )
    ):
        yield {
            "transaction_id": TransactionId(f"recharge_reversal:{customer_id}:{number}"),
            "recharge_transaction_id": TransactionId(of),
            "amount": yuan(amount_minor),
            "recharge_amount": yuan(100_00),
            "reversed_before": yuan(before_minor),
            "balance_after": yuan(-amount_minor),
            "cause": cause,
            "recharged_at": FEBRUARY,
            "account_version": 5,
        }


def _refunds(customer_id: str) -> Iterator[Fields]:
    """Of charges that are known, by gift credit and by others too, and of one that is not."""
    known = [named(f"charge-{number}", customer_id) for number in (0, 6, 10)]
    for number, (charge_id, part_minor) in enumerate(product([*known, LONGEST], (20_00, 40_00))):
        yield {
            "refund_id": f"{customer_id}-{number}",
            "charge_id": ChargeId(charge_id),
            "amount": yuan(part_minor),
            "charge_amount": yuan(60_00),
            "refunded_before": yuan(0 if part_minor == 20_00 else 20_00),
            "balance_after": yuan(part_minor),
            "transaction_id": TransactionId(f"charge_refund:{customer_id}:{number}"),
            "order_id": "" if number % 2 else named("o", customer_id),
            "charged_at": FEBRUARY,
            "account_version": 6,
        }


def _placed(customer_id: str) -> Iterator[Fields]:
    """Without anything set aside; what was is in promises and tests of its own."""
    for number, (products, total_minor) in enumerate(product(((), ("p-1",), tuple(map(str, range(50)))), (0, 60_00))):
        yield {
            "order_id": OrderId(named(f"placed-{number}", customer_id)),
            "product_ids": tuple(map(ProductId, products)),
            "total": yuan(total_minor),
            "coupon_ids": (),
            "points_hold_id": "",
        }


def _rejected(customer_id: str) -> Iterator[Fields]:
    """What was set aside may have ended by itself, or never have been."""
    for number, (coupons, hold_id, because) in enumerate(product(((), ("k-1", "k-2")), ("", "h-1"), ("", "LEFT"))):
        yield {
            "order_id": OrderId(named(f"rejected-{number}", customer_id)),
            "coupon_ids": coupons,
            "points_hold_id": hold_id,
            "because": because,
        }
