"""A customer's year over gRPC, played by BOSS month by month, with its statements and its payment notice.

Run it while `make up` runs. The year is the one that ends with last month; every run plays it on an account of its own.
The account hangs on a plan that bills below 50 yuan, up to 200; each bill is paid three days later, but not the last
month's.
"""

import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from zlib import crc32

import cyclopts
import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table
from touchstone.billing.v1 import account_service_pb2 as account_pb
from touchstone.billing.v1 import account_service_pb2_grpc as account_grpc
from touchstone.billing.v1 import bill_service_pb2 as bill_pb
from touchstone.billing.v1 import bill_service_pb2_grpc as bill_grpc
from touchstone.billing.v1 import billing_pb2, notice_pb2
from touchstone.billing.v1 import charging_service_pb2 as charging_pb
from touchstone.billing.v1 import charging_service_pb2_grpc as charging_grpc
from touchstone.billing.v1 import notice_service_pb2 as pb
from touchstone.billing.v1 import notice_service_pb2_grpc as notice_grpc
from touchstone.common.v1.common_pb2 import Money

CALL_SECONDS = 30.0
MONTHS = 12
TV_FEE, FILMS = 39_00, (6_00, 12_00, 15_00)
PAID_AFTER = timedelta(days=3)
FORMATS = {"html": notice_pb2.DOCUMENT_FORMAT_HTML, "pdf": notice_pb2.DOCUMENT_FORMAT_PDF}
console = Console(highlight=False, soft_wrap=True)


class Boss:
    """Billing as BOSS calls it, with its token."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self.accounts = account_grpc.AccountServiceStub(channel)
        self.charging = charging_grpc.ChargingServiceStub(channel)
        self.bills = bill_grpc.BillServiceStub(channel)
        self.notices = notice_grpc.NoticeServiceStub(channel)
        self._metadata = [("authorization", f"Bearer {token}")]

    def __call__(self, method: Any, request: Any) -> Any:
        """Calls, or ends with what the service says is wrong."""
        try:
            return method(request, metadata=self._metadata, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            raise SystemExit(f"{error.code().name}: {error.details()}") from None


class Household:
    """One account, and what happens to it. A request's key is made of what it is about: a repeat has no effect."""

    def __init__(self, boss: Boss, name: str, opened_at: datetime) -> None:
        self._boss, self.account_id = boss, f"{name}-a"
        plan = billing_pb2.BillPlan(
            plan_id="year-plan", display_name="A year", threshold=_cny(50_00), target_balance=_cny(200_00), due_days=14
        )
        boss(boss.bills.PutBillPlan, bill_pb.PutBillPlanRequest(request_id="year-plan", plan=plan))
        opening = account_pb.OpenAccountRequest(
            request_id=self._key("open"),
            account_id=self.account_id,
            customer_id=name,
            currency="CNY",
            plan_id="year-plan",
            occurred_at=_at(opened_at),
        )
        boss(boss.accounts.OpenAccount, opening)

    def recharge(self, amount: int, channel: str, when: datetime) -> None:
        """Money in."""
        request = account_pb.RechargeRequest(
            request_id=self._key("recharge", when),
            account_id=self.account_id,
            amount=_cny(amount),
            channel=channel,
            occurred_at=_at(when),
        )
        self._boss(self._boss.accounts.Recharge, request)

    def charge(self, amount: int, description: str, when: datetime) -> Any:
        """A rated charge; the answer has the bill that it caused, where it crossed the threshold."""
        request = charging_pb.ChargeRequest(
            request_id=self._key(description, when),
            account_id=self.account_id,
            amount=_cny(amount),
            description=description,
            occurred_at=_at(when),
        )
        return self._boss(self._boss.charging.Charge, request)

    def give_back(self, charge_id: str, when: datetime) -> None:
        """A charge turned back into balance."""
        request = charging_pb.RefundChargeRequest(
            request_id=self._key("refund", when),
            charge_id=charge_id,
            reason="the film broke off",
            occurred_at=_at(when),
        )
        self._boss(self._boss.charging.RefundCharge, request)

    def pay(self, bill: billing_pb2.Bill, when: datetime) -> None:
        """Pays a bill."""
        request = bill_pb.PayBillRequest(
            request_id=self._key("pay", when), bill_id=bill.bill_id, channel="bank", occurred_at=_at(when)
        )
        self._boss(self._boss.bills.PayBill, request)

    def _key(self, what: str, when: datetime | None = None) -> str:
        return f"{self.account_id}-{crc32(f'{what} {when}'.encode())}"


