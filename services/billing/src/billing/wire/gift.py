"""Gifts, credit limits, payers and what is taken back, on the wire."""

from datetime import UTC, datetime

from chassis.errors import InvalidArgument
from chassis.ids import check_id
from chassis.times import from_proto, to_proto
from touchstone.billing.v1 import account_pb2
from touchstone.billing.v1 import account_service_pb2 as pb

from billing.domain.credit_limit import SetCreditLimit
from billing.domain.gift import Gift, GiftPlace, GrantGift, RevokeGift
from billing.domain.ids import AccountId, TransactionId
from billing.domain.movement import GiftTerms, Moved
from billing.domain.payer import Payer, PutPayers
from billing.domain.reversal import ReverseRecharge
from billing.use_cases.credit_limit import Limited
from billing.use_cases.expiry import ExpiredRound
from billing.use_cases.gift import Granted
from billing.wire.account import account_to_proto
from billing.wire.bill import bill_to_proto
from billing.wire.value import account_id_from_proto, money_from_proto, money_to_proto, text_from_proto


def grant_from_proto(request: pb.GrantGiftRequest) -> GrantGift:
    """The wish to give gift credit."""
    expires_at = from_proto(request.expires_at, "expires_at") if request.HasField("expires_at") else None
    return GrantGift(
        account_id=account_id_from_proto(request.account_id),
        amount=money_from_proto(request.amount),
        terms=GiftTerms(expires_at, request.priority),
        reason=text_from_proto("reason", request.reason, required=True),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def granted_to_proto(granted: Granted) -> pb.GrantGiftResponse:
    """The answer to GrantGift."""
    return pb.GrantGiftResponse(
        gift=gift_to_proto(granted.gift),
        balance_after=money_to_proto(granted.moved.balance_after),
        account_version=granted.moved.account_version,
    )


def revoke_from_proto(request: pb.RevokeGiftRequest) -> RevokeGift:
    """The wish to take back what is left of a gift."""
    return RevokeGift(
        gift_id=TransactionId(check_id("gift_id", request.gift_id)),
        reason=text_from_proto("reason", request.reason, required=True),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def revoked_to_proto(revoked: Granted) -> pb.RevokeGiftResponse:
    """The answer to RevokeGift."""
    moved = revoked.moved
    return pb.RevokeGiftResponse(
        gift=gift_to_proto(revoked.gift),
        revoked=money_to_proto(moved.amount),
        balance_after=money_to_proto(moved.balance_after),
        bill=bill_to_proto(moved.bill) if moved.bill else None,
    )


def gift_to_proto(gift: Gift) -> account_pb2.Gift:
    """A gift and what is left of it."""
    return account_pb2.Gift(
        gift_id=gift.gift_id,
        account_id=gift.account_id,
        granted=money_to_proto(gift.granted),
        remaining=money_to_proto(gift.remaining),
        priority=gift.terms.priority,
        expires_at=to_proto(gift.terms.expires_at) if gift.terms.expires_at else None,
        reason=gift.reason,
        granted_at=to_proto(gift.granted_at),
    )


def gift_place_to_token(gift: Gift) -> str:
    """Where a page of gifts ended."""
    expires_at = gift.terms.expires_at
    return f"{gift.terms.priority}/{expires_at.isoformat() if expires_at else ''}/{gift.lot}"


def gift_place_from_token(after: str | None) -> GiftPlace | None:
    """Where a page of gifts begins; refuses a token that no list call returned."""
    if after is None:
        return None
    try:
        priority, expires_at, lot = after.split("/")
        place = GiftPlace(int(priority), _instant(expires_at) if expires_at else None, int(lot))
    except (ValueError, OverflowError):
        raise InvalidArgument("page_token", "is not a token that a list call returned") from None
    if not 0 <= place.priority < 2**31 or not 0 <= place.lot < 2**63:
        raise InvalidArgument("page_token", "is not a token that a list call returned")
    return place


def _instant(written: str) -> datetime:
    """ValueError or OverflowError for what is no instant that the database could hold."""
    instant = datetime.fromisoformat(written)
    if instant.tzinfo is None:
        raise ValueError("must say its distance from UTC")
    return instant.astimezone(UTC)


def expired_to_proto(done: ExpiredRound) -> pb.ExpireGiftsResponse:
    """The answer of a round."""
    return pb.ExpireGiftsResponse(accounts=done.accounts, bills=done.bills)


def set_limit_from_proto(request: pb.SetCreditLimitRequest) -> SetCreditLimit:
    """The wish to set a credit limit."""
    return SetCreditLimit(
        account_id=account_id_from_proto(request.account_id),
        credit_limit=money_from_proto(request.credit_limit),
        reason=text_from_proto("reason", request.reason, required=True),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def limit_set_to_proto(limited: Limited) -> pb.SetCreditLimitResponse:
    """The answer to SetCreditLimit."""
    bill = limited.moved.bill
    return pb.SetCreditLimitResponse(
        account=account_to_proto(limited.standing), bill=bill_to_proto(bill) if bill else None
    )


def put_payers_from_proto(request: pb.PutPayersRequest) -> PutPayers:
    """The wish of who is to pay."""
    return PutPayers(
        account_id=account_id_from_proto(request.account_id),
        payers=tuple(_payer_from_proto(place, payer) for place, payer in enumerate(request.payers)),
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def _payer_from_proto(place: int, payer: account_pb2.Payer) -> Payer:
    return Payer(
        payer_account_id=AccountId(check_id(f"payers[{place}].payer_account_id", payer.payer_account_id)),
        monthly_limit=money_from_proto(payer.monthly_limit) if payer.HasField("monthly_limit") else None,
        families=tuple(
            check_id(f"payers[{place}].families[{number}]", family) for number, family in enumerate(payer.families)
        ),
    )


def payer_to_proto(payer: Payer) -> account_pb2.Payer:
    """Who pays."""
    return account_pb2.Payer(
        payer_account_id=payer.payer_account_id,
        monthly_limit=money_to_proto(payer.monthly_limit) if payer.monthly_limit else None,
        families=payer.families,
    )


def reverse_from_proto(request: pb.ReverseRechargeRequest) -> ReverseRecharge:
    """The wish to take back a recharge."""
    return ReverseRecharge(
        transaction_id=TransactionId(check_id("transaction_id", request.transaction_id)),
        amount=money_from_proto(request.amount) if request.HasField("amount") else None,
        reason=text_from_proto("reason", request.reason, required=True),
        owe=request.owe,
        occurred_at=from_proto(request.occurred_at, "occurred_at"),
    )


def reversed_to_proto(moved: Moved) -> pb.ReverseRechargeResponse:
    """The answer to ReverseRecharge."""
    return pb.ReverseRechargeResponse(
        transaction_id=moved.movement.transaction_id,
        amount=money_to_proto(moved.amount),
        balance_after=money_to_proto(moved.balance_after),
        bill=bill_to_proto(moved.bill) if moved.bill else None,
    )
