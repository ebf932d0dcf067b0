#!/usr/bin/env python3
"""Parallel texts out of unpacked LibreOffice help packages (MPL-2.0), one JSON line a help page.

A help page consists of blocks (paragraphs, headings, table cells, list items) whose ids are the same in every language.
What is kept, decided on the English page alone so that the languages stay parallel:
  - blocks whose English has more than 40 characters (the others are labels, menu names and keys), no program code;
  - the first of equal English blocks: pages repeat each other's warnings, and a repeated block would put held-out text
    into the training text.
In another language a block that equals its English twin was never translated, and is dropped.
A page belongs to the held-out text when the hash of its path says so: the same pages in every language, on every machine,
and never a page on both sides.
"""
import argparse
import hashlib
import html
import json
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

MIN_ENGLISH_CHARACTERS = 41
HELDOUT_PERCENT = 7
BLOCK = re.compile(r'<(p|h[1-6])\s([^>]*?\bid="((?:par|hd)_id[^"]*)"[^>]*)>(.*?)</\1>', re.DOTALL)
CODE_CLASS = re.compile(r'class="[^"]*code[^"]*"')
SPACING_TAG = re.compile(r"<(?:br|img|span hidden)\b[^>]*>")  # the other tags within a block mark up words, and join them
TAG = re.compile(r"<[^>]*>")


class SystemVariant(HTMLParser):
    """Drops what the page shows on a Mac alone; otherwise both variants of a key would stand side by side."""

    def __init__(self):
        super().__init__(convert_charrefs=False)
        self.kept, self.depth_in_variant = [], 0  # the depth counts open <span>s from the variant's own on

    def handle_starttag(self, tag, attributes):
        if self.depth_in_variant and tag == "span":
            self.depth_in_variant += 1
        elif tag == "span" and ("class", "MAC") in attributes:
            self.depth_in_variant = 1
        else:
            self.keep(self.get_starttag_text())

    def handle_endtag(self, tag):
        if self.depth_in_variant and tag == "span":
            self.depth_in_variant -= 1

    def keep(self, text):
        if not self.depth_in_variant:
            self.kept.append(text)

    def handle_data(self, data):
        self.keep(data)

    def handle_entityref(self, name):
        self.keep(f"&{name};")

    def handle_charref(self, name):
        self.keep(f"&#{name};")


def plain_text(block_html):
    """The text a reader sees: no tags, entities as characters, runs of white space as one space."""
    if 'class="MAC"' in block_html:
        parser = SystemVariant()
        parser.feed(block_html)
        parser.close()
        block_html = "".join(parser.kept)
    return " ".join(html.unescape(TAG.sub("", SPACING_TAG.sub(" ", block_html))).split())


def read_blocks(page):
    """{block id: text} of one help page, in the page's order."""
    blocks = {}
    for _, attributes, block_id, body in BLOCK.findall(page.read_text(encoding="utf-8")):
        if not CODE_CLASS.search(attributes):
            blocks.setdefault(block_id, plain_text(body))
    return blocks


def help_folder(root, language):
    """The folder with the language's pages; a package may bring others along (ca holds ca-valencia too)."""
    own_name = "en-US" if language == "en" else language
    help_root = root / language / "usr/share/libreoffice/help"
    folder = next((f for f in help_root.glob("*") if f.name.lower() == own_name.lower()), None)
    if folder is None or folder.is_symlink() or not (folder / "text").is_dir():
        sys.exit(f"extract_help.py: error: no help pages in '{own_name}' below '{help_root}' (a link to another language?)")
    return folder / "text"


def english_blocks(root):
    """{page: {block id: text}}: what is kept, in the order of the pages' names."""
    folder, seen, pages = help_folder(root, "en"), set(), {}
    for page in sorted(folder.rglob("*.html")):
        kept = {}
        for block_id, text in read_blocks(page).items():
            if len(text) >= MIN_ENGLISH_CHARACTERS and text not in seen:
                seen.add(text)
                kept[block_id] = text
        if kept:
            pages[page.relative_to(folder).with_suffix("").as_posix()] = kept
    return pages


def translated(root, language, english):
    """The same blocks in another language; untranslated ones and pages without any are left out."""
    folder, pages = help_folder(root, language), {}
    for name, blocks in english.items():
        page = folder / f"{name}.html"
        if not page.is_file():
            continue
        own = read_blocks(page)
        kept = {i: own[i] for i, text in blocks.items() if own.get(i) and own[i] != text}
        if kept:
            pages[name] = kept
    return pages


def is_heldout(name):
    """By a hash of the page's path, so that no list of pages has to be kept."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % 100 < HELDOUT_PERCENT


def write_pages(pages, file):
    """One document a page, its blocks one a line; written whole or not at all."""
    partial = file.with_name(file.name + ".partial")
    with open(partial, "w", encoding="utf-8") as out:
        for name, blocks in pages.items():
            out.write(json.dumps({"id": name, "text": "\n".join(blocks.values())}, ensure_ascii=False) + "\n")
    os.replace(partial, file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unpacked", type=Path, required=True, help="folder with one unpacked help package a language")
    parser.add_argument("--out", type=Path, required=True, help="folder for LANGUAGE.train.jsonl and LANGUAGE.heldout.jsonl")
    parser.add_argument("languages", nargs="+", help="language codes; 'en' must be unpacked in any case")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    english = english_blocks(args.unpacked)
    for language in args.languages:
        pages = english if language == "en" else translated(args.unpacked, language, english)
        heldout = {name: blocks for name, blocks in pages.items() if is_heldout(name)}
        train = {name: blocks for name, blocks in pages.items() if name not in heldout}
        write_pages(heldout, args.out / f"{language}.heldout.jsonl")
        write_pages(train, args.out / f"{language}.train.jsonl")
        print(f"extract_help.py: {language}: {len(train)} pages to learn from, {len(heldout)} held out", file=sys.stderr)


if __name__ == "__main__":
    main()
