"""What each check says of a submission; that one which fails is told, and that none needs another."""

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import count
from typing import ClassVar

import pytest

from pollsvc.comments.checks import all_checks
from pollsvc.comments.checks.check import (
    LONGEST,
    Check,
    Likeness,
    Opinion,
    Submission,
    Verdict,
    WriterFacts,
    run_checks,
)
from pollsvc.comments.checks.forms import Form
from pollsvc.comments.checks.links import Links
from pollsvc.comments.checks.repeats import LEAST_LETTERS, NEAR, Repeats, fingerprint_of, likeness
from pollsvc.comments.checks.shouting import Shouting
from pollsvc.comments.checks.standing import (
    ApprovalTakenBack,
    BannedAddress,
    NewCommenter,
    Premoderation,
    RecentRejections,
    Velocity,
)
from pollsvc.comments.checks.word_lists import ListedWords
from pollsvc.comments.checks.words import Words
from pollsvc.comments.markup import mark_up
from pollsvc.comments.policies import BUILT_IN
from pollsvc.comments.words.domains import Domains
from pollsvc.comments.words.matching import WordMatcher

KEY = b"k" * 32
LONG = "The council voted on Tuesday to run the ferry until midnight, and the harbour will pay for all of it."


def facts(
    approved: int = 0, rejected: int = 0, lately: int = 0, *, is_address_banned: bool = False
) -> WriterFacts:
    return WriterFacts(approved, rejected, lately, is_address_banned)


def submission(body: str = "Well said.", **changes: object) -> Submission:
    """Give a harmless submission with some facts changed."""
    defaults: dict[str, object] = {
        "body": body,
        "name": "Ada",
        "links": mark_up(body).links,
        "typed": mark_up(body).typed,
        "is_premoderated": False,
        "was_approved": False,
        "is_suspect": False,
        "writer": facts(approved=5),
        "own_hosts": frozenset({"news.example"}),
    }
    return Submission(**(defaults | changes))  # type: ignore[arg-type]


