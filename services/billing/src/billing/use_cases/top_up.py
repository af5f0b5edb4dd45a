"""Stored means of payment, and the automatic top-up that pays open bills with them.

Whether an account is topped up is judged by a round, never in the transaction of the debit that crossed the threshold.
A round only asks for payments; they are sent as all others are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from chassis.calendar import Calendar, Period
from chassis.work import Transaction

from billing.domain.account import Account, account_not_found
from billing.domain.ids import AccountId, CustomerId
from billing.domain.movement import check_occurred_at
from billing.domain.payment import Payment, PaymentOrigin, TokenId
from billing.domain.payment_facts import top_up_alarmed
from billing.domain.top_up import (
    Attempt,
    Occasion,
    Pause,
    PaymentTokenRefused,
    PutTopUpRule,
    Token,
    TopUpRule,
    TopUpRuleNotFound,
    next_attempt,
    token_not_found,
)
from billing.store import Connection
from billing.store.account import find_account
from billing.store.alias import claim_alias, release_alias
from billing.store.payment import add_payments
from billing.store.top_up import (
    AttemptOf,
    DueBill,
    History,
    add_attempts,
    attempts_of,
    due_bills,
    find_rules,
    find_tokens,
    histories,
    list_tokens,
    put_rules,
    put_token,
    remove_token,
)
from billing.use_cases.movement import lock_accounts
from billing.use_cases.payment import new_payment
from billing.use_cases.top_up_rule import stop_rule

ROUND = 200
"""So many accounts in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveToken:
    """Wish to remove a means of payment."""

    account_id: AccountId
    customer_id: CustomerId | None
    token_id: TokenId
    occurred_at: datetime

    def __post_init__(self) -> None:
        check_occurred_at(self.occurred_at)


class ToppedUp(NamedTuple):
    """What a round of top-ups did; a round that did nothing is the last."""

    payments: int = 0
    paused: int = 0


class _Asked(NamedTuple):
    """A payment that is to be asked for, and why."""

    account: Account
    rule: TopUpRule
    occasion: Occasion
    attempt: Attempt


async def put_payment_token(transaction: Transaction, token: Token, customer_id: CustomerId | None) -> Token:
    """Stores a means of payment, in place of one of the same name. Refuses AccountNotFound, and PaymentTokenRefused for
    one that is another customer's."""
    account = await _owned(transaction, token.account_id, customer_id)
    connection, key = transaction.connection, (token.account_id, token.token_id)
    before = (await find_tokens(connection, [key])).get(key)
    if await claim_alias(connection, token, account.customer_id, transaction.recorded_at) != account.customer_id:
        raise PaymentTokenRefused
    await put_token(connection, token, transaction.recorded_at)
    if before is not None:
        await release_alias(connection, before)
    return token


async def remove_payment_token(transaction: Transaction, wanted: RemoveToken) -> Token:
    """Removes a means of payment; a top-up that uses it stops. Refuses AccountNotFound, PaymentTokenNotFound."""
    account = await _owned(transaction, wanted.account_id, wanted.customer_id)
    connection, key = transaction.connection, (wanted.account_id, wanted.token_id)
    token = (await find_tokens(connection, [key])).get(key)
    if token is None:
        raise token_not_found(wanted.token_id)
    if token.removed_at is not None:
        return token
    await remove_token(connection, token, wanted.occurred_at)
    await release_alias(connection, token)
    rule = (await find_rules(connection, [wanted.account_id])).get(wanted.account_id)
    if rule is not None and rule.token_id == wanted.token_id:
        await stop_rule(transaction, rule, Pause.TOKEN, account.customer_id, wanted.occurred_at)
    return replace(token, removed_at=wanted.occurred_at)


async def tokens_page(
    connection: Connection, account_id: AccountId, customer_id: CustomerId | None, *, after: str | None, limit: int
) -> list[Token]:
    """An account's means of payment, by identity. Refuses AccountNotFound."""
    await _seen(connection, account_id, customer_id)
    return await list_tokens(connection, account_id, after=after, limit=limit)


async def put_top_up_rule(transaction: Transaction, wanted: PutTopUpRule) -> TopUpRule:
    """Puts an account's rule; one that had stopped acts again. Refuses AccountNotFound, PaymentTokenNotFound."""
    account = await _owned(transaction, wanted.account_id, wanted.customer_id)
    rule = wanted.rule_for(account)
    token = (await find_tokens(transaction.connection, [(rule.account_id, rule.token_id)])).get(
        (rule.account_id, rule.token_id)
    )
    if token is None or not token.good_at(wanted.occurred_at):
        raise token_not_found(rule.token_id)
    await put_rules(transaction.connection, [rule], transaction.recorded_at)
    return (await find_rules(transaction.connection, [rule.account_id]))[rule.account_id]


