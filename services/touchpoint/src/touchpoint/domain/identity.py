"""Identities, so that a contact's id cannot be handed in where a customer's is meant."""

from typing import NewType

TouchpointCode = NewType("TouchpointCode", str)
CustomerId = NewType("CustomerId", str)
CampaignId = NewType("CampaignId", str)
OpportunityId = NewType("OpportunityId", str)
ContactId = NewType("ContactId", str)
PartnerId = NewType("PartnerId", str)
EndpointId = NewType("EndpointId", str)
DeliveryId = NewType("DeliveryId", str)
