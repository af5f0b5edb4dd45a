"""The report at the end: what was replayed, what came of it, and whether every check holds."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from demo.checks import Seen, Verdict
from demo.partner import Partner
from demo.replay import Replayed


def show(console: Console, replayed: Replayed, seen: Seen, partner: Partner, *, seconds: float) -> None:
    """Prints the figures."""
    purchases = replayed.purchases
    amount = sum(each.amount_minor for each in purchases) / 100
    buyers = len({each.customer for each in purchases})
    console.rule("[bold]Touchstone: real purchases, replayed")
    console.print(
        f"{buyers:,} buyers made {len(purchases):,} purchases of {amount:,.2f} dollars in {replayed.weeks} weeks; "
        f"the replay took {seconds:.0f} s ({len(purchases) / seconds:,.0f} purchases/s)."
    )
    console.print(Columns([_members(seen), _billing(replayed, seen), _campaigns(seen)], padding=(0, 2)))
    console.print(
        Columns(
            [_touchpoints(seen), _contacts(seen), _partner(seen, partner), _coupons(replayed, seen)], padding=(0, 2)
        )
    )
    console.print(_scores(replayed))


def show_verdicts(console: Console, verdicts: Sequence[Verdict]) -> bool:
    """Prints every check; whether all hold."""
    table = Table("", "what must hold", "what was seen", title="Checks", title_justify="left")
    for each in verdicts:
        table.add_row("[green]✔" if each.holds else "[red]✘", each.claim, each.seen)
    console.print(table)
    holds = all(each.holds for each in verdicts)
    console.print(Panel("[bold green]every check holds" if holds else "[bold red]a check does not hold", expand=False))
    return holds


def _table(title: str, rows: Mapping[str, str]) -> Table:
    table = Table("", "", title=title, title_justify="left", show_header=False)
    table.columns[1].justify = "right"
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _members(seen: Seen) -> Table:
    rows = {f"members, {tier}": f"{count:,}" for tier, count in seen.members_by_tier.items()}
    rows |= {
        "points issued": f"{seen.points_issued:,}",
        "of these for anniversaries": f"{sum(each.points for each in seen.anniversaries):,}",
        "points spent": f"{seen.points_spent:,}",
        "points expired": f"{seen.points_spent_by_expiry:,}",
    }
    return _table("Members", rows)


def _coupons(replayed: Replayed, seen: Seen) -> Table:
    rows = {
        "given": f"{replayed.desk.given:,}",
        "bought with points": f"{replayed.desk.bought:,}",
        "used": f"{seen.coupons.redeemed:,}",
        "expired": f"{seen.coupons.expired:,}",
        "discount": f"{seen.coupons.discount_given.minor_units / 100:,.2f}",
    }
    return _table("Coupons", rows)


def _billing(replayed: Replayed, seen: Seen) -> Table:
    rows = {
        "charges": f"{len(seen.charged):,}",
        "of these of 0.00": f"{sum(not each.amount.minor_units for each in seen.charged):,}",
        "threshold bills": f"{seen.bills:,}",
        "bills paid": f"{replayed.bills_paid:,}",
        "top-ups in the app": f"{replayed.app_recharges:,}",
    }
    return _table("Billing", rows)


def _campaigns(seen: Seen) -> Table:
    return _table("Decisions by campaign", {name: f"{count:,}" for name, count in seen.decisions.items()})


def _touchpoints(seen: Seen) -> Table:
    table = Table("touchpoint", "contacts", "accepted", "refused", title="First touch wins", title_justify="left")
    for each in seen.figures.touchpoints:
        table.add_row(each.touchpoint, f"{each.contacts:,}", f"{each.accepted:,}", f"{each.refused:,}")
    return table


def _contacts(seen: Seen) -> Table:
    by_month: Counter[tuple[str, str]] = Counter(
        (each.customer_id, each.occurred_at.ToJsonString()[:7]) for each in seen.contacts
    )
    rows = {
        "opportunities": f"{seen.figures.opportunities:,}",
        "taken": f"{seen.figures.taken:,}",
        "expired": f"{seen.figures.expired:,}",
        "customers contacted": f"{seen.figures.customers_contacted:,}",
        "contacts a customer and month": f"{_mean(by_month):.2f}",
        "most of them": f"{max(by_month.values(), default=0)}",
    }
    return _table("Contacts", rows)


def _mean(counts: Mapping[Any, int]) -> float:
    return sum(counts.values()) / len(counts) if counts else 0.0


def _partner(seen: Seen, partner: Partner) -> Table:
    rows = {
        "delivered": f"{seen.deliveries['DELIVERED']:,}",
        "exhausted": f"{seen.deliveries['EXHAUSTED']:,}",
        "requests received": f"{partner.received:,}",
        "signatures verified": f"{len(partner.verified):,}",
    }
    return _table("Webhooks to the partner", rows)


def _scores(replayed: Replayed) -> Table:
    table = Table(
        "as of", "customers", "BG/NBD r, α, a, b", "log-likelihood", "Gamma-Gamma p, q, γ", title="Scoring runs"
    )
    for run in replayed.runs:
        bg, gg = run.bg_nbd, run.gamma_gamma
        table.add_row(
            run.as_of.ToJsonString()[:10],
            f"{run.customers:,}",
            f"{bg.r:.4f}, {bg.alpha:.4f}, {bg.a:.4f}, {bg.b:.4f}",
            f"{bg.log_likelihood:,.2f}",
            f"{gg.p:.3f}, {gg.q:.3f}, {gg.gamma:.3f}",
        )
    return table
