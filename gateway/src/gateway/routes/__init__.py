"""The routes, a module for each room of the interface."""

from gateway.routes import (
    billing,
    campaign,
    clubs,
    customers,
    home,
    memberships,
    merchants,
    points,
    scoring,
    shop,
    touchpoint,
)

ROUTERS = [
    each.router
    for each in (home, customers, memberships, points, clubs, merchants, shop, billing, touchpoint, campaign, scoring)
]
