"""The description of production: valid, closed to the network, and the same processes as the demo's."""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from studio import alive
from studio.models import Heartbeat

PROJECT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
SITE = ["web", "worker-quick", "worker-images", "beat", "migrate"]


def compose(*words: str) -> subprocess.CompletedProcess[str]:
    """`docker-compose` on our file, without anything from this machine's environment."""
    return subprocess.run(
        [PROGRAMS / "docker-compose", "--env-file", os.devnull, *words],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Every service as compose understands it."""
    told = compose("config", "--format", "json")
    assert told.returncode == 0, told.stderr
    found: dict[str, Any] = json.loads(told.stdout)["services"]
    return found


def test_compose_file_is_valid() -> None:
    told = compose("config", "-q")

    assert (told.returncode, told.stderr) == (0, "")


def test_dockerfile_is_clean() -> None:
    told = subprocess.run(
        [PROGRAMS / "hadolint", PROJECT / "Dockerfile"], capture_output=True, text=True, check=False
    )

    assert (told.returncode, told.stdout) == (0, "")


def test_processes_are_those_of_the_architecture(services: dict[str, Any]) -> None:
    assert sorted(services) == sorted([*SITE, "database", "broker", "cache", "store"])
    assert services["worker-quick"]["command"][5] == "quick"
    assert services["worker-images"]["command"][5] == "images"


def test_only_the_site_is_published_and_only_to_this_machine(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if service.get("ports")}

    assert list(published) == ["web"]
    assert [port["host_ip"] for port in published["web"]] == ["127.0.0.1"]
    assert all(
        "outside" not in services[name]["networks"] for name in ("database", "broker", "cache", "store")
    )


def test_broker_never_evicts_and_the_cache_may(services: dict[str, Any]) -> None:
    def option(service: str, name: str) -> str:
        command = services[service]["command"]
        return str(command[command.index(name) + 1])

    assert (option("broker", "--maxmemory-policy"), option("broker", "--appendonly")) == ("noeviction", "yes")
    assert (option("cache", "--maxmemory-policy"), option("cache", "--appendonly")) == ("allkeys-lru", "no")


def test_every_long_running_service_has_a_health_check_and_starts_after_the_migration(
    services: dict[str, Any],
) -> None:
    dockerfile = (PROJECT / "Dockerfile").read_text()
    assert "HEALTHCHECK" in dockerfile  # the site's own; `web` uses it
    for name in set(services) - {"web", "migrate"}:
        assert services[name]["healthcheck"]["test"], name
    for name in set(SITE) - {"migrate"}:
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully", name


def test_site_is_not_root_cannot_write_its_code_and_has_no_key_in_its_environment(
    services: dict[str, Any],
) -> None:
    assert "USER 10001:10001" in (PROJECT / "Dockerfile").read_text()
    for name in SITE:
        assert services[name]["read_only"] is True
        assert services[name]["cap_drop"] == ["ALL"]
        keys = [
            key
            for key in services[name]["environment"]
            if re.search("KEY|SECRET|PASSWORD|DATABASE|STORAGE", key)
        ]
        assert [key for key in keys if not key.endswith("_FILE")] == []
        assert {f"/run/secrets/{secret['source']}" for secret in services[name]["secrets"]} == {
            services[name]["environment"][key] for key in keys
        }


def test_image_is_given_what_it_copies_and_nothing_else() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    sources = [word for line in copied for word in line.split()]
    ignored = (PROJECT / ".dockerignore").read_text().splitlines()

    assert "*" in ignored
    for source in sources:
        assert (PROJECT / source).exists(), source
        assert f"!{source.split('/')[0]}" in ignored, source


def test_example_settings_are_all_read_by_something() -> None:
    readers = [PROJECT / "studio/settings.py", PROJECT / "docker-compose.yml"]
    read = "\n".join(path.read_text() for path in readers)
    names = re.findall(r"^(?:# )?([A-Z_]+)=", (PROJECT / ".env.example").read_text(), re.MULTILINE)

    assert len(names) > 10
    assert [name for name in names if f'"{name}"' not in read and f"{{{name}" not in read] == []


def test_secrets_are_made_once_fit_together_and_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "devtools").mkdir()
    shutil.copy(PROJECT / "devtools/secrets.sh", tmp_path / "devtools")
    subprocess.run(["sh", tmp_path / "devtools/secrets.sh"], check=True, capture_output=True)
    first = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    subprocess.run(["sh", tmp_path / "devtools/secrets.sh"], check=True, capture_output=True)

    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == first
    assert sorted(first) == sorted(
        re.findall(r"file: \./secrets/(\w+)", (PROJECT / "docker-compose.yml").read_text())
    )
    assert first["postgres_password"] in first["database_url"]
    keys = json.loads(first["store_identities"])["identities"][0]["credentials"][0]
    assert f"{keys['accessKey']}:{keys['secretKey']}@store:8333" in first["storage_url"]
    assert len(first["secret_key"]) == 64
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0


@contextmanager
def site_that_tells(status: int, body: str) -> Iterator[int]:
    """An HTTP server with one answer, for the name studio.example only; its port."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Host"] == "studio.example" and self.path == "/healthz"
            self.send_response(status if known else 400)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [(200, '{"ok": true}', 0), (200, '{"ok": false}', 1), (503, '{"ok": true}', 1), (200, "no json", 1)],
)
def test_health_check_of_the_site(status: int, body: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITE_URL", "https://studio.example")
    with site_that_tells(status, body) as port:
        monkeypatch.setenv("PORT", str(port))

        assert alive.main(["web"]) == code


def test_health_check_of_a_site_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9")

    assert alive.main(["web"]) == 1
    assert alive.main(["something"]) == 2


@pytest.mark.django_db
@pytest.mark.parametrize(("silent_seconds", "code"), [(20, 0), (alive.SILENT_SECONDS + 1, 1)])
def test_health_check_of_beat_asks_when_the_last_sweep_ran(silent_seconds: int, code: int) -> None:
    Heartbeat.objects.create(name="sweep", beat_at=timezone.now() - timedelta(seconds=silent_seconds))

    assert alive.main(["beat"]) == code


@pytest.mark.django_db
def test_health_check_of_beat_that_never_rang() -> None:
    assert alive.main(["beat"]) == 1


def test_health_check_of_a_worker_that_is_not_there() -> None:
    assert alive.worker("celery@nobody") is False
