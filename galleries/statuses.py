"""The statuses from the first Upload to the last Download, and how they may move."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from studio.transitions import moves


class GalleryStatus(models.TextChoices):
    OPEN = (
        "open",
        _("Being photographed"),
    )  # from confirmation on; frames arrive, choosing together happens here
    PROOFING = "proofing", _("Client is choosing")
    RETOUCHING = "retouching", _("Being retouched")
    APPROVING = "approving", _("Client is looking first")
    READY = "ready", _("Ready to deliver")
    DELIVERED = "delivered", _("Delivered")
    CANCELLED = "cancelled", _("Cancelled")
    ERASED = (
        "erased",
        _("Erased"),
    )  # with the person in the pictures; when it was promised and delivered stays


G = GalleryStatus
CLOSED = (G.CANCELLED, G.ERASED)  # nothing comes in, nothing is shown
GALLERY_MOVES = moves(
    publish_proofs=({G.OPEN}, G.PROOFING, "proofs_published_at"),
    submit_selection=({G.OPEN, G.PROOFING}, G.RETOUCHING, "selection_submitted_at"),
    reopen_selection=({G.RETOUCHING}, G.PROOFING),
    ask_approval=({G.RETOUCHING}, G.APPROVING),
    take_back=({G.APPROVING, G.READY}, G.RETOUCHING),
    make_ready=({G.RETOUCHING, G.APPROVING}, G.READY, "ready_at"),
    deliver=({G.READY}, G.DELIVERED, "delivered_at"),
    reopen=({G.DELIVERED}, G.RETOUCHING, "reopened_at"),
    cancel=({G.OPEN, G.PROOFING}, G.CANCELLED),
    erase=(set(G) - {G.ERASED}, G.ERASED, "erased_at"),
)


class UploadStatus(models.TextChoices):
    RECEIVING = "receiving", _("Sending")
    CHECKING = "checking", _("Checking")
    SORTING = "sorting", _("Waiting for its booking")  # of a card; with a doubt it lies in the tray
    ACCEPTED = "accepted", _("Accepted")
    REFUSED = "refused", _("Refused")
    ABANDONED = "abandoned", _("Abandoned")
    FILED = "filed", _("Filed away")  # a photographed slate or clock: kept, no Photo
    EXPIRED = "expired", _("Expired")  # nobody said where it belongs for as long as was said


U = UploadStatus
UPLOAD_MOVES = moves(
    received=({U.RECEIVING}, U.CHECKING, "received_at"),
    accept=({U.CHECKING}, U.ACCEPTED, "finished_at"),
    refuse=({U.RECEIVING, U.CHECKING, U.SORTING}, U.REFUSED, "finished_at"),
    looked_at=({U.CHECKING}, U.SORTING),
    assign=({U.SORTING}, U.CHECKING),
    file_away=({U.CHECKING, U.SORTING}, U.FILED, "finished_at"),
    unfile=({U.FILED}, U.SORTING),  # a person says that it is a picture after all
    check_again=({U.FILED}, U.CHECKING),  # the same, of a file whose booking is known
    expire=({U.SORTING, U.FILED}, U.EXPIRED, "finished_at"),
    abandon=({U.RECEIVING}, U.ABANDONED, "finished_at"),
)


class JobStatus(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    FAILED = "failed", _("Failed")


J = JobStatus
JOB_MOVES = moves(
    claim=({J.WAITING}, J.RUNNING, "claimed_at"),
    finish=({J.RUNNING}, J.DONE, "finished_at"),
    again=({J.RUNNING, J.FAILED}, J.WAITING),
    fail=({J.RUNNING, J.WAITING}, J.FAILED, "finished_at"),
)


class RetouchStatus(models.TextChoices):
    WAITING = "waiting", _("Waiting for a draft")
    DRAFTED = "drafted", _("To be retouched")
    IN_REVIEW = "in_review", _("Client is looking")
    APPROVED = "approved", _("Approved")
    CHANGE_ASKED = "change_asked", _("Change asked for")


T = RetouchStatus
RETOUCH_MOVES = moves(
    drafted=({T.WAITING}, T.DRAFTED, "drafted_at"),
    show=({T.WAITING, T.DRAFTED, T.CHANGE_ASKED}, T.IN_REVIEW, "shown_at"),
    # from approved too: another version can be approved until the finals are delivered
    approve=(
        {T.WAITING, T.DRAFTED, T.IN_REVIEW, T.CHANGE_ASKED, T.APPROVED},
        T.APPROVED,
        "approved_at",
    ),
    ask_change=({T.APPROVED, T.IN_REVIEW}, T.CHANGE_ASKED, "change_asked_at"),
)


class FinishedStatus(models.TextChoices):
    MATCHING = "matching", _("Looking for its pick")
    WAITING = "waiting", _("In the tray")
    ASSIGNED = "assigned", _("Assigned")
    PUT_ASIDE = "put_aside", _("Put aside")


F = FinishedStatus
FINISHED_MOVES = moves(
    doubt=({F.MATCHING}, F.WAITING, "doubted_at"),
    assign=({F.MATCHING, F.WAITING, F.PUT_ASIDE}, F.ASSIGNED, "assigned_at"),
    put_aside=({F.MATCHING, F.WAITING}, F.PUT_ASIDE, "put_aside_at"),
)


class CopyStatus(models.TextChoices):
    WANTED = "wanted", _("Wanted")
    MAKING = "making", _("Being made")
    READY = "ready", _("Ready")
    FAILED = "failed", _("Failed")
    GONE = "gone", _("Removed")


Y = CopyStatus
COPY_MOVES = moves(
    begin_making=({Y.WANTED}, Y.MAKING, "began_at"),
    again=({Y.MAKING}, Y.WANTED),  # its worker was lost, or the store did not answer
    make_ready=({Y.MAKING}, Y.READY, "ready_at"),
    fail=({Y.MAKING}, Y.FAILED),
    let_go=({Y.WANTED, Y.MAKING, Y.READY, Y.FAILED}, Y.GONE, "gone_at"),
)


class ErasureStatus(models.TextChoices):
    WANTED = "wanted", _("Begins")
    WORKING = "working", _("Being erased")
    TELLING = "telling", _("Last message on its way")
    DONE = "done", _("Erased")


X = ErasureStatus
ERASURE_MOVES = moves(
    begin_work=({X.WANTED}, X.WORKING),
    forget=({X.WORKING}, X.TELLING, "forgotten_at"),
    finish=({X.TELLING}, X.DONE, "done_at"),
)
