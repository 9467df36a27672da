import csv
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollsvc.text import UnfitText, defuse_csv_cell, is_blank, normalise

FIT = st.text(
    st.characters(
        exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\u202a\u202b\u202c\u202d\u202e"
    )
)
ANY = st.text(st.characters(exclude_categories=[]))


class TestNormalise:
    @pytest.mark.parametrize("multiline", [True, False], ids=["multiline", "one line"])
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="nothing"),
            pytest.param("  Yes, it is.  ", id="outer spaces"),
            pytest.param("\u0646\u0645\u06cc\u200c\u0631\u0648\u0645", id="Persian with a non-joiner"),
            pytest.param("\u0915\u094d\u200d\u0937", id="Hindi with a joiner"),
            pytest.param("\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd", id="Hebrew points in canonical order"),
            pytest.param("\U0001f469\u200d\U0001f52c", id="emoji with a joiner"),
            pytest.param("\u2764\ufe0f", id="emoji with a variation selector"),
            pytest.param("\u2066abc\u2069 \u2067abc\u2069 \u2068abc\u2069", id="isolates"),
            pytest.param("\u200e\u200f\u061c", id="directional marks"),
            pytest.param("q\u0323\u0307", id="marks without a composed form"),
            pytest.param("\u00a0\u2009\u3000", id="wide and narrow spaces"),
            pytest.param("\ufb01 \u00b2 \uff21", id="compatibility forms"),
            pytest.param("\ue000 \ufdd0 \uffff", id="private use and noncharacters"),
            pytest.param("<script>&amp;'\"", id="markup"),
        ],
    )
    def test_what_scripts_need_is_kept(self, text: str, multiline: bool) -> None:
        assert normalise(text, multiline=multiline) == text

    @pytest.mark.parametrize(
        ("text", "composed"),
        [
            pytest.param("e\u0301", "\u00e9", id="letter and accent"),
            pytest.param("\u1112\u1161\u11ab", "\ud55c", id="Hangul"),
            pytest.param("\u212b", "\u00c5", id="the angstrom sign"),
            pytest.param("q\u0307\u0323", "q\u0323\u0307", id="order of marks"),
        ],
    )
    def test_text_is_composed(self, text: str, composed: str) -> None:
        assert normalise(text, multiline=False) == composed

    @pytest.mark.parametrize("multiline", [True, False], ids=["multiline", "one line"])
    @pytest.mark.parametrize(
        ("character", "rule"),
        [
            *[
                pytest.param(chr(code), "Control characters", id=f"U+{code:04X}")
                for code in [*range(0x20), *range(0x7F, 0xA0)]
                if chr(code) not in "\t\n\r"
            ],
            *[
                pytest.param(chr(code), "direction of text", id=f"U+{code:04X}")
                for code in range(0x202A, 0x202F)
            ],
            pytest.param("\ud83d", "Unpaired surrogates", id="high surrogate"),
            pytest.param("\ude00", "Unpaired surrogates", id="low surrogate"),
            pytest.param("\ud83d\ude00", "Unpaired surrogates", id="two that only look like a pair"),
        ],
    )
    def test_unfit_character_is_refused_by_the_name_of_its_rule(
        self, character: str, rule: str, multiline: bool
    ) -> None:
        with pytest.raises(UnfitText, match=rule):
            normalise(f"before{character}after", multiline=multiline)

    def test_message_tells_character_and_place(self) -> None:
        with pytest.raises(UnfitText) as caught:
            normalise("ab\x07", multiline=True)
        assert str(caught.value) == "Control characters are not allowed (U+0007 at character 3)."

    @pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\r\nb", "a\tb", "a\u2028b", "a\u2029b"], ids=ascii)
    def test_line_break_or_tab_is_refused_in_one_line(self, text: str) -> None:
        with pytest.raises(UnfitText, match="Line breaks and tabs are not allowed here"):
            normalise(text, multiline=False)

    @pytest.mark.parametrize(
        ("text", "result"),
        [
            pytest.param("a\r\nb", "a\nb", id="CRLF"),
            pytest.param("a\rb", "a\nb", id="CR"),
            pytest.param("a\r\r\nb\n\rc", "a\n\nb\n\nc", id="mixed"),
            pytest.param("a\nb\tc", "a\nb\tc", id="newline and tab"),
            pytest.param("a\u2028b", "a\u2028b", id="line separator"),
        ],
    )
    def test_line_breaks_become_newlines_in_many_lines(self, text: str, result: str) -> None:
        assert normalise(text, multiline=True) == result

    @given(FIT, st.booleans())
    def test_fit_text_only_changes_to_nfc(self, text: str, multiline: bool) -> None:
        assert normalise(text, multiline=multiline) == unicodedata.normalize("NFC", text)

    @given(ANY, st.booleans())
    def test_second_time_changes_nothing(self, text: str, multiline: bool) -> None:
        try:
            once = normalise(text, multiline=multiline)
        except UnfitText:
            return
        assert normalise(once, multiline=multiline) == once
        assert "\r" not in once
        once.encode()


