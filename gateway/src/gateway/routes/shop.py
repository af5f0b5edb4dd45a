"""The rewards shop: what members see and order, and what operators stock and hand over."""

from gateway.routing import create, get, post, put, router_of

_ITEM = "/shop/items/{item_id}"
_OWN = "/customers/{customer_id}/shop"
_SERVICE = "member.v1.ShopService"

router = router_of(
    "shop",
    [
        get("/shop/items", f"{_SERVICE}.ListShopItems"),
        get(_ITEM, f"{_SERVICE}.GetShopItem", part="item"),
        put(_ITEM, f"{_SERVICE}.PutShopItem", into="item", part="item"),
        post(f"{_ITEM}/stock", f"{_SERVICE}.ChangeShopStock", part="item"),
        post(f"{_ITEM}/codes", f"{_SERVICE}.AddShopCodes", part="item"),
        get("/shop/orders", f"{_SERVICE}.ListOrdersToFulfil"),
        post("/shop/orders/{order_id}/fulfil", f"{_SERVICE}.FulfilShopOrder", part="order"),
        get(_OWN, f"{_SERVICE}.BrowseShop"),
        get(f"{_OWN}/orders", f"{_SERVICE}.ListShopOrders"),
        create(f"{_OWN}/orders", f"{_SERVICE}.PlaceShopOrder", part="order"),
        post(f"{_OWN}/orders/{{order_id}}/cancel", f"{_SERVICE}.CancelShopOrder", part="order"),
    ],
)
