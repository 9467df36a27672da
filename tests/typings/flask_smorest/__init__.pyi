"""Types of the parts of flask-smorest that pollsvc uses; the package has none of its own.

The decorators keep the type of the view below them where they can: an error in a view's signature is then found.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NoReturn, ParamSpec, TypeVar

import flask
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema
from webargs.flaskparser import FlaskParser

from .error_handler import ErrorHandlerMixin as ErrorHandlerMixin

_P = ParamSpec("_P")
_R = TypeVar("_R")
_V = TypeVar("_V", bound=Callable[..., Any] | type)

_SchemaLike = Schema | type[Schema] | str | dict[str, Any]

class Blueprint(flask.Blueprint):
    ARGUMENTS_PARSER: FlaskParser
    DEFAULT_LOCATION_CONTENT_TYPE_MAPPING: dict[str, str]
    HTTP_METHODS: list[str]
    description: str
    _docs: dict[str, Any]
    _prepare_doc_cbks: list[Callable[..., Any]]
    def __init__(
        self,
        name: str,
        import_name: str,
        *,
        description: str = ...,
        url_prefix: str | None = ...,
        static_folder: str | None = ...,
        static_url_path: str | None = ...,
        template_folder: str | None = ...,
        subdomain: str | None = ...,
        url_defaults: dict[str, Any] | None = ...,
        root_path: str | None = ...,
        cli_group: str | None = ...,
    ) -> None: ...
    # The view's own signature is kept, loaded data included: Flask calls it, so only its body is worth checking.
    def arguments(
        self,
        schema: Schema | type[Schema] | dict[str, Any],
        *,
        location: str = ...,
        content_type: str | None = ...,
        required: bool = ...,
        description: str | None = ...,
        example: dict[str, Any] | None = ...,
        examples: dict[str, Any] | None = ...,
        as_kwargs: bool = ...,
        error_status_code: int = ...,
        unknown: str | None = ...,
    ) -> Callable[[_V], _V]: ...
    def response(
        self,
        status_code: int | str | HTTPStatus,
        schema: _SchemaLike | None = ...,
        *,
        content_type: str | None = ...,
        description: str | None = ...,
        example: dict[str, Any] | None = ...,
        examples: dict[str, Any] | None = ...,
        headers: Mapping[str, Any] | None = ...,
    ) -> Callable[[Callable[_P, Any]], Callable[_P, flask.Response]]: ...
    def alt_response(
        self,
        status_code: int | str | HTTPStatus,
        response: str | None = ...,
        *,
        schema: _SchemaLike | None = ...,
        content_type: str | None = ...,
        description: str | None = ...,
        example: dict[str, Any] | None = ...,
        examples: dict[str, Any] | None = ...,
        headers: Mapping[str, Any] | None = ...,
        success: bool = ...,
    ) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...
    @staticmethod
    def doc(**kwargs: Any) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...
    # flask's own takes no documentation; this one adds it.
    def route(  # type: ignore[override]
        self,
        rule: str,
        *,
        parameters: Sequence[dict[str, Any] | str] | None = ...,
        tags: Sequence[str] | None = ...,
        **options: Any,
    ) -> Callable[[_V], _V]: ...
    def add_url_rule(  # type: ignore[override]
        self,
        rule: str,
        endpoint: str | None = ...,
        view_func: Callable[..., Any] | type | None = ...,
        provide_automatic_options: bool | None = ...,
        *,
        parameters: Sequence[dict[str, Any] | str] | None = ...,
        tags: Sequence[str] | None = ...,
        **options: Any,
    ) -> None: ...
    def register_views_in_doc(
        self, api: Api, app: flask.Flask, spec: APISpec, *, name: str, parameters: Sequence[Any] | None
    ) -> None: ...

class Api(ErrorHandlerMixin):
    DEFAULT_ERROR_RESPONSE_NAME: str | None
    DEFAULT_REQUEST_BODY_CONTENT_TYPE: str
    DEFAULT_RESPONSE_CONTENT_TYPE: str
    spec: APISpec
    config: Mapping[str, Any]
    config_prefix: str
    ma_plugin: MarshmallowPlugin
    _app: flask.Flask
    def __init__(
        self,
        app: flask.Flask | None = ...,
        *,
        spec_kwargs: dict[str, Any] | None = ...,
        config_prefix: str = ...,
    ) -> None: ...
    def init_app(self, app: flask.Flask, *, spec_kwargs: dict[str, Any] | None = ...) -> None: ...
    def register_blueprint(
        self, blp: flask.Blueprint, *, parameters: Sequence[Any] | None = ..., **options: Any
    ) -> None: ...
    def register_converter(self, converter: type[Any], func: Callable[[Any], dict[str, Any]]) -> None: ...
    def register_field(self, field: type[Any], *args: Any) -> None: ...
    def _register_responses(self) -> None: ...
    def _openapi_json(self) -> flask.Response: ...

def abort(http_status_code: int, exc: Exception | None = ..., **kwargs: Any) -> NoReturn: ...
