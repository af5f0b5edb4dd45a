"""What callers of a busy billing service do: calls of many kinds, each drawn from dice and from what was answered."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from chassis import clock
from chassis.ids import new_id
from chassis.times import to_proto
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import charging_pb2
from touchstone.billing.v1 import charging_service_pb2 as charging_pb
from touchstone.billing.v1 import order_service_pb2 as order_pb
from touchstone.billing.v1 import usage_service_pb2 as usage_pb

from services.billing.tests.calls import charged, cny, opened, paid, recharged, set_plan
from services.billing.tests.orders import cancel, change, item, order

ACCOUNTS = tuple(f"acc-{number}" for number in range(1, 9))
PLANS = ("basic", "high")
TICK = timedelta(minutes=20)


def last_days_of_a_month() -> datetime:
    """Where a load's business time begins: more than a month ahead of the clock. So what the calendar asks for is asked
    by the load's own calls alone, while a service seals its books by itself."""
    after = clock.now() + timedelta(days=65)
    return datetime(after.year, after.month, 1, 8, tzinfo=UTC) - timedelta(days=3)


class Ask(NamedTuple):
    """Calls of one method, made as one batch where there are several or `batch` says so."""

    method: str
    requests: Sequence[Any]
    batch: bool = False


@dataclass(slots=True)
class Town:
    """What callers know from the answers, and the business time, which goes on with every call."""

    dice: random.Random
    now: datetime = field(default_factory=last_days_of_a_month)
    recharges: list[str] = field(default_factory=list)
    charges: list[str] = field(default_factory=list)
    bills: list[str] = field(default_factory=list)
    reservations: list[charging_pb2.Reservation] = field(default_factory=list)
    subscriptions: list[str] = field(default_factory=list)

    @property
    def at(self) -> Timestamp:
        """When something happened: now, or as often some hours ago."""
        return to_proto(self.now - timedelta(hours=self.dice.choice((0, 0, 0, 5))))

    @property
    def account(self) -> str:
        """Any account, the first more often than others."""
        return self.dice.choice((*ACCOUNTS, ACCOUNTS[0]))

    def minor(self, most: int) -> int:
        """An amount."""
        return self.dice.randint(1, most)

    def learn(self, request: Message, reply: Any) -> None:
        """Keeps what later calls can be about."""
        match reply:
            case account_pb.RechargeResponse():
                self.recharges.append(reply.transaction_id)
            case charging_pb.ChargeResponse():
                self.charges.append(reply.charge_id)
            case charging_pb.ReserveResponse():
                self.reservations.append(reply.reservation)
            case order_pb.PlaceOrderResponse():
                self.subscriptions.extend(each.subscription_id for each in reply.subscriptions)
                self.charges.extend(reply.order.charge_ids)
        bill = getattr(reply, "bill", None)
        if bill is not None and bill.bill_id and not isinstance(reply, bill_pb.PayBillResponse):
            self.bills.append(bill.bill_id)

    def recent(self, known: list[Any]) -> Any:
        """One of the last few."""
        return self.dice.choice(known[-12:])


def opening(number: int, at: datetime) -> account_pb.OpenAccountRequest:
    """Opens an account of the town."""
    name = ACCOUNTS[number]
    return opened(f"open-{name}", account_id=name, customer_id=f"cus-{number % 3}", occurred_at=to_proto(at))


def _recharge(town: Town) -> account_pb.RechargeRequest:
    return recharged(new_id(), account_id=town.account, amount=cny(town.minor(40_00)), occurred_at=town.at)


def _charge(town: Town) -> charging_pb.ChargeRequest:
    amount = cny(town.dice.choice((0, *(town.minor(30_00) for _ in range(12)))))
    return charged(new_id(), account_id=town.account, amount=amount, occurred_at=town.at)


def _gift(town: Town) -> account_pb.GrantGiftRequest:
    return account_pb.GrantGiftRequest(
        request_id=new_id(),
        account_id=town.account,
        amount=cny(town.minor(10_00)),
        expires_at=to_proto(town.now + timedelta(hours=town.dice.choice((12, 30, 80, 2000)))),
        priority=town.dice.randint(0, 2),
        reason="welcome",
        occurred_at=to_proto(town.now),
    )


def _reserve(town: Town) -> charging_pb.ReserveRequest:
    return charging_pb.ReserveRequest(
        request_id=new_id(),
        reservation_id=new_id(),
        account_id=town.account,
        amount=cny(town.minor(20_00)),
        minimum=cny(1),
        expires_at=to_proto(town.now + timedelta(hours=town.dice.choice((2, 12, 24)))),
        description="film",
        occurred_at=to_proto(town.now),
    )


def _usage(town: Town) -> usage_pb.RecordUsageRequest:
    record = charging_pb2.UsageRecord(
        usage_id=new_id(), account_id=town.account, product_id="calls", quantity=town.minor(60), occurred_at=town.at
    )
    return usage_pb.RecordUsageRequest(request_id=new_id(), usage=record)


def some(method: str, make: Callable[[Town], Any], *, most: int = 1) -> Callable[[Town], Ask]:
    """An act of one call, or of a batch of up to `most`."""

    def act(town: Town) -> Ask:
        return Ask(method, [make(town) for _ in range(town.dice.randint(1, most))], batch=most > 1)

    return act


