"""Which texts can make a consent: a corpus of honest ones and of tricks, each refused by the rule that it breaks."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pollsvc.articles.models import Site
from pollsvc.consent.models import Mode
from pollsvc.consent.texts import newsletter_text
from pollsvc.consent.wording import Wording, broken_rules
from tests.conftest import NOW
from tests.factories import ACTOR, ORIGIN, make_site

BRIEF = (
    "Completing this poll entitles you to The Gazette news updates free of charge. You may opt out at anytime. "
    "You also agree to our Privacy Policy and Terms of Use."
)

REFUSED = [
    # English
    (BRIEF, {"conditional", "bundled"}),
    ("Voting signs you up for The Gazette newsletter. Unsubscribe at any time.", {"conditional"}),
    ("By voting you will receive The Gazette newsletter; you can unsubscribe at any time.", {"conditional"}),
    ("If you vote, The Gazette will e-mail you news. You may unsubscribe in every mail.", {"conditional"}),
    ("Everyone who votes gets The Gazette newsletter. Cancel whenever you like.", {"conditional"}),
    ("Subscribe to The Gazette newsletter to see the results. Unsubscribe any time.", {"conditional"}),
    (
        "You must subscribe to The Gazette newsletter for your vote to count. Unsubscribe later.",
        {"conditional"},
    ),
    ("You are automatically subscribed to The Gazette newsletter. Unsubscribe any time.", {"conditional"}),
    (
        "In exchange for your vote, The Gazette sends you its newsletter. Unsubscribe any time.",
        {"conditional"},
    ),
    ("Your vote counts as consent to The Gazette newsletter. You can withdraw.", {"conditional"}),
    (
        "I agree to the newsletter of The Gazette and the Terms of Use. I can unsubscribe at any time.",
        {"bundled"},
    ),
    ("Yes to The Gazette newsletter. I accept the privacy policy. I may unsubscribe any time.", {"bundled"}),
    (
        "I want the newsletter of The Gazette and offers from selected partners. I can unsubscribe.",
        {"bundled"},
    ),
    ("I agree that The Gazette e-mails me its newsletter and uses cookies. I may unsubscribe.", {"bundled"}),
    (
        "The box is already ticked: The Gazette will send you its newsletter. Unsubscribe any time.",
        {"pre_ticked"},
    ),
    (
        "Untick the box if The Gazette should not send you its newsletter. Unsubscribe any time.",
        {"pre_ticked"},
    ),
    ("Tick here if you do not wish to get The Gazette newsletter. Unsubscribe any time.", {"pre_ticked"}),
    ("The Gazette will send you its newsletter unless you object. Unsubscribe any time.", {"pre_ticked"}),
    ("Send me the newsletter of The Gazette every Friday, free of charge.", {"withdrawal_missing"}),
    ("Send me the newsletter of The Gazette. You cannot unsubscribe for a year.", {"withdrawal_missing"}),
    ("Send me the newsletter. I may unsubscribe at any time.", {"controller_missing"}),
    ("The Gazette may write to me. I may unsubscribe at any time.", {"purpose_missing"}),
    ("Send me the newsletter of The Gazette. Leave nothing to chance.", {"withdrawal_missing"}),
    ("Send me the newsletter of The Gazette. You can leave nothing to chance.", {"withdrawal_missing"}),
    ("Send me the newsletter of The Gazette. Cancel culture special included.", {"withdrawal_missing"}),
    ("Send me the newsletter of The Gazette. You will be unable to unsubscribe.", {"withdrawal_missing"}),
    ("Send me the newsletter of The Gazette. You won't be able to opt out.", {"withdrawal_missing"}),
    (
        "Send me the newsletter of The Gazette. It is impossible for you to unsubscribe.",
        {"withdrawal_missing"},
    ),
    ("Send me the newsletter of The Gazette. Unsubscribing is not possible.", {"withdrawal_missing"}),
    (
        "Send me the newsletter of The Gazette and phone calls and SMS. I may unsubscribe at any time.",
        {"bundled"},
    ),
    ("The Gazette may send me its newsletter, text messages too. I may unsubscribe any time.", {"bundled"}),
    ("I want the newsletter of The Gazette by e-mail and by phone. I may unsubscribe any time.", {"bundled"}),
    # Tricks with letters
    ("By\u00a0vo\u00adting you get The Gazette newsletter. Unsubscribe any time.", {"conditional"}),
    ("ＢＹ ＶＯＴＩＮＧ you get The Gazette newsletter. Unsubscribe any time.", {"conditional"}),
    # German
    ("Mit der Teilnahme erhalten Sie den Newsletter von The Gazette. Abmeldung jederzeit.", {"conditional"}),
    ("Wer abstimmt, bekommt den Newsletter von The Gazette. Abmelden jederzeit möglich.", {"conditional"}),
    (
        "Voraussetzung für die Abstimmung ist der Newsletter von The Gazette. Abmelden jederzeit.",
        {"conditional"},
    ),
    (
        "Ich möchte den Newsletter von The Gazette und stimme den AGB zu. Abmelden geht jederzeit.",
        {"bundled"},
    ),
    (
        "Ich bin mit dem Newsletter von The Gazette und der Datenschutzerklärung einverstanden. Abmelden jederzeit.",
        {"bundled"},
    ),
    ("Ja zum Newsletter von The Gazette und ihrer Werbepartner. Abmelden jederzeit.", {"bundled"}),
    (
        "The Gazette schickt Ihnen den Newsletter, sofern Sie nicht widersprechen. Abmelden jederzeit.",
        {"pre_ticked"},
    ),
    ("Ja zum Newsletter von The Gazette und zu Anrufen und SMS. Abmelden jederzeit.", {"bundled"}),
    ("Ja zum Newsletter von The Gazette. Eine Abmeldung ist nicht möglich.", {"withdrawal_missing"}),
    ("Ja zum Newsletter von The Gazette. Es ist unmöglich, ihn abzubestellen.", {"withdrawal_missing"}),
    ("Ich willige unwiderruflich in den Newsletter von The Gazette ein.", {"withdrawal_missing"}),
    # French
    (
        "En votant, vous recevez la lettre d’information de The Gazette. Désabonnement à tout moment.",
        {"conditional"},
    ),
    (
        "Pour voir les résultats, vous devez vous inscrire à la lettre de The Gazette. Désinscription libre.",
        {"conditional"},
    ),
    (
        "J'accepte la lettre de The Gazette et les conditions générales. Je peux me désabonner à tout moment.",
        {"bundled"},
    ),
    (
        "Je veux la lettre de The Gazette et les offres de ses partenaires. Désabonnement à tout moment.",
        {"bundled"},
    ),
    ("Décochez la case pour refuser la lettre de The Gazette. Désabonnement à tout moment.", {"pre_ticked"}),
    ("Je veux la lettre de The Gazette et des SMS. Désabonnement à tout moment.", {"bundled"}),
    ("Je veux la lettre de The Gazette. Il est impossible de se désabonner.", {"withdrawal_missing"}),
    ("Je veux la lettre de The Gazette. Un prix à retirer au kiosque.", {"withdrawal_missing"}),
    # Spanish
    ("Al votar recibirá el boletín de The Gazette. Puede darse de baja cuando quiera.", {"conditional"}),
    ("Su voto implica la suscripción al boletín de The Gazette. Puede darse de baja.", {"conditional"}),
    (
        "Acepto el boletín de The Gazette y la política de privacidad. Puedo darme de baja en todo momento.",
        {"bundled"},
    ),
    ("Desmarque la casilla si no quiere el boletín de The Gazette. Puede darse de baja.", {"pre_ticked"}),
    ("Quiero el boletín de The Gazette y llamadas. Puedo darme de baja cuando quiera.", {"bundled"}),
    ("Quiero el boletín de The Gazette. Es imposible darse de baja.", {"withdrawal_missing"}),
    ("Quiero el boletín de The Gazette, con viajes de temporada baja.", {"withdrawal_missing"}),
    # Italian
    ("Votando ricevi la newsletter di The Gazette. Puoi disiscriverti in ogni momento.", {"conditional"}),
    (
        "Per votare devi iscriverti alla newsletter di The Gazette. Puoi disiscriverti sempre.",
        {"conditional"},
    ),
    (
        "Accetto la newsletter di The Gazette e l'informativa sulla privacy. Posso disiscrivermi in ogni momento.",
        {"bundled"},
    ),
    (
        "Se non desideri la newsletter di The Gazette, deseleziona la casella. Puoi disiscriverti.",
        {"pre_ticked"},
    ),
    ("Voglio la newsletter di The Gazette e SMS. Posso disiscrivermi in ogni momento.", {"bundled"}),
    ("Voglio la newsletter di The Gazette. È impossibile disiscriversi.", {"withdrawal_missing"}),
    # Dutch
    ("Door te stemmen ontvangt u de nieuwsbrief van The Gazette. Afmelden kan altijd.", {"conditional"}),
    ("Deelname betekent dat u de nieuwsbrief van The Gazette krijgt. Afmelden kan altijd.", {"conditional"}),
    (
        "Ik ga akkoord met de nieuwsbrief van The Gazette en de algemene voorwaarden. Afmelden kan altijd.",
        {"bundled"},
    ),
    ("Ja, de nieuwsbrief van The Gazette en telefoontjes. Afmelden kan altijd.", {"bundled"}),
    ("Ja, de nieuwsbrief van The Gazette. Afmelden is niet mogelijk.", {"withdrawal_missing"}),
    ("U krijgt de nieuwsbrief van The Gazette, tenzij u bezwaar maakt. Afmelden kan altijd.", {"pre_ticked"}),
    # Portuguese
    ("Quero o boletim de The Gazette e SMS. Posso cancelar a qualquer momento.", {"bundled"}),
    ("Quero o boletim de The Gazette. Não posso cancelar.", {"withdrawal_missing"}),
]

ACCEPTED = [
    # English
    "Yes, send me the newsletter of The Gazette by e-mail. It is free of charge, and I may unsubscribe at any time.",
    "I agree to receive the weekly newsletter of The Gazette. I can withdraw at any time with the link in every issue.",
    "I agree to receive The Gazette newsletter as described in the privacy policy. I may unsubscribe at any time.",
    (
        "Keep me posted: The Gazette e-mails me its morning briefing. I can opt out in each mail. How we handle your "
        "address is explained in our privacy policy."
    ),
    "The Gazette newsletter, every Friday. You do not have to subscribe to vote. Unsubscribe at any time.",
    "Your vote counts whether or not you sign up. Yes, send me The Gazette newsletter; I can unsubscribe in one click.",
    "By ticking this box I ask The Gazette to send me breaking news alerts. I can stop them at any time.",
    "News updates from The Gazette, free of charge. We never pass your address on to third parties. Opt out at any time.",
    "Send me The Gazette newsletter. If I no longer want it, I click unsubscribe in any issue.",
    # German
    "Ja, ich möchte den Newsletter von The Gazette per E-Mail erhalten. Ich kann ihn jederzeit abbestellen.",
    (
        "Ich willige ein, dass mir The Gazette ihren Newsletter schickt. Den Widerruf kann ich jederzeit erklären, etwa "
        "über den Abmeldelink. Hinweise finden Sie in unserer Datenschutzerklärung."
    ),
    "Der Newsletter von The Gazette ist kostenlos und keine Voraussetzung für die Abstimmung. Abmelden geht jederzeit.",
    "The Gazette darf mir Neuigkeiten mailen. Meine Adresse wird nicht an Dritte weitergegeben. Widerruf jederzeit.",
    # French
    "Oui, je souhaite recevoir la lettre d'information de The Gazette. Je peux me désabonner à tout moment.",
    (
        "J'accepte de recevoir les actualités de The Gazette par courriel. Je peux retirer mon accord à tout moment. "
        "Détails dans la politique de confidentialité."
    ),
    "La lettre de The Gazette est gratuite et n'est pas obligatoire pour voter. Désinscription en un clic.",
    # Spanish
    "Sí, quiero recibir el boletín de The Gazette por correo. Puedo darme de baja en cualquier momento.",
    (
        "Acepto recibir el boletín de The Gazette. Puedo retirar mi consentimiento cuando quiera. Más información en la "
        "política de privacidad."
    ),
    "El boletín de The Gazette es gratuito y no es obligatorio para votar. Puede darse de baja cuando quiera.",
    # Italian
    "Sì, desidero ricevere la newsletter di The Gazette. Posso disiscrivermi in qualsiasi momento.",
    "Acconsento a ricevere le notizie di The Gazette via e-mail. Posso revocare il consenso in ogni momento.",
    # Dutch
    "Ja, stuur mij de nieuwsbrief van The Gazette. Ik kan me altijd afmelden.",
    (
        "Ik wil de nieuwsbrief van The Gazette ontvangen. Ik kan mijn toestemming op elk moment intrekken. Zie ook onze "
        "privacyverklaring."
    ),
    "De nieuwsbrief van The Gazette is niet verplicht om te stemmen. Uitschrijven kan in elke mail.",
]

#: Texts that were written after the rules, to see what they miss.
REFUSED_TOO = [
    "Thanks for voting! You will now receive The Gazette newsletter. Unsubscribe anytime.",
    "To submit your answer please accept The Gazette newsletter. You may unsubscribe anytime.",
    "Sign up for The Gazette newsletter and agree to our Terms of Service. Unsubscribe anytime.",
    "By submitting your vote, you consent to emails from The Gazette. Opt out any time.",
    "By participating in this survey, I agree to receive news from The Gazette. Opt out any time.",
    "Voters receive The Gazette newsletter for free. Opt out any time.",
    "I have read and accept the privacy notice and want The Gazette newsletter. I can unsubscribe.",
    "Taking part includes a subscription to The Gazette newsletter. Unsubscribe anytime.",
    "We will add you to The Gazette newsletter; uncheck to decline. You can unsubscribe later.",
    "The Gazette and its partners may send you emails. Unsubscribe anytime.",
    "With your vote you order The Gazette newsletter. Unsubscribe anytime.",
    "Durch Absenden der Stimme bestellen Sie den Newsletter von The Gazette. Abmelden jederzeit.",
    "Mit Ihrer Stimmabgabe stimmen Sie dem Newsletter von The Gazette zu. Abmeldung jederzeit möglich.",
    "Nur Abonnenten des Newsletters von The Gazette sehen das Ergebnis. Abmelden jederzeit.",
    "Ich akzeptiere die Nutzungsbedingungen und erhalte den Newsletter von The Gazette. Abmelden jederzeit.",
    "Wenn Sie den Newsletter von The Gazette nicht möchten, entfernen Sie das Häkchen. Abmelden jederzeit.",
    "Votre participation vous inscrit à la lettre de The Gazette. Désabonnement possible.",
    "Votre vote vaut acceptation de la lettre de The Gazette. Désabonnement possible.",
    "L'inscription à la lettre de The Gazette est obligatoire pour voter. Désabonnement possible.",
    "La participación en la encuesta implica recibir el boletín de The Gazette. Puede darse de baja.",
    "Para ver el resultado debes aceptar el boletín de The Gazette. Puedes darte de baja.",
    "La partecipazione al sondaggio comporta l'iscrizione alla newsletter di The Gazette. Puoi disiscriverti.",
    "Partecipando al sondaggio accetti i termini e la newsletter di The Gazette. Puoi disiscriverti.",
    "Om de uitslag te zien moet u zich aanmelden voor de nieuwsbrief van The Gazette. Afmelden kan.",
    "Wie meedoet krijgt de nieuwsbrief van The Gazette. Afmelden kan altijd.",
    "Ik accepteer de privacyverklaring en de nieuwsbrief van The Gazette. Afmelden kan altijd.",
    "Ao votar, recebe o boletim de The Gazette. Pode cancelar.",
    "Voting is free, and you'll get The Gazette newsletter when you vote. Unsubscribe anytime.",
    "A newsletter subscription to The Gazette is needed to take part. Unsubscribe anytime.",
    "Accept the terms and The Gazette newsletter. Unsubscribe anytime.",
    "Each vote is also a sign-up for The Gazette newsletter. Unsubscribe anytime.",
    (
        "Your answer will be saved and your email added to The Gazette newsletter list when you press vote. "
        "Unsubscribe anytime."
    ),
    "I'd like the newsletter of The Gazette and I agree to be contacted by sponsors. Unsubscribe anytime.",
    "Get The Gazette newsletter. By proceeding you agree to our Terms and Conditions. Unsubscribe anytime.",
    "Die Abgabe Ihrer Stimme gilt als Einwilligung in den Newsletter von The Gazette. Abmelden jederzeit.",
    "Mit dem Klick auf Abstimmen abonnieren Sie den Newsletter von The Gazette. Abmelden jederzeit.",
    "Ich stimme dem Newsletter von The Gazette sowie der Weitergabe meiner Daten an Partner zu. Abmelden jederzeit.",
    "En cliquant sur « Voter », vous vous abonnez à la lettre de The Gazette. Désabonnement libre.",
    "Sauf opposition de votre part, The Gazette vous envoie sa lettre. Désabonnement libre.",
    "Participar en esta encuesta le da derecho al boletín de The Gazette. Puede darse de baja.",
    "Cliccando su Vota accetti la newsletter di The Gazette. Puoi disiscriverti.",
    "Met uw stem meldt u zich aan voor de nieuwsbrief van The Gazette. Afmelden kan altijd.",
    "De nieuwsbrief van The Gazette is inbegrepen bij deelname. Afmelden kan altijd.",
]

ACCEPTED_TOO = [
    "I would like The Gazette to email me its weekly digest. Unsubscribing takes one click.",
    "Get the day's news from The Gazette in your inbox. You can change your mind and unsubscribe whenever you want.",
    "Send me The Gazette newsletter. Voting does not sign you up; only this box does. Unsubscribe anytime.",
    "Tick this box to get The Gazette newsletter. Your vote is counted either way. Unsubscribe anytime.",
    "Yes please: The Gazette newsletter. Read our terms and our privacy policy. Unsubscribe anytime.",
    (
        "I consent to The Gazette processing my e-mail address to send me its newsletter. I can withdraw my "
        "consent at any time. Privacy policy: see below."
    ),
    "The Gazette will send you updates about this story. Ticking the box is optional. Unsubscribe at any time.",
    "Subscribe to The Gazette newsletter about voting and elections. You may leave at any time.",
    "Receive news about the terms of the harbour contract from The Gazette by e-mail. Unsubscribe any time.",
    "Newsletter von The Gazette: Ja, bitte. Ihre Stimme zählt auch ohne Newsletter. Abmelden jederzeit.",
    (
        "Ich möchte über Neuigkeiten von The Gazette informiert werden. Meine Einwilligung kann ich jederzeit "
        "widerrufen. Es gilt die Datenschutzerklärung."
    ),
    (
        "Ja, The Gazette darf mir den Newsletter schicken. Die Einwilligung ist freiwillig und jederzeit "
        "widerrufbar; mehr in der Datenschutzerklärung."
    ),
    (
        "Die Teilnahme an der Umfrage bedeutet keine Anmeldung. Ja, ich will den Newsletter von The Gazette; "
        "Abmelden jederzeit."
    ),
    (
        "Je souhaite m'abonner à l'infolettre de The Gazette. Désabonnement possible dans chaque courriel. Le "
        "vote n'implique aucun abonnement."
    ),
    (
        "Quiero las noticias de The Gazette por correo electrónico. Mi voto cuenta también sin suscripción. Puedo "
        "cancelar cuando quiera."
    ),
    "Voglio ricevere la newsletter di The Gazette. Il voto vale anche senza iscrizione. Posso annullare l'iscrizione.",
    (
        "Ja, ik wil het nieuws van The Gazette per e-mail. Mijn stem telt ook zonder aanmelding. Ik kan mij "
        "altijd uitschrijven."
    ),
    (
        "I agree that The Gazette may send me its newsletter. My data are used for this only and not given to "
        "partners. I may revoke this at any time."
    ),
    "Sim, quero o boletim de The Gazette. Posso cancelar a qualquer momento.",
    (
        "The Gazette will email me its newsletter until I unsubscribe. Information on cookies and tracking: see "
        "the privacy notice."
    ),
    "Yes, I accept emails from The Gazette with news. I may unsubscribe. Terms apply.",
    (
        "Ik ga ermee akkoord dat The Gazette mij de nieuwsbrief mailt. Afmelden kan altijd via de link. Meer in "
        "de privacyverklaring."
    ),
    "I want The Gazette's newsletter. It's free; nothing else depends on it. I can unsubscribe at any time.",
    "Send me the newsletter of The Gazette by e-mail, never by phone or SMS. I can leave whenever I like.",
    "Send me the newsletter of The Gazette. I can unsubscribe at any time by the link in each mail or by phone.",
    "Send me the newsletter of The Gazette, which you can also reach by phone: I can leave whenever I like.",
    "Send me the newsletter of The Gazette, 1 Main St, phone 030 123. I can unsubscribe at any time.",
    "Send me the newsletter of The Gazette. To withdraw, e-mail privacy@gazette.example.",
    "Send me the newsletter of The Gazette. Cancel from your account page.",
    "Je veux la lettre de The Gazette. J'ai le droit de retirer mon consentement.",
    "Je veux la lettre de The Gazette. Pour résilier, écrivez à desk@gazette.example.",
    "Quiero el boletín de The Gazette. Para darse de baja, escriba a desk@gazette.example.",
    "Voglio la newsletter di The Gazette. Per annullare l'iscrizione scrivere a desk@gazette.example.",
    "Ja zum Newsletter von The Gazette. Abmelden kann ich mich jederzeit per Link oder telefonisch.",
    "Je veux la lettre de The Gazette. Je peux me désabonner à tout moment par un lien ou par téléphone.",
    "Send me the newsletter of The Gazette. To cancel, write to desk@gazette.example or use the link in any issue.",
    "Send me the newsletter of The Gazette. I have the right to withdraw my consent.",
    "Ja zum Newsletter von The Gazette, ohne Anrufe. Die Abmeldung ist jederzeit möglich und nicht kompliziert.",
    "Oui à la lettre de The Gazette. Abonnement résiliable à tout moment.",
    "Please send me news on the election and how people voted, from The Gazette. I can unsubscribe at any time.",
    "Yes, email me the newsletter of The Gazette when new polls open. I can unsubscribe at any time.",
    "Send me an e-mail from The Gazette when I can vote again. I may opt out whenever I like.",
    "Ja, The Gazette soll mir Neuigkeiten zur Abstimmung schicken. Ich kann jederzeit widerrufen.",
    "Oui, je veux les actualités de The Gazette sur ce vote. Je peux me désinscrire à tout moment.",
    "Sí, deseo noticias de The Gazette sobre la votación. Puedo darme de baja cuando quiera.",
    "Sì, voglio la newsletter di The Gazette. I miei dati non saranno ceduti a terzi. Posso disiscrivermi.",
    "Ja, mail mij de nieuwsbrief van The Gazette. Mijn gegevens gaan niet naar derden. Afmelden kan altijd.",
]

NAMES = [
    "Terms & Conditions Weekly",
    "I Agree to the Privacy Policy",
    "By Voting Daily",
    "Third-Party Partners",
    "Untick the Box",
    "!!!",
    '<b>Ö\'Neill</b> "Post"',
    "The.Daily. Post!? No. 1",
    "北京晚报",
    "جريدة الميناء",
    "העיתון של הנמל",
    "Газета «Гавань»",
    "हिन्दी समाचार",
    "👩‍👩‍👧 Times",
    "ﬁrst ＷＩＤＥ",
    "İstanbul Postası",
    "Irrevocable",
    "x" * 200,
    "ß" * 200,
]


def rules_of(body: str, **changes: Any) -> set[str]:
    defaults = {
        "purpose": "newsletter",
        "controller": "The Gazette",
        "withdrawal": None,
        "mode": Mode.EXPLICIT,
        "locale": "en",
    }
    return {broken.rule for broken in broken_rules(Wording(body=body, **(defaults | changes)))}


class TestCorpus:
    @pytest.mark.parametrize(("body", "rules"), REFUSED, ids=[body[:60] for body, _ in REFUSED])
    def test_a_trick_is_refused_by_the_rule_it_breaks(self, body: str, rules: set[str]) -> None:
        assert rules_of(body) == rules

    @pytest.mark.parametrize("body", REFUSED_TOO, ids=[body[:60] for body in REFUSED_TOO])
    def test_a_trick_that_the_rules_were_not_written_for_is_refused(self, body: str) -> None:
        assert rules_of(body) & {"conditional", "bundled", "pre_ticked"}

    @pytest.mark.parametrize(
        "body", ACCEPTED + ACCEPTED_TOO, ids=[body[:60] for body in ACCEPTED + ACCEPTED_TOO]
    )
    def test_an_honest_text_is_taken(self, body: str) -> None:
        assert rules_of(body) == set()


class TestFacts:
    def test_a_box_that_is_ticked_beforehand_is_refused_whatever_the_text_says(self) -> None:
        assert rules_of(ACCEPTED[0], is_preticked=True) == {"pre_ticked"}

    def test_a_vote_that_hangs_on_it_is_refused_whatever_the_text_says(self) -> None:
        assert rules_of(ACCEPTED[0], is_required=True) == {"conditional"}

    def test_a_sentence_of_withdrawal_in_another_language_is_taken_where_the_body_holds_it(self) -> None:
        body = "The Gazette newsletter. Voit perua tilauksen milloin tahansa."

        assert rules_of(body, locale="fi") == {"withdrawal_missing"}
        assert rules_of(body, locale="fi", withdrawal="Voit perua tilauksen milloin tahansa") == set()
        assert rules_of(body, locale="fi", withdrawal="Voit perua") == set()
        assert rules_of(body, locale="fi", withdrawal="Peru tilaus") == {"withdrawal_missing"}

    @pytest.mark.parametrize("locale", ["en", "en-GB", "de_AT", "fr", "es", "it", "NL"])
    def test_a_sentence_of_withdrawal_that_does_not_speak_of_leaving_is_refused(self, locale: str) -> None:
        body = "Send me the newsletter of The Gazette. It is free."

        assert rules_of(body, locale=locale, withdrawal="It is free") == {"withdrawal_missing"}
        body += " I may unsubscribe at any time."
        assert rules_of(body, locale=locale, withdrawal="It is free") == {"withdrawal_missing"}
        assert rules_of(body, locale=locale, withdrawal="I may unsubscribe at any time") == set()

    @pytest.mark.parametrize("sentence", ["Leave nothing to chance.", "Cancel culture special included."])
    def test_a_sentence_that_only_holds_the_word_is_none_of_withdrawal(self, sentence: str) -> None:
        body = f"Send me the newsletter of The Gazette. {sentence} I may unsubscribe at any time."

        assert rules_of(body, withdrawal=sentence) == {"withdrawal_missing"}

    @pytest.mark.parametrize(
        ("field", "rule"), [("controller", "controller_missing"), ("withdrawal", "withdrawal_missing")]
    )
    def test_a_name_or_a_sentence_of_no_letter_is_none(self, field: str, rule: str) -> None:
        body = "Send me the newsletter of The Gazette. I may unsubscribe at any time!"

        assert rules_of(body, **{field: "!"}) == {rule}

    def test_a_purpose_in_another_language_is_taken_where_the_body_names_it(self) -> None:
        assert rules_of("The Gazette: uutiskirje. Unsubscribe here.", purpose="uutiskirje") == set()

    def test_a_notice_may_be_bound_to_the_vote_but_not_silent_about_leaving(self) -> None:
        assert rules_of(BRIEF, mode=Mode.NOTICE_ONLY) == set()
        assert rules_of("Voting gets you The Gazette newsletter.", mode=Mode.NOTICE_ONLY) == {
            "withdrawal_missing"
        }

    def test_an_account_s_own_mail_is_held_to_the_rules_of_consent(self) -> None:
        assert rules_of(BRIEF, mode=Mode.SOFT_OPT_IN) == {"conditional", "bundled"}


class TestOurOwnText:
    @pytest.mark.parametrize("name", NAMES, ids=[name[:20] for name in NAMES])
    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_it_is_never_refused_whatever_the_site_is_called(self, session: Session, name: str) -> None:
        site = make_site(session, name=name)

        assert name in newsletter_text(session, site, actor=ACTOR, now=NOW).body

    def test_it_breaks_no_rule_itself(self, session: Session) -> None:
        site = make_site(session, name="The Gazette")

        assert rules_of(newsletter_text(session, site, actor=ACTOR, now=NOW).body) == set()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
class TestOverHttp:
    @pytest.fixture
    def site(self, session: Session) -> Site:
        made = make_site(session, name="The Gazette")
        session.commit()
        return made

    def test_the_refusal_names_each_field_and_its_rules(self, staff_client: FlaskClient, site: Site) -> None:
        refused = staff_client.post(
            "/v1/consent-texts",
            json={"site_id": str(site.id), "body": BRIEF, "default_checked": True, "is_required": True},
        )

        told = {error["field"]: error["detail"] for error in refused.get_json()["errors"]}
        assert refused.status_code == 422
        assert refused.get_json()["code"] == "consent_text_unfit"
        assert set(told) == {"body", "default_checked", "is_required"}
        assert told["body"].startswith("bundled: ")
        assert told["default_checked"].startswith("pre_ticked: ")
        assert told["is_required"].startswith("conditional: ")

    @pytest.mark.parametrize(("locale", "status"), [("en", 422), (None, 422), ("fi", 201)])
    def test_the_sentence_of_withdrawal_is_read_in_the_text_s_language(
        self, staff_client: FlaskClient, site: Site, locale: str | None, status: int
    ) -> None:
        body = "The Gazette newsletter. Voit perua tilauksen milloin tahansa."
        text = {"site_id": str(site.id), "body": body, "withdrawal": "Voit perua tilauksen"}

        answer = staff_client.post("/v1/consent-texts", json=text | ({"locale": locale} if locale else {}))

        assert answer.status_code == status

    def test_several_rules_of_one_field_are_all_named(self, staff_client: FlaskClient, site: Site) -> None:
        refused = staff_client.post("/v1/consent-texts", json={"site_id": str(site.id), "body": BRIEF})

        [told] = refused.get_json()["errors"]
        assert "conditional: " in told["detail"]
        assert "bundled: " in told["detail"]

    def test_an_honest_text_is_published(self, staff_client: FlaskClient, site: Site) -> None:
        made = staff_client.post(
            "/v1/consent-texts", json={"site_id": str(site.id), "body": ACCEPTED[9], "locale": "de"}
        )

        assert made.status_code == 201
        assert (made.get_json()["mode"], made.get_json()["locale"]) == ("explicit", "de")
        assert ORIGIN in made.get_json()["privacy_url"]
