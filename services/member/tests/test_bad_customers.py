"""Bad input of customers, consents and care over real gRPC, and what members reach with a token of their own."""

import asyncio
import json
from typing import Any

import pytest
from chassis.ids import new_id
from chassis.rpc.errors import from_status
from chassis.testing.serving import DATED_LONG_AGO, Serving
from chassis.times import to_proto
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from touchstone.member.v1 import care_pb2, member_pb2
from touchstone.member.v1 import care_service_pb2 as care_pb
from touchstone.member.v1 import consent_service_pb2 as consent_pb
from touchstone.member.v1 import customer_service_pb2 as customer_pb

from services.member.tests.calls import SCOPES, Stubs, become_member, methods_of, refused, refuses_bad_input
from services.member.tests.customers import consent_request, erase_request, merge_request, tables_with
from services.member.tests.factories import JANUARY, customer_message, day, scalar, upsert_request

OUT_OF_RANGE = Timestamp(seconds=-1)
LATE = to_proto(JANUARY)
GIVE, WITHDRAW = consent_pb.GiveConsentRequest, consent_pb.WithdrawConsentRequest


def put_person(**changes: Any) -> customer_pb.UpsertCustomerRequest:
    """A request that puts a household of one person."""
    values: dict[str, Any] = {"person_id": "p-1", "display_name": "Wang"}
    return upsert_request(persons=[member_pb2.Person(**values | changes)])


def put_line(**changes: Any) -> customer_pb.UpsertCustomerRequest:
    """A request that puts a household with one line."""
    values: dict[str, Any] = {
        "subscriber_id": "s-1",
        "kind": member_pb2.SUBSCRIBER_KIND_TV,
        "in_service_since": to_proto(JANUARY),
    }
    return upsert_request(subscribers=[member_pb2.Subscriber(**values | changes)])


def assign_request(kind: Any = care_pb.AssignManagerRequest, **changes: Any) -> Any:
    """A request that assigns a manager, or takes one away."""
    values: dict[str, Any] = {"request_id": new_id(), "customer_id": "c-1", "occurred_at": to_proto(day(1))}
    if kind is care_pb.AssignManagerRequest:
        values["manager_id"] = "anna"
    return kind(**values | changes)


def holiday_request(**changes: Any) -> care_pb.PutHolidayRequest:
    """A request that puts a holiday."""
    values: dict[str, Any] = {"holiday_id": "spring", "display_name": "Spring Festival", "days": ["2027-02-06"]}
    return care_pb.PutHolidayRequest(request_id=new_id(), holiday=care_pb2.Holiday(**values | changes))


def rule_request(**changes: Any) -> care_pb.PutCareRuleRequest:
    """A request that puts a rule of care."""
    values: dict[str, Any] = {"rule_id": "r-1", "occasion": care_pb2.CARE_OCCASION_BIRTHDAY, "active": True}
    return care_pb.PutCareRuleRequest(request_id=new_id(), rule=care_pb2.CareRule(**values | changes))


def check(**changes: Any) -> consent_pb.ConsentCheck:
    """A question."""
    values: dict[str, Any] = {"customer_id": "c-1", "purpose": "marketing_sms"}
    return consent_pb.ConsentCheck(**values | changes)


PRODUCT = member_pb2.HeldProduct(product_code="basic", since=to_proto(day(2)), until=to_proto(day(2)))
SAME = [customer_pb.PersonMove(person_id="p-1", becomes_person_id="p-8")] * 2

