"""ClubService: clubs, and who joins and leaves them."""

from functools import partial
from typing import Any

from chassis.calendar import Calendar
from chassis.paging import page_from_request
from chassis.rounds import answer_in_rounds
from chassis.work import Work, ask
from grpc.aio import ServicerContext
from touchstone.member.v1 import club_service_pb2 as pb
from touchstone.member.v1 import club_service_pb2_grpc as pb_grpc

from member.api.rendering import one
from member.domain.club import Club, ClubMembership
from member.use_cases import club_terms, clubs
from member.wire import clubs as wire
from member.wire.customers import customer_id_from_proto


class ClubApi(pb_grpc.ClubServiceServicer):
    """The calls of ClubService."""

    def __init__(self, work: Work, calendar: Calendar) -> None:
        self._work = work
        self._calendar = calendar

    async def PutClub(self, request: pb.PutClubRequest, context: ServicerContext[Any, Any]) -> pb.PutClubResponse:
        def render(club: Club) -> pb.PutClubResponse:
            return pb.PutClubResponse(club=wire.club_to_proto(club))

        asked = ask(request, wire.put_club_from_proto(request))
        return await self._work.answer("put_club", asked, one(clubs.put_club, render), pb.PutClubResponse)

    async def GetClub(self, request: pb.GetClubRequest, context: ServicerContext[Any, Any]) -> pb.GetClubResponse:
        club_id = wire.club_id_from_proto(request.club_id)
        async with self._work.reading() as connection:
            return pb.GetClubResponse(club=wire.club_to_proto(await clubs.get_club(connection, club_id)))

    async def ListClubs(self, request: pb.ListClubsRequest, context: ServicerContext[Any, Any]) -> pb.ListClubsResponse:
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await clubs.list_clubs(connection, page)
        shown, token = page.cut(found, lambda one: one.club_id)
        return pb.ListClubsResponse(clubs=[wire.club_to_proto(club) for club in shown], next_page_token=token)

    async def JoinClub(self, request: pb.JoinClubRequest, context: ServicerContext[Any, Any]) -> pb.JoinClubResponse:
        def render(membership: ClubMembership) -> pb.JoinClubResponse:
            return pb.JoinClubResponse(membership=wire.membership_to_proto(membership))

        act = one(partial(clubs.join_club, calendar=self._calendar), render)
        asked = ask(request, wire.join_from_proto(request))
        return await self._work.answer("join_club", asked, act, pb.JoinClubResponse)

    async def LeaveClub(self, request: pb.LeaveClubRequest, context: ServicerContext[Any, Any]) -> pb.LeaveClubResponse:
        def render(membership: ClubMembership) -> pb.LeaveClubResponse:
            return pb.LeaveClubResponse(membership=wire.membership_to_proto(membership))

        asked = ask(request, wire.leave_from_proto(request))
        return await self._work.answer("leave_club", asked, one(clubs.leave_club, render), pb.LeaveClubResponse)

    async def ApproveClubMember(
        self, request: pb.ApproveClubMemberRequest, context: ServicerContext[Any, Any]
    ) -> pb.ApproveClubMemberResponse:
        def render(membership: ClubMembership) -> pb.ApproveClubMemberResponse:
            return pb.ApproveClubMemberResponse(membership=wire.membership_to_proto(membership))

        act = one(partial(clubs.approve_member, calendar=self._calendar), render)
        asked = ask(request, wire.decision_from_proto(request))
        return await self._work.answer("approve_club_member", asked, act, pb.ApproveClubMemberResponse)

    async def RefuseClubMember(
        self, request: pb.RefuseClubMemberRequest, context: ServicerContext[Any, Any]
    ) -> pb.RefuseClubMemberResponse:
        def render(membership: ClubMembership) -> pb.RefuseClubMemberResponse:
            return pb.RefuseClubMemberResponse(membership=wire.membership_to_proto(membership))

        act = one(clubs.refuse_member, render)
        asked = ask(request, wire.decision_from_proto(request))
        return await self._work.answer("refuse_club_member", asked, act, pb.RefuseClubMemberResponse)

    async def ListMemberClubs(
        self, request: pb.ListMemberClubsRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListMemberClubsResponse:
        customer_id = customer_id_from_proto(request.customer_id)
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await clubs.list_of_customer(connection, customer_id, page)
        shown, token = page.cut(found, lambda one: one.club_membership_id)
        return pb.ListMemberClubsResponse(
            memberships=[wire.membership_to_proto(each) for each in shown], next_page_token=token
        )

    async def ListClubMembers(
        self, request: pb.ListClubMembersRequest, context: ServicerContext[Any, Any]
    ) -> pb.ListClubMembersResponse:
        club_id = wire.club_id_from_proto(request.club_id)
        state = wire.club_state_from_proto(request.state)
        page = page_from_request(request)
        async with self._work.reading() as connection:
            found = await clubs.list_of_club(connection, club_id, state, page)
        shown, token = page.cut(found, lambda one: one.club_membership_id)
        return pb.ListClubMembersResponse(
            memberships=[wire.membership_to_proto(each) for each in shown], next_page_token=token
        )

    async def ReviewClubMembers(
        self, request: pb.ReviewClubMembersRequest, context: ServicerContext[Any, Any]
    ) -> pb.ReviewClubMembersResponse:
        act = one(partial(club_terms.review_members, calendar=self._calendar), wire.reviewed_to_proto)
        asked = ask(request, wire.review_from_proto(request))
        total = pb.ReviewClubMembersResponse()
        async for done in answer_in_rounds(
            self._work, "review_club_members", asked=asked, act=act, reply_type=pb.ReviewClubMembersResponse
        ):
            if not done.looked_at:
                break
            total.renewed += done.renewed
            total.ended += done.ended
            total.looked_at += done.looked_at
        return total
