"""Payments through channels, stored means of payment and automatic top-up."""

from gateway.routing import create, delete, get, put, router_of

_CUSTOMER = "/customers/{customer_id}"
_ACCOUNT = f"{_CUSTOMER}/accounts/{{account_id}}"
_PAYMENT = f"{_CUSTOMER}/payments/{{payment_id}}"

router = router_of(
    "payments",
    [
        get("/payment-channels", "billing.v1.PaymentService.ListPaymentChannels"),
        get(f"{_CUSTOMER}/payments", "billing.v1.PaymentService.ListPayments"),
        create(f"{_ACCOUNT}/payments", "billing.v1.PaymentService.CreatePayment", part="payment"),
        get(_PAYMENT, "billing.v1.PaymentService.GetPayment", part="payment"),
        delete(_PAYMENT, "billing.v1.PaymentService.CancelPayment", part="payment"),
        get(f"{_ACCOUNT}/payment-tokens", "billing.v1.TopUpService.ListPaymentTokens"),
        put(f"{_ACCOUNT}/payment-tokens/{{token_id}}", "billing.v1.TopUpService.PutPaymentToken", part="token"),
        delete(f"{_ACCOUNT}/payment-tokens/{{token_id}}", "billing.v1.TopUpService.RemovePaymentToken", part="token"),
        get(f"{_ACCOUNT}/top-up", "billing.v1.TopUpService.GetTopUpRule", part="rule"),
        put(f"{_ACCOUNT}/top-up", "billing.v1.TopUpService.PutTopUpRule", part="rule"),
    ],
)
