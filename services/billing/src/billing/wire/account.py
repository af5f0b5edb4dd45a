"""Accounts and their statements on the wire."""

from datetime import datetime

from chassis.auth import current_caller
from chassis.ids import check_id
from chassis.times import from_proto, to_proto
from touchstone.billing.v1 import account_pb2 as balance_pb
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import billing_pb2

from billing.domain.account import BalanceParts, OpenAccount, Standing
from billing.domain.ids import CustomerId
from billing.domain.movement import StatementEntry
from billing.domain.statement import StatedEntry
from billing.wire.kind import STATE_TO_PROTO
from billing.wire.value import account_id_from_proto, money_from_proto, money_to_proto, plan_id_from_proto

_SETS_LIMITS = "billing.admin"


def open_account_from_proto(request: account_pb.OpenAccountRequest) -> OpenAccount:
    """The wish of BOSS. Refuses CreditLimitDenied to a caller who may not call SetCreditLimit."""
    wish = OpenAccount(
        account_id=account_id_from_proto(request.account_id),
        customer_id=CustomerId(check_id("customer_id", request.customer_id)),
        currency=request.currency,
        plan_id=plan_id_from_proto(request.plan_id),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
        credit_limit=money_from_proto(request.credit_limit) if request.HasField("credit_limit") else None,
    )
    wish.check_limit(sets_limits=_SETS_LIMITS in current_caller().scopes)
    return wish


def account_opened_to_proto(standing: Standing) -> account_pb.OpenAccountResponse:
    """The answer to OpenAccount."""
    return account_pb.OpenAccountResponse(account=account_to_proto(standing))


def account_to_proto(standing: Standing) -> billing_pb2.Account:
    """The account with where it stands."""
    account, parts = standing.account, standing.parts
    return billing_pb2.Account(
        account_id=account.account_id,
        customer_id=account.customer_id,
        currency=account.currency,
        balance=money_to_proto(standing.balance),
        account_version=standing.account_version,
        plan_id=account.plan_id or "",
        opened_at=to_proto(account.opened_at),
        below_threshold=account.below_threshold,
        cash=money_to_proto(parts.cash),
        gift=money_to_proto(parts.gift),
        held=money_to_proto(parts.held),
        credit_limit=money_to_proto(parts.credit_limit),
        spendable=money_to_proto(parts.spendable),
        owed=money_to_proto(parts.owed),
        state=STATE_TO_PROTO[account.service.state],
        state_revision=account.service.revision,
    )


def balance_to_proto(parts: BalanceParts, as_of: datetime | None) -> balance_pb.BalanceParts:
    """What a balance consists of."""
    return balance_pb.BalanceParts(
        balance=money_to_proto(parts.balance),
        cash=money_to_proto(parts.cash),
        gift=money_to_proto(parts.gift),
        held=money_to_proto(parts.held),
        credit_limit=money_to_proto(parts.credit_limit),
        spendable=money_to_proto(parts.spendable),
        as_of=to_proto(as_of) if as_of else None,
    )


def statement_entry_to_proto(entry: StatementEntry | StatedEntry) -> billing_pb2.StatementEntry:
    """One line of a statement, in the order of booking or in a month's."""
    return billing_pb2.StatementEntry(
        transaction_id=entry.transaction_id,
        kind=entry.kind,
        amount=money_to_proto(entry.amount),
        balance_after=money_to_proto(entry.balance_after),
        account_version=entry.account_version,
        description=entry.note,
        occurred_at=to_proto(entry.occurred_at),
        recorded_at=to_proto(entry.recorded_at),
        gift_amount=money_to_proto(entry.gift),
        charge_id=entry.charge_id,
        reverses_transaction_id=entry.reverses or "",
    )
