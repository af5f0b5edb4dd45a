"""Billing: one universal balance per account, rated charges, and bills when a balance falls below its threshold."""
