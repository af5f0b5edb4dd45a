"""One double-entry ledger on PostgreSQL, for points and for money. See the README for its rules.

outcomes = await ledger.post(transaction.connection, commands, recorded_at=transaction.recorded_at)
"""

from ledger.domain.command import (
    AccountId,
    AnyCommand,
    Asset,
    ConfirmHold,
    Entry,
    HoldId,
    LotTerms,
    MakeHold,
    Post,
    ReleaseHold,
    Reverse,
    SetFloor,
    Shortfall,
    Source,
)
from ledger.domain.engine import EXPIRED, HOLD_EXPIRY, LOT_EXPIRY
from ledger.domain.posting import Line, LotMove, Posted, SystemLine
from ledger.domain.refusal import (
    AccountNotFound,
    AlreadyReversed,
    AmountOverflow,
    AssetMismatch,
    CaptureExceedsHold,
    FloorAboveBalance,
    HoldEnded,
    HoldExpired,
    HoldNotFound,
    InsufficientBalance,
    NotReversible,
    ReversalExceedsOriginal,
    SourceReused,
    TransactionNotFound,
)
from ledger.ledger import Expiry, Ledger
from ledger.store.proof import Check, Proof
from ledger.store.reading import Balance, EntryRecord, NewAccount, OpenLot
from ledger.store.tables import APPEND_ONLY, LedgerTables, create_ledger_tables, ledger_tables

__all__ = [
    "APPEND_ONLY",
    "EXPIRED",
    "HOLD_EXPIRY",
    "LOT_EXPIRY",
    "AccountId",
    "AccountNotFound",
    "AlreadyReversed",
    "AmountOverflow",
    "AnyCommand",
    "Asset",
    "AssetMismatch",
    "Balance",
    "CaptureExceedsHold",
    "Check",
    "ConfirmHold",
    "Entry",
    "EntryRecord",
    "Expiry",
    "FloorAboveBalance",
    "HoldEnded",
    "HoldExpired",
    "HoldId",
    "HoldNotFound",
    "InsufficientBalance",
    "Ledger",
    "LedgerTables",
    "Line",
    "LotMove",
    "LotTerms",
    "MakeHold",
    "NewAccount",
    "NotReversible",
    "OpenLot",
    "Post",
    "Posted",
    "Proof",
    "ReleaseHold",
    "ReversalExceedsOriginal",
    "Reverse",
    "SetFloor",
    "Shortfall",
    "Source",
    "SourceReused",
    "SystemLine",
    "TransactionNotFound",
    "create_ledger_tables",
    "ledger_tables",
]
