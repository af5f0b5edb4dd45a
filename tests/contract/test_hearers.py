"""Whatever billing can tell is handled by whoever hears it: nothing of it is put aside, in whatever order it comes."""

import importlib
import random
from collections.abc import Sequence
from typing import Any

import pytest
from chassis.embedded import NatsServer
from chassis.ids import new_id
from chassis.testing import Databases, Keys
from chassis.testing.serving import DATED_LONG_AGO, Serving, serving
from chassis.times import to_proto
from google.protobuf.message import Message
from sqlalchemy import text
from touchstone.member.v1 import customer_service_pb2 as customers_pb
from touchstone.member.v1 import customer_service_pb2_grpc as customers_grpc
from touchstone.member.v1 import member_pb2
from touchstone.member.v1 import membership_service_pb2 as memberships_pb
from touchstone.member.v1 import membership_service_pb2_grpc as memberships_grpc

from tests.contract.billed import FEBRUARY, LONGEST, shapes

SETTINGS: dict[str, Any] = DATED_LONG_AGO | {"timed_work": False, "event_tries": 1}
BILLING = "touchstone.billing.v1."
HEARERS = ("member", "campaign", "scoring")
MEMBER, STRANGER, ERASED, MERGED = "c-member", "c-stranger", "c-erased", "c-merged"
AT = to_proto(FEBRUARY.replace(month=1))


async def tell(served: Serving, messages: Sequence[Message]) -> None:
    """Publishes events as billing does, and waits until all of them are handled or put aside."""
    await served.running.broker.ensure_streams()
    for message in messages:
        name = message.DESCRIPTOR.full_name
        at = message.occurred_at.ToDatetime(FEBRUARY.tzinfo).isoformat()  # type: ignore[attr-defined]
        headers = {"ce-id": new_id(), "ce-type": name, "ce-source": "billing", "ce-time": at, "ce-recordedtime": at}
        await (await served.running.broker.publish(f"events.{name}", message.SerializeToString(), headers))
    await served.settle()


async def customers_of(served: Serving) -> None:
    """Customers who are members: one stays, one is erased, and one is merged into the first."""
    channel = served.channel("member.write", "member.admin")
    customers, memberships = (
        customers_grpc.CustomerServiceStub(channel),
        memberships_grpc.MembershipServiceStub(channel),
    )
    for name in (MEMBER, ERASED, MERGED):
        put = member_pb2.Customer(
            customer_id=name,
            kind=member_pb2.CUSTOMER_KIND_HOUSEHOLD,
            display_name="Household",
            registered_at=AT,
        )
        await customers.UpsertCustomer(customers_pb.UpsertCustomerRequest(request_id=new_id(), customer=put))
        enrol = memberships_pb.EnrolRequest(request_id=new_id(), customer_id=name, occurred_at=AT)
        await memberships.Enrol(enrol)
    erase = customers_pb.EraseCustomerRequest(request_id=new_id(), customer_id=ERASED, occurred_at=AT)
    await customers.EraseCustomer(erase)
    merge = customers_pb.MergeCustomersRequest(
        request_id=new_id(), customer_id=MEMBER, merged_customer_id=MERGED, occurred_at=AT
    )
    await customers.MergeCustomers(merge)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("service", HEARERS)
async def test_nothing_that_billing_tells_is_put_aside(
    database: Databases, nats: NatsServer, keys: Keys, service: str, seed: int
) -> None:
    process = importlib.import_module(f"{service}.__main__").PROCESS
    told = [message for name in (MEMBER, STRANGER, ERASED, MERGED, LONGEST) for message in shapes(name)]
    random.Random(seed).shuffle(told)
    async with serving(process, await database(process), nats, keys, **SETTINGS) as served:
        if service == "member":
            await customers_of(served)
        heard = [subject for lane in served.running.lanes for subject in lane.subjects if BILLING in subject]
        names = [f"events.{message.DESCRIPTOR.full_name}" for message in told]
        assert set(heard) <= set(names), "an event of billing that has no shapes here"
        await tell(served, told)
        async with served.work.reading() as connection:
            letters = await connection.execute(text("SELECT event_type, error FROM dead_letters"))
            assert [tuple(row) for row in letters] == []
            claims = text("SELECT count(*) FROM handled_requests WHERE caller = 'event:billing'")
            assert (await connection.execute(claims)).scalar_one() == sum(name in heard for name in names)
