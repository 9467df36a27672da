"""Pages, plain forms and scripts."""

from __future__ import annotations

from flask import Blueprint, render_template

from pollsvc.web.errors import Problem

blueprint = Blueprint("embeds", __name__)


def error_page(problem: Problem) -> str:
    """An error, for a person."""
    return render_template(
        "embeds/error.html", status=problem.status, title=problem.title, detail=problem.detail
    )
