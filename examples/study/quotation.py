#!/usr/bin/env python3
"""What a quotation costs: old pages behind one sentence of the new language, scored without the sentence's own bits.

usage: quotation.py --program POLYGRAFT --base MODEL --model MODEL [MODEL...] --old es.heldout.jsonl --new pt-BR.heldout.jsonl

A page's nats behind the sentence are those of both together less those of the sentence alone (`polygraft eval bpb`); the change
is the model's against the base's. Beside it the same pages' change without a sentence.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

SENTENCE_LETTERS, PAGE_LETTERS = 120, 1500


def read_texts(file):
    return [json.loads(line)["text"] for line in file.open(encoding="utf-8")]


def sentences(pages):
    """The words that begin each page's second line, which is its first one of running text."""
    return [page.split("\n", 1)[-1][:SENTENCE_LETTERS].rsplit(" ", 1)[0] + "\n" for page in pages]


def nats(program, model, texts, folder):
    """Of each text."""
    folder.mkdir(parents=True)
    (folder / "text.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    (folder / "corpus.yaml").write_text("languages:\n  text: {role: old, heldout: [text.jsonl]}\n")
    subprocess.run([program, "eval", "bpb", "--model", model, "--corpus", folder / "corpus.yaml", "-o", folder / "results"],
                   check=True, capture_output=True)
    samples, = (folder / "results").glob("samples_*.jsonl")
    return [-json.loads(line)["byte_perplexity"][0] for line in samples.open(encoding="utf-8")]


def change(before, after):
    return f"{100 * (sum(after) / sum(before) - 1):+.2f} %"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("program", "base", "old", "new"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, nargs="+", required=True)
    arguments = parser.parse_args()
    pages = [page[:PAGE_LETTERS] for page in read_texts(arguments.old)]
    quoted = sentences(read_texts(arguments.new))
    quoted = [quoted[i % len(quoted)] for i in range(len(pages))]
    texts = {"plain": pages, "quoted": quoted, "both": [a + b for a, b in zip(quoted, pages)]}
    with tempfile.TemporaryDirectory() as work:
        seen = {model: {name: nats(arguments.program, model, part, pathlib.Path(work, str(i), name))
                        for name, part in texts.items()} for i, model in enumerate([arguments.base, *arguments.model])}
    behind = {model: [both - sentence for both, sentence in zip(by["both"], by["quoted"])] for model, by in seen.items()}
    base = arguments.base
    for model in arguments.model:
        changes = sorted(100 * (after / before - 1) for before, after in zip(behind[base], behind[model]))
        print(f"{model.name}: {len(pages)} pages {change(seen[base]['plain'], seen[model]['plain'])}, behind a sentence "
              f"{change(behind[base], behind[model])} (median page {changes[len(changes) // 2]:+.2f} %, worst {changes[-1]:+.0f} %)")


if __name__ == "__main__":
    main()
