"""No file can hurt the process that asked: crashes and limits become refusals, the warm child lives on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from galleries.imaging import child, recipes
from galleries.imaging.child import ROOT, Child, ChildLost
from galleries.imaging.jobs import Accepted
from galleries.imaging.limits import LIMITS
from galleries.imaging.refusals import Refusal, refuse
from galleries.imaging.render import Rendering
from tests.galleries.imaging import files
from tests.galleries.imaging.rogue_child import Order, Said
from tests.portraits import EILEEN_COLLINS, GRACE_HOPPER, GRACE_HOPPER_HEIC, large_portrait


@pytest.fixture(scope="module")
def rogue() -> Iterator[Child]:
    one = Child("tests.galleries.imaging.rogue_child")
    yield one
    one.close()


def ask(rogue: Child, deed: str) -> Said | Refusal:
    return rogue.ask("misbehave", Order(deed, Path("/nowhere")), Said).value


@pytest.mark.parametrize(
    ("deed", "code"),
    [
        ("spin", "too_slow"),
        ("eat", "too_much_memory"),
        ("crash", "crashed"),
        ("raise", "crashed"),
        ("exit", "crashed"),
        ("refuse", "truncated"),
        ("fill", "no_room"),
    ],
)
def test_misbehaviour_becomes_a_refusal_and_the_child_lives_on(rogue: Child, deed: str, code: str):
    before = ask(rogue, "pid")
    assert ask(rogue, deed) == refuse(code)
    after = ask(rogue, "pid")
    assert isinstance(before, Said) and isinstance(after, Said)
    assert before.word.split()[1] == after.word.split()[1]  # the same warm child
    assert before.word.split()[0] != after.word.split()[0]  # a fork of its own each time


def test_cpu_limit_holds_to_the_tenth_of_a_second(rogue: Child):
    """0.3 s allowed; the system's own limit behind it counts whole seconds."""
    done = rogue.ask("half", Order("spin", Path("/nowhere")), Said)
    assert done.value == refuse("too_slow")
    assert done.cost.cpu_seconds < 0.5


def test_a_slow_machine_is_not_held_against_the_file(rogue: Child):
    """Half a second of work where 0.3 s are allowed: refused on a quiet machine, done on one three times slower."""
    order = Order("half a second", Path("/nowhere"))
    assert rogue.ask("half", order, Said).value == refuse("too_slow")
    slow = Child("tests.galleries.imaging.slow_child")
    try:
        done = slow.ask("half", order, Said)
        endless = slow.ask("half", Order("spin", Path("/nowhere")), Said)
    finally:
        slow.close()
    assert done.value == Said("fine")
    assert endless.value == refuse("too_slow")
    assert 0.8 < endless.cost.cpu_seconds < 1.6  # what both tries used, not more


def test_wall_limit_ends_what_only_waits(rogue: Child):
    done = rogue.ask("brief", Order("sleep", Path("/nowhere")), Said)
    assert done.value == refuse("too_slow")
    assert done.cost.cpu_seconds < 0.1


def test_small_files_may_not_buy_time():
    assert LIMITS.cpu_seconds(20_000) < 1.8
    assert LIMITS.cpu_seconds(25_000_000) > 4
    assert LIMITS.cpu_seconds(10**12) == LIMITS.cpu_max_seconds


def test_library_chatter_is_no_answer(rogue: Child):
    assert ask(rogue, "print") == Said("fine")


