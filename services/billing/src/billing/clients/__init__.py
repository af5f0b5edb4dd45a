"""Calls that leave the process: to the member service, for what orders set aside there."""
