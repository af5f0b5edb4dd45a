"""Billing's composition root: `python -m billing serve` and `python -m billing migrate`."""

from chassis.calendar import Calendar
from chassis.process import Parts, Process, Served, Servicer, run
from touchstone.billing.v1 import account_service_pb2_grpc as account_grpc
from touchstone.billing.v1 import bill_service_pb2_grpc as bill_grpc
from touchstone.billing.v1 import catalog_service_pb2_grpc as catalog_grpc
from touchstone.billing.v1 import charging_service_pb2_grpc as charging_grpc
from touchstone.billing.v1 import order_service_pb2_grpc as order_grpc
from touchstone.billing.v1 import usage_service_pb2_grpc as usage_grpc

from billing.api.account import AccountApi
from billing.api.bill import BillApi
from billing.api.catalog import CatalogApi
from billing.api.charging import ChargingApi
from billing.api.order import OrderApi
from billing.api.usage import UsageApi
from billing.jobs import timed
from billing.settings import BillingSettings
from billing.use_cases.proof import prove
from billing.use_cases.quote import Sale
from billing.wire import FACTS


def build(parts: Parts[BillingSettings]) -> Served:
    """Puts billing together. It listens to no events."""
    calendar = Calendar(parts.settings.zone)
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
        ),
        timed=timed(calendar),
        prove=prove,
    )


PROCESS = Process(name="billing", package="billing", settings=BillingSettings, facts=FACTS, build=build)

if __name__ == "__main__":
    run(PROCESS)
