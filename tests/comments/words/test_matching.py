"""The matcher of listed words: what it finds through evasions, and what it leaves alone."""

import random
import string
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollsvc.comments.words.look_alikes import LOOK_ALIKES
from pollsvc.comments.words.matching import Found, WordMatcher

LISTED = [
    "anal", "arse", "ass", "buy now", "cialis", "cock", "cum", "cunt", "dick", "fag", "hell", "kok", "lost cause", "penis",
    "rape", "retard", "sex", "shit", "slag", "spic", "tit", "viagra", "whore", "well", "hoer", "fick", "pute", "con man", "pot",
]  # fmt: skip
INNOCENT = [
    "Scunthorpe, Essex and Sussex asked a specialist from Penistone.",
    "The pen is mine, the pen.is mine; is it as she said? A class is as good as it gets.",
    "The assassin passed the classic glass; Dickens met Cockburn over shiitake with Mr Matsushita.",
    "Cumulative documents; the Arsenal of analysts, a grape, a therapist, peacocks, titles and Hitchcock.",
    "Das Fach, die Kassen, die Grußformel, das Wasser: 455 Euro, 5 % mehr, im Jahr 1984.",
    "Il a dit qu'on l'a vu, c'est l'est; un réputé spécialiste, des analyses, la députée.",
    "Él cumplió treinta años; el análisis de la piscina, los asesores y la constitución.",
    "Она сказала, что рот и нос в порядке; совет ассистента.",
    "Prices from $5 to $55, on 2024-05-01, 12.30, 1-800-455-4554, A55 and 5s, the 1st, 2nd and 90s; i5, MP3, F16, H2O.",
    "See https://www.essex.ac.uk/class/a-pen-is-here?id=1&ass3t=2 or write to john.dickson@sussex.example.",
    "I'LL SAY: ALL CAPS, CLASS AND ASSETS, FAILING TO PASS!!! WE'LL SEE.",
    "We'll go, he'll stay, who're you, she'll can't; and/or, his/her; well-nigh".replace(
        "well-nigh", "co-op"
    ),
    "A. B. C. Miller, J. R. R. Tolkien, U.S.A., z. B., e.g., i.e., p.m.; a b c d e f g; s e x t a n t",
    "a + b = c | d ! 5 $ @ 3 # x - y * z _ q . . . !!! ??? $$$ @@@ 111 000",
    "hoot, hot, bob, boob, as, tt, kk, ar se, pe nis, co ck, c lass, se xy, wh ore",
    "我们在北京的大学学习。ありがとうございます。 안녕하세요 여러분",
    "مرحبا بكم في المدينة القديمة",
    "😀👍🏽 👨‍👩‍👧 🇩🇪🇫🇷",
]


def words_of(matcher: WordMatcher, text: str) -> list[str]:
    return [found.word for found in matcher.find(text)]


def sample_words(count: int, seed: int = 7) -> list[str]:
    chooser = random.Random(seed)
    found: set[str] = set()
    while len(found) < count:
        size = chooser.randint(4, 12)
        word = "".join(
            chooser.choice("aeiou" if place % 2 else "bcdfghklmnprstvwxz") for place in range(size)
        )
        found.add(word if chooser.random() < 0.7 else word[:2] + word[1:] if size < 12 else word)
    return sorted(found)


SAMPLE = sample_words(400)
MATCHER = WordMatcher(SAMPLE, language="en")
SPEECH = "It was said that {} would be there, and then they left."

FULL_WIDTH = {char: chr(ord(char) + 0xFEE0) for char in string.ascii_letters}
ROWS = {
    char: [chr(row + place) for row in (0x1D41A, 0x1D482, 0x1D4EA, 0x1D552, 0x24D0)]
    for place, char in enumerate(string.ascii_lowercase)
}
TWINS = {
    char: [other for other, letters in LOOK_ALIKES.items() if char in letters and ord(other) < 0x530]
    or [char]
    for char in string.ascii_lowercase
}
LEET = {
    "a": "4@",
    "b": "8",
    "e": "3",
    "g": "9",
    "i": "1!",
    "l": "1|",
    "o": "0",
    "s": "5$",
    "t": "7+",
    "z": "2",
}
UNSEEN = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\ufe0f"
Evasion = Callable[[str, random.Random], str]


