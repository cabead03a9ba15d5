"""Stripe's error object: what a refused request is answered with."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class StripeFault(Exception):
    """A request Stripe would refuse.

    `kept` says whether the answer belongs to the idempotency key: Stripe keeps the answer of every request
    that began to act, whatever it was, and keeps none for a request refused while its parameters were read.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        kept: bool = True,
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kept = kept
        self.headers = headers or {}
        self.error: Json = {"message": message, "type": type}
        if code is not None:
            self.error["code"] = code
            self.error["doc_url"] = f"https://docs.stripe.com/error-codes/{code.replace('_', '-')}"
        if param is not None:
            self.error["param"] = param
        self.error.update(extra)

    def body(self) -> Json:
        """The JSON document of the answer."""
        return {"error": self.error}


def bad_param(message: str, *, param: str, code: str | None = None) -> StripeFault:
    """A parameter that cannot be read: refused before anything happens, so no idempotency key keeps it."""
    return StripeFault(message, param=param, code=code, kept=False)


def missing_param(param: str) -> StripeFault:
    """A parameter Stripe requires is not there."""
    return bad_param(f"Missing required param: {param}.", param=param, code="parameter_missing")


def no_such(kind: str, object_id: str, *, param: str = "id", status: int = 404) -> StripeFault:
    """An id nobody gave out. 404 for the object of the path, 400 for one named by a parameter."""
    return StripeFault(f"No such {kind}: '{object_id}'", status=status, code="resource_missing", param=param)


def not_built(param: str) -> StripeFault:
    """Stripe knows this parameter, this server does not act on it: better refused than quietly ignored."""
    return bad_param(
        f"The test server does not implement the parameter {param}; the real Stripe does.",
        param=param,
        code="test_server_not_implemented",
    )
