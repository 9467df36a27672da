"""Words by which a text says that readers may leave, or that they may not, in the languages of :mod:`pollsvc.consent.phrases`."""

from __future__ import annotations

from pollsvc.consent.phrases import any_of

#: Words that are about leaving in any sentence.
_PLAIN = (
    r"unsubscrib",
    r"opt[ -]?out",
    r"opting out",
    r"\bstop\b.{0,40}\btime\b",
    r"(?<!ir)revok",
    r"abmeld",
    r"abbestell",
    r"(?<!un)widerr[uü]f",
    r"meld\w*\b.{0,40}\bab\b",
    r"d[ée]sabonn",
    r"d[ée]sinscri",
    r"(?<!ir)\brevo[ck]",
    r"disiscri",
    r"afmeld",
    r"\bmeld\w*\b.{0,40}\baf\b",
    r"uit(schrijv|te schrijven)",
    r"\bschrijf\b.{0,40}\buit\b",
    r"in(trek|te trekken)",
    r"op(zeg|te zeggen)",
    r"\bwithdraw",
    r"r[ée]sili",
    r"\bretir(er|e|ez) (votre|mon|ton|le|ce) consentement",
    r"\bd(ar|é|e|oy)(se|me|te|nos)? (siempre )?de baja",
)
#: Those that are about anything: "leave nothing to chance", "cancel culture", "temporada baja".
_MANIFOLD = (
    r"\bleav(e|ing)\b(?! (nothing|no|none|a|an|your|comments?)\b)",
    r"\bcancel\w*\b(?! culture)",
    r"\bretir(er|e|ez)\b",
    r"\bbaja\b",
    r"\bretirar",
    r"\bannulla",
)
#: Beside them, that it is free, or how it is done.
_FREELY = (
    (
        r"\b(may|can|could|free to|right to|any ?time|whenever|always|"
        r"links?|click|e-?mail|(every|each) issue|write|writing|reply|account)\b"
    ),
    r"\b(peux|peut|pouvez|pourrez|pourrai|possible|à tout moment|quand|liens?|clic|librement|droit|écri\w+|courriel|compte)\b",
    r"\b(pued\w+|podr\w+|cuando|momento|enlace|clic|libremente|escrib\w+|respond\w+|correo|cuenta)\b",
    r"\b(poss[oa]|puoi|può|potr\w+|sempre|quando|momento|link|clic|liberamente|scriv\w+|rispond\w+|account)\b",
    r"\b(pode\w*|posso|quando|momento|liga[çc][ãa]o)\b",
)
_NEAR = f"({'|'.join(_FREELY)})[^.]{{0,60}}({'|'.join(_MANIFOLD)})"
_NEAR_BEHIND = f"({'|'.join(_MANIFOLD)})[^.]{{0,60}}({'|'.join(_FREELY)})"

#: That, and how, readers leave.
WITHDRAWAL = any_of(*_PLAIN, _NEAR, _NEAR_BEHIND)

#: That readers cannot leave after all.
NO_WITHDRAWAL = any_of(
    r"\b(cannot|can ?not|can't|may not|must not|not possible to|no longer|never) (be )?"
    r"(unsubscrib|withdraw|cancel|revok|opt out|leav)",
    r"(\b(not|never|no longer)|n't) (be )?(able|allowed|permitted|possible|free)( for \w+)? to (\w+ ){0,2}"
    r"(unsubscrib|withdraw|cancel|revok|opt out|leave)",
    r"\b(unable|impossible|forbidden|no (way|right|possibility|option))( for \w+)? (to|of) (\w+ ){0,2}"
    r"(unsubscrib|withdraw|cancel|revok|opt(ing)? out|leav(e|ing)\b)",
    r"\b(unsubscrib\w+|unsubscription|withdrawal|withdrawing|cancell?ation|opting out|leaving) (is|are|will be) (\w+ )?"
    r"(not (possible|allowed|permitted)|impossible|excluded)",
    r"\birrevocab",
    r"\bunwiderruflich",
    r"\birr[ée]vocab",
    r"\birrevoc",
    r"\bonherroepelijk",
    r"\b(kann|können|ist) (\w+ ){0,3}nicht (\w+ ){0,2}(widerruf|abbestell|abgemeld|gekündigt)",
    r"\b(abmeld\w+|abbestell\w+|widerruf\w*|kündigung)( \w+){0,2} (nicht (möglich|zulässig|vorgesehen)|unmöglich|"
    r"ausgeschlossen)",
    r"\b((nicht|un)( ?möglich)|keine möglichkeit)\b[^.]{0,30}\b(abzumelden|abzubestellen|zu widerrufen|abmeld\w+)",
    r"\bne (peu[tx]|pouvez|pourrez) (pas|plus)\b[^.]{0,40}(d[ée]sabonn|d[ée]sinscri|retir)",
    r"\bimpossible\b[^.]{0,30}(d[ée]sabonn|d[ée]sinscri|retirer|r[ée]sili)",
    r"(d[ée]sabonnement|d[ée]sinscription|r[ée]siliation)\b[^.]{0,15}\b(impossible|exclue?|pas possible)",
    r"\bno (pued[eo]s?|podr[áaée]s?|se puede|es posible)\b[^.]{0,30}(baja|cancelar|retirar|revocar)",
    r"\b(imposible|sin (posibilidad|derecho))\b[^.]{0,30}(\bbaja|cancelar|retirar|revocar)",
    r"\b(baja|cancelación)\b[^.]{0,15}\bimposible",
    r"\bnon (puoi|posso|potr\w+|pu[òo]|[èe] possibile)\b[^.]{0,30}(disiscri|revoc|annull)",
    r"\bkunt? (\w+ ){0,3}niet (\w+ ){0,2}(uitschrijv|intrek|afmeld|opzeg)",
    r"\bimpossibile\b[^.]{0,30}(disiscri|revoc|annull)",
    r"\b(disiscrizione|revoca|annullamento)\b[^.]{0,15}\b(impossibile|non [èe] possibile)",
    r"\b(onmogelijk|niet mogelijk)\b[^.]{0,30}(uitschrij|uit te schrij|intrek|in te trek|afmeld|af te meld|opzeg|op te zeg)",
    r"\b(afmelden|uitschrijven|opzeggen|intrekken) (kan niet|is (onmogelijk|niet (mogelijk|toegestaan)))",
    r"\bn[ãa]o (pode|posso|poder[áa]|é possível)\b[^.]{0,30}(cancel|retirar|revog)",
    r"\bimposs[ií]vel\b[^.]{0,30}(cancel|retirar|revog)",
)
