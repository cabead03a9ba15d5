"""The Stripe test server, driven by stripe-python alone: it must behave as Stripe documents.

Nothing of the product is imported here. `STRIPE_FIXTURES=/path/to/fixtures3.json` (Stripe's published sample objects)
compares the key sets with those as well as with stripe-python's classes.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import stripe

from devtools.stripe_server import ControlRefused, Receiver, StripeControl, receiving, running
from devtools.stripe_server.api import ROUTES
from devtools.stripe_server.schema import fields_of, params_class

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def server(receiver: Receiver) -> Iterator[StripeControl]:
    with running(webhook_url=receiver.url) as control:
        yield control


@pytest.fixture
def client(server: StripeControl) -> stripe.StripeClient:
    return client_of(server)


def client_of(
    server: StripeControl, *, retries: int = 2, timeout: float = 5, key: str | None = None
) -> stripe.StripeClient:
    return stripe.StripeClient(
        key or server.api_key,
        base_addresses={"api": server.url},
        http_client=stripe.RequestsClient(timeout=timeout),
        max_network_retries=retries,
    )


def session_params(**given: Any) -> Any:
    return {
        "mode": "payment",
        "line_items": [
            {
                "quantity": 1,
                "price_data": {"currency": "usd", "unit_amount": 24000, "product_data": {"name": "Headshot"}},
            }
        ],
        "success_url": "https://studio.example/ok?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://studio.example/back",
        "customer_email": "ada@example.com",
        "metadata": {"booking": "b1"},
        "payment_intent_data": {"metadata": {"booking": "b1"}, "description": "Headshot"},
        **given,
    }


def open_session(client: stripe.StripeClient, **given: Any) -> stripe.checkout.Session:
    return client.v1.checkout.sessions.create(params=session_params(**given))


def ask(
    server: StripeControl,
    method: str,
    path: str,
    body: str | bytes = "",
    *,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], str]:
    """One plain HTTP request: status, headers by lower-case name, text."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=10)
    try:
        given = {"Authorization": f"Bearer {server.api_key}", **(headers or {})}
        if body:
            given.setdefault("Content-Type", "application/x-www-form-urlencoded")
        connection.request(method, path, body or None, given)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def press(
    server: StripeControl, session: stripe.checkout.Session, choice: str
) -> tuple[int, dict[str, str], str]:
    """Press a button of the payment page as a browser without scripts would."""
    form = urlencode({"choice": choice, "email": "ada@example.com"})
    return ask(server, "POST", urlsplit(str(session.url)).path, form)


def wait_until(check: Callable[[], bool], seconds: float = 5) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


# --- the payment page -------------------------------------------------------------------------------------------------


def test_page_says_that_no_money_moves_and_shows_what_is_paid(server, client):
    session = open_session(client)
    status, headers, text = ask(server, "GET", urlsplit(str(session.url)).path)
    assert status == 200
    assert "TEST PAYMENT — no money moves" in text
    assert "$240.00" in text
    assert "Headshot" in text
    assert 'href="https://studio.example/back"' in text
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'")


def test_page_escapes_what_the_shop_says(server, client):
    item = {"currency": "usd", "unit_amount": 900, "product_data": {"name": "<script>alert(1)</script>"}}
    session = open_session(client, line_items=[{"quantity": 2, "price_data": item}])
    text = ask(server, "GET", urlsplit(str(session.url)).path)[2]
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; × 2" in text


def test_unknown_page_is_404(server):
    assert ask(server, "GET", "/c/pay/cs_test_nobody")[0] == 404


def test_paying_completes_the_session_and_moves_the_balance(server, client):
    session = open_session(client)
    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)

    status, headers, _ = press(server, session, "success")

    assert (status, headers["location"]) == (303, f"https://studio.example/ok?session={session.id}")
    paid = client.v1.checkout.sessions.retrieve(
        session.id, params={"expand": ["payment_intent.latest_charge.balance_transaction", "line_items"]}
    )
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    assert paid.customer_details is not None
    assert paid.customer_details.email == "ada@example.com"
    assert paid.line_items is not None
    assert [line.amount_total for line in paid.line_items.data] == [24000]
    intent = paid.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert (intent.status, intent.amount_received, intent.description) == ("succeeded", 24000, "Headshot")
    assert intent.metadata.to_dict() == {"booking": "b1"}
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert (charge.paid, charge.captured, charge.amount_captured) == (True, True, 24000)
    movement = charge.balance_transaction
    assert isinstance(movement, stripe.BalanceTransaction)
    assert (movement.amount, movement.fee, movement.net) == (24000, 726, 23274)


def test_paid_session_cannot_be_paid_again(server, client):
    session = open_session(client)
    press(server, session, "success")
    status, _, text = press(server, session, "success")
    assert status == 400
    assert "This has been paid." in text
    assert len(client.v1.charges.list().data) == 1


def test_two_payers_at_once_pay_once(server, client):
    session = open_session(client)
    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(
            answer[0] for answer in pool.map(lambda _: press(server, session, "success"), range(8))
        )
    assert statuses == [303] + [400] * 7
    assert len(client.v1.charges.list().data) == 1


