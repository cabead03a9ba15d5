"""Importing registers every bench of the galleries."""

from galleries.benches import renditions as _renditions
from galleries.benches import zip as _zip

__all__ = ["_renditions", "_zip"]
