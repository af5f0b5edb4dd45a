"""What the ledger refuses. A refusal ends one command and leaves its neighbours in the batch alone."""

from chassis.errors import AlreadyExists, NotFound, Refusal


class AccountNotFound(NotFound):
    """The account was never opened, and it is no system account either."""


class TransactionNotFound(NotFound):
    """There is nothing under this source that could be reversed."""


class HoldNotFound(NotFound):
    """No hold was ever made under this id."""


class SourceReused(AlreadyExists):
    """A transaction with this source is already in the books: one source has one effect."""


class InsufficientBalance(Refusal):
    """The amount is more than balance less held less floor."""


class FloorAboveBalance(Refusal):
    """The new floor is above what the account already stands at, open lots and holds left aside."""


class HoldExpired(Refusal):
    """The hold's last instant has passed; nothing can be captured or released any more."""


class HoldEnded(Refusal):
    """The hold was captured or released before: it ends once."""


class CaptureExceedsHold(Refusal):
    """A capture takes at most what was held."""


class AlreadyReversed(Refusal):
    """All of the transaction has been reversed before."""


class ReversalExceedsOriginal(Refusal):
    """Partial reversals together may not pass the original amount."""


class NotReversible(Refusal):
    """Holds, expiries, changes of floor and reversals themselves are corrected by a new transaction."""


class AssetMismatch(Refusal):
    """A transaction moves one asset; its accounts must all be kept in it."""


class AmountOverflow(Refusal):
    """A balance would leave the range the ledger can hold."""