async def get_top_up_rule(connection: Connection, account_id: AccountId, customer_id: CustomerId | None) -> TopUpRule:
    """Refuses AccountNotFound, TopUpRuleNotFound."""
    await _seen(connection, account_id, customer_id)
    rule = (await find_rules(connection, [account_id])).get(account_id)
    if rule is None:
        raise TopUpRuleNotFound(f"account {account_id} has no automatic top-up", account_id=account_id)
    return rule


async def run_top_ups(transaction: Transaction, as_of: datetime, calendar: Calendar) -> ToppedUp:
    """One round: asks for the payments that open bills call for, and stops the rules that ought not to go on."""
    connection = transaction.connection
    seen = await due_bills(connection, as_of, ROUND)
    if not seen:
        return ToppedUp()
    accounts = await lock_accounts(transaction, {each.account_id for each in seen})
    # Behind the locks: what another round did meanwhile is seen, and leaves nothing to do.
    due = [each for each in await due_bills(connection, as_of, ROUND) if each.account_id in accounts]
    rules = await find_rules(connection, accounts)
    occasions = await _occasions(connection, due, rules, as_of=as_of, calendar=calendar)
    decided = {key: next_attempt(rules[key], occasion, as_of) for key, occasion in occasions.items()}
    wanted = {key: each for key, each in decided.items() if isinstance(each, Attempt)}
    await _ask_for(
        transaction, [_Asked(accounts[key], rules[key], occasions[key], each) for key, each in wanted.items()], as_of
    )
    stopped = {key: each for key, each in decided.items() if isinstance(each, Pause)}
    for key, because in stopped.items():
        if because is Pause.TOO_MANY:
            transaction.emit(top_up_alarmed(accounts[key], occasions[key].lately, as_of))
        await stop_rule(transaction, rules[key], because, accounts[key].customer_id, as_of)
    return ToppedUp(len(wanted), len(stopped))


async def _occasions(
    connection: Connection,
    due: Sequence[DueBill],
    rules: Mapping[AccountId, TopUpRule],
    *,
    as_of: datetime,
    calendar: Calendar,
) -> dict[AccountId, Occasion]:
    """All that the decision about each account rests on."""
    ids = [each.account_id for each in due]
    month = calendar.span(Period.MONTH, as_of)
    done = await histories(connection, ids, month=month, as_of=as_of)
    tokens = await find_tokens(connection, [(key, rules[key].token_id) for key in ids])
    return {
        each.account_id: Occasion(
            remaining_minor=each.remaining_minor,
            missing_minor=each.missing_minor,
            this_month_minor=done.get(each.account_id, History()).this_month_minor,
            lately=done.get(each.account_id, History()).lately,
            bill_id=each.bill_id,
            token=tokens.get((each.account_id, rules[each.account_id].token_id)),
        )
        for each in due
    }


async def _ask_for(transaction: Transaction, wanted: Sequence[_Asked], as_of: datetime) -> None:
    """Stores the payments, to be sent at once."""
    payments = [_payment(each, as_of) for each in wanted]
    await add_payments(transaction.connection, payments, next_ask_at=as_of, recorded_at=transaction.recorded_at)
    before = await attempts_of(transaction.connection, [each.occasion.bill_id for each in wanted])
    attempts = [
        AttemptOf(each.occasion.bill_id, before.get(each.occasion.bill_id, 0) + 1, payment.payment_id)
        for each, payment in zip(wanted, payments, strict=True)
    ]
    await add_attempts(transaction.connection, attempts, transaction.recorded_at)


def _payment(asked: _Asked, as_of: datetime) -> Payment:
    token = asked.occasion.token
    assert token is not None, "no attempt is decided on without one"
    payment = new_payment(
        asked.account,
        asked.account.money(asked.attempt.amount_minor),
        channel=token.channel,
        origin=PaymentOrigin.TOP_UP,
        requested_at=as_of,
    )
    # What is not the bill's amount to the last unit cannot pay it: it is a recharge that brings the balance back.
    bill_id = asked.occasion.bill_id if asked.attempt.pays_bill else None
    return replace(payment, bill_id=bill_id, token_id=token.token_id)


async def _owned(transaction: Transaction, account_id: AccountId, customer_id: CustomerId | None) -> Account:
    """The account, locked. Refuses AccountNotFound, also for one of another than the named customer."""
    account = (await lock_accounts(transaction, {account_id})).get(account_id)
    if account is None:
        raise account_not_found(account_id)
    account.check_owner(customer_id)
    return account


async def _seen(connection: Connection, account_id: AccountId, customer_id: CustomerId | None) -> None:
    account = await find_account(connection, account_id)
    if account is None:
        raise account_not_found(account_id)
    account.check_owner(customer_id)
