"""Work that goes too far, for the limits of `studio.limited`: each ends with an answer where no limit stops it."""

import os
import time
from tempfile import TemporaryFile

from studio import limited


def work(order: bytes) -> bytes:
    match order:
        case b"wait":
            time.sleep(6)
        case b"count":
            while time.process_time() < 4:
                pass
        case b"fill":
            return str(len(bytearray(400_000_000))).encode()
        case b"write":
            with TemporaryFile() as file:
                file.write(b"on the disk")
        case b"print":
            print("something else")
        case b"look":
            return " ".join(os.environ).encode()
    return b"done"


if __name__ == "__main__":
    limited.answer(work)
