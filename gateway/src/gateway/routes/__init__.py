"""The routes, a module for each room of the interface."""

from gateway.routes import (
    activities,
    benefits,
    billing,
    callbacks,
    campaign,
    care,
    clubs,
    consents,
    coupons,
    customers,
    earning,
    home,
    memberships,
    merchants,
    package_migrations,
    payments,
    points,
    programs,
    scoring,
    shop,
    tasks,
    touchpoint,
)

ROUTERS = [
    each.router
    for each in (
        home,
        customers,
        consents,
        care,
        memberships,
        programs,
        benefits,
        package_migrations,
        points,
        earning,
        coupons,
        tasks,
        activities,
        clubs,
        merchants,
        shop,
        billing,
        payments,
        callbacks,
        touchpoint,
        campaign,
        scoring,
    )
]
