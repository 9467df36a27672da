"""What a text must say, and must not, so that agreeing to it can be consent (GDPR Art. 4(11) and 7, Recital 32).

The rules look for words, in the languages below. They refuse what is plainly wrong; whether a text is good, no rule tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pollsvc.consent.models import Mode


@dataclass(frozen=True)
class Broken:
    """A rule that a text breaks.

    :param rule: its stable name.
    :param field: the field that breaks it.
    :param sentence: what is wrong and what to do.
    """

    rule: str
    field: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Wording:
    """A text before it is published."""

    body: str
    purpose: str
    controller: str
    withdrawal: str | None
    mode: str
    is_preticked: bool = False
    is_required: bool = False


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# English, German, French, Spanish, Italian, Dutch, Portuguese.
_PURPOSE = _words(
    r"newsletters?",
    r"\bnews\b",
    r"\bupdates?\b",
    r"\be-?mails?\b",
    r"\bletters?\b",
    r"\balerts?\b",
    r"\bbriefings?\b",
    r"rundbrief",
    r"nachrichten",
    r"neuigkeiten",
    r"lettre",
    r"actualit",
    r"courriel",
    r"bolet[ií]n",
    r"noticias",
    r"correo",
    r"notizie",
    r"nieuwsbrief",
    r"nieuws",
    r"boletim",
    r"not[ií]cias",
)
_WITHDRAWAL = _words(
    r"unsubscrib",
    r"withdraw",
    r"opt[ -]?out",
    r"\bleave\b",
    r"\bcancel",
    r"\bstop\b.{0,40}\btime\b",
    r"revoke",
    r"abmeld",
    r"abbestell",
    r"widerruf",
    r"abmelden",
    r"melde.{0,40}\bab\b",
    r"d[ée]sabonn",
    r"d[ée]sinscri",
    r"retirer",
    r"dar(me|te|se) de baja",
    r"cancelar",
    r"retirar",
    r"disiscri",
    r"revoc",
    r"annullare",
    r"afmeld",
    r"uitschrijv",
    r"intrek",
    r"opzeg",
)
_CONDITION = _words(
    r"\bby (voting|completing|taking part|participating|submitting|answering)\b",
    r"\b(voting|completing|answering|taking part in|participating in) (this|the|our|in)\b.{0,60}"
    r"\b(entitles|means|you (agree|consent|accept)|signs)\b",
    r"\b(mit|durch) (der|ihrer|deiner|die|ihre|deine) (teilnahme|abstimmung|stimmabgabe)\b",
    r"\bwer abstimmt\b",
    r"\ben (votant|participant)\b",
    r"\bal (votar|participar)\b",
    r"\b(votando|partecipando)\b",
    r"\bdoor (te stemmen|deel te nemen)\b",
    r"\bao (votar|participar)\b",
)
_AGREE = r"(agree|accept|consent|acknowledge|zustimm|stimme|akzeptier|einverstanden|accepte|acept|accett|akkoord|aceit|concord)"
_TERMS = (
    r"(terms|conditions|privacy (policy|notice|statement)|agb|nutzungsbedingungen|datenschutz|conditions g[ée]n|"
    r"politique de confidentialit|t[ée]rminos|condiciones|pol[ií]tica de privacidad|condizioni|informativa|voorwaarden|"
    r"privacyverklaring|termos|pol[ií]tica de privacidade)"
)
_BUNDLE = _words(rf"{_AGREE}[^.!?]{{0,120}}{_TERMS}", rf"{_TERMS}[^.!?]{{0,60}}{_AGREE}")
_PRETICKED = _words(
    r"\b(un-?tick|un-?check|de-?select|clear) (this|the) (box|tick|check)",
    r"\babw[äa]hlen",
    r"h[äa]kchen (ent|weg)",
    r"d[ée]coche",
    r"desmarc",
    r"deselezion",
    r"uitvink",
)


def broken_rules(text: Wording) -> Iterator[Broken]:
    """The rules that a text breaks.

    A notice asks for no consent: it may be bound to the vote and name the terms, and is marked for what it is.
    """
    if text.is_preticked or _PRETICKED.search(text.body):
        yield Broken(
            "pre_ticked",
            "default_checked" if text.is_preticked else "body",
            "The box must be empty until the reader ticks it: silence and ticked boxes are no consent (Recital 32).",
        )
    if text.controller and _plain(text.controller) not in _plain(text.body):
        yield Broken(
            "controller_missing",
            "body",
            f"The text must say who asks: name {text.controller}, or give another controller that it names (Art. 13(1)(a)).",
        )
    if not _PURPOSE.search(text.body) and _plain(text.purpose) not in _plain(text.body):
        yield Broken(
            "purpose_missing",
            "body",
            "The text must say what the reader will get, such as a newsletter (Art. 7(2)).",
        )
    if text.withdrawal and _plain(text.withdrawal) not in _plain(text.body):
        yield Broken(
            "withdrawal_missing", "withdrawal", "The body must hold this sentence, word for word (Art. 7(3))."
        )
    elif not text.withdrawal and not _WITHDRAWAL.search(text.body):
        yield Broken(
            "withdrawal_missing",
            "body",
            "The text must say that the reader may leave, and how, before agreeing (Art. 7(3)). In a language that we do "
            "not read, give that sentence as withdrawal.",
        )
    if text.mode == Mode.NOTICE_ONLY:
        return
    if text.is_required or _CONDITION.search(text.body):
        yield Broken(
            "conditional",
            "is_required" if text.is_required else "body",
            "The vote must not depend on it, nor count as it: taking part is no consent (Art. 7(4)).",
        )
    if _BUNDLE.search(text.body):
        yield Broken(
            "bundled",
            "body",
            "The text asks for one thing only: terms and privacy policy are linked beside it, not agreed to in it (Art. 7(2)).",
        )


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())
