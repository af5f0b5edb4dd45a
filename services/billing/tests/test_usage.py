"""Usage over real gRPC: late, repeated, corrected, in any order, beyond the balance, and in races."""

import asyncio
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from chassis.rpc.errors import from_status
from chassis.testing.calls import methods_of, refuses_bad_input
from chassis.testing.serving import Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text
from touchstone.billing.v1 import account_events_pb2, account_pb2, catalog_pb2, charging_pb2, charging_service_pb2
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import catalog_service_pb2 as catalog_pb
from touchstone.billing.v1 import usage_service_pb2 as pb

from services.billing.tests.calls import AT, Calls, boss, cny, member, opened, recharged, refused
from services.billing.tests.catalog import calls_by_minute, catalog_of, stocked, tier, tiered
from services.billing.tests.factories import ACCOUNT, CUSTOMER, Billing
from services.billing.tests.test_api import told

NOT_IDS = ["", "-x", "a b", "x" * 65, "ключ", "a\x00b"]
APRIL = to_proto(datetime(2026, 4, 2, tzinfo=UTC))


def usage(usage_id: str = "u-1", **changed: Any) -> charging_pb2.UsageRecord:
    """Thirty minutes of calls: 3 yuan of the month's first hundred."""
    values: dict[str, Any] = {"account_id": ACCOUNT, "product_id": "calls", "quantity": 30, "occurred_at": AT}
    return charging_pb2.UsageRecord(usage_id=usage_id, **values | changed)


def recording(usage_id: str = "u-1", **changed: Any) -> pb.RecordUsageRequest:
    """A record under a request of its own."""
    request_id = changed.pop("request_id", f"record-{usage_id}")
    return pb.RecordUsageRequest(request_id=request_id, usage=usage(usage_id, **changed))


@pytest.fixture
async def calls(served: Serving) -> Calls:
    """Calls by the minute, an account with 100 yuan and one with 1."""
    made = boss(served)
    await stocked(served)
    await made.accounts.OpenAccount(opened(plan_id=""))
    await made.accounts.OpenAccount(opened("open-2", account_id="poor", plan_id=""))
    await made.accounts.Recharge(recharged())
    await made.accounts.Recharge(recharged("recharge-2", account_id="poor", amount=cny(1_00)))
    return made


async def send(calls: Calls, *records: pb.RecordUsageRequest) -> list[charging_pb2.UsageStanding]:
    """A batch, every record of which is taken."""
    reply = await calls.usage.BatchRecordUsage(pb.BatchRecordUsageRequest(requests=records))
    assert all(one.HasField("response") for one in reply.results), reply
    return [one.response.standing for one in reply.results]


async def balance(calls: Calls, account_id: str = ACCOUNT) -> int:
    """What an account has."""
    reply = await calls.accounts.GetAccount(account_pb.GetAccountRequest(account_id=account_id))
    return int(reply.account.balance.minor_units)


async def proven(served: Serving) -> None:
    """Every rule holds."""
    assert await Billing(served.work).proof() == []


async def test_a_record_is_rated_by_the_month_it_falls_into(served: Serving, calls: Calls) -> None:
    standings = await send(calls, recording("a", quantity=80), recording("b", quantity=40), recording("c", quantity=10))
    assert [one.amount.minor_units for one in standings] == [8_00, 2_00 + 1_00, 50]
    assert (await send(calls, recording("d", quantity=10, occurred_at=APRIL)))[0].amount == cny(1_00)
    assert (await send(calls, recording("e", quantity=10, subscriber_id="line-2")))[0].amount == cny(1_00)
    assert await balance(calls) == 100_00 - 8_00 - 3_00 - 50 - 2_00
    found = charging_service_pb2.GetChargeRequest(charge_id=standings[1].charge_id)
    charge = (await calls.charging.GetCharge(found)).charge
    assert charge.category == charging_pb2.CHARGE_CATEGORY_USAGE
    assert [(line.quantity, line.amount) for line in charge.reckoning.lines] == [(20, cny(2_00)), (20, cny(1_00))]
    await proven(served)


