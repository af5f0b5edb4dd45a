"""Balances in their parts on the wire."""

from datetime import datetime

from chassis.times import to_proto
from touchstone.billing.v1 import account_pb2

from billing.domain.account import BalanceParts
from billing.wire.value import money_to_proto


def balance_parts_to_proto(parts: BalanceParts, as_of: datetime) -> account_pb2.BalanceParts:
    """What an account has, and of what."""
    return account_pb2.BalanceParts(
        balance=money_to_proto(parts.balance),
        cash=money_to_proto(parts.cash),
        gift=money_to_proto(parts.gift),
        held=money_to_proto(parts.held),
        credit_limit=money_to_proto(parts.credit_limit),
        spendable=money_to_proto(parts.spendable),
        as_of=to_proto(as_of),
    )
