"""Clubs: their rules, who joins and leaves, and who is in."""

from gateway.routing import create, get, post, put, router_of

_CLUB = "/clubs/{club_id}"
_OWN = "/customers/{customer_id}/clubs"
_ASKED = "/club-memberships/{club_membership_id}"
_SERVICE = "member.v1.ClubService"

router = router_of(
    "clubs",
    [
        get("/customers/{customer_id}/offered-clubs", f"{_SERVICE}.ListClubs"),
        get(_CLUB, f"{_SERVICE}.GetClub", part="club"),
        put(_CLUB, f"{_SERVICE}.PutClub", into="club", part="club"),
        get(f"{_CLUB}/members", f"{_SERVICE}.ListClubMembers"),
        post(f"{_ASKED}/approve", f"{_SERVICE}.ApproveClubMember", part="membership"),
        post(f"{_ASKED}/refuse", f"{_SERVICE}.RefuseClubMember", part="membership"),
        get(_OWN, f"{_SERVICE}.ListMemberClubs"),
        create(f"{_OWN}/{{club_id}}", f"{_SERVICE}.JoinClub", part="membership"),
        post(f"{_OWN}/{{club_id}}/leave", f"{_SERVICE}.LeaveClub", part="membership"),
    ],
)
