"""A channel app over REST: what an operator sets up, and one visit of a member, from the sign-in to the statement.

Run it while `make up` runs. Every run makes a household of its own; what the operator sets up has the same keys each
time, so that a second run gets the first one's answers and changes nothing.
"""

import json
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from zlib import crc32

import cyclopts
import httpx
from rich.console import Console
from rich.table import Table

CINEMA = "cinema"  # the program: points and tiers of film lovers, beside the ready-made "general"
PATIENCE_SECONDS = 30.0
ALWAYS = "2026-01-01T00:00:00Z"
PROGRAM: Any = {
    "display_name": "Cinema club",
    "tiers": [
        {"tier_id": "fan", "display_name": "Fan", "earn_rate_percent": 100},
        {"tier_id": "gold", "display_name": "Gold", "rank": 1, "points_required": 1000, "earn_rate_percent": 150},
    ],
    "window_days": 365,
    "points_lifetime_days": 730,
}
COUPONS: Any = {
    "cinema-five": {"display_name": "5 yuan off", "discount": {"amount_off_minor_units": 500}},
    "cinema-tenth": {
        "display_name": "10 % off films",
        "discount": {"percent_off": {"basis_points": 1000, "cap_minor_units": 800}},
        "scope": {"families": ["films"]},
    },
    "cinema-opening": {
        "display_name": "9 yuan off, alone",
        "discount": {"amount_off_minor_units": 900},
        "stacking": {"exclusive": True},
    },
    "cinema-feast": {
        "display_name": "30 yuan off a feast",
        "discount": {"amount_off_minor_units": 3000},
        "minimum_spend_minor_units": 20000,
    },
}
SIGN_IN: Any = {
    "title": "Say hello every day",
    "kind": "SIGN_IN",
    "program_id": CINEMA,
    "active_from": ALWAYS,
    "reward": {"points": {"points": 5}},
    "milestones": [{"days": 7, "reward": {"coupon": {"template_id": "cinema-tenth"}}, "repeats": True}],
    "by_members": True,
}
SHOP_ITEM: Any = {
    "kind": "CASH_OFF",
    "program_id": CINEMA,
    "texts": [{"language": "en", "title": "5 yuan off"}, {"language": "zh-CN", "title": "五元券"}],
    "prices": [{"tier_id": "fan", "points": 200}, {"tier_id": "gold", "points": 150}],
    "coupon_template_id": "cinema-five",
    "valid_from": ALWAYS,
}
LINES: Any = [
    {"product_id": "film-42", "family": "films", "unit_price_minor_units": 3000, "quantity": 2},
    {"product_id": "popcorn", "family": "snacks", "unit_price_minor_units": 1500, "quantity": 1},
]
ORDER: Any = {"currency": "CNY", "lines": LINES, "channel": "app"}
console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Caller:
    """Somebody with a token. A write carries a key: sent again under the same key it has its effect once."""

    gateway: httpx.Client
    token: str

    def get(self, path: str, **query: Any) -> Any:
        return self.send("GET", path, params=query)

    def send(self, verb: str, path: str, key: str = "", body: Any = None, *, params: Any = None) -> Any:
        """Does something, or ends with what the gateway says is wrong (a problem document, RFC 9457)."""
        headers = {"Authorization": f"Bearer {self.token}"} | ({"Idempotency-Key": key} if key else {})
        answer = self.gateway.request(verb, f"/v1{path}", headers=headers, json=body, params=params)
        console.print(f"  [dim]{verb} /v1{path} → {answer.status_code}")
        if answer.is_error:
            problem = answer.json()
            raise SystemExit(f"{problem['reason']}: {problem['detail']} {problem['errors'] or ''}")
        return answer.json()


