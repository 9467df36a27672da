"""The JSON edge: strict bodies in, documented answers out (flask-smorest, OpenAPI 3.1)."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

import marshmallow as ma
import orjson
from flask import Flask, Request, Response, request
from flask import json as flask_json
from flask_smorest import Api, Blueprint
from flask_smorest.utils import prepare_response
from webargs import core
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, LengthRequired, RequestEntityTooLarge, UnsupportedMediaType

from pollsvc import __version__
from pollsvc.errors import Invalid
from pollsvc.web.errors import INVALID
from pollsvc.web.guards import Guard
from pollsvc.web.marks import mark, marked

View = TypeVar("View", bound=Callable[..., Any])

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

_UTF8 = ("utf-8", "utf8", "us-ascii")

#: Bytes of a body that a route takes, unless it says otherwise.
DEFAULT_CAP = 16_384


class FieldErrorSchema(ma.Schema):
    """One field that broke a rule."""

    field = ma.fields.String(required=True, metadata={"description": "Path of the field, such as choices.0"})
    detail = ma.fields.String(required=True)


class ProblemSchema(ma.Schema):
    """RFC 9457 problem document."""

    type = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    status = ma.fields.Integer(required=True)
    detail = ma.fields.String(required=True)
    code = ma.fields.String(required=True, metadata={"description": "Stable; listed in docs/api.md"})
    errors = ma.fields.List(ma.fields.Nested(FieldErrorSchema), required=True)
    request_id = ma.fields.String(required=True)
    current = ma.fields.Dict(metadata={"description": "With stale_version: how the thing stands by now"})


class NothingSchema(ma.Schema):
    """A body that carries nothing: ``{}``, or none at all."""


class JSONParser(FlaskParser):
    """Takes JSON and nothing else, and refuses unknown names in queries too."""

    def __init__(self) -> None:
        super().__init__()
        refused = {"query": ma.RAISE, "json": ma.RAISE}
        self.DEFAULT_UNKNOWN_BY_LOCATION = {**self.DEFAULT_UNKNOWN_BY_LOCATION, **refused}

    def load_querystring(self, req: Request, schema: ma.Schema) -> Any:
        """Refuse a parameter given twice that is no list: a proxy or cache might read the other one."""
        repeated = [
            name
            for name, values in req.args.lists()
            if len(values) > 1 and not isinstance(schema.fields.get(name), ma.fields.List)
        ]
        if repeated:
            raise Invalid(INVALID, fields=dict.fromkeys(repeated, "Given more than once."))
        return super().load_querystring(req, schema)

    def _raw_load_json(self, req: Request) -> Any:
        body = req.get_data(cache=True)
        if not body and not req.mimetype:
            return {}
        if not core.is_json(req.mimetype):
            raise UnsupportedMediaType
        return load_object(body) if body else {}


def load_object(body: bytes) -> dict[str, Any]:
    """Read a body's one object. Whoever looks into a body reads it by this, so that nobody sees another one.

    :raises BadRequest: if it is anything else.
    """
    try:
        loaded = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not _SURROGATE.search(body):
            raise BadRequest from error
        loaded = _load_with_surrogates(body)
    if not isinstance(loaded, dict):
        raise BadRequest
    return loaded


def _load_with_surrogates(body: bytes) -> Any:
    """Read a body in which an unpaired surrogate may stand.

    orjson refuses one like any broken JSON; its field is to be named, by the rule for texts. Python's own parser reads
    it, and is otherwise held to what orjson takes.
    """
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequest from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


class JSONBlueprint(Blueprint):
    """A blueprint whose bodies are strict and capped, and whose refusals are documented."""

    ARGUMENTS_PARSER = JSONParser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(self._prepare_problems_doc)

    def body(self, schema: type[ma.Schema], *, cap: int = DEFAULT_CAP) -> Callable[[View], View]:
        """Take a JSON body of a schema, of at most ``cap`` bytes."""

        def decorate(view: View) -> View:
            # One schema for all requests: they keep nothing of what they load, and making one costs more than loading.
            is_needed = schema is not NothingSchema
            wrapped: View = self.arguments(schema(), location="json", required=is_needed)(view)
            mark(wrapped, "body_cap", cap)
            mark(wrapped, "body_schema", schema)
            return wrapped

        return decorate

    def upload(
        self, row: type[ma.Schema], *, cap: int, kinds: Sequence[str]
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Take a body that the view reads by itself, piece by piece, of at most ``cap`` bytes.

        :param row: the schema of each of its rows.
        :param kinds: content types that it may have.
        """

        def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
            content = {kind: {"schema": {"type": "string"}} for kind in kinds}
            documented = self.doc(requestBody={"required": True, "content": content})
            wrapped: Callable[..., Any] = documented(view)
            mark(wrapped, "body_cap", cap)
            mark(wrapped, "body_schema", row)
            mark(wrapped, "body_kinds", tuple(kinds))
            return wrapped

        return decorate

    def query(self, schema: type[ma.Schema]) -> Callable[[View], View]:
        """Take query parameters of a schema."""
        decorate: Callable[[View], View] = self.arguments(schema(), location="query")
        return decorate

    def problems(self, *statuses: int) -> Callable[[View], View]:
        """Document refusals of a view's own, beside those that its guard, limits and body bring."""

        def decorate(view: View) -> View:
            mark(view, "problems", statuses)
            return view

        return decorate

    def _prepare_problems_doc(self, doc: Any, doc_info: Any, *, api: Any, spec: Any, **kwargs: Any) -> Any:
        statuses = {*doc_info.get("problems", ()), 503}
        if doc_info.get("arguments"):
            statuses.add(422)
        if "body_schema" in doc_info:
            statuses |= {400, 411, 413, 415}
        if doc_info.get("limits"):
            statuses.add(429)
        guard: Guard = doc_info["guard"]
        if guard.scope:
            statuses |= {401, 403}
            doc["security"] = [{"apiToken": []}]
            doc["x-scope"] = guard.scope
        # What a view documents itself, such as the 503 of /readyz, stands.
        for status in sorted(statuses - doc_info["response"]["responses"].keys()):
            response = {"description": HTTPStatus(status).phrase, "schema": ProblemSchema}
            prepare_response(response, spec, "application/problem+json")
            doc.setdefault("responses", {})[str(status)] = response
        doc["responses"].pop("default", None)
        doc["responses"] = {str(status): found for status, found in doc["responses"].items()}
        return doc


