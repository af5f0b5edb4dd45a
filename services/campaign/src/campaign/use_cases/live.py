"""The live campaigns and the catalogue as this process knows them, brought up to date from the database.

Every batch of events asks for one number first: the last change of any campaign or catalogue entry. Only when it has
risen are the changes loaded. So a changed rule acts on the next batch in every replica, with no message to be lost and
no interval to wait for.
"""

import structlog
from chassis.errors import InvalidArgument

from campaign.domain.campaigns import EVERY_EVENT, Campaign, CampaignState
from campaign.domain.catalogue import Catalogue, EventType, EventTypeId, Tag, TagId
from campaign.domain.matching import CampaignId, Matcher
from campaign.domain.rules import Rule
from campaign.store import Connection
from campaign.store import campaigns as campaign_store
from campaign.store import catalogue as catalogue_store

_log = structlog.get_logger(__name__)


class LiveRules:
    """What matching needs in memory; one for each process."""

    def __init__(self, ready_made: Catalogue) -> None:
        self._ready_made = ready_made
        self._event_types: dict[EventTypeId, EventType] = {}
        self._tags: dict[TagId, Tag] = {}
        self._revision = 0
        self.catalogue = ready_made
        self.matcher = Matcher()
        self.campaigns: dict[CampaignId, Campaign] = {}

    async def refresh(self, connection: Connection) -> None:
        """Take over what has been committed since; cheap when nothing has."""
        newest = await campaign_store.newest_revision(connection)
        if newest <= self._revision:
            return
        event_types = await catalogue_store.event_types_since(connection, self._revision)
        tags = await catalogue_store.tags_since(connection, self._revision)
        changed = await campaign_store.campaigns_since(connection, self._revision)
        if newest <= self._revision:
            return  # another batch of this process was faster and knows more
        self._event_types |= event_types
        self._tags |= tags
        self.catalogue = self._ready_made.merged(self._tags, self._event_types)
        for campaign in changed:
            self._place(campaign)
        self._revision = newest

    def _place(self, campaign: Campaign) -> None:
        self.matcher.remove(campaign.id)
        self.campaigns.pop(campaign.id, None)
        if campaign.state is not CampaignState.LIVE:
            return
        try:
            self.matcher.put(campaign.id, campaign.plan.event_type, _runnable(campaign.rule))
        except InvalidArgument:
            # It was accepted once. Whatever made it unreadable must not stop every other campaign.
            _log.exception("live campaign has a rule that does not compile", campaign_id=campaign.id)
            return
        self.campaigns[campaign.id] = campaign


def _runnable(rule: Rule) -> Rule:
    return rule if rule.text else Rule(EVERY_EVENT, rule.tags, rule.attributes)
