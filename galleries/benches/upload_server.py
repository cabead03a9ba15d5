"""The server of `manage.py bench upload`: the product, and beside it a plain writer of the same bytes.

PUT /plain/<name>   the body at the end of a file of that name, fsync, 204: what any server must do at least
anything else       the product as it is deployed
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from studio.wsgi import application as product

PLAIN = Path(os.environ["BENCH_PLAIN"])
PIECE = 256 * 1024
Start = Callable[..., Any]


def application(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """WSGI: the plain writer under /plain/, the product elsewhere."""
    path = environ["PATH_INFO"]
    if not path.startswith("/plain/"):
        return product(environ, start_response)
    left = int(environ["CONTENT_LENGTH"])
    with (PLAIN / Path(path).name).open("ab") as file:
        while left and (piece := environ["wsgi.input"].read(min(PIECE, left))):
            file.write(piece)
            left -= len(piece)
        file.flush()
        os.fsync(file.fileno())
    start_response("204 No Content", [])
    return []
