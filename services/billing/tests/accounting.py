"""What the books, the outbox and the stream must say after a load, whatever happened to the service meanwhile."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import asyncpg
import nats as nats_client
from chassis.embedded import NatsServer
from chassis.embedded.databases import Database
from google.protobuf.message import Message
from touchstone.billing.v1 import (
    account_events_pb2,
    bill_events_pb2,
    billing_events_pb2,
    charging_events_pb2,
    order_events_pb2,
)

from services.billing.tests.load import Answer, Load


class Effect(NamedTuple):
    """What an answer says that it did: a transaction of this kind, and what that put into the account."""

    kind: str
    account_id: str
    minor: int


class Books:
    """The tables, over a connection of their own."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def rows(self, statement: str) -> list[Any]:
        """What a statement finds."""
        return [tuple(row) for row in await self.connection.fetch(statement)]

    async def column(self, statement: str) -> list[Any]:
        """Its only column."""
        return [value for (value,) in await self.rows(statement)]

    async def number(self, statement: str) -> int:
        """Its only value."""
        return int((await self.column(statement))[0])


async def open_books(database: Database) -> Books:
    """The tables of a database; closing the connection is the caller's."""
    return Books(await asyncpg.connect(database.url))


class Known(NamedTuple):
    """What answers refer to: the accounts of charges and recharges, and what bills asked for when they were paid."""

    accounts: Mapping[str, str]
    paid_minor: Mapping[str, int]


def _charge_refund(answer: Answer, known: Known) -> Iterator[Effect]:
    yield Effect("charge_refund", known.accounts[answer.request.charge_id], answer.reply.amount.minor_units)


def _recharge_reversal(answer: Answer, known: Known) -> Iterator[Effect]:
    account_id = known.accounts[answer.request.transaction_id]
    yield Effect("recharge_reversal", account_id, -answer.reply.amount.minor_units)


def _order(answer: Answer, _: Known) -> Iterator[Effect]:
    yield Effect("charge", answer.request.account_id, -answer.reply.order.reckoning.total.minor_units)


def _change(answer: Answer, _: Known) -> Iterator[Effect]:
    account_id = answer.reply.subscription.account_id
    yield Effect("charge_refund", account_id, answer.reply.refunded.minor_units)
    if answer.method == "ChangeSubscription":
        yield Effect("charge", account_id, -answer.reply.charged.minor_units)


def _usage(answer: Answer, _: Known) -> Iterator[Effect]:
    yield Effect("charge", answer.request.usage.account_id, -answer.reply.standing.amount.minor_units)


def _bill_payment(answer: Answer, known: Known) -> Iterator[Effect]:
    bill = answer.reply.bill
    yield Effect("bill_payment", bill.account_id, known.paid_minor[bill.bill_id])


def _reservation_commit(answer: Answer, _: Known) -> Iterator[Effect]:
    reservation = answer.reply.reservation
    yield Effect("reservation_commit", reservation.account_id, -reservation.committed.minor_units)


def _asked(kind: str, sign: int) -> Callable[[Answer, Known], Iterator[Effect]]:
    def effect(answer: Answer, _: Known) -> Iterator[Effect]:
        yield Effect(kind, answer.request.account_id, sign * answer.request.amount.minor_units)

    return effect


# Methods that move money. What the others do, their own tables show.
EFFECTS: dict[str, Callable[[Answer, Known], Iterator[Effect]]] = {
    "Recharge": _asked("recharge", 1),
    "GrantGift": _asked("gift", 1),
    "Charge": _asked("charge", -1),
    "PayBill": _bill_payment,
    "CommitReservation": _reservation_commit,
    "RefundCharge": _charge_refund,
    "ReverseRecharge": _recharge_reversal,
    "PlaceOrder": _order,
    "CancelSubscription": _change,
    "ChangeSubscription": _change,
    "RecordUsage": _usage,
}


