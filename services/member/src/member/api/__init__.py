"""gRPC: a request becomes a use case, its outcome a reply. No rule, no SQL."""

from member.api.activities import ActivityApi
from member.api.benefits import BenefitApi
from member.api.care import CareApi
from member.api.clubs import ClubApi
from member.api.consents import ConsentApi
from member.api.coupons import CouponApi
from member.api.customers import CustomerApi
from member.api.earning import EarningApi
from member.api.memberships import MembershipApi
from member.api.merchants import MerchantApi
from member.api.package_migrations import PackageMigrationApi
from member.api.points import PointsApi
from member.api.shop import ShopApi
from member.api.tasks import TaskApi

__all__ = [
    "ActivityApi",
    "BenefitApi",
    "CareApi",
    "ClubApi",
    "ConsentApi",
    "CouponApi",
    "CustomerApi",
    "EarningApi",
    "MembershipApi",
    "MerchantApi",
    "PackageMigrationApi",
    "PointsApi",
    "ShopApi",
    "TaskApi",
]
