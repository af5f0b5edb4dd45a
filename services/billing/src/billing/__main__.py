"""Billing's composition root: `python -m billing serve` and `python -m billing migrate`."""

from datetime import timedelta
from types import ModuleType

from chassis.calendar import Calendar
from chassis.process import Parts, Process, Served, Servicer, run
from touchstone.billing.v1 import account_service_pb2_grpc as account_grpc
from touchstone.billing.v1 import balance_migration_service_pb2_grpc as migration_grpc
from touchstone.billing.v1 import bill_service_pb2_grpc as bill_grpc
from touchstone.billing.v1 import catalog_service_pb2_grpc as catalog_grpc
from touchstone.billing.v1 import charging_service_pb2_grpc as charging_grpc
from touchstone.billing.v1 import notice_service_pb2_grpc as notice_grpc
from touchstone.billing.v1 import order_service_pb2_grpc as order_grpc
from touchstone.billing.v1 import payment_service_pb2_grpc as payment_grpc
from touchstone.billing.v1 import proof_service_pb2_grpc as proof_grpc
from touchstone.billing.v1 import top_up_service_pb2_grpc as top_up_grpc
from touchstone.billing.v1 import usage_service_pb2_grpc as usage_grpc

from billing.api.account import AccountApi
from billing.api.balance_migration import BalanceMigrationApi
from billing.api.bill import BillApi
from billing.api.catalog import CatalogApi
from billing.api.charging import ChargingApi
from billing.api.notice import NoticeApi
from billing.api.order import OrderApi
from billing.api.payment import PaymentApi
from billing.api.placing import Placing
from billing.api.proof import ProofApi
from billing.api.sending import Sending
from billing.api.top_up import TopUpApi
from billing.api.usage import UsageApi
from billing.channels import open_channels
from billing.clients.member import MemberClient
from billing.consumers import handlers
from billing.jobs import timed
from billing.settings import BillingSettings
from billing.use_cases.proof import prove
from billing.use_cases.quote import Sale
from billing.wire import FACTS


def _member(parts: Parts[BillingSettings]) -> MemberClient | None:
    """The member service, where its address is known."""
    settings = parts.settings
    if not settings.member_target:
        return None
    return MemberClient(parts.channel(settings.member_target), settings.member_timeout_seconds)


def build(parts: Parts[BillingSettings]) -> Served:
    """Puts billing together."""
    settings, calendar = parts.settings, Calendar(parts.settings.zone)
    channels = open_channels(settings.payment_channels_file, timeout_seconds=settings.payment_channel_seconds)
    sending = Sending(parts.work, channels, calendar)
    payments = PaymentApi(
        parts.work,
        channels,
        calendar,
        sending=sending,
        counted_for=timedelta(minutes=settings.payment_page_minutes),
    )
    sale = Sale(calendar, settings.cycle_anchor_day)
    placing = Placing(parts.work, sale, _member(parts))
    return Served(
        servicers=(
            _servicer(account_grpc, "AccountService", AccountApi(parts.work, calendar)),
            _servicer(charging_grpc, "ChargingService", ChargingApi(parts.work, calendar)),
            _servicer(usage_grpc, "UsageService", UsageApi(parts.work, calendar)),
            _servicer(bill_grpc, "BillService", BillApi(parts.work, calendar)),
            _servicer(catalog_grpc, "CatalogService", CatalogApi(parts.work, calendar)),
            _servicer(order_grpc, "OrderService", OrderApi(parts.work, sale, placing)),
            _servicer(payment_grpc, "PaymentService", payments),
            _servicer(top_up_grpc, "TopUpService", TopUpApi(parts.work, channels, calendar)),
            _servicer(notice_grpc, "NoticeService", NoticeApi(parts.work, calendar)),
            _servicer(proof_grpc, "ProofService", ProofApi(parts.work, calendar, settings.export_folder)),
            _servicer(migration_grpc, "BalanceMigrationService", BalanceMigrationApi(parts.work, calendar)),
        ),
        background=(sending.keep_sending,) if settings.timed_work else (),
        handlers=handlers(),
        timed=timed(calendar, close_after=timedelta(hours=settings.close_days_after_hours)),
        prove=prove,
    )


def _servicer(module: ModuleType, service: str, api: object) -> Servicer:
    """The service of a generated module, answered by `api`."""
    return Servicer(f"touchstone.billing.v1.{service}", getattr(module, f"add_{service}Servicer_to_server"), api)


PROCESS = Process(name="billing", package="billing", settings=BillingSettings, facts=FACTS, build=build)

if __name__ == "__main__":
    run(PROCESS)
