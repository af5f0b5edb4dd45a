"""Activities to test with, and their use cases as one step each, in a transaction of their own."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from chassis.calendar import Calendar
from chassis.work import Work
from member.domain.activity import Activity, ActivityId
from member.domain.audience import Audience
from member.domain.customer import EVERYBODY, CustomerId
from member.domain.program import GENERAL
from member.domain.roster import Registration, RegistrationId
from member.use_cases import activities, registrations, settling
from member.use_cases.settling import Settled

from services.member.tests.factories import day, rows

SHANGHAI = Calendar(ZoneInfo("Asia/Shanghai"))
OPENS, STARTS, ENDS = day(10), day(20), day(20) + timedelta(hours=3)


def activity(activity_id: str = "final", **changes: Any) -> Activity:
    """The finals watched together: two seats, registering from day 10 on, on the evening of day 20."""
    values: dict[str, Any] = {
        "title": "The finals together",
        "place": "Hall 1",
        "audience": Audience(GENERAL),
        "starts_at": STARTS,
        "ends_at": ENDS,
        "registration_opens_at": OPENS,
        "registration_closes_at": STARTS,
        "free_leaving_until": STARTS,
        "capacity": 2,
        "waiting_list_max": 10,
    }
    return Activity(ActivityId(activity_id), **values | changes)


async def put(work: Work, wanted: Activity, *, at: datetime = OPENS, by: str = "operator") -> Activity:
    """An activity put."""
    command = activities.PutActivity(wanted, by, at)
    return await work.run(lambda transaction: activities.put_activity(transaction, command))


async def publish(work: Work, activity_id: str = "final", *, at: datetime = OPENS) -> Activity:
    """An activity published."""
    command = activities.ChangeState(ActivityId(activity_id), "operator", at)
    return await work.run(lambda transaction: activities.publish_activity(transaction, command))


async def published(work: Work, wanted: Activity) -> Activity:
    """An activity put and published."""
    await put(work, wanted)
    return await publish(work, wanted.activity_id)


async def call_off(work: Work, activity_id: str = "final", *, at: datetime = OPENS) -> activities.Ended:
    """An activity called off."""
    command = activities.ChangeState(ActivityId(activity_id), "operator", at)
    return await work.run(lambda transaction: activities.cancel_activity(transaction, command))


async def register(work: Work, customer_id: str = "c-1", *, at: datetime = OPENS, **changes: Any) -> Registration:
    """A member registered."""
    values: dict[str, Any] = {
        "activity_id": ActivityId("final"),
        "person_id": EVERYBODY,
        "party_size": 1,
    }
    command = registrations.RegisterForActivity(customer_id=CustomerId(customer_id), occurred_at=at, **values | changes)
    return await work.run(lambda transaction: registrations.register_for_activity(transaction, command))


def ending(registration: Registration, at: datetime, **changes: Any) -> registrations.EndRegistration:
    """What is to happen to a registration."""
    values: dict[str, Any] = {
        "registration_id": registration.registration_id,
        "customer_id": registration.holder.customer_id,
        "by_member": False,
    }
    return registrations.EndRegistration(occurred_at=at, **values | changes)


async def leave(work: Work, registration: Registration, *, at: datetime = OPENS, **changes: Any) -> registrations.Left:
    """A registration cancelled."""
    command = ending(registration, at, **changes)
    return await work.run(lambda transaction: registrations.cancel_registration(transaction, command))


async def check_in(
    work: Work, registration: Registration, *, at: datetime = STARTS, **changes: Any
) -> registrations.CheckedIn:
    """A member checked in."""
    command = ending(registration, at, **changes)
    return await work.run(lambda transaction: registrations.check_in(transaction, command, calendar=SHANGHAI))


async def settle(work: Work, at: datetime) -> Settled:
    """Everything that was due by an instant, round by round."""
    total = Settled()
    while (done := await work.run(lambda transaction: settling.settle_activities(transaction, at))).activities:
        total = Settled(
            total.activities + done.activities,
            total.seated + done.seated,
            total.missed + done.missed,
            total.ended + done.ended,
        )
    return total


async def states(work: Work) -> dict[str, str]:
    """How each customer's last registration stands."""
    found = await rows(
        work,
        "SELECT customer_id, state FROM activity_registrations JOIN members USING (member_id) ORDER BY sequence",
    )
    return {str(customer_id): str(state) for customer_id, state in found}


def missing() -> RegistrationId:
    """The id of no registration."""
    return RegistrationId("none")
