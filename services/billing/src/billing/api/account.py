"""AccountService: accounts, and what goes into them."""

from functools import partial
from typing import Any

import grpc
from chassis.calendar import Calendar
from chassis.gathering import Gatherer
from chassis.paging import page_from_request
from chassis.rpc.errors import item_result
from chassis.work import Work, ask
from touchstone.billing.v1 import account_service_pb2 as pb
from touchstone.billing.v1.account_service_pb2_grpc import AccountServiceServicer

from billing.api.acting import replying
from billing.use_cases.account import accounts_page, get_account, open_accounts, statement_page
from billing.use_cases.wish import move_balances
from billing.wire import account as account_wire
from billing.wire import movement as movement_wire
from billing.wire.value import account_id_from_proto, number_after, owner_from_proto

_OPEN = replying(open_accounts, account_wire.account_opened_to_proto)
Context = grpc.aio.ServicerContext[Any, Any]


class AccountApi(AccountServiceServicer):
    """Unary calls and batch calls are the same use cases and share their claims."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        move = partial(move_balances, calendar=calendar)
        recharge = replying(move, movement_wire.recharged_to_proto)
        adjust = replying(move, movement_wire.adjusted_to_proto)
        self._opening = Gatherer(work, "open_account", _OPEN, pb.OpenAccountResponse)
        self._recharging = Gatherer(work, "recharge_account", recharge, pb.RechargeResponse)
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
