"""The arithmetic of `bench booking`; what it measures is measured by running it."""

from bookings.booking_bench import Found, Press


def test_what_a_crowd_came_to() -> None:
    presses = [Press(number / 1000, is_booked=number % 2 == 0) for number in range(1, 201)]
    found = Found(presses, seconds=4.0, doubles=0)
    assert (found.booked, found.rate, found.answered) == (100, 25.0, 50.0)
    assert (found.share(0.5), found.p99, found.slowest) == (0.101, 0.199, 0.2)


def test_one_press_is_its_own_slowest() -> None:
    found = Found([Press(0.5, is_booked=True)], seconds=0.5, doubles=0)
    assert found.p99 == found.slowest == found.share(0.0) == 0.5