def test_declined_card_keeps_the_session_open_and_the_attempt_recorded(server, client):
    session = open_session(client)
    status, _, text = press(server, session, "declined")
    assert status == 402
    assert '<p class="alert" role="alert">Your card was declined.</p>' in text
    tried = client.v1.checkout.sessions.retrieve(session.id, params={"expand": ["payment_intent"]})
    assert (tried.status, tried.payment_status) == ("open", "unpaid")
    assert isinstance(tried.payment_intent, stripe.PaymentIntent)
    assert tried.payment_intent.status == "requires_payment_method"
    assert tried.payment_intent.last_payment_error is not None
    assert tried.payment_intent.last_payment_error.decline_code == "generic_decline"

    press(server, session, "success")

    again = client.v1.checkout.sessions.retrieve(session.id)
    assert (again.payment_status, again.payment_intent) == ("paid", tried.payment_intent.id)
    assert [charge.status for charge in client.v1.charges.list().data] == ["succeeded", "failed"]


@pytest.mark.parametrize(
    ("choice", "ends", "intent_status", "payment_status"),
    [
        ("slow", "checkout.session.async_payment_succeeded", "succeeded", "paid"),
        ("slow_fails", "checkout.session.async_payment_failed", "requires_payment_method", "unpaid"),
    ],
)
def test_slow_payment_is_complete_but_unpaid_until_the_bank_answers(
    server, client, receiver, choice, ends, intent_status, payment_status
):
    session = open_session(client)
    assert press(server, session, choice)[0] == 303
    waiting = client.v1.checkout.sessions.retrieve(session.id, params={"expand": ["payment_intent"]})
    assert (waiting.status, waiting.payment_status) == ("complete", "unpaid")
    assert isinstance(waiting.payment_intent, stripe.PaymentIntent)
    assert waiting.payment_intent.status == "processing"

    receiver.wait_for(ends)

    ended = client.v1.checkout.sessions.retrieve(session.id, params={"expand": ["payment_intent"]})
    assert isinstance(ended.payment_intent, stripe.PaymentIntent)
    assert (ended.payment_status, ended.payment_intent.status) == (payment_status, intent_status)


# --- sessions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minutes", "words"), [(29, "at least 30 minutes"), (24 * 60 + 1, "less than 24 hours")]
)
def test_expires_at_must_lie_between_half_an_hour_and_a_day(client, minutes, words):
    with pytest.raises(stripe.InvalidRequestError, match=words) as refused:
        open_session(client, expires_at=int(time.time()) + minutes * 60)
    assert refused.value.param == "expires_at"


def test_session_expires_by_the_clock_and_says_so(server, client, receiver):
    session = open_session(client, expires_at=int(time.time()) + 31 * 60)
    server.advance(31 * 60)
    receiver.wait_for("checkout.session.expired")
    assert client.v1.checkout.sessions.retrieve(session.id).status == "expired"
    status, _, text = press(server, session, "success")
    assert (status, "has expired. Nothing was charged." in text) == (400, True)
    assert client.v1.charges.list().data == []


def test_expired_session_is_refused_even_before_the_clock_has_looked(server, client):
    """The sweep and the button race; whoever comes first, nothing is paid after the hour."""
    session = open_session(client, expires_at=int(time.time()) + 30 * 60 + 1)
    server.advance(30 * 60 + 2)
    assert press(server, session, "success")[0] == 400


def test_open_session_can_be_expired_and_a_paid_one_cannot(server, client):
    unpaid, paid = open_session(client), open_session(client)
    press(server, paid, "success")
    assert client.v1.checkout.sessions.expire(unpaid.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError, match="status of `complete`"):
        client.v1.checkout.sessions.expire(paid.id)
    assert client.v1.checkout.sessions.retrieve(paid.id).payment_status == "paid"


def test_sessions_are_listed_by_time_status_and_intent(server, client):
    first, second = open_session(client), open_session(client)
    press(server, first, "success")
    intent = client.v1.checkout.sessions.retrieve(first.id).payment_intent
    sessions = client.v1.checkout.sessions
    assert [s.id for s in sessions.list().data] == [second.id, first.id]
    assert [s.id for s in sessions.list(params={"status": "complete"}).data] == [first.id]
    assert [s.id for s in sessions.list(params={"payment_intent": str(intent)}).data] == [first.id]
    assert sessions.list(params={"created": {"gt": int(time.time()) + 60}}).data == []


@pytest.mark.parametrize(
    ("given", "param", "code"),
    [
        ({"success_url": "javascript:alert(1)"}, "success_url", "url_invalid"),
        ({"customer_email": "nobody"}, "customer_email", "email_invalid"),
        ({"line_items": []}, "line_items", None),
        ({"mode": "subscription"}, "mode", "test_server_not_implemented"),
        ({"discounts": [{"coupon": "x"}]}, "discounts", "test_server_not_implemented"),
        ({"metadata": {"k": "v" * 501}}, "metadata[k]", None),
        ({"metadata": {"k" * 41: "v"}}, "metadata", None),
        ({"metadata": {f"k{n}": "v" for n in range(51)}}, "metadata", None),
    ],
)
def test_session_refuses_what_stripe_refuses(client, given, param, code):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        open_session(client, **given)
    assert refused.value.param == param
    assert code is None or refused.value.code == code
    assert client.v1.checkout.sessions.list().data == []


