"""The test payment page: what stands at the address where Stripe's hosted Checkout would be. No money moves here."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

from . import checkout, payments
from .engine import Engine, money
from .errors import StripeFault
from .store import Row

CHOICES = {  # form value → the test payment method it uses
    "success": "visa",
    "declined": "chargeDeclined",
    "slow": "settles",
    "slow_fails": "bounces",
    "refund_fails": "refundFail",  # has no button: what comes of it is seen long afterwards
}

STYLE = """
:root { color-scheme: light; --ink: #1d2733; --soft: #5a6775; --line: #d9dee4; --accent: #1f5f5b; --warn: #7a4b00; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f5f6; color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
.mark { margin: 0; padding: .75rem 1rem; background: #fff1cf; color: var(--warn); text-align: center; font-weight: 600;
  border-bottom: 1px solid #ecd9a6; }
main { max-width: 30rem; margin: 2rem auto; padding: 0 1rem 3rem; }
.sheet { background: #fff; border: 1px solid var(--line); border-radius: 14px; padding: clamp(1.25rem, 5vw, 2rem); }
h1 { margin: 0; font-size: 1rem; font-weight: 500; color: var(--soft); }
.total { margin: 0 0 1.25rem; font-size: 2.25rem; line-height: 1.2; font-weight: 600; letter-spacing: -.02em; }
.lines { list-style: none; margin: 0 0 1.5rem; padding: 1rem 0 0; border-top: 1px solid var(--line); }
.lines li { display: flex; justify-content: space-between; gap: 1rem; overflow-wrap: anywhere; }
.lines span:last-child { white-space: nowrap; }
label { display: block; margin-bottom: 1.25rem; font-weight: 500; }
input { display: block; width: 100%; margin-top: .3rem; padding: .7rem .8rem; font: inherit; color: inherit;
  border: 1px solid #8a96a3; border-radius: 8px; background: #fff; }
button, .back { display: block; width: 100%; min-height: 3rem; margin-top: .7rem; padding: .7rem 1rem; font: inherit;
  font-weight: 600; text-align: center; text-decoration: none; border-radius: 9px; cursor: pointer;
  border: 1px solid #8a96a3; background: #fff; color: var(--ink); }
button small { display: block; font-weight: 400; color: var(--soft); }
button.pay { background: var(--accent); border-color: var(--accent); color: #fff; }
button.pay small { color: #dcebe9; }
.back { border-color: transparent; color: var(--soft); text-decoration: underline; }
:focus-visible { outline: 3px solid #7fb8b3; outline-offset: 2px; }
.alert { margin: 0 0 1.25rem; padding: .8rem 1rem; border-radius: 9px; background: #fdecea; color: #8c1d18; }
.note { color: var(--soft); font-size: .9rem; margin: 1.25rem 0 0; }
"""
_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}


def show(engine: Engine, session: Row, *, problem: str = "") -> str:
    """The page of a session in its present state."""
    status = session.body["status"]
    if status == "open":
        return _document("Pay", _form(engine, session, problem))
    if status == "expired":
        sentence = "This payment page has expired. Nothing was charged."
        return _document("Expired", _ended(sentence, session.body["cancel_url"], "Back to the studio"))
    sentence = "This has been paid. There is nothing more to do here."
    if session.body["payment_status"] == "unpaid":
        sentence = "This payment is being processed. There is nothing more to do here."
    return _document("Done", _ended(sentence, return_address(session), "On to the studio"))


def unknown() -> str:
    """The page for an address nobody gave out."""
    return _document("Not found", _ended("There is no payment page here.", None, ""))


def receipt(charge: Row) -> str:
    """A receipt to look at."""
    body = charge.body
    taken = money(body["amount_captured"], body["currency"])
    back = (
        f" Given back: {money(body['amount_refunded'], body['currency'])}." if body["amount_refunded"] else ""
    )
    return _document("Receipt", _ended(f"Test receipt for {taken}.{back} No money moved.", None, ""))


def submit(engine: Engine, session: Row, choice: str, email: str) -> str | None:
    """Carry out the pressed button. The address to go on to, or None to show the page again.

    Raises `StripeFault` when the bank declines or the session is not open any more."""
    if choice not in CHOICES:
        raise StripeFault("Choose one of the buttons.")
    name = CHOICES[choice]
    if name in payments.CARDS:
        method = payments.make_card(engine, name)
    else:
        method = payments.make_bank(engine, _iban_that(name))
    checkout.pay(engine, session, method, email=email or None)
    return return_address(session)


def return_address(session: Row) -> str:
    """success_url with Stripe's placeholder filled in."""
    url: str = session.body["success_url"]
    return url.replace("{CHECKOUT_SESSION_ID}", session.id)


def _iban_that(name: str) -> str:
    return {"settles": "AT321904300235473204", "bounces": "AT861904300235473202"}[name]


def _form(engine: Engine, session: Row, problem: str) -> str:
    body = session.body
    alert = f'<p class="alert" role="alert">{escape(problem)}</p>' if problem else ""
    lines = "".join(
        f"<li><span>{escape(line['description'])}{_times(line['quantity'])}</span>"
        f"<span>{money(line['amount_total'], body['currency'])}</span></li>"
        for line in session.hidden["lines"]
    )
    email = escape(body["customer_email"] or "", quote=True)
    lock = " readonly" if body["customer_email"] else ""
    until = datetime.fromtimestamp(body["expires_at"], UTC).strftime("%H:%M UTC")
    back = _link(body["cancel_url"], "Cancel and go back") if body["cancel_url"] else ""
    buttons = _buttons(f"{engine.options.slow_seconds:g} s")
    return f"""{alert}<h1>To pay</h1>
<p class="total">{money(body["amount_total"], body["currency"])}</p>
<ul class="lines">{lines}</ul>
<form method="post" action="/c/pay/{quote(session.id)}">
<label>E-mail for the receipt
<input type="email" name="email" required autocomplete="email" value="{email}"{lock}></label>
{buttons}
</form>
{back}
<p class="note">This page closes at {until}.</p>"""


def _buttons(slow: str) -> str:
    choices = (
        ("success", "Pay with a test card", "4242: the payment goes through"),
        ("declined", "Pay with a declined card", "0002: the bank says no"),
        ("slow", "Pay slowly", f"processing, then paid after {slow}"),
        ("slow_fails", "Pay slowly, and fail", f"processing, then refused after {slow}"),
    )
    return "".join(
        f'<button{" class=pay" if value == "success" else ""} name="choice" value="{value}">'
        f"{words}<small>{meaning}</small></button>"
        for value, words, meaning in choices
    )


def _times(quantity: int) -> str:
    return f" × {quantity}" if quantity > 1 else ""


def _ended(sentence: str, url: str | None, words: str) -> str:
    link = _link(url, words) if url else ""
    return f"<h1>Test payment</h1><p>{escape(sentence)}</p>{link}"


def _link(url: str, words: str) -> str:
    return f'<a class="back" href="{escape(url, quote=True)}">{escape(words)}</a>'


def _document(title: str, inside: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · test payment</title>
<style>{STYLE}</style>
</head>
<body>
<header class="mark">TEST PAYMENT — no money moves</header>
<main><div class="sheet">{inside}</div></main>
</body>
</html>
"""
