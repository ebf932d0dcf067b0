#!/usr/bin/env python3
"""Text of another kind than the help pages, in the same languages: the Debian installation guide (GPL-2), evaluated on only.

A document is one page of the guide, its paragraphs one a line. Kept are paragraphs of more than 40 characters that are no
program text; in another language than English a paragraph that stands in the English guide was never translated, and is
dropped. A page gives its first 2,500 characters, in whole paragraphs; one with less than 400 is left out.
"""
import argparse
import html
import json
import os
import re
import sys
from pathlib import Path

MIN_PARAGRAPH_CHARACTERS = 41
MIN_PAGE_CHARACTERS = 400
MAX_PAGE_CHARACTERS = 2500
PARAGRAPH = re.compile(r"<p>(.*?)</p>", re.DOTALL)
PROGRAM_TEXT = re.compile(r"<pre\b.*?</pre>", re.DOTALL)
TAG = re.compile(r"<[^>]*>")


def read_pages(folder):
    """{page: [paragraph]}, in the order of the pages' names."""
    pages = {}
    for page in sorted(folder.glob("*.html")):
        body = PROGRAM_TEXT.sub(" ", page.read_text(encoding="utf-8"))
        paragraphs = [" ".join(html.unescape(TAG.sub("", found)).split()) for found in PARAGRAPH.findall(body)]
        pages[page.stem] = [text for text in paragraphs if len(text) >= MIN_PARAGRAPH_CHARACTERS]
    return pages


def beginning(paragraphs):
    """The first paragraphs of a page, one a line: at least one, and no more than fit."""
    text = "\n".join(paragraphs[:1])
    for paragraph in paragraphs[1:]:
        if len(text) + 1 + len(paragraph) > MAX_PAGE_CHARACTERS:
            break
        text += "\n" + paragraph
    return text


def write_pages(pages, file):
    """Written whole or not at all. Returns the number of documents."""
    partial = file.with_name(file.name + ".partial")
    texts = {name: beginning(paragraphs) for name, paragraphs in pages.items()}
    kept = {name: text for name, text in texts.items() if len(text) >= MIN_PAGE_CHARACTERS}
    with open(partial, "w", encoding="utf-8") as out:
        for name, text in kept.items():
            out.write(json.dumps({"id": name, "text": text}, ensure_ascii=False) + "\n")
    os.replace(partial, file)
    return len(kept)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unpacked", type=Path, required=True, help="the unpacked package installation-guide-amd64")
    parser.add_argument("--out", type=Path, required=True, help="folder for LANGUAGE.guide.jsonl")
    parser.add_argument("languages", nargs="+", help="language codes; one that the guide lacks gets no file")
    args = parser.parse_args()
    guide = args.unpacked / "usr/share/doc/installation-guide-amd64"
    english = read_pages(guide / "en")
    untranslated = {text for texts in english.values() for text in texts}
    args.out.mkdir(parents=True, exist_ok=True)
    for language in args.languages:
        if not (guide / language).is_dir():
            print(f"extract_guide.py: {language}: the guide is not in this language", file=sys.stderr)
            continue
        pages = english if language == "en" else {
            name: [text for text in texts if text not in untranslated] for name, texts in read_pages(guide / language).items()}
        count = write_pages(pages, args.out / f"{language}.guide.jsonl")
        print(f"extract_guide.py: {language}: {count} pages", file=sys.stderr)


if __name__ == "__main__":
    main()
