#!/usr/bin/env python3
"""A large multilingual text for the learning bench, out of unpacked LibreOffice help packages (examples/fetch_text.sh).

    make_text.py --unpacked DIR --out FILE.jsonl --megabytes N [LANGUAGE...]

Every block of every page is kept (labels and warnings that pages share as well), a page a document, languages in turn.
When the pages are used up, they are gone through again with letters rotated by one more place in the Latin, Greek and
Cyrillic alphabets: other documents made of other words, as many of them as a real text would have, or more.
"""
import argparse
import itertools
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
import extract_help  # noqa: E402

ALPHABETS = ["abcdefghijklmnopqrstuvwxyz", "αβγδεζηθικλμνξοπρστυφχψω", "абвгдежзийклмнопрстуфхцчшщъыьэюя"]


def rotation(places):
    table = {}
    for alphabet in (form for letters in ALPHABETS for form in (letters, letters.upper())):
        for i, letter in enumerate(alphabet):
            table[ord(letter)] = alphabet[(i + places) % len(alphabet)]
    return table


def pages(root, language):
    """Texts of one language's pages, in the order of their names."""
    for page in sorted(extract_help.help_folder(root, language).rglob("*.html")):
        text = "\n".join(text for text in extract_help.read_blocks(page).values() if text)
        if text:
            yield text


def in_turn(root, languages):
    for texts in itertools.zip_longest(*(pages(root, language) for language in languages)):
        yield from (text for text in texts if text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unpacked", required=True, type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--megabytes", required=True, type=float, help="of text; a million bytes each")
    parser.add_argument("languages", nargs="*", help="default: all that are unpacked and are no link to another one")
    arguments = parser.parse_args()
    languages = arguments.languages or sorted(
        folder.name for folder in arguments.unpacked.iterdir()
        if any(not f.is_symlink() and (f / "text").is_dir() and f.name.lower() == {"en": "en-us"}.get(
            folder.name, folder.name.lower()) for f in folder.glob("usr/share/libreoffice/help/*")))
    texts, left, count, rounds = list(in_turn(arguments.unpacked, languages)), arguments.megabytes * 1e6, 0, 0
    with arguments.out.open("w", encoding="utf-8") as out:
        while left > 0:
            table = rotation(rounds)
            for text in texts:
                text = text.translate(table) if rounds else text
                out.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                left, count = left - len(text.encode()), count + 1
                if left <= 0:
                    break
            rounds += 1
    print(f"{count} documents, {rounds} rounds through {len(languages)} languages: {' '.join(languages)}")


if __name__ == "__main__":
    main()
