"""Which characters are written in place of which letters: the tables of the word matcher, and nothing else.

The look-alikes are those of Unicode's `confusables.txt` (UTS #39) whose prototype is one Latin letter, in whatever script; what
NFKC folds (full width, mathematical) needs no line here, and the long s stays an s. Added are the lower-case Cyrillic and Greek
letters that readers take for Latin ones though their prototypes are small capitals (``в к м н т``), and the enclosed letters.

Data of `confusables.txt`: © Unicode, Inc., under the Unicode License v3 (https://www.unicode.org/license.txt).
"""

_BY_LETTER = {
    "a": "ɑΑαАаᎪᗅꓮᴀΛ⍺𖽀𐊠",
    "b": "ƄΒβВвЬьъбᏏᏴᑲᖯᗷꓐꞴʙɓ𐊂𐊡𐌁",
    "c": "ϲϹСсᏟᴄⲤⲥꓚꮯ𐐽🝌𑣲𐊢𐌂𐐕𐔜",
    "d": "ԁᎠᏧᑯᗞᗪꓒꓓᴅɗ",
    "e": "ΕεЕеҽєЄᎬ℮ⴹꓰꬲᴇ⋿𑢦𑢮𐊆",
    "f": "Ϝքᖴẝꓝꬵƒꜰꞙ𝈓Ꞙ𑣂𑢢𐊇𐊥𐔥",
    "g": "ƍɡԌցᏀᏳᶃꓖɢ",
    "h": "ΗНнһհᎻᏂᕼⲎꓧʜɦ𐋏",
    "i": "ɩɪιіⅰꙇꭵᎥ⍳ı𑣃˛ͺ",
    "il": "ΙІӀӏⲒⵏꓲᛁǀ∣⏽𐌠𖼨𐊊𐌉𝈪𖼖𑢣𑢲𐐛𐔦",
    "j": "ϳͿЈјᎫᒍꓙᴊꞲ",
    "k": "ΚκКкᏦᛕⲔꓗᴋ𐔘",
    "l": "ƖᏞᒪⳐꓡʟ",
    "m": "ΜϺМмᎷᗰᛖⲘꓟᴍ𐊰𐌑",
    "n": "ΝηпոռⲚꓠɴ𐔓",
    "o": "ΟοσОоՕօჿᴏᴑⲞⲟⵔꓳꬽഠဝ𐓪𑣈𑣗𐐬〇ዐଠ𐓂𑢵𐊒𐊫𐐄𐔖ంಂംං",
    "p": "ΡρϱРрᏢᑭⲢⲣꓑᴘ⍴𐊕",
    "q": "ԛգզⵕǫ",
    "r": "ƦгᎡᏒᖇᴦⲅꓣꭇꭈꮁʀЯя𝈖𐒴𖼵",
    "s": "ƽЅѕՏᏕᏚꓢꜱꮪ𑣁𐑈𖼺𐊖𐐠",
    "t": "ΤτТтᎢⲦꓔᴛ⊤⟙🝨𖼊𑢼𐊗𐊱𐌕",
    "u": "ʋυՍսᑌᴜꓴꞟꭎꭒμиИ𐓶𑣘∪⋃ሀ𐓎𖽂𑢸",
    "v": "νѴѵᏙᐯᴠⴸꓦꛟꮩ∨⋁𑜆𑣀𝈍𖼈𑢠𐔝",
    "w": "ɯωѡԜԝաᎳᏔᴡꓪꮃ𑜊𑜎𑜏𑣯",
    "x": "ΧχХхᕁᕽ᙭᙮ᚷⲬⵝꓫꭓ×⤫⤬⨯╳𐌢𑣬Ꭓ𐊐𐊴𐌗𐔧",
    "y": "ɣʏΥγУуҮүყᎩᎽᶌỿⲨꓬꭚ𑣜𖽃𑢤𐊲",
    "z": "ΖᏃᴢꓜꮓ𑣄𐋵𑢩",
}

#: A character to the Latin letters that it is taken for; a capital and its small letter may differ (Greek ``Ν``, ``ν``).
LOOK_ALIKES: dict[str, str] = {char: letters for letters, chars in _BY_LETTER.items() for char in chars}
# Letters in squares, white ones on black circles and squares, and the letters that pairs of make flags: A to Z in a row each.
LOOK_ALIKES |= {chr(row + i): chr(97 + i) for row in (0x1F130, 0x1F150, 0x1F170, 0x1F1E6) for i in range(26)}

#: Latin letters that Unicode does not take apart into a plain one and a mark, though they are such.
STROKES: dict[str, str] = dict(zip("øđłħŧıƀȼǥɨɉɍɏƶⱥɇ", "odlhtibcgijryzae", strict=True))

#: Digits in place of letters.
LEET_DIGITS: dict[str, str] = dict(zip("0123456789", ("o", "il", *"zeasgtbg"), strict=True))
# Zeros of other scripts, and what looks like one, a bar or a v among their digits.
LEET_DIGITS |= dict.fromkeys("०০੦૦୦௦౦೦൦๐໐၀۵", "o") | {"۱": "il", "۷": "v"}

#: Symbols that end or begin a word at least as often as they stand for a letter in one.
PUNCTUATING: dict[str, str] = {"!": "il", "|": "il", "│": "il", "¡": "il", "¦": "il", "+": "t"}

#: Symbols that stand for a letter, unless a word ends there.
STICKY: dict[str, str] = {"@": "a", "$": "s", "€": "e", "£": "l", "¢": "c", "¥": "y", "§": "s"}

LEET_SYMBOLS: dict[str, str] = PUNCTUATING | STICKY

#: Letters of a script without a look-alike in another: a text that holds one is in earnest written in that script.
EARNEST_LATIN = frozenset("dfglnquvwz")
