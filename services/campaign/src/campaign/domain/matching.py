"""Live matching: an event and its customer's tags in, the campaigns it concerns out.

Programs are compiled once, kept by event type, and share one context for each event. The context holds only what the
programs of that event type read, because turning values into the engine's form costs more than a program.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType

import cel

from campaign.domain.catalogue import EventTypeId, Scalar, TagId
from campaign.domain.rules import Rule, compile_rule, holds, rule_context

CampaignId = NewType("CampaignId", str)


@dataclass(slots=True)
class _Group:
    """The live programs of one event type, and how many of them read each tag."""

    programs: dict[CampaignId, cel.Program] = field(default_factory=dict)
    readers: Counter[str] = field(default_factory=Counter)


class Matcher:
    """The live rules of one process; changed and asked from one thread."""

    def __init__(self) -> None:
        self._groups: dict[EventTypeId, _Group] = {}
        self._placed: dict[CampaignId, tuple[EventTypeId, Rule]] = {}

    def __len__(self) -> int:
        return len(self._placed)

    def put(self, campaign_id: CampaignId, event_type: EventTypeId, rule: Rule) -> None:
        """Let a campaign's rule take part, in place of the one it had; a rule that does not compile changes nothing."""
        program = compile_rule(rule.text)
        self.remove(campaign_id)
        group = self._groups.setdefault(event_type, _Group())
        group.programs[campaign_id] = program
        group.readers.update(rule.tags)
        self._placed[campaign_id] = (event_type, rule)

    def remove(self, campaign_id: CampaignId) -> None:
        """Take a campaign out; one that is not in is no error."""
        placed = self._placed.pop(campaign_id, None)
        if placed is None:
            return
        event_type, rule = placed
        group = self._groups[event_type]
        del group.programs[campaign_id]
        group.readers -= Counter(rule.tags)
        if not group.programs:
            del self._groups[event_type]

    def listens_to(self, event_type: EventTypeId) -> bool:
        """Whether any campaign waits for this event type, so that nothing is loaded in vain."""
        return event_type in self._groups

    def reads(self, event_type: EventTypeId) -> frozenset[TagId]:
        """The tags that the campaigns waiting for this event type read: what has to be loaded before matching."""
        group = self._groups.get(event_type)
        return frozenset(TagId(tag) for tag in group.readers) if group is not None else frozenset()

    def match(
        self, event_type: EventTypeId, attributes: Mapping[str, Scalar], tags: Mapping[str, Scalar]
    ) -> list[CampaignId]:
        """The campaigns whose rule holds, in the order they were put."""
        group = self._groups.get(event_type)
        if group is None:
            return []
        read = {tag: tags[tag] for tag in group.readers if tag in tags}
        context = rule_context(read, attributes)
        return [campaign_id for campaign_id, program in group.programs.items() if holds(program, context)]
