"""Retouching: a work order per pick, its chain of Versions, the guard's report on each, and the approval.

A worker makes a natural draft from the original at full size; the photographer accepts it, adjusts its strengths,
hands in a file made elsewhere or takes the frame as photographed. Every Version stays and says who made it, from
what and how. The guard measures each against the original and blocks approval on face shape and skin texture only;
a person may override with a recorded reason. Approving orders the finals. Lock order: Booking, Gallery, Retouches.
"""

from galleries.retouching.approval import approve, approve_shown, show_to_client, silence_ends_at, sweep
from galleries.retouching.changes import (
    CHANGE_DAYS,
    MOST_PINS,
    ChangeRefused,
    PinnedWords,
    answer,
    ask_change,
    can_buy_change,
    change_refusal,
)
from galleries.retouching.drafts import (
    adjust,
    as_photographed,
    draft_all,
    make_draft,
    order,
    receive_hand_in,
    strengths_of,
    withdraw,
)
from galleries.retouching.finished import assign as assign_finished
from galleries.retouching.finished import find_pick, in_tray
from galleries.retouching.finished import put_aside as put_finished_aside
from galleries.retouching.guard import (
    GuardBlocks,
    GuardStillMeasures,
    guard_words,
    heat_of,
    measure,
    override,
)
from galleries.retouching.rows import RetouchRefused, may_find_face, original_of, store_of
from galleries.retouching.taking import people_for, take
from galleries.retouching.white_balance import known_cast, shoot_cast

__all__ = [
    "CHANGE_DAYS",
    "MOST_PINS",
    "ChangeRefused",
    "GuardBlocks",
    "GuardStillMeasures",
    "PinnedWords",
    "RetouchRefused",
    "adjust",
    "answer",
    "approve",
    "approve_shown",
    "as_photographed",
    "ask_change",
    "assign_finished",
    "can_buy_change",
    "change_refusal",
    "draft_all",
    "find_pick",
    "guard_words",
    "heat_of",
    "in_tray",
    "known_cast",
    "make_draft",
    "may_find_face",
    "measure",
    "order",
    "original_of",
    "override",
    "people_for",
    "put_finished_aside",
    "receive_hand_in",
    "shoot_cast",
    "show_to_client",
    "silence_ends_at",
    "store_of",
    "strengths_of",
    "sweep",
    "take",
    "withdraw",
]
