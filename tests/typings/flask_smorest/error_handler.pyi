import flask
from flask.typing import ResponseReturnValue
from marshmallow import Schema
from werkzeug.exceptions import HTTPException

class ErrorSchema(Schema): ...

class ErrorHandlerMixin:
    ERROR_SCHEMA: type[Schema]
    _app: flask.Flask
    def _register_error_handlers(self) -> None: ...
    def handle_http_exception(self, error: HTTPException) -> ResponseReturnValue: ...