def set_up(operator: Caller) -> None:
    """What stands before any member comes: program, coupon templates, sign-in task, shop item."""

    def once(verb: str, path: str, body: Any) -> Any:
        """The key is made of what is sent, so that the same from the next run is a repeat."""
        return operator.send(verb, path, f"set-up-{crc32(json.dumps([path, body]).encode())}", body)

    once("PUT", f"/programs/{CINEMA}", PROGRAM)
    for name, terms in COUPONS.items():
        path = f"/coupon-templates/{name}"
        draft = once("PUT", path, {"currency": "CNY", "validity": {"days": 30}, **terms})
        if draft["active_version"] < draft["latest_version"]:
            operator.send("POST", f"{path}/activate", f"{name}-{draft['latest_version']}", {})
    once("PUT", "/tasks/cinema-sign-in", SIGN_IN)
    once("PUT", "/shop/items/cinema-voucher", SHOP_ITEM)
    once("POST", "/shop/items/cinema-voucher/stock", {"change": 100_000, "reason": "first delivery"})


def welcome(operator: Caller, customer: str, now: datetime) -> None:
    """A household that came ten days ago, signed in on the last six days, and recharges 400 yuan today."""
    path, came = f"/customers/{customer}", {"occurred_at": _text(now - timedelta(days=10))}
    household = {"kind": "HOUSEHOLD", "display_name": "Household Li", "registered_at": came["occurred_at"]}
    operator.send("PUT", path, f"{customer}-put", household)
    operator.send("PUT", f"{path}/accounts/{customer}-a", f"{customer}-account", {"currency": "CNY", **came})
    operator.send("POST", f"{path}/membership", f"{customer}-enrol", {"program_id": CINEMA, **came})
    for days in range(6, 0, -1):
        signed_in = {"program_id": CINEMA, "occurred_at": _text(now - timedelta(days=days))}
        operator.send("POST", f"{path}/sign-ins", f"{customer}-day-{days}", signed_in)
    for template_id in ("cinema-opening", "cinema-feast"):
        gift = {"template_id": template_id, "program_id": CINEMA, "reason": "welcome", "occurred_at": _text(now)}
        operator.send("POST", f"{path}/coupons", f"{customer}-{template_id}", gift)
    recharge = {"amount": {"minor_units": 40_000, "currency": "CNY"}, "channel": "app", "occurred_at": _text(now)}
    operator.send("POST", f"{path}/accounts/{customer}-a/recharges", f"{customer}-recharge", recharge)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while operator.get(f"{path}/points", program_id=CINEMA)["balance"]["balance"] < 400:  # they come by an event
        if time.monotonic() > deadline:
            raise SystemExit(f"the recharge gave no points within {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.3)


def sign_in(member: Caller, path: str, key: str, now: datetime) -> None:
    """The day's sign-in, and once more: a repeat gives nothing and says so."""
    for again in ("", "-again"):
        body = {"program_id": CINEMA, "occurred_at": _text(now)}
        answer = member.send("POST", f"{path}/sign-ins", f"{key}{again}", body)
        streak, given = answer["standing"]["streak"], answer["given"]
        if answer["already_done"]:
            console.print(f"[yellow]signed in already today; again from {answer['standing']['again_at']}")
        else:
            what = " and ".join(f"{each['points']} points" if each["points"] else "a coupon" for each in given)
            console.print(f"[green]signed in, day {streak['days']} of the streak: {what}")


def forecast(member: Caller, path: str) -> None:
    """What is missing to the next tier."""
    answer = member.get(f"{path}/membership/forecast", program_id=CINEMA)
    held, goal = answer["member"]["tier"]["display_name"], answer["next"]
    for each in goal["missing"]:
        missing = f"[green]{each['missing']} {each['measure']} to {goal['tier']['display_name']}[/]"
        console.print(f"{held} now; {missing} if earned before {goal['by'][:10]} ({each['condition']})")


def buy(member: Caller, path: str, key: str, now: datetime) -> None:
    """The shop as this member sees it, and one voucher for points."""
    shop = member.get(f"{path}/shop", program_id=CINEMA, language="en")
    for each in shop["offers"]:
        console.print(f"{each['text']['title']}: {each['points']} points {', '.join(each['obstacles'])}")
    (voucher,) = (each for each in shop["offers"] if each["item_id"] == "cinema-voucher")
    wanted = {"item_id": "cinema-voucher", "points_expected": voucher["points"], "occurred_at": _text(now)}
    order = member.send("POST", f"{path}/shop/orders", key, wanted)
    console.print(f"[green]bought for {order['points']} of {shop['points_available']} points: {order['coupon_id']}")


def quote(member: Caller, path: str, now: datetime) -> list[str]:
    """The best lawful combination for an order, and why each other coupon stays in the pocket; the coupons chosen."""
    names = {each["coupon_id"]: each["terms"]["display_name"] for each in member.get(f"{path}/coupons")["coupons"]}
    answer = member.send("POST", f"{path}/coupons/quote", "quote", {"order": ORDER, "occurred_at": _text(now)})
    pricing = answer["pricing"]
    table = Table("coupon", "off", "why not", title="Best combination", title_justify="left")
    for part in pricing["parts"]:
        table.add_row(names[part["coupon_id"]], _yuan(part["discount_minor_units"]), "")
    for other in answer["not_used"]:
        table.add_row(names[other["coupon_id"]], "", other["words"])
    console.print(table)
    console.print(f"{_yuan(pricing['discount']['minor_units'])} off, {_yuan(pricing['payable']['minor_units'])} to pay")
    return [part["coupon_id"] for part in pricing["parts"]]


def statement(member: Caller, path: str, now: datetime) -> None:
    """The month in figures, and every entry with the rule that gave it."""
    month = member.get(f"{path}/points/statements/{now:%Y-%m}", program_id=CINEMA)
    parts = ("opening", "earned", "spent", "expired", "closing")
    table = Table("when", "points", "balance", "what", "rule", title="Entries", title_justify="left")
    for each in member.get(f"{path}/points/entries", program_id=CINEMA)["entries"]:
        points = (f"{each['points']:+}", str(each["balance_after"]))
        table.add_row(each["occurred_at"][:10], *points, each["kind"], each["rule_id"] or each["purpose"])
    console.print(table)
    console.print(f"{month['month']}: " + ", ".join(f"{name} {month[name]}" for name in parts))


def _text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _yuan(minor_units: int) -> str:
    return f"{minor_units // 100}.{minor_units % 100:02} yuan"


def visit(member: Caller, customer: str, now: datetime) -> None:
    """What the member does in the app."""
    path = f"/customers/{customer}"
    console.rule("The member signs in", align="left")
    sign_in(member, path, f"{customer}-today", now)
    console.rule("What is missing to gold", align="left")
    forecast(member, path)
    console.rule("The rewards shop", align="left")
    buy(member, path, f"{customer}-buys", now)
    console.rule("An order", align="left")
    chosen = quote(member, path, now)
    spend = {"order": ORDER, "coupon_ids": chosen, "occurred_at": _text(now)}
    spent = member.send("POST", f"{path}/coupon-redemptions/{customer}-order", f"{customer}-order", spend)
    console.print(f"[green]redeemed {len(spent['coupons'])} coupons")
    console.rule("The month", align="left")
    statement(member, path, now)


def main(*, data: Annotated[Path, cyclopts.Parameter(help="Data folder of the platform.")] = Path(".local")) -> None:
    """Show a channel app at work: an operator's set-up, then one visit of a member."""
    now = datetime.now(UTC)
    customer = f"li-{now:%m%d-%H%M%S}"
    words = shlex.split((data / "env").read_text(encoding="utf-8"), comments=True)  # export NAME=value …
    env = dict(word.split("=", 1) for word in words if "=" in word)
    with httpx.Client(base_url=env["GATEWAY_URL"], timeout=30.0, trust_env=False) as gateway:
        operator = Caller(gateway, env["TOKEN"])
        console.rule("The operator sets up", align="left")
        set_up(operator)
        welcome(operator, customer, now)
        visit(Caller(gateway, token_of(data, customer)), customer, now)
        console.rule("Somebody else's token", align="left")
        headers = {"Authorization": f"Bearer {token_of(data, f'{customer}-next-door')}"}
        answer = gateway.get(f"/v1/customers/{customer}/points", headers=headers)
        console.print(f"[green]{answer.status_code} {answer.json()['reason']}: {answer.json()['detail']}")


def token_of(data: Path, customer: str) -> str:
    """A member's token, as `python -m local token --customer …` prints it."""
    command = [sys.executable, "-m", "local", "token", "--data", str(data), "--customer", customer]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    cyclopts.run(main)
