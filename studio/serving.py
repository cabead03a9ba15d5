"""A gunicorn with the product's own settings on a port of its own, for benches that ask over the wire."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def environment_of(folder: Path, port: int) -> dict[str, str]:
    """What the product is told: its store in that folder, its address at that port."""
    return {
        **os.environ,
        "STORAGE_URL": f"file://{folder}/media",
        "SITE_URL": f"http://127.0.0.1:{port}",
        "ALLOWED_HOSTS": "127.0.0.1",
    }


def as_deployed(folder: Path, port: int) -> dict[str, str]:
    """`environment_of` without debugging, its static files collected, hashed and compressed in the folder."""
    environment = environment_of(folder, port) | {"LIKENESS_DATA": str(folder), "DEBUG": "0"}
    collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"]
    subprocess.run(collect, cwd=ROOT, env=environment, check=True)
    return environment


@contextmanager
def gunicorn(
    application: str,
    folder: Path,
    port: int,
    environment: Mapping[str, str],
    *,
    threads: int = 8,
    beside: Path | None = None,
) -> Iterator[None]:
    """The server while the block runs; its log is in the folder, and told when the block cannot reach it.

    `beside`: a folder whose modules can be the application by themselves, without their package.
    """
    command = [sys.executable, "-m", "gunicorn", application, "--bind", f"127.0.0.1:{port}"]
    command += ["--worker-class", "gthread", "--workers", "1", "--threads", str(threads)]
    command += ["--log-level", "error", "--timeout", "300", "--no-control-socket"]
    command += ["--pythonpath", f"{ROOT},{beside}" if beside else str(ROOT)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=dict(environment), cwd=ROOT, start_new_session=True, stdout=log, stderr=log
        )
    try:
        _wait(process, port, folder / "server.log")
        yield
    except (OSError, HTTPException) as error:
        raise RuntimeError(
            f"The bench's server said: {(folder / 'server.log').read_text()[-2000:]}"
        ) from error
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"The bench's server did not start: {log.read_text()[-2000:]}")
