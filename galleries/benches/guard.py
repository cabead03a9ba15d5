"""`manage.py bench guard`: forbidden and allowed edits on different people; what was caught, what flagged in vain.

**Caught**: a forbidden change of shape or texture blocks; a forbidden recolouring, which never blocks, is named by its
own finding (skin by `colour`, the whites of the eyes by `eye_white`): another finding does not count for it.
**False alarm**: an allowed edit that blocks, or of which anything at all is said about the face. Only remarks about
what is outside the face (`outside`: clothing, hair, backdrop) are meant to be made and never count.
What the guard says it cannot measure is counted apart, with its reason.
"""

import os
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from django.conf import settings

from galleries.benches.guard_edits import ALLOWED, FORBIDDEN, Edit
from galleries.benches.guard_people import Person, people
from galleries.imaging import faces, guard
from galleries.imaging.faces import Image
from studio.benching import BenchOptions, BenchResult, bench

RECOLOURS = {"lighten": "colour", "tan": "colour", "strong_eye_white": "eye_white"}


@dataclass(frozen=True)
class Outcome:
    """One edit on one person."""

    person: str
    group: str
    is_held_out: bool
    edit: str
    is_forbidden: bool
    is_measured: bool
    reason: str
    kinds: tuple[str, ...]
    is_blocked: bool
    seconds: float

    @property
    def is_caught(self) -> bool:
        """Whether a forbidden edit was found for what it is."""
        wanted = RECOLOURS.get(self.edit)
        return wanted in self.kinds if wanted else self.is_blocked

    @property
    def is_flagged(self) -> bool:
        """Whether anything was said about the face."""
        return any(kind != "outside" for kind in self.kinds)

    @property
    def is_wrong(self) -> bool:
        """Whether the guard erred."""
        return self.is_measured and (not self.is_caught if self.is_forbidden else self.is_flagged)


@bench("guard")
def run(options: BenchOptions) -> BenchResult:
    """Every edit on every person, each final saved as a JPEG first, as a studio would hand it in."""
    if not faces.are_available():
        raise RuntimeError("The face models are missing: manage.py fetch_face_models")
    cache = Path(settings.DATA) / "bench" / "people"
    everybody = people(options.data, cache, quick=options.quick)
    with ProcessPoolExecutor(os.cpu_count() or 1) as pool:
        return _result([outcome for found in pool.map(_outcomes, everybody) for outcome in found])


def _outcomes(person: Person) -> list[Outcome]:
    found = []
    for is_forbidden, edits in ((True, FORBIDDEN), (False, ALLOWED)):
        for name, edit in edits.items():
            final = _handed_in(edit, person)
            start = time.process_time()
            report = guard.measure(person.image, final).report
            found.append(
                Outcome(
                    person=person.name,
                    group=person.skin,
                    is_held_out=person.is_held_out,
                    edit=name,
                    is_forbidden=is_forbidden,
                    is_measured=report.status is not guard.Status.NOT_MEASURED,
                    reason=report.reason,
                    kinds=tuple(finding.kind for finding in report.findings),
                    is_blocked=report.status is guard.Status.BLOCKED,
                    seconds=time.process_time() - start,
                )
            )
    return found


def _handed_in(edit: Edit, person: Person) -> Image:
    made = edit(person.image, person.face, np.random.default_rng(7))
    packed = cv2.imencode(".jpg", made[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    return np.ascontiguousarray(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)[:, :, ::-1])


def _shares(outcomes: list[Outcome]) -> dict[str, float]:
    measured = [outcome for outcome in outcomes if outcome.is_measured]
    forbidden = [outcome for outcome in measured if outcome.is_forbidden]
    allowed = [outcome for outcome in measured if not outcome.is_forbidden]
    return {
        "people": len({outcome.person for outcome in measured}),
        "forbidden": len(forbidden),
        "caught_share": _share(sum(outcome.is_caught for outcome in forbidden), len(forbidden)),
        "allowed": len(allowed),
        "false_alarm_share": _share(sum(outcome.is_flagged for outcome in allowed), len(allowed)),
        "wrongly_blocked_share": _share(sum(outcome.is_blocked for outcome in allowed), len(allowed)),
        "not_measured": len(outcomes) - len(measured),
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _result(outcomes: list[Outcome]) -> BenchResult:
    tuning = [outcome for outcome in outcomes if not outcome.is_held_out]
    held_out = [outcome for outcome in outcomes if outcome.is_held_out]
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in held_out or tuning:
        groups[outcome.group].append(outcome)
    counted = _shares(held_out or tuning)
    figures: dict[str, float | int | str] = dict(counted)
    figures["counted_people"] = "held out" if held_out else "tuning only: not a figure to quote"
    figures |= {f"tuning_{name}": value for name, value in _shares(tuning).items()}
    for group, found in sorted(groups.items()):
        figures |= {f"{group}_{name}": value for name, value in _shares(found).items()}
    figures["seconds"] = round(median(outcome.seconds for outcome in outcomes), 3)
    conditions: dict[str, str | int | float] = {
        "forbidden_edits": len(FORBIDDEN),
        "allowed_edits": len(ALLOWED),
        "cores": os.cpu_count() or 1,
        "load": round(os.getloadavg()[0], 1),
    }
    return BenchResult(figures=figures, conditions=conditions, table=_table(tuning, held_out, groups))


def _table(tuning: list[Outcome], held_out: list[Outcome], groups: dict[str, list[Outcome]]) -> str:
    columns = ("people", "forbidden", "caught", "allowed", "alarms", "blocked", "unmeasured")
    lines = [f"{'':26}" + "".join(f"{column:>11}" for column in columns)]
    parts = [
        ("tuning", tuning),
        ("held out", held_out),
        *((f"  {name} skin", found) for name, found in sorted(groups.items())),
    ]
    for name, found in parts:
        if found:
            lines.append(f"{name:26}" + "".join(f"{value:>11}" for value in _shares(found).values()))
    lines.append("")
    for edit in (*FORBIDDEN, *ALLOWED):
        of_edit = [outcome for outcome in held_out or tuning if outcome.edit == edit and outcome.is_measured]
        is_forbidden = edit in FORBIDDEN
        said = sum(outcome.is_caught if is_forbidden else outcome.is_flagged for outcome in of_edit)
        word = "caught " if is_forbidden else "flagged"
        lines.append(
            f"{edit:20} {'forbidden' if is_forbidden else 'allowed':10} {word} {said:3} of {len(of_edit)}"
        )
    lines += ["", *_exceptions("tuning", tuning), *_exceptions("held out", held_out)]
    return "\n".join(lines)


def _exceptions(part: str, outcomes: list[Outcome]) -> list[str]:
    """Every error by name, and who could not be measured and why."""
    lines = [
        f"{part}, wrong: {item.person} {item.edit} {', '.join(item.kinds) or 'nothing found'}"
        for item in outcomes
        if item.is_wrong
    ]
    unmeasured = Counter((item.person, item.reason) for item in outcomes if not item.is_measured)
    return lines + [
        f"{part}, not measured: {person} {reason}, {count} edits"
        for (person, reason), count in unmeasured.items()
    ]
