"""Customers in full on the real database: lines, accounts, consents, managers, and who is put again."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from chassis.errors import InvalidArgument
from chassis.paging import Page
from chassis.work import Work
from hypothesis import given
from hypothesis import strategies as st
from member.domain.consent import Consent, Said, Standing, Subject, adds_nothing, holding, stated
from member.domain.customer import (
    CustomerErased,
    CustomerId,
    CustomerKind,
    CustomerNotFound,
    ManagerId,
    PersonErased,
    PersonId,
    PersonNotFound,
    SubscriberKind,
)
from member.domain.manager import Assignment, AssignmentTooOld
from member.store import customers as store
from member.store.customers import CustomerFilter
from member.use_cases.consents import SayConsent, list_consent_history, list_consents
from member.use_cases.customers import (
    UpsertCustomer,
    get_contact_address,
    get_customer,
    list_customers,
    upsert_customers,
)
from member.use_cases.managers import list_managed, list_manager_history

from services.member.tests.customers import (
    SMS,
    agreed,
    assign,
    erase,
    full_customer,
    mobile,
    said,
    say,
)
from services.member.tests.factories import RECORDED_AT, customer, day, person, rows, scalar, told
from services.member.tests.steps import C1, put

FIRST = Page(50, None)


async def test_all_that_is_known_comes_back(work: Work) -> None:
    wanted = full_customer()
    ((first), (again)) = await put(work, UpsertCustomer(wanted), UpsertCustomer(wanted))
    assert (first.changed, again.changed) == (True, False)
    async with work.reading() as connection:
        assert await get_customer(connection, C1) == full_customer(revision=1)
        lines = await store.subscriptions_of(connection, [C1, CustomerId("nobody")])
    assert lines == {C1: wanted.subscribers}
    assert [(each.product_code, each.until) for each in lines[C1][1].products] == [("basic", None), ("sports", day(30))]


async def test_customers_are_found_by_what_they_are(work: Work) -> None:
    await put(
        work,
        UpsertCustomer(full_customer("c-1")),
        UpsertCustomer(customer("c-2", kind=CustomerKind.ENTERPRISE, registered_at=day(5))),
        UpsertCustomer(customer("c-3", subscribers=(mobile(in_service_until=day(9)),), registered_at=day(9))),
    )
    await assign(work, "anna", customer_id="c-2")
    expected = [
        (CustomerFilter(), ["c-1", "c-2", "c-3"]),
        (CustomerFilter(kind=CustomerKind.ENTERPRISE), ["c-2"]),
        (CustomerFilter(manager_id=ManagerId("anna")), ["c-2"]),
        (CustomerFilter(service_kind=SubscriberKind.MOBILE), ["c-1"]),
        (CustomerFilter(registered_from=day(5)), ["c-2", "c-3"]),
        (CustomerFilter(registered_from=day(5), registered_until=day(9)), ["c-2"]),
        (CustomerFilter(kind=CustomerKind.ENTERPRISE, registered_from=day(6)), []),
    ]
    async with work.reading() as connection:
        for only, ids in expected:
            assert [each.customer_id for each in await list_customers(connection, FIRST, only)] == ids, only


async def test_a_birthday_to_come_is_refused_and_its_neighbours_are_put(work: Work) -> None:
    unborn = full_customer("c-2", persons=(person(birthday=(RECORDED_AT + timedelta(days=2)).date()),))
    commands = [UpsertCustomer(full_customer("c-1")), UpsertCustomer(unborn), UpsertCustomer(full_customer("c-3"))]
    outcomes = await work.run(lambda transaction: upsert_customers(transaction, commands))
    refused = outcomes[1]
    assert isinstance(refused, InvalidArgument)
    assert refused.violations[0].field == "customer.persons[0].birthday"
    assert await rows(work, "SELECT customer_id FROM customers ORDER BY 1") == [("c-1",), ("c-3",)]


async def test_a_person_is_reached_by_name(work: Work) -> None:
    await put(work, UpsertCustomer(full_customer()))
    async with work.reading() as connection:
        assert (await get_contact_address(connection, C1, PersonId("p-2"))).display_name == "Wang Jun"
        with pytest.raises(PersonNotFound):
            await get_contact_address(connection, C1, PersonId("p-9"))


async def test_what_was_forgotten_does_not_come_back_with_the_next_put(work: Work) -> None:
    await put(work, UpsertCustomer(full_customer("c-1")), UpsertCustomer(full_customer("c-2")))
    await erase(work, "c-1", "p-2")
    await erase(work, "c-2")
    commands = [UpsertCustomer(full_customer("c-1")), UpsertCustomer(full_customer("c-2"))]
    outcomes = await work.run(lambda transaction: upsert_customers(transaction, commands))
    assert [type(outcome) for outcome in outcomes] == [PersonErased, CustomerErased]
    (without,) = await put(work, UpsertCustomer(full_customer("c-1", persons=(person("p-1"),))))
    assert (without.changed, [each.person_id for each in without.customer.persons]) == (True, ["p-1"])
    async with work.reading() as connection:
        assert await list_customers(connection, FIRST, CustomerFilter()) == [without.customer]
    wanted = [CustomerId("c-1"), CustomerId("c-2")]
    existing = await work.run(lambda transaction: store.existing_persons(transaction.connection, wanted))
    assert existing == {C1: {"p-1"}}


async def test_a_put_that_races_an_erasure_does_not_undo_it(work: Work) -> None:
    for number in range(10):
        name = f"c-{number}"
        await put(work, UpsertCustomer(full_customer(name)))
        changed = [UpsertCustomer(full_customer(name, display_name=f"Household {each}")) for each in range(3)]
        puts = [work.run(lambda transaction, each=each: upsert_customers(transaction, [each])) for each in changed]  # type: ignore[misc]
        await asyncio.gather(*puts[:2], erase(work, name), puts[2])
    assert await scalar(work, "SELECT count(*) FROM customers WHERE profile <> '{}' OR erased_at IS NULL") == 0


WHOLE = Subject(C1, PersonId(""), SMS)
CHILD = Subject(C1, PersonId("p-2"), SMS)


async def test_consent_is_given_and_withdrawn_by_one_word_each(work: Work) -> None:
    await put(work, UpsertCustomer(full_customer()))
    assert await agreed(work, WHOLE, CHILD) == [None, None]
    (given,) = await say(work, said(on=1, person_id="p-2"))
    assert isinstance(given, Consent)
    assert (given.said.given, given.said.text_version, given.revision) == (True, "v1", 1)
    assert await agreed(work, WHOLE, CHILD) == [None, "v1"]
    (withdrawn,) = await say(work, said(given=False, on=5, person_id="p-2"))
    assert isinstance(withdrawn, Consent)
    assert (withdrawn.said.given, withdrawn.said.text_version) == (False, "v1")
    assert await agreed(work, CHILD) == [None]
    assert [await agreed(work, CHILD, on=number) for number in (0, 1, 4, 5)] == [[None], ["v1"], ["v1"], [None]]
    assert await told(work, "ConsentChanged") == 2


async def test_the_same_word_again_changes_nothing_and_a_new_text_does(work: Work) -> None:
    await put(work, UpsertCustomer(full_customer()))
    outcomes = await say(work, said(on=1), said(on=2), said(on=3, text_version="v2"), said(given=False, on=4))
    assert [each.revision for each in outcomes if isinstance(each, Consent)] == [1, 1, 2, 3]
    assert await say(work, said(given=False, on=9)) == outcomes[3:]
    assert await scalar(work, "SELECT count(*) FROM consents") == 3
    assert await told(work, "ConsentChanged") == 3


async def test_a_word_that_comes_late_does_not_overtake_a_later_one(work: Work) -> None:
    await put(work, UpsertCustomer(full_customer()))
    await say(work, said(given=False, on=5))
    (holds,) = await say(work, said(on=3))
    assert isinstance(holds, Consent)
    assert (holds.said.given, holds.revision) == (False, 1)
    assert await agreed(work, WHOLE) == [None]
    assert await agreed(work, WHOLE, on=4) == ["v1"]
    assert await told(work, "ConsentChanged") == 1


async def test_each_word_of_a_batch_has_its_outcome(work: Work) -> None:
    await put(work, UpsertCustomer(full_customer()))
    outcomes = await say(work, said(), said(customer_id="nobody"), said(person_id="p-9"), said(purpose="research"))
    assert [type(each) for each in outcomes] == [Consent, CustomerNotFound, PersonNotFound, Consent]


async def test_words_at_once_are_all_kept_and_counted(work: Work) -> None:
    await put(work, UpsertCustomer(full_customer()))
    await asyncio.gather(*(say(work, said(given=number % 2 == 0, on=number + 1)) for number in range(20)))
    assert await scalar(work, "SELECT count(*) - max(revision) FROM consents") == 0
    assert await agreed(work, WHOLE) == [None]


async def test_consents_are_listed_as_they_hold_and_as_they_were_said(work: Work) -> None:
    await put(work, UpsertCustomer(full_customer()))
    await say(work, said(on=1), said(given=False, on=2), said(on=1, person_id="p-1"), said(on=1, purpose="research"))
    async with work.reading() as connection:
        held = await list_consents(connection, C1, FIRST)
        names = [(each.said.subject.person_id, each.said.subject.purpose, each.said.given) for each in held]
        assert names == [("", SMS, False), ("", "research", True), ("p-1", SMS, True)]
        behind = await list_consents(connection, C1, Page(50, f" {SMS}"))
        assert behind == held[1:]
        history = await list_consent_history(connection, C1, Page(2, None))
        assert [each.said.subject.purpose for _, each in history] == ["research", SMS, SMS]
        older = await list_consent_history(connection, C1, Page(50, str(history[1][0])))
        assert [each.said.given for _, each in older] == [False, True]


INSTANTS = st.integers(0, 5).map(day)


@given(st.lists(st.tuples(st.booleans(), INSTANTS, st.sampled_from(["v1", "v2"]))))
def test_what_holds_is_the_latest_word_however_they_arrive(words: list[tuple[bool, object, str]]) -> None:
    standing, kept = Standing(None, 0), []
    for is_given, at, version in words:
        word = Said(WHOLE, is_given, version, "app", at, "boss")  # type: ignore[arg-type]
        if adds_nothing(word, standing):
            assert standing.holds is not None
            assert standing.holds.said.given == is_given
            continue
        consent, standing = stated(word, standing, RECORDED_AT)
        kept.append(consent)
        assert standing.holds == holding(kept)
    assert [each.revision for each in kept] == list(range(1, len(kept) + 1))
    assert standing.statements == len(kept)


async def test_managers_follow_one_another(work: Work) -> None:
    await put(work, UpsertCustomer(full_customer()), UpsertCustomer(full_customer("c-2")))
    first = await assign(work, "anna", on=1)
    assert await assign(work, "anna", on=2) == first
    await assign(work, "bert", on=3)
    assert isinstance(await assign(work, "anna", on=2), AssignmentTooOld)
    await assign(work, "bert", customer_id="c-2")
    assert isinstance(await assign(work, None, customer_id="c-2", on=4), Assignment)
    assert isinstance(await assign(work, "bert", customer_id="nobody"), CustomerNotFound)
    async with work.reading() as connection:
        assert [each.customer_id for each in await list_managed(connection, ManagerId("bert"), FIRST)] == ["c-1"]
        assert await list_managed(connection, ManagerId("anna"), FIRST) == []
        history = await list_manager_history(connection, C1, FIRST)
    assert [(each.manager_id, each.occurred_at, each.revision) for each in history] == [
        ("bert", day(3), 2),
        ("anna", day(1), 1),
    ]
    assert await told(work, "ManagerAssigned") == 4


async def test_a_put_leaves_the_manager_and_taking_nobody_away_is_nothing(work: Work) -> None:
    await put(work, UpsertCustomer(full_customer()))
    nobody = await assign(work, None)
    assert isinstance(nobody, Assignment)
    assert await told(work, "ManagerAssigned") == 0
    await assign(work, "anna")
    (after,) = await put(work, UpsertCustomer(full_customer(display_name="Household Li")))
    assert after.customer.manager_id == "anna"
    assert await scalar(work, "SELECT manager_id FROM customers") == "anna"


async def test_a_word_from_the_future_is_refused_so_that_it_can_be_taken_back(work: Work) -> None:
    await put(work, UpsertCustomer(full_customer()))
    latest = RECORDED_AT + timedelta(minutes=5)
    ahead = said(text_version="v2", on=2), said(given=False, on=3)
    taken_back = SayConsent(replace(ahead[1].said, occurred_at=latest))
    too_far = SayConsent(replace(ahead[0].said, occurred_at=latest + timedelta(microseconds=1)))
    outcomes = await say(work, said(), said(purpose="surveys"), taken_back, too_far)
    assert [type(each) for each in outcomes] == [Consent, Consent, Consent, InvalidArgument]
    assert await agreed(work, Subject(C1, PersonId(""), SMS)) == [None]
    await erase(work, on=36_500)
    closed = await rows(work, "SELECT purpose, occurred_at FROM consents WHERE NOT given ORDER BY 1")
    assert closed == [(SMS, latest), ("surveys", RECORDED_AT)]
