"""Words by which a text gives itself away, in English, German, French, Spanish, Italian, Dutch and, less fully, Portuguese.

All are looked for in a text that :func:`plain_sentences` has made plain: small letters, no accents on capitals to mind,
one kind of apostrophe, one space between words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

#: The languages of which we know all the words of leaving. Not Portuguese, of which we know some.
LANGUAGES = frozenset({"en", "de", "fr", "es", "it", "nl"})

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]")
_APOSTROPHE = re.compile("[\u2018\u2019\u02bc\u00b4`]")
_END = re.compile(r"(?<=[.!?;\u3002])\s+|\n+|\s[\u2022\u2013\u2014]\s")


def plain_sentences(text: str) -> Iterator[str]:
    """The sentences of a text, in the one spelling that the patterns below are written for."""
    text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    for sentence in _END.split(_APOSTROPHE.sub("'", text)):
        if words := " ".join(sentence.casefold().split()):
            yield words


def any_of(*patterns: str) -> re.Pattern[str]:
    """Whichever of these."""
    return re.compile("|".join(patterns))


#: What readers get.
PURPOSE = any_of(
    r"newsletters?",
    r"\bnews\b",
    r"\bupdates?\b",
    r"\be-?mails?\b",
    r"\bletters?\b",
    r"\balerts?\b",
    r"\bbriefings?\b",
    r"\bdigests?\b",
    r"rundbrief",
    r"nachrichten",
    r"neuigkeiten",
    r"lettre",
    r"infolettre",
    r"actualit",
    r"courriel",
    r"bolet[ií]n",
    r"noticias",
    r"correo",
    r"notizi",
    r"bollettino",
    r"nieuwsbrief",
    r"nieuws",
    r"boletim",
    r"not[ií]cias",
)

#: That something is not so, which turns a sentence about a duty into a promise.
NEGATION = any_of(
    r"\b(not|no|never|nor|neither|without|whether|n't|cannot|regardless|independent\w*|even if|optional)\b|n't\b",
    r"\b(nicht|kein\w*|nie|niemals|ohne|unabhängig|auch wenn|freiwillig\w*)\b",
    r"\b(ne|n'\w+|pas|jamais|aucune?|sans|indépendamment|facultati\w+|ni)\b",
    r"\b(no|nunca|ning[uú]n\w*|sin|jam[áa]s|independientemente|opcional|ni)\b",
    r"\b(non|mai|nessun\w*|senza|indipendentemente|facoltativ\w+|né)\b",
    r"\b(niet|geen|nooit|zonder|ongeacht|onafhankelijk|vrijwillig|optioneel)\b",
    r"\b(n[ãa]o|nunca|sem|nenhum\w*)\b",
)

#: The same, in the words that stand beside a verb.
DENIAL = any_of(r"\b(not|nor|nicht|kein\w*|ne|n'\w+|pas|no|non|niet|geen|n[ãa]o)\b|n't\b")

#: That taking part is taken for consent, unless that very verb is denied.
IMPLIED = any_of(
    # English
    r"\b(by|when|upon|in|with) (you )?(voting|completing|taking part|participating|answering|casting|filling (in|out)|clicking "
    r"(on )?(the )?[\"'“]?vote|submitting|continuing|using|pressing (the )?[\"'“]?vote)",
    r"\b(voting|completing|answering|taking part|participating|participation|your (vote|answer|participation|ballot))\b"
    r"[^.]{0,60}\b(entitles?|means?|signs? (you|me|readers?|up)|counts? as|constitutes?|implies|imply|"
    r"subscribes?|enrols?|enrolls?|"
    r"includes? (a )?subscription|confirms?|is (also )?(your )?(consent|agreement|subscription))\b",
    r"\b(with|through) (your|my) (vote|answer|participation|ballot)\b",
    r"\bthank(s| you) for (voting|taking part|participating|your vote)\b|\byou('ll| will) now (get|receive)\b",
    r"\b(voters|participants) (will |also )*(get|receive|are)\b|\bonly subscribers (may|can|will|get|see)\b",
    r"\b(if|when|once|as soon as) (you|i|we) (vote|complete|take part|participate|answer)\b",
    r"\b(everyone|everybody|anyone|those|whoever|readers?|all) (who )?(votes?|takes? part|participates?|"
    r"completes?)\b",
    r"\b(each|every|your|a) (vote|answer) is (also |thereby )?(a|your|an)\b|\b(press|click|hit|"
    r"tap)(ing)? (on )?[\"'“«]? ?vote\b",
    # German
    r"\bklick\w* auf .{0,3}(abstimm|stimm|vot)",
    r"\b(mit|durch|bei) ((der|ihrer|deiner|die|ihre|deine|jeder|meiner|meine|dem|das|dieser) )?"
    r"(\w+ )?(teilnahme|abstimmung|stimmabgabe|stimme|antwort|beteiligung|abstimmen|ausfüllen|absenden)",
    r"\b(indem|wenn|sobald) (sie|du|ich|man)\b[^.]{0,50}\b(abstimm|teilnehm|teilnimm|mitmach|beantwort|ausfüll)",
    r"\bwer (hier )?(abstimmt|teilnimmt|mitmacht|an d\w+ \w+ teilnimmt)",
    r"\b(teilnahme|stimmabgabe|stimme|abstimmung)\b[^.]{0,60}\b(berechtigt|gilt (auch )?als|bedeutet|beinhaltet|"
    r"umfasst|schließt)\b",
    # French
    r"\ben (votant|participant|répondant|validant|complétant|remplissant|soumettant|cliquant sur [\"«' ]*vot)",
    r"\b(vote|participation|réponse)\b[^.]{0,60}\b(vaut|implique|entraîne|emporte|signifie|constitue|donne droit|"
    r"vous (donne|inscrit|abonne))",
    r"\b(toute personne|quiconque|ceux) qui? ?(vote|participe|répond)",
    r"\b(si|dès que) vous (votez|participez|répondez)",
    # Spanish
    r"\bal (votar|participar|responder|completar|enviar|contestar|rellenar)",
    r"\b(voto|participación|participar|votar|respuesta)\b[^.]{0,60}\b(implica|supone|significa|equivale|constituye|conlleva|"
    r"(te|le) (da|suscribe)|da derecho)",
    r"\b(quien|quienes|todo el que) (vote|voten|participen?)\b",
    r"\bsi (votas|vota|participas?)\b",
    # Italian
    r"\b(votando|partecipando|rispondendo|compilando|completando|inviando)\b",
    r"\b(voto|partecipazione|risposta)\b[^.]{0,60}\b(implica|comporta|equivale|significa|costituisce|dà diritto|"
    r"vale come)",
    r"\bcliccando su .{0,3}vot|\bcon (il tuo|il suo) voto\b",
    r"\bchi (vota|partecipa)\b",
    r"\bse (voti|partecipi|vota)\b",
    # Dutch
    r"\bdoor (\w+ ){0,4}(te stemmen|deel te nemen|mee te doen|in te vullen|te antwoorden|te beantwoorden)",
    r"\b(stem|deelname|deelnemen|stemmen)\b[^.]{0,60}\b(betekent|geeft (je |u )?recht|geldt als|houdt in|omvat)\b",
    r"\bmet (uw|je|jouw) (stem|deelname)\b|\binbegrepen bij (de |uw |je )?(deelname|stem)|\bklik\w* op .{0,3}stem",
    r"\bwie (stemt|meedoet|deelneemt)\b",
    r"\bals (je|u) (stemt|meedoet|deelneemt)\b",
    # Portuguese
    r"\bao (votar|participar|responder|completar|enviar)",
)

#: That it is a duty, or the price of something. In a sentence that denies it, it is a promise.
DUTY = any_of(
    r"\b(must|need to|have to|has to|required to|requires? (you )?(to|a|an|your)) (\w+ ){0,3}"
    r"(subscrib|sign|agree|accept|consent|subscription|e-?mail)",
    r"\b(only (if|when|after|once)|unless) (you|i) (subscrib|sign up|agree|accept|consent|have (subscribed|agreed))",
    r"\b(subscribers?|subscribing|subscription)\b[^.]{0,30}\b(required|needed|mandatory|compulsory|obligatory|"
    r"condition)\b",
    r"\b(required|mandatory|compulsory|condition) (for|to|of) (vot|tak|participat|see)",
    r"\b(counts?|counted|valid|shown|unlock\w*|see (the )?results?)\b[^.]{0,30}\b(only|once|after|when|if|by) (\w+ ){0,3}"
    r"(subscrib|sign|agree|consent|subscription)",
    r"\b(in (exchange|return) for)\b",
    r"\b(subscribe|sign up|agree|accept|consent)\b[^.]{0,40}\bto (vote|see|take part|participate|unlock|view) ?(the |this |in )?"
    r"(results?|poll|vote|$|[.!,])",
    r"\bto (vote|see the results?|take part|participate|view the results?|"
    r"submit your \w+)\b[^.]{0,40}\b(subscribe|sign up|agree|accept|consent)\b",
    r"\bautomatic(ally)? (be )?(subscri|sign|add|enrol|register|receiv)",
    r"\bautomatisch\b[^.]{0,40}\b(angemeldet|eingetragen|abonnier\w*|erhalten|aufgenommen|ingeschreven|"
    r"aangemeld\w*|ontvang\w*)",
    r"\b(angemeldet|eingetragen|ingeschreven|aangemeld)\b[^.]{0,20}\bautomatisch",
    r"\bvoraussetzung\b",
    r"\b(erforderlich|verpflichtend|pflicht|zwingend|notwendig)\b",
    r"\b(um|zum) (\w+ ){0,3}(abzustimmen|abstimmen|teilzunehmen|mitzumachen)\b",
    r"\bnur (wer|nach|mit|wenn|\w*abonnent\w*)\b",
    r"\b(obligatoire|obligée?|indispensable)\b",
    r"\bpour (voter|participer|voir les résultats|accéder)\b[^.]{0,60}\b(devez|dois|inscri|abonn|accept|faut)",
    r"\bautomatiquement\b[^.]{0,30}\b(abonnée?|inscrite?|recev)",
    r"\b(abonnée?|inscrite?|recevrez)\b[^.]{0,20}\bautomatiquement",
    r"\b(obligatori[oa]s?|imprescindible|requisito)\b",
    r"\bpara (votar|participar|ver (los|el) resultados?)\b[^.]{0,60}\b(debe|debes|tiene|hay|necesit|suscr|acept)",
    r"\bautom[áa]ticamente\b",
    r"\bper (votare|partecipare|vedere i risultati)\b[^.]{0,60}\b(deve|devi|necessari|iscri|obblig|accett|"
    r"occorre|bisogna)",
    r"\bautomaticamente\b",
    r"\bom (te stemmen|deel te nemen|mee te doen|de (uitslag|resultaten) te zien)\b[^.]{0,60}\b(moet|dient?|"
    r"verplicht|nodig|aanmeld|"
    r"akkoord|schrijf)",
    r"\b(verplicht|vereist|voorwaarde)\b",
)

#: The word for agreeing, in whoever's mouth.
AGREE = any_of(
    r"\b(agree|agrees|agreed|agreeing|accept|accepts|accepting|consent|consents|acknowledge|approve)\b",
    r"\bstimm\w*\b|zustimm|akzeptier|einverstanden|\bwillig\w*\b|anerkenn|\berkenn\w*\b",
    r"\b(j'accepte|accepte[zs]?|acceptant|acceptent|consens|approuve\w*)\b",
    r"\b(acept\w+|consient\w+|conforme con)\b",
    r"\b(accett\w+|acconsent\w+|approv\w+)\b",
    r"\b(akkoord|accepteer\w*|aanvaard\w*|instem\w*|stem \w+ in)\b",
    r"\b(aceit\w+|concord\w+)\b",
)

#: What else readers are made to agree to beside the newsletter.
TERMS = any_of(
    r"\bterms\b|\bconditions (of|g[ée]n)|\bgeneral conditions\b|privacy (policy|notice|statement)|\bcookies?\b|"
    r"\btracking\b|\bprofiling\b",
    r"\bagb\b|geschäftsbedingungen|nutzungsbedingungen|teilnahmebedingungen|datenschutz\w*",
    r"conditions générales|conditions d'utilisation|\bcgu\b|\bcgv\b|politique de confidentialité|charte",
    r"t[ée]rminos|condiciones|pol[ií]tica de privacidad|aviso legal",
    r"condizioni|termini|informativa|privacy policy",
    r"voorwaarden|privacyverklaring|privacybeleid",
    r"\btermos\b|pol[ií]tica de privacidade",
)

#: That the terms are only where to read more.
REFERENCE = any_of(
    r"\b(see|described|explained|details?|information|set out|according|in line with|read more|more in|as in|"
    r"under)\b",
    r"\b(siehe|gemäß|beschrieben|laut|informationen|hinweise|finden|näheres|mehr)\b|\((?=[^)]*$)",
    r"\b(voir|décrit\w*|conformément|selon|consulte[rz]|plus d'informations?|détails?)\b",
    r"\b(véase|ver|según|descrit\w+|consult\w+|más información|conforme a)\b",
    r"\b(vedi|descritt\w+|secondo|come da|consulta|maggiori informazioni|dettagli)\b",
    r"\b(zie|beschreven|volgens|overeenkomstig|meer informatie|lees)\b",
)

#: That others get the address, or write to it too.
OTHERS = any_of(
    r"\b(partners?|third[ -]part(y|ies)|sponsors?|advertisers?|affiliates?|group companies)\b",
    r"\b(partnern?|partnerunternehmen|dritten?|werbepartnern?|sponsoren|konzernunternehmen)\b",
    r"\b(partenaires?|tiers|annonceurs?)\b",
    r"\b(socios|terceros|patrocinadores|anunciantes|empresas del grupo)\b",
    r"\b(terz[ie]|sponsor|inserzionisti)\b",
    r"\b(derden|adverteerders|sponsoren)\b",
    r"\b(parceiros|terceiros)\b",
)

#: That readers are reached by other ways than mail, beside it.
CALLS = any_of(
    r"(,|&|\b(and|or|plus|also|by|via|as well as)) (\w+ ){0,2}"
    r"((tele)?phone calls?|(marketing|sales) calls|calls (and|or)|(tele)?phone\b(?! number|:? ?[+(\d])|sms\b|"
    r"text messages?|whatsapp)",
    r"\b(call|phone|text) me\b",
    r"(,|&|\b(und|oder|sowie|auch|per|via)) (\w+ ){0,2}((werbe)?anrufe?n?\b|telefon\b(?!:? ?[+(\d])|sms\b|whatsapp)|"
    r"\btelefonisch\b|\b(mich|mir) anrufen\b",
    r"(,|&|\b(et|ou|ainsi que|par|aussi)) (\w+ ){0,2}(appels\b|téléphone\b(?!:? ?[+(\d])|sms\b|textos?\b|whatsapp)|\bm'appeler\b",
    r"(,|&|\b(y|e|o|por|también|así como)) (\w+ ){0,2}(llamadas\b|tel[ée]fono\b(?!:? ?[+(\d])|sms\b|mensajes de texto|whatsapp)|"
    r"\bllamarme\b",
    r"(,|&|\b(e|ed|o|oppure|per|via|anche)) (\w+ ){0,2}(chiamate\b|telefonate\b|telefono\b(?!:? ?[+(\d])|sms\b|whatsapp)",
    r"(,|&|\b(en|of|per|via|ook|alsmede)) (\w+ ){0,2}(telefoontjes\b|telefoon\b(?!:? ?[+(\d])|sms|whatsapp)|\btelefonische?\b|"
    r"\bmij bellen\b",
    r"(,|&|\b(e|ou|por|bem como)) (\w+ ){0,2}(chamadas\b|telefonemas\b|liga[çc][õo]es\b|telefone\b(?!:? ?[+(\d])|sms\b|whatsapp)",
)

#: That the box is ticked beforehand, or that silence counts.
PRETICKED = any_of(
    r"\bun-?(tick|check)|\b(de-?select|clear|remove) (the |this )?(box|tick|check)",
    r"\b(is|comes|already|pre-?) ?-?(ticked|checked|selected)\b",
    r"\b(tick|check|click)\b[^.]{0,60}\b(do not|don't|not to|no longer) (wish|want|receive|get)",
    r"\bif you (do not|don't|would rather not) (wish|want|get|receive)?[^.]{0,80}\b(tick|untick|check|uncheck|"
    r"tell us|let us know|clear)",
    r"\bunless you (object|opt|tick|untick|tell|say|let us|check|uncheck)",
    r"\babwählen|\bhäkchen (ent|weg|heraus)|\bhaken (ent|weg|heraus)|vorausgewählt|vorangekreuzt|bereits angekreuzt",
    r"\b(sofern|wenn|falls|solange) (sie|du)\b[^.]{0,60}\b(nicht widersprech\w+|nicht widersprichst)",
    r"\b(wenn|falls|sofern) (sie|du)\b[^.]{0,60}\b(nicht|keine[nr]?)\b[^.]{0,60}\b(ankreuz|anhak|kreuz|häkchen|"
    r"abwähl)",
    r"décoche|pré-?coché|déjà cochée?|\bsauf (opposition|avis contraire|si vous)",
    r"\bcochez\b[^.]{0,60}\bne (souhaitez|voulez|désirez) (pas|plus)|\bsi vous ne (souhaitez|voulez)[^.]{0,60}\bcoch",
    r"desmar[cq]|premarcad|ya (está )?marcada|\bsalvo que (usted )?(se oponga|indique|nos diga)",
    r"\bmarque\b[^.]{0,60}\bno (desea|quiere)|\bsi no (desea|quiere|deseas|quieres)[^.]{0,60}\bmar[cq]",
    r"deselezion|preselezionat|già spuntat|\bsalvo (opposizione|diversa)",
    r"\bse non (desider|vuo)[^.]{0,60}\b(spunt|selezion|barr)|\b(spunta|barra|"
    r"seleziona)\b[^.]{0,60}\bse non (desider|vuo)",
    r"uitvink|vooraf aangevinkt|al aangevinkt|\btenzij (u|je)\b",
    r"\bals (u|je)\b[^.]{0,40}\b(geen|niet)\b[^.]{0,60}\b(vink|kruis)|\b(vink|kruis)\w*\b[^.]{0,60}\bals (u|"
    r"je)\b[^.]{0,20}\b(geen|niet)\b",
)
