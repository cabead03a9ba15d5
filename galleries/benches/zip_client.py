"""The client of `manage.py bench zip`: fetch, throw the bytes away, print the times."""

import json
import socket
import sys
import time
from typing import Any

BUFFER = 1 << 20


def fetch(port: int, path: str, byte_range: str = "") -> dict[str, Any]:
    """One GET on loopback: seconds to the first byte of the body and to the last, and how many there were."""
    asked = f"Range: {byte_range}\r\n" if byte_range else ""
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n{asked}Connection: close\r\n\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += wire.recv(BUFFER)
        lines, _blank, body = head.partition(b"\r\n\r\n")
        status, count = int(lines.split()[1]), len(body)
        first = time.perf_counter() - began if body else 0.0
        buffer = bytearray(BUFFER)
        while more := wire.recv_into(buffer):
            first = first or time.perf_counter() - began
            count += more
    return {"status": status, "first": first, "seconds": time.perf_counter() - began, "bytes": count}


if __name__ == "__main__":
    print(json.dumps(fetch(int(sys.argv[1]), sys.argv[2], *sys.argv[3:])))