class TestScores:
    @pytest.mark.parametrize(
        ("check", "given", "score"),
        [
            pytest.param(Premoderation(), {}, 0, id="an open article"),
            pytest.param(Premoderation(), {"is_premoderated": True}, 1, id="a pre-moderated one"),
            pytest.param(ApprovalTakenBack(), {}, 0, id="nothing was approved"),
            pytest.param(ApprovalTakenBack(), {"was_approved": True}, 1, id="an approved text changed"),
            pytest.param(BannedAddress(), {}, 0, id="an address of nobody banned"),
            pytest.param(BannedAddress(), {"writer": facts(is_address_banned=True)}, 1, id="a banned address"),
            pytest.param(NewCommenter(), {"writer": facts()}, 1, id="nothing approved yet"),
            pytest.param(NewCommenter(), {"writer": facts(approved=1)}, 1 / 2, id="one approved"),
            pytest.param(NewCommenter(), {"writer": facts(approved=3)}, 1 / 4, id="three approved"),
            pytest.param(RecentRejections(), {}, 0, id="never rejected"),
            pytest.param(RecentRejections(), {"writer": facts(rejected=1)}, 1 / 2, id="rejected once"),
            pytest.param(RecentRejections(), {"writer": facts(rejected=4)}, 4 / 5, id="rejected four times"),
            pytest.param(Velocity(), {}, 0, id="the first in ten minutes"),
            pytest.param(Velocity(), {"writer": facts(lately=5)}, 1 / 2, id="the sixth"),
            pytest.param(Velocity(), {"writer": facts(lately=20)}, 1, id="the twenty-first"),
            pytest.param(Form(), {}, 0, id="an honest form"),
            pytest.param(Form(), {"is_suspect": True}, 1, id="a form that rang"),
            pytest.param(Links(), {}, 0, id="no link"),
            pytest.param(Links(), {"body": "https://news.example/a"}, 0, id="a link to the paper itself"),
            pytest.param(Links(), {"body": "https://a.example"}, 1 / 2, id="a link"),
            pytest.param(Links(), {"body": "[a](http://a.example) https://b.example https://news.example/c"}, 2 / 3,
                         id="two, and one to the paper"),
            pytest.param(Links(), {"body": "https://news.example.evil.example/"}, 1 / 2, id="a host that begins alike"),
            pytest.param(Links(), {"body": "https://news.example@evil.example/"}, 1 / 2, id="a user name like the host"),
            pytest.param(Repeats(), {}, 0, id="nothing like it"),
            pytest.param(Repeats(), {"likenesses": [Likeness(0.85, is_own=False), Likeness(0.9, is_own=True)]}, 0.9,
                         id="nearly the same twice"),
            pytest.param(Repeats(), {"likenesses": [Likeness(1, is_own=False)]}, 1, id="the same"),
            pytest.param(Shouting(), {"body": "WELL SAID"}, 0, id="too few letters to tell"),
            pytest.param(Shouting(), {"body": "NASA and NATO"}, 0, id="abbreviations in a short text"),
            pytest.param(Shouting(), {"body": "THIS IS A SCANDAL"}, 1, id="capitals alone"),
            pytest.param(Shouting(), {"body": "to be or not to be"}, 0, id="no capital"),
            pytest.param(Shouting(), {"body": "سلام عليكم ورحمة"}, 0, id="a script without cases"),
            pytest.param(Shouting(), {"body": "nooooooooo"}, 1, id="a letter drawn out"),
            pytest.param(Shouting(), {"body": "really!!!! as if nobody could have known this beforehand"}, 8 / 56,
                         id="four marks"),
            pytest.param(Shouting(), {"body": "----- 1000000 ....."}, 0, id="lines and numbers"),
            pytest.param(Words("banned"), {}, 0, id="no list"),
        ],
    )  # fmt: skip
    def test_follow_what_is_known(self, check: Check, given: dict[str, object], score: float) -> None:
        assert check.look(submission(**given)).score == pytest.approx(score)  # type: ignore[arg-type]

    @pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.name)
    def test_of_a_harmless_comment_lead_nowhere(self, check: Check) -> None:
        [verdict] = run_checks([check], submission())

        assert verdict.state == "done"
        assert BUILT_IN.checks[check.name].vote(verdict) is None

    def test_every_check_is_named_once_and_has_a_vote_in_the_built_in_policy(self) -> None:
        assert [check.name for check in all_checks()] == list(BUILT_IN.checks)
        assert all(check.version for check in all_checks())

    def test_built_in_policy_rejects_nothing(self) -> None:
        assert {thresholds.reject for thresholds in BUILT_IN.checks.values()} == {None}


class TestSpans:
    @pytest.mark.parametrize(
        ("check", "body", "found"),
        [
            pytest.param(Links(), "at https://a.example now", ["https://a.example"], id="a link"),
            pytest.param(Links(), "[x](http://a.example/b)", ["http://a.example/b"], id="behind words"),
            pytest.param(
                Shouting(), "This IS QUITE A SCANDAL", ["IS", "QUITE", "SCANDAL"], id="words in capitals"
            ),
            pytest.param(Shouting(), "sooooo what!!!!!", ["ooooo", "!!!!!"], id="what is drawn out"),
        ],
    )
    def test_are_the_places_that_it_is_about(self, check: Check, body: str, found: list[str]) -> None:
        assert [body[start:end] for start, end in check.look(submission(body)).spans] == found


