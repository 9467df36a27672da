"""Checks of who writes, and of where: by what is known of the writer's identity, never by what they typed."""

from __future__ import annotations

from pollsvc.comments.checks.check import Opinion, Submission


class Premoderation:
    """Whether the article's comments are all read first."""

    name = "premoderation"
    version = "1"

    def look(self, submission: Submission) -> Opinion:
        """1 where they are."""
        if submission.is_premoderated:
            return Opinion(1, "Comments on this article are read before they are shown.")
        return Opinion(0)


class ApprovalTakenBack:
    """Whether a text changed that somebody of the newsroom had approved: the approval was of other words."""

    name = "approval_taken_back"
    version = "1"

    def look(self, submission: Submission) -> Opinion:
        """1 where it did."""
        return Opinion(1, "It was edited after it was approved.") if submission.was_approved else Opinion(0)


class BannedAddress:
    """Whether the address is one whose comments are held. An address is only typed, so that no more is made of it."""

    name = "banned_address"
    version = "1"

    def look(self, submission: Submission) -> Opinion:
        """1 where it is."""
        if submission.writer.is_address_banned:
            return Opinion(1, "Comments with this email address are held.")
        return Opinion(0)


class NewCommenter:
    """How little is known of the writer: 1 / (1 + comments approved).

    A policy that holds from 0.6 on lets them through after one approval, one that holds from 0.3 on after three.
    """

    name = "new_commenter"
    version = "1"

    def look(self, submission: Submission) -> Opinion:
        """1 for somebody of whom nothing was approved yet, 0.5 after one approval, 0.33 after two…"""
        approved = submission.writer.approved
        return Opinion(1 / (1 + approved), f"Comments of this writer that were approved: {approved}.")


class RecentRejections:
    """How often the writer was turned down in the last days: 1 - 1 / (1 + rejections)."""

    name = "recent_rejections"
    version = "1"

    def look(self, submission: Submission) -> Opinion:
        """0.5 after one rejection, 0.67 after two, 0.75 after three…"""
        rejected = submission.writer.rejected
        if not rejected:
            return Opinion(0)
        return Opinion(1 - 1 / (1 + rejected), f"Comments of this writer rejected lately: {rejected}.")


class Velocity:
    """How many comments the writer sent in the last minutes, of ten."""

    name = "velocity"
    version = "1"
    _MOST = 10

    def look(self, submission: Submission) -> Opinion:
        """A tenth for each, up to 1."""
        lately = submission.writer.lately
        if not lately:
            return Opinion(0)
        return Opinion(min(lately / self._MOST, 1), f"Comments of this writer in ten minutes: {lately}.")