async def test_a_repeat_has_no_effect_whatever_it_is_asked_as(served: Serving, calls: Calls) -> None:
    first = await calls.usage.RecordUsage(recording())
    again = await calls.usage.RecordUsage(recording())
    anew = await calls.usage.RecordUsage(recording(request_id="other"))
    assert first == again
    assert anew.standing == first.standing
    twice = await send(calls, recording("u-2"), recording("u-2", request_id="u-2-again"))
    assert twice[0] == twice[1]
    other = await refused(calls.usage.RecordUsage, recording(request_id="third", quantity=31))
    assert other.reason == "USAGE_ID_REUSED"
    assert await balance(calls) == 100_00 - 2 * 3_00
    await proven(served)


async def test_a_correction_gives_back_what_was_too_much(served: Serving, calls: Calls) -> None:
    (first,) = await send(calls, recording(quantity=120))
    (corrected,) = await send(calls, recording("u-2", quantity=20, corrects_usage_id="u-1"))
    assert (first.amount, corrected.amount) == (cny(11_00), cny(-9_00))
    assert await balance(calls) == 100_00 - 2_00
    found = (await calls.usage.GetUsage(pb.GetUsageRequest(usage_id="u-1"))).standing
    assert (found.state, found.replaced_by) == (charging_pb2.USAGE_STATE_REPLACED, "u-2")
    charge = charging_service_pb2.GetChargeRequest(charge_id=first.charge_id)
    assert (await calls.charging.GetCharge(charge)).charge.refunded == cny(9_00)
    late = await refused(calls.usage.RecordUsage, recording("u-3", corrects_usage_id="u-1"))
    assert late.reason == "USAGE_REPLACED"
    (last,) = await send(calls, recording("u-4", quantity=0, corrects_usage_id="u-2"))
    assert last.amount == cny(-2_00)
    assert await balance(calls) == 100_00
    await proven(served)


async def test_a_correction_may_give_back_more_than_its_record_cost(served: Serving, calls: Calls) -> None:
    """The second hundred cost half. Without the first, it is the dear hundred that the second correction takes away."""
    await send(calls, recording("a", quantity=100), recording("b", quantity=100))
    (first,) = await send(calls, recording("c", quantity=0, corrects_usage_id="a"))
    (second,) = await send(calls, recording("d", quantity=0, corrects_usage_id="b"))
    assert (first.amount, second.amount) == (cny(-5_00), cny(-10_00))
    assert await balance(calls) == 100_00
    await proven(served)


async def paid_for(calls: Calls) -> None:
    """The account pays for the poor one."""
    payer = account_pb2.Payer(payer_account_id=ACCOUNT)
    await calls.accounts.PutPayers(
        account_pb.PutPayersRequest(request_id="payers", account_id="poor", payers=[payer], occurred_at=AT)
    )


async def test_who_paid_gets_back_whatever_the_chain_of_corrections(served: Serving, calls: Calls) -> None:
    """For what corrections added too, and where a month comes to less than the record that is corrected cost."""
    await paid_for(calls)
    for request in (
        recording("a", account_id="poor", quantity=10),
        recording("b", account_id="poor", quantity=20, corrects_usage_id="a"),
        recording("c", account_id="poor", quantity=5, corrects_usage_id="b"),
        recording("d", account_id="poor", quantity=0, corrects_usage_id="c"),
    ):
        await send(calls, request)
    assert (await balance(calls), await balance(calls, "poor")) == (100_00, 1_00)
    await send(calls, recording("e", account_id="poor", quantity=100), recording("f", account_id="poor", quantity=100))
    await send(
        calls,
        recording("g", account_id="poor", quantity=0, corrects_usage_id="e"),
        recording("h", account_id="poor", quantity=0, corrects_usage_id="f"),
    )
    assert (await balance(calls), await balance(calls, "poor")) == (100_00, 1_00)
    assert sum(each.amount.minor_units for each in await told(served, account_events_pb2.ChargeRefunded)) == 17_00
    await proven(served)


