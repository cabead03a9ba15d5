"""Identifiers that look like Stripe's."""

from __future__ import annotations

import secrets
import string

_LETTERS = string.ascii_letters + string.digits
_SHAPES = {  # kind → (prefix, random letters)
    "checkout.session": ("cs_test_a1", 56),
    "payment_intent": ("pi_3", 23),
    "charge": ("ch_3", 23),
    "balance_transaction": ("txn_3", 23),
    "refund": ("re_3", 23),
    "dispute": ("dp_1", 23),
    "event": ("evt_1", 23),
    "payment_method": ("pm_1", 23),
    "customer": ("cus_", 14),
    "product": ("prod_", 14),
    "price": ("price_1", 23),
    "item": ("li_1", 23),
    "webhook_endpoint": ("we_1", 23),
    "request": ("req_", 14),
    "secret": ("whsec_", 32),
    "_delivery": ("dlv_", 16),
    "_timer": ("tmr_", 16),
}


def new_id(kind: str) -> str:
    """A fresh identifier of the length and prefix Stripe gives to this kind."""
    prefix, length = _SHAPES[kind]
    return prefix + letters(length)


def letters(length: int) -> str:
    """Unguessable letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))