BAD_CUSTOMERS: list[tuple[str, Message, list[str]]] = [
    ("UpsertCustomer", upsert_request("c 1"), ["customer.customer_id"]),
    ("UpsertCustomer", upsert_request(""), ["customer.customer_id"]),
    ("UpsertCustomer", upsert_request("c" * 65), ["customer.customer_id"]),
    ("UpsertCustomer", upsert_request(kind=77), ["customer.kind"]),
    ("UpsertCustomer", upsert_request(display_name="a\x00b"), ["customer.display_name"]),
    ("UpsertCustomer", put_person(person_id="p 1"), ["customer.persons[0].person_id"]),
    ("UpsertCustomer", put_person(phone="12", email="x@y"), ["customer.persons[0].phone", "customer.persons[0].email"]),
    ("UpsertCustomer", put_person(birthday="19870605"), ["customer.persons[0].birthday"]),
    ("UpsertCustomer", put_person(birthday="1987-02-30"), ["customer.persons[0].birthday"]),
    ("UpsertCustomer", put_person(birthday="1601-01-01"), ["customer.persons[0].birthday"]),
    ("UpsertCustomer", put_person(birthday="9000-01-01"), ["customer.persons[0].birthday"]),
    ("UpsertCustomer", put_person(interests=["x"] * 21), ["customer.persons[0].interests"]),
    ("UpsertCustomer", put_person(interests=["golf", "a\nb"]), ["customer.persons[0].interests[1]"]),
    ("UpsertCustomer", put_line(kind=0), ["customer.subscribers[0].kind"]),
    ("UpsertCustomer", put_line(in_service_until=to_proto(JANUARY)), ["customer.subscribers[0].in_service_until"]),
    ("UpsertCustomer", put_line(in_service_until=OUT_OF_RANGE), ["customer.subscribers[0].in_service_until"]),
    ("UpsertCustomer", put_line(products=[PRODUCT]), ["customer.subscribers[0].products[0].until"]),
    ("UpsertCustomer", put_line(marks=[0]), ["customer.subscribers[0].marks"]),
    ("UpsertCustomer", put_line(marks=[1, 1]), ["customer.subscribers[0].marks"]),
    (
        "UpsertCustomer",
        upsert_request(accounts=[member_pb2.AccountLink(account_id="a 1", role="payer")]),
        ["customer.accounts[0].account_id"],
    ),
    (
        "UpsertCustomer",
        upsert_request(accounts=[member_pb2.AccountLink(account_id="a", role="payer")] * 2),
        ["customer.accounts[1].account_id"],
    ),
    ("UpsertCustomer", upsert_request(registered_at=OUT_OF_RANGE), ["customer.registered_at"]),
    ("UpsertCustomer", customer_pb.UpsertCustomerRequest(customer=customer_message()), ["request_id"]),
    (
        "BatchUpsertCustomers",
        customer_pb.BatchUpsertCustomersRequest(requests=[upsert_request()] * 1001),
        ["requests"],
    ),
    ("GetCustomer", customer_pb.GetCustomerRequest(customer_id="'; DROP TABLE customers"), ["customer_id"]),
    ("ListCustomers", customer_pb.ListCustomersRequest(page_size=501), ["page_size"]),
    ("ListCustomers", customer_pb.ListCustomersRequest(page_token="§"), ["page_token"]),
    ("ListCustomers", customer_pb.ListCustomersRequest(kind=9), ["kind"]),  # type: ignore[arg-type]
    ("ListCustomers", customer_pb.ListCustomersRequest(service_kind=9), ["service_kind"]),  # type: ignore[arg-type]
    ("ListCustomers", customer_pb.ListCustomersRequest(manager_id="a b"), ["manager_id"]),
    ("ListCustomers", customer_pb.ListCustomersRequest(registered_from=OUT_OF_RANGE), ["registered_from"]),
    ("GetContactAddress", customer_pb.GetContactAddressRequest(), ["customer_id"]),
    ("GetContactAddress", customer_pb.GetContactAddressRequest(customer_id="c-1", person_id="-"), ["person_id"]),
    ("MergeCustomers", merge_request("c-1", "c-1"), ["merged_customer_id"]),
    ("MergeCustomers", merge_request("c-1", "c 2"), ["merged_customer_id"]),
    ("MergeCustomers", merge_request(occurred_at=None), ["occurred_at"]),
    ("MergeCustomers", merge_request(request_id=""), ["request_id"]),
    (
        "MergeCustomers",
        merge_request(person_moves=SAME),
        ["person_moves[1].person_id", "person_moves[1].becomes_person_id"],
    ),
    ("MergeCustomers", merge_request(person_moves=[customer_pb.PersonMove()]), ["person_moves[0].person_id"]),
    ("BatchMergeCustomers", customer_pb.BatchMergeCustomersRequest(requests=[merge_request()] * 101), ["requests"]),
    ("ListMerges", customer_pb.ListMergesRequest(customer_id="c/1"), ["customer_id"]),
    ("ExportCustomer", customer_pb.ExportCustomerRequest(customer_id=""), ["customer_id"]),
    ("ExportCustomer", customer_pb.ExportCustomerRequest(customer_id="c-1", person_id=" "), ["person_id"]),
    ("EraseCustomer", erase_request("c 1"), ["customer_id"]),
    ("EraseCustomer", erase_request(person_id="p 1"), ["person_id"]),
    ("EraseCustomer", erase_request(occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    ("EraseCustomer", erase_request(request_id="a b"), ["request_id"]),
]

BAD_CONSENTS: list[tuple[str, Message, list[str]]] = [
    ("GiveConsent", consent_request(purpose=""), ["purpose"]),
    ("GiveConsent", consent_request(purpose="mail me"), ["purpose"]),
    ("GiveConsent", consent_request(text_version=""), ["text_version"]),
    ("GiveConsent", consent_request(channel="\x00"), ["channel"]),
    ("GiveConsent", consent_request(occurred_at=None), ["occurred_at"]),
    ("GiveConsent", consent_request(customer_id=""), ["customer_id"]),
    ("GiveConsent", consent_request(request_id=""), ["request_id"]),
    ("BatchGiveConsents", consent_pb.BatchGiveConsentsRequest(requests=[consent_request()] * 1001), ["requests"]),
    ("WithdrawConsent", consent_request(WITHDRAW, purpose="x" * 65), ["purpose"]),
    ("WithdrawConsent", consent_request(WITHDRAW, person_id="/"), ["person_id"]),
    ("WithdrawConsent", consent_request(WITHDRAW, occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    (
        "BatchWithdrawConsents",
        consent_pb.BatchWithdrawConsentsRequest(requests=[consent_request(WITHDRAW)] * 1001),
        ["requests"],
    ),
    ("ListConsents", consent_pb.ListConsentsRequest(customer_id="c 1"), ["customer_id"]),
    ("ListConsents", consent_pb.ListConsentsRequest(customer_id="c-1", page_token="YQ"), ["page_token"]),
    ("ListConsentHistory", consent_pb.ListConsentHistoryRequest(customer_id="c-1", page_token="YQ"), ["page_token"]),
    ("ListConsentHistory", consent_pb.ListConsentHistoryRequest(customer_id="c-1", page_size=-1), ["page_size"]),
    ("CheckConsents", consent_pb.CheckConsentsRequest(checks=[check()] * 1001), ["checks"]),
    ("CheckConsents", consent_pb.CheckConsentsRequest(checks=[check(), check(purpose="")]), ["checks[1].purpose"]),
    ("CheckConsents", consent_pb.CheckConsentsRequest(checks=[check(customer_id="")]), ["checks[0].customer_id"]),
    ("CheckConsents", consent_pb.CheckConsentsRequest(checks=[check()], as_of=OUT_OF_RANGE), ["as_of"]),
]

BAD_CARE: list[tuple[str, Message, list[str]]] = [
    ("AssignManager", assign_request(manager_id=""), ["manager_id"]),
    ("AssignManager", assign_request(customer_id="c 1"), ["customer_id"]),
    ("AssignManager", assign_request(occurred_at=OUT_OF_RANGE), ["occurred_at"]),
    ("AssignManager", assign_request(request_id=""), ["request_id"]),
    ("BatchAssignManagers", care_pb.BatchAssignManagersRequest(requests=[assign_request()] * 1001), ["requests"]),
    ("UnassignManager", assign_request(care_pb.UnassignManagerRequest, occurred_at=None), ["occurred_at"]),
    ("ListManagedCustomers", care_pb.ListManagedCustomersRequest(manager_id="a b"), ["manager_id"]),
    ("ListManagerHistory", care_pb.ListManagerHistoryRequest(customer_id="c-1", page_token="YQ"), ["page_token"]),
    ("PutHoliday", holiday_request(holiday_id="a b"), ["holiday.holiday_id"]),
    ("PutHoliday", holiday_request(display_name=" "), ["holiday.display_name"]),
    ("PutHoliday", holiday_request(days=["2027-02-06", "tomorrow"]), ["holiday.days[1]"]),
    ("PutHoliday", holiday_request(days=["2027-02-06", "2027-10-01"]), ["holiday.days"]),
    ("ListHolidays", care_pb.ListHolidaysRequest(page_size=501), ["page_size"]),
    ("PutCareRule", rule_request(rule_id=""), ["rule.rule_id"]),
    ("PutCareRule", rule_request(occasion=0), ["rule.occasion"]),
    ("PutCareRule", rule_request(occasion=99), ["rule.occasion"]),
    ("PutCareRule", rule_request(holiday_id="spring"), ["rule.holiday_id"]),
    ("PutCareRule", rule_request(days_ahead=-1, years_at_least=1000), ["rule.days_ahead", "rule.years_at_least"]),
    ("PutCareRule", rule_request(customer_kind=7), ["rule.customer_kind"]),
    ("ListCareRules", care_pb.ListCareRulesRequest(page_token="§"), ["page_token"]),
    ("TellCare", care_pb.TellCareRequest(request_id="r"), ["as_of"]),
    ("TellCare", care_pb.TellCareRequest(as_of=LATE), ["request_id"]),
    ("ListCare", care_pb.ListCareRequest(page_token="YQ"), ["page_token"]),
    ("ListCare", care_pb.ListCareRequest(told_from=OUT_OF_RANGE), ["told_from"]),
    ("ListCare", care_pb.ListCareRequest(manager_id="a b"), ["manager_id"]),
]

UNKNOWN: list[tuple[str, Message, str]] = [
    ("GetCustomer", customer_pb.GetCustomerRequest(customer_id="nobody"), "CUSTOMER_NOT_FOUND"),
    ("GetContactAddress", customer_pb.GetContactAddressRequest(customer_id="nobody"), "CUSTOMER_NOT_FOUND"),
    ("MergeCustomers", merge_request("c-1", "nobody"), "CUSTOMER_NOT_FOUND"),
    ("ListMerges", customer_pb.ListMergesRequest(customer_id="nobody"), "CUSTOMER_NOT_FOUND"),
    ("ExportCustomer", customer_pb.ExportCustomerRequest(customer_id="nobody"), "CUSTOMER_NOT_FOUND"),
    ("EraseCustomer", erase_request(person_id="p-99"), "PERSON_NOT_FOUND"),
    ("GiveConsent", consent_request(person_id="p-99"), "PERSON_NOT_FOUND"),
    ("WithdrawConsent", consent_request(WITHDRAW, "nobody"), "CUSTOMER_NOT_FOUND"),
    ("ListConsents", consent_pb.ListConsentsRequest(customer_id="nobody"), "CUSTOMER_NOT_FOUND"),
    ("AssignManager", assign_request(customer_id="nobody"), "CUSTOMER_NOT_FOUND"),
    ("ListManagerHistory", care_pb.ListManagerHistoryRequest(customer_id="nobody"), "CUSTOMER_NOT_FOUND"),
    (
        "PutCareRule",
        rule_request(occasion=care_pb2.CARE_OCCASION_HOLIDAY, holiday_id="none"),
        "HOLIDAY_NOT_FOUND",
    ),
]


async def test_bad_input_names_its_field_and_stores_nothing(served: Serving, boss: Stubs) -> None:
    await become_member(boss)
    bad = [*BAD_CUSTOMERS, *BAD_CONSENTS, *BAD_CARE]
    await refuses_bad_input(served, boss, bad, UNKNOWN)
    assert methods_of(customer_pb, consent_pb, care_pb) == {name for name, _, _ in bad}


async def test_a_put_again_is_answered_in_full_and_kept_without_a_name(served: Serving, boss: Stubs) -> None:
    request = upsert_request()
    answers = await asyncio.gather(*(boss.customers.UpsertCustomer(request) for _ in range(5)))
    assert {answer.SerializeToString() for answer in answers} == {answers[0].SerializeToString()}
    assert answers[0].customer == customer_message(revision=1)
    batch = customer_pb.BatchUpsertCustomersRequest(requests=[request, upsert_request("c-2")])
    results = (await boss.customers.BatchUpsertCustomers(batch)).results
    assert results[0].response == answers[0]
    assert results[1].response.customer == customer_message("c-2", revision=1)
    assert await tables_with(served.work, "Wang Fang", "fang@example.com", "13800138000") == {"customers"}
    assert await scalar(served.work, "SELECT max(length(reply)) FROM handled_requests") < 40
    other = customer_pb.UpsertCustomerRequest(
        request_id=request.request_id, customer=customer_message(display_name="Household Li")
    )
    assert (await refused(boss, "UpsertCustomer", other)).reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize("settings", [DATED_LONG_AGO])
async def test_a_member_speaks_for_the_own_household_alone(served: Serving, boss: Stubs) -> None:
    await become_member(boss, "c-1")
    await become_member(boss, "c-2")
    app = Stubs.of(served.channel(*SCOPES, subject="app", customer_id="c-1"))
    given = (await app.consents.GiveConsent(consent_request(person_id="p-1"))).consent
    assert (given.given, given.text_version, given.revision) == (True, "v1", 1)
    gone = consent_request(WITHDRAW, person_id="p-1", occurred_at=to_proto(day(2)))
    assert not (await app.consents.WithdrawConsent(gone)).consent.given
    export = await app.customers.ExportCustomer(customer_pb.ExportCustomerRequest(customer_id="c-1"))
    assert len(json.loads(export.document)["consents"]) == 2
    held = await app.consents.ListConsents(consent_pb.ListConsentsRequest(customer_id="c-1"))
    assert [each.given for each in held.consents] == [False]
    for name, request in [
        ("GiveConsent", consent_request(customer_id="c-2")),
        ("WithdrawConsent", consent_request(WITHDRAW, "c-2")),
        ("ExportCustomer", customer_pb.ExportCustomerRequest(customer_id="c-2")),
        ("EraseCustomer", erase_request("c-2")),
        ("ListManagerHistory", care_pb.ListManagerHistoryRequest(customer_id="c-2")),
        ("MergeCustomers", merge_request("c-1", "c-2")),
        ("CheckConsents", consent_pb.CheckConsentsRequest()),
        ("AssignManager", assign_request()),
    ]:
        assert (await refused(app, name, request)).reason == "NOT_YOUR_CUSTOMER", name
    await app.customers.EraseCustomer(erase_request())
    assert (await refused(app, "GetCustomer", customer_pb.GetCustomerRequest(customer_id="c-1"))).reason == (
        "CUSTOMER_ERASED"
    )


async def test_every_item_of_a_batch_has_its_outcome(boss: Stubs) -> None:
    await become_member(boss)
    gives = [consent_request(), consent_request(purpose=""), consent_request(customer_id="nobody")]
    given = (await boss.consents.BatchGiveConsents(consent_pb.BatchGiveConsentsRequest(requests=gives))).results
    assert given[0].response.consent.given
    assert [from_status(each.error).reason for each in given[1:]] == ["INVALID_ARGUMENT", "CUSTOMER_NOT_FOUND"]
    takes = [consent_request(WITHDRAW, occurred_at=to_proto(day(3)))]
    taken = await boss.consents.BatchWithdrawConsents(consent_pb.BatchWithdrawConsentsRequest(requests=takes))
    assert not taken.results[0].response.consent.given
    asked = consent_pb.CheckConsentsRequest(checks=[check(), check(customer_id="nobody")], as_of=to_proto(day(2)))
    answers = (await boss.consents.CheckConsents(asked)).answers
    assert [(each.given, each.text_version) for each in answers] == [(True, "v1"), (False, "")]
    history = await boss.consents.ListConsentHistory(consent_pb.ListConsentHistoryRequest(customer_id="c-1"))
    assert [each.given for each in history.statements] == [False, True]
    assigned = await boss.care.BatchAssignManagers(
        care_pb.BatchAssignManagersRequest(requests=[assign_request(), assign_request(customer_id="nobody")])
    )
    assert assigned.results[0].response.assignment.assigned_by == "boss"
    assert from_status(assigned.results[1].error).reason == "CUSTOMER_NOT_FOUND"
    managed = await boss.care.ListManagedCustomers(care_pb.ListManagedCustomersRequest(manager_id="anna"))
    assert [(each.customer_id, each.manager_id) for each in managed.customers] == [("c-1", "anna")]
    later = assign_request(care_pb.UnassignManagerRequest, occurred_at=to_proto(day(2)))
    assert not (await boss.care.UnassignManager(later)).assignment.manager_id


async def test_duplicates_are_merged_in_a_batch_and_answer_so(boss: Stubs) -> None:
    for name in ("c-1", "c-2", "c-3"):
        await become_member(boss, name)
    moves = [customer_pb.PersonMove(person_id=each, becomes_person_id=each) for each in ("p-1", "p-2")]
    items = [merge_request(person_moves=moves), merge_request("c-1", "c-3"), merge_request("c-1", "nobody")]
    results = (await boss.customers.BatchMergeCustomers(customer_pb.BatchMergeCustomersRequest(requests=items))).results
    assert (results[0].response.customer_id, results[0].response.merged_customer_id) == ("c-1", "c-2")
    assert [from_status(each.error).reason for each in results[1:]] == ["PERSON_IDS_CLASH", "CUSTOMER_NOT_FOUND"]
    again = await boss.customers.MergeCustomers(merge_request(person_moves=moves))
    assert again == results[0].response
    merges = (await boss.customers.ListMerges(customer_pb.ListMergesRequest(customer_id="c-1"))).merges
    assert [(each.merged_customer_id, each.merged_by) for each in merges] == [("c-2", "boss")]
    for name, request in [
        ("GetCustomer", customer_pb.GetCustomerRequest(customer_id="c-2")),
        ("UpsertCustomer", upsert_request("c-2")),
        ("GiveConsent", consent_request(customer_id="c-2")),
        ("EraseCustomer", erase_request("c-2")),
        ("MergeCustomers", merge_request("c-3", "c-2")),
    ]:
        refusal = await refused(boss, name, request)
        assert refusal.reason == "CUSTOMER_MERGED", name


async def test_care_is_told_in_rounds_and_answered_once(boss: Stubs) -> None:
    people = [member_pb2.Person(person_id="p-1", display_name="Wang", birthday="1987-06-05")]
    await boss.customers.UpsertCustomer(upsert_request(persons=people))
    await boss.care.PutHoliday(holiday_request())
    assert (await boss.care.PutHoliday(holiday_request())).holiday.revision == 1
    await boss.care.PutCareRule(rule_request(days_ahead=1))
    asked = care_pb.TellCareRequest(request_id=new_id(), as_of=Timestamp(seconds=1_780_578_000))
    first = await boss.care.TellCare(asked)
    assert (first.customers, first.told) == (1, 1)
    assert await boss.care.TellCare(asked) == first
    listed = (await boss.care.ListCare(care_pb.ListCareRequest(customer_id="c-1"))).care
    assert [(each.person_id, each.occasion) for each in listed] == [("p-1", care_pb2.CARE_OCCASION_BIRTHDAY)]
    assert [each.holiday_id for each in (await boss.care.ListHolidays(care_pb.ListHolidaysRequest())).holidays] == [
        "spring"
    ]
    assert [each.put_by for each in (await boss.care.ListCareRules(care_pb.ListCareRulesRequest())).rules] == ["boss"]
