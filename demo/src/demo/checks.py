"""What must hold at the end of the replay. Every check looks at the platform from outside, through its interfaces."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from chassis.reconciliation import compare
from chassis.times import to_proto
from touchstone.billing.v1 import billing_events_pb2
from touchstone.campaign.v1 import campaign_service_pb2
from touchstone.common.v1 import operations_service_pb2 as operations
from touchstone.member.v1 import coupon_service_pb2 as coupon_pb
from touchstone.member.v1 import member_events_pb2
from touchstone.member.v1 import membership_service_pb2 as membership_pb
from touchstone.scoring.v1 import scoring_pb2
from touchstone.touchpoint.v1 import touchpoint_pb2, touchpoint_service_pb2

from demo.desk import ANNIVERSARY_POINTS, DISCOUNT_MINOR, PRICE_POINTS, SECOND_VERSION_FROM, TEMPLATE_ID
from demo.partner import Partner
from demo.platform import Touchstone, all_pages
from demo.purchases import PurchaseFile
from demo.replay import Replayed
from demo.scenario import CONTACTS_MAX

# Published by Fader and Hardie for the sample's first 39 weeks, and by Hardie for its 946 repeat buyers.
BG_NBD = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
LOG_LIKELIHOOD = -9582.4
GAMMA_GAMMA = {"p": 6.25, "q": 3.74, "gamma": 15.44}
_DELIVERY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check: what is claimed, what was seen, whether it holds."""

    claim: str
    seen: str
    holds: bool


@dataclass(slots=True)
class Seen:
    """What the platform says at the end."""

    members_by_tier: dict[str, int] = field(default_factory=dict)
    points_issued: int = 0
    points_spent: int = 0
    points_spent_by_expiry: int = 0
    anniversaries: Sequence[Any] = ()
    coupons: Any = None
    moves: Sequence[Any] = ()
    bills: int = 0
    decisions: dict[str, int] = field(default_factory=dict)
    contacts: Sequence[Any] = ()
    figures: Any = None
    deliveries: Counter[str] = field(default_factory=Counter)
    statuses: list[Any] = field(default_factory=list)
    proofs: dict[str, Any] = field(default_factory=dict)
    charged: list[Any] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)


async def look(touchstone: Touchstone) -> Seen:
    """Asks every service for what the report shows and the checks need."""
    seen = Seen()
    counts = await touchstone.memberships.CountMembers(membership_pb.CountMembersRequest())
    seen.members_by_tier = {each.tier_id: each.members for each in counts.tiers}
    earned = await _told(touchstone, "member", member_events_pb2.PointsEarned)
    seen.points_issued = sum(each.points for each in earned)
    seen.anniversaries = [each for each in earned if each.kind == "earn_tenure"]
    redeemed = await _told(touchstone, "member", member_events_pb2.PointsRedeemed)
    seen.points_spent = sum(each.points for each in redeemed)
    expired = await _told(touchstone, "member", member_events_pb2.PointsExpired)
    seen.points_spent_by_expiry = sum(each.points for each in expired)
    seen.bills = len(await _told(touchstone, "billing", billing_events_pb2.BillIssued))
    seen.charged = await _told(touchstone, "billing", billing_events_pb2.AccountCharged)
    seen.coupons = await _coupon_figures(touchstone, seen.charged)
    seen.moves = await _tier_moves(touchstone)
    decided = await touchstone.decisions.CountDecisions(campaign_service_pb2.CountDecisionsRequest())
    seen.decisions = {each.campaign_id: each.decisions for each in decided.counts}
    request = touchpoint_service_pb2.ListContactsRequest(page_size=500)
    seen.contacts = await all_pages(touchstone.contacts.ListContacts, request, "contacts")
    seen.figures = await touchstone.contacts.GetContactFigures(touchpoint_service_pb2.GetContactFiguresRequest())
    seen.deliveries = await _deliveries(touchstone)
    for name, stub in touchstone.operations.items():
        seen.statuses.append(await stub.GetStatus(operations.GetStatusRequest(totals=True)))
        seen.proofs[name] = await stub.Prove(operations.ProveRequest(), timeout=120)
        seen.missing[name] = len((await compare(name, touchstone.operations)).missing)
    return seen


