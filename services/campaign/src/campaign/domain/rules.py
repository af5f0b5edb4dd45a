"""A campaign's rule: CEL over `tags.<tag>` and `event.<attribute>`, understood at save, evaluated by a CEL engine.

Reading a tag or attribute that is missing is an error in CEL, and an error is no match: a rule says what must be known
to hold. `&&` and `||` absorb an error where the other side decides alone; `has()` asks without reading.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cel
from chassis.errors import InvalidArgument

from campaign.domain.catalogue import AttributeId, AttributeType, Catalogue, EventType, Scalar, TagId
from campaign.domain.rule_syntax import parse
from campaign.domain.rule_types import TypeCheck

_EXAMPLES: tuple[dict[AttributeType, Scalar], ...] = (
    {AttributeType.STRING: "1", AttributeType.INT: 1, AttributeType.DOUBLE: 1.5, AttributeType.BOOL: True},
    {AttributeType.STRING: "2", AttributeType.INT: 7, AttributeType.DOUBLE: 0.25, AttributeType.BOOL: False},
)
_UNDECIDED = (ArithmeticError, KeyError, RuntimeError)
"""What evaluation may meet in a well-typed rule: division by zero, overflow, a missing value, `int("x")`."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that was accepted for an event type, and what it reads."""

    text: str
    tags: frozenset[TagId]
    attributes: frozenset[AttributeId]


def check_rule(text: str, event_type: EventType, catalogue: Catalogue) -> Rule:
    """Refuse, naming `rule` and the place, what is not a boolean rule over known tags and this type's attributes."""
    tree = parse(text)
    check = TypeCheck(text, event_type, catalogue)
    check.boolean(tree)
    rule = Rule(text, frozenset(check.tags), frozenset(check.attributes))
    _try_out(rule, event_type, catalogue)
    return rule


def compile_rule(text: str) -> cel.Program:
    """The engine's program; refuse what the engine does not read, in its own words."""
    try:
        return cel.compile(text)
    except ValueError as error:
        raise InvalidArgument("rule", str(error).rpartition("ERROR: <input>:")[2] or str(error)) from error


def holds(program: cel.Program, context: cel.Context) -> bool:
    """Whether a program holds; what cannot be decided does not hold."""
    try:
        return program.execute(context) is True
    except (*_UNDECIDED, TypeError, ValueError):
        return False


def rule_context(tags: Mapping[str, Scalar], attributes: Mapping[str, Scalar]) -> cel.Context:
    """The values that programs read."""
    return cel.Context({"tags": dict(tags), "event": dict(attributes)})


def _try_out(rule: Rule, event_type: EventType, catalogue: Catalogue) -> None:
    """The engine must agree with the type check: on example values it gives a boolean or cannot decide."""
    program = compile_rule(rule.text)
    for example in _EXAMPLES:
        tags: dict[str, Scalar] = {tag: example[catalogue.tags[tag].type] for tag in rule.tags}
        attributes: dict[str, Scalar] = {name: example[event_type.attributes[name].type] for name in rule.attributes}
        try:
            value = program.execute(rule_context(tags, attributes))
        except _UNDECIDED:
            continue
        except (TypeError, ValueError) as error:
            raise InvalidArgument("rule", f"cannot be evaluated: {str(error).splitlines()[0]}") from error
        if not isinstance(value, bool):
            raise InvalidArgument("rule", "must give true or false")