class PollsvcApi(Api):
    """The API, whose failures are problems. It is described when somebody asks, for that takes longer than all else at a start."""

    ERROR_SCHEMA = ProblemSchema

    def __init__(self, app: Flask) -> None:
        self._undescribed: list[JSONBlueprint] = []
        self._describing = threading.Lock()
        super().__init__(app)

    def serve(self, blp: JSONBlueprint) -> None:
        """Serve a blueprint's routes."""
        self._app.extensions["flask-smorest"]["blp_name_to_api"][blp.name] = self
        self._app.register_blueprint(blp)
        self._undescribed.append(blp)

    def describe(self) -> dict[str, Any]:
        """The OpenAPI document of all that is registered."""
        with self._describing:
            while self._undescribed:
                blp = self._undescribed.pop(0)
                blp.register_views_in_doc(self, self._app, self.spec, name=blp.name, parameters=None)
                self.spec.tag({"name": blp.name, "description": blp.description})
            document: dict[str, Any] = self.spec.to_dict()
            return document

    def _register_error_handlers(self) -> None:
        """Leave errors to :mod:`pollsvc.web.errors`, which serves pages too."""


class OrjsonProvider(flask_json.provider.JSONProvider):
    """Flask's JSON by orjson."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Serialise; UUIDs and aware times as their RFC strings."""
        return orjson.dumps(obj, option=orjson.OPT_UTC_Z).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Parse."""
        return orjson.loads(s)


def json_answer(document: object, status: int = 200) -> Response:
    """An answer whose parts are what its schema says already, without a walk through that schema.

    For the routes that answer most; a test holds each of them to the schema that documents it.
    """
    return Response(orjson.dumps(document), status, mimetype="application/json")


def open_api(app: Flask) -> PollsvcApi:
    """Make the API of an application; blueprints are registered on it."""
    app.json = OrjsonProvider(app)
    app.config.update(
        API_TITLE="pollsvc",
        API_VERSION=__version__,
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={
            "info": {
                "description": "Polls, consent and corrections in articles. Errors are RFC 9457 problems."
            },
            "components": {"securitySchemes": {"apiToken": {"type": "http", "scheme": "bearer"}}},
        },
    )
    return PollsvcApi(app)


def refuse_unreadable_bodies() -> None:
    """Cap the body of each request, and refuse one that does not say its length.

    Werkzeug would cut a chunked body silently at the cap; a cut body must never reach a rule. A view that acts on its
    address alone is let be: it takes a body that cannot be read for none.
    """
    request.max_content_length = marked(request.endpoint, "body_cap") or DEFAULT_CAP
    request.max_form_memory_size = request.max_content_length
    if marked(request.endpoint, "acts_without_body"):
        return
    if request.content_length is None and "Transfer-Encoding" in request.headers:
        raise LengthRequired
    if request.content_length is not None and request.content_length > request.max_content_length:
        raise RequestEntityTooLarge
    if request.method != "OPTIONS" and (kinds := marked(request.endpoint, "body_kinds")):
        if (
            request.mimetype not in kinds
            or request.mimetype_params.get("charset", "utf-8").lower() not in _UTF8
        ):
            raise UnsupportedMediaType
        if request.content_length is None:
            raise LengthRequired
