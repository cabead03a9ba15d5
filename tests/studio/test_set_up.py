"""From a fresh clone to an environment: `devtools/environment.sh` finds a Python and keeps .venv as pinned."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
SYSTEM = "/usr/bin:/bin"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A project that needs no packages, below a folder with a space."""
    folder = tmp_path / "a clone"
    (folder / "devtools").mkdir(parents=True)
    shutil.copy(PROJECT / "devtools/environment.sh", folder / "devtools")
    for name in ("requirements.txt", "requirements-dev.txt"):
        (folder / name).write_text("# nothing\n")
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder that comes first on PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    return folder


def set_up(clone: Path, programs: Path, kind: str = "run", **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", clone / "devtools/environment.sh", kind],
        env={"PATH": f"{programs}:{SYSTEM}", "HOME": "/nonexistent", **more},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def hide_system_pythons(programs: Path) -> str:
    """A PATH of only the tools the script needs, as on a machine without Python."""
    for tool in ("sh", "dirname", "cat", "cksum", "grep", "rm", "mkdir"):
        found = shutil.which(tool, path=SYSTEM)
        assert found is not None
        (programs / tool).symlink_to(found)
    return str(programs)


def test_missing_python_is_one_sentence(clone: Path, programs: Path) -> None:
    if any(
        Path(folder, name).exists() for folder in ("/usr/local/bin", "/opt/homebrew/bin") for name in NAMES
    ):
        pytest.skip("this machine has a Python where one is always looked for")

    told = set_up(clone, programs, PATH=hide_system_pythons(programs))

    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == (
        "Likeness needs Python 3.12 or newer, and none was found; "
        "install it, or name it with PYTHON=/path/to/python3.13.\n"
    )


NAMES = ("python3.13", "python3.12", "python3.14", "python3", "python")


def test_named_python_that_is_too_old_is_one_sentence(clone: Path, programs: Path) -> None:
    program(programs / "old", "exit 1")

    told = set_up(clone, programs, PYTHON=str(programs / "old"))

    assert (told.returncode, told.stderr) == (
        1,
        f"PYTHON={programs / 'old'} is not a Python 3.12 or newer.\n",
    )


def test_shim_that_fails_does_not_end_the_search_and_the_second_run_does_nothing(
    clone: Path, programs: Path
) -> None:
    program(programs / "python3.13", "echo 'pyenv: version `3.13` is not installed' >&2; exit 127")
    program(programs / "python3.12", f'exec "{sys.executable}" "$@"')

    first = set_up(clone, programs)
    second = set_up(clone, programs)
    (clone / "requirements.txt").write_text(f"nothing-of-this-name==1 --hash=sha256:{'0' * 64}\n")
    failed = set_up(clone, programs, PIP_NO_INDEX="1")
    (clone / "requirements.txt").write_text("# nothing, once more\n")
    repaired = set_up(clone, programs)

    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines() == [
        f"Making .venv with {programs / 'python3.12'} …",
        "Installing the pinned packages …",
    ]
    assert (second.returncode, second.stdout) == (0, "")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1] == (
        "The packages could not be installed (the lines above say why); nothing else was changed."
    )
    assert (repaired.returncode, repaired.stdout) == (0, "Installing the pinned packages …\n")


def test_environment_of_another_checkout_behind_a_link_is_used_and_never_changed(
    clone: Path, programs: Path
) -> None:
    set_up(clone, programs, PYTHON=sys.executable)
    second = clone.with_name("second")
    shutil.copytree(clone, second, ignore=shutil.ignore_patterns(".venv"))
    (second / ".venv").symlink_to(clone / ".venv")
    before = sorted((clone / ".venv").rglob("*"))

    same = set_up(second, programs, PYTHON=sys.executable)
    (second / "requirements.txt").write_text("# other packages\n")
    other = set_up(second, programs, PYTHON=sys.executable)
    shutil.rmtree(clone / ".venv/bin")
    broken = set_up(second, programs, PYTHON=sys.executable)

    assert (same.returncode, same.stdout, same.stderr) == (0, "", "")
    assert (other.returncode, broken.returncode) == (1, 1)
    assert other.stdout == broken.stdout == ""
    assert f".venv is a link to {clone / '.venv'}" in other.stderr
    kept = [path for path in before if clone / ".venv/bin" not in (path, *path.parents)]
    assert sorted((clone / ".venv").rglob("*")) == kept


@pytest.mark.slow
def test_project_that_was_moved_gets_a_new_environment(clone: Path, programs: Path) -> None:
    set_up(clone, programs, PYTHON=sys.executable)
    moved = clone.with_name("moved")
    clone.rename(moved)

    told = set_up(moved, programs, PYTHON=sys.executable)

    assert told.stdout.splitlines()[0] == f"Making .venv with {sys.executable} …"
    assert os.fsencode(moved) in (moved / ".venv/bin/pip").read_bytes()


def test_make_lists_what_there_is() -> None:
    # As somebody who types it, also when the tests themselves were started by make.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    told = subprocess.run(
        ["make", "help"], cwd=PROJECT, env=outside, capture_output=True, text=True, check=True
    )

    names = [line.split()[1] for line in told.stdout.splitlines()]
    assert names[:4] == ["help", "demo", "demo-reset", "test"]