class TestDomains:
    LISTS: ClassVar[dict[str, list[ListedWords]]] = {
        f"{kind}_domains": [ListedWords(f"{kind}_domains", "und", 3, matcher)]
        for kind, matcher in {
            "banned": Domains(["Spam.example", "bücher.example", "203.0.113.5"], ["press.spam.example"]),
            "trusted": Domains(["trusted.example", "spam.example"], ["users.trusted.example"]),
        }.items()
    }

    @pytest.mark.parametrize(
        ("address", "entry"),
        [
            pytest.param("https://spam.example/x", "Spam.example", id="banned"),
            pytest.param("https://WWW.sPAM.example:8443/x", "Spam.example", id="below it, spelled otherwise"),
            pytest.param("https://news.example@spam.example/", "Spam.example", id="behind a user name"),
            pytest.param("https://ｓｐａｍ.example/", "Spam.example", id="full-width"),
            pytest.param(
                "https://sp\u200bam.example/", "Spam.example", id="with nothing that is seen inside"
            ),
            pytest.param("https://bücher.example/ünï", "bücher.example", id="international"),
            pytest.param("https://xn--bcher-kva.example/", "bücher.example", id="in ASCII"),
            pytest.param("http://203.0.113.5/", "203.0.113.5", id="an address"),
            pytest.param("http://3405803781/", "203.0.113.5", id="an address as one number"),
            pytest.param("http://0xcb.0.0x7105/", "203.0.113.5", id="an address in other digits"),
        ],
    )
    @pytest.mark.parametrize("written", ["See {}", "See {}, and weep", "Read [this]({})"])
    def test_that_are_banned_are_named(self, address: str, entry: str, written: str) -> None:
        body = written.format(address)

        opinion = Links().look(submission(body, words=self.LISTS))

        assert (opinion.score, opinion.reason) == (1, f"On the list of banned domains: “{entry}”.")
        assert opinion.version == "trusted_domains:3 banned_domains:3"
        assert [body[start:end] for start, end in opinion.spans] == [address]

    @pytest.mark.parametrize("address", ["https://sp%61m.example/", "https://spam.example.:8443/x"])
    def test_that_are_no_addresses_by_themselves_are_found_where_they_are_links(self, address: str) -> None:
        opinion = Links().look(submission(f"Read [this]({address})", words=self.LISTS))

        assert (opinion.score, opinion.spans) == (1, [(12, 12 + len(address))])

    @pytest.mark.parametrize(
        ("address", "score"),
        [
            pytest.param("https://press.spam.example/", 0, id="an exception, and trusted"),
            pytest.param("https://notspam.example/", 1 / 2, id="a name that ends alike"),
            pytest.param("https://spam.example.evil.example/", 1 / 2, id="a name that begins alike"),
            pytest.param("https://a.trusted.example/", 0, id="trusted"),
            pytest.param("https://me.users.trusted.example/", 1 / 2, id="an exception of the trusted"),
            pytest.param("https://[::1", 1 / 2, id="no host"),
        ],
    )
    def test_of_others_count_unless_they_are_trusted(self, address: str, score: float) -> None:
        opinion = Links().look(
            submission(f"See {address}", links=[address], typed=[address], words=self.LISTS)
        )

        assert (opinion.score, opinion.reason) == (score, "Links to other sites: 1." if score else "")
        assert opinion.version == "trusted_domains:3 banned_domains:3"

    def test_a_banned_one_is_named_beside_others(self) -> None:
        body = "https://a.example https://www.spam.example https://trusted.example"

        opinion = Links().look(submission(body, words=self.LISTS))

        assert (opinion.score, opinion.reason) == (1, "On the list of banned domains: “Spam.example”.")
        assert [body[start:end] for start, end in opinion.spans] == body.split()[:2]


class TestShouting:
    @pytest.mark.parametrize("body", ["THIS IS quite a scandal", "This is SO good", "noooo, WHAT!!!!"])
    def test_the_short_way_of_ascii_leads_to_the_same(self, body: str) -> None:
        short, long = (run_checks([Shouting()], submission(f"{body}{sign}"))[0] for sign in "-—")

        assert (short.score, short.reason, short.spans) == (long.score, long.reason, long.spans)
        assert short.score > 0


