"""The demo's supervisor: what it refuses in one sentence, what it starts again, and that nothing is left of it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from studio import demo, embedded
from studio.processes import Child

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's own folder, and an environment in which it may run."""
    for name in ("DATABASE_URL", "REDIS_URL", "CACHE_URL", "STORAGE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LIKENESS_DATA", str(tmp_path))
    return tmp_path / "demo"


def manage(*words: str, data: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=PROJECT,
        env=environment | {"LIKENESS_DATA": str(data)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_taken_port_is_one_sentence(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        told = manage("demo", "--port", str(port), data=folder.parent)

    assert told.returncode == 1
    assert told.stderr == (
        f"The demo cannot run: port {port} is taken by another program; free it, or `make demo PORT={port + 10}`.\n"
    )


def test_port_that_is_none_is_one_sentence(folder: Path) -> None:
    told = manage("demo", "--port", "70000", data=folder.parent)

    assert (told.returncode, told.stderr) == (
        1,
        "The demo cannot run: 70000 is not a port number; choose one from 1024 to 65535.\n",
    )


def test_second_demo_on_the_same_folder_is_one_sentence(folder: Path) -> None:
    folder.mkdir()
    with embedded.locked(folder):
        told = manage("demo", data=folder.parent)

    assert told.returncode == 1
    assert told.stderr == (
        f"The demo cannot run: a demo is already running in {folder} (process {os.getpid()}).\n"
    )


def test_real_servers_are_not_filled_with_inventions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://db.example/likeness")

    with pytest.raises(
        embedded.EmbeddedError, match="DATABASE_URL is set, and the demo must not fill real servers"
    ):
        demo.Demo(folder=folder, port=8000).run(reset=True)

    assert not folder.exists()


def test_full_disk_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 3_000_000

    monkeypatch.setattr("studio.demo.shutil.disk_usage", lambda path: Usage)

    with pytest.raises(embedded.EmbeddedError) as told:
        demo.Demo(folder=folder, port=demo.free_port(beside=8500)).run(reset=False)

    assert str(told.value) == f"the disk that holds {folder} has 3 MB free, and 1000 MB are needed."


def test_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    told = manage("demo", data=tmp_path / "file")

    assert (told.returncode, told.stderr) == (
        1,
        f"The demo cannot run: Not a directory ({tmp_path / 'file' / 'demo'}).\n",
    )


def test_keys_are_made_once_and_for_us_alone(folder: Path) -> None:
    folder.mkdir()
    first = demo.Demo(folder=folder, port=8000).settings()

    assert demo.Demo(folder=folder, port=8000).settings() == first
    assert len(first["SECRET_KEY"]) == 64
    assert (folder / "secrets" / "secret-key").stat().st_mode & 0o077 == 0


def test_reset_deletes_what_was_kept(folder: Path) -> None:
    for path in ("media/originals/a.jpg", "stripe/state.json", "services/postgres/PG_VERSION"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("kept")
    (folder / "signins.json").write_text("[]")
    outside = folder.parent / "media"
    outside.mkdir()

    demo.Demo(folder=folder, port=8000).throw_away()

    assert list(folder.iterdir()) == []
    assert outside.exists()


def test_other_commands_join_the_running_demo(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY")
    monkeypatch.setenv("SITE_URL", "http://mine")
    folder.mkdir()
    running = demo.Demo(folder=folder, port=8000)
    running.environment = {"DATABASE_URL": "postgresql:///demo", "SECRET_KEY": "k", "SITE_URL": "http://demo"}

    with running.announced():
        demo.join_running_demo()

    assert (os.environ["DATABASE_URL"], os.environ["SECRET_KEY"]) == ("postgresql:///demo", "k")
    assert os.environ["SITE_URL"] == "http://mine"
    monkeypatch.delenv("DATABASE_URL")
    demo.join_running_demo()  # it has ended
    assert "DATABASE_URL" not in os.environ


def test_demo_that_was_killed_is_not_joined(folder: Path) -> None:
    folder.mkdir()
    gone = subprocess.Popen(["true"])
    gone.wait()
    (folder / "running.json").write_text(
        json.dumps({"pid": gone.pid, "environment": {"DATABASE_URL": "postgresql:///gone"}})
    )

    demo.join_running_demo()

    assert "DATABASE_URL" not in os.environ


def test_command_without_settings_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY")

    told = manage("verify", data=folder.parent)

    assert told.returncode == 1
    assert told.stderr.splitlines() == [
        "The SECRET_KEY setting must not be empty.",
        "Start the demo (make demo), or set what .env.example names.",
    ]


def test_signins_are_printed_as_seeded(tmp_path: Path) -> None:
    path = tmp_path / "signins.json"
    entries = [
        {"who": "Photographer", "address": "http://a/desk/", "user": "ann@x", "password": "p", "note": ""},
        {"who": "Client", "address": "http://a/open/t", "user": "", "password": "", "note": "no sign-in"},
    ]
    path.write_text(json.dumps(entries))

    assert demo.signin_lines(path) == [
        "  Photographer: http://a/desk/",
        "      sign in as ann@x with p",
        "  Client: http://a/open/t",
        "      no sign-in",
    ]


def short_lived(tmp_path: Path) -> demo.Kept:
    """A program that ends at once and counts its starts."""
    words = ["/bin/sh", "-c", "echo started; exit 3"]
    return demo.Kept(Child("brief", words, tmp_path / "brief.log", {"PATH": "/usr/bin:/bin"}, tmp_path))


def test_child_that_ends_is_started_again_after_longer_and_longer_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = short_lived(tmp_path)
    clock = [1000.0]
    monkeypatch.setattr("studio.demo.time.monotonic", lambda: clock[0])
    kept.start()
    starts = [clock[0]]

    while len(starts) < 8:
        if kept.child.process is not None and kept.due is None:
            kept.child.process.wait()
        before = kept.started
        kept.look_after()
        if kept.started != before:
            starts.append(clock[0])
        clock[0] += 0.5

    assert kept.child.process is not None
    kept.child.process.wait()
    pauses = [round(after - before - 0.5) for before, after in pairwise(starts[1:])]
    assert pauses == [2, 4, 8, 16, 30, 30]
    assert (tmp_path / "brief.log").read_text().count("started") == 8
    assert capsys.readouterr().out.startswith("brief has ended (exit code 3); starting it again in 1 s.")
    kept.child.stop()


def test_stopping_kills_what_does_not_listen(tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-c",
        "import signal, time; signal.signal(15, 1); print('deaf', flush=True); time.sleep(60)",
    ]
    child = Child("deaf", words, tmp_path / "deaf.log", {}, tmp_path)
    child.start()
    while "deaf" not in child.last_words():
        time.sleep(0.02)
    began = time.monotonic()

    embedded.stop_together([child], seconds=0.3)

    assert 0.3 <= time.monotonic() - began < 50  # by itself it would sleep for 60
    assert child.process is None


@contextlib.contextmanager
def running_demo(data: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """`manage.py demo` up to its printed addresses."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    supervisor = subprocess.Popen(
        [sys.executable, "manage.py", "demo", "--port", str(port)],
        cwd=PROJECT,
        env=environment | {"LIKENESS_DATA": str(data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said = []
        for line in supervisor.stdout or []:
            said.append(line)
            if "Stop with Ctrl-C" in line:
                break
        else:
            pytest.fail("".join(said))
        yield supervisor
    finally:
        supervisor.kill()
        supervisor.communicate()


def processes_below(data: Path) -> list[int]:
    """Every process that was started for this demo, by its environment or its words."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if os.fsencode(data / "demo") in words:
                found.append(int(process.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_whole_demo_ends_cleanly_survives_kills_and_leaves_nothing() -> None:
    """Cold start, a killed database and worker, `kill -9` of the supervisor, warm start, Ctrl-C."""
    with embedded.scratch_folder() as data:
        port = demo.free_port(beside=8600)
        with running_demo(data, port) as supervisor:
            told = json.loads((data / "demo/running.json").read_text())
            marks = data / "demo/services/postgres/data/postmaster.pid"
            os.kill(int(marks.read_text().split("\n", 1)[0]), signal.SIGKILL)
            killed = time.monotonic()
            while not (marks.exists() and demo.answers(f"{told['environment']['SITE_URL']}/healthz")):
                assert time.monotonic() - killed < 180, "the database was not started again"
                time.sleep(0.2)
            supervisor.kill()
            supervisor.wait()
            until = time.monotonic() + 60
            while processes_below(data) and time.monotonic() < until:
                time.sleep(0.1)
            assert processes_below(data) == []
        with running_demo(data, port) as supervisor:
            supervisor.send_signal(signal.SIGINT)
            output, _ = supervisor.communicate(timeout=60)
            assert supervisor.returncode == 0
            assert output.rstrip().endswith("The demo has ended; its data is kept.")
            assert processes_below(data) == []


@pytest.mark.parametrize(
    ("last_line", "sentence"),
    [
        ("studio.storage.StorageFull: The disk is full.", "the disk that holds {folder} is full."),
        ("OSError: [Errno 28] No space left on device", "the disk that holds {folder} is full."),
        ("KeyError: 'x'", "`manage.py migrate` failed: KeyError: 'x' (see {log})."),
    ],
)
def test_command_that_fails_is_one_sentence(folder: Path, last_line: str, sentence: str) -> None:
    log = folder / "migrate.log"
    folder.mkdir()
    log.write_text(f"Traceback …\n{last_line}\n")

    told = demo.Demo(folder=folder, port=8000).why("`manage.py migrate` failed", log)

    assert told == sentence.format(folder=folder, log=log)
