"""Customers, programs and commands to test with, and what a database holds afterwards."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from chassis.calendar import Calendar
from chassis.errors import Refusal
from chassis.ids import new_id
from chassis.money import Money
from chassis.times import to_proto
from chassis.work import Transaction, Work
from member.domain.customer import (
    Customer,
    CustomerId,
    CustomerKind,
    Person,
    PersonId,
    Subscriber,
    SubscriberId,
    SubscriberKind,
)
from member.domain.membership import Holder, Standing
from member.domain.points import PointsKind
from member.domain.program import GENERAL, Program, ProgramId, Tier, TierId
from member.use_cases.customers import UpsertCustomer, upsert_customers
from member.use_cases.earning import AwardPoints, Booked, RewardPayment, award_points, reward_payments
from member.use_cases.memberships import EnrolCustomer, enrol_customers
from sqlalchemy import text
from touchstone.member.v1 import customer_service_pb2 as customer_pb
from touchstone.member.v1 import member_pb2
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.member.v1 import points_service_pb2 as points_pb

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
RECORDED_AT = datetime(2026, 11, 1, tzinfo=UTC)
CALENDAR = Calendar(ZoneInfo("Asia/Shanghai"))

STANDARD = Tier(TierId("standard"), "Standard", 0, 0, 100)
SILVER = Tier(TierId("silver"), "Silver", 1, 300, 120)
GOLD = Tier(TierId("gold"), "Gold", 2, 1000, 150)


def day(number: int) -> datetime:
    """The instant a number of days after the first of January."""
    return JANUARY + timedelta(days=number)


def program(program_id: str = "fans", **changes: Any) -> Program:
    """A program with the ready-made one's tiers."""
    values: dict[str, Any] = {
        "display_name": "Football fans",
        "tiers": (STANDARD, SILVER, GOLD),
        "window_days": 365,
        "points_lifetime_days": 730,
    }
    return Program(ProgramId(program_id), **values | changes)


def person(person_id: str = "p-1", **changes: Any) -> Person:
    """A person with a phone and an email address."""
    values = {"display_name": "Wang Fang", "role": "head", "phone": "+8613800138000", "email": "fang@example.com"}
    return Person(PersonId(person_id), **values | changes)


def customer(customer_id: str = "c-1", **changes: Any) -> Customer:
    """A household of one person with a TV line."""
    values: dict[str, Any] = {
        "kind": CustomerKind.HOUSEHOLD,
        "display_name": "Household Wang",
        "persons": (person(),),
        "subscribers": (Subscriber(SubscriberId("s-1"), SubscriberKind.TV, JANUARY),),
        "registered_at": JANUARY,
    }
    return Customer(CustomerId(customer_id), **values | changes)


def reward(amount_minor: int, *, at: datetime, customer_id: str = "c-1", **changes: Any) -> RewardPayment:
    """A recharge of an amount."""
    values: dict[str, Any] = {"source": f"billing:{new_id()}", "kind": PointsKind.EARN_RECHARGE}
    return RewardPayment(
        customer_id=CustomerId(customer_id), amount=Money(amount_minor, "CNY"), occurred_at=at, **values | changes
    )


def award(points: int, *, at: datetime, customer_id: str = "c-1", **changes: Any) -> AwardPoints:
    """Points given for a survey."""
    values: dict[str, Any] = {
        "transaction_id": new_id(),
        "reason": "survey",
        "expires_at": None,
    }
    return AwardPoints(
        holder=Holder(CustomerId(customer_id), GENERAL), points=points, occurred_at=at, **values | changes
    )


async def enrolled(work: Work, *ids: str, at: datetime = JANUARY, program_id: ProgramId = GENERAL) -> list[Standing]:
    """Customers with these ids, made members at an instant."""

    async def act(transaction: Transaction) -> list[Standing | Refusal]:
        await upsert_customers(transaction, [UpsertCustomer(customer(each)) for each in ids])
        return await enrol_customers(
            transaction, [EnrolCustomer(Holder(CustomerId(each), program_id), at) for each in ids]
        )

    outcomes = await work.run(act)
    assert all(isinstance(outcome, Standing) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Standing)]


async def awarded(work: Work, *commands: AwardPoints) -> list[Booked | Refusal]:
    """Points given in one transaction."""
    return await work.run(lambda transaction: award_points(transaction, commands))


async def rewarded(work: Work, *payments: RewardPayment) -> None:
    """Payments rewarded in one transaction."""
    await work.run(lambda transaction: reward_payments(transaction, payments, CALENDAR))


async def rows(work: Work, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """What a statement finds."""
    async with work.reading() as connection:
        return [tuple(row) for row in await connection.execute(text(statement), parameters)]


async def scalar(work: Work, statement: str, **parameters: Any) -> Any:
    """The one value a statement finds."""
    ((value,),) = await rows(work, statement, **parameters)
    return value


async def told(work: Work, name: str) -> int:
    """How many events of the member service with this name were told."""
    return int(
        await scalar(work, "SELECT count(*) FROM outbox WHERE event_type = :t", t=f"touchstone.member.v1.{name}")
    )


def customer_message(customer_id: str = "c-1", **changes: Any) -> member_pb2.Customer:
    """A household as a caller sends it."""
    values: dict[str, Any] = {
        "kind": member_pb2.CUSTOMER_KIND_HOUSEHOLD,
        "display_name": "Household Wang",
        "persons": [
            member_pb2.Person(person_id="p-1", display_name="Wang Jun", role="child"),
            member_pb2.Person(
                person_id="p-2",
                display_name="Wang Fang",
                role="head",
                phone="+8613800138000",
                email="fang@example.com",
            ),
        ],
        "subscribers": [
            member_pb2.Subscriber(
                subscriber_id="s-1", kind=member_pb2.SUBSCRIBER_KIND_TV, in_service_since=to_proto(JANUARY)
            )
        ],
        "registered_at": to_proto(JANUARY),
    }
    return member_pb2.Customer(customer_id=customer_id, **values | changes)


def upsert_request(customer_id: str = "c-1", **changes: Any) -> customer_pb.UpsertCustomerRequest:
    """A request that puts a household."""
    return customer_pb.UpsertCustomerRequest(request_id=new_id(), customer=customer_message(customer_id, **changes))


def enrol_request(customer_id: str = "c-1", **changes: Any) -> membership_pb.EnrolRequest:
    """A request that enrols a customer into the ready-made program."""
    values: dict[str, Any] = {"request_id": new_id(), "occurred_at": to_proto(JANUARY)}
    return membership_pb.EnrolRequest(customer_id=customer_id, **values | changes)


def earn_request(points: int, customer_id: str = "c-1", **changes: Any) -> points_pb.EarnPointsRequest:
    """A request that gives points."""
    values: dict[str, Any] = {"request_id": new_id(), "occurred_at": to_proto(day(1)), "reason": "survey"}
    return points_pb.EarnPointsRequest(customer_id=customer_id, points=points, **values | changes)


def hold_request(points: int, customer_id: str = "c-1", **changes: Any) -> points_pb.HoldPointsRequest:
    """A request that sets points aside for a day."""
    values: dict[str, Any] = {
        "request_id": new_id(),
        "occurred_at": to_proto(day(2)),
        "expires_at": to_proto(day(3)),
        "reason": "cup",
    }
    return points_pb.HoldPointsRequest(customer_id=customer_id, points=points, **values | changes)
