"""Live matching: customer events a second against 1,000 live campaigns, in one process on one core.

The workload is drawn with a fixed seed: 60 tags (25 categorical, 10 whole numbers, 10 floating, 12 truth values, 3 free
strings), 5 attributes, 112 event types; events and campaigns follow Zipf's law over the types, so that an event meets
far more rules than an even spread would give. A rule is an AND of two to five atoms (35 % equality, 20 % membership,
30 % ranges, 15 % truth values), a tenth with an OR of two, a twentieth with a NOT.

The baseline is plain CEL for each rule: every compiled program, with the event type as one more condition, is asked at
every event. It shares one context over the programs of an event, as live matching does, so what is compared is the
grouping by event type and the context narrowed to what is read. It runs on the first events only, and both must find
the same campaigns.
"""

import random
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cel
from campaign.domain.catalogue import EventTypeId, Scalar, TagId
from campaign.domain.matching import CampaignId, Matcher
from campaign.domain.rules import Rule

CAMPAIGNS = 1_000
CUSTOMERS = 5_000
EVENTS = 20_000
BASELINE_EVENTS = 2_000
EVENT_TYPES = [f"type_{number}" for number in range(112)]


@dataclass(frozen=True)
class Field:
    """A tag or attribute: its name in a rule and how its values are drawn."""

    name: str
    kind: str
    cardinality: int

    def value(self, rng: random.Random) -> Scalar:
        match self.kind:
            case "category":
                return f"v{rng.randrange(self.cardinality)}"
            case "int":
                return rng.randrange(1_000)
            case "double":
                return rng.random() * 100
            case "bool":
                return rng.random() < 0.5
        return f"text {rng.randrange(10_000)}"


@dataclass(frozen=True)
class Event:
    """One event with the tags of its customer."""

    event_type: str
    attributes: dict[str, Scalar]
    tags: dict[str, Scalar]


@dataclass
class Workload:
    """Everything that both ways are given."""

    rules: list[tuple[str, str, frozenset[TagId]]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def _fields(rng: random.Random) -> tuple[list[Field], list[Field]]:
    tags = [Field(f"c{number:02}", "category", rng.randint(3, 50)) for number in range(25)]
    tags += [Field(f"i{number:02}", "int", 0) for number in range(10)]
    tags += [Field(f"f{number:02}", "double", 0) for number in range(10)]
    tags += [Field(f"b{number:02}", "bool", 0) for number in range(12)]
    tags += [Field(f"s{number:02}", "string", 0) for number in range(3)]
    attributes = [Field("channel", "category", 8), Field("product", "category", 40)]
    attributes += [Field("amount", "int", 0), Field("share", "double", 0), Field("first", "bool", 0)]
    return tags, attributes


def _atom(rng: random.Random, tags: Sequence[Field], attributes: Sequence[Field]) -> tuple[str, TagId | None]:
    """One condition; an attribute of the event is four times as likely as any one tag."""
    kinds = rng.choices([("category", "=="), ("category", "in"), ("number", ""), ("bool", "")], [35, 20, 30, 15])[0]
    wanted = {"int", "double"} if kinds[0] == "number" else {kinds[0]}
    choice = [(f"tags.{tag.name}", tag) for tag in tags if tag.kind in wanted]
    choice += [(f"event.{each.name}", each) for each in attributes if each.kind in wanted] * 4
    name, drawn = rng.choice(choice)
    read = TagId(drawn.name) if name.startswith("tags.") else None
    match drawn.kind:
        case "category" if kinds[1] == "==":
            return f'{name} == "{drawn.value(rng)}"', read
        case "category":
            listed = ", ".join(f'"{drawn.value(rng)}"' for _ in range(rng.randint(2, 5)))
            return f"{name} in [{listed}]", read
        case "bool":
            return rng.choice([name, f"!{name}"]), read
    low = drawn.value(rng)
    if rng.random() < 0.3:
        return f"{name} >= {low} && {name} < {float(low) * 1.4:.2f}", read
    return f"{name} {rng.choice(['<', '<=', '>', '>='])} {low}", read


def _rule(rng: random.Random, tags: Sequence[Field], attributes: Sequence[Field]) -> tuple[str, frozenset[TagId]]:
    atoms = [_atom(rng, tags, attributes) for _ in range(rng.randint(2, 5))]
    text = " && ".join(atom for atom, _ in atoms)
    if rng.random() < 0.05:
        text += f" && !({atoms[0][0]} && {atoms[-1][0]})"
    if rng.random() < 0.10:
        other = [_atom(rng, tags, attributes) for _ in range(2)]
        atoms += other
        text = f"({text}) || ({' && '.join(atom for atom, _ in other)})"
    return text, frozenset(read for _, read in atoms if read is not None)


def draw(seed: int = 17) -> Workload:
    """The workload of a seed."""
    rng = random.Random(seed)
    tags, attributes = _fields(rng)
    weights = [1 / rank for rank in range(1, len(EVENT_TYPES) + 1)]
    work = Workload()
    for event_type in rng.choices(EVENT_TYPES, weights, k=CAMPAIGNS):
        text, reads = _rule(rng, tags, attributes)
        work.rules.append((event_type, text, reads))
    customers = [{tag.name: tag.value(rng) for tag in tags} for _ in range(CUSTOMERS)]
    for event_type in rng.choices(EVENT_TYPES, weights, k=EVENTS):
        values = {attribute.name: attribute.value(rng) for attribute in attributes}
        work.events.append(Event(event_type, values, rng.choice(customers)))
    return work


def _live(work: Workload) -> Matcher:
    matcher = Matcher()
    for number, (event_type, text, reads) in enumerate(work.rules):
        matcher.put(CampaignId(str(number)), EventTypeId(event_type), Rule(text, reads, frozenset()))
    return matcher


def _matched(matcher: Matcher, events: Sequence[Event]) -> list[list[str]]:
    return [list(matcher.match(EventTypeId(event.event_type), event.attributes, event.tags)) for event in events]


def _matched_plainly(programs: Sequence[cel.Program], events: Sequence[Event]) -> list[list[str]]:
    found: list[list[str]] = []
    for event in events:
        context = cel.Context({"event_type": event.event_type, "event": event.attributes, "tags": event.tags})
        found.append([str(number) for number, program in enumerate(programs) if program.execute(context) is True])
    return found


def run() -> list[dict[str, Any]]:
    """Measure both ways on the same events."""
    work = draw()
    matcher = _live(work)
    _matched(matcher, work.events[:500])
    started = time.perf_counter()
    found = _matched(matcher, work.events)
    rate = len(work.events) / (time.perf_counter() - started)
    programs = [cel.compile(f'event_type == "{event_type}" && ({text})') for event_type, text, _ in work.rules]
    started = time.perf_counter()
    plain = _matched_plainly(programs, work.events[:BASELINE_EVENTS])
    plain_rate = BASELINE_EVENTS / (time.perf_counter() - started)
    if plain != found[:BASELINE_EVENTS]:
        raise AssertionError("live matching and plain evaluation found different campaigns")
    return [
        {
            "name": "campaign.match.1000",
            "value": round(rate, 1),
            "unit": "events/s",
            "baseline": "plain CEL: every rule at every event, one context per event, no grouping by type",
            "baseline_value": round(plain_rate, 1),
            "ratio": round(rate / plain_rate, 2),
            "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        }
    ]
