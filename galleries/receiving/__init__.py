"""Bytes of an Upload, in any number of pieces, until all are kept: then, and only then, they are checked.

An offset is told to the sender only after the bytes before it are safe. The verbs here are spoken by the tus endpoint,
by the plain form, by `watch` and by `ingest`; where the bytes lie is a Shelf's business (`disk`, `s3`).
"""

from galleries.receiving.shelves import (
    Busy,
    Checksum,
    Gone,
    Interrupted,
    Overrun,
    ReceivingError,
    TooLarge,
    WrongChecksum,
    WrongOffset,
)
from galleries.receiving.verbs import (
    ABANDONED_AFTER,
    FINISHED,
    FRAME,
    HAND_IN,
    Facts,
    append,
    clean_name,
    expires_at,
    finish_if_whole,
    offset_of,
    open_upload,
    receive_file,
    receive_whole,
    sweep,
    terminate,
)

__all__ = [
    "ABANDONED_AFTER",
    "FINISHED",
    "FRAME",
    "HAND_IN",
    "Busy",
    "Checksum",
    "Facts",
    "Gone",
    "Interrupted",
    "Overrun",
    "ReceivingError",
    "TooLarge",
    "WrongChecksum",
    "WrongOffset",
    "append",
    "clean_name",
    "expires_at",
    "finish_if_whole",
    "offset_of",
    "open_upload",
    "receive_file",
    "receive_whole",
    "sweep",
    "terminate",
]
