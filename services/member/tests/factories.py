"""Customers, programs and members to test with."""