async def _told(touchstone: Touchstone, service: str, message_type: Any) -> list[Any]:
    """Every event of a type that a service told, out of its outbox."""
    request = operations.ListOutboxRequest(page_size=5000, event_type=message_type.DESCRIPTOR.full_name)
    rows = await all_pages(touchstone.operations[service].ListOutbox, request, "rows")
    return [message_type.FromString(row.payload) for row in rows]


async def _coupon_figures(touchstone: Touchstone, charged: Sequence[Any]) -> Any:
    """How the coupons stand a week after the last purchase, when the last jobs were run."""
    last = max(each.occurred_at.ToDatetime(UTC) for each in charged)
    as_of = to_proto(last + timedelta(days=7))
    request = coupon_pb.GetCouponFiguresRequest(template_id=TEMPLATE_ID, as_of=as_of)
    return await touchstone.coupons.GetCouponFigures(request)


async def _tier_moves(touchstone: Touchstone) -> list[Any]:
    """The tier histories of all who ever moved, without the first tier."""
    changes = await _told(touchstone, "member", member_events_pb2.TierChanged)
    moves: list[Any] = []
    for customer_id in sorted({each.customer_id for each in changes if each.previous_tier_id}):
        request = membership_pb.ListTierHistoryRequest(customer_id=customer_id)
        history = await touchstone.memberships.ListTierHistory(request)
        moves += [each for each in history.tiers if each.revision > 1]
    return moves


async def _deliveries(touchstone: Touchstone) -> Counter[str]:
    """Deliveries by state, once none is pending any more or the time for that is over."""
    counts: Counter[str] = Counter()
    for _ in range(_DELIVERY_SECONDS * 2):
        for state in ("PENDING", "DELIVERED", "EXHAUSTED"):
            number = touchpoint_pb2.DeliveryState.Value(f"DELIVERY_STATE_{state}")
            request = touchpoint_service_pb2.ListDeliveriesRequest(state=number, page_size=1)
            counts[state] = (await touchstone.partners.ListDeliveries(request)).total
        if not counts["PENDING"]:
            break
        await asyncio.sleep(0.5)
    return counts


def judge(file: PurchaseFile, replayed: Replayed, seen: Seen, partner: Partner) -> list[Verdict]:
    """Every check, in the order of the report."""
    return [
        *_purchases(file, replayed, seen),
        *_desk(replayed, seen),
        *_proofs(seen),
        *_events(seen),
        *_contacts(seen),
        _webhooks(seen, partner),
        *(_fits(replayed.runs[0]) if file is PurchaseFile.SAMPLE else []),
    ]


def _purchases(file: PurchaseFile, replayed: Replayed, seen: Seen) -> list[Verdict]:
    lines = Counter(each.description for each in seen.charged)
    wanted = Counter(f"{file.value}:{each.line}" for each in replayed.purchases)
    in_file = sum(each.amount_minor for each in replayed.purchases)
    charged = sum(each.amount.minor_units for each in seen.charged)
    scored = replayed.runs[-1].purchases
    return [
        Verdict("every purchase is charged once", f"{len(lines)} of {len(wanted)}", lines == wanted),
        Verdict("the sum charged equals the file's", f"{charged / 100:,.2f}", charged == in_file),
        Verdict("scoring counts every purchase", f"{scored}", scored == len(replayed.purchases)),
    ]


def _desk(replayed: Replayed, seen: Seen) -> list[Verdict]:
    desk, coupons, discount = replayed.desk, seen.coupons, seen.coupons.discount_given.minor_units
    issued = coupons.open + coupons.reserved + coupons.redeemed + coupons.expired
    return [
        _anniversaries(replayed, seen),
        Verdict(
            "every point spent bought a coupon",
            f"{desk.bought} for {seen.points_spent:,} points",
            seen.points_spent == PRICE_POINTS * desk.bought > 0,
        ),
        Verdict(
            "every coupon is open, used or expired",
            f"{coupons.open} + {coupons.redeemed} + {coupons.expired} of {coupons.issued}",
            issued == coupons.issued == desk.given + desk.bought,
        ),
        Verdict(
            "every coupon used took off what it says",
            f"{discount / 100:,.2f} off {coupons.redeemed} orders",
            0 < coupons.redeemed == desk.redeemed == desk.to_the_cent and discount == DISCOUNT_MINOR * desk.redeemed,
        ),
        _moves(seen),
    ]


