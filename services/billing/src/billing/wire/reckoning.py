"""Reckonings on the wire."""

from chassis.times import to_proto
from touchstone.billing.v1 import catalog_pb2

from billing.domain.price import UnitPrice
from billing.domain.reckoning import Line, LineKind, Reckoned
from billing.wire.value import minor_to_proto

_KINDS = {
    LineKind.LIST: catalog_pb2.RECKONING_LINE_KIND_LIST,
    LineKind.PRORATION: catalog_pb2.RECKONING_LINE_KIND_PRORATION,
    LineKind.TIER_DISCOUNT: catalog_pb2.RECKONING_LINE_KIND_TIER_DISCOUNT,
    LineKind.COUPON: catalog_pb2.RECKONING_LINE_KIND_COUPON,
    LineKind.POINTS: catalog_pb2.RECKONING_LINE_KIND_POINTS,
    LineKind.ROUNDING: catalog_pb2.RECKONING_LINE_KIND_ROUNDING,
}


def reckoning_to_proto(reckoned: Reckoned) -> catalog_pb2.Reckoning:
    """How an amount came about."""
    reckoning = reckoned.reckoning
    currency = reckoning.currency
    return catalog_pb2.Reckoning(
        reckoning_id=reckoned.reckoning_id,
        lines=[_line_to_proto(line, currency) for line in reckoning.lines],
        total=minor_to_proto(reckoning.total_minor, currency),
        list_total=minor_to_proto(reckoning.list_total_minor, currency),
        tax_included=minor_to_proto(reckoning.tax_minor, currency),
        rated_at=to_proto(reckoned.rated_at),
    )


def unit_price_to_proto(price: UnitPrice) -> catalog_pb2.UnitPrice:
    """A price finer than the minor unit."""
    return catalog_pb2.UnitPrice(minor_units=price.minor_units, nanos=price.nanos)


def _line_to_proto(line: Line, currency: str) -> catalog_pb2.ReckoningLine:
    return catalog_pb2.ReckoningLine(
        kind=_KINDS[line.kind],
        product_id=line.product_id,
        description=line.description,
        quantity=line.quantity,
        of_quantity=line.of_quantity,
        unit_price=unit_price_to_proto(line.unit_price) if line.unit_price is not None else None,
        amount=minor_to_proto(line.amount_minor, currency),
        reference=line.reference,
        price_version=line.price_version,
    )