async def test_units_by_which_a_month_comes_to_less_give_back_to_who_paid(served: Serving, calls: Calls) -> None:
    """All of the month's units at the price of the tier that the whole falls into."""
    catalog = catalog_of(served)
    texts = calls_by_minute(product_id="texts", unit="text")
    await catalog.PutProduct(catalog_pb.PutProductRequest(request_id="put-texts", product=texts))
    by_volume = tiered(product_id="texts", tier_mode=catalog_pb2.TIER_MODE_VOLUME, tiers=[tier(100, 10), tier(0, 1)])
    await catalog.PutPrice(catalog_pb.PutPriceRequest(request_id="price-texts", price=by_volume))
    await paid_for(calls)
    records = [recording(f"t-{n}", account_id="poor", product_id="texts", quantity=50) for n in range(3)]
    await send(calls, *records[:2])
    (third,) = await send(calls, records[2])
    assert third.amount == cny(1_50 - 10_00)
    assert (await balance(calls), await balance(calls, "poor")) == (100_00 - 1_50, 1_00)
    await proven(served)


async def test_what_was_given_back_already_is_not_given_back_by_a_correction(served: Serving, calls: Calls) -> None:
    (first,) = await send(calls, recording(quantity=50))
    refund = charging_service_pb2.RefundChargeRequest(
        request_id="refund", charge_id=first.charge_id, amount=cny(3_00), reason="complaint", occurred_at=AT
    )
    await calls.charging.RefundCharge(refund)
    (corrected,) = await send(calls, recording("u-2", quantity=0, corrects_usage_id="u-1"))
    assert corrected.amount == cny(-5_00)
    assert await balance(calls) == 100_00
    await proven(served)


async def test_a_correction_carries_units_to_another_month(served: Serving, calls: Calls) -> None:
    await send(calls, recording(quantity=100))
    (moved,) = await send(calls, recording("u-2", quantity=100, corrects_usage_id="u-1", occurred_at=APRIL))
    assert (moved.state, moved.charge_id) == (charging_pb2.USAGE_STATE_CHARGED, "")
    assert await balance(calls) == 100_00 - 10_00
    await proven(served)


async def test_any_order_comes_to_the_same(served: Serving, calls: Calls) -> None:
    shuffled = random.Random(7)
    sent = [recording(f"u-{number}", quantity=shuffled.randrange(1, 40)) for number in range(20)]
    fixes = [
        recording(f"f-{number}", quantity=shuffled.randrange(0, 40), corrects_usage_id=f"u-{number}")
        for number in range(0, 20, 3)
    ]
    shuffled.shuffle(sent)
    await send(calls, *sent[:12], *sent[5:9])
    await send(calls, *sent[8:], *fixes)
    await send(calls, *fixes, *sent)
    corrected = {fix.usage.corrects_usage_id: fix.usage.quantity for fix in fixes}
    units = sum(corrected.get(one.usage.usage_id, one.usage.quantity) for one in sent)
    assert await balance(calls) == 100_00 - (10 * min(units, 100) + 5 * max(units - 100, 0))
    await proven(served)


