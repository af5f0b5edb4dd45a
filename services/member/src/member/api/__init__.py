"""gRPC: a request becomes a use case, its outcome a reply. No rule, no SQL."""

from member.api.benefits import BenefitApi
from member.api.customers import CustomerApi
from member.api.memberships import MembershipApi
from member.api.points import PointsApi

__all__ = ["BenefitApi", "CustomerApi", "MembershipApi", "PointsApi"]
