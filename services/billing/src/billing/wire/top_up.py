"""Stored means of payment and automatic top-up on the wire. The provider's alias comes in and never goes out."""

from datetime import datetime

from chassis.errors import InvalidArgument
from chassis.ids import check_id, check_text
from chassis.money import Money
from chassis.times import from_proto, to_proto
from touchstone.billing.v1 import payment_pb2
from touchstone.billing.v1 import top_up_service_pb2 as pb
from touchstone.common.v1 import common_pb2

from billing.domain.payment import TokenId
from billing.domain.top_up import PutTopUpRule, Token, TopUpRule, TopUpState, check_display_name
from billing.use_cases.top_up import RemoveToken
from billing.wire.value import account_id_from_proto, money_from_proto, money_to_proto, owner_from_proto

_ALIAS_LENGTH_MAX = 200
_SHOWN_LENGTH_MAX = 100
_STATES = {state: payment_pb2.TopUpState.Value(f"TOP_UP_STATE_{state.name}") for state in TopUpState}


def token_from_proto(request: pb.PutPaymentTokenRequest) -> Token:
    """The means of payment to store."""
    stored_at = from_proto(request.occurred_at, "occurred_at")
    expires_at = from_proto(request.expires_at, "expires_at") if request.HasField("expires_at") else None
    if expires_at is not None and expires_at <= stored_at:
        raise InvalidArgument("expires_at", "must be after occurred_at")
    return Token(
        account_id=account_id_from_proto(request.account_id),
        token_id=_token_id("token_id", request.token_id),
        channel=check_id("channel", request.channel),
        provider_token=check_text(
            "provider_token", request.provider_token, length_max=_ALIAS_LENGTH_MAX, required=True
        ),
        display_name=check_display_name(
            check_text("display_name", request.display_name, length_max=_SHOWN_LENGTH_MAX, required=True)
        ),
        expires_at=expires_at,
        stored_at=stored_at,
    )


def remove_token_from_proto(request: pb.RemovePaymentTokenRequest) -> RemoveToken:
    """The wish to remove a means of payment."""
    return RemoveToken(
        account_id=account_id_from_proto(request.account_id),
        customer_id=owner_from_proto(request.customer_id),
        token_id=_token_id("token_id", request.token_id),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def put_rule_from_proto(request: pb.PutTopUpRuleRequest) -> PutTopUpRule:
    """The wish to put a rule; where it stands is not the caller's to say."""
    account_id, rule = account_id_from_proto(request.account_id), request.rule
    if rule.account_id not in ("", account_id):
        raise InvalidArgument("rule.account_id", "must be that of the request, or empty")
    return PutTopUpRule(
        account_id=account_id,
        customer_id=owner_from_proto(request.customer_id),
        token_id=_token_id("rule.token_id", rule.token_id),
        minimum=_money("rule.minimum", rule.minimum) if rule.HasField("minimum") else None,
        monthly_limit=_money("rule.monthly_limit", rule.monthly_limit) if rule.HasField("monthly_limit") else None,
        enabled=rule.enabled,
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def token_to_proto(token: Token) -> payment_pb2.PaymentToken:
    """The means of payment as it may be shown."""
    return payment_pb2.PaymentToken(
        token_id=token.token_id,
        account_id=token.account_id,
        channel=token.channel,
        display_name=token.display_name,
        expires_at=to_proto(token.expires_at) if token.expires_at else None,
        stored_at=to_proto(token.stored_at),
        removed_at=to_proto(token.removed_at) if token.removed_at else None,
    )


def rule_to_proto(rule: TopUpRule, now: datetime) -> payment_pb2.TopUpRule:
    """The rule, and where it stands now."""
    limit = rule.monthly_limit_minor
    return payment_pb2.TopUpRule(
        account_id=rule.account_id,
        token_id=rule.token_id,
        minimum=money_to_proto(Money(rule.minimum_minor, rule.currency)) if rule.minimum_minor else None,
        monthly_limit=money_to_proto(Money(limit, rule.currency)) if limit is not None else None,
        enabled=rule.enabled,
        state=_STATES[rule.state_at(now)],
        declines=rule.declines,
        next_attempt_at=to_proto(rule.next_attempt_at) if rule.next_attempt_at else None,
        paused_because=rule.paused_because or "",
    )


def _token_id(field: str, value: str) -> TokenId:
    return TokenId(check_id(field, value))


def _money(field: str, money: common_pb2.Money) -> Money:
    return money_from_proto(money).positive(field)
