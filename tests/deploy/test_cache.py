"""What nginx shares among readers, and for how long."""

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event

import pytest

from pollsvc.keys import Keys
from tests.deploy.asking import POLL, RESULTS, Answer, ask, burst, noticed_by, poll_path, vote
from tests.factories import make_voter_token
from tests.live_server import LiveServer
from tests.nginx import Nginx
from tests.processes import wait_until

#: The contract: a vote is seen by everybody after so many seconds.
VISIBLE_AFTER = 4.0
_numbers = count(1)


@pytest.fixture
def voter_token(keys: Keys) -> str:
    """A reader's who has not voted."""
    return make_voter_token(keys, number=next(_numbers))


class TestBurst:
    @pytest.mark.parametrize(("end", "route"), [("", POLL), ("/results", RESULTS)], ids=["poll", "results"])
    def test_of_2000_reads_one_in_two_seconds_reaches_the_service(
        self, proxy: Nginx, service: LiveServer, poll_id: uuid.UUID, end: str, route: str
    ) -> None:
        with noticed_by(service) as noticed:
            answers = burst(proxy.address, poll_path(poll_id) + end, readers=50, times=40)

        assert [each.status for each in answers] == [200] * 2_000
        assert 1 <= noticed.count(route) <= noticed.windows

    def test_so_it_is_while_answers_expire_under_the_readers(
        self, proxy: Nginx, service: LiveServer, poll_id: uuid.UUID
    ) -> None:
        is_enough = Event()

        def read_on() -> list[int]:
            statuses = []
            while not is_enough.is_set():
                statuses.append(ask(proxy.address, poll_path(poll_id)).status)
            return statuses

        with noticed_by(service) as noticed, ThreadPoolExecutor(16) as pool:
            readers = [pool.submit(read_on) for _ in range(16)]
            began = service.stderr.count(POLL)
            wait_until(lambda: service.stderr.count(POLL) >= began + 3, 60)
            is_enough.set()
            statuses = {status for reader in readers for status in reader.result()}

        assert statuses == {200}
        assert noticed.count(POLL) <= noticed.windows

    @pytest.mark.slow
    def test_after_a_pause_everybody_waits_for_one_new_answer(
        self, proxy: Nginx, service: LiveServer, poll_id: uuid.UUID, voter_token: str
    ) -> None:
        first = ask(proxy.address, poll_path(poll_id))
        assert vote(proxy.address, poll_id, voter_token).status == 201
        # Until even an answer that is being renewed may no longer be given out.
        wait_until(lambda: time.time() > first.asked_at + 6)

        with noticed_by(service) as noticed:
            answers = burst(proxy.address, poll_path(poll_id), readers=64, times=2)

        assert {votes_in(each) for each in answers} == {1}
        assert 1 <= noticed.count(POLL) <= noticed.windows

    @pytest.mark.parametrize("is_withdrawn", [False, True], ids=["of an unknown poll", "of a withdrawn poll"])
    def test_refusals_are_shared_too_but_not_outside(
        self, proxy: Nginx, service: LiveServer, poll_id: uuid.UUID, token: str, is_withdrawn: bool
    ) -> None:
        if is_withdrawn:
            withdrawn = ask(
                proxy.address,
                f"{poll_path(poll_id)}/withdraw",
                method="POST",
                Authorization=f"Bearer {token}",
            )
            assert withdrawn.status == 200
        path = poll_path(poll_id if is_withdrawn else uuid.uuid4())

        with noticed_by(service) as noticed:
            answers = burst(proxy.address, path, readers=32, times=10)

        assert {each.status for each in answers} == {410 if is_withdrawn else 404}
        assert {each.headers["Cache-Control"] for each in answers} == {"private, no-store"}
        assert {each.json()["request_id"] == each.headers["X-Request-ID"] for each in answers} == {True}
        assert 1 <= noticed.count(POLL) <= noticed.windows


