"""Which shoot is it? Frames of a card by slates and by time; what is not clear is a doubt with its reason."""

from datetime import UTC, datetime, timedelta

import pytest

from galleries.sorting import Belongs, Doubt, FileAway, Frame, Span, sort, stem_of

DAY = datetime(2026, 11, 16, tzinfo=UTC)


def at(clock: str) -> datetime:
    hours, minutes = clock.split(":")
    return DAY + timedelta(hours=int(hours), minutes=int(minutes))


ANA, BEA, CAI = (
    Span(1, "AAAA", at("9:00"), at("10:00")),
    Span(2, "BBBB", at("10:15"), at("11:15")),
    Span(3, "CCCC", at("13:00"), at("14:00")),
)
DAY_OF_THREE = [ANA, BEA, CAI]


def frames(*lines: str, camera: str = "Z6", is_clock_known: bool = False) -> list[Frame]:
    """`"9:05"` is a frame, `"9:00 AAAA"` a slate, each later than the one before in the list of names."""
    found = []
    for number, line in enumerate(lines, 1):
        clock, *slates = line.split()
        found.append(
            Frame(
                pk=number,
                name=f"IMG_{number}.JPG",
                camera=camera,
                taken_at=at(clock) if ":" in clock else None,
                is_clock_known=is_clock_known,
                slates=tuple(slates),
            )
        )
    return found


def said(found: list[Frame], spans: list[Span] | None = None, **more: object) -> list[object]:
    verdicts = sort(found, DAY_OF_THREE if spans is None else spans, **more)  # type: ignore[arg-type]
    short: dict[type, object] = {}
    lines = []
    for frame in found:
        verdict = verdicts[frame.pk]
        short = {
            Belongs: getattr(verdict, "gallery_id", None),
            FileAway: "filed",
            Doubt: getattr(verdict, "code", None),
        }
        lines.append(short[type(verdict)])
    return lines


def test_every_frame_until_the_next_slate_belongs_to_it() -> None:
    assert said(frames("9:01 AAAA", "9:02", "9:40", "10:16 BBBB", "10:20", "11:00", "13:01 CCCC", "13:30")) == [
        "filed", 1, 1, "filed", 2, 2, "filed", 3,
    ]  # fmt: skip


def test_slates_work_whatever_the_camera_says_the_time_is() -> None:
    wrong = frames("3:01 AAAA", "3:02", "4:16 BBBB", "4:20")
    assert said(wrong) == ["filed", 1, "filed", 2]


def test_the_order_is_that_of_the_shutter_not_of_the_arrival() -> None:
    late = frames("9:02", "10:20", "9:01 AAAA", "10:16 BBBB")
    assert said(late) == [1, 2, "filed", "filed"]


def test_cameras_are_sorted_each_by_itself() -> None:
    second = [
        Frame(pk=90, name="DSC1.JPG", camera="R5", taken_at=at("9:30"), slates=("BBBB",)),
        Frame(pk=91, name="DSC2.JPG", camera="R5", taken_at=at("9:31")),
    ]
    assert said([*frames("9:01 AAAA", "9:40"), *second]) == ["filed", 1, "filed", 2]


@pytest.mark.parametrize(
    ("lines", "known", "expected"),
    [
        (["8:50", "9:01 AAAA", "9:02"], False, ["before_slate", "filed", 1]),
        (["9:01 ZZZZ", "9:02"], False, ["filed", "strange_slate"]),
        (["9:01 AAAA BBBB", "9:02"], False, ["filed", "two_slates"]),
        (["9:01 AAAA", "10:20"], True, ["filed", 1]),  # a session that ran twenty minutes late
        (["9:01 AAAA", "13:20"], True, ["filed", "against_time"]),
        (["9:01 BBBB", "9:20"], True, ["filed", "against_time"]),
        (["9:01 AAAA", "12:30"], False, ["filed", "long_after"]),
        (["9:01 AAAA", "no"], False, ["filed", "no_time"]),
    ],
    ids=["before", "strange", "two codes", "late", "another time", "wrong slate", "forgotten", "no time"],
)
def test_what_a_slate_leaves_unclear_is_a_doubt(
    lines: list[str], known: bool, expected: list[object]
) -> None:
    assert said(frames(*lines, is_clock_known=known)) == expected


def test_without_slates_time_decides_where_the_clock_is_known() -> None:
    clear = frames("9:30", "10:30", "13:05", "12:50", is_clock_known=True)
    assert said(clear) == [1, 2, 3, 3]


@pytest.mark.parametrize(
    ("clock", "known", "code"),
    [
        ("9:30", False, "unknown_clock"),
        ("10:05", True, "between"),
        ("12:00", True, "no_shoot"),
        ("no", True, "no_time"),
    ],
)
def test_what_time_leaves_unclear_is_a_doubt(clock: str, known: bool, code: str) -> None:
    assert said(frames(clock, is_clock_known=known)) == [code]


def test_two_sessions_at_once_are_for_a_person() -> None:
    beside = [ANA, Span(4, "DDDD", at("9:00"), at("10:00"))]
    verdict = sort(frames("9:30", is_clock_known=True), beside)[1]
    assert verdict == Doubt("two_at_once", 1, 4)


def test_nothing_is_added_to_a_gallery_whose_pictures_are_chosen() -> None:
    chosen = [Span(1, "AAAA", at("9:00"), at("10:00"), is_open=False)]
    assert said(frames("9:01 AAAA", "9:02"), chosen) == ["filed", "finished"]
    assert said(frames("9:02", is_clock_known=True), chosen) == ["finished"]


def test_a_doubt_names_the_likeliest_session() -> None:
    verdicts = sort(frames("9:30", "20:00"), DAY_OF_THREE)
    assert [getattr(verdicts[pk], "guess", None) for pk in (1, 2)] == [1, None]


def test_a_sidecar_goes_with_the_picture_of_its_name() -> None:
    sidecar = Frame(pk=50, name="img_2.xmp", is_sidecar=True)
    alone = Frame(pk=51, name="IMG_77.xmp", is_sidecar=True)
    follows = Frame(pk=52, name="IMG_77.CR3.xmp", is_sidecar=True)
    known = frames("9:01 AAAA", "9:02")
    assert said([*known, sidecar, alone]) == ["filed", 1, 1, "no_picture"]
    assert said([*known, follows], placed={"img_77": {3}}) == ["filed", 1, 3]
    assert said([*known, follows], placed={"img_77": {2, 3}}) == ["filed", 1, "pictures_apart"]


def test_frames_of_one_second_keep_the_order_of_their_numbers() -> None:
    found = [
        Frame(pk=1, name="IMG_10.JPG", camera="Z6", taken_at=at("9:01")),
        Frame(pk=2, name="IMG_9.JPG", camera="Z6", taken_at=at("9:01"), slates=("AAAA",)),
        Frame(pk=3, name="IMG_8.JPG", camera="Z6", taken_at=at("9:01")),
    ]
    assert said(found) == [1, "filed", "before_slate"]


@pytest.mark.parametrize(
    ("name", "stem"),
    [("IMG_1.CR3", "img_1"), ("img_1.xmp", "img_1"), ("IMG_1.CR3.xmp", "img_1"), ("noname", "noname")],
)
def test_stem_of(name: str, stem: str) -> None:
    assert stem_of(name) == stem
