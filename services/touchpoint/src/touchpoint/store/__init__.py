"""Tables and the only SQL of the service; rows never leave it."""

from touchpoint.store.tables import METADATA

__all__ = ["METADATA"]
