"""The routes, a module for each room of the interface."""

from gateway.routes import billing, campaign, customers, home, memberships, points, scoring, touchpoint

ROUTERS = [each.router for each in (home, customers, memberships, points, billing, touchpoint, campaign, scoring)]
