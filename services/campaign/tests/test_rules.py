"""The rule language: what is accepted, what is refused and where, and that matching means what the text says."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from campaign.catalogue import ready_made
from campaign.domain.catalogue import EventTypeId, Scalar
from campaign.domain.matching import CampaignId, Matcher
from campaign.domain.rule_syntax import MAX_RULE_LENGTH, parse
from campaign.domain.rules import Rule, check_rule
from chassis.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

TOP_UP = EventTypeId("top_up_succeeded")
ONE = CampaignId("one")


def accepted(text: str, event_type: str = TOP_UP) -> Rule:
    catalogue = ready_made()
    return check_rule(text, catalogue.event_type(event_type), catalogue)


def matches(text: str, tags: dict[str, Scalar], attributes: dict[str, Scalar] | None = None) -> bool:
    matcher = Matcher()
    matcher.put(ONE, TOP_UP, accepted(text))
    return matcher.match(TOP_UP, attributes or {}, tags) == [ONE]


@pytest.mark.parametrize(
    "text",
    [
        "true",
        "event.amount_minor >= 10000 && tags.tier in ['gold', \"silver\"]",
        "!(tags.lapsed) || tags.p_alive < 0.2 // a comment",
        "has(tags.tier) ? tags.tier == 'gold' : event.amount_minor > 5",
        "tags.arpu_minor - event.amount_minor * 2 > -300",
        "double(tags.arpu_minor) / 100.0 > tags.p_alive",
        "tags.favourite_app.startsWith('tv') && tags.home_district.matches('^(北|南)区$')",
        "tags.arpu_minor > 0.5 && event.amount_minor % 2 == 0",
        "tags.is_member == true",
    ],
)
def test_rules_of_the_language_are_accepted(text: str) -> None:
    assert accepted(text).text == text


def test_a_rule_says_what_it_reads() -> None:
    rule = accepted("has(tags.tier) && tags.p_alive < 0.5 || event.amount_minor > 3")
    assert rule.tags == {"tier", "p_alive"}
    assert rule.attributes == {"amount_minor"}


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "", "must not be empty"),
        ("tags.tier ==", "line 1, column 13", "expected a value, found the end of the rule"),
        ("true\n && (tags.lapsed", "line 2, column 17", "expected ')'"),
        ("tags.lapsed = true", "line 1, column 13", "cannot read"),
        ("tags.tier == 'gold", "line 1, column 14", "unclosed string"),
        ("tags.colour == 'red'", "line 1, column 1", "unknown tag 'colour'"),
        ("event.colour == 'red'", "line 1, column 1", "top_up_succeeded has no attribute 'colour'"),
        ("customer.age > 3", "line 1, column 1", "'customer' is unknown"),
        ("tags.tier", "line 1, column 1", "must be boolean, but is a STRING"),
        ("event.amount_minor + 1", "line 1, column 20", "must be boolean, but is an INT"),
        ("tags.tier == 3", "line 1, column 11", "cannot compare a STRING with an INT"),
        ("tags.lapsed && tags.tier", "line 1, column 16", "takes booleans, but this is a STRING"),
        ("false && tags.tier > 1", "line 1, column 20", "cannot compare"),
        ("tags.payment_mode == 'barter'", "line 1, column 22", "is never 'barter'"),
        ("tags.payment_mode in ['prepaid', 'barter']", "line 1, column 34", "is never 'barter'"),
        ("tags.arpu_minor in ['a']", "line 1, column 21", "an INT is looked for"),
        ("tags.arpu_minor + tags.p_alive > 1.0", "line 1, column 17", "does not mix"),
        ("tags.tier.matches('(')", "line 1, column 19", "no regular expression"),
        ("tags.tier.matches('(?=a)')", "line 1, column 19", "no regular expression"),
        ("[1, 2].all(x, x > 0)", "line 1, column 12", "'x' is unknown"),
        ("tags['tier'] == 'gold'", "line 1, column 5", "expected '.'"),
        ("event.amount_minor == 1u", "line 1, column 24", "unsigned"),
        ("event.amount_minor == 9223372036854775808", "line 1, column 23", "64 bits"),
        ("tags.tier == null", "line 1, column 14", "has(tags.name)"),
        ("size(tags.tier) > 1", "line 1, column 1", "no function size()"),
        ("b'x' == tags.tier", "line 1, column 1", "bytes"),
        ("(" * 30 + "true" + ")" * 30, "line 1, column 26", "nested more than 24 deep"),
        ("+".join(["1"] * 40) + " == 40", "line 1", "more than 24 operators"),
        ("true && " * 600 + "true", "", f"at most {MAX_RULE_LENGTH} characters"),
        ("true true", "line 1, column 6", "expected an operator"),
        ("tags.lapsed < true", "line 1, column 13", "does not order booleans"),
    ],
)
def test_a_bad_rule_is_refused_with_its_place(text: str, where: str, what: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        accepted(text)
    violation = refused.value.violations[0]
    assert violation.field == "rule"
    assert where in violation.description
    assert what in violation.description


def test_every_unknown_name_is_told_at_once() -> None:
    with pytest.raises(InvalidArgument) as refused:
        accepted("tags.a == 'x' || tags.b == 'y' || event.c > 1")
    assert len(refused.value.violations) == 3


@pytest.mark.parametrize(
    ("text", "tags", "holds"),
    [
        ("tags.tier == 'gold'", {}, False),
        ("tags.tier != 'gold'", {}, False),
        ("!(tags.tier == 'gold')", {}, False),
        ("tags.tier == 'gold' || tags.lapsed", {"lapsed": True}, True),
        ("tags.lapsed || tags.tier == 'gold'", {"lapsed": True}, True),
        ("tags.tier == 'gold' || tags.lapsed", {"lapsed": False}, False),
        ("!(tags.tier == 'gold' && tags.lapsed)", {"lapsed": False}, True),
        ("has(tags.tier)", {}, False),
        ("!has(tags.tier)", {}, True),
        ("has(tags.tier) && tags.tier == 'gold'", {"tier": "gold"}, True),
        ("tags.arpu_minor / tags.silence_days > 1", {"arpu_minor": 3, "silence_days": 0}, False),
        ("int(tags.tier) > 1", {"tier": "gold"}, False),
        ("int(tags.tier) > 1", {"tier": "12"}, True),
        ("tags.arpu_minor + 1 > 0", {"arpu_minor": 2**63 - 1}, False),
    ],
)
def test_what_cannot_be_decided_does_not_match(text: str, tags: dict[str, Scalar], holds: bool) -> None:
    assert matches(text, tags) is holds


@given(st.text(alphabet="tagsevn.&|!()[]?:'\"<>=+-*/%,0123456789 ulroi\n北", max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    refusal: InvalidArgument | None = None
    try:
        parse(text)
    except InvalidArgument as caught:
        refusal = caught
    assert refusal is None or refusal.violations[0].field == "rule"


@dataclass(frozen=True)
class Drawn:
    """A rule with its meaning told a second time: True, False, or None where a missing tag leaves it open."""

    text: str
    meaning: Callable[[dict[str, Scalar]], bool | None]


def _atom(tag: str, operator: str, value: str | float) -> Drawn:
    def meaning(tags: dict[str, Scalar]) -> bool | None:
        found = tags.get(tag)
        if found is None:
            return None
        match operator:
            case "==":
                return found == value
            case "!=":
                return found != value
        assert isinstance(found, int | float)
        assert isinstance(value, int | float)
        return found < value if operator == "<" else found >= value

    written = f"'{value}'" if isinstance(value, str) else repr(value)
    return Drawn(f"tags.{tag} {operator} {written}", meaning)


def _both(left: Drawn, right: Drawn) -> Drawn:
    def meaning(tags: dict[str, Scalar]) -> bool | None:
        found = {left.meaning(tags), right.meaning(tags)}
        return False if False in found else None if None in found else True

    return Drawn(f"({left.text} && {right.text})", meaning)


def _either(left: Drawn, right: Drawn) -> Drawn:
    def meaning(tags: dict[str, Scalar]) -> bool | None:
        found = {left.meaning(tags), right.meaning(tags)}
        return True if True in found else None if None in found else False

    return Drawn(f"({left.text} || {right.text})", meaning)


def _not(inner: Drawn) -> Drawn:
    def meaning(tags: dict[str, Scalar]) -> bool | None:
        found = inner.meaning(tags)
        return None if found is None else not found

    return Drawn(f"!({inner.text})", meaning)


ATOMS = st.one_of(
    st.builds(_atom, st.sampled_from(["tier", "main_plan"]), st.sampled_from(["==", "!="]), st.sampled_from("abc")),
    st.builds(_atom, st.just("arpu_minor"), st.sampled_from(["==", "!=", "<", ">="]), st.integers(-3, 3)),
    st.builds(_atom, st.just("p_alive"), st.sampled_from(["<", ">="]), st.sampled_from([0.0, 0.25, 0.5])),
)
RULES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(st.builds(_both, inner, inner), st.builds(_either, inner, inner), st.builds(_not, inner)),
    max_leaves=8,
)
TAGS = st.fixed_dictionaries(
    {},
    optional={
        "tier": st.sampled_from("abc"),
        "main_plan": st.sampled_from("abc"),
        "arpu_minor": st.integers(-4, 4),
        "p_alive": st.sampled_from([0.0, 0.1, 0.25, 0.4, 0.5, 0.9]),
    },
)


@given(st.lists(RULES, min_size=1, max_size=5), st.lists(TAGS, min_size=1, max_size=5))
def test_matching_means_what_the_rules_say(rules: list[Drawn], customers: list[dict[str, Scalar]]) -> None:
    matcher = Matcher()
    for number, rule in enumerate(rules):
        matcher.put(CampaignId(str(number)), TOP_UP, accepted(rule.text))
    for tags in customers:
        expected = [CampaignId(str(number)) for number, rule in enumerate(rules) if rule.meaning(tags) is True]
        assert matcher.match(TOP_UP, {}, tags) == expected


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([None, *("xyz")])), max_size=20))
def test_the_matcher_holds_what_was_put_last(changes: list[tuple[str, str | None]]) -> None:
    types = {"x": TOP_UP, "y": EventTypeId("bill_issued"), "z": EventTypeId("enrolled")}
    matcher, placed = Matcher(), dict[str, str]()
    for campaign, change in changes:
        matcher.remove(CampaignId(campaign))
        placed.pop(campaign, None)
        if change is not None:
            matcher.put(CampaignId(campaign), types[change], accepted("has(tags.tier)", types[change]))
            placed[campaign] = change
    assert len(matcher) == len(placed)
    for name, event_type in types.items():
        expected = {campaign for campaign, change in placed.items() if change == name}
        assert set(matcher.match(event_type, {}, {"tier": "gold"})) == expected
        assert matcher.listens_to(event_type) is bool(expected)


def test_a_rule_that_does_not_compile_leaves_the_old_one() -> None:
    matcher = Matcher()
    matcher.put(ONE, TOP_UP, accepted("true"))
    with pytest.raises(InvalidArgument, match="rule"):
        matcher.put(ONE, TOP_UP, Rule("1 +", frozenset(), frozenset()))
    assert matcher.match(TOP_UP, {}, {}) == [ONE]
