"""Protobuf and this domain: the only modules that know both."""

from collections.abc import Callable, Mapping
from typing import Any

from chassis.outbox import Routed
from chassis.times import to_proto
from google.protobuf.message import Message
from touchstone.campaign.v1 import campaign_events_pb2 as proto

from campaign.domain.campaigns import CampaignChanged
from campaign.domain.decisions import DecisionMade
from campaign.domain.intake import EventsTaken
from campaign.wire.campaigns import campaign_to_proto
from campaign.wire.decisions import decision_to_proto
from campaign.wire.intake import events_taken_to_proto


def _campaign_changed(fact: CampaignChanged) -> Message:
    return proto.CampaignChanged(
        campaign=campaign_to_proto(fact.campaign),
        occurred_at=to_proto(fact.occurred_at),
        revision=fact.campaign.revision,
    )


def _decision_made(fact: DecisionMade) -> Message:
    return proto.DecisionMade(decision=decision_to_proto(fact.decision))


def _events_taken(fact: EventsTaken) -> Routed:
    return Routed(f"intake.{fact.partition}", events_taken_to_proto(fact))


FACTS: Mapping[type[Any], Callable[[Any], Message | Routed]] = {
    CampaignChanged: _campaign_changed,
    DecisionMade: _decision_made,
    EventsTaken: _events_taken,
}
"""The protobuf form of every fact; events of customers go to their partition."""