def test_child_has_no_secrets(rogue: Child, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://secret")
    monkeypatch.setenv("SECRET_KEY", "secret")
    fresh = Child("tests.galleries.imaging.rogue_child")
    try:
        said = ask(fresh, "environment")
    finally:
        fresh.close()
    assert isinstance(said, Said)
    assert not {"DATABASE_URL", "SECRET_KEY"} & set(said.word.split())


@pytest.mark.parametrize("is_gone", [True, False], ids=["found dead", "dies while asked"])
def test_a_killed_child_is_replaced_and_leaves_no_pipe_open(rogue: Child, is_gone: bool):
    said = ask(rogue, "pid")
    assert isinstance(said, Said)
    pid = int(said.word.split()[1])
    os.kill(pid, signal.SIGKILL)
    if is_gone:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    again = ask(rogue, "pid")
    assert isinstance(again, Said)
    assert again.word.split()[1] != said.word.split()[1]


def test_a_child_that_cannot_start_is_said():
    lost = Child("tests.galleries.imaging.there_is_no_such_module")
    with pytest.raises(ChildLost):
        lost.ask("accept", Order("x", Path("/nowhere")), Said)


def test_job_ends_with_the_process_that_asked(tmp_path: Path):
    """kill -9 of the worker leaves neither its child nor the job running."""
    script = (
        "import sys; from pathlib import Path\n"
        "from galleries.imaging.child import Child\n"
        "from tests.galleries.imaging.rogue_child import Order, Said\n"
        "one = Child('tests.galleries.imaging.rogue_child')\n"
        "print(one.ask('misbehave', Order('pid', Path('/')), Said).value.word, flush=True)\n"
        "one.ask('patient', Order('spin', Path('/')), Said)\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    warm = int(worker.stdout.readline().split()[1])
    time.sleep(0.3)
    worker.kill()
    worker.wait()
    worker.stdout.close()
    until = time.monotonic() + 10
    while time.monotonic() < until and Path(f"/proc/{warm}/status").exists():
        if "State:\tZ" in Path(f"/proc/{warm}/status").read_text():
            break
        time.sleep(0.05)
    status = Path(f"/proc/{warm}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_warm_child_has_one_thread_before_it_forks(rogue: Child):
    """Forking with threads could deadlock, so nothing may start one while warming up."""
    said = ask(rogue, "pid")
    assert isinstance(said, Said)
    assert len(os.listdir(f"/proc/{said.word.split()[1]}/task")) == 1


# --- the real jobs


@pytest.mark.parametrize("source", [GRACE_HOPPER, EILEEN_COLLINS, GRACE_HOPPER_HEIC])
def test_accept_makes_proofs_in_one_go(tmp_path: Path, source: Path):
    accepted = child.accept(source, recipes.PROOFS, tmp_path)
    assert isinstance(accepted, Accepted)
    assert [made.recipe for made in accepted.rendering.files] == [recipe.name for recipe in recipes.PROOFS]
    assert all(made.path.stat().st_size == made.bytes for made in accepted.rendering.files)
    thumb, *_others, proof = (max(made.width, made.height) for made in accepted.rendering.files)
    assert thumb == min(recipes.THUMB.edge, proof)  # a small picture is not enlarged


def test_camera_sized_file_is_cheap(tmp_path: Path):
    source = large_portrait(GRACE_HOPPER, tmp_path / "frame.jpg")
    done = child.accept_with_cost(source, recipes.PROOFS, tmp_path)
    assert isinstance(done.value, Accepted)
    assert (done.value.width, done.value.height) == (4000, 6000)
    assert done.cost.peak_mb < 200
    assert done.cost.cpu_seconds < 2


def test_accept_refuses_with_a_reason(tmp_path: Path):
    path = tmp_path / "note.jpg"
    path.write_text("not a photo")
    assert child.accept(path, recipes.PROOFS, tmp_path) == refuse("unknown")


def test_damage_behind_a_good_header_is_refused(tmp_path: Path):
    """Every marker is there, half of the coded data is not: only decoding finds out."""
    image = files.jpeg(400, 500)
    start = image.index(b"\xff\xda") + 14
    path = tmp_path / "frame.jpg"
    path.write_bytes(image[: start + (len(image) - start) // 2].rstrip(b"\xff") + b"\xff\xd9")
    assert child.accept(path, recipes.PROOFS, tmp_path) == refuse("truncated")


def test_make_renders_finals_of_an_accepted_picture(tmp_path: Path):
    made = child.make(GRACE_HOPPER, recipes.FINALS, tmp_path)
    assert isinstance(made, Rendering)
    sides = {file.recipe: (file.width, file.height) for file in made.files}
    assert sides["full"] == (512, 600)
    assert sides["square"][0] == sides["square"][1]
    assert sides["portrait"][0] / sides["portrait"][1] == pytest.approx(0.8, abs=0.01)


def test_inspect_image_prints_one_line_per_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from django.core.management import call_command

    bad = tmp_path / "bad.jpg"
    bad.write_bytes(files.jpeg()[:200])
    call_command("inspect_image", str(GRACE_HOPPER), str(bad), str(tmp_path / "gone.jpg"))
    good, cut, gone = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (good["outcome"], good["format"], good["width"], good["height"]) == ("accept", "jpeg", 512, 600)
    assert good["cpu_seconds"] > 0 and good["peak_mb"] > 0
    assert (cut["outcome"], cut["reason"]) == ("reject", "truncated")
    assert (gone["outcome"], gone["reason"]) == ("reject", "missing")
