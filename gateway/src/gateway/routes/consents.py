"""Consent: given and withdrawn by one call each."""

from gateway.routing import get, post, router_of

_CONSENTS = "/customers/{customer_id}/consents"
_SERVICE = "member.v1.ConsentService"

router = router_of(
    "consents",
    [
        get(_CONSENTS, f"{_SERVICE}.ListConsents"),
        get("/customers/{customer_id}/consent-history", f"{_SERVICE}.ListConsentHistory"),
        post(f"{_CONSENTS}/{{purpose}}/give", f"{_SERVICE}.GiveConsent", part="consent"),
        post(f"{_CONSENTS}/{{purpose}}/withdraw", f"{_SERVICE}.WithdrawConsent", part="consent"),
    ],
)