def test_total_below_the_smallest_charge_is_refused(client):
    cheap = {"currency": "usd", "unit_amount": 49, "product_data": {"name": "x"}}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        open_session(client, line_items=[{"quantity": 1, "price_data": cheap}])
    assert refused.value.code == "amount_too_small"


# --- parameters: what stripe-python's types do not know is refused ----------------------------------------------------


@pytest.mark.parametrize(
    ("path", "form", "param", "code", "message"),
    [
        ("refunds", "amuont=5", "amuont", "parameter_unknown", "Received unknown parameter: amuont"),
        ("refunds", "a=1&b=2", "a", "parameter_unknown", "Received unknown parameters: a, b"),
        (
            "checkout/sessions",
            "line_items[0][price_data][curency]=usd",
            "line_items[0][price_data][curency]",
            "parameter_unknown",
            "Received unknown parameter: line_items[0][price_data][curency]",
        ),
        (
            "checkout/sessions",
            "line_items[][price_data][currency]=usd&line_items[][quantity]=two",
            "line_items[1][quantity]",
            "parameter_invalid_integer",
            "Invalid integer: two",
        ),
        (
            "payment_intents",
            "amount=100",
            "currency",
            "parameter_missing",
            "Missing required param: currency.",
        ),
        (
            "payment_intents",
            "amount=1.5&currency=usd",
            "amount",
            "parameter_invalid_integer",
            "Invalid integer: 1.5",
        ),
        (
            "payment_intents",
            "amount=&currency=usd",
            "amount",
            "parameter_invalid_empty",
            "You passed an empty string for 'amount'.",
        ),
        ("payment_intents", "amount=100&currency=usd&confirm=yes", "confirm", None, "Invalid boolean: yes"),
        (
            "payment_intents",
            "amount=100&currency=usd&capture_method=later",
            "capture_method",
            None,
            "Invalid capture_method: must be one of ",
        ),
        ("customers", "address=here", "address", None, "Invalid object"),
        ("checkout/sessions", "mode=payment&line_items=x", "line_items", None, "Invalid array"),
        ("customers", "metadata=1&metadata[a]=2", "metadata[a]", None, "Invalid object"),
    ],
)
def test_parameter_that_does_not_fit_the_types_is_refused(server, path, form, param, code, message):
    status, headers, text = ask(server, "POST", f"/v1/{path}", form)
    error = json.loads(text)["error"]
    assert status == 400
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error.get("code") == code
    assert error["message"].startswith(message)
    assert headers["request-id"].startswith("req_")
    assert headers["request-id"] in error["request_log_url"]


def test_parameter_of_an_older_version_is_known_to_that_version_only(server, client):
    """stripe-python's own version of the API has dropped it; a request that names no version is an older one."""
    form = "amount=500&currency=usd&payment_method_types[]=card"
    assert ask(server, "POST", "/v1/payment_intents", form)[0] == 200
    new: Any = {"amount": 500, "currency": "usd", "payment_method_types": ["card"]}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.create(params=new)
    assert refused.value.code == "parameter_unknown"


def test_request_options_are_not_parameters(server):
    """stripe-python keeps them in the same classes; sent as parameters they are unknown to Stripe."""
    text = ask(server, "POST", "/v1/customers", "idempotency_key=x")[2]
    assert json.loads(text)["error"]["code"] == "parameter_unknown"


def test_unknown_filter_of_a_list_is_refused(server):
    status, _, text = ask(server, "GET", "/v1/refunds?limit=3&colour=red")
    assert (status, json.loads(text)["error"]["param"]) == (400, "colour")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path.pattern}")
def test_every_endpoint_has_readable_parameter_types(route):
    assert route.params is None or isinstance(fields_of(params_class(route.params)), dict)
    assert route.params is not None or "payment_pages" in route.path.pattern


def test_reason_of_a_refund_is_one_of_three(client):
    intent = pay_directly(client)
    with pytest.raises(stripe.InvalidRequestError, match="must be one of duplicate, fraudulent, or"):
        client.v1.refunds.create(params={"payment_intent": intent.id, "reason": "bored"})


# --- keys, versions, addresses ----------------------------------------------------------------------------------------


def test_request_without_a_key_is_401(server):
    status, _, text = ask(server, "GET", "/v1/refunds", headers={"Authorization": ""})
    assert status == 401
    assert json.loads(text)["error"]["message"].startswith("You did not provide an API key.")


@pytest.mark.parametrize("key", ["sk_test_somebody_elses", "sk_live_0123456789abcdef", "nonsense"])
def test_foreign_key_is_401_and_not_repeated_in_full(server, key):
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided") as refused:
        client_of(server, key=key).v1.refunds.list()
    assert key not in str(refused.value)


def test_basic_authentication_works_like_curl_u(server):
    basic = base64.b64encode(f"{server.api_key}:".encode()).decode()
    assert ask(server, "GET", "/v1/refunds", headers={"Authorization": f"Basic {basic}"})[0] == 200


def test_version_header_is_echoed_and_a_wrong_one_refused(server):
    same = ask(server, "GET", "/v1/refunds", headers={"Stripe-Version": "2024-06-20"})
    assert (same[0], same[1]["stripe-version"]) == (200, "2024-06-20")
    assert ask(server, "GET", "/v1/refunds", headers={"Stripe-Version": "latest"})[0] == 400