class TestFreshness:
    def test_a_vote_is_seen_within_four_seconds(
        self, proxy: Nginx, poll_id: uuid.UUID, voter_token: str
    ) -> None:
        path = f"{poll_path(poll_id)}/results"
        assert votes_in(ask(proxy.address, path)) == 0
        assert vote(proxy.address, poll_id, voter_token).status == 201
        acknowledged_at = time.time()
        answers: list[Answer] = []

        def is_seen_after_the_time() -> bool:
            answers.append(ask(proxy.address, path))
            return votes_in(answers[-1]) == 1 and answers[-1].asked_at > acknowledged_at + VISIBLE_AFTER

        wait_until(is_seen_after_the_time, 60)

        late = [each for each in answers if each.asked_at > acknowledged_at + VISIBLE_AFTER]
        assert {votes_in(each) for each in late} == {1}
        # And it does not go away again.
        seen = [votes_in(each) for each in answers]
        assert seen == sorted(seen)

    def test_the_voter_sees_it_at_once(self, proxy: Nginx, poll_id: uuid.UUID, voter_token: str) -> None:
        path = f"{poll_path(poll_id)}/results"
        assert votes_in(ask(proxy.address, path)) == 0

        answer = vote(proxy.address, poll_id, voter_token)

        assert answer.json()["results"]["total_voters"] == 1
        assert votes_in(ask(proxy.address, path, X_Voter_Token=voter_token)) == 1

    def test_caches_beyond_are_told_what_the_service_says(self, proxy: Nginx, poll_id: uuid.UUID) -> None:
        answer = ask(proxy.address, poll_path(poll_id))

        assert answer.headers.get_all("Cache-Control") == [
            "public, max-age=0, s-maxage=2, stale-while-revalidate=2"
        ]
        assert "X-Accel-Expires" not in answer.headers


class TestPrivacy:
    @pytest.mark.parametrize(
        "identity",
        [{"Cookie": "pollsvc_voter=x"}, {"X_Voter_Token": "x"}, {"Authorization": "Bearer x"}],
        ids=["cookie", "voter token", "staff token"],
    )
    def test_who_says_who_they_are_neither_reads_nor_fills_the_cache(
        self, proxy: Nginx, service: LiveServer, poll_id: uuid.UUID, identity: dict[str, str]
    ) -> None:
        path = poll_path(poll_id)

        with noticed_by(service) as filling:
            ask(proxy.address, path, **identity)
        key = f"//127.0.0.1{path}".encode()
        assert [name for name, held in proxy.cached().items() if key in held] == []
        ask(proxy.address, path)
        with noticed_by(service) as reading:
            ask(proxy.address, path, **identity)

        assert filling.count(POLL) == reading.count(POLL) == 1

    def test_what_a_voter_may_see_is_not_shown_to_others(
        self, proxy: Nginx, new_poll: Callable[..., uuid.UUID], voter_token: str
    ) -> None:
        poll_id = new_poll(results_visibility="after_vote")
        path = f"{poll_path(poll_id)}/results"
        vote(proxy.address, poll_id, voter_token)

        own = ask(proxy.address, path, X_Voter_Token=voter_token)
        others = ask(proxy.address, path)
        again = ask(proxy.address, path, X_Voter_Token=voter_token)

        assert [own.status, others.status, again.status] == [200, 403, 200]

    def test_no_cache_holds_a_cookie_or_a_token(
        self, proxy: Nginx, poll_id: uuid.UUID, voter_token: str
    ) -> None:
        page = ask(proxy.address, f"/embed/polls/{poll_id}")
        assert "Set-Cookie" in page.headers
        cookie = page.headers["Set-Cookie"].partition(";")[0]
        paths = ["", "/results"]

        for path in [
            f"/embed/polls/{poll_id}",
            "/embed/page.css",
            *(poll_path(poll_id) + each for each in paths),
        ]:
            ask(proxy.address, path, Cookie=cookie)
            ask(proxy.address, path, X_Voter_Token=voter_token)
            ask(proxy.address, path)

        held = b"\n".join(proxy.cached().values())
        assert poll_path(poll_id).encode() in held
        assert b"set-cookie" not in held.lower()
        for secret in (cookie.partition("=")[2].encode(), voter_token.encode()):
            assert secret not in held

    def test_a_page_with_a_cookie_is_asked_for_each_time(
        self, proxy: Nginx, service: LiveServer, poll_id: uuid.UUID
    ) -> None:
        with noticed_by(service) as noticed:
            pages = [ask(proxy.address, f"/embed/polls/{poll_id}") for _ in range(3)]

        assert noticed.count("/embed/polls/<uuid:poll_id>") == 3
        assert len({page.headers["Set-Cookie"] for page in pages}) == 3

    def test_a_shared_refusal_may_be_read_by_the_pages_of_its_site_only(self, proxy: Nginx) -> None:
        path = poll_path(uuid.uuid4())
        origins = ["https://news.example", "https://evil.example", "https://news.example", None]

        answers = [ask(proxy.address, path, **({"Origin": origin} if origin else {})) for origin in origins]

        assert {each.status for each in answers} == {404}
        assert [each.headers["Access-Control-Allow-Origin"] for each in answers] == [
            "https://news.example", None, "https://news.example", None
        ]  # fmt: skip

    def test_another_host_has_answers_of_its_own(
        self, proxy: Nginx, service: LiveServer, poll_id: uuid.UUID
    ) -> None:
        with noticed_by(service) as noticed:
            for host in ("polls.example.org", "evil.example"):
                ask(proxy.address, poll_path(poll_id), Host=host)

        assert noticed.count(POLL) == 2