class TestIsBlank:
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="nothing"),
            pytest.param(" \t\r\n", id="ASCII white space"),
            pytest.param("\u00a0\u2003\u3000\u2028", id="Unicode white space"),
            pytest.param("\u200b\ufeff\u2060", id="zero width"),
            pytest.param("\u200c\u200d", id="joiners"),
            pytest.param("\u2066\u2067\u2068\u2069\u200e\u200f\u061c", id="isolates and directional marks"),
            pytest.param("\u00ad\u034f\u180e", id="soft hyphen and other ignorables"),
            pytest.param("\u115f\u1160\u3164\uffa0", id="Hangul fillers"),
            pytest.param("\u2800", id="blank braille pattern"),
            pytest.param("\ufe0f\U000e0020\U000e0100", id="selectors and tags without a base"),
            pytest.param("\x00\x7f\x85", id="controls"),
        ],
    )
    def test_invisible_text_is_blank(self, text: str) -> None:
        assert is_blank(text)

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(" a ", id="letter"),
            pytest.param("\u200b.\u200b", id="full stop among the invisible"),
            pytest.param("\u2764\ufe0f", id="emoji"),
            pytest.param("\u0600", id="a format character that shows"),
            pytest.param("\u2801", id="braille"),
            pytest.param("\u0301", id="lone mark"),
            pytest.param("\ufffd", id="replacement character"),
        ],
    )
    def test_visible_text_is_not_blank(self, text: str) -> None:
        assert not is_blank(text)

    @given(st.text())
    def test_what_strip_empties_is_blank(self, text: str) -> None:
        assert is_blank(text) or text.strip()


class TestDefuseCsvCell:
    @pytest.mark.parametrize(
        "lead", ["", "\t", "\r", "\n", " ", "\u00a0", " \t\r", "\ufeff", "\u200b"], ids=ascii
    )
    @pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"], ids=ascii)
    def test_formula_gets_an_apostrophe(self, sign: str, lead: str) -> None:
        assert defuse_csv_cell(f"{lead}{sign}1+1") == f"'{lead}{sign}1+1"

    @pytest.mark.parametrize(
        "value", ["", "Yes", "1 = 1", "a@b.example", "\tYes", "'=1", '"', "\u2212 5"], ids=ascii
    )
    def test_other_text_is_unchanged(self, value: str) -> None:
        assert defuse_csv_cell(value) == value

    @given(st.text(st.sampled_from("=+-@ \t\r\n'a\u200b")))
    def test_no_cell_read_back_is_a_formula(self, value: str) -> None:
        file = io.StringIO(newline="")
        csv.writer(file).writerow([defuse_csv_cell(value)])
        file.seek(0)
        [[cell]] = csv.reader(file)
        assert cell.strip(" \t\r\n\u200b")[:1] not in {"=", "+", "-", "@"}

    @given(st.text())
    def test_second_time_changes_nothing(self, value: str) -> None:
        once = defuse_csv_cell(value)
        assert defuse_csv_cell(once) == once
