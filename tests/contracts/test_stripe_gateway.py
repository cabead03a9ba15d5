"""Our door to Stripe against the test server: what it returns, what it refuses, and what a bad network does to it."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe

from bookings import stripe_gateway as gateway
from devtools.stripe_server import Receiver, StripeControl, receiving, running, sign
from devtools.tcp_proxy import TcpProxy, Weather, proxied


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def server(receiver: Receiver, settings: Any) -> Iterator[StripeControl]:
    with running(webhook_url=receiver.url) as control:
        settings.STRIPE_SECRET_KEY = control.api_key
        settings.STRIPE_WEBHOOK_SECRET = control.webhook_secret
        settings.STRIPE_API_BASE = control.url
        settings.STRIPE_LIVE = False
        yield control


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same client with timeouts a test can wait for."""
    monkeypatch.setattr(gateway, "CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(gateway, "READ_SECONDS", 0.5)
    gateway._client.cache_clear()
    yield
    gateway._client.cache_clear()


@pytest.fixture
def line(server: StripeControl, settings: Any, impatient: None) -> Iterator[TcpProxy]:
    """The network between us and Stripe."""
    address = urlsplit(server.url)
    with proxied(str(address.hostname), int(address.port or 0)) as proxy:
        settings.STRIPE_API_BASE = proxy.url
        yield proxy


def in_half_an_hour() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=31)


def checkout(**given: Any) -> gateway.CheckoutSession:
    values: dict[str, Any] = {
        "public_id": "bk_42",
        "amount": 24000,
        "currency": "USD",
        "description": "Headshot, 60 min",
        "email": "ada@example.com",
        "success_url": "https://studio.example/booking/bk_42/paid?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://studio.example/booking/bk_42",
        "expires_at": in_half_an_hour(),
        "idempotency_key": "checkout-bk_42-1",
        "metadata": {"part": "deposit"},
    }
    return gateway.create_checkout(**{**values, **given})


def paid(server: StripeControl, **given: Any) -> gateway.CheckoutSession:
    session = checkout(**given)
    assert server.pay(session.id)["problem"] is None
    return gateway.fetch_checkout(session.id)


# --- the payment page -------------------------------------------------------------------------------------------------


def test_checkout_carries_the_booking_and_waits_for_the_client(server):
    until = in_half_an_hour()
    session = checkout(expires_at=until)
    assert session.url == f"{server.url}/c/pay/{session.id}"
    assert dataclasses.replace(session, id="", url="", created_at=until) == gateway.CheckoutSession(
        id="",
        url="",
        status="open",
        payment_status="unpaid",
        amount=24000,
        currency="usd",
        payment_intent="",
        intent_status="",
        public_id="bk_42",
        email="ada@example.com",
        metadata={"part": "deposit", "booking": "bk_42"},
        created_at=until,
        expires_at=until,
    )
    assert (session.is_paid, session.is_processing, session.has_failed) == (False, False, False)


def test_paid_checkout_says_so_and_its_payment_carries_the_booking(server):
    session = paid(server)
    assert (session.status, session.payment_status, session.intent_status) == (
        "complete",
        "paid",
        "succeeded",
    )
    assert (session.is_paid, session.is_processing, session.url) == (True, False, "")
    listed = gateway.list_payments(session.created_at)
    assert [(p.id, p.amount_received, p.currency, p.metadata["booking"]) for p in listed] == [
        (session.payment_intent, 24000, "usd", "bk_42")
    ]


def test_slow_payment_is_processing_and_then_paid(server, receiver):
    session = checkout()
    server.pay(session.id, "slow")
    waiting = gateway.fetch_checkout(session.id)
    assert (waiting.is_processing, waiting.is_paid, waiting.has_failed) == (True, False, False)
    receiver.wait_for("checkout.session.async_payment_succeeded")
    assert gateway.fetch_checkout(session.id).is_paid


def test_slow_payment_that_bounces_has_failed(server, receiver):
    session = checkout()
    server.pay(session.id, "slow_fails")
    receiver.wait_for("checkout.session.async_payment_failed")
    ended = gateway.fetch_checkout(session.id)
    assert (ended.has_failed, ended.is_processing, ended.is_paid) == (True, False, False)


