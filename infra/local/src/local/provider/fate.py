"""What becomes of a payment is chosen by who asks for it: by the last two digits of its amount, or by its token.

A token named `sandbox-<fate>` goes before the amount, also with a colon and anything after it, for billing lets each
customer have tokens of its own; any other token leaves the choice to the amount.
"""

from enum import StrEnum

_TOKEN_PREFIX = "sandbox-"  # noqa: S105 - the beginning of a name, not a secret


class Fate(StrEnum):
    """What becomes of a payment."""

    SUCCEED = "succeed"
    DECLINE = "decline"
    LATE = "late"
    """Paid, and said so only after a while."""
    TWICE = "twice"
    """Paid, and the same call-back is sent twice."""
    OUT_OF_ORDER = "out-of-order"
    """Paid and charged back; the charge-back is told first."""
    FORGED = "forged"
    """Somebody without the secret says that it was declined; then the provider says that it was paid."""
    CHARGEBACK = "chargeback"
    """Paid, and the payer's bank takes it back."""
    TIMEOUT = "timeout"
    """Paid, but the request is not answered in time."""
    STALE = "stale"
    """A call-back that was signed long ago comes first; then the right one."""
    DECLINE_THEN_SUCCEED = "decline-then-succeed"
    """Said to be declined, and paid all the same."""


_BY_AMOUNT = {
    1: Fate.DECLINE,
    2: Fate.LATE,
    3: Fate.TWICE,
    4: Fate.OUT_OF_ORDER,
    5: Fate.FORGED,
    6: Fate.CHARGEBACK,
    7: Fate.TIMEOUT,
    8: Fate.STALE,
    9: Fate.DECLINE_THEN_SUCCEED,
}


def fate_of(amount_minor: int, token: str) -> Fate:
    """What becomes of a payment of this amount with this token."""
    named = token.removeprefix(_TOKEN_PREFIX).partition(":")[0]
    if token.startswith(_TOKEN_PREFIX) and named in set(Fate):
        return Fate(named)
    return _BY_AMOUNT.get(amount_minor % 100, Fate.SUCCEED)
