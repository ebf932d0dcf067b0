"""Texts on which tokenizers disagree: spaces, marks, scripts, case folding, newly assigned characters."""

import random


def hand_made(added_tokens):
    texts = [
        "",
        " ",
        "  ",
        "   ",
        "\t",
        "\n",
        "\r\n",
        "\r",
        " \n",
        "\n ",
        "\n\n\n",
        " \n \n ",
        "\t\t x",
        "a\tb",
        "a  b   c    d",
        "trailing   ",
        "   leading",
        "\u00a0nbsp\u00a0",
        "\u3000ideographic\u3000space\u3000",
        "\u2028line\u2029paragraph\u0085next",
        "\u180evowel\u180eseparator \u180e",
        "zero\u200bwidth\u200cjoin\u200der",
        "\x00\x01\x1f\x7f",
        "a\x00b",
        "\ufeffBOM",
        "\ufffdreplacement",
        "\x0bvt\x0cff\x1c\x1d\x1e\x1f",
        "it's he'll WE'RE I'M they'VE 'S 'T 'LL 'D 'ſ 'K d'accord l'été 's't 'RE're",
        "don't’t ’s ‘ll",
        "'",
        "''",
        "'''s",
        "a'b'c",
        "' s",
        " 's",
        "0",
        "1234567890",
        "1 22 333 4444 55555",
        "3.14159,26",
        "١٢٣٤ ४५६ ½ ² Ⅷ ①",
        "v1.2.3-rc4",
        "1_000_000",
        "👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪🇫🇷 ☺️ ❤️‍🔥",
        "🙂" * 50,
        "e\u0301 é a\u0308 ä n\u0303 ñ o\u0302\u0301 ố",
        "\u0301start",
        " \u0301",
        "q\u0307\u0323 q\u0323\u0307",
        "\u1100\u1161\u11a8 각",
        "\u212b \u00c5 A\u030a",
        "ﬁ ﬂ ﬃ ﬅ ﬆ ß ẞ ŉ",
        "\u0344 \u0958 \u2adc",
        "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!",
        "שלום עולם",
        "السَّلَامُ عَلَيْكُمْ",
        "\u202bRTL\u202c mixed עברית 123 abc",
        "मानक हिन्दी",
        "ภาษาไทยไม่มีช่องว่าง",
        "ქართული ენა",
        "中文分词测试。日本語のテキスト、カタカナ、ひらがな。한국어 문장입니다.",
        "漢字kanji漢字123漢字",
        "Ａｂｃ１２３ｆｕｌｌ",
        "。、！？「」",
        "English中文Русский한국어العربية",
        "Ελληνικά ΣΊΣΥΦΟΣ",
        "ԱՐԱՐԱՏ",
        "İstanbul ıspanak",
        "ǅ ǈ ǋ ᾈ",
        "snake_case camelCase PascalCase kebab-case SCREAMING",
        "for(int i=0;i<n;++i){\n\tx[i]+=1;\n}\n",
        "a==b!=c&&d||e",
        "http://example.com/path?q=1&r=2#frag",
        '<html><body class="x">&amp;</body></html>',
        "$\\frac{a}{b}$ \\n \\t",
        "....!!!???",
        "--- *** ___",
        "\"quoted\" 'single' «guillemets»",
        "#hashtag @mention",
        "a\n\n  b\n\t\tc  \n",
        "\u1c89\U00031350\U0002ebf0 \U000105c0 \U00010d40 \U0001e030 \U0001fae8 \U00011f50",
        "\u1c89\u1c8a \ua7cb \u0897 \u1df6\u0301 a\u1df6\u0334 \U00011938 \U00011935\U00011930",
        "\ud7fb \ue000 \uffff \U0010ffff \U000e0041 \ufdd0",
    ]
    texts += ["x" * n for n in (1, 2, 3, 23, 24, 25, 47, 48, 49, 50, 1000)]
    texts += [" " * n + end for n in (2, 31, 500) for end in ("", "x", "\n", "\nx")]
    for token in added_tokens:
        texts += [
            token,
            token * 2,
            f" {token} ",
            f"a{token}b",
            f"a {token}  b",
            f"\n{token}\n\n x",
            token[:-1],
            token + token[:-1],
            f"\u3000{token}\u3000y",
            f"_{token}_",
            f"é{token}",
            f"{token}\u0301",
            f" {token} {token} ",
            token.upper(),
            token.lower(),
        ]
    return texts


def random_texts(seed, count):
    """Seeded mixtures of what the hand-made texts hold, so that every boundary meets every other."""
    rng = random.Random(seed)
    pieces = [
        "a",
        "B",
        "word",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "'s",
        "'LL",
        "12",
        "٣",
        "é",
        "e\u0301",
        "\u0323",
        "ß",
        "中",
        "日本",
        "🙂",
        "👍🏽",
        "\u200d",
        "-",
        "--",
        "...",
        "_",
        "/",
        "\u00a0",
        "\u3000",
        "\u180e",
        "µ",
        "½",
        "ſ",
        "K",
        "ا",
        "ש",
        "हि",
        "한",
        "\u1100\u1161",
        "Ω",
        "\U0001e030",
        "\x00",
    ]
    return ["".join(rng.choice(pieces) for _ in range(rng.randint(1, 60))) for _ in range(count)]


def every_character(whole):
    """All assigned and unassigned code points, in lines of 64 between spaces; if `whole`, alone and between letters, too."""
    texts = []
    for first in range(0, 0x110000, 64):
        characters = [chr(c) for c in range(first, first + 64) if not 0xD800 <= c <= 0xDFFF]
        for between in ["", "a", " "] if whole else [" "]:
            texts += [between.join(characters)] if characters else []
    return texts


def long_texts(length):
    rng = random.Random(5)
    letters = "".join(rng.choice("etaoinshrdlu") for _ in range(length))
    tenth = length // 10
    return [
        letters,
        "a" * length,
        " " * length,
        "\n" * length,
        "1" * tenth,
        "漢字" * tenth,
        "é" * tenth,
        "e\u0301" * tenth,
        "!?" * tenth,
        " x" * tenth,
        "'s" * tenth,
        " \n" * tenth,
    ]
