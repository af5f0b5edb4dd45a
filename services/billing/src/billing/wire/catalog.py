"""Products, prices and discounts on the wire."""

from datetime import datetime

from chassis.calendar import EARLIEST
from chassis.errors import InvalidArgument
from chassis.ids import check_id, check_text
from chassis.money import check_currency
from chassis.times import from_proto, from_proto_or, to_proto
from chassis.violations import range_violations, refuse_any
from touchstone.billing.v1 import catalog_pb2
from touchstone.billing.v1 import catalog_service_pb2 as pb
from touchstone.common.v1 import common_pb2

from billing.domain.discount import Discount, HeldTier
from billing.domain.ids import DiscountId, ProductId
from billing.domain.price import TIERS_MAX, UNITS_MAX, Price, PriceTier, TierMode, UnitPrice
from billing.domain.product import CYCLE_COUNT_MAX, Cadence, CycleUnit, Product, ProductKind
from billing.use_cases.catalog import Priced, ProductFilter
from billing.use_cases.rating import UsageWish
from billing.wire.reckoning import unit_price_to_proto
from billing.wire.value import account_id_from_proto, minor_to_proto, text_from_proto

GENERAL = "general"
"""The program that is meant where none is named."""
_KINDS = {
    catalog_pb2.PRODUCT_KIND_ONE_OFF: ProductKind.ONE_OFF,
    catalog_pb2.PRODUCT_KIND_RECURRING: ProductKind.RECURRING,
    catalog_pb2.PRODUCT_KIND_USAGE: ProductKind.USAGE,
}
_KINDS_TO_PROTO = {kind: number for number, kind in _KINDS.items()}
_UNITS = {
    catalog_pb2.CYCLE_UNIT_DAY: CycleUnit.DAY,
    catalog_pb2.CYCLE_UNIT_MONTH: CycleUnit.MONTH,
    catalog_pb2.CYCLE_UNIT_YEAR: CycleUnit.YEAR,
}
_UNITS_TO_PROTO = {unit: number for number, unit in _UNITS.items()}
_MODES = {
    catalog_pb2.TIER_MODE_GRADUATED: TierMode.GRADUATED,
    catalog_pb2.TIER_MODE_VOLUME: TierMode.VOLUME,
    catalog_pb2.TIER_MODE_PACKAGE: TierMode.PACKAGE,
}
_MODES_TO_PROTO = {mode: number for number, mode in _MODES.items()}
_UNIT_LENGTH_MAX = 32


def product_from_proto(product: catalog_pb2.Product) -> Product:
    """The product as it is wished; its revision is not the caller's to say."""
    if product.kind not in _KINDS:
        raise InvalidArgument("product.kind", "is required: one of the kinds of products")
    return Product(
        product_id=product_id_from_proto("product.product_id", product.product_id),
        display_name=text_from_proto("product.display_name", product.display_name, required=True),
        display_name_zh=text_from_proto("product.display_name_zh", product.display_name_zh),
        family=family_from_proto("product.family", product.family),
        kind=_KINDS[product.kind],
        cadence=_cadence_from_proto(product),
        unit=check_text("product.unit", product.unit, length_max=_UNIT_LENGTH_MAX),
        refundable=product.refundable,
        retired=product.retired,
    )


def product_to_proto(product: Product) -> catalog_pb2.Product:
    """The product as stored."""
    cadence = product.cadence
    return catalog_pb2.Product(
        product_id=product.product_id,
        display_name=product.display_name,
        display_name_zh=product.display_name_zh,
        family=product.family,
        kind=_KINDS_TO_PROTO[product.kind],
        cycle_unit=_UNITS_TO_PROTO[cadence.unit] if cadence else catalog_pb2.CYCLE_UNIT_UNSPECIFIED,
        cycle_count=cadence.every if cadence else 0,
        unit=product.unit,
        refundable=product.refundable,
        retired=product.retired,
        revision=product.revision,
    )


def priced_to_proto(priced: Priced) -> pb.GetProductResponse:
    """The answer to GetProduct."""
    return pb.GetProductResponse(
        product=product_to_proto(priced.product), prices=[price_to_proto(price) for price in priced.prices]
    )


def product_filter_from_proto(request: pb.ListProductsRequest) -> ProductFilter:
    """Which products are asked for."""
    return ProductFilter(family_from_proto("family", request.family), request.include_retired)


def price_from_proto(price: catalog_pb2.Price) -> Price:
    """The price as it is wished; its version is not the caller's to say."""
    currency = check_currency("price.currency", price.currency)
    if price.tier_mode and price.tier_mode not in _MODES:
        raise InvalidArgument("price.tier_mode", "is not a mode of tiers")
    if len(price.tiers) > TIERS_MAX:
        raise InvalidArgument("price.tiers", f"must have 0 to {TIERS_MAX} items")
    if price.HasField("amount"):
        _check_same(currency, price.amount, "price.amount.currency")
    return Price(
        product_id=product_id_from_proto("price.product_id", price.product_id),
        currency=currency,
        effective_from=from_proto(price.effective_from, "price.effective_from"),
        amount_minor=price.amount.minor_units if price.HasField("amount") else None,
        tier_mode=_MODES.get(price.tier_mode),
        tiers=tuple(_tier_from_proto(tier, currency, f"price.tiers[{n}]") for n, tier in enumerate(price.tiers)),
        package_size=price.package_size,
        tax_basis_points=price.tax_basis_points,
    )