def commit(town: Town) -> Ask:
    """Takes a part of what was set aside, or all of it."""
    reservation = town.recent(town.reservations)
    return Ask(
        "CommitReservation",
        [
            charging_pb.CommitReservationRequest(
                request_id=new_id(),
                reservation_id=reservation.reservation_id,
                used=cny(town.minor(reservation.granted.minor_units)),
                occurred_at=to_proto(town.now),
            )
        ],
    )


def release(town: Town) -> Ask:
    """Frees what was set aside."""
    return Ask(
        "ReleaseReservation",
        [
            charging_pb.ReleaseReservationRequest(
                request_id=new_id(),
                reservation_id=town.recent(town.reservations).reservation_id,
                occurred_at=to_proto(town.now),
            )
        ],
    )


def pay(town: Town) -> Ask:
    """Pays bills, of which some were paid or closed before."""
    bills = {town.recent(town.bills) for _ in range(town.dice.choice((1, 1, 3)))}
    requests = [paid(new_id(), bill_id=each, occurred_at=to_proto(town.now)) for each in sorted(bills)]
    return Ask("PayBill", requests, batch=len(requests) > 1)


def refund(town: Town) -> Ask:
    """Turns a charge back, or a fen of it."""
    request = charging_pb.RefundChargeRequest(
        request_id=new_id(),
        charge_id=town.recent(town.charges),
        amount=town.dice.choice((None, cny(1))),
        reason="wrong price",
        occurred_at=to_proto(town.now),
    )
    return Ask("RefundCharge", [request])


def reverse(town: Town) -> Ask:
    """Takes a recharge back, or a fen of it."""
    request = account_pb.ReverseRechargeRequest(
        request_id=new_id(),
        transaction_id=town.recent(town.recharges),
        amount=town.dice.choice((None, cny(1))),
        reason="typed twice",
        owe=town.dice.random() < 0.3,
        occurred_at=to_proto(town.now),
    )
    return Ask("ReverseRecharge", [request])


def limit(town: Town) -> Ask:
    """Sets how far an account may go below zero."""
    request = account_pb.SetCreditLimitRequest(
        request_id=new_id(),
        account_id=town.account,
        credit_limit=cny(town.dice.choice((0, 10_00, 30_00))),
        reason="asked",
        occurred_at=to_proto(town.now),
    )
    return Ask("SetCreditLimit", [request])


def hang(town: Town) -> Ask:
    """Hangs accounts on another plan."""
    accounts = {town.account for _ in range(town.dice.choice((1, 1, 3)))}
    at = to_proto(town.now)
    requests = [
        set_plan(new_id(), account_id=each, plan_id=town.dice.choice(PLANS), occurred_at=at)
        for each in sorted(accounts)
    ]
    return Ask("SetAccountPlan", requests, batch=len(requests) > 1)


def buy(town: Town) -> Ask:
    """Orders a box, or TV from the middle of a month on."""
    product = town.dice.choice(("tv-basic", "tv-basic", "box"))
    of = {"subscription_id": new_id()} if product == "tv-basic" else {}
    request = order(
        new_id(),
        order_id=new_id(),
        account_id=town.account,
        items=[item(product, **of)],
        occurred_at=to_proto(town.now),
    )
    return Ask("PlaceOrder", [request], batch=town.dice.random() < 0.3)


def end_subscription(town: Town) -> Ask:
    """Cancels in mid-cycle, or at its end."""
    request = cancel(
        new_id(),
        subscription_id=town.recent(town.subscriptions),
        at_cycle_end=town.dice.random() < 0.3,
        occurred_at=to_proto(town.now),
    )
    return Ask("CancelSubscription", [request], batch=town.dice.random() < 0.3)


def change_subscription(town: Town) -> Ask:
    """Makes two of a subscription, or one again, in mid-cycle."""
    request = change(
        new_id(),
        subscription_id=town.recent(town.subscriptions),
        quantity=town.dice.choice((1, 2)),
        occurred_at=to_proto(town.now),
    )
    return Ask("ChangeSubscription", [request])


def round_of(town: Town) -> Ask:
    """What the calendar asks for by now."""
    asked: dict[str, Any] = {"request_id": new_id(), "as_of": to_proto(town.now)}
    made = (
        Ask("ExpireGifts", [account_pb.ExpireGiftsRequest(**asked)]),
        Ask("RunRecurring", [charging_pb.RunRecurringRequest(**asked)]),
        Ask("RunOverdueSteps", [bill_pb.RunOverdueStepsRequest(**asked)]),
    )
    return town.dice.choice(made)


_ALWAYS = (
    some("Recharge", _recharge),
    some("Recharge", _recharge),
    some("Recharge", _recharge, most=6),
    some("Charge", _charge),
    some("Charge", _charge),
    some("Charge", _charge),
    some("Charge", _charge, most=20),
    some("GrantGift", _gift),
    some("GrantGift", _gift, most=3),
    some("Reserve", _reserve),
    some("Reserve", _reserve, most=3),
    some("RecordUsage", _usage, most=5),
    limit,
    hang,
    buy,
    round_of,
)


def any_act(town: Town) -> Ask:
    """One more act; the business time goes on."""
    town.now += TICK
    possible = [*_ALWAYS]
    possible += [commit, commit, release] if town.reservations else []
    possible += [pay, pay, pay] if town.bills else []
    possible += [refund, refund] if town.charges else []
    possible += [reverse] if town.recharges else []
    possible += [end_subscription, end_subscription, change_subscription] if town.subscriptions else []
    return town.dice.choice(possible)(town)
