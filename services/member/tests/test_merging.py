"""Two customers become one: what goes over, what is refused, and what the ledger and the tables say afterwards."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from chassis.work import Transaction, Work
from hypothesis import given
from hypothesis import strategies as st
from member.domain.consent import Subject
from member.domain.customer import (
    AccountLink,
    CustomerErased,
    CustomerId,
    CustomerMerged,
    CustomerNotFound,
    PersonErased,
    PersonId,
    PersonNotFound,
    Subscriber,
    SubscriberId,
    SubscriberKind,
)
from member.domain.kinds import PointsKind
from member.domain.membership import Holder, MemberId, PointsHeld
from member.domain.merge import Merged, PersonIdsClash, merged, person_moves
from member.domain.points import Grant, Share
from member.domain.program import GENERAL
from member.store import exporting as export_store
from member.store import points
from member.store.tables import METADATA
from member.use_cases.customers import UpsertCustomer, get_customer, upsert_customers
from member.use_cases.earning import Booked
from member.use_cases.exporting import export_customer
from member.use_cases.memberships import EnrolCustomer, enrol_customers
from member.use_cases.merging import MergeCustomers, carry_late_points, list_merges
from touchstone.member.v1 import customer_events_pb2

from services.member.tests.coupon_steps import activated, issued, terms
from services.member.tests.customers import (
    SMS,
    agreed,
    assign,
    erase,
    full_customer,
    merge,
    merging,
    mobile,
    said,
    say,
    tables_with,
)
from services.member.tests.factories import (
    award,
    awarded,
    customer,
    day,
    enrolled,
    person,
    reward,
    rewarded,
    rows,
    scalar,
    told,
)
from services.member.tests.steps import C1, balance, enrol, evaluate, hold, prove, put
from services.member.tests.test_customers import FIRST

C2 = CustomerId("c-2")
P3: dict[str, Any] = {"p_1": "p-3", "p_2": "p-4"}


async def two(work: Work, *, given: tuple[int, int] = (100, 250)) -> None:
    """Two households, both members, with points."""
    await enrolled(work, "c-1", "c-2")
    other = full_customer("c-2", subscribers=(mobile(2),), accounts=(AccountLink("a-9", "payer"),))
    await put(work, UpsertCustomer(full_customer("c-1")), UpsertCustomer(other))
    pairs = zip(("c-1", "c-2"), given, strict=True)
    await awarded(work, *(award(each, at=day(1), customer_id=name) for name, each in pairs if each))


async def test_persons_lines_accounts_and_points_go_over(work: Work) -> None:
    await two(work)
    (outcome,) = await merge(work, merging(**P3))
    assert isinstance(outcome, Merged)
    assert [each.points for each in outcome.carried] == [250]
    async with work.reading() as connection:
        whole = await get_customer(connection, C1)
        with pytest.raises(CustomerMerged) as refusal:
            await get_customer(connection, C2)
        assert [each.merged_id for each in await list_merges(connection, C1, FIRST)] == ["c-2"]
    assert refusal.value.metadata["merged_into"] == "c-1"
    assert [each.person_id for each in whole.persons] == ["p-1", "p-2", "p-3", "p-4"]
    assert {each.subscriber_id for each in whole.subscribers} == {"m-1", "s-1", "m-2"}
    assert [each.account_id for each in whole.accounts] == ["a-1", "a-2", "a-9"]
    assert await balance(work) == (350, 0)
    assert await rows(work, "SELECT customer_id FROM members WHERE left_at IS NULL") == [("c-1",)]
    assert await rows(work, "SELECT profile, subscribers, accounts FROM customers WHERE customer_id = 'c-2'") == [
        ({}, [], [])
    ]
    assert (await told(work, "CustomerMerged"), await told(work, "PointsTransferred")) == (1, 1)
    await prove(work)


async def test_points_that_go_over_expire_when_they_were_to(work: Work) -> None:
    await enrolled(work, "c-1", "c-2")
    await awarded(
        work,
        award(70, at=day(1), customer_id="c-2", expires_at=day(30)),
        award(30, at=day(1), customer_id="c-2", expires_at=day(60)),
        award(5, at=day(1), customer_id="c-2", expires_at=day(9)),
    )
    (outcome,) = await merge(work, merging(p_1="p-1"))
    assert isinstance(outcome, Merged)
    assert [each.points for each in outcome.carried] == [100]
    assert [await balance(work, on=number) for number in (10, 29, 30, 60)] == [(100, 0), (100, 0), (30, 0), (0, 0)]
    await prove(work)


async def test_a_membership_that_only_the_other_has_goes_over_whole(work: Work) -> None:
    await put(work, UpsertCustomer(full_customer("c-1")))
    await enrolled(work, "c-2")
    await put(work, UpsertCustomer(full_customer("c-2")))
    await enrol(work, EnrolCustomer(Holder(C2, GENERAL, PersonId("p-2")), day(1)))
    await awarded(work, award(40, at=day(1), customer_id="c-2"))
    before = await rows(work, "SELECT member_id FROM members ORDER BY 1")
    (outcome,) = await merge(work, merging(p_1="p-1", p_2="p-7"))
    assert isinstance(outcome, Merged)
    assert (outcome.merge.moved_memberships, list(outcome.carried)) == (2, [])
    assert await rows(work, "SELECT member_id FROM members ORDER BY 1") == before
    found = await rows(work, "SELECT customer_id, person_id FROM members ORDER BY 2")
    assert found == [("c-1", ""), ("c-1", "p-7")]
    assert await balance(work) == (40, 0)
    await prove(work)


async def test_who_is_one_person_stays_one(work: Work) -> None:
    await put(work, UpsertCustomer(full_customer("c-1")), UpsertCustomer(full_customer("c-2")))
    await say(work, said(on=1, person_id="p-1", customer_id="c-2"), said(given=False, on=2, person_id="p-2"))
    await say(work, said(on=1, person_id="p-2", customer_id="c-2"))
    await merge(work, merging(p_1="p-1", p_2="p-2"))
    async with work.reading() as connection:
        assert len((await get_customer(connection, C1)).persons) == 2
    subjects = [Subject(C1, PersonId(each), SMS) for each in ("p-1", "p-2")]
    assert await agreed(work, *subjects) == ["v1", None]
    assert await agreed(work, Subject(C2, PersonId("p-1"), SMS)) == [None]


async def test_a_merge_again_changes_nothing(work: Work) -> None:
    await two(work)
    first = await merge(work, merging(**P3))
    before = await rows(work, "SELECT * FROM customers ORDER BY 1")
    assert await merge(work, merging(**P3), merging(on=12)) == [*first, *first]
    assert await rows(work, "SELECT * FROM customers ORDER BY 1") == before
    assert await told(work, "CustomerMerged") == 1


async def test_each_refused_merge_leaves_no_trace(work: Work) -> None:
    await two(work)
    await put(work, *(UpsertCustomer(full_customer(f"c-{number}")) for number in (3, 4, 5)))
    await erase(work, "c-4")
    await erase(work, "c-5", "p-2")
    await hold(work, 60, holder=Holder(C2, GENERAL), expires_at=day(30))
    before = await rows(work, "SELECT * FROM customers ORDER BY 1")
    asked: list[tuple[MergeCustomers, Any]] = [
        (merging("c-1", "nobody"), CustomerNotFound),
        (merging("nobody", "c-1"), CustomerNotFound),
        (merging("c-1", "c-3"), PersonIdsClash),
        (merging("c-1", "c-3", p_1="p-2", p_2="p-2x"), None),
        (merging("c-1", "c-2", p_9="p-3"), PersonNotFound),
        (merging("c-1", "c-4"), CustomerErased),
        (merging("c-5", "c-2", p_1="p-1", p_2="p-2"), PersonErased),
        (merging("c-1", "c-2", **P3), PointsHeld),
    ]
    for command, expected in asked:
        if expected is not None:
            (outcome,) = await merge(work, command)
            assert isinstance(outcome, expected), command
    assert await rows(work, "SELECT * FROM customers ORDER BY 1") == before
    outcomes = await merge(work, *(command for command, _ in asked))
    assert [type(each) for each in outcomes] == [kind or Merged for _, kind in asked]
    await prove(work)


async def test_a_chain_of_merges_in_one_batch_ends_in_the_last(work: Work) -> None:
    await enrolled(work, "c-1", "c-2", "c-3")
    await awarded(work, *(award(10 * number, at=day(1), customer_id=f"c-{number}") for number in (1, 2, 3)))
    outcomes = await merge(work, merging("c-2", "c-3", p_1="p-1"), merging("c-1", "c-2", p_1="p-1"))
    assert [each.carried[0].points for each in outcomes if isinstance(each, Merged)] == [30, 50]
    assert await balance(work) == (60, 0)
    assert await rows(work, "SELECT customer_id FROM customers WHERE merged_into = 'c-1' ORDER BY 1") == [
        ("c-2",),
        ("c-3",),
    ]
    (again,) = await merge(work, merging("c-1", "c-3"))
    assert isinstance(again, Merged)
    await prove(work)


async def test_merges_into_each_other_at_once_make_one(work: Work) -> None:
    for number in range(5):
        names = f"a-{number}", f"b-{number}"
        await enrolled(work, *names)
        await awarded(work, *(award(50, at=day(1), customer_id=name) for name in names))
        there, back = merging(*names, p_1="p-1"), merging(*reversed(names), p_1="p-1")
        outcomes = await asyncio.gather(*(merge(work, each) for each in (there, back, there, back)))
        kinds = [type(outcome) for (outcome,) in outcomes]
        assert sorted(kind.__name__ for kind in kinds) == ["CustomerMerged", "CustomerMerged", "Merged", "Merged"]
    found = await rows(work, "SELECT balance FROM ledger_accounts ORDER BY 1")
    assert found == [(0,)] * 5 + [(100,)] * 5
    await prove(work)


async def test_what_is_earned_while_customers_merge_is_not_lost(work: Work) -> None:
    await two(work, given=(0, 0))
    given = [award(1, at=day(2), customer_id="c-2") for _ in range(20)]
    outcomes = await asyncio.gather(*(awarded(work, each) for each in given), merge(work, merging(**P3)))
    booked = sum(isinstance(each, Booked) for outcome in outcomes for each in outcome)  # type: ignore[attr-defined]
    while await work.run(carry_late_points):
        pass
    assert await balance(work) == (booked, 0)
    await prove(work)


async def test_late_points_follow_the_others(work: Work) -> None:
    await two(work)
    (ended,) = await rows(work, "SELECT member_id FROM members WHERE customer_id = 'c-2'")
    await merge(work, merging(**P3))
    share = Share(MemberId(ended[0]), 7, day(900))
    grant = Grant("late-1", PointsKind.EARN_AWARD, "late", day(9), (share,))
    await work.run(lambda t: points.post_grants(t.connection, [grant], recorded_at=t.recorded_at))
    await work.run(carry_late_points)
    assert await balance(work, on=400) == (357, 0)
    await work.run(carry_late_points)
    await prove(work)


async def test_a_payment_of_the_one_merged_away_earns_for_the_other(work: Work) -> None:
    await two(work)
    await merge(work, merging(**P3))
    await rewarded(work, reward(10_000, at=day(12), customer_id="c-2"))
    assert await balance(work) == (450, 0)


async def test_nobody_loses_a_tier_by_a_merge(work: Work) -> None:
    await two(work, given=(100, 1_000))
    await evaluate(work, 5)
    assert await rows(work, "SELECT tier_id FROM members ORDER BY customer_id") == [("standard",), ("gold",)]
    await merge(work, merging(**P3))
    assert await rows(work, "SELECT tier_id FROM members WHERE left_at IS NULL") == [("gold",)]
    await evaluate(work, 20)
    assert await rows(work, "SELECT tier_id FROM members WHERE left_at IS NULL") == [("gold",)]
    await prove(work)


async def test_coupons_go_over_and_count_for_their_new_holder(work: Work) -> None:
    await two(work)
    await activated(work, terms())
    await issued(work, "c-1", person_id="p-1")
    await issued(work, "c-2", person_id="p-1")
    await issued(work, "c-2")
    await merge(work, merging(p_1="p-1", p_2="p-2"))
    held = await rows(work, "SELECT customer_id, person_id FROM coupons ORDER BY 1, 2")
    assert held == [("c-1", ""), ("c-1", "p-1"), ("c-1", "p-1")]
    counted = await rows(work, "SELECT customer_id, person_id, issued FROM coupon_holders ORDER BY 1, 2")
    assert counted == [("c-1", "", 1), ("c-1", "p-1", 2)]
    await prove(work)


async def test_the_manager_of_the_one_merged_away_stays_where_there_is_none(work: Work) -> None:
    await two(work)
    await assign(work, "anna", customer_id="c-2")
    await merge(work, merging(**P3))
    assert await rows(work, "SELECT customer_id, manager_id FROM customers ORDER BY 1") == [
        ("c-1", "anna"),
        ("c-2", None),
    ]


@given(st.data())
def test_a_person_is_never_lost_and_never_made_two(data: st.DataObject) -> None:
    names = st.lists(st.sampled_from("abcdef"), unique=True, max_size=5)
    ours, theirs = data.draw(names), data.draw(names)
    said_moves = {PersonId(each): PersonId(f"new-{each}") for each in theirs if each in ours}
    one = customer("c-1", persons=tuple(person(each) for each in ours))
    other = customer("c-2", persons=tuple(person(each) for each in theirs))
    if said_moves:
        with pytest.raises(PersonIdsClash):
            person_moves(one, other, {}, ())
    moves = person_moves(one, other, said_moves, ())
    whole = merged(one, other, moves)
    ids = [each.person_id for each in whole.persons]
    assert len(ids) == len(set(ids)) == len(ours) + len(theirs)


CANARIES = (
    "Zaubervogel",
    "+8613899998888",
    "zauber@vogel.example",
    "1987-06-05",
    "Briefmarkensammeln",
    "line-zauber-7",
    "account-zauber-7",
)


def canary_customer(name: str = "c-1") -> UpsertCustomer:
    """A household that can be found again wherever it stands."""
    household = full_customer(
        name,
        display_name="Household Zaubervogel",
        persons=(
            person(
                "p-1",
                display_name="Zaubervogel A",
                phone=CANARIES[1],
                email=CANARIES[2],
                interests=(CANARIES[4],),
                birthday=full_customer().persons[0].birthday,
            ),
            person("p-2", display_name="Wang Jun"),
        ),
        subscribers=(Subscriber(SubscriberId("line-zauber-7"), SubscriberKind.TV, day(0)),),
        accounts=(AccountLink("account-zauber-7", "payer"),),
    )
    return UpsertCustomer(household)


async def test_after_an_erasure_no_table_knows_the_person(work: Work) -> None:
    await enrolled(work, "c-1")
    await put(work, canary_customer())
    await awarded(work, award(100, at=day(1)))
    await say(work, said(person_id="p-1"), said())
    await assign(work, "anna")
    assert await tables_with(work, *CANARIES) == {"customers"}
    await erase(work)
    assert await tables_with(work, *CANARIES) == set()
    assert await agreed(work, Subject(C1, PersonId(""), SMS)) == [None]
    assert await balance(work) == (100, 0)
    assert await scalar(work, "SELECT count(*) FROM members WHERE left_at IS NULL") == 1
    assert await told(work, "CustomerErased") == 1
    await prove(work)


async def test_one_person_is_forgotten_and_the_others_are_not(work: Work) -> None:
    await put(work, canary_customer())
    await say(work, said(person_id="p-1"), said(person_id="p-2"))
    await enrol(work, EnrolCustomer(Holder(C1, GENERAL, PersonId("p-1")), day(1)))
    first = await erase(work, person_id="p-1")
    assert await tables_with(work, *CANARIES[1:5]) == set()
    async with work.reading() as connection:
        assert [each.person_id for each in (await get_customer(connection, C1)).persons] == ["p-2"]
    assert await agreed(work, *(Subject(C1, PersonId(each), SMS) for each in ("p-1", "p-2"))) == [None, "v1"]
    assert await erase(work, person_id="p-1", on=30) == first
    assert await told(work, "CustomerErased") == 1
    assert await scalar(work, "SELECT person_id FROM members") == "p-1"
    await prove(work)


async def test_an_erasure_again_answers_as_the_first(work: Work) -> None:
    await put(work, canary_customer())
    first = await erase(work, on=20)
    assert await erase(work, on=21) == first
    assert (await told(work, "CustomerErased"), await scalar(work, "SELECT count(*) FROM erasures")) == (1, 1)
    with pytest.raises(CustomerNotFound):
        await erase(work, "nobody")
    with pytest.raises(CustomerErased):
        await erase(work, person_id="p-1")


async def test_an_erasure_is_told_of_all_who_were_merged_into_the_customer(work: Work) -> None:
    await put(work, *(UpsertCustomer(customer(f"c-{number}")) for number in range(1, 5)))
    await merge(work, merging("c-2", "c-3", on=1, p_1="p-3"))
    await merge(work, merging("c-1", "c-2", on=2, p_1="p-2", p_3="p-3"))
    await erase(work, person_id="p-2")
    await erase(work)
    await erase(work)
    payloads = await rows(work, "SELECT payload FROM outbox WHERE event_type LIKE '%.CustomerErased' ORDER BY id")
    erased = [customer_events_pb2.CustomerErased.FromString(bytes(payload)) for (payload,) in payloads]
    assert [(each.customer_id, each.person_id) for each in erased] == [
        ("c-1", "p-2"),
        ("c-1", ""),
        ("c-2", ""),
        ("c-3", ""),
    ]


async def test_an_export_tells_every_room(work: Work) -> None:
    await two(work)
    await say(work, said(person_id="p-1"), said())
    await assign(work, "anna")
    await merge(work, merging(**P3))
    async with work.reading() as connection:
        whole = await export_customer(connection, C1, PersonId(""))
        child = await export_customer(connection, C1, PersonId("p-1"))
        with pytest.raises(PersonNotFound):
            await export_customer(connection, C1, PersonId("p-9"))
    document: Any = json.loads(json.dumps(whole))
    assert document["customer"]["persons"][0]["birthday"] == "1987-06-05"
    assert {"consents", "members", "tier_history", "manager_history", "customer_merges"} <= set(document)
    assert len(document["members"]) == 2
    assert sum(each["points"] for each in document["points"]) == 350
    assert [each["purpose"] for each in child["consents"]] == [SMS]  # type: ignore[attr-defined]
    assert "manager_history" not in child


def test_every_table_that_names_a_customer_or_a_membership_is_exported() -> None:
    """A new table with a key of either belongs to what is known of a customer."""
    named = export_store.named_tables()
    about = {
        table.name
        for table in METADATA.sorted_tables
        for key in table.foreign_keys
        if key.column.table.name in {"customers", "members"}
    }
    assert about - named <= {"customers", "customer_merges"}
    assert named >= {"members", "consents", "care_told", "tier_history", "unrewarded_payments"}


async def test_a_put_of_the_one_merged_away_is_refused_beside_its_neighbours(work: Work) -> None:
    await two(work)
    await merge(work, merging(**P3))
    commands = [UpsertCustomer(full_customer("c-2")), UpsertCustomer(full_customer("c-3"))]

    async def act(transaction: Transaction) -> list[Any]:
        return list(await upsert_customers(transaction, commands))

    refused, done = await work.run(act)
    assert isinstance(refused, CustomerMerged)
    assert done.created


async def test_each_merge_of_a_batch_sees_the_managers_of_those_before_it(work: Work) -> None:
    await enrolled(work, "c-1", "c-2", "c-3", "c-4", "c-5")
    for name in ("c-2", "c-3", "c-5"):
        await assign(work, f"of-{name}", customer_id=name)
    await merge(work, *(merging("c-1", each, p_1="p-1") for each in ("c-2", "c-3")))
    await merge(work, merging("c-4", "c-5", p_1="p-1"), merging("c-1", "c-4", p_1="p-1", on=11))
    assert await scalar(work, "SELECT manager_id FROM customers WHERE customer_id = 'c-1'") == "of-c-2"
    await put(work, UpsertCustomer(customer("c-6")), UpsertCustomer(customer("c-7")), UpsertCustomer(customer("c-8")))
    await assign(work, "anna", customer_id="c-6")
    await merge(work, merging("c-7", "c-6", p_1="p-1"), merging("c-8", "c-7", p_1="p-1"))
    assert await scalar(work, "SELECT manager_id FROM customers WHERE customer_id = 'c-8'") == "anna"


async def test_who_enrols_while_customers_merge_is_a_member_of_the_one_that_stays(work: Work) -> None:
    await put(work, UpsertCustomer(customer("c-1")), UpsertCustomer(customer("c-2")))
    enrolling, merging_begun = asyncio.Event(), asyncio.Event()

    async def enrol_slowly(transaction: Transaction) -> None:
        await enrol_customers(transaction, [EnrolCustomer(Holder(C2, GENERAL), day(1))])
        enrolling.set()
        await merging_begun.wait()

    async def merge_meanwhile() -> None:
        await enrolling.wait()
        begun = asyncio.create_task(merge(work, merging(p_1="p-1")))
        await asyncio.wait([begun], timeout=1)
        merging_begun.set()
        await begun

    await asyncio.gather(work.run(enrol_slowly), merge_meanwhile())
    assert await rows(work, "SELECT customer_id FROM members") == [("c-1",)]


async def test_a_tier_goes_on_through_a_chain_and_to_who_took_its_own_later(work: Work) -> None:
    await enrolled(work, "c-2", "c-3")
    await awarded(work, award(1_000, at=day(1), customer_id="c-3"))
    await evaluate(work, 5)
    await enrolled(work, "c-1", at=day(12))
    await merge(work, merging("c-2", "c-3", p_1="p-1"), merging("c-1", "c-2", p_1="p-1", on=11))
    held = await rows(work, "SELECT customer_id, tier_id, tier_since FROM members WHERE left_at IS NULL")
    assert held == [("c-1", "gold", day(12))]
    await prove(work)


@pytest.mark.parametrize("forgotten", [False, True])
async def test_what_is_kept_of_somebody_who_is_gone_is_not_given_to_a_namesake(work: Work, forgotten: bool) -> None:
    await put(work, UpsertCustomer(full_customer("c-1")), UpsertCustomer(full_customer("c-2")))
    theirs = Holder(C2, GENERAL, PersonId("p-2"))
    await enrol(work, EnrolCustomer(theirs, day(0)), EnrolCustomer(theirs._replace(customer_id=C1), day(0)))
    await awarded(work, replace(award(250, at=day(1)), holder=theirs))
    await say(work, said(on=1, person_id="p-2"), said(given=forgotten, on=2, person_id="p-2", customer_id="c-2"))
    if forgotten:
        await erase(work, "c-2", "p-2", on=3)
    else:
        await put(work, UpsertCustomer(full_customer("c-2", persons=(person(),))))
    (refused,) = await merge(work, merging(p_1="p-3"))
    assert isinstance(refused, PersonIdsClash)
    assert refused.metadata["person_ids"] == "p-2"
    (done,) = await merge(work, merging(p_1="p-3", p_2="p-4"))
    assert isinstance(done, Merged)
    held = await rows(
        work, "SELECT person_id, balance FROM members JOIN ledger_accounts ON id = 'points:' || member_id ORDER BY 1"
    )
    assert held == [("p-2", 0), ("p-4", 250)]
    assert await agreed(work, *(Subject(C1, PersonId(each), SMS) for each in ("p-2", "p-4"))) == ["v1", None]
    erased = await scalar(work, "SELECT erased_persons FROM customers WHERE customer_id = 'c-1'")
    assert erased == (["p-4"] if forgotten else [])


async def test_an_export_knows_a_person_by_every_name_of_a_chain(work: Work) -> None:
    await put(work, *(UpsertCustomer(full_customer(f"c-{number}")) for number in (1, 2, 3)))
    await say(work, said(person_id="p-1", customer_id="c-3"), said(person_id="p-1", customer_id="c-2"))
    await merge(work, merging("c-2", "c-3", p_1="p-5", p_2="p-6"))
    await merge(work, merging("c-1", "c-2", p_1="p-11", p_2="p-12", p_5="p-15", p_6="p-16"))
    async with work.reading() as connection:
        document: Any = await export_customer(connection, C1, PersonId("p-15"))
        whole: Any = await export_customer(connection, C1, PersonId(""))
    named = {(each["customer_id"], each["person_id"]) for each in document["consents"]}
    assert named == {("c-1", "p-15"), ("c-2", "p-5"), ("c-3", "p-1")}
    assert {each["customer_id"] for each in whole["consents"]} == {"c-1", "c-2", "c-3"}