def _anniversaries(replayed: Replayed, seen: Seen) -> Verdict:
    """A year after its first purchase, at the beginning of the day, and never again, every buyer got the points."""
    due: dict[str, datetime] = {}
    for each in sorted(replayed.purchases, key=lambda purchase: purchase.day):
        due.setdefault(f"c-{each.customer}", datetime(each.day.year + 1, each.day.month, each.day.day, tzinfo=UTC))
    given = {each.customer_id: each.occurred_at.ToDatetime(UTC) for each in seen.anniversaries}
    points = sum(each.points for each in seen.anniversaries)
    holds = given == due and len(given) == len(seen.anniversaries) and points == ANNIVERSARY_POINTS * len(due)
    return Verdict("every anniversary is rewarded once", f"{len(given)} of {len(due)}", holds)


def _moves(seen: Seen) -> Verdict:
    """What was judged before 1998 names the first version of the program, what was judged since names the second."""
    by_version = Counter(each.program_version for each in seen.moves)
    late = sum(each.held_from.ToDatetime(UTC) >= SECOND_VERSION_FROM for each in seen.moves)
    right = all(
        (each.program_version == 2) == (each.held_from.ToDatetime(UTC) >= SECOND_VERSION_FROM) for each in seen.moves
    )
    said = f"{by_version[1]} by version 1, {by_version[2]} by version 2"
    return Verdict("every tier move names its version", said, right and 0 < by_version[1] == len(seen.moves) - late)


def _proofs(seen: Seen) -> list[Verdict]:
    verdicts = []
    for name in ("member", "billing"):
        proof = seen.proofs[name]
        failed = [check.claim for check in proof.checks if not check.holds]
        said = f"{len(proof.checks)} claims" if not failed else "; ".join(failed)
        verdicts.append(Verdict(f"the ledger of {name} proves", said, proof.holds and bool(proof.checks)))
    return verdicts


def _events(seen: Seen) -> list[Verdict]:
    unpublished = sum(each.outbox_unpublished for each in seen.statuses)
    published = sum(each.outbox_published for each in seen.statuses)
    dead = sum(each.dead_letters for each in seen.statuses)
    missing = sum(seen.missing.values())
    return [
        Verdict("every event told is published", f"{published} published, {unpublished} not", not unpublished),
        Verdict("every event published is handled", f"{missing} missing", not missing),
        Verdict("no dead letters", str(dead), not dead),
    ]


def _contacts(seen: Seen) -> list[Verdict]:
    twice, most = seen.figures.shown_twice, seen.figures.contacts_in_window_max
    taken = len({each.opportunity_id for each in seen.contacts})
    return [
        Verdict("no offer was shown twice", f"{taken} shown", not twice and taken == len(seen.contacts) > 0),
        Verdict("nobody was contacted beyond the cap", f"{most} of {CONTACTS_MAX}", 0 < most <= CONTACTS_MAX),
    ]


def _webhooks(seen: Seen, partner: Partner) -> Verdict:
    delivered = seen.deliveries["DELIVERED"]
    said = f"{delivered} delivered, {len(partner.verified)} verified, {partner.refused} refused"
    complete = not seen.deliveries["PENDING"] and not seen.deliveries["EXHAUSTED"]
    holds = complete and 0 < delivered == len(partner.verified) and not partner.refused
    return Verdict("every webhook delivered was verified", said, holds)


def _fits(run: scoring_pb2.Run) -> list[Verdict]:
    bg, gg = run.bg_nbd, run.gamma_gamma
    bg_close = all(abs(getattr(bg, name) - value) <= 0.002 for name, value in BG_NBD.items())
    gg_close = all(abs(getattr(gg, name) - value) <= 0.02 for name, value in GAMMA_GAMMA.items())
    return [
        Verdict(
            "BG/NBD at week 39 is the published fit",
            f"r {bg.r:.4f}, α {bg.alpha:.4f}, a {bg.a:.4f}, b {bg.b:.4f}",
            bg_close,
        ),
        Verdict(
            "its log-likelihood too",
            f"{bg.log_likelihood:.2f}",
            abs(bg.log_likelihood - LOG_LIKELIHOOD) <= 0.1,
        ),
        Verdict(
            "Gamma-Gamma is the published fit",
            f"p {gg.p:.3f}, q {gg.q:.3f}, γ {gg.gamma:.3f}, {gg.customers} repeat buyers",
            gg_close and gg.customers == 946,
        ),
    ]