async def test_what_cannot_be_charged_is_kept_as_rejected(served: Serving, calls: Calls) -> None:
    records = [
        recording("r-1", account_id="poor", quantity=8),
        recording("r-2", account_id="poor", quantity=8),
        recording("r-3", account_id="poor", quantity=2),
        recording("r-4", account_id="nobody"),
        recording("r-5", product_id="nothing"),
        recording("r-6", product_id="tv-basic"),
        recording("r-7", occurred_at=to_proto(datetime(2025, 12, 31, tzinfo=UTC))),
    ]
    standings = await send(calls, *records)
    assert [one.reason for one in standings] == [
        "",
        "INSUFFICIENT_BALANCE",
        "",
        "ACCOUNT_NOT_FOUND",
        "PRODUCT_NOT_FOUND",
        "PRODUCT_KIND_DIFFERS",
        "PRICE_NOT_FOUND",
    ]
    assert await balance(calls, "poor") == 0
    assert (await send(calls, recording("r-8", account_id="poor", quantity=1)))[0].reason == "INSUFFICIENT_BALANCE"
    wrong = await refused(calls.usage.RecordUsage, recording("r-9", account_id="poor", corrects_usage_id="r-2"))
    assert wrong.reason == "USAGE_WAS_REJECTED"
    await proven(served)


async def test_others_pay_for_usage_of_their_families(served: Serving, calls: Calls) -> None:
    payer = account_pb2.Payer(payer_account_id=ACCOUNT, families=["phone"])
    paid = account_pb.PutPayersRequest(request_id="payers", account_id="poor", payers=[payer], occurred_at=AT)
    await calls.accounts.PutPayers(paid)
    (standing,) = await send(calls, recording("u-1", account_id="poor", quantity=100))
    assert (await balance(calls), await balance(calls, "poor")) == (90_00, 1_00)
    (corrected,) = await send(calls, recording("u-2", account_id="poor", quantity=40, corrects_usage_id="u-1"))
    assert (standing.amount, corrected.amount) == (cny(10_00), cny(-6_00))
    assert (await balance(calls), await balance(calls, "poor")) == (96_00, 1_00)
    await proven(served)


async def test_records_are_counted_for_each_end(served: Serving, calls: Calls) -> None:
    await send(calls, recording("a"), recording("b", corrects_usage_id="a"), recording("c", product_id="nothing"))
    async with served.work.reading() as connection:
        sent = (await connection.execute(text("SELECT count(*) FROM usage_records"))).scalar_one()
    states = [(await calls.usage.GetUsage(pb.GetUsageRequest(usage_id=name))).standing.state for name in "abc"]
    assert states == [
        charging_pb2.USAGE_STATE_REPLACED,
        charging_pb2.USAGE_STATE_CHARGED,
        charging_pb2.USAGE_STATE_REJECTED,
    ]
    assert sent == len(states)


async def test_a_batch_with_one_account_five_hundred_times(served: Serving, calls: Calls) -> None:
    reply = await send(calls, *(recording(f"u-{number}", quantity=1) for number in range(500)))
    assert sum(one.amount.minor_units for one in reply) == 100 * 10 + 400 * 5
    assert await balance(calls) == 100_00 - 30_00
    await proven(served)


async def test_records_sent_fifty_ways_at_once_count_once(served: Serving, calls: Calls) -> None:
    requests = [recording(f"u-{number % 5}", request_id=f"way-{number}") for number in range(50)]
    random.Random(3).shuffle(requests)
    await asyncio.gather(*(calls.usage.RecordUsage(request) for request in requests))
    units = 5 * 30
    assert await balance(calls) == 100_00 - (100 * 10 + (units - 100) * 5)
    await proven(served)


async def test_a_record_of_nobody_sent_twenty_ways_at_once_is_rejected_once(served: Serving, calls: Calls) -> None:
    """There is no account to be locked."""
    sent = await asyncio.gather(
        *(send(calls, recording(account_id="nobody", request_id=f"way-{way}")) for way in range(20))
    )
    assert {standing.reason for (standing,) in sent} == {"ACCOUNT_NOT_FOUND"}
    async with served.work.reading() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM usage_records"))).scalar_one() == 1
    await proven(served)


