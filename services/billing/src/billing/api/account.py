"""AccountService: accounts, and what goes into them."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import grpc
from chassis.calendar import Calendar
from chassis.gathering import Gatherer
from chassis.paging import page_from_request
from chassis.rpc.errors import item_result
from chassis.times import from_proto
from chassis.work import Work, ask
from touchstone.billing.v1 import account_service_pb2 as pb
from touchstone.billing.v1.account_service_pb2_grpc import AccountServiceServicer

from billing.api.acting import rendered, replying
from billing.api.rounds import total_of_rounds
from billing.domain.payer import Payer
from billing.use_cases.account import accounts_page, get_account, get_balance, open_accounts, statement_page
from billing.use_cases.credit_limit import set_credit_limits
from billing.use_cases.expiry import expire_gifts
from billing.use_cases.gift import gifts_page, grant_gifts, revoke_gift
from billing.use_cases.payer import get_payers, put_payers
from billing.use_cases.reversal import reverse_recharge
from billing.use_cases.wish import move_balances
from billing.wire import account as account_wire
from billing.wire import gift as gift_wire
from billing.wire import movement as movement_wire
from billing.wire.value import account_id_from_proto, number_after, owner_from_proto

_OPEN = replying(open_accounts, account_wire.account_opened_to_proto)
Context = grpc.aio.ServicerContext[Any, Any]


def _payers_to_proto(payers: Sequence[Payer]) -> pb.PutPayersResponse:
    return pb.PutPayersResponse(payers=map(gift_wire.payer_to_proto, payers))


_PUT_PAYERS = rendered(put_payers, _payers_to_proto)


class AccountApi(AccountServiceServicer):
    """Unary calls and batch calls are the same use cases and share their claims."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        move = partial(move_balances, calendar=calendar)
        recharge = replying(move, movement_wire.recharged_to_proto)
        adjust = replying(move, movement_wire.adjusted_to_proto)
        self._opening = Gatherer(work, "open_account", _OPEN, pb.OpenAccountResponse)
        self._recharging = Gatherer(work, "recharge_account", recharge, pb.RechargeResponse)
        grant = replying(partial(grant_gifts, calendar=calendar), gift_wire.granted_to_proto)
        limit = replying(partial(set_credit_limits, calendar=calendar), gift_wire.limit_set_to_proto)
        self._revoke = rendered(partial(revoke_gift, calendar=calendar), gift_wire.revoked_to_proto)
        self._reverse = rendered(partial(reverse_recharge, calendar=calendar), gift_wire.reversed_to_proto)
        self._expire = rendered(partial(expire_gifts, calendar=calendar), gift_wire.expired_to_proto)
        self._granting = Gatherer(work, "grant_gift", grant, pb.GrantGiftResponse)
        self._limiting = Gatherer(work, "set_credit_limit", limit, pb.SetCreditLimitResponse)
        self._adjusting = Gatherer(work, "adjust_balance", adjust, pb.AdjustBalanceResponse)

    async def OpenAccount(self, request: pb.OpenAccountRequest, context: Context) -> pb.OpenAccountResponse:
        return await self._opening.answer(ask(request, account_wire.open_account_from_proto(request)))

    async def BatchOpenAccounts(
        self, request: pb.BatchOpenAccountsRequest, context: Context
    ) -> pb.BatchOpenAccountsResponse:
        results = await self._opening.answer_batch(
            request.requests, read=account_wire.open_account_from_proto, result=item_result(pb.OpenAccountResult)
        )
        return pb.BatchOpenAccountsResponse(results=results)

    async def GetAccount(self, request: pb.GetAccountRequest, context: Context) -> pb.GetAccountResponse:
        account_id, owner = account_id_from_proto(request.account_id), owner_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            standing = await get_account(connection, account_id, owner)
        return pb.GetAccountResponse(account=account_wire.account_to_proto(standing))

    async def ListAccounts(self, request: pb.ListAccountsRequest, context: Context) -> pb.ListAccountsResponse:
        page, owner = page_from_request(request), owner_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            found = await accounts_page(connection, owner, page)
        shown, token = page.cut(found, lambda one: one.account.account_id)
        return pb.ListAccountsResponse(
            accounts=map(account_wire.account_to_proto, shown),
            next_page_token=token,
        )

    async def Recharge(self, request: pb.RechargeRequest, context: Context) -> pb.RechargeResponse:
        return await self._recharging.answer(ask(request, movement_wire.recharge_from_proto(request)))

    async def BatchRecharge(self, request: pb.BatchRechargeRequest, context: Context) -> pb.BatchRechargeResponse:
        results = await self._recharging.answer_batch(
            request.requests, read=movement_wire.recharge_from_proto, result=item_result(pb.RechargeResult)
        )
        return pb.BatchRechargeResponse(results=results)

    async def AdjustBalance(self, request: pb.AdjustBalanceRequest, context: Context) -> pb.AdjustBalanceResponse:
        return await self._adjusting.answer(ask(request, movement_wire.adjustment_from_proto(request)))

    async def ListStatementEntries(
        self, request: pb.ListStatementEntriesRequest, context: Context
    ) -> pb.ListStatementEntriesResponse:
        page = page_from_request(request)
        account_id, owner = account_id_from_proto(request.account_id), owner_from_proto(request.customer_id)
        before = number_after(page)
        async with self._work.reading() as connection:
            found = await statement_page(connection, account_id, owner, before=before, limit=page.wanted)
        shown, token = page.cut(found, lambda one: str(one.account_version))
        return pb.ListStatementEntriesResponse(
            entries=map(account_wire.statement_entry_to_proto, shown),
            next_page_token=token,
        )

    async def GetBalance(self, request: pb.GetBalanceRequest, context: Context) -> pb.GetBalanceResponse:
        account_id, owner = account_id_from_proto(request.account_id), owner_from_proto(request.customer_id)
        as_of = from_proto(request.as_of, "as_of") if request.HasField("as_of") else None
        async with self._work.reading() as connection:
            parts = await get_balance(connection, account_id, owner, as_of=as_of)
        return pb.GetBalanceResponse(balance=account_wire.balance_to_proto(parts, as_of))

    async def GrantGift(self, request: pb.GrantGiftRequest, context: Context) -> pb.GrantGiftResponse:
        return await self._granting.answer(ask(request, gift_wire.grant_from_proto(request)))

    async def BatchGrantGifts(self, request: pb.BatchGrantGiftsRequest, context: Context) -> pb.BatchGrantGiftsResponse:
        results = await self._granting.answer_batch(
            request.requests, read=gift_wire.grant_from_proto, result=item_result(pb.GrantGiftResult)
        )
        return pb.BatchGrantGiftsResponse(results=results)

    async def RevokeGift(self, request: pb.RevokeGiftRequest, context: Context) -> pb.RevokeGiftResponse:
        asked = ask(request, gift_wire.revoke_from_proto(request))
        return await self._work.answer("revoke_gift", asked, self._revoke, pb.RevokeGiftResponse)

    async def ListGifts(self, request: pb.ListGiftsRequest, context: Context) -> pb.ListGiftsResponse:
        page = page_from_request(request)
        account_id, owner = account_id_from_proto(request.account_id), owner_from_proto(request.customer_id)
        after = gift_wire.gift_place_from_token(page.after)
        async with self._work.reading() as connection:
            found = await gifts_page(connection, account_id, owner, after=after, limit=page.wanted)
        shown, token = page.cut(found, gift_wire.gift_place_to_token)
        return pb.ListGiftsResponse(gifts=map(gift_wire.gift_to_proto, shown), next_page_token=token)

    async def ExpireGifts(self, request: pb.ExpireGiftsRequest, context: Context) -> pb.ExpireGiftsResponse:
        asked = ask(request, from_proto(request.as_of, "as_of"))
        return await total_of_rounds(
            self._work, "expire_gifts", asked=asked, act=self._expire, reply_type=pb.ExpireGiftsResponse
        )

    async def SetCreditLimit(self, request: pb.SetCreditLimitRequest, context: Context) -> pb.SetCreditLimitResponse:
        return await self._limiting.answer(ask(request, gift_wire.set_limit_from_proto(request)))

    async def BatchSetCreditLimits(
        self, request: pb.BatchSetCreditLimitsRequest, context: Context
    ) -> pb.BatchSetCreditLimitsResponse:
        results = await self._limiting.answer_batch(
            request.requests, read=gift_wire.set_limit_from_proto, result=item_result(pb.SetCreditLimitResult)
        )
        return pb.BatchSetCreditLimitsResponse(results=results)

    async def PutPayers(self, request: pb.PutPayersRequest, context: Context) -> pb.PutPayersResponse:
        asked = ask(request, gift_wire.put_payers_from_proto(request))
        return await self._work.answer("put_payers", asked, _PUT_PAYERS, pb.PutPayersResponse)

    async def GetPayers(self, request: pb.GetPayersRequest, context: Context) -> pb.GetPayersResponse:
        account_id, owner = account_id_from_proto(request.account_id), owner_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            payers = await get_payers(connection, account_id, owner)
        return pb.GetPayersResponse(payers=map(gift_wire.payer_to_proto, payers))

    async def ReverseRecharge(self, request: pb.ReverseRechargeRequest, context: Context) -> pb.ReverseRechargeResponse:
        asked = ask(request, gift_wire.reverse_from_proto(request))
        return await self._work.answer("reverse_recharge", asked, self._reverse, pb.ReverseRechargeResponse)
