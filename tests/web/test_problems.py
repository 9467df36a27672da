"""What an exception means for the caller."""

from collections.abc import Iterator
from typing import Any

import pytest
from marshmallow import ValidationError
from sqlalchemy import exc as sa
from werkzeug.exceptions import HTTPException, NotFound, ServiceUnavailable, default_exceptions

import pollsvc.app  # noqa: F401 (loads every error)
from pollsvc.db import WrongHashKey
from pollsvc.errors import (
    Conflict,
    Gone,
    Invalid,
    NotAllowed,
    NotAuthenticated,
    PollsvcError,
    StaleVersion,
    TooMany,
    Unavailable,
)
from pollsvc.errors import NotFound as NotFoundHere
from pollsvc.web.errors import STATUSES, flatten, problem_of


class TestProblemOf:
    @pytest.mark.parametrize(
        ("is_cut", "sentence"),
        [(False, "nothing was stored"), (True, "it is not known whether this was stored")],
        ids=["busy", "cut"],
    )
    def test_database_that_fails_is_told_as_far_as_it_is_known(self, is_cut: bool, sentence: str) -> None:
        error = sa.OperationalError("", {}, Exception(), connection_invalidated=is_cut)

        problem = problem_of(error)

        assert (problem.status, problem.code) == (503, "database_unavailable")
        assert sentence in problem.detail

    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (Invalid(), 422, "invalid"),
            (NotAuthenticated(), 401, "not_authenticated"),
            (NotAllowed(), 403, "not_allowed"),
            (NotFoundHere(), 404, "not_found"),
            (Conflict(), 409, "conflict"),
            (StaleVersion(), 409, "stale_version"),
            (Gone(), 410, "gone"),
            (TooMany(), 429, "too_many"),
            (Unavailable(), 503, "unavailable"),
            (WrongHashKey(), 500, "wrong_hash_key"),
            (ValidationError("wrong"), 422, "invalid"),
            (NotFound(), 404, "not_found"),
            (ServiceUnavailable(), 503, "unavailable"),
            (default_exceptions[418](), 418, "malformed"),
            (default_exceptions[501](), 501, "internal"),
            (HTTPException(), 500, "internal"),
            (sa.OperationalError("", {}, Exception()), 503, "database_unavailable"),
            (sa.InternalError("", {}, Exception()), 503, "database_unavailable"),
            (sa.TimeoutError(), 503, "database_unavailable"),
            (sa.DBAPIError("", {}, Exception(), connection_invalidated=True), 503, "database_unavailable"),
            (sa.DBAPIError("", {}, Exception()), 500, "internal"),
            (sa.IntegrityError("", {}, Exception()), 500, "internal"),
            (KeyError("email"), 500, "internal"),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
    )
    def test_tells_status_and_code(self, error: Exception, status: int, code: str) -> None:
        problem = problem_of(error)

        assert (problem.status, problem.code) == (status, code)

    @pytest.mark.parametrize(
        ("error", "name", "value"),
        [
            (NotAuthenticated(), "WWW-Authenticate", 'Bearer realm="pollsvc"'),
            (TooMany(), "Retry-After", "60"),
            (Unavailable(), "Retry-After", "2"),
            (ServiceUnavailable(), "Retry-After", "2"),
            (ServiceUnavailable(retry_after=7), "Retry-After", "7"),
            (default_exceptions[429](), "Retry-After", "60"),
            (default_exceptions[405](["GET"]), "Allow", "GET"),  # type: ignore[arg-type]
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
    )
    def test_tells_the_fields_that_belong_to_a_status(self, error: Exception, name: str, value: str) -> None:
        assert problem_of(error).headers[name] == value

    def test_names_the_fields_of_a_rule(self) -> None:
        problem = problem_of(Invalid("Wrong.", fields={"choices.0": "Is of another poll."}))

        assert problem.detail == "Wrong."
        assert problem.errors == [{"field": "choices.0", "detail": "Is of another poll."}]

    @pytest.mark.parametrize("kind", STATUSES, ids=lambda kind: kind.__name__)
    def test_each_kind_says_what_to_do(self, kind: type[PollsvcError]) -> None:
        assert problem_of(kind()).detail


class TestKinds:
    def test_each_error_that_a_request_can_meet_has_a_status(self) -> None:
        def leaves(kind: type[PollsvcError]) -> Iterator[type[PollsvcError]]:
            for each in kind.__subclasses__():
                yield each
                yield from leaves(each)

        unlisted = {each.__name__ for each in leaves(PollsvcError) if not issubclass(each, tuple(STATUSES))}

        # It stops the start of the service, and no request meets it.
        assert unlisted == {"WrongHashKey"}


class TestFlatten:
    @pytest.mark.parametrize(
        ("messages", "entries"),
        [
            pytest.param({}, [], id="nothing"),
            pytest.param(
                {"json": {"name": ["Bad.", "Worse."]}}, [("name", "Bad."), ("name", "Worse.")], id="list"
            ),
            pytest.param({"query": {"limit": "Bad."}}, [("limit", "Bad.")], id="query"),
            pytest.param({"json": {"choices": {0: ["Bad."]}}}, [("choices.0", "Bad.")], id="place in a list"),
            pytest.param({"json": {"a": {"json": "Bad."}}}, [("a.json", "Bad.")], id="a field called json"),
            pytest.param({"_schema": ["Bad."]}, [("", "Bad.")], id="the whole"),
            pytest.param(["Bad."], [("", "Bad.")], id="bare list"),
            pytest.param("Bad.", [("", "Bad.")], id="bare text"),
        ],
    )
    def test_gives_an_entry_for_each_sentence(self, messages: Any, entries: list[tuple[str, str]]) -> None:
        assert list(flatten(messages)) == [{"field": name, "detail": sentence} for name, sentence in entries]