def test_expiring_closes_the_page_once(server):
    session = checkout()
    assert gateway.expire_checkout(session.id).status == "expired"
    assert gateway.expire_checkout(session.id).status == "expired"
    assert server.pay(session.id)["problem"]["code"] == "checkout_session_not_open"


def test_expiring_a_page_that_was_just_paid_returns_the_paid_session(server):
    session = paid(server)
    again = gateway.expire_checkout(session.id)
    assert (again.status, again.is_paid, again.payment_intent) == ("complete", True, session.payment_intent)


def test_expiring_and_paying_at_once_end_in_one_of_the_two(server):
    for number in range(10):
        session = checkout(public_id=f"bk_{number}", idempotency_key=f"k{number}")
        with ThreadPoolExecutor(2) as pool:
            paying = pool.submit(server.pay, session.id)
            closing = pool.submit(gateway.expire_checkout, session.id)
        was_paid = paying.result()["problem"] is None
        assert closing.result().is_paid is was_paid
        assert gateway.fetch_checkout(session.id).is_paid is was_paid


def test_every_checkout_since_an_instant_is_listed(server):
    start = datetime.now(UTC)
    made = [checkout(public_id=f"bk_{n}", idempotency_key=f"k{n}").id for n in range(105)]
    server.pay(made[3])
    listed = gateway.list_checkouts(start)
    assert [s.id for s in listed] == made[::-1]
    assert [s.public_id for s in listed if s.is_paid] == ["bk_3"]
    assert gateway.list_checkouts(start + timedelta(hours=1)) == []


# --- refunds ----------------------------------------------------------------------------------------------------------


def test_refund_gives_back_a_part_and_is_listed(server):
    session = paid(server)
    back = gateway.refund(
        payment_intent=session.payment_intent,
        amount=12000,
        idempotency_key="refund-1",
        reason="requested_by_customer",
        metadata={"policy": "half"},
    )
    assert (back.status, back.amount, back.currency) == ("succeeded", 12000, "usd")
    assert (back.payment_intent, back.reason, back.metadata) == (
        session.payment_intent,
        "requested_by_customer",
        {"policy": "half"},
    )
    assert gateway.fetch_refund(back.id) == back
    assert gateway.list_refunds(payment_intent=session.payment_intent) == [back]
    assert gateway.list_refunds(created_after=back.created_at) == [back]
    assert gateway.list_refunds(created_after=back.created_at + timedelta(hours=1)) == []
    disputed = gateway.fetch_dispute(server.dispute(session.payment_intent, is_inquiry=True))
    assert (disputed.amount, disputed.currency, disputed.payment_intent) == (
        12000,
        "usd",
        session.payment_intent,
    )
    assert (disputed.is_inquiry, disputed.needs_answer, disputed.reason) == (True, True, "fraudulent")
    assert disputed.answer_by == disputed.created_at + timedelta(days=9)
    assert gateway.list_disputes(created_after=disputed.created_at) == [disputed]
    assert gateway.list_disputes(created_after=disputed.created_at + timedelta(hours=1)) == []


def test_refund_repeated_with_its_key_gives_back_once(server):
    session = paid(server)
    given: dict[str, Any] = {
        "payment_intent": session.payment_intent,
        "amount": 9000,
        "idempotency_key": "refund-1",
    }
    assert gateway.refund(**given) == gateway.refund(**given)
    assert len(gateway.list_refunds(payment_intent=session.payment_intent)) == 1


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (24001, None, "refund_too_large"),
        (20000, 4001, "refund_too_large"),
        (24000, 1, "charge_already_refunded"),
    ],
)
def test_more_than_came_in_does_not_go_back(server, first, second, code):
    session = paid(server)

    def give_back(amount: int, key: str) -> None:
        gateway.refund(payment_intent=session.payment_intent, amount=amount, idempotency_key=key)

    if second is not None:
        give_back(first, "one")
    with pytest.raises(gateway.GatewayRefused) as refused:
        give_back(second or first, "two")
    assert refused.value.code == code
    assert refused.value.sentence.endswith(".")
    assert "req_" in refused.value.detail


