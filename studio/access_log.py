"""What the web server writes of each request. Imported by gunicorn alone."""

from typing import Any

from gunicorn.glogging import Logger

from studio.discreet import without_keys


class AccessLog(Logger):  # type: ignore[misc]  # the server comes without types
    """The usual line without the keys of private links (`--logger-class studio.access_log.AccessLog`)."""

    def atoms(self, *request: Any) -> dict[str, Any]:
        atoms: dict[str, Any] = super().atoms(*request)
        return {
            name: without_keys(value) if isinstance(value, str) else value for name, value in atoms.items()
        }
