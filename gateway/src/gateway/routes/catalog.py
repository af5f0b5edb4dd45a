"""Products, their prices and discounts."""

from gateway.routing import create, get, put, router_of

_PRODUCT = "/products/{product_id}"

router = router_of(
    "catalog",
    [
        get("/products", "billing.v1.CatalogService.ListProducts"),
        get(_PRODUCT, "billing.v1.CatalogService.GetProduct"),
        put(_PRODUCT, "billing.v1.CatalogService.PutProduct", part="product", into="product"),
        get(f"{_PRODUCT}/prices", "billing.v1.CatalogService.ListPrices"),
        create(f"{_PRODUCT}/prices", "billing.v1.CatalogService.PutPrice", part="price", into="price"),
        get("/discounts", "billing.v1.CatalogService.ListDiscounts"),
        put("/discounts/{discount_id}", "billing.v1.CatalogService.PutDiscount", part="discount", into="discount"),
    ],
)