class TestWords:
    LISTS = {  # noqa: RUF012 (read only)
        "banned": [
            ListedWords("banned", "en", 7, WordMatcher(["zounds"])),
            ListedWords("banned", "und", 2, WordMatcher(["casino"])),
        ]
    }

    def test_find_tells_entry_list_and_place(self) -> None:
        opinion = Words("banned").look(submission("what casino, zounds", words=self.LISTS))

        assert (opinion.score, opinion.spans) == (1, [(5, 11), (13, 19)])
        assert opinion.reason == "On the banned list: “zounds” (en), “casino” (und)."
        assert opinion.version == "en:7 und:2"

    def test_word_that_marks_part_is_found_as_readers_see_it(self) -> None:
        opinion = Words("banned").look(
            submission("ca[](https://a.example)sino and casino", words=self.LISTS, shown="casino and zounds")
        )

        # Nothing in the text says where "zounds" would be.
        assert (opinion.score, opinion.spans) == (1, [(32, 38)])
        assert opinion.reason == "On the banned list: “zounds” (en) as it is shown, “casino” (und)."

    @pytest.mark.parametrize(
        "body",
        [
            "So, ca`si`no here.",
            "So, ca[](https://a.example)sino here.",
            "So, [ca](https://a.example/b)\\*s_i_no here.",
        ],
    )
    def test_word_that_marks_part_has_a_place(self, body: str) -> None:
        shown = mark_up(body).text

        opinion = Words("banned").look(submission(body, words=self.LISTS, shown=shown))

        [(start, end)] = opinion.spans
        assert opinion.reason == "On the banned list: “casino” (und) as it is shown."
        assert (body[start:][:2], body[:end][-2:]) == ("ca", "no")

    def test_no_number_of_marks_makes_it_look_twice(self) -> None:
        # As an expression with marks between its letters this would be tried in more ways than anybody waits for.
        decoy = "ca" + "~".join(["~" * 1200] * 4).join("sin") + "x"
        body = f"{decoy} [ca](https://a.example)~s~i~n~o"

        opinion = Words("banned").look(submission(body, words=self.LISTS, shown=mark_up(body).text))

        assert opinion.score == 1
        assert [body[start:end] for start, end in opinion.spans] == ["ca](https://a.example)~s~i~n~o"]

    def test_name_is_looked_at_too(self) -> None:
        opinion = Words("banned").look(submission(name="casino", words=self.LISTS))

        assert (opinion.score, opinion.spans) == (1, [])
        assert opinion.reason == "On the banned list: “casino” (und) in the name, 0–6."

    def test_lists_that_found_nothing_are_named_as_well(self) -> None:
        [verdict] = run_checks([Words("banned")], submission(words=self.LISTS))

        assert (verdict.score, verdict.version) == (0, "2 en:7 und:2")

    def test_list_that_could_not_be_made_ready_is_a_failure(self) -> None:
        lists = {"banned": [ListedWords("banned", "en", 8, None)]}

        [verdict] = run_checks([Words("banned")], submission(words=lists))

        assert (verdict.state, verdict.reason) == ("failed", "It failed: AssertionError.")

    def test_lists_of_another_kind_are_left_alone(self) -> None:
        assert Words("suspect").look(submission("casino", words=self.LISTS)).score == 0


class TestLikeness:
    @pytest.mark.parametrize(
        ("other", "least", "most"),
        [
            pytest.param(LONG, 1, 1, id="the same"),
            pytest.param(LONG.upper().replace(" ", "  ").replace(",", " –"), 1, 1, id="other cases, spaces and signs"),
            pytest.param(LONG.replace("Tuesday", "Monday"), NEAR, 0.99, id="a word changed"),
            pytest.param(LONG + " Good.", NEAR, 0.99, id="a word more"),
            pytest.param("Nobody asked the people who live there what they think of the noise at night.", 0, 0.2,
                         id="another text"),
            pytest.param("", 0, 0, id="nothing"),
        ],
    )  # fmt: skip
    def test_is_the_share_of_common_pieces(self, other: str, least: float, most: float) -> None:
        assert least <= likeness(LONG, other) <= most
        assert likeness(LONG, other) == likeness(other, LONG)

    def test_near_texts_share_a_band_and_others_none(self) -> None:
        mine = fingerprint_of(LONG, KEY)
        near = fingerprint_of(LONG.replace("Tuesday", "Monday"), KEY)
        far = fingerprint_of("Nobody asked the people who live there what they think of the noise.", KEY)

        assert mine
        assert near
        assert far
        assert any(one == other for one, other in zip(mine.bands, near.bands, strict=True))
        assert not any(one == other for one, other in zip(mine.bands, far.bands, strict=True))
        assert mine.text_hash != near.text_hash

    def test_case_and_space_make_no_other_text(self) -> None:
        one, other = fingerprint_of(LONG, KEY), fingerprint_of(f"  {LONG.upper()}\n", KEY)

        assert one == other

    def test_tells_nothing_without_the_key(self) -> None:
        one, other = fingerprint_of(LONG, KEY), fingerprint_of(LONG, b"another!" * 4)

        assert one
        assert other
        assert one.text_hash != other.text_hash
        assert not set(one.bands) & set(other.bands)

    def test_bands_fit_the_column(self) -> None:
        found = fingerprint_of(LONG, KEY)

        assert found
        assert all(0 <= band < 2**31 for band in found.bands)

    @pytest.mark.parametrize(("letters", "is_told"), [(LEAST_LETTERS - 1, False), (LEAST_LETTERS, True)])
    def test_short_texts_are_said_by_many(self, letters: int, is_told: bool) -> None:
        assert (fingerprint_of("- " * 50 + "x" * letters, KEY) is not None) == is_told