def test_unknown_address_and_unknown_id_are_404(server, client):
    status, _, text = ask(server, "GET", "/v1/rainbows")
    assert (status, "Unrecognized request URL" in text) == (404, True)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.retrieve("re_nobody")
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")


def test_json_body_and_oversized_body_are_refused(server):
    as_json = ask(server, "POST", "/v1/customers", "{}", headers={"Content-Type": "application/json"})
    assert as_json[0] == 400
    address = urlsplit(server.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=10) as line:
        head = f"POST /v1/customers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.api_key}\r\n"
        line.sendall(f"{head}Content-Length: 1100000\r\n\r\nname=x".encode())
        assert line.recv(100).startswith(b"HTTP/1.1 413 ")


def test_half_a_request_is_not_carried_out(server, client):
    address = urlsplit(server.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=5) as line:
        head = f"POST /v1/customers HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.api_key}\r\n"
        line.sendall(f"{head}Content-Length: 30\r\n\r\nname=Ada".encode())
        line.shutdown(socket.SHUT_WR)
        assert line.recv(100) == b""
    assert client.v1.customers.list().data == []


def test_private_endpoints_need_their_header(server):
    assert ask(server, "POST", "/_test/reset", "{}")[0] == 403


# --- idempotency ------------------------------------------------------------------------------------------------------


def test_same_key_and_parameters_answer_the_same_and_act_once(server, client):
    options: Any = {"idempotency_key": "hold-1"}
    one = client.v1.checkout.sessions.create(params=session_params(), options=options)
    two = client.v1.checkout.sessions.create(params=session_params(), options=options)
    assert one.to_dict() == two.to_dict()
    assert one.last_response is not None
    assert two.last_response is not None
    assert "Idempotent-Replayed" not in one.last_response.headers
    assert two.last_response.headers["Idempotent-Replayed"] == "true"
    assert two.last_response.headers["Original-Request"] == one.last_response.headers["Request-Id"]
    assert len(client.v1.checkout.sessions.list().data) == 1


def test_same_key_with_other_parameters_or_elsewhere_is_an_idempotency_error(client):
    options: Any = {"idempotency_key": "k"}
    client.v1.checkout.sessions.create(params=session_params(), options=options)
    with pytest.raises(stripe.IdempotencyError, match="same parameters") as refused:
        client.v1.checkout.sessions.create(params=session_params(metadata={}), options=options)
    assert refused.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        client.v1.customers.create(params={"name": "Ada"}, options=options)


def test_twenty_at_once_with_one_key_act_once(server, client):
    def create(_: int) -> str:
        options: Any = {"idempotency_key": "one"}
        made = client.v1.checkout.sessions.create(params=session_params(), options=options)
        return str(made.id)

    with ThreadPoolExecutor(20) as pool:
        ids = set(pool.map(create, range(20)))
    assert len(ids) == 1
    assert len(client.v1.checkout.sessions.list().data) == 1


def test_refusal_after_acting_is_kept_and_a_misread_request_is_not(client):
    options: Any = {"idempotency_key": "card"}
    declined: Any = {
        "amount": 500,
        "currency": "usd",
        "payment_method": "pm_card_chargeDeclined",
        "confirm": True,
    }
    errors = []
    for _ in range(2):
        with pytest.raises(stripe.CardError) as refused:
            client.v1.payment_intents.create(params=declined, options=options)
        errors.append(refused.value.error.charge if refused.value.error else None)
    assert errors[0] == errors[1] is not None
    assert len(client.v1.charges.list().data) == 1

    misread: Any = {"idempotency_key": "typo"}
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.create(params={"amount": 0, "currency": "usd"}, options=misread)
    assert (
        client.v1.payment_intents.create(params={"amount": 500, "currency": "usd"}, options=misread).amount
        == 500
    )


def test_key_is_forgotten_after_a_day(server, client):
    options: Any = {"idempotency_key": "old"}
    one = client.v1.customers.create(params={"name": "Ada"}, options=options)
    server.advance(24 * 3600 + 1)
    assert client.v1.customers.create(params={"name": "Ada"}, options=options).id != one.id


# --- refunds ----------------------------------------------------------------------------------------------------------


def pay_directly(
    client: stripe.StripeClient, *, amount: int = 24000, card: str = "pm_card_visa", **given: Any
) -> stripe.PaymentIntent:
    params: Any = {"amount": amount, "currency": "usd", "payment_method": card, "confirm": True, **given}
    return client.v1.payment_intents.create(params=params)


def test_more_than_was_paid_is_never_given_back(client):
    intent = pay_directly(client)
    refunds = client.v1.refunds
    with pytest.raises(stripe.InvalidRequestError, match=r"\(\$240.01\) is greater than charge amount"):
        refunds.create(params={"payment_intent": intent.id, "amount": 24001})
    half = refunds.create(params={"payment_intent": intent.id, "amount": 12000})
    assert (half.status, half.amount, half.payment_intent) == ("succeeded", 12000, intent.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        refunds.create(params={"payment_intent": intent.id, "amount": 12001})
    assert refused.value.param == "amount"
    assert "greater than unrefunded amount on charge ($120.00)" in str(refused.value.user_message)
    rest = refunds.create(params={"payment_intent": intent.id})
    assert rest.amount == 12000
    with pytest.raises(stripe.InvalidRequestError) as refused:
        refunds.create(params={"payment_intent": intent.id, "amount": 1})
    assert refused.value.code == "charge_already_refunded"
    charge = client.v1.charges.retrieve(str(rest.charge), params={"expand": ["refunds"]})
    assert (charge.amount_refunded, charge.refunded) == (24000, True)
    assert charge.refunds is not None
    assert [r.id for r in charge.refunds.data] == [rest.id, half.id]


def test_fifty_refunds_at_once_stay_within_the_payment(client):
    intent = pay_directly(client, amount=10000)

    def give_back(_: int) -> bool:
        try:
            client.v1.refunds.create(params={"payment_intent": intent.id, "amount": 3000})
        except stripe.InvalidRequestError:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(give_back, range(50))) == 3
    assert sum(r.amount for r in client.v1.refunds.list().data) == 9000


