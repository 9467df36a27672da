"""The coarse reading of a text, its map back, and what each letter may stand for."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollsvc.comments.words.folding import fold, squeeze
from pollsvc.comments.words.letters import PLAIN, UNSPACED, coarse_of, read_letter
from pollsvc.comments.words.look_alikes import LEET_DIGITS, LEET_SYMBOLS, LOOK_ALIKES, STROKES

ANY = st.text(st.characters(exclude_categories=[]))


class TestFold:
    @pytest.mark.parametrize(
        ("text", "coarse"),
        [
            pytest.param("Viagra", "viagra", id="case"),
            pytest.param("ｖｉ𝓪𝔤ⓡ🅐", "viagra", id="compatibility forms and enclosed letters"),
            pytest.param("vi\u0430gr\u03b1", "viagra", id="look-alikes"),
            pytest.param("v\u200bi\u00ad\ufe0fagra", "viagra", id="not seen"),
            pytest.param("v\u0336í\u0308agra", "viagra", id="marks"),
            pytest.param("v14gr@", "viagra", id="digits and symbols"),
            pytest.param("l|!1I", "iiiii", id="i and l"),
            pytest.param("a.b - c", "a b   c", id="signs"),
            pytest.param("ßﬁ™", "ssfi™", id="one character of several letters, and a sign of several"),
            pytest.param("कि が", "कि か\u3099", id="signs that make another syllable"),
            pytest.param("\ud800a", " a", id="half a surrogate"),
            pytest.param("", "", id="nothing"),
        ],
    )
    def test_coarse_letters(self, text: str, coarse: str) -> None:
        assert fold(text).coarse == coarse

    @pytest.mark.parametrize(
        ("text", "trimmed", "spoken"),
        [
            pytest.param("$ex! a$$", " ex  a  ", " ex  a  ", id="at the ends of words"),
            pytest.param(
                "sh!t cla$$ic", "shit cassic".replace("ca", "cia"), "sh t ciassic", id="inside words"
            ),
            pytest.param("! $ 💩", "     ", "     ", id="alone"),
            pytest.param("a💩b", "a💩b", "a b", id="pictures"),
        ],
    )
    def test_symbols_are_letters_or_none(self, text: str, trimmed: str, spoken: str) -> None:
        folded = fold(text)

        assert (folded.trimmed, folded.spoken) == (trimmed, spoken)

    def test_letters_of_scripts_without_spaces_end_before_an_alphabet(self) -> None:
        folded = fold("我在abc我")

        assert folded.kinds == UNSPACED * 2 + PLAIN * 3 + UNSPACED
        assert folded.parted == "我 abc我"

    @given(ANY)
    def test_all_readings_are_equally_long_and_each_letter_has_its_place(self, text: str) -> None:
        folded = fold(text)

        sizes = {
            len(each) for each in (folded.trimmed, folded.spoken, folded.parted, folded.kinds, folded.origin)
        }
        assert sizes == {len(folded.coarse)}
        assert list(folded.origin) == sorted(folded.origin)
        assert all(0 <= place < folded.end_of(unit) <= len(text) for unit, place in enumerate(folded.origin))

    @given(ANY)
    def test_a_text_reads_as_its_characters_do(self, text: str) -> None:
        assert fold(text).coarse == "".join(coarse_of(char, symbols=True) for char in text)

    @given(ANY)
    def test_what_a_span_of_letters_covers_reads_as_they_do(self, text: str) -> None:
        folded = fold(text)

        for unit, place in enumerate(folded.origin):
            assert folded.coarse[unit] in fold(text[place : folded.end_of(unit)]).coarse

    @given(st.text(st.sampled_from("aä\u0301\u200bßﬁ法 !$1"), max_size=40))
    def test_every_letter_can_be_judged(self, text: str) -> None:
        folded = fold(text)

        for unit, char in enumerate(folded.coarse):
            if char != " ":
                letter = folded.letter(unit)
                assert letter.raw == text[folded.origin[unit]]
                assert char in {letter.plain, "i", *letter.looks, *letter.leet, letter.raw}


class TestReadLetter:
    @pytest.mark.parametrize(
        ("grapheme", "clean", "plain", "is_marked"),
        [
            pytest.param("A", "a", "a", False, id="capital"),
            pytest.param("ñ", "ñ", "n", False, id="composed"),
            pytest.param("n\u0303", "ñ", "n", False, id="decomposed"),
            pytest.param("v\u0308", "v", "v", True, id="a mark that v never bears"),
            pytest.param("n\u0336\u0303", "ñ", "n", True, id="a stroke through a composed one"),
            pytest.param("ø", "ø", "o", False, id="a letter with a stroke of its own"),
            pytest.param("a\u200b\u0301", "á", "a", False, id="something unseen between"),
            pytest.param("й", "й", "и", False, id="Cyrillic"),
        ],
    )
    def test_marks(self, grapheme: str, clean: str, plain: str, is_marked: bool) -> None:
        letter = read_letter(grapheme)

        assert (letter.clean, letter.plain, letter.is_marked) == (clean, plain, is_marked)

    @pytest.mark.parametrize(
        ("grapheme", "looks", "leet"),
        [
            ("р", "p", ""),
            ("Ν", "n", ""),
            ("ν", "v", ""),
            ("І", "il", ""),
            ("1", "", "il"),
            ("＄", "", "s"),
            ("l", "l", ""),
        ],
    )
    def test_what_it_is_taken_for(self, grapheme: str, looks: str, leet: str) -> None:
        letter = read_letter(grapheme)

        assert (letter.looks, letter.leet) == (looks, leet)

    def test_one_character_of_several_letters(self) -> None:
        assert [read_letter("ﬁ\u0301", number).clean for number in (0, 1)] == ["f", "í"]


class TestSqueeze:
    def test_runs_become_one_letter_with_their_start(self) -> None:
        assert squeeze("aab  c") == ("ab c", [0, 2, 3, 5])

    @given(st.text())
    def test_no_letter_stands_beside_its_like(self, text: str) -> None:
        squeezed, starts = squeeze(text)

        assert all(one != other for one, other in pairwise(squeezed))
        assert "".join(text[start] for start in starts) == squeezed

    @given(st.text(st.characters(codec="ascii", exclude_characters="\0")))
    def test_the_short_way_of_ascii_leads_to_the_same(self, text: str) -> None:
        squeezed, starts = squeeze(f"{text}—")

        assert squeeze(text) == (squeezed[:-1], starts[:-1])


class TestTables:
    def test_all_of_one_look_have_one_coarse_letter(self) -> None:
        tables = (LOOK_ALIKES, LEET_DIGITS, LEET_SYMBOLS, STROKES)

        for char, letters in [each for table in tables for each in table.items()]:
            assert {fold(letter).coarse for letter in letters} == {fold(char).coarse}, char
