"""What text from outside may hold, and what becomes of it on the way in and out.

Refused is what steers a terminal, a database or the order of other people's words. Kept is what scripts need:
combining marks, joiners (Persian, Hindi, emoji) and isolates, which end with their own text.
"""

import re
import unicodedata

from email_validator import EmailNotValidError, validate_email

# C0, DEL and C1, save newline and tab, which depend on the field. One is NUL, which PostgreSQL cannot store.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_EMBEDDING_OR_OVERRIDE = re.compile(r"[\u202a-\u202e]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# U+2028 and U+2029 are line breaks by their Unicode class, and `str.splitlines` agrees.
_LINE_BREAK_OR_TAB = re.compile(r"[\r\n\t\u2028\u2029]")

# Default_Ignorable_Code_Point of the Unicode database, which `unicodedata` does not offer, and three more
# that show nothing: interlinear annotation, the blank braille pattern, controls. Not all of Cf: U+0600 shows.
_INVISIBLE = (
    r"\s\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# Marks in a row: the bound of the Stream-Safe Text Format (UAX #15 §13), far above what any language writes.
_MOST_MARKS = 30
_BLANK = re.compile(rf"[{_INVISIBLE}]*")
# The full-width signs start a formula in East Asian editions of spreadsheets.
_FORMULA = re.compile(rf"[{_INVISIBLE}]*[=+\-@\uff1d\uff0b\uff0d\uff20]")


class UnfitText(ValueError):
    """The text holds a character that such a field may not hold; the message names the rule and the place."""


def normalise(text: str, *, multiline: bool) -> str:
    """Return `text` in Unicode's composed form (NFC), the only one that is stored, compared and counted.

    With `multiline`, CRLF and CR become a newline and tabs stay; without, line breaks (U+2028 and U+2029 are
    such) and tabs are refused. Nothing else is changed: no trimming, no compatibility folding. The result can
    be up to three times as long, so lengths are checked after. NFC takes time in the square of the longest run
    of combining marks, so that runs have a bound.

    Raises UnfitText on C0 controls (NUL included), DEL, C1 controls, U+202A to U+202E, surrogates, and more than
    30 combining marks in a row.
    """
    if multiline:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    else:
        # Before the controls: to someone who pressed Enter, a carriage return is a line break.
        _refuse(_LINE_BREAK_OR_TAB, text, "Line breaks and tabs are not allowed here")
    _refuse(_CONTROL, text, "Control characters are not allowed")
    _refuse(_EMBEDDING_OR_OVERRIDE, text, "Characters that override the direction of text are not allowed")
    _refuse(_SURROGATE, text, "Unpaired surrogates are not allowed")
    _refuse_towers_of_marks(text)
    return unicodedata.normalize("NFC", text)


def normal_address(text: str) -> str:
    """Return an e-mail address in the one spelling that is stored and hashed, without a look at DNS.

    A domain that was written in punycode (``xn--…``), in capitals or full-width letters comes out as its Unicode letters, so
    that one mailbox is one address; what stands before the @ keeps its capitals and is composed (NFC).

    Raises UnfitText where it is none.
    """
    try:
        return validate_email(text, check_deliverability=False, strict=True).normalized
    except EmailNotValidError as error:
        raise UnfitText(str(error)) from error


def is_blank(text: str) -> bool:
    """Tell whether nothing can be seen in `text`: at most spaces, joiners, isolates and their like."""
    return _BLANK.fullmatch(text) is not None


def defuse_csv_cell(value: str) -> str:
    """Return `value` so that a spreadsheet shows it as text and never runs it as a formula.

    What begins with = + - or @ (their full-width forms too), after any white space or invisible characters,
    gets a leading apostrophe; all else is returned as it is. The cost: "-5" is text too, so numbers that are
    ours belong in the file as numbers. Quoting is left to the csv module.
    (https://owasp.org/www-community/attacks/CSV_Injection)
    """
    return f"'{value}" if _FORMULA.match(value) else value


def _refuse(unfit: re.Pattern[str], text: str, rule: str) -> None:
    if found := unfit.search(text):
        raise UnfitText(f"{rule} (U+{ord(found[0]):04X} at character {found.start() + 1}).")


def _refuse_towers_of_marks(text: str) -> None:
    if text.isascii():
        return
    height = 0
    for character in text:
        height = height + 1 if unicodedata.combining(character) else 0
        if height > _MOST_MARKS:
            raise UnfitText(f"More than {_MOST_MARKS} combining marks in a row are not allowed.")