async def test_records_are_listed_newest_first(served: Serving, calls: Calls) -> None:
    await send(calls, *(recording(f"u-{number}") for number in range(3)))
    first = await calls.usage.ListUsage(pb.ListUsageRequest(account_id=ACCOUNT, page_size=2, product_id="calls"))
    rest = await member(served).usage.ListUsage(
        pb.ListUsageRequest(account_id=ACCOUNT, customer_id=CUSTOMER, page_token=first.next_page_token)
    )
    assert [one.usage.usage_id for page in (first, rest) for one in page.standings] == ["u-2", "u-1", "u-0"]
    foreign = pb.ListUsageRequest(account_id=ACCOUNT, customer_id="cus-2")
    assert (await refused(member(served, "cus-2").usage.ListUsage, foreign)).reason == "ACCOUNT_NOT_FOUND"


async def test_every_call_needs_its_scope(served: Serving) -> None:
    caller = Calls(served, "billing.write")
    (service,) = pb.DESCRIPTOR.services_by_name.values()
    for method in service.methods:
        request = getattr(pb, method.input_type.name)()
        assert (await refused(caller.method(method.name), request)).reason == "SCOPE_MISSING", method.name


def each(field: str, values: list[Any]) -> list[tuple[str, Message, list[str]]]:
    """A record with the field set to each value, which the refusal is to name."""
    return [("RecordUsage", recording(**{"usage_id": "u", field: value}), [f"usage.{field}"]) for value in values]


BAD: list[tuple[str, Message, list[str]]] = [
    *each("usage_id", NOT_IDS),
    *each("account_id", NOT_IDS),
    *each("product_id", NOT_IDS),
    *each("subscriber_id", NOT_IDS[1:]),
    *each("corrects_usage_id", [*NOT_IDS[1:], "u"]),
    *each("quantity", [0, -1, -(2**63), 10**12 + 1, 2**63 - 1]),
    *each("occurred_at", [Timestamp(), Timestamp(seconds=-1)]),
    *(("RecordUsage", recording(request_id=bad), ["request_id"]) for bad in ("", "with space", "x" * 129)),
    ("RecordUsage", recording("u-9", corrects_usage_id="known", subscriber_id="l"), ["usage.subscriber_id"]),
    ("BatchRecordUsage", pb.BatchRecordUsageRequest(requests=[recording()] * 1001), ["requests"]),
    *(("GetUsage", pb.GetUsageRequest(usage_id=bad), ["usage_id"]) for bad in NOT_IDS),
    *(("ListUsage", pb.ListUsageRequest(account_id=bad), ["account_id"]) for bad in NOT_IDS),
    ("ListUsage", pb.ListUsageRequest(account_id=ACCOUNT, customer_id="a b"), ["customer_id"]),
    ("ListUsage", pb.ListUsageRequest(account_id=ACCOUNT, product_id="a b"), ["product_id"]),
    ("ListUsage", pb.ListUsageRequest(account_id=ACCOUNT, page_size=-1), ["page_size"]),
    ("ListUsage", pb.ListUsageRequest(account_id=ACCOUNT, page_token="!!!!"), ["page_token"]),
]
UNKNOWN: list[tuple[str, Message, str]] = [
    ("RecordUsage", recording("u-1", corrects_usage_id="missing"), "USAGE_NOT_FOUND"),
    ("GetUsage", pb.GetUsageRequest(usage_id="missing"), "USAGE_NOT_FOUND"),
    ("ListUsage", pb.ListUsageRequest(account_id="missing"), "ACCOUNT_NOT_FOUND"),
]


async def test_bad_input_is_refused_and_leaves_nothing(served: Serving, calls: Calls) -> None:
    await send(calls, recording("known"))
    await refuses_bad_input(served, calls, BAD, UNKNOWN)
    assert {name for name, *_ in BAD} == methods_of(pb)
    batch = pb.BatchRecordUsageRequest(requests=[recording("u-7"), recording("u-8", quantity=-1)])
    taken, bad = (await calls.usage.BatchRecordUsage(batch)).results
    assert taken.HasField("response")
    assert [one.field for one in from_status(bad.error).violations] == ["usage.quantity"]