def play(household: Household, months: list[datetime]) -> None:
    """Twelve months: a fee on the first, films in between, a refund in the seventh; bills, paid but for the last."""
    bills = 0
    household.recharge(160_00, "counter", months[0] + timedelta(hours=10))
    for number, first in enumerate(months):
        wanted = [(TV_FEE, "TV basic", first + timedelta(hours=11))]
        for film in range(1 + number % 4):
            when = first + timedelta(days=3 + 6 * film + number % 5, hours=20)
            wanted.append((FILMS[(number + film) % len(FILMS)], "Film", when))
        for amount, description, when in wanted:
            answer = household.charge(amount, description, when)
            if answer.HasField("bill"):
                bills += 1
                if first != months[-1]:
                    household.pay(answer.bill, when + PAID_AFTER)
        if number == MONTHS // 2:
            household.give_back(answer.charge_id, first + timedelta(days=27))
    console.print(f"[green]a year played: {bills} bills, each issued by the charge that crossed the threshold")


def show_year(boss: Boss, account_id: str, months: list[datetime]) -> None:
    """Each month's statement: it begins where the one before ended, and its parts sum to its end."""
    table = Table("month", "opening", "kind", "entries", "amount", "closing", title="The year", title_justify="left")
    before = 0
    for first in months:
        asked = pb.GetStatementRequest(account_id=account_id, month=f"{first:%Y-%m}")
        statement = boss(boss.notices.GetStatement, asked).statement
        opening, closing = statement.opening.minor_units, statement.closing.minor_units
        parts = sum(section.amount.minor_units for section in statement.sections)
        if (opening, closing) != (before, opening + parts):
            raise SystemExit(f"the statement of {first:%Y-%m} does not add up")
        before = closing
        for place, section in enumerate(statement.sections):
            last = place == len(statement.sections) - 1
            table.add_row(
                f"{first:%Y-%m}" if not place else "",
                _yuan(opening) if not place else "",
                section.kind,
                str(section.entries),
                _yuan(section.amount.minor_units),
                _yuan(closing) if last else "",
                end_section=last,
            )
    console.print(table)


def show_notice(boss: Boss, account_id: str) -> None:
    """What is to be paid now, line by line from the business as it stands."""
    notice = boss(
        boss.notices.GetPaymentNotice, pb.GetPaymentNoticeRequest(account_id=account_id, language="en")
    ).notice
    table = Table("when", "what", "amount", title="Payment notice", title_justify="left")
    for line in notice.lines:
        table.add_row(line.occurred_at.ToJsonString()[:10], line.description, _yuan(line.amount.minor_units))
    console.print(table)
    console.print(f"balance {_yuan(notice.balance.balance.minor_units)}, to pay {_yuan(notice.to_pay.minor_units)}")


def write_documents(boss: Boss, account_id: str, folder: Path, month: datetime) -> None:
    """The notice and the last month's statement as a customer gets them: pages and PDF, in Chinese and English."""
    folder.mkdir(parents=True, exist_ok=True)
    for language in ("zh", "en"):
        for form in FORMATS.values():
            rest: dict[str, Any] = {"account_id": account_id, "language": language, "format": form}
            notice = boss(boss.notices.RenderPaymentNotice, pb.RenderPaymentNoticeRequest(**rest))
            asked = pb.RenderStatementRequest(**rest, month=f"{month:%Y-%m}")
            for document in (notice, boss(boss.notices.RenderStatement, asked)):
                path = folder / f"{language}-{document.file_name}"
                path.write_bytes(document.content)
                console.print(f"  [dim]{path}, {len(document.content):,} bytes")


def year_before(now: datetime) -> list[datetime]:
    """The first days of the twelve months that ended last."""
    months = [(now.year * 12 + now.month - 1) - back for back in range(MONTHS, 0, -1)]
    return [datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in months]


def _cny(minor_units: int) -> Money:
    return Money(minor_units=minor_units, currency="CNY")


def _yuan(minor_units: int) -> str:
    return f"{minor_units / 100:,.2f}"


def _at(instant: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp


def main(
    *,
    documents: Annotated[Path | None, cyclopts.Parameter(help="Folder to write the documents to.")] = None,
    data: Annotated[Path, cyclopts.Parameter(help="Data folder of the platform.")] = Path(".local"),
) -> None:
    """Play a customer's year and print its statements."""
    words = shlex.split((data / "env").read_text(encoding="utf-8"), comments=True)  # export NAME=value …
    env = dict(word.split("=", 1) for word in words if "=" in word)
    now = datetime.now(UTC)
    months = year_before(now)
    with grpc.insecure_channel(env["BILLING_GRPC"]) as channel:
        boss = Boss(channel, env["TOKEN"])
        household = Household(boss, f"year-{now:%Y%m%d%H%M%S}", months[0])
        play(household, months)
        show_year(boss, household.account_id, months)
        show_notice(boss, household.account_id)
        if documents is not None:
            write_documents(boss, household.account_id, documents, months[-1])


if __name__ == "__main__":
    cyclopts.run(main)
