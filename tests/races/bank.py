"""A bank in memory, in the place of Stripe: pages are paid or closed, never both, and its list is the truth."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from threading import Lock
from typing import Any
from uuid import uuid4

from bookings import stripe_gateway as gateway


class Bank:
    """What `bookings.stripe_gateway` asks. One thing at a time, as at Stripe: who comes second finds it done."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._one_at_a_time = Lock()
        self._pages: dict[str, gateway.CheckoutSession] = {}
        self._refunds: dict[str, gateway.Refund] = {}

    def stand_in(self, monkeypatch: Any) -> None:
        """Answer in Stripe's place."""
        for name in ("create_checkout", "fetch_checkout", "expire_checkout", "list_payments"):
            monkeypatch.setattr(gateway, name, getattr(self, name))
        for name in ("refund", "list_refunds", "list_disputes"):
            monkeypatch.setattr(gateway, name, getattr(self, name))

    def open(self, now: datetime) -> None:
        """A new day: no pages, no money."""
        self.now, self._pages, self._refunds = now, {}, {}

    def is_paid_by_client(self, session_id: str) -> bool:
        """The client pays a page that is open. False if it was paid or closed before."""
        with self._one_at_a_time:
            page = self._pages[session_id]
            if page.status != "open":
                return False
            self._pages[session_id] = replace(
                page, status="complete", payment_status="paid", payment_intent=f"pi_{uuid4().hex}", url=""
            )
            return True

    def create_checkout(
        self,
        *,
        public_id: str,
        amount: int,
        currency: str,
        email: str,
        expires_at: datetime,
        idempotency_key: str,
        metadata: Mapping[str, str],
        **_words: str,
    ) -> gateway.CheckoutSession:
        with self._one_at_a_time:
            page = gateway.CheckoutSession(
                id=f"cs_{idempotency_key}",
                url="https://bank.example/",
                status="open",
                payment_status="unpaid",
                amount=amount,
                currency=currency.lower(),
                payment_intent="",
                intent_status="",
                public_id=public_id,
                email=email,
                metadata=metadata,
                created_at=self.now,
                expires_at=expires_at,
            )
            return self._pages.setdefault(page.id, page)

    def fetch_checkout(self, session_id: str) -> gateway.CheckoutSession:
        return self._pages[session_id]

    def expire_checkout(self, session_id: str) -> gateway.CheckoutSession:
        with self._one_at_a_time:
            page = self._pages[session_id]
            if page.status == "open":
                self._pages[session_id] = replace(page, status="expired", url="")
            return self._pages[session_id]

    def refund(
        self,
        *,
        payment_intent: str,
        amount: int,
        idempotency_key: str,
        reason: str,
        metadata: Mapping[str, str],
    ) -> gateway.Refund:
        with self._one_at_a_time:
            sent = gateway.Refund(
                id=f"re_{idempotency_key}",
                status="succeeded",
                amount=amount,
                currency="usd",
                payment_intent=payment_intent,
                reason=reason,
                failure_reason="",
                metadata=metadata,
                created_at=self.now,
            )
            return self._refunds.setdefault(sent.id, sent)

    def list_payments(self, created_after: datetime) -> list[gateway.Payment]:
        paid = [page for page in self._pages.values() if page.is_paid]
        return [
            gateway.Payment(
                page.payment_intent, "succeeded", page.amount, page.currency, page.metadata, page.created_at
            )
            for page in paid
        ]

    def list_refunds(
        self, *, payment_intent: str | None = None, created_after: datetime | None = None
    ) -> list[gateway.Refund]:
        return [sent for sent in self._refunds.values() if payment_intent in (None, sent.payment_intent)]

    def list_disputes(self, *, created_after: datetime) -> list[gateway.Dispute]:
        return []