def price_to_proto(price: Price) -> catalog_pb2.Price:
    """The price as stored."""
    whole = price.amount_minor
    return catalog_pb2.Price(
        product_id=price.product_id,
        currency=price.currency,
        version=price.version,
        effective_from=to_proto(price.effective_from),
        amount=minor_to_proto(whole, price.currency) if whole is not None else None,
        tier_mode=_MODES_TO_PROTO[price.tier_mode] if price.tier_mode else catalog_pb2.TIER_MODE_UNSPECIFIED,
        tiers=[_tier_to_proto(tier, price.currency) for tier in price.tiers],
        package_size=price.package_size,
        tax_basis_points=price.tax_basis_points,
    )


def discount_from_proto(discount: catalog_pb2.Discount) -> Discount:
    """The discount as it is wished; its revision is not the caller's to say."""
    until = discount.effective_until
    return Discount(
        discount_id=DiscountId(check_id("discount.discount_id", discount.discount_id)),
        display_name=text_from_proto("discount.display_name", discount.display_name, required=True),
        held=HeldTier(
            check_id("discount.program_id", discount.program_id or GENERAL),
            check_id("discount.tier_id", discount.tier_id),
        ),
        product_ids=tuple(check_id(f"discount.product_ids[{n}]", one) for n, one in enumerate(discount.product_ids)),
        families=tuple(check_id(f"discount.families[{n}]", one) for n, one in enumerate(discount.families)),
        basis_points=discount.basis_points,
        effective_from=from_proto_or(discount.effective_from, "discount.effective_from", EARLIEST),
        effective_until=from_proto(until, "discount.effective_until") if until.ByteSize() else None,
    )


def discount_to_proto(discount: Discount) -> catalog_pb2.Discount:
    """The discount as stored."""
    begins, ends = discount.effective_from, discount.effective_until
    return catalog_pb2.Discount(
        discount_id=discount.discount_id,
        display_name=discount.display_name,
        program_id=discount.held.program_id,
        tier_id=discount.held.tier_id,
        product_ids=discount.product_ids,
        families=discount.families,
        basis_points=discount.basis_points,
        effective_from=to_proto(begins) if begins != EARLIEST else None,
        effective_until=to_proto(ends) if ends else None,
        revision=discount.revision,
    )


def usage_wish_from_proto(request: pb.RateUsageRequest, now: datetime) -> UsageWish:
    """Units that are asked about."""
    refuse_any(range_violations("quantity", request.quantity, least=1, most=UNITS_MAX))
    return UsageWish(
        account_id_from_proto(request.account_id),
        product_id_from_proto("product_id", request.product_id),
        request.quantity,
        from_proto_or(request.occurred_at, "occurred_at", now),
    )


def product_id_from_proto(field: str, value: str) -> ProductId:
    """Refuses a malformed identifier of a product."""
    return ProductId(check_id(field, value))


def family_from_proto(field: str, value: str) -> str:
    """A family, or none."""
    return check_id(field, value) if value else ""


def _cadence_from_proto(product: catalog_pb2.Product) -> Cadence | None:
    if product.cycle_unit and product.cycle_unit not in _UNITS:
        raise InvalidArgument("product.cycle_unit", "is not a unit of cycles")
    if not product.cycle_unit:
        refuse_any(range_violations("product.cycle_count", product.cycle_count, least=0, most=0))
        return None
    refuse_any(range_violations("product.cycle_count", product.cycle_count, least=0, most=CYCLE_COUNT_MAX))
    return Cadence(product.cycle_count or 1, _UNITS[product.cycle_unit])


def _tier_from_proto(tier: catalog_pb2.PriceTier, currency: str, field: str) -> PriceTier:
    if tier.up_to < 0:
        raise InvalidArgument(f"{field}.up_to", "must be 0 or more")
    if tier.HasField("flat"):
        _check_same(currency, tier.flat, f"{field}.flat.currency")
    price = UnitPrice(tier.unit_price.minor_units, tier.unit_price.nanos)
    return PriceTier(tier.up_to or None, price, tier.flat.minor_units)


def _tier_to_proto(tier: PriceTier, currency: str) -> catalog_pb2.PriceTier:
    return catalog_pb2.PriceTier(
        up_to=tier.up_to or 0,
        unit_price=unit_price_to_proto(tier.unit_price),
        flat=minor_to_proto(tier.flat_minor, currency) if tier.flat_minor else None,
    )


def _check_same(currency: str, money: common_pb2.Money, field: str) -> None:
    if money.currency != currency:
        raise InvalidArgument(field, f"must be {currency}, the currency of the price")
