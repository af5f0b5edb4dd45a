"""The ready-made catalogue: its numbers, its identifiers, its types."""

from collections import Counter

import pytest
from campaign.catalogue import ready_made
from campaign.domain.catalogue import (
    AttributeId,
    AttributeType,
    Origin,
    TagId,
    check_attributes,
    check_identifier,
    check_tag_value,
    value_problem,
)
from chassis.errors import InvalidArgument

EVENTS_PER_GROUP = {
    "usage": 16,
    "balance": 16,
    "billing": 10,
    "product": 14,
    "membership": 12,
    "service": 12,
    "account_state": 10,
    "interaction": 10,
    "location": 6,
    "device": 6,
}
LETTERS = {"U": 16, "B": 16, "C": 10, "P": 14, "M": 12, "S": 12, "A": 10, "I": 10, "L": 6, "T": 6}


def test_all_112_listed_event_types_are_there_with_their_codes() -> None:
    listed = [each for each in ready_made().event_types.values() if each.origin is Origin.READY_MADE]
    assert len(listed) == 112
    assert Counter(each.group for each in listed) == EVENTS_PER_GROUP
    assert {each.code for each in listed} == {
        f"{letter}{number:02}" for letter, count in LETTERS.items() for number in range(1, count + 1)
    }


def test_the_platforms_own_event_types_are_marked() -> None:
    own = {each.id for each in ready_made().event_types.values() if each.origin is Origin.PLATFORM}
    assert own == {"purchase_made", "touchpoint_visited"}


def test_there_are_at_least_60_tags_over_8_categories() -> None:
    tags = ready_made().tags.values()
    assert len(tags) >= 60
    assert len({tag.category for tag in tags}) == 8
    assert all(count >= 5 for count in Counter(tag.category for tag in tags).values())


def test_what_the_platform_fills_is_there() -> None:
    filled = {
        "tier": AttributeType.STRING,
        "is_member": AttributeType.BOOL,
        "points_balance": AttributeType.INT,
        "balance_minor": AttributeType.INT,
        "below_threshold": AttributeType.BOOL,
        "value_band": AttributeType.STRING,
        "p_alive": AttributeType.DOUBLE,
        "lapsed": AttributeType.BOOL,
        "expected_purchases": AttributeType.DOUBLE,
        "lifetime_value_minor": AttributeType.INT,
        "rfm_recency": AttributeType.INT,
        "rfm_frequency": AttributeType.INT,
        "rfm_monetary": AttributeType.INT,
        "days_since_last_purchase": AttributeType.INT,
        "tenure_days": AttributeType.INT,
    }
    assert {tag: ready_made().tags[TagId(tag)].type for tag in filled} == filled


def test_every_name_can_be_written_in_a_rule_and_read_in_both_languages() -> None:
    catalogue = ready_made()
    for event_type in catalogue.event_types.values():
        check_identifier("id", event_type.id)
        assert event_type.names.en
        assert event_type.names.zh
        for attribute in event_type.attributes.values():
            check_identifier("id", attribute.id)
    for tag in catalogue.tags.values():
        check_identifier("id", tag.id)
        assert tag.names.en
        assert tag.names.zh


def test_money_is_an_integer_of_minor_units() -> None:
    catalogue = ready_made()
    attributes = [a for e in catalogue.event_types.values() for a in e.attributes.values()]
    money = [a.type for a in attributes if a.id.endswith("_minor")]
    money += [tag.type for tag in catalogue.tags.values() if tag.id.endswith("_minor")]
    assert len(money) > 10
    assert set(money) == {AttributeType.INT}


def test_only_strings_have_closed_sets() -> None:
    assert all(not tag.values or tag.type is AttributeType.STRING for tag in ready_made().tags.values())


@pytest.mark.parametrize(
    ("attribute_type", "value", "fits"),
    [
        (AttributeType.INT, 7, True),
        (AttributeType.INT, True, False),
        (AttributeType.INT, 2**63, False),
        (AttributeType.INT, 7.0, False),
        (AttributeType.DOUBLE, 7.0, True),
        (AttributeType.DOUBLE, 7, False),
        (AttributeType.DOUBLE, float("nan"), False),
        (AttributeType.DOUBLE, float("inf"), False),
        (AttributeType.BOOL, False, True),
        (AttributeType.BOOL, 0, False),
        (AttributeType.STRING, "", True),
        (AttributeType.STRING, "x" * 1001, False),
        (AttributeType.STRING, "a\x00b", False),
        (AttributeType.STRING, None, False),
    ],
)
def test_a_value_is_of_its_type_or_refused(attribute_type: AttributeType, value: object, fits: bool) -> None:
    assert (value_problem(attribute_type, frozenset(), value) is None) is fits


def test_every_wrong_attribute_is_named() -> None:
    event_type = ready_made().event_type("top_up_succeeded")
    with pytest.raises(InvalidArgument) as refused:
        check_attributes(event_type, {"payment_channel": 3, "colour": "red"})
    assert {each.field for each in refused.value.violations} == {
        "attributes.payment_channel",
        "attributes.colour",
        "attributes.amount_minor",
    }


def test_a_closed_tag_takes_its_values_only() -> None:
    tag = ready_made().tag("payment_mode")
    check_tag_value(tag, "prepaid")
    with pytest.raises(InvalidArgument, match="one of postpaid, prepaid"):
        check_tag_value(tag, "barter")


@pytest.mark.parametrize("name", ["", "Tier", "1st", "a-b", "in", "true", "has", "x" * 64])
def test_a_name_that_no_rule_could_write_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument):
        check_identifier("tag.tag_id", name)


def test_attributes_of_one_name_have_one_type() -> None:
    kinds: dict[AttributeId, set[AttributeType]] = {}
    for event_type in ready_made().event_types.values():
        for attribute in event_type.attributes.values():
            kinds.setdefault(attribute.id, set()).add(attribute.type)
    assert all(len(found) == 1 for found in kinds.values())