class Faulty:
    """A check that does what it should not."""

    version = "3"

    def __init__(self, score: float | None = None) -> None:
        self._score = score
        self.name = "faulty"

    def look(self, submission: Submission) -> Opinion:
        if self._score is None:
            raise RuntimeError("a word of the text: " + submission.body)
        return Opinion(self._score)


def run(checks: Sequence[Check]) -> list[Verdict]:
    ticks = count()
    return run_checks(checks, submission("secret words"), lambda: next(ticks) / 1000)


class TestRunChecks:
    def test_one_that_fails_is_a_verdict_and_holds_up_no_other(self) -> None:
        faulty, form = run([Faulty(), Form()])

        assert (faulty.state, faulty.score, faulty.reason) == ("failed", 0, "It failed: RuntimeError.")
        assert (faulty.version, form.state) == ("3", "done")

    def test_score_that_is_no_number_is_a_failure(self) -> None:
        [verdict] = run([Faulty(math.nan)])

        assert (verdict.state, verdict.score) == ("failed", 0)

    @pytest.mark.parametrize(("seconds", "state"), [(LONGEST, "done"), (LONGEST + 0.1, "failed")])
    def test_one_that_takes_too_long_is_a_verdict_too(self, seconds: float, state: str) -> None:
        times = iter([0.0, seconds])

        [verdict] = run_checks([Faulty(0.4)], submission(), lambda: next(times))

        assert verdict.state == state
        assert verdict.score == (0.4 if state == "done" else 0)
        assert verdict.reason == ("" if state == "done" else "It took 3.1 s, and may take 3.")

    @pytest.mark.parametrize(("given", "kept"), [(-1, 0), (1.5, 1), (math.inf, 1), (0.3, 0.3)])
    def test_scores_are_from_nought_to_one(self, given: float, kept: float) -> None:
        [verdict] = run([Faulty(given)])

        assert (verdict.state, verdict.score) == ("done", kept)

    def test_opinion_comes_in_plain_numbers(self) -> None:
        class Odd:
            name, version = "odd", "1"

            def look(self, _: Submission) -> Opinion:
                return Opinion(Decimal("0.25"), "", [[Decimal(1), True]])  # type: ignore[arg-type, list-item]

        class Flag(Odd):
            def look(self, _: Submission) -> Opinion:
                return Opinion(True)

        odd, flag = run_checks([Odd(), Flag()], submission())

        assert (type(odd.score), odd.score, odd.spans) == (float, 0.25, [(1, 1)])
        assert (type(flag.score), flag.score) == (float, 1.0)

    def test_time_is_told_in_milliseconds(self) -> None:
        assert [verdict.milliseconds for verdict in run([Form(), Links()])] == pytest.approx([1, 1])

    def test_built_in_policy_holds_what_a_check_could_not_see(self) -> None:
        failed = Verdict("links", "1", "failed", 0, "", [], 0)

        assert BUILT_IN.decide([failed]).outcome == "hold"
        assert BUILT_IN.decide([failed]).because == ["links"]
