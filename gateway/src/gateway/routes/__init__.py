"""The routes, by the service that stands behind them; the member home page gathers from all."""
