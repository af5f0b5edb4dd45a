"""TopUpService: stored means of payment, and the automatic top-up that uses them."""

from datetime import datetime
from typing import Any

import grpc
from chassis import clock
from chassis.calendar import Calendar
from chassis.paging import page_from_request
from chassis.times import from_proto
from chassis.work import Transaction, Work, ask
from touchstone.billing.v1 import top_up_service_pb2 as pb
from touchstone.billing.v1.top_up_service_pb2_grpc import TopUpServiceServicer

from billing.api.rounds import total_of_rounds
from billing.channels import Channels
from billing.domain.top_up import PutTopUpRule, Token
from billing.use_cases.top_up import (
    RemoveToken,
    get_top_up_rule,
    put_payment_token,
    put_top_up_rule,
    remove_payment_token,
    run_top_ups,
    tokens_page,
)
from billing.wire import top_up as wire
from billing.wire.value import account_id_from_proto, owner_from_proto

Context = grpc.aio.ServicerContext[Any, Any]


async def _remove(transaction: Transaction, wanted: RemoveToken) -> pb.RemovePaymentTokenResponse:
    return pb.RemovePaymentTokenResponse(token=wire.token_to_proto(await remove_payment_token(transaction, wanted)))


async def _put_rule(transaction: Transaction, wanted: PutTopUpRule) -> pb.PutTopUpRuleResponse:
    rule = await put_top_up_rule(transaction, wanted)
    return pb.PutTopUpRuleResponse(rule=wire.rule_to_proto(rule, wanted.occurred_at))


class TopUpApi(TopUpServiceServicer):
    """The round of top-ups only asks for payments; they are sent as all others are."""

    def __init__(self, work: Work, channels: Channels, calendar: Calendar) -> None:
        self._work = work
        self._channels = channels
        self._calendar = calendar

    async def PutPaymentToken(self, request: pb.PutPaymentTokenRequest, context: Context) -> pb.PutPaymentTokenResponse:
        wish, owner = wire.token_from_proto(request), owner_from_proto(request.customer_id)
        self._channels.check_stores_tokens(wish.channel)

        async def act(transaction: Transaction, wanted: Token) -> pb.PutPaymentTokenResponse:
            stored = await put_payment_token(transaction, wanted, owner)
            return pb.PutPaymentTokenResponse(token=wire.token_to_proto(stored))

        return await self._work.answer("put_payment_token", ask(request, wish), act, pb.PutPaymentTokenResponse)

    async def ListPaymentTokens(
        self, request: pb.ListPaymentTokensRequest, context: Context
    ) -> pb.ListPaymentTokensResponse:
        page = page_from_request(request)
        account_id, owner = account_id_from_proto(request.account_id), owner_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            found = await tokens_page(connection, account_id, owner, after=page.after, limit=page.wanted)
        shown, token = page.cut(found, lambda one: one.token_id)
        return pb.ListPaymentTokensResponse(tokens=map(wire.token_to_proto, shown), next_page_token=token)

    async def RemovePaymentToken(
        self, request: pb.RemovePaymentTokenRequest, context: Context
    ) -> pb.RemovePaymentTokenResponse:
        asked = ask(request, wire.remove_token_from_proto(request))
        return await self._work.answer("remove_payment_token", asked, _remove, pb.RemovePaymentTokenResponse)

    async def PutTopUpRule(self, request: pb.PutTopUpRuleRequest, context: Context) -> pb.PutTopUpRuleResponse:
        asked = ask(request, wire.put_rule_from_proto(request))
        return await self._work.answer("put_top_up_rule", asked, _put_rule, pb.PutTopUpRuleResponse)

    async def GetTopUpRule(self, request: pb.GetTopUpRuleRequest, context: Context) -> pb.GetTopUpRuleResponse:
        account_id, owner = account_id_from_proto(request.account_id), owner_from_proto(request.customer_id)
        async with self._work.reading() as connection:
            rule = await get_top_up_rule(connection, account_id, owner)
        return pb.GetTopUpRuleResponse(rule=wire.rule_to_proto(rule, clock.now()))

    async def RunTopUps(self, request: pb.RunTopUpsRequest, context: Context) -> pb.RunTopUpsResponse:
        async def act(transaction: Transaction, as_of: datetime) -> pb.RunTopUpsResponse:
            done = await run_top_ups(transaction, as_of, self._calendar)
            return pb.RunTopUpsResponse(payments=done.payments, paused=done.paused)

        asked = ask(request, from_proto(request.as_of, "as_of"))
        return await total_of_rounds(self._work, "run_top_ups", asked=asked, act=act, reply_type=pb.RunTopUpsResponse)
