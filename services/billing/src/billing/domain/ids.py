"""Names of things. Account, customer and plan are named by BOSS, the others here."""

from typing import NewType

AccountId = NewType("AccountId", str)
CustomerId = NewType("CustomerId", str)
PlanId = NewType("PlanId", str)
BillId = NewType("BillId", str)
ChargeId = NewType("ChargeId", str)
TransactionId = NewType("TransactionId", str)
"""A transaction of the ledger, named after its cause, e.g. `charge:<charge id>`."""
ProductId = NewType("ProductId", str)
DiscountId = NewType("DiscountId", str)
OrderId = NewType("OrderId", str)
SubscriptionId = NewType("SubscriptionId", str)
