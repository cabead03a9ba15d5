"""What a file says about itself, read from its bytes without decoding a pixel.

Each reader walks one container format, trusts no length it did not check against the end of the file,
and answers with a Header or raises Refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from mmap import mmap

type Data = bytes | mmap


@dataclass(frozen=True)
class Header:
    """Facts from a container. Sides are as stored, before the orientation is applied."""

    format: str
    width: int
    height: int
    bits: int = 8
    codec: str = ""
    scans: int = 1
    is_oriented_by_decoder: bool = False
    exif: bytes | None = field(default=None, repr=False)
    icc: bytes | None = field(default=None, repr=False)
    xmp: bytes | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
