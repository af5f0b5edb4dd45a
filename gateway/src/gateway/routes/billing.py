"""Accounts, recharges, statements and bills."""

from typing import Any, Literal

from fastapi import APIRouter
from touchstone.billing.v1 import billing_pb2 as resources
from touchstone.billing.v1 import billing_service_pb2 as pb
from touchstone.common.v1.common_pb2 import Money

from gateway.admission import Key, To, admits
from gateway.bodies import AccountBody, PageSize, PageToken, PaymentBody, RechargeBody
from gateway.schema import enum_number, model_of, to_json

router = APIRouter(prefix="/v1/customers/{customer_id}", tags=["billing"])


@router.get(
    "/accounts",
    dependencies=[admits("billing.v1.AccountService.ListAccounts")],
    response_model=model_of(pb.ListAccountsResponse),
)
async def list_accounts(customer_id: str, to: To, page_size: PageSize = 0, page_token: PageToken = "") -> Any:
    """The customer's accounts."""
    request = pb.ListAccountsRequest(customer_id=customer_id, page_size=page_size, page_token=page_token)
    return to_json(await to.accounts.ListAccounts(request))


@router.put(
    "/accounts/{account_id}",
    dependencies=[admits("billing.v1.AccountService.OpenAccount")],
    response_model=model_of(resources.Account),
)
async def open_account(customer_id: str, account_id: str, body: AccountBody, key: Key, to: To) -> Any:
    """Opens an account."""
    request = pb.OpenAccountRequest(
        request_id=key,
        account_id=account_id,
        customer_id=customer_id,
        currency=body.currency,
        plan_id=body.plan_id,
        occurred_at=body.when(),
    )
    return to_json((await to.accounts.OpenAccount(request)).account)


@router.get(
    "/accounts/{account_id}",
    dependencies=[admits("billing.v1.AccountService.GetAccount")],
    response_model=model_of(resources.Account),
)
async def get_account(customer_id: str, account_id: str, to: To) -> Any:
    """An account with its balance."""
    request = pb.GetAccountRequest(customer_id=customer_id, account_id=account_id)
    return to_json((await to.accounts.GetAccount(request)).account)


@router.get(
    "/accounts/{account_id}/entries",
    dependencies=[admits("billing.v1.AccountService.ListStatementEntries")],
    response_model=model_of(pb.ListStatementEntriesResponse),
)
async def list_entries(
    customer_id: str, account_id: str, to: To, page_size: PageSize = 0, page_token: PageToken = ""
) -> Any:
    """The account's statement, newest first."""
    request = pb.ListStatementEntriesRequest(
        customer_id=customer_id, account_id=account_id, page_size=page_size, page_token=page_token
    )
    return to_json(await to.accounts.ListStatementEntries(request))


@router.post(
    "/accounts/{account_id}/recharges",
    dependencies=[admits("billing.v1.AccountService.Recharge")],
    response_model=model_of(pb.RechargeResponse),
    status_code=201,
)
async def recharge(customer_id: str, account_id: str, body: RechargeBody, key: Key, to: To) -> Any:
    """Puts money into an account."""
    request = pb.RechargeRequest(
        request_id=key,
        customer_id=customer_id,
        account_id=account_id,
        amount=Money(**body.amount.model_dump()),
        channel=body.channel,
        occurred_at=body.when(),
    )
    return to_json(await to.accounts.Recharge(request))


@router.get(
    "/bills",
    dependencies=[admits("billing.v1.BillService.ListBills")],
    response_model=model_of(pb.ListBillsResponse),
)
async def list_bills(
    customer_id: str,
    to: To,
    state: Literal["OPEN", "PAID"] | None = None,
    page_size: PageSize = 0,
    page_token: PageToken = "",
) -> Any:
    """The customer's bills, newest first."""
    request = pb.ListBillsRequest(
        customer_id=customer_id,
        state=enum_number(resources.BillState.DESCRIPTOR, state or "UNSPECIFIED"),  # type: ignore[arg-type]
        page_size=page_size,
        page_token=page_token,
    )
    return to_json(await to.bills.ListBills(request))


@router.post(
    "/bills/{bill_id}/payment",
    dependencies=[admits("billing.v1.BillService.PayBill")],
    response_model=model_of(pb.PayBillResponse),
    status_code=201,
)
async def pay_bill(customer_id: str, bill_id: str, body: PaymentBody, key: Key, to: To) -> Any:
    """Pays an open bill: a recharge of its amount that closes it."""
    request = pb.PayBillRequest(
        request_id=key, customer_id=customer_id, bill_id=bill_id, channel=body.channel, occurred_at=body.when()
    )
    return to_json(await to.bills.PayBill(request))