class TestValidation:
    @pytest.mark.parametrize("encoding", ["identity", "gzip"])
    @pytest.mark.parametrize("kind", ["poll", "script"])
    def test_an_entity_tag_that_is_still_good_is_answered_by_304(
        self, proxy: Nginx, poll_id: uuid.UUID, kind: str, encoding: str
    ) -> None:
        path = poll_path(poll_id) if kind == "poll" else "/embed.js"
        answer = ask(proxy.address, path, Accept_Encoding=encoding)

        again = ask(proxy.address, path, Accept_Encoding=encoding, If_None_Match=answer.headers["ETag"])

        assert (again.status, again.body) == (304, b"")
        assert again.headers["ETag"].removeprefix("W/") == answer.headers["ETag"].removeprefix("W/")
        assert again.headers["Cache-Control"] == answer.headers["Cache-Control"]

    def test_a_head_is_a_get_without_its_body(self, proxy: Nginx, poll_id: uuid.UUID) -> None:
        answer = ask(proxy.address, poll_path(poll_id), method="HEAD")
        whole = ask(proxy.address, poll_path(poll_id))

        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["ETag"] == whole.headers["ETag"]
        assert answer.headers["Content-Length"] == str(len(whole.body))

    def test_a_preflight_is_the_services_answer(self, proxy: Nginx, poll_id: uuid.UUID) -> None:
        answer = ask(
            proxy.address,
            f"{poll_path(poll_id)}/votes",
            method="OPTIONS",
            Origin="https://news.example",
            Access_Control_Request_Method="POST",
        )

        assert answer.headers["Access-Control-Allow-Origin"] == "https://news.example"

    def test_files_are_kept_for_minutes_and_sent_compressed(self, proxy: Nginx, service: LiveServer) -> None:
        with noticed_by(service) as noticed:
            answers = burst(proxy.address, "/embed/widget.css", readers=16, times=4)
        packed = ask(proxy.address, "/embed/widget.css", Accept_Encoding="gzip")

        assert noticed.count("/embed/<name>") <= 1
        assert {each.headers["Cache-Control"] for each in answers} == {"public, max-age=300"}
        assert packed.headers["Content-Encoding"] == "gzip"


def votes_in(answer: Answer) -> int:
    """Give how many voters an answer counts."""
    assert answer.status == 200, answer.body
    told = answer.json()
    return int(told.get("results", told)["total_voters"])
