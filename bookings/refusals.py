"""Why a booking is not made or changed. Each carries a sentence for the person and, where there is one, a way on."""

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext as _

from bookings.seating import Slot


class Refused(Exception):
    """Something was refused; `sentence` is shown to the person who asked."""

    def __init__(self, sentence: str) -> None:
        self.sentence = sentence
        super().__init__(sentence)


class NotOffered(Refused):
    """What was asked for is not on offer: past, outside hours, off the grid, a foreign add-on, another location."""


class SlotTaken(Refused):
    """Somebody else has this time; `nearby` are open ones around it."""

    def __init__(self, nearby: Sequence[Slot] = (), sentence: str = "") -> None:
        self.nearby = list(nearby)
        super().__init__(sentence or _("This time has just been taken. These are still free."))


class HoldOver(Refused):
    """The hold has lapsed or was given up; the time may still be free."""

    def __init__(self, sentence: str = "") -> None:
        super().__init__(
            sentence
            or _("Your 15 minutes are over and the time is open to others again. Please choose once more.")
        )


class NotKept(HoldOver):
    """The studio closed, or somebody went away, while the time was held."""

    def __init__(self) -> None:
        super().__init__(
            _(
                "Meanwhile the studio has had to close at that time, or somebody you would need is away. We are sorry."
            )
        )


class NoLongerStands(Refused):
    """The studio is closed by now at the time of a request, or somebody of it is away; all the same takes a reason."""


class NotNow(Refused):
    """The booking or session is not in a state in which this can be done."""


class TooLate(Refused):
    """The policy's time for this has passed; the studio can still be asked."""


class OtherAmount(Refused):
    """The money is not what the person was shown before they pressed; they are shown it and asked again."""


class DetailsRefused(Refused):
    """Details that cannot be used: `problems` has a sentence per field."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__(" ".join(self.problems.values()))