def widened(word: str, chooser: random.Random) -> str:
    if chooser.random() < 0.5:
        return "".join(FULL_WIDTH.get(char, char) for char in word)
    row = chooser.randrange(5)
    return "".join(ROWS[char][row] if char in ROWS else char for char in word)


def disguised(word: str, chooser: random.Random) -> str:
    chosen = set(chooser.sample(range(len(word)), max(1, len(word) // 2)))
    return "".join(
        chooser.choice(TWINS[char]) if place in chosen and char in TWINS else char
        for place, char in enumerate(word)
    )


def interspersed(word: str, chooser: random.Random) -> str:
    return "".join(char + chooser.choice(UNSEEN) * chooser.randint(0, 2) for char in word[:-1]) + word[-1]


def marked(word: str, chooser: random.Random) -> str:
    def with_marks(char: str) -> str:
        return char + "".join(chr(chooser.randint(0x300, 0x36F)) for _ in range(chooser.randint(0, 3)))

    return "".join(map(with_marks, word))


def in_leet(word: str, chooser: random.Random) -> str:
    return "".join(
        chooser.choice(LEET[char]) if char in LEET and chooser.random() < 0.6 else char for char in word
    )


def spaced(word: str, chooser: random.Random) -> str:
    return chooser.choice([" ", ".", "-", "_", "*", ". ", "  ", " - ", "·"]).join(word)


def dotted(word: str, chooser: random.Random) -> str:
    sign = chooser.choice(".-_*·•․．－＿＊∙‧…—")
    places = sorted(chooser.sample(range(1, len(word)), chooser.randint(1, 2)))
    bounds = [0, *places, len(word)]
    return sign.join(word[start:end] for start, end in pairwise(bounds))


def stretched(word: str, chooser: random.Random) -> str:
    chosen = set(chooser.sample(range(len(word)), chooser.randint(1, 3)))
    return "".join(
        char * chooser.randint(2, 7) if place in chosen else char for place, char in enumerate(word)
    )


KINDS: dict[str, Evasion] = {
    "compatibility forms": widened,
    "look-alikes": disguised,
    "not seen": interspersed,
    "marks": marked,
    "leet": in_leet,
    "spaced": spaced,
    "dotted": dotted,
    "stretched": stretched,
    "capitals": lambda word, _: word.upper(),
}
# Of two that cannot both be seen on one letter, one comes first; digits and look-alikes have no full width here.
PAIRS = [
    ("stretched", "look-alikes"),
    ("stretched", "leet"),
    ("stretched", "spaced"),
    ("stretched", "marks"),
    ("leet", "spaced"),
    ("leet", "marks"),
    ("leet", "not seen"),
    ("leet", "look-alikes"),
    ("look-alikes", "spaced"),
    ("look-alikes", "marks"),
    ("look-alikes", "not seen"),
    ("compatibility forms", "spaced"),
    ("compatibility forms", "marks"),
    ("compatibility forms", "leet"),
    ("marks", "not seen"),
    ("dotted", "marks"),
    ("spaced", "not seen"),
    ("capitals", "spaced"),
]


def share_found(evade: Evasion, words: list[str]) -> tuple[float, list[str]]:
    chooser = random.Random(11)
    missed = []
    tried = 0
    for word in words:
        hidden = evade(word, chooser)
        tried += 1
        if word not in words_of(MATCHER, SPEECH.format(hidden)):
            missed.append(f"{word}: {hidden}")
    return 1 - len(missed) / tried, missed


class TestEvasions:
    @pytest.mark.parametrize("kind", KINDS)
    def test_ninety_five_of_a_hundred_of_each_kind_are_found(self, kind: str) -> None:
        share, missed = share_found(KINDS[kind], SAMPLE)

        assert share >= 0.95, missed

    @pytest.mark.parametrize(("first", "second"), PAIRS, ids=[f"{one}, {two}" for one, two in PAIRS])
    def test_ninety_five_of_a_hundred_of_two_kinds_at_once_are_found(self, first: str, second: str) -> None:
        share, missed = share_found(
            lambda word, chooser: KINDS[second](KINDS[first](word, chooser), chooser), SAMPLE[::2]
        )

        assert share >= 0.95, missed

    def test_a_listed_word_as_it_is_is_found_where_it_stands(self) -> None:
        for word in SAMPLE:
            assert MATCHER.find(f"A {word}, B") == [Found(word, 2, 2 + len(word))]


class TestInnocentTexts:
    @pytest.mark.parametrize("text", INNOCENT)
    def test_nothing_is_found_in_words_that_only_resemble_listed_ones(self, text: str) -> None:
        assert WordMatcher(LISTED).find(text) == []
        assert MATCHER.find(text) == []

    @pytest.mark.parametrize("text", INNOCENT[:7])
    def test_nothing_is_found_in_them_in_capitals(self, text: str) -> None:
        assert WordMatcher(LISTED).find(text.upper()) == []

    @pytest.mark.parametrize(("before", "behind"), [("spe", "t"), ("", "ner"), ("un", "")])
    def test_no_listed_word_is_found_inside_a_longer_word(self, before: str, behind: str) -> None:
        longer = {word: f"{before}{word}{behind}" for word in SAMPLE}

        inside = [word for word, text in longer.items() if word in words_of(MATCHER, f"The {text} is.")]

        assert inside == []


# Lists, a text, and what is found of it: each entry beside what is written there.
RULES = [
    pytest.param(["cialis"], "Cialis, (cialis)!", ["Cialis", "cialis"], id="case and signs around"),
    pytest.param(["cialis"], "specialist", [], id="inside a longer word"),
    pytest.param(["cialis"], "s p e c i a l i s t", [], id="inside a longer word, spaced"),
    pytest.param(["cialis"], "buy c i a l i s, now", ["c i a l i s"], id="spaced"),
    pytest.param(["ass"], "a.s.s a-ss A-S-S, as-s", ["a.s.s", "A-S-S"], id="three letters, apart only"),
    pytest.param(["viagra"], "a v i a g r a", ["v i a g r a"], id="spaced behind an article"),
    pytest.param(["viagra"], "v!i!a!g!r!a", ["v!i!a!g!r!a"], id="exclamation marks between"),
    pytest.param(["viagra"], "v\ni\na\ng\nr\na", ["v\ni\na\ng\nr\na"], id="one letter a line"),
    pytest.param(["viagra"], "v.i.a.g.r.a-pills", ["v.i.a.g.r.a"], id="dotted before a hyphen"),
    pytest.param(["viagra"], "vi-agra", ["vi-agra"], id="a hyphen inside"),
    pytest.param(["viagra"], "via gra", [], id="a space inside"),
    pytest.param(["penis"], "my pen.is red", [], id="a full stop without its space"),
    pytest.param(["viagra"], "via.gra, see via.gra! http://via.gra via.gra.com", ["via.gra", "via.gra"], id="one dot inside"),
    pytest.param(
        ["penis", "bitch"], "the pen—is mine, pen…is it, pen—is bi.tch bit․ch", ["bi.tch", "bit․ch"], id="two that are no words"
    ),
    pytest.param(["viagra"], "via—gra vi．agra vi＿agra via…gra", ["via—gra", "vi．agra", "vi＿agra", "via…gra"], id="other signs"),
    pytest.param(["penis"], "p.enis peni.s", ["p.enis", "peni.s"], id="one dot beside a letter alone"),
    pytest.param(["penis"], "/the-pen-is-red/ http://pen-is.example", [], id="addresses"),
    pytest.param(["whore", "well"], "who're we'll", [], id="apostrophes"),
    pytest.param(["ass"], "as ass asss aasss", ["ass", "asss"], id="a double letter is not a single one"),
    pytest.param(["as"], "as ass asss", ["as", "asss"], id="a single letter may be stretched"),
    pytest.param(["hot", "bob"], "hoot boob hooot", ["hooot"], id="two letters are two"),
    pytest.param(["mil"], "mill miil mil", ["mil"], id="i and l are different letters"),
    pytest.param(["billing"], "bi11ing biiillling b!||!ng", ["bi11ing", "biiillling", "b!||!ng"], id="i and l in a row"),
    pytest.param(["terrorist"], "Nur Terror.Ist das so? terror.ist", ["terror.ist"], id="a sentence that ends"),
    pytest.param(["penis", "my penis"], "hold my pen.is it, my pen.isss red", [], id="six letters of one word"),
    pytest.param(["viagra"], "Want via.gra? vi-agra: @via.gra #vi-agra", ["via.gra", "vi-agra"], id="signs behind"),
    pytest.param(["fall"], "FAIL faIl Iall", ["faIl"], id="a capital I among small letters is an l"),
    pytest.param(["viagra", "fail"], "VlAGRA FALL fall Fall viagra", ["VlAGRA", "viagra"], id="a small l among capitals is an i"),
    pytest.param(["cialis"], "ciallis cciiaalliiss ciaalis", ["ciallis", "cciiaalliiss", "ciaalis"], id="doubled"),
    pytest.param(["pene", "kusi"], "penne kuusi ppennee", ["ppennee"], id="one letter doubled in a short word is another word"),
    pytest.param(["ass", "pass", "class"], "a$$ a$$! pa$$word cla$$ic A$$ET a$$-hat", ["a$$", "a$$", "a$$"], id="dollars inside"),
    pytest.param(["ass"], "a$$ a$$! $5 455 a55", ["a$$", "a$$"], id="money and numbers"),
    pytest.param(["shit"], "5h1t sh!t sh!t!!! $h1t", ["5h1t", "sh!t", "sh!t", "$h1t"], id="leet"),
    pytest.param(["cla"], "cla$$ic", [], id="a symbol inside a word ends none"),
    pytest.param(["anal"], "Ana! anal!", ["anal"], id="an exclamation mark at the end is one"),
    pytest.param(["hell"], "h3ll0 hell! h3ll", ["hell", "h3ll"], id="digits behind"),
    pytest.param(["viagra"], "viagra100", ["viagra"], id="a number behind"),
    pytest.param(["88", "a1"], "88 1988 bb 8.8 41 a1", ["88", "a1"], id="listed digits are themselves"),
    pytest.param(["ano"], "año ano", ["ano"], id="a short plain entry"),
    pytest.param(["año"], "año ano AÑO an\u0303o", ["año", "AÑO", "an\u0303o"], id="an entry's marks are not optional"),
    pytest.param(["ano"], "a\u0336n\u0336o\u0336", ["a\u0336n\u0336o\u0336"], id="strokes through a short one"),
    pytest.param(["viagra"], "viágra v\u0308iagra", ["viágra", "v\u0308iagra"], id="marks on a long one"),
    pytest.param(["schwul", "müll"], "schwül schwul schwùl", ["schwul", "schwùl"], id="a letter that the list uses"),
    pytest.param(["sik"], "sık şik sik", ["sik"], id="Turkish letters"),
    pytest.param(["strasse"], "Straße", ["Straße"], id="sharp s"),
    pytest.param(["viagra"], "vi\u0430gr\u0430", ["vi\u0430gr\u0430"], id="Cyrillic in Latin"),
    pytest.param(["сука"], "сука СУКА cyкa", ["сука", "СУКА", "cyкa"], id="Latin in Cyrillic"),
    pytest.param(["pot"], "рот", ["рот"], id="look-alikes only"),
    pytest.param(["pot"], "Мой рот", [], id="look-alikes only, in Russian"),
    pytest.param(["сор"], "A cop did it", [], id="look-alikes only, in English"),
    pytest.param(["μαλακας"], "ΜΑΛΑΚΑΣ μαλάκας Μαλακας", ["ΜΑΛΑΚΑΣ", "μαλάκας", "Μαλακας"], id="Greek, both sigmas"),
    pytest.param(["كلب"], "كلب كَلْب كـلـب الكلب", ["كلب", "كَلْب", "كـلـب"], id="Arabic points and tatweel"),
    pytest.param(["法轮功"], "我是法轮功人 法.轮.功", ["法轮功", "法.轮.功"], id="Han anywhere"),
    pytest.param(["viagra"], "我viagra卖", ["viagra"], id="Latin between Han"),
    pytest.param(["アナル"], "アナル アナルシス 大アナルの", ["アナル", "アナル"], id="katakana ends where katakana ends"),
    pytest.param(["바보"], "바보 바보는 바봉 천바보", ["바보", "바보"], id="Hangul with a particle"),
    pytest.param(["หี"], "หี หีบ", ["หี", "หี"], id="Thai anywhere"),
    pytest.param(["क"], "क का", ["क"], id="an Indic vowel sign makes another syllable"),
    pytest.param(["💩", "c++"], "💩💩 c++ c", ["💩💩", "c++"], id="pictures and signs"),
    pytest.param(["buy now"], "Buy  now! buy! now, b.u.y n0w, buynow", ["Buy  now", "buy! now", "b.u.y n0w"], id="phrases"),
    pytest.param(["now", "buy now"], "buy now", ["buy now"], id="the longest of the same place"),
    pytest.param(["buy now", "now or never"], "buy now or never", ["buy now", "now or never"], id="two that overlap"),
    pytest.param(["pornô", "porno"], "pornô porno", ["pornô", "porno"], id="the entry that is written"),
    pytest.param([".*", "(a+)+$", "", "  "], ".* (a+)+$ aaaa", ["a+)+$"], id="entries are literal"),
    pytest.param(["ﬁck"], "fick ﬁck", ["fick", "ﬁck"], id="ligatures"),
    pytest.param(["fi"], "ﬁck", [], id="half a word in a ligature"),
    pytest.param(["viagra"], "viagra™ viagra²", ["viagra", "viagra"], id="marks of trade and of notes"),
    pytest.param(["viagra"], "@viagra #viagra viagra@example.org", ["viagra", "viagra"], id="names, and an address"),
]  # fmt: skip


class TestFind:
    @pytest.mark.parametrize(("words", "text", "expected"), RULES)
    def test_what_is_found_and_where(self, words: list[str], text: str, expected: list[str]) -> None:
        assert [text[found.start : found.end] for found in WordMatcher(words).find(text)] == expected

    def test_an_entry_is_returned_as_it_was_given(self) -> None:
        assert words_of(WordMatcher(["Cialis ", "BUY now"]), "c1alis buy NOW") == ["Cialis ", "BUY now"]

    def test_an_empty_list_finds_nothing(self) -> None:
        assert WordMatcher([], ["a"]).find("a b") == []

    def test_an_entry_of_more_spellings_than_are_compared_is_still_found_in_the_first(self) -> None:
        alike = ["ä", "a", "â", "à", "á", "å"]
        words = [first + second + third + "b" for first in alike for second in alike for third in alike]

        assert words_of(WordMatcher(words), words[0]) == words[:1]


class TestExceptions:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            pytest.param("Dick van Dyke", [], id="as spelled"),
            pytest.param("DICK VAN DYKE", [], id="in capitals"),
            pytest.param("Dick van Dyke, you dick", ["dick"], id="a find beside it counts"),
            pytest.param("d1ck van Dyke", ["dick"], id="a hidden exception is none"),
            pytest.param("Dick van", ["dick"], id="half of one is none"),
            pytest.param("dick van dykes", ["dick"], id="part of a longer one is none"),
            pytest.param("杀人 杀人鲸", ["杀人"], id="scripts without spaces"),
        ],
    )
    def test_a_find_inside_an_exception_does_not_count(self, text: str, expected: list[str]) -> None:
        assert words_of(WordMatcher(["dick", "杀人"], ["Dick van Dyke", "杀人鲸"]), text) == expected

    def test_a_find_that_is_longer_than_the_exception_counts(self) -> None:
        assert words_of(WordMatcher(["dick van"], ["Dick"]), "Dick van Dyke") == ["dick van"]

    @pytest.mark.parametrize("text", ["You dick.ens knew", "dick-ens", "d i c k e n s, dick"])
    def test_an_exception_that_was_set_apart_is_none(self, text: str) -> None:
        assert words_of(WordMatcher(["dick"], ["dickens"]), text) == ["dick"]

    def test_a_stretched_exception_is_none(self) -> None:
        assert words_of(WordMatcher(["ass"], ["as"]), "asss") == ["ass"]


class TestProperties:
    @given(st.text(max_size=200))
    def test_any_text_is_read_and_spans_lie_in_it_in_order(self, text: str) -> None:
        found = WordMatcher(["a", "ab", "1", "法", "ß", "i l", "!"]).find(text)

        assert all(0 <= each.start < each.end <= len(text) for each in found)
        assert [each.start for each in found] == sorted(each.start for each in found)

    @given(
        st.sampled_from(SAMPLE),
        st.sampled_from(sorted(KINDS)),
        st.randoms(use_true_random=False),
        st.text(st.sampled_from("xy,. \n\u0301\u200b法"), max_size=20),
        st.text(st.sampled_from("xy,. \n法"), max_size=20),
    )
    def test_a_find_alone_is_found_again(
        self, word: str, kind: str, chooser: random.Random, before: str, behind: str
    ) -> None:
        text = f"{before} {KINDS[kind](word, chooser)} {behind}"

        for found in MATCHER.find(text):
            assert found.word in words_of(MATCHER, text[found.start : found.end])

    @given(st.lists(st.text(min_size=1, max_size=12), max_size=8), st.text(max_size=60))
    def test_any_list_can_be_built(self, words: list[str], text: str) -> None:
        assert {found.word for found in WordMatcher(words, words[:2]).find(text)} <= set(words)


HOSTILE: dict[str, str] = {
    "one letter": "a",
    "dots": ".",
    "two letters": "ab",
    "towers of marks": "a" + "\u0301\u0336" * 15,
    "letters apart": "a ",
    "dotted letters": "a.",
    "symbols": "$€",
    "exclamation marks": "a!",
    "ones and ls": "1l",
    "ones apart": "1 ",
    "pictures": "😀a ",
    "hyphens": "b a-b ",
    "Han": "法轮",
    "not seen": "\u200b",
    "mixed scripts": "法a",
}


class TestTime:
    @pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE)
    def test_the_time_for_a_hostile_text_grows_no_faster_than_the_text(self, unit: str) -> None:
        matcher = WordMatcher(
            [*SAMPLE, "a", "aa", "ab", "abab", "ababab", "a b a", "ill", "il", "法", "法轮", "b-b"]
        )

        def processor_time(size: int) -> float:
            text = (unit * size)[:size]
            times = []
            for _ in range(3):
                start = time.process_time()
                matcher.find(text)
                times.append(time.process_time() - start)
            return min(times)

        # Four times as long a text takes four times as long; in the square, it would be sixteen. A busy machine is in between.
        assert processor_time(8000) < 9 * processor_time(2000) + 0.002