def test_refund_that_bounced_says_why(server, receiver):
    client = stripe.StripeClient(server.api_key, base_addresses={"api": server.url})
    intent = client.v1.payment_intents.create(
        params={"amount": 900, "currency": "usd", "payment_method": "pm_card_refundFail", "confirm": True}
    )
    back = gateway.refund(payment_intent=intent.id, amount=900, idempotency_key="r")
    receiver.wait_for("refund.failed")
    failed = gateway.fetch_refund(back.id)
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")


# --- what is refused --------------------------------------------------------------------------------------------------


def test_unknown_session_is_refused(server):
    with pytest.raises(gateway.GatewayRefused) as refused:
        gateway.fetch_checkout("cs_test_nobody")
    assert refused.value.code == "resource_missing"


def test_wrong_key_is_refused_and_not_told_to_the_client(server, settings):
    settings.STRIPE_SECRET_KEY = "sk_test_somebody_elses_key"
    with pytest.raises(gateway.GatewayRefused) as refused:
        checkout()
    assert refused.value.code == "wrong_key"
    assert "somebody" not in refused.value.sentence + refused.value.detail


def test_without_a_key_nothing_is_tried(server, settings):
    settings.STRIPE_SECRET_KEY = ""
    with pytest.raises(gateway.GatewayRefused) as refused:
        checkout()
    assert refused.value.code == "not_configured"
    assert server.requests() == []


def test_key_used_for_another_checkout_is_refused(server):
    checkout()
    with pytest.raises(gateway.GatewayRefused) as refused:
        checkout(amount=100)
    assert refused.value.code == "idempotency_key_reused"


def test_test_payment_does_not_count_in_a_live_studio(server, settings):
    session = paid(server)
    settings.STRIPE_LIVE = True
    for call in (gateway.fetch_checkout, gateway.expire_checkout):
        with pytest.raises(gateway.GatewayRefused) as refused:
            call(session.id)
        assert refused.value.code == "wrong_mode"
    with pytest.raises(gateway.GatewayRefused):
        gateway.list_payments(session.created_at)


# --- a bad network ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["act_then_cut", "act_then_time_out", "act_then_fail", "cut", "fail", "time_out"]
)
def test_lost_answer_makes_one_checkout(server, impatient, kind):
    server.fault(kind, match="POST /v1/checkout/sessions$", seconds=1.5)
    session = checkout()
    assert [s.id for s in gateway.list_checkouts(session.created_at)] == [session.id]


def test_call_that_acts_and_times_out_every_time_is_made_again_and_gives_back_once(server, impatient):
    session = paid(server)
    given: dict[str, Any] = {
        "payment_intent": session.payment_intent,
        "amount": 24000,
        "idempotency_key": "r1",
    }
    server.fault("act_then_time_out", match="POST /v1/refunds", times=3, seconds=1.5)

    with pytest.raises(gateway.GatewayUnavailable):
        gateway.refund(**given)

    assert gateway.refund(**given).amount == 24000
    assert [r.amount for r in gateway.list_refunds(payment_intent=session.payment_intent)] == [24000]
    assert [
        r["fault"] for r in server.requests() if r["path"] == "/v1/refunds" and r["method"] == "POST"
    ] == ["act_then_time_out"] * 3 + [None]


@pytest.mark.parametrize("status", [429, 409, 500, 503])
def test_stripe_in_trouble_is_unavailable_not_refused(server, impatient, status):
    server.fault("fail", status=status, times=9)
    with pytest.raises(gateway.GatewayUnavailable) as unavailable:
        gateway.fetch_checkout("cs_test_any")
    assert unavailable.value.sentence.endswith(".")
    assert str(status) in unavailable.value.detail


def test_nobody_there_is_unavailable(server, settings, impatient):
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    with pytest.raises(gateway.GatewayUnavailable):
        gateway.list_refunds()


