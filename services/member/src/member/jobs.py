"""What the calendar asks of the member service: what expires, falls due, begins or is to be looked after."""

from collections.abc import Awaitable, Callable, Sequence

from chassis.calendar import Calendar
from chassis.timed import Timed
from chassis.work import Transaction
from ledger.sealing import sealing

from member.store.postings import BOOKS
from member.use_cases import (
    anniversaries,
    benefit_uses,
    care,
    club_terms,
    coupon_jobs,
    coupons,
    entitlements,
    merging,
    outlook,
    package_migrations,
    programs,
    ripening,
    settlements,
    settling,
    shop_orders,
    spending,
)

_SOON = 5.0
_MINUTE = 60.0


async def expire_points(transaction: Transaction) -> bool:
    """Points and holds whose life has ended by now are booked off."""
    return (await spending.expire_points(transaction, transaction.recorded_at)).accounts > 0


async def begin_activations(transaction: Transaction) -> bool:
    """Versions of programs whose time has come are told to be in force."""
    return await programs.begin_activations(transaction, transaction.recorded_at) > 0


async def expire_benefit_reservations(transaction: Transaction) -> bool:
    """Reserved places of benefits whose time has ended by now are booked as given back."""
    return await benefit_uses.expire_reservations(transaction, transaction.recorded_at) > 0


async def refresh_entitlements(transaction: Transaction) -> bool:
    """What members are entitled to follows the programs whose benefits changed."""
    return (await entitlements.refresh_program(transaction, entitlements.RefreshProgram(None))).more


def migrating_packages(calendar: Calendar) -> Callable[[Transaction], Awaitable[bool]]:
    """A run that makes members of package customers is applied, or undone, round by round."""

    async def migrate_packages(transaction: Transaction) -> bool:
        advance = package_migrations.AdvanceRun(None)
        done = await package_migrations.advance_run(transaction, advance, calendar)
        return done is not None and done.more

    return migrate_packages


async def carry_late_points(transaction: Transaction) -> bool:
    """Points that reached a merged customer's membership just as it ended go where the others went."""
    return await merging.carry_late_points(transaction)


async def ripen_points(transaction: Transaction) -> bool:
    """Points whose cooling period is over become the members'."""
    return (await ripening.ripen_points(transaction, transaction.recorded_at)).entries > 0


def rewarding_anniversaries(calendar: Calendar) -> Callable[[Transaction], Awaitable[bool]]:
    """Anniversaries of the enrolment are rewarded as their day begins."""

    async def reward_anniversaries(transaction: Transaction) -> bool:
        done = await anniversaries.reward_anniversaries(transaction, transaction.recorded_at, calendar)
        return done.days > 0 or done.members > 0

    return reward_anniversaries


def telling_care(calendar: Calendar) -> Callable[[Transaction], Awaitable[bool]]:
    """Of whom to think today is told once a day."""

    async def tell_care(transaction: Transaction) -> bool:
        return await care.tell_care_daily(transaction, calendar)

    return tell_care


def reviewing_clubs(calendar: Calendar) -> Callable[[Transaction], Awaitable[bool]]:
    """Terms of clubs are renewed or end, and who lost the tier leaves after the grace."""

    async def review_club_members(transaction: Transaction) -> bool:
        done = await club_terms.review_members(transaction, transaction.recorded_at, calendar=calendar)
        return done.looked_at > 0

    return review_club_members


def closing_settlements(calendar: Calendar) -> Callable[[Transaction], Awaitable[bool]]:
    """Periods of settlement that have ended are closed."""

    async def close_settlements(transaction: Transaction) -> bool:
        done = await settlements.close_settlements(transaction, transaction.recorded_at, calendar=calendar)
        return done.merchants > 0

    return close_settlements


async def cancel_overdue_orders(transaction: Transaction) -> bool:
    """Orders of the shop that nobody fulfilled in time are cancelled."""
    return await shop_orders.cancel_overdue(transaction, transaction.recorded_at) > 0


async def settle_activities(transaction: Transaction) -> bool:
    """Reserved seats are released at their instant, and who did not come is marked when an activity is over."""
    return (await settling.settle_activities(transaction, transaction.recorded_at)).activities > 0


def expiring_coupons(calendar: Calendar) -> Callable[[Transaction], Awaitable[bool]]:
    """Coupons, and reservations of coupons, whose time has ended by now end."""

    async def expire_coupons(transaction: Transaction) -> bool:
        command = coupons.ExpireCoupons(transaction.recorded_at)
        return (await coupons.expire_coupons(transaction, command, calendar=calendar)).coupons == command.most

    return expire_coupons


def issuing_coupons(calendar: Calendar) -> Callable[[Transaction], Awaitable[bool]]:
    """Lists of customers who are to get a coupon are worked off, round by round."""

    async def issue_coupons(transaction: Transaction) -> bool:
        command = coupon_jobs.RunIssues(transaction.recorded_at)
        return (await coupon_jobs.run_issues(transaction, command, calendar=calendar)).customers > 0

    return issue_coupons


def timed(calendar: Calendar) -> Sequence[Timed]:
    """Everything that is done by itself."""
    return [
        Timed("begin activations of programs", _MINUTE, begin_activations),
        Timed("judge and warn where programs ask for it", _MINUTE, outlook.look_after_programs),
        Timed("expire points", _MINUTE, expire_points),
        Timed("ripen points", _MINUTE, ripen_points),
        Timed("reward anniversaries", _MINUTE, rewarding_anniversaries(calendar)),
        Timed("expire benefit reservations", _MINUTE, expire_benefit_reservations),
        Timed("refresh entitlements", _SOON, refresh_entitlements),
        Timed("migrate packages", _SOON, migrating_packages(calendar)),
        Timed("carry late points", _MINUTE, carry_late_points),
        Timed("tell care", _MINUTE, telling_care(calendar)),
        Timed("review club members", _MINUTE, reviewing_clubs(calendar)),
        Timed("close settlements", _MINUTE, closing_settlements(calendar)),
        Timed("expire coupons", _MINUTE, expiring_coupons(calendar)),
        Timed("issue coupons", _SOON, issuing_coupons(calendar)),
        Timed("settle activities", _SOON, settle_activities),
        Timed("cancel overdue orders", _MINUTE, cancel_overdue_orders),
        sealing(BOOKS),
    ]
