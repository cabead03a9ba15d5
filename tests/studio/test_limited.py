"""What somebody else wrote is worked on within limits: each alone ends the work, and without it there is an answer."""

import sys

import pytest

from studio import limited


def ask(
    order: bytes,
    *,
    cpu_seconds: float = 30.0,
    wall_seconds: float = 60.0,
    memory_bytes: int = 2_000_000_000,
) -> bytes:
    """Plenty of everything, but for what a test names."""
    return limited.ask(
        "tests.studio.limited_work",
        order,
        cpu_seconds=cpu_seconds,
        wall_seconds=wall_seconds,
        memory_bytes=memory_bytes,
    )


def test_it_ends_after_its_time_by_the_clock() -> None:
    assert ask(b"") == b"done"
    with pytest.raises(limited.TooSlow):
        ask(b"wait", wall_seconds=3.0)


def test_it_ends_after_its_time_on_the_processor() -> None:
    with pytest.raises(limited.TooSlow):
        ask(b"count", cpu_seconds=1.0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere the kernel does not hold it")
def test_it_gets_no_more_memory_than_it_may_have() -> None:
    assert ask(b"fill") == b"400000000"
    with pytest.raises(limited.Broke):
        ask(b"fill", memory_bytes=300_000_000)


def test_it_writes_nothing_to_the_disk_and_prints_nothing_into_its_answer() -> None:
    with pytest.raises(limited.Broke):
        ask(b"write")
    assert ask(b"print") == b"done"


def test_it_is_told_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "of the studio")
    names = ask(b"look").decode().split()
    assert "PATH" in names
    assert "SECRET_KEY" not in names