def test_silent_stripe_is_given_up_in_time(server, line):
    line.weather = Weather(silent=True)
    began = time.monotonic()
    with pytest.raises(gateway.GatewayUnavailable):
        gateway.list_refunds()
    assert time.monotonic() - began < 40  # three tries of half a second; the library would wait 80 s for one
    assert line.bytes_to_upstream > 0


def test_timeouts_are_short(server):
    gateway.list_refunds()
    client: Any = gateway._client(server.api_key, server.url)
    assert (gateway.CONNECT_SECONDS, gateway.READ_SECONDS, gateway.RETRIES) == (5, 15, 2)
    assert client._requestor._options.max_network_retries == 2
    assert client._requestor._client._timeout == (5, 15)


@pytest.mark.parametrize(
    "weather",
    [
        Weather(cut_answer_after=40),
        Weather(cut_answer_after=900),
        Weather(cut_request_after=200),
        Weather(reset=True),
        Weather(refuse=True),
    ],
)
def test_cut_line_is_unavailable_and_the_next_call_finds_one_checkout(server, line, weather):
    line.weather = weather
    until = in_half_an_hour()
    with pytest.raises(gateway.GatewayUnavailable):
        checkout(expires_at=until)
    line.weather = Weather()
    session = checkout(expires_at=until)
    assert [s.id for s in gateway.list_checkouts(session.created_at - timedelta(minutes=1))] == [session.id]


# --- the bell ---------------------------------------------------------------------------------------------------------


def test_bell_says_what_it_rings_for(server, receiver):
    session = paid(server)
    item = receiver.wait_for("checkout.session.completed")[0]
    bell = gateway.parse_webhook(item.body, item.signature)
    assert (bell.type, bell.object_id, bell.livemode) == ("checkout.session.completed", session.id, False)
    assert bell.event_id.startswith("evt_")
    assert abs(datetime.now(UTC) - bell.created_at) < timedelta(minutes=1)


def event(**given: Any) -> bytes:
    body = {
        "id": "evt_1",
        "object": "event",
        "type": "charge.refunded",
        "created": 1795300188,
        "livemode": False,
        "data": {"object": {"id": "ch_1"}},
        **given,
    }
    return json.dumps(body).encode()


def test_signature_is_checked(server):
    good = event()
    secret = server.webhook_secret
    now = int(time.time())
    assert gateway.parse_webhook(good, sign(good, secret)).object_id == "ch_1"
    assert gateway.parse_webhook(good, sign(good, secret, at=now - 290)).event_id == "evt_1"
    stamp, mac = sign(good, secret).split(",v1=")
    bad = {
        "none": "",
        "nonsense": "hello",
        "foreign": sign(good, "whsec_other"),
        "old": sign(good, secret, at=now - 301),
        "another body": sign(event(id="evt_2"), secret),
        "another time": f"t={now + 1},v1={mac}",
        "no scheme": f"{stamp},v0={mac}",
        "cut": f"{stamp},v1={mac[:-1]}",
    }
    for signature in bad.values():
        with pytest.raises(gateway.BadSignature):
            gateway.parse_webhook(good, signature)


def test_no_secret_takes_no_event(server, settings):
    settings.STRIPE_WEBHOOK_SECRET = ""
    with pytest.raises(gateway.BadSignature):
        gateway.parse_webhook(event(), sign(event(), ""))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"id": "evt_1"}',
        b'"evt"',
        event(data=None),
        event(created="x"),
    ],
)
def test_signed_nonsense_is_no_event(server, body):
    with pytest.raises(gateway.BadSignature):
        gateway.parse_webhook(body, sign(body, server.webhook_secret))


@pytest.mark.parametrize("live", [True, False])
def test_event_of_the_other_mode_is_refused(server, settings, live):
    settings.STRIPE_LIVE = live
    same, other = event(livemode=live), event(livemode=not live)
    assert gateway.parse_webhook(same, sign(same, server.webhook_secret)).livemode is live
    with pytest.raises(gateway.WrongMode):
        gateway.parse_webhook(other, sign(other, server.webhook_secret))
