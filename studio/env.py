"""Typed readers for the environment. A value may also come from a file: NAME_FILE=/run/secrets/name."""

import os
from collections.abc import Mapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


class Env:
    """Read settings out of a mapping (the process environment by default)."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.values = os.environ if values is None else values

    def text(self, name: str, default: str | None = None) -> str:
        """The value of NAME, or the content of the file named by NAME_FILE, or the default.

        Raises ImproperlyConfigured when nothing is given and there is no default, or the file cannot be read.
        """
        if name in self.values:
            return self.values[name]
        if path := self.values.get(f"{name}_FILE"):
            try:
                return Path(path).read_text().strip()
            except OSError as error:
                raise ImproperlyConfigured(f"{name}_FILE={path} cannot be read: {error.strerror}.") from error
        if default is None:
            raise ImproperlyConfigured(f"Set {name} (or {name}_FILE) in the environment.")
        return default

    def flag(self, name: str, default: bool = False) -> bool:
        """1/true/yes/on or 0/false/no/off; anything else is refused rather than guessed."""
        value = self.text(name, "1" if default else "0").lower()
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}.")

    def number(self, name: str, default: int) -> int:
        """A whole number."""
        value = self.text(name, str(default))
        try:
            return int(value)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from error

    def words(self, name: str, default: str = "") -> list[str]:
        """A comma-separated list; blanks are dropped."""
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]