# Each event with what names it, and the rows that it tells of: one of it for each of them.
TOLD: dict[type[Message], tuple[str, str]] = {
    billing_events_pb2.AccountOpened: ("account_id", "SELECT account_id FROM accounts"),
    billing_events_pb2.AccountRecharged: (
        "transaction_id",
        "SELECT source FROM ledger_transactions WHERE kind IN ('recharge', 'bill_payment')",
    ),
    billing_events_pb2.AccountCharged: ("charge_id", "SELECT charge_id FROM charges"),
    account_events_pb2.ChargeRefunded: ("refund_id", "SELECT refund_id FROM charge_refunds"),
    account_events_pb2.RechargeReversed: (
        "transaction_id",
        "SELECT source FROM ledger_transactions WHERE kind = 'recharge_reversal'",
    ),
    account_events_pb2.GiftGranted: ("gift_id", "SELECT gift_id FROM gifts"),
    account_events_pb2.GiftExpired: (
        "transaction_id",
        "SELECT source FROM ledger_transactions WHERE kind = 'lot_expiry'",
    ),
    account_events_pb2.CreditLimitSet: (
        "account_id revision",
        """SELECT substr(e.account_id, 9) || ' ' || e.account_version FROM ledger_entries e
           JOIN ledger_transactions t ON t.source = e.source AND t.kind = 'credit_limit'""",
    ),
    billing_events_pb2.BalanceFellBelowThreshold: (
        "account_id account_version",
        "SELECT account_id || ' ' || crossing_version FROM bills WHERE kind = 'original'",
    ),
    billing_events_pb2.BillIssued: ("bill_id", "SELECT bill_id FROM bills WHERE kind <> 'credit_note'"),
    billing_events_pb2.BillPaid: ("bill_id", "SELECT bill_id FROM bill_payments"),
    bill_events_pb2.BillClosed: ("bill_id", "SELECT bill_id FROM bill_closures"),
    bill_events_pb2.BillCredited: ("credit_note_id", "SELECT bill_id FROM bills WHERE kind = 'credit_note'"),
    bill_events_pb2.BillReminded: (
        "bill_id step",
        "SELECT bill_id || ' ' || step FROM overdue_steps_done WHERE action = 'remind'",
    ),
    bill_events_pb2.AccountStateChanged: (
        "account_id revision",
        "SELECT account_id || ' ' || revision FROM account_states",
    ),
    order_events_pb2.OrderPlaced: ("order_id", "SELECT order_id FROM orders WHERE state = 'placed'"),
    order_events_pb2.SubscriptionChanged: (
        "subscription_id revision",
        "SELECT subscription_id || ' ' || revision FROM subscription_steps",
    ),
}
# These have no row of their own.
COUNTED: dict[type[Message], str] = {
    billing_events_pb2.BalanceRestored: "account_id account_version",
    charging_events_pb2.RecurringChargeRefused: "subscription_id cycle_start",
}
# What the movements of an account tell by themselves; the others follow at the end of a transaction.
IN_ORDER = (billing_events_pb2.AccountRecharged, billing_events_pb2.AccountCharged, account_events_pb2.GiftExpired)


class Row(NamedTuple):
    """An event as the outbox has it."""

    event_id: str
    event_type: str
    payload: bytes
    published: bool

    @property
    def name(self) -> str:
        """The type without its package."""
        return self.event_type.rpartition(".")[2]


async def expect_each_once(load: Load, books: Books) -> None:
    """What was answered is done once, what was refused is not, and nothing else happened."""
    claims = await books.column("SELECT request_id FROM handled_requests WHERE caller = 'boss'")
    _expect_same(
        {each.partition("/")[0] for each in claims}, list(load.answers), "requests that were claimed, and answered"
    )
    known = await _known(load, books)
    effects = [
        effect
        for answer in load.answers.values()
        if answer.method in EFFECTS
        for effect in EFFECTS[answer.method](answer, known)
        if effect.minor
    ]
    booked = await books.rows(
        """SELECT CASE WHEN t.kind = 'charge' AND c.category = 'recurring' THEN 'recurring' ELSE t.kind END,
                  substr(e.account_id, 9), e.amount
           FROM ledger_entries e JOIN ledger_transactions t ON t.source = e.source
           LEFT JOIN charges c ON c.transaction_id = t.source
           WHERE e.account_version IS NOT NULL AND e.amount <> 0"""
    )
    by_itself = ("recurring", "lot_expiry")
    _expect_same((each for each in booked if each[0] not in by_itself), map(tuple, effects), "movements, and answers")


async def _known(load: Load, books: Books) -> Known:
    charges = await books.rows("SELECT charge_id, account_id FROM charges")
    recharges = [each for each in load.answers.values() if each.method == "Recharge"]
    paid = await books.rows(
        """SELECT bill_id, coalesce(p.amount_minor, b.amount_minor)
           FROM bill_payments p JOIN bills b USING (bill_id)"""
    )
    accounts = {each.reply.transaction_id: each.request.account_id for each in recharges}
    return Known({**accounts, **_pairs(charges)}, _pairs(paid))


