"""The aggregating REST gateway for channel apps and operators: no rule and no state of its own."""
