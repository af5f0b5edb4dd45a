"""A rule of the proof: a claim, how many things it is about, and the query that finds what breaks it.

Both queries may name `:prefix`, which makes the ledger's name of an account's balance.
"""

from typing import NamedTuple


class Rule(NamedTuple):
    """What is claimed of the tables; the claim holds when `offenders` finds nothing."""

    claim: str
    examined: str
    offenders: str
