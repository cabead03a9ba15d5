"""Importing registers every bench of the galleries."""

from galleries.benches import deadlines as _deadlines
from galleries.benches import guard as _guard
from galleries.benches import intake as _intake
from galleries.benches import proofs as _proofs
from galleries.benches import renditions as _renditions
from galleries.benches import retouch as _retouch
from galleries.benches import tether as _tether
from galleries.benches import upload as _upload
from galleries.benches import zip as _zip

__all__ = [
    "_deadlines",
    "_guard",
    "_intake",
    "_proofs",
    "_renditions",
    "_retouch",
    "_tether",
    "_upload",
    "_zip",
]
