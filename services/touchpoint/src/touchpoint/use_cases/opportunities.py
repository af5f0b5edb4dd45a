"""Opportunities come from decisions and end by themselves when nobody takes them in time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import structlog
from chassis.work import Transaction
from opentelemetry import metrics

from touchpoint.domain.opportunity import Opportunity
from touchpoint.store import opportunities, registry

EXPIRED_AT_ONCE_MAX = 5000

_log = structlog.get_logger(__name__)
_dropped = metrics.get_meter("touchstone").create_counter(
    "touchpoint_unknown_codes", description="Touchpoint codes of decisions that no registered touchpoint has."
)


async def record_opportunities(transaction: Transaction, decided: Sequence[Opportunity]) -> int:
    """Stores the opportunities of decisions; how many were new.

    A code that no touchpoint has is dropped and counted; an opportunity left without any can never be met, so it is
    not stored. One stored before stays as it is, whatever has become of it.
    """
    named = {code for one in decided for code in one.touchpoints}
    known = await registry.load_touchpoints(transaction.connection, named)
    if unknown := sorted(named - known.keys()):
        _dropped.add(len(unknown))
        _log.warning("decisions name unknown touchpoints", codes=unknown)
    met = [replace(one, touchpoints=tuple(code for code in one.touchpoints if code in known)) for one in decided]
    reachable = [one for one in met if one.touchpoints]
    if len(reachable) < len(met):
        _log.warning("decisions without a known touchpoint make no opportunity", decisions=len(met) - len(reachable))
    if not reachable:
        return 0
    return await opportunities.add_opportunities(transaction.connection, reachable, transaction.recorded_at)


async def expire_opportunities(transaction: Transaction, as_of: datetime) -> int:
    """Expires one portion of what ended at or before `as_of`; how many. Fewer than the most means there are no more."""
    return await opportunities.expire_opportunities(transaction.connection, as_of, EXPIRED_AT_ONCE_MAX)