def test_refund_without_a_payment_is_refused(client):
    intent = client.v1.payment_intents.create(params={"amount": 500, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError, match="does not have a successful charge to refund"):
        client.v1.refunds.create(params={"payment_intent": intent.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create(params={"payment_intent": "pi_nobody"})
    assert refused.value.code == "resource_missing"


def test_refund_that_bounces_makes_the_money_refundable_again(server, client, receiver):
    intent = pay_directly(client, card="pm_card_refundFail")
    refund = client.v1.refunds.create(params={"payment_intent": intent.id})
    receiver.wait_for("refund.failed")
    failed = client.v1.refunds.retrieve(refund.id)
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    charge = client.v1.charges.retrieve(str(refund.charge))
    assert (charge.amount_refunded, charge.refunded) == (0, False)
    balance = client.v1.balance.retrieve()
    assert [part.amount for part in balance.pending] == [24000 - 726]


def test_refund_that_waits_goes_through_later(client, receiver):
    intent = pay_directly(client, card="pm_card_pendingRefund")
    refund = client.v1.refunds.create(params={"payment_intent": intent.id, "metadata": {"why": "rain"}})
    assert refund.status == "pending"
    receiver.wait_for("refund.updated")
    ended = client.v1.refunds.retrieve(refund.id)
    assert (ended.status, ended.metadata.to_dict() if ended.metadata else None) == (
        "succeeded",
        {"why": "rain"},
    )


def test_the_bank_takes_the_money_and_gives_it_back_when_the_dispute_is_won(server, client, receiver):
    intent = pay_directly(client)
    dispute_id = server.dispute(intent.id, reason="product_not_received")
    dispute = client.v1.disputes.retrieve(dispute_id, params={"expand": ["charge"]})
    assert (dispute.status, dispute.reason, dispute.amount) == (
        "needs_response",
        "product_not_received",
        24000,
    )
    assert dispute.evidence_details.due_by == dispute.created + 9 * 86400
    assert isinstance(dispute.charge, stripe.Charge)
    assert (dispute.charge.payment_intent, dispute.charge.disputed) == (intent.id, True)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create(params={"payment_intent": intent.id})
    assert refused.value.code == "charge_disputed"
    assert [part.amount for part in client.v1.balance.retrieve().pending] == [-726 - 1500]
    server.dispute_becomes(dispute_id, "won")
    assert [part.amount for part in client.v1.balance.retrieve().pending] == [24000 - 726 - 1500]
    server.wait_delivered()
    told = [kind for kind in receiver.types if kind.startswith("charge.dispute.")]
    assert sorted(told) == [
        f"charge.dispute.{w}" for w in ("closed", "created", "funds_reinstated", "funds_withdrawn")
    ]
    assert [found.id for found in client.v1.disputes.list(params={"payment_intent": intent.id}).data] == [
        dispute_id
    ]


def test_a_lost_dispute_is_won_by_an_appeal_and_what_was_refunded_before_is_not_lost(
    server, client, receiver
):
    intent = pay_directly(client)
    client.v1.refunds.create(params={"payment_intent": intent.id, "amount": 4000})
    dispute_id = server.dispute(intent.id, amount=24000)
    assert [part.amount for part in client.v1.balance.retrieve().pending] == [-4000 - 726 - 1500]
    server.dispute_becomes(dispute_id, "lost")  # the dashboard says: partially won
    dispute = client.v1.disputes.retrieve(dispute_id)
    assert (dispute.status, [moved.amount for moved in dispute.balance_transactions]) == (
        "lost",
        [-24000, 4000],
    )
    server.dispute_becomes(dispute_id, "won")
    assert client.v1.disputes.retrieve(dispute_id).status == "won"
    assert [part.amount for part in client.v1.balance.retrieve().pending] == [20000 - 726 - 1500]
    assert client.v1.refunds.create(params={"payment_intent": intent.id}).amount == 20000
    server.wait_delivered()
    told = [kind for kind in receiver.types if kind.startswith("charge.dispute.")]
    assert sorted(told) == [
        f"charge.dispute.{w}"
        for w in ("closed", "closed", "created", "funds_reinstated", "funds_reinstated", "funds_withdrawn")
    ]
    with pytest.raises(ControlRefused, match="already closed"):
        server.dispute_becomes(dispute_id, "lost")


def test_an_inquiry_leaves_the_money_until_the_bank_takes_it_and_giving_in_loses_it(server, client):
    intent = pay_directly(client)
    asked = server.dispute(intent.id, is_inquiry=True)
    inquiry = client.v1.disputes.retrieve(asked)
    assert (inquiry.status, inquiry.is_charge_refundable) == ("warning_needs_response", True)
    assert [part.amount for part in client.v1.balance.retrieve().pending] == [24000 - 726]
    server.dispute_becomes(asked, "needs_response")
    assert client.v1.disputes.close(asked).status == "lost"
    assert [part.amount for part in client.v1.balance.retrieve().pending] == [-726 - 1500]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.disputes.close(asked)


# --- payment intents --------------------------------------------------------------------------------------------------


def test_manual_capture_takes_a_part_and_frees_the_rest(client):
    intent = pay_directly(client, capture_method="manual")
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 24000)
    taken = client.v1.payment_intents.capture(intent.id, params={"amount_to_capture": 9000})
    assert (taken.status, taken.amount_received) == ("succeeded", 9000)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        client.v1.refunds.create(params={"payment_intent": intent.id, "amount": 9001})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.cancel(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"


def test_intent_is_confirmed_later_and_cancelled_once(client):
    intents = client.v1.payment_intents
    intent = intents.create(params={"amount": 900, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError, match="missing a payment method"):
        intents.confirm(intent.id)
    assert intents.confirm(intent.id, params={"payment_method": "pm_card_visa"}).status == "succeeded"
    other = intents.create(params={"amount": 900, "currency": "usd"})
    assert intents.cancel(other.id, params={"cancellation_reason": "abandoned"}).status == "canceled"
    asked = intents.create(
        params={
            "amount": 900,
            "currency": "usd",
            "confirm": True,
            "payment_method": "pm_card_authenticationRequired",
        }
    )
    assert asked.status == "requires_action"


# --- lists and expansion ----------------------------------------------------------------------------------------------


def test_lists_are_paged_newest_first(client):
    made = [client.v1.customers.create(params={"name": f"c{n}"}).id for n in range(25)]
    customers = client.v1.customers
    first = customers.list(params={"limit": 10})
    assert [c.id for c in first.data] == made[:-11:-1]
    assert first.has_more is True
    second = customers.list(params={"limit": 10, "starting_after": first.data[-1].id})
    assert [c.id for c in second.data] == made[14:4:-1]
    last = customers.list(params={"limit": 10, "starting_after": second.data[-1].id})
    assert ([c.id for c in last.data], last.has_more) == (made[4::-1], False)
    back = customers.list(params={"limit": 10, "ending_before": second.data[0].id})
    assert [c.id for c in back.data] == [c.id for c in first.data]
    assert [c.id for c in customers.list(params={"limit": 7}).auto_paging_iter()] == made[::-1]


@pytest.mark.parametrize("limit", [0, 101, -1])
def test_page_size_is_one_to_a_hundred(client, limit):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.customers.list(params={"limit": limit})
    assert refused.value.param == "limit"


def test_expansion_reaches_into_lists_and_refuses_what_is_no_reference(server, client):
    press(server, open_session(client), "success")
    listed = client.v1.checkout.sessions.list(params={"expand": ["data.payment_intent.latest_charge"]})
    intent = listed.data[0].payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert isinstance(intent.latest_charge, stripe.Charge)
    with pytest.raises(stripe.InvalidRequestError, match=r"cannot be expanded \(amount_total\)"):
        client.v1.checkout.sessions.retrieve(listed.data[0].id, params={"expand": ["amount_total"]})
    with pytest.raises(stripe.InvalidRequestError, match="more than 4 levels"):
        client.v1.checkout.sessions.retrieve(listed.data[0].id, params={"expand": ["a.b.c.d.e"]})


# --- webhooks ---------------------------------------------------------------------------------------------------------


def test_webhooks_are_signed_so_that_stripe_python_accepts_them(server, client, receiver):
    session = open_session(client)
    press(server, session, "success")
    bell = receiver.wait_for("checkout.session.completed")[0]
    event = stripe.Webhook.construct_event(bell.body, bell.signature, server.webhook_secret)
    assert event.data.object["id"] == session.id
    assert event.api_version == stripe.api_version
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(bell.body, bell.signature, "whsec_other")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(bell.body + b" ", bell.signature, server.webhook_secret)


def test_paying_rings_the_bells_stripe_rings(server, client, receiver):
    press(server, open_session(client), "success")
    server.wait_delivered()
    assert sorted(set(receiver.types) - {"product.created", "price.created"}) == [
        "charge.succeeded",
        "checkout.session.completed",
        "payment_intent.created",
        "payment_intent.succeeded",
    ]


def test_event_keeps_the_object_as_it_was(server, client, receiver):
    session = open_session(client)
    press(server, session, "slow")
    receiver.wait_for("checkout.session.async_payment_succeeded")
    then = server.events("checkout.session.completed")[0]
    assert then["data"]["object"]["payment_status"] == "unpaid"
    listed = client.v1.events.list(params={"types": ["checkout.session.completed"]})
    assert [event.id for event in listed.data] == [then["id"]]
    assert client.v1.events.retrieve(then["id"]).data.object["id"] == session.id


def test_webhook_is_tried_again_until_it_is_taken(server, client, receiver):
    receiver.answers.extend([500, 302])
    client.v1.customers.create(params={"name": "Ada"})
    server.wait_delivered()
    assert receiver.types == ["customer.created"] * 3
    assert len({item.event["id"] for item in receiver.received}) == 1
    assert [d["attempts"] for d in server.deliveries()] == [3]


def test_webhook_that_nobody_takes_is_given_up(server, client, receiver):
    receiver.answers.extend([503] * 20)
    customer = client.v1.customers.create(params={"name": "Ada"})
    server.wait_delivered()
    assert [(d["state"], d["attempts"]) for d in server.deliveries()] == [("failed", 4)]
    event = client.v1.events.list(params={"delivery_success": False}).data[0]
    assert (event.data.object["id"], event.pending_webhooks) == (customer.id, 1)


def test_webhook_endpoint_made_over_the_api_gets_only_what_it_asked_for(server, client, receiver):
    with receiving() as other:
        endpoint = client.v1.webhook_endpoints.create(
            params={"url": other.url, "enabled_events": ["charge.refunded"]}
        )
        assert endpoint.secret is not None
        intent = pay_directly(client)
        client.v1.refunds.create(params={"payment_intent": intent.id})
        bell = other.wait_for("charge.refunded")[0]
        server.wait_delivered()
        assert other.types == ["charge.refunded"]
        event = stripe.Webhook.construct_event(bell.body, bell.signature, endpoint.secret)
        assert event.data.object["amount_refunded"] == 24000
        assert not hasattr(client.v1.webhook_endpoints.retrieve(endpoint.id), "secret")


def test_webhooks_come_twice_late_out_of_order_or_never_when_told_to(server, client, receiver):
    server.webhooks(copies=3, types=["customer.created"])
    client.v1.customers.create(params={"name": "twice"})
    receiver.wait_for("customer.created", count=3)
    assert len({item.event["id"] for item in receiver.received}) == 1

    server.webhooks(delay=0.4)
    began = time.monotonic()
    client.v1.products.create(params={"name": "late"})
    assert receiver.wait_for("product.created")[0].at - began > 0.35

    server.webhooks(withhold=True)
    pay_directly(client)
    time.sleep(0.5)
    assert "charge.succeeded" not in receiver.types
    order = ["payment_intent.succeeded", "charge.succeeded", "payment_intent.created"]
    assert [item["status"] for item in server.release(order)] == [200, 200, 200]
    assert receiver.types[-3:] == order


def test_one_event_can_be_sent_twenty_times_in_parallel(server, client, receiver):
    client.v1.customers.create(params={"name": "Ada"})
    event = server.events("customer.created")[0]
    assert server.send(event["id"], copies=20, parallel=True) == [200] * 20
    assert len(receiver.wait_for("customer.created", count=21)) == 21


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["fail", "cut", "act_then_fail", "act_then_cut", "act_then_time_out", "time_out"]
)
def test_library_repeats_and_stripe_acts_once(server, kind):
    impatient = client_of(server, timeout=0.5)
    server.fault(kind, match="POST /v1/customers", seconds=1.5)
    customer = impatient.v1.customers.create(params={"name": "Ada"})
    assert [c.id for c in impatient.v1.customers.list().data] == [customer.id]
    tries = [r for r in server.requests() if r["method"] == "POST"]
    assert [r["fault"] for r in tries] == [kind, None]
    assert tries[0]["idempotency_key"] == tries[1]["idempotency_key"]
    assert tries[1]["replayed"] is kind.startswith("act_")


def test_without_an_idempotency_key_a_lost_answer_acts_twice(server):
    """The control for the test above: the key is what holds."""
    server.fault("act_then_cut", match="POST /v1/customers")
    with pytest.raises((http.client.HTTPException, OSError)):
        ask(server, "POST", "/v1/customers", "name=Ada")
    assert ask(server, "POST", "/v1/customers", "name=Ada")[0] == 200
    assert len(client_of(server).v1.customers.list().data) == 2


def test_rate_limit_and_endless_failure_reach_the_caller(server):
    client = client_of(server, retries=0)
    server.fault("fail", status=429)
    with pytest.raises(stripe.RateLimitError):
        client.v1.customers.list()
    server.fault("fail", status=503, times=9)
    with pytest.raises(stripe.APIError):
        client.v1.customers.list()
    server.behave()
    assert client.v1.customers.list().data == []


def test_unknown_fault_is_refused(server):
    with pytest.raises(ControlRefused, match="unknown fault 'explode'"):
        server.fault("explode")


def test_reset_forgets_everything(server, client):
    client.v1.customers.create(params={"name": "Ada"})
    server.reset()
    assert client.v1.customers.list().data == []
    assert (server.events(), server.deliveries(), len(server.requests())) == ([], [], 1)


# --- memory over a restart --------------------------------------------------------------------------------------------


def test_killed_server_comes_back_with_what_it_acknowledged(tmp_path, receiver):
    process, url = start_process(tmp_path, receiver)
    try:
        client = stripe.StripeClient("sk_test_0123456789", base_addresses={"api": url})
        options: Any = {"idempotency_key": "k"}
        session = client.v1.checkout.sessions.create(params=session_params(), options=options)
        intent = pay_directly(client)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    process, url = start_process(tmp_path, receiver)
    try:
        client = stripe.StripeClient("sk_test_0123456789", base_addresses={"api": url})
        again = client.v1.checkout.sessions.create(params=session_params(), options=options)
        assert again.id == session.id
        assert client.v1.payment_intents.retrieve(intent.id).amount_received == 24000
        receiver.wait_for("payment_intent.succeeded")
    finally:
        process.terminate()
        assert process.wait(10) == 0


def start_process(folder: Path, receiver: Receiver) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "devtools.stripe_server", "--data", str(folder)]
    command += ["--webhook-url", receiver.url, "--webhook-secret", "whsec_test"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as out:
        words = out.readline().split()
    return process, words[4]


def test_webhook_not_yet_delivered_finds_the_shop_after_a_restart_elsewhere(tmp_path):
    """The demo may come up on another port and with another secret."""
    with receiving() as before, receiving() as after:
        with running(webhook_url=before.url, folder=tmp_path, api_key="sk_test_same") as server:
            server.webhooks(delay=1.0)
            client_of(server).v1.customers.create(params={"name": "Ada"})
        assert before.types == []
        with running(webhook_url=after.url, folder=tmp_path, api_key="sk_test_same") as server:
            bell = after.wait_for("customer.created")[0]
            assert stripe.Webhook.construct_event(bell.body, bell.signature, server.webhook_secret).id
        assert before.types == []


def test_taken_port_ends_in_one_sentence(server):
    port = str(urlsplit(server.url).port)
    command = [sys.executable, "-m", "devtools.stripe_server", "--port", port]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"The Stripe test server cannot listen on 127.0.0.1:{port}: ")
    assert done.stderr.count("\n") == 1


# --- shapes -----------------------------------------------------------------------------------------------------------

CLASSES: dict[str, Any] = {
    "checkout.session": stripe.checkout.Session,
    "item": stripe.LineItem,
    "payment_intent": stripe.PaymentIntent,
    "charge": stripe.Charge,
    "refund": stripe.Refund,
    "dispute": stripe.Dispute,
    "balance_transaction": stripe.BalanceTransaction,
    "payment_method": stripe.PaymentMethod,
    "customer": stripe.Customer,
    "product": stripe.Product,
    "price": stripe.Price,
    "event": stripe.Event,
    "webhook_endpoint": stripe.WebhookEndpoint,
}
ONLY_WHEN_EXPANDED = {"charge": {"refunds"}}  # gone from the default answer since API version 2022-11-15
NOT_ALWAYS = {  # typed as always there, absent from Stripe's own samples
    "checkout.session": {"redirect_on_completion"},
    "payment_intent": {"payment_record"},
    "charge": {"transfer"},
    "refund": {"failure_balance_transaction", "pending_reason"},
}


@pytest.fixture
def samples(server, client) -> dict[str, dict[str, Any]]:
    """One object of each kind, as the server answers."""
    customer = client.v1.customers.create(params={"name": "Ada"})
    endpoint = client.v1.webhook_endpoints.create(
        params={"url": "http://127.0.0.1:9/x", "enabled_events": ["charge.refunded"]}
    )
    session = open_session(client)
    press(server, session, "success")
    whole = client.v1.checkout.sessions.retrieve(
        session.id,
        params={
            "expand": [
                "line_items.data.price.product",
                "payment_intent.payment_method",
                "payment_intent.latest_charge.balance_transaction",
            ]
        },
    ).to_dict()
    item = whole.pop("line_items")["data"][0]
    intent = whole["payment_intent"]
    refund = client.v1.refunds.create(params={"payment_intent": intent["id"]})
    disputed = open_session(client)
    press(server, disputed, "success")
    disputed_intent = client.v1.checkout.sessions.retrieve(disputed.id).payment_intent
    dispute = client.v1.disputes.retrieve(server.dispute(str(disputed_intent)))
    return {
        "checkout.session": whole,
        "item": item,
        "payment_intent": intent,
        "charge": intent["latest_charge"],
        "refund": refund.to_dict(),
        "dispute": dispute.to_dict(),
        "balance_transaction": intent["latest_charge"]["balance_transaction"],
        "payment_method": intent["payment_method"],
        "customer": customer.to_dict(),
        "product": item["price"]["product"],
        "price": item["price"],
        "event": server.events("charge.refunded")[0],
        "webhook_endpoint": client.v1.webhook_endpoints.retrieve(endpoint.id).to_dict(),
    }


def test_objects_have_the_keys_stripe_python_knows(samples):
    for kind, cls in CLASSES.items():
        typed = {name: str(hint) for name, hint in cls.__annotations__.items() if not name.startswith("_")}
        always = {
            name
            for name, hint in typed.items()
            if not hint.startswith(("typing.Optional", "typing.ClassVar"))
        }
        keys = set(samples[kind])
        assert keys - set(typed) == set(), f"{kind} has keys Stripe does not know"
        assert always - keys - NOT_ALWAYS.get(kind, set()) == set(), f"{kind} lacks keys"


def test_objects_have_the_keys_of_stripes_published_samples(samples):
    path = os.environ.get("STRIPE_FIXTURES")
    if not path:
        pytest.skip(
            "STRIPE_FIXTURES is not set: the key sets were compared with stripe-python's classes only"
        )
    published = json.loads(Path(path).read_text())["resources"]
    for kind in CLASSES:
        missing = set(published[kind]) - set(samples[kind]) - ONLY_WHEN_EXPANDED.get(kind, set())
        assert missing == set(), kind
