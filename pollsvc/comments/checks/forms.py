"""Whether a program seems to have filled the form: honeypot and time trap (:mod:`pollsvc.web.forms`)."""

from __future__ import annotations

from pollsvc.comments.checks.check import Opinion, Submission


class Form:
    """The form's two signals."""

    name = "form"
    version = "1"

    def look(self, submission: Submission) -> Opinion:
        """1 where one of them rang. The plain form in an article carries no time, so that it always does there."""
        if submission.is_suspect:
            return Opinion(
                1, "A program may have filled the form: it came too fast, too late, or with a hidden field."
            )
        return Opinion(0)
