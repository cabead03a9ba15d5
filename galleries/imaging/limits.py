"""How much a file from outside may cost. Checked on the header first, then held by the child's own limits."""

from __future__ import annotations

from dataclasses import dataclass

from .refusals import Refused

MEGA = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Sides in pixels, memory in bytes, time in CPU seconds."""

    max_pixels: int = 120 * MEGA
    max_side: int = 25_000
    min_side: int = 8
    max_aspect: float = 16.0
    max_scans: int = 100
    # One progressive pass costs about 0.5 to 0.9 ms per megapixel, whatever its bytes: 2,000 passes of a
    # 24 MP file took over 30 s in Pillow and OpenCV. Cameras and editors write about ten.
    max_scan_megapixels: float = 1_200.0
    max_profile_bytes: int = 4 * MEGA
    max_heif_profile_bytes: int = MEGA  # libheif reads one at half a second of CPU a megabyte
    max_text_bytes: int = 8 * MEGA
    memory_bytes: int = 900 * MEGA
    # Time is paid for with bytes: a small file gets no more than the base, so a bomb cannot buy time.
    cpu_base_seconds: float = 1.7
    cpu_seconds_per_megabyte: float = 0.12
    cpu_max_seconds: float = 30.0

    def cpu_seconds(self, file_bytes: int) -> float:
        """CPU seconds allowed for reading a file of this many bytes."""
        return min(
            self.cpu_max_seconds, self.cpu_base_seconds + self.cpu_seconds_per_megabyte * file_bytes / MEGA
        )

    def check_sides(self, width: int, height: int) -> None:
        """Refuse sizes that are not a photo's. Raises Refused."""
        if width <= 0 or height <= 0:
            raise Refused("damaged")
        if min(width, height) < self.min_side:
            raise Refused("too_small")
        if max(width, height) > self.max_side or width * height > self.max_pixels:
            raise Refused("too_large")
        if max(width, height) / min(width, height) > self.max_aspect:
            raise Refused("too_narrow")

    def check_scans(self, scans: int, width: int, height: int) -> None:
        """Refuse a JPEG whose passes cost more than a photo's. Raises Refused."""
        if scans > self.max_scans or (
            scans * width * height / MEGA > self.max_scan_megapixels and scans > 12
        ):
            raise Refused("too_many_scans")


LIMITS = Limits()
