"""`/openapi.json`: the API, described."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from pollsvc.web.api import PollsvcApi
from pollsvc.web.guards import public
from pollsvc.web.headers import static_file


def describe(rest: PollsvcApi) -> Blueprint:
    """A blueprint that serves the description of this API."""
    blueprint = Blueprint("openapi", __name__)

    @blueprint.get("/openapi.json")
    @public
    def show_openapi() -> Response:
        static_file()
        return jsonify(rest.describe())

    return blueprint
