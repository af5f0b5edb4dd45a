"""The kinds that bills, crossings and accounts come in, on the wire."""

from touchstone.billing.v1 import billing_pb2

from billing.domain.account import AccountState
from billing.domain.bill import BillKind, BillState
from billing.domain.threshold import CrossingCause

STATE_TO_PROTO = {
    AccountState.ACTIVE: billing_pb2.ACCOUNT_STATE_ACTIVE,
    AccountState.SUSPENDED: billing_pb2.ACCOUNT_STATE_SUSPENDED,
}
CAUSE_TO_PROTO = {
    CrossingCause.DEBIT: billing_pb2.CROSSING_CAUSE_DEBIT,
    CrossingCause.EXPIRY: billing_pb2.CROSSING_CAUSE_EXPIRY,
    CrossingCause.PLAN: billing_pb2.CROSSING_CAUSE_PLAN,
    CrossingCause.CREDIT_LIMIT: billing_pb2.CROSSING_CAUSE_CREDIT_LIMIT,
    CrossingCause.DUE_CHARGE: billing_pb2.CROSSING_CAUSE_DUE_CHARGE,
}
BILL_KIND_TO_PROTO = {
    BillKind.ORIGINAL: billing_pb2.BILL_KIND_ORIGINAL,
    BillKind.SUPPLEMENT: billing_pb2.BILL_KIND_SUPPLEMENT,
    BillKind.CREDIT_NOTE: billing_pb2.BILL_KIND_CREDIT_NOTE,
}
BILL_STATE_TO_PROTO = {
    BillState.OPEN: billing_pb2.BILL_STATE_OPEN,
    BillState.PAID: billing_pb2.BILL_STATE_PAID,
    BillState.CLOSED: billing_pb2.BILL_STATE_CLOSED,
}
