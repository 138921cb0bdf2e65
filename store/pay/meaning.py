"""What an answer, or the lack of one, means for an attempt. Pure.

Only the provider's own signed word may mean that nothing was taken; whatever is unclear is asked about.
"""

from __future__ import annotations

from store.pay.provider import (
    PAID,
    UNPAID_FOR_EVER,
    BadAnswer,
    BadSignature,
    NotReached,
    Order,
    PayError,
    Refunded,
    Refused,
    StaleAnswer,
)

Result = Order | Refunded | PayError | None
"""How a call ended; None: a reverse that was done."""

NEVER_HAPPENED = frozenset(
    (
        *("AUTH_CODE_EXPIRED", "AUTH_CODE_INVALID", "AUTH_CODE_ERROR", "AUTHCODEEXPIRE"),
        *("NOT_ENOUGH", "NOTENOUGH", "USER_ACCOUNT_ABNORMAL", "ACCOUNT_ERROR", "NOTSUPORTCARD"),
        *("RULE_LIMIT", "RULELIMIT", "FREQUENCY_LIMITED", "PARAM_ERROR", "NO_AUTH", "SIGN_ERROR"),
        *("MCH_NOT_EXISTS", "APPID_MCHID_NOT_MATCH"),
    )
)
"""Signed refusals of a charge after which there is no order. Any other code is looked into by a query."""
OURS = frozenset(
    ("SIGN_ERROR", "NO_AUTH", "MCH_NOT_EXISTS", "APPID_MCHID_NOT_MATCH", "PARAM_ERROR", "FREQUENCY_LIMITED")
)
"""Refusals that are the shop's own fault: somebody must look at its settings."""


def event_of(call: str, result: Result) -> str:
    """What the end of ``call`` means for the table. None: a reverse that was done."""
    if isinstance(result, NotReached):
        return "unreached" if call != "query" else "unclear"
    if isinstance(result, Refused):
        return _refusal(call, result.code)
    if isinstance(result, PayError):
        return "unclear"
    if isinstance(result, Order):
        if result.state in PAID:
            return "paid"
        return "closed" if result.state in UNPAID_FOR_EVER else result.state.lower()
    if isinstance(result, Refunded):
        return {"SUCCESS": "refunded", "PROCESSING": "unclear"}.get(result.state, "refused")
    return "reversed"


def _refusal(call: str, code: str) -> str:
    if code in ("SYSTEM_ERROR", "SYSTEMERROR", "BANK_ERROR", "BANKERROR"):
        return "systemerror"
    if call in ("query", "reverse") and code in ("ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"):
        return "missing"
    if call == "charge":
        if code in ("USERPAYING", "USER_PAYING"):
            return "userpaying"
        return "declined" if code in NEVER_HAPPENED else "unclear"
    return "unclear" if call == "query" else "refused"


def worth_a_look(result: Result) -> str:
    """The alarm for an answer that a person should know of, else ""."""
    if isinstance(result, Refused) and result.code in OURS:
        return "pay-settings"
    return "pay-answer" if isinstance(result, BadSignature | StaleAnswer | BadAnswer) else ""


def reason_of(event: str, result: Result) -> str:
    """For the ledger and the operator: the provider's word, else the event."""
    if isinstance(result, PayError):
        return f"{type(result).__name__}: {result}"[:200]
    if isinstance(result, Order | Refunded) and result.reason:
        return result.reason[:200]
    return event
