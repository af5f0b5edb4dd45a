"""Billing's composition root: `python -m billing serve` and `python -m billing migrate`."""

from chassis.calendar import Calendar
from chassis.process import Parts, Process, Served, Servicer, run
from touchstone.billing.v1 import account_service_pb2_grpc as account_grpc
from touchstone.billing.v1 import bill_service_pb2_grpc as bill_grpc
from touchstone.billing.v1 import catalog_service_pb2_grpc as catalog_grpc
from touchstone.billing.v1 import charging_service_pb2_grpc as charging_grpc
from touchstone.billing.v1 import order_service_pb2_grpc as order_grpc
from touchstone.billing.v1 import payment_service_pb2_grpc as payment_grpc
from touchstone.billing.v1 import top_up_service_pb2_grpc as top_up_grpc
from touchstone.billing.v1 import usage_service_pb2_grpc as usage_grpc

from billing.api.account import AccountApi
from billing.api.bill import BillApi
from billing.api.catalog import CatalogApi
from billing.api.charging import ChargingApi
from billing.api.order import OrderApi
from billing.api.payment import PaymentApi
from billing.api.sending import Sending
from billing.api.top_up import TopUpApi
from billing.api.usage import UsageApi
from billing.channels import open_channels
from billing.jobs import timed
from billing.settings import BillingSettings
from billing.use_cases.proof import prove
from billing.use_cases.quote import Sale
from billing.wire import FACTS


def build(parts: Parts[BillingSettings]) -> Served:
    """Puts billing together. It listens to no events."""
    settings, calendar = parts.settings, Calendar(parts.settings.zone)
    channels = open_channels(settings.payment_channels_file, timeout_seconds=settings.payment_channel_seconds)
    sending = Sending(parts.work, channels, calendar)
    return Served(
        servicers=(
            Servicer(
                "touchstone.billing.v1.AccountService",
                account_grpc.add_AccountServiceServicer_to_server,
                AccountApi(parts.work, calendar),
            ),
            Servicer(
                "touchstone.billing.v1.ChargingService",
                charging_grpc.add_ChargingServiceServicer_to_server,
                ChargingApi(parts.work, calendar),
            ),
            Servicer(
                "touchstone.billing.v1.UsageService",
                usage_grpc.add_UsageServiceServicer_to_server,
                UsageApi(parts.work, calendar),
            ),
            Servicer(
                "touchstone.billing.v1.BillService",
                bill_grpc.add_BillServiceServicer_to_server,
                BillApi(parts.work, calendar),
            ),
            Servicer(
                "touchstone.billing.v1.CatalogService",
                catalog_grpc.add_CatalogServiceServicer_to_server,
                CatalogApi(parts.work, calendar),
            ),
            Servicer(
                "touchstone.billing.v1.OrderService",
                order_grpc.add_OrderServiceServicer_to_server,
                OrderApi(parts.work, Sale(calendar, parts.settings.cycle_anchor_day)),
            ),
            Servicer(
                "touchstone.billing.v1.PaymentService",
                payment_grpc.add_PaymentServiceServicer_to_server,
                PaymentApi(parts.work, channels, calendar, sending),
            ),
            Servicer(
                "touchstone.billing.v1.TopUpService",
                top_up_grpc.add_TopUpServiceServicer_to_server,
                TopUpApi(parts.work, channels, calendar),
            ),
        ),
        background=(sending.keep_sending,) if settings.timed_work else (),
        timed=timed(calendar),
        prove=prove,
    )


PROCESS = Process(name="billing", package="billing", settings=BillingSettings, facts=FACTS, build=build)

if __name__ == "__main__":
    run(PROCESS)
