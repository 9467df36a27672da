"""What a text must say, and must not, so that agreeing to it can be consent (GDPR Art. 4(11) and 7, Recital 32).

The rules look for words (:mod:`pollsvc.consent.phrases`, :mod:`pollsvc.consent.leaving_phrases`). They refuse what is
plainly wrong; whether a text is good, no rule tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pollsvc.consent import leaving_phrases, phrases
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
    locale: str
    is_preticked: bool = False
    is_required: bool = False


def broken_rules(text: Wording) -> Iterator[Broken]:
    """The rules that a text breaks.

    A notice asks for no consent: it may be bound to the vote and name the terms, and is marked for what it is.
    """
    sentences = list(phrases.plain_sentences(text.body))
    yield from _missing(text, sentences)
    if text.is_preticked or any(map(phrases.PRETICKED.search, sentences)):
        yield Broken(
            "pre_ticked",
            "default_checked" if text.is_preticked else "body",
            "The box must be empty until the reader ticks it: silence and ticked boxes are no consent (Recital 32).",
        )
    if text.mode == Mode.NOTICE_ONLY:
        return
    if text.is_required or any(map(_is_conditional, sentences)):
        yield Broken(
            "conditional",
            "is_required" if text.is_required else "body",
            "The vote must not depend on it, nor count as it: taking part is no consent (Art. 7(4)).",
        )
    if any(map(_is_bundled, sentences)):
        yield Broken(
            "bundled",
            "body",
            "The text asks for one thing only: terms and privacy policy are linked beside it, not agreed to in it; calls "
            "and SMS, and others who write or get the address, need a text of their own (Art. 7(2), Recital 43).",
        )


def _missing(text: Wording, sentences: Sequence[str]) -> Iterator[Broken]:
    # One without a letter or a digit is nobody's name, and would be found in every text.
    if not _plain(text.controller) or _plain(text.controller) not in _plain(text.body):
        yield Broken(
            "controller_missing",
            "body",
            f"The text must say who asks: name {text.controller}, or give another controller that it names (Art. 13(1)(a)).",
        )
    if not any(map(phrases.PURPOSE.search, sentences)) and _plain(text.purpose) not in _plain(text.body):
        yield Broken(
            "purpose_missing",
            "body",
            "The text must say what the reader will get, such as a newsletter (Art. 7(2)).",
        )
    if any(map(leaving_phrases.NO_WITHDRAWAL.search, sentences)):
        yield Broken("withdrawal_missing", "body", "The reader may leave at any time; say so (Art. 7(3)).")
    elif text.withdrawal and (
        not _plain(text.withdrawal) or _plain(text.withdrawal) not in _plain(text.body)
    ):
        yield Broken(
            "withdrawal_missing", "withdrawal", "The body must hold this sentence, word for word (Art. 7(3))."
        )
    elif text.withdrawal and _is_read(text.locale) and not _says_how_to_leave(text.withdrawal):
        yield Broken(
            "withdrawal_missing",
            "withdrawal",
            "This must be the sentence that says that the reader may leave, and how (Art. 7(3)). If it is in another "
            "language, give that as locale.",
        )
    elif not text.withdrawal and not _says_how_to_leave(text.body):
        yield Broken(
            "withdrawal_missing",
            "body",
            "The text must say that the reader may leave, and how, before agreeing (Art. 7(3)). In a language that we do "
            "not read, give that sentence as withdrawal.",
        )


def _is_read(locale: str) -> bool:
    """Whether the rules know the words of a language, such as ``en`` or ``de-AT``."""
    return re.split("[-_]", locale.casefold())[0] in phrases.LANGUAGES


def _says_how_to_leave(text: str) -> bool:
    return any(map(leaving_phrases.WITHDRAWAL.search, phrases.plain_sentences(text)))


def _is_conditional(sentence: str) -> bool:
    for found in phrases.IMPLIED.finditer(sentence):
        # The denial may follow its verb: "bedeutet keine Anmeldung".
        if not phrases.DENIAL.search(sentence, found.start(), found.end() + 10):
            return True
    return bool(phrases.DUTY.search(sentence)) and not phrases.NEGATION.search(sentence)


def _is_bundled(sentence: str) -> bool:
    """Whether a sentence asks to agree to terms, for calls, or for others' mail. To say where the terms are is no such thing."""
    if phrases.OTHERS.search(sentence) and not phrases.NEGATION.search(sentence):
        return True
    # By phone readers may also leave, or ask: only beside what they get or agree to is a call one more purpose.
    if (phrases.PURPOSE.search(sentence) or phrases.AGREE.search(sentence)) and not _says_how_to_leave(
        sentence
    ):
        for call in phrases.CALLS.finditer(sentence):
            if not phrases.NEGATION.search(sentence, max(call.start() - 40, 0), call.end()):
                return True
    agreed = [found.span() for found in phrases.AGREE.finditer(sentence)]
    for terms in phrases.TERMS.finditer(sentence):
        before = [end for _, end in agreed if end <= terms.start()]
        if before and not phrases.REFERENCE.search(sentence, before[-1], terms.start()):
            return True
        # German and Dutch put the verb last: "den Nutzungsbedingungen stimme ich zu".
        after = [start for start, _ in agreed if terms.end() <= start <= terms.end() + 60]
        if not before and after and not phrases.REFERENCE.search(sentence, 0, terms.start()):
            return True
    return False


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())
