"""The tables of the campaign service and the only SQL; rows never leave it."""

from campaign.store.tables import METADATA

__all__ = ["METADATA"]