def _pairs(rows: list[Any]) -> dict[str, Any]:
    return dict(rows)


async def expect_told(books: Books, nats: NatsServer) -> list[Row]:
    """Each thing that happened was told once, and has reached the stream once."""
    rows = [
        Row(*row)
        for row in await books.rows(
            "SELECT event_id, event_type, payload, published_at IS NOT NULL FROM outbox ORDER BY id"
        )
    ]
    assert all(row.published for row in rows)
    told: dict[type[Message], list[Any]] = {}
    known = {each.DESCRIPTOR.full_name: each for each in (*TOLD, *COUNTED)}
    for row in rows:
        event_type = known[row.event_type]
        told.setdefault(event_type, []).append(event_type.FromString(row.payload))
    for event_type, (names, statement) in TOLD.items():
        seen = (_name(each, names) for each in told.get(event_type, []))
        _expect_same(seen, await books.column(statement), f"{event_type.__name__} told, and its rows")
    for event_type, names in COUNTED.items():
        assert set(Counter(_name(each, names) for each in told.get(event_type, [])).values()) <= {1}, event_type
    stored = ((row.event_id, row.payload) for row in rows)
    _expect_same(await in_stream(nats), stored, "events in the stream, and in the outbox")
    return rows


async def expect_bills(books: Books, rows: list[Row]) -> None:
    """Numbers without a gap, and one original for each stay, which is over or lasts."""
    numbers = await books.column("SELECT bill_number FROM bills ORDER BY bill_number")
    assert numbers == list(range(1, len(numbers) + 1))
    stays = await books.rows("SELECT account_id, crossing_version FROM bills WHERE kind = 'original'")
    assert len(set(stays)) == len(stays)
    told = Counter(row.name for row in rows)
    last = await books.number("SELECT count(*) FROM accounts WHERE crossed_version IS NOT NULL")
    assert told["BalanceFellBelowThreshold"] == len(stays) == told["BalanceRestored"] + last


async def expect_balances(load: Load, books: Books, rows: list[Row]) -> None:
    """Every answer and every event names the balance that its version of the account had; movements were told in the
    order of their accounts."""
    stands = {
        (account[8:], version): balance
        for account, version, balance in await books.rows(
            "SELECT account_id, account_version, balance_after FROM ledger_entries WHERE account_version IS NOT NULL"
        )
    }
    accounts = _pairs(await books.rows("SELECT bill_id, account_id FROM bills"))
    said = [
        (accounts[each.request.bill_id] if each.method == "PayBill" else each.request.account_id, each.reply)
        for each in load.answers.values()
        if _says_balance(each.reply)
    ]
    known = {each.DESCRIPTOR.full_name: each for each in TOLD}
    events: list[Any] = [known[row.event_type].FromString(row.payload) for row in rows if row.event_type in known]
    said += [(event.account_id, event) for event in events if _says_balance(event)]
    assert len(said) > len(load.answers)
    for account_id, each in said:
        version = each.account_version
        assert (stands[account_id, version] if version else 0) == each.balance_after.minor_units, each
    versions: dict[str, int] = {}
    for event in events:
        if isinstance(event, IN_ORDER):
            assert event.account_version >= versions.get(event.account_id, 0), event
            versions[event.account_id] = event.account_version


def _expect_same(found: Iterable[Hashable], expected: Iterable[Hashable], what: str) -> None:
    """The same things, each as often; else the first few that differ."""
    ours, theirs = Counter(found), Counter(expected)
    differences = [*(ours - theirs).most_common(5), *(theirs - ours).most_common(5)]
    assert ours == theirs, (what, differences)


def _says_balance(message: Any) -> bool:
    fields = message.DESCRIPTOR.fields_by_name
    return "balance_after" in fields and "account_version" in fields and "reservation" not in fields


def _name(event: Any, fields: str) -> str:
    return " ".join(str(getattr(event, each)) for each in fields.split())


async def in_stream(nats: NatsServer) -> list[tuple[str, bytes]]:
    """The messages that the broker has, first to last."""
    connection = await nats_client.connect(nats.url)
    try:
        jetstream = connection.jetstream()
        count = (await jetstream.stream_info("EVENTS")).state.messages
        subscription = await jetstream.subscribe("events.>", ordered_consumer=True)
        messages = [await subscription.next_msg(timeout=30) for _ in range(count)]
        return [((each.headers or {})["ce-id"], each.data) for each in messages]
    finally:
        await connection.close()
