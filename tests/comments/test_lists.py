"""Lists of words: what one may hold, and that each change is a version of its own."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import marshmallow as ma
import pytest
import sqlalchemy as sa
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from pollsvc.comments.checks import word_lists
from pollsvc.comments.checks.word_lists import ListedWords, WordLists
from pollsvc.comments.in_force import find_in_force
from pollsvc.comments.lists import (
    ListNotFound,
    check_entries,
    delete_list,
    get_list,
    read_sizes,
    replace_list,
)
from pollsvc.comments.newsroom_schemas import Entries, NewWordListSchema
from pollsvc.comments.policy_models import WordList
from pollsvc.comments.words.matching import WordMatcher
from pollsvc.errors import Invalid, StaleVersion
from pollsvc.staff.models import AuditEntry
from pollsvc.web.fields import Text
from tests.factories import ACTOR, THEN

Replace = Callable[..., WordList]


@pytest.fixture
def replace(session: Session) -> Replace:
    """Let the banned list of English say something."""

    def replace(
        words: Sequence[str],
        *,
        exceptions: Sequence[str] = (),
        version: int | None = None,
        now: datetime = THEN,
    ) -> WordList:
        return replace_list(
            session,
            "banned",
            "en",
            words=words,
            exceptions=exceptions,
            version=version,
            actor=ACTOR,
            now=now,
        )

    return replace


def look(lists: WordLists, session: Session) -> Mapping[str, Sequence[ListedWords]]:
    """What stands for an English site."""
    session.flush()
    connection = session.connection()
    return lists.of_language(connection, find_in_force(connection).lists, "en-GB")


def delete(session: Session, version: int | None = None) -> WordList:
    return delete_list(session, "banned", "en", version=version, actor=ACTOR, now=THEN)


def audit(session: Session) -> list[tuple[str, dict[str, Any]]]:
    session.flush()
    rows = session.scalars(select(AuditEntry).where(AuditEntry.object_type == "word_list"))
    return [(row.action, row.detail) for row in rows]


class TestShape:
    @pytest.mark.parametrize(
        ("words", "fields"),
        [
            (["fine", "  "], {1}),
            (["\u200b"], {0}),
            (["x" * 101], {0}),
            (["é" * 101], {0}),
            (["line\nbreak"], {0}),
            (["over\u202eride"], {0}),
            (["bell\a"], {0}),
            (["ok", 7, None, True], {1, 2, 3}),
            (["\ud800"], {0}),
        ],
        ids=[
            "blank",
            "invisible",
            "long",
            "long-beyond-ascii",
            "two-lines",
            "bidi",
            "control",
            "no-text",
            "half",
        ],
    )
    def test_entries_that_cannot_be_are_named(self, words: list[Any], fields: set[int]) -> None:
        with pytest.raises(ma.ValidationError) as refusal:
            NewWordListSchema().load({"words": words})

        assert set(refusal.value.messages["words"]) == fields  # type: ignore[call-overload]

    def test_entries_are_trimmed_and_composed_and_each_stands_once(self) -> None:
        loaded = NewWordListSchema().load({"words": [" spam ", "spam", "cafe\u0301", "café", "buy now"]})

        assert loaded == {"words": ["spam", "café", "buy now"], "exceptions": [], "version": None}

    @given(st.text(alphabet=st.characters(exclude_categories=()), max_size=40))
    @example("e\u0301" * 20)
    @example("a" + "\u0316" * 31)
    @example("\u3164")
    def test_an_entry_is_read_by_the_rules_of_texts(self, entry: str) -> None:
        def read(field: ma.fields.Field[Any], value: Any) -> object:
            try:
                return field.deserialize(value)
            except ma.ValidationError:
                return None

        expected = read(Text(100), entry)

        assert read(Entries(), [entry]) == (None if expected is None else [expected])

    def test_of_very_many_wrong_ones_the_first_are_told(self) -> None:
        with pytest.raises(ma.ValidationError) as refusal:
            NewWordListSchema().load({"words": [""] * 1_000})

        assert set(refusal.value.messages["words"]) == set(range(20))  # type: ignore[call-overload]

    @pytest.mark.parametrize("words", [["x"] * 100_001, "spam", None], ids=["many", "text", "null"])
    def test_a_list_has_up_to_a_hundred_thousand(self, words: Any) -> None:
        with pytest.raises(ma.ValidationError) as refusal:
            NewWordListSchema().load({"words": words})

        assert list(refusal.value.messages) == ["words"]


class TestCheckEntries:
    @pytest.mark.parametrize("entry", ["...", "-", "?"])
    def test_what_would_find_nothing_is_named(self, entry: str) -> None:
        with pytest.raises(Invalid) as refusal:
            check_entries("banned", ["spam", entry], [entry, "fine"])

        assert list(refusal.value.fields) == ["words.1", "exceptions.0"]

    def test_what_finds_something_passes(self) -> None:
        check_entries("banned", ["spam", "buy now", "🍆", "$$$", "?!"], ["spam museum"])
        check_entries("banned_domains", ["spam.example", "bücher.example"], ["www.spam.example"])

    @pytest.mark.parametrize(
        "entry", ["https://spam.example", "spam.example/page", "example", "a b.example", "a..b", "1.2.3"]
    )
    def test_what_is_no_domain_is_named(self, entry: str) -> None:
        with pytest.raises(Invalid) as refusal:
            check_entries("trusted_domains", ["fine.example", entry], [entry])

        assert list(refusal.value.fields) == ["words.1", "exceptions.0"]
        assert refusal.value.fields["words.1"] == f"“{entry}” is no domain such as spam.example."

    def test_of_many_the_first_are_named(self) -> None:
        with pytest.raises(Invalid) as refusal:
            check_entries("suspect", ["spam", *["-"] * 100], [])

        assert list(refusal.value.fields) == [f"words.{number}" for number in range(1, 21)]


class TestReplaceList:
    def test_the_first_is_version_1(self, replace: Replace, session: Session) -> None:
        made = replace(["spam", "scam"], exceptions=["spam museum"], version=0)

        assert (made.version, made.words, made.exceptions) == (1, ["spam", "scam"], ["spam museum"])
        assert audit(session) == [
            (
                "word_list.replaced",
                {
                    "version": 1,
                    "words": {"before": 0, "after": 2},
                    "exceptions": {"before": 0, "after": 1},
                    "added": 2,
                    "taken_away": 0,
                },
            )
        ]

    def test_one_that_cannot_be_made_ready_holds_up_no_other(
        self, replace: Replace, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        replace(["zounds"])

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(word_lists, "MATCHERS", {"banned": fail})

        [listed] = look(WordLists(), session)["banned"]

        assert (listed.label, listed.matcher) == ("en:1", None)

    def test_the_same_again_changes_nothing(self, replace: Replace, session: Session) -> None:
        replace(["spam"])

        again = replace(["spam"], now=THEN + timedelta(days=1))

        assert (again.version, again.updated_at) == (1, THEN)
        assert len(audit(session)) == 1

    @pytest.mark.parametrize("first", [None, ["spam"]], ids=["from the first", "emptied"])
    def test_without_words_it_stands_and_finds_nothing(
        self, replace: Replace, session: Session, first: list[str] | None
    ) -> None:
        version = replace(first).version if first else 0

        emptied = replace([], version=version)
        again = replace([], version=version + 1)

        assert (emptied.version, again.version, len(audit(session))) == (
            version + 1,
            version + 1,
            version + 1,
        )
        assert get_list(session, "banned", "en").words == []
        assert [(each.version, each.words) for each in read_sizes(session)] == [(version + 1, 0)]
        (found,) = look(WordLists(), session)["banned"]
        assert isinstance(found.matcher, WordMatcher)
        assert found.matcher.find("Buy spam today.") == []

    def test_a_change_is_the_next_version(self, replace: Replace, session: Session) -> None:
        replace(["spam", "scam"])

        changed = replace(["spam", "fraud", "phish"], version=1)

        assert (changed.version, changed.words) == (2, ["spam", "fraud", "phish"])
        detail = audit(session)[1][1]
        assert (detail["added"], detail["taken_away"]) == (2, 1)
        assert "fraud" not in str(detail)

    @pytest.mark.parametrize(("exists", "version", "stands"), [(True, 2, 1), (True, 0, 1), (False, 1, 0)])
    def test_a_stale_version_is_told_how_it_stands(
        self, replace: Replace, exists: bool, version: int, stands: int
    ) -> None:
        if exists:
            replace(["spam"])

        with pytest.raises(StaleVersion) as refusal:
            replace(["scam"], version=version)

        assert refusal.value.extra == {"current": {"version": stands}}

    def test_of_several_who_make_it_at_once_one_does(self, engine: sa.Engine) -> None:
        def make(number: int) -> int | None:
            with Session(engine.execution_options(sqlite_write=True)) as own:
                try:
                    made = replace_list(
                        own,
                        "suspect",
                        "de",
                        words=[f"w{number}"],
                        exceptions=[],
                        version=0,
                        actor=ACTOR,
                        now=THEN,
                    )
                except StaleVersion:
                    return None
                own.commit()
                return made.version

        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(make, range(4)))

        assert sorted(made, key=str) == [1, None, None, None]


class TestDeleteList:
    def test_it_is_gone(self, replace: Replace, session: Session) -> None:
        replace(["spam"])

        delete(session, version=1)

        with pytest.raises(ListNotFound):
            get_list(session, "banned", "en")
        session.flush()
        assert read_sizes(session) == []
        (found,) = look(WordLists(), session)["banned"]
        assert isinstance(found.matcher, WordMatcher)
        assert found.matcher.find("Buy spam today.") == []
        assert [action for action, _ in audit(session)] == ["word_list.replaced", "word_list.deleted"]

    def test_a_version_that_stood_for_a_list_never_stands_for_another(
        self, replace: Replace, session: Session
    ) -> None:
        replace(["spam"])
        lists = WordLists()
        session.flush()
        look(lists, session)
        delete(session)

        again = replace(["scam"], version=0)
        session.flush()
        (found,) = look(lists, session)["banned"]

        assert (again.version, found.label) == (3, "en:3")
        assert isinstance(found.matcher, WordMatcher)
        assert [each.word for each in found.matcher.find("a scam, no spam")] == ["scam"]

    def test_twice_is_refused(self, replace: Replace, session: Session) -> None:
        replace(["spam"])
        delete(session)

        with pytest.raises(ListNotFound):
            delete(session)

    def test_a_stale_version_is_refused(self, replace: Replace, session: Session) -> None:
        replace(["spam"])

        with pytest.raises(StaleVersion):
            delete(session, version=2)


class TestReadSizes:
    def test_lists_come_by_kind_and_language_without_their_words(
        self, replace: Replace, session: Session
    ) -> None:
        replace(["spam", "scam"], exceptions=["spam museum"])
        replace_list(session, "banned", "de", words=["ä"], exceptions=[], version=None, actor=ACTOR, now=THEN)
        session.flush()

        sizes = read_sizes(session)

        assert [(each.kind, each.language, each.words, each.exceptions) for each in sizes] == [
            ("banned", "de", 1, 0),
            ("banned", "en", 2, 1),
        ]
