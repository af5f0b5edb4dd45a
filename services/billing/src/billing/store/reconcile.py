"""What reconciling reads and writes in the database."""

from billing.store.difference import add_differences

__all__ = ["add_differences"]
