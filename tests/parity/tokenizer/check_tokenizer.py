"""Compares ids and decoded texts with Hugging Face tokenizers or SentencePiece, on nasty and on real text.

check_tokenizer.py --encoder build/encode_lines --work DIR [--real FILE...] TOKENIZER...

Each TOKENIZER is a folder with tokenizer.json or tokenizer.model. Real text: .txt or .jsonl, one document a line. Exits 1 at the first
tokenizer that differs, showing where.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import nasty_texts
import references

TEXTS_AT_ONCE = 5_000


def run_ours(encoder, folder, texts, work):
    lines = work / "texts.jsonl"
    lines.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    result = subprocess.run(
        [encoder, str(folder), str(lines)], capture_output=True, encoding="utf-8"
    )
    if result.returncode != 0:
        raise SystemExit(f"{encoder} {folder} failed:\n{result.stderr}")
    return [json.loads(line) for line in result.stdout.split("\n") if line]


def run_theirs(reference, texts):
    ids = reference.encode(texts)
    rows = zip(ids, reference.decode(ids), reference.decode_plain(ids))
    return [{"ids": row, "decoded": text, "decoded_plain": plain} for row, text, plain in rows]


def first_difference(reference, text, ours, theirs):
    key = next(key for key in theirs if ours[key] != theirs[key])
    at = next(
        (i for i, (a, b) in enumerate(zip(ours[key], theirs[key])) if a != b),
        min(len(ours[key]), len(theirs[key])),
    )
    lines = [
        f"text ({len(text)} characters): {text[:200]!a}",
        f"{key} differ at {at}:",
        f"  ours   {ours[key][at:at + 8]!a}",
        f"  theirs {theirs[key][at:at + 8]!a}",
    ]
    if key == "ids":
        lines.append(
            f"  theirs as tokens {[reference.token(i) for i in theirs[key][max(0, at - 2):at + 6]]}"
        )
    return "\n".join(lines)


def check(encoder, folder, reference, texts, work):
    """The number of tokens; where nothing is normalised, decode(encode(x)) == x as well."""
    num_tokens = 0
    lossless = reference.is_lossless()
    results = run_ours(encoder, folder, texts, work)
    if len(results) != len(texts):
        raise SystemExit(f"{folder}: {len(results)} results for {len(texts)} texts")
    for text, ours, theirs in zip(texts, results, run_theirs(reference, texts)):
        if ours != theirs:
            raise SystemExit(
                f"{folder} differs\n" + first_difference(reference, text, ours, theirs)
            )
        if lossless and ours["decoded"] != text:
            raise SystemExit(f"{folder}: decode(encode(x)) is not x for {text[:200]!a}")
        num_tokens += len(ours["ids"])
    return num_tokens


def documents(file):
    lines = [line for line in file.read_text(encoding="utf-8").split("\n") if line]
    return [json.loads(line)["text"] for line in lines] if file.suffix == ".jsonl" else lines


def check_folder(encoder, folder, real, work, characters, whole):
    """Compares one tokenizer on nasty texts and on `real` ones; on request on every code point. Bytes compared."""
    reference = references.load(folder)
    texts = nasty_texts.hand_made(reference.added())
    texts += nasty_texts.random_texts(17, 2000 if whole else 150)
    texts += nasty_texts.long_texts(1_000_000 if whole else 20_000)
    texts += real
    texts += nasty_texts.every_character(whole) if characters else []
    num_tokens = 0
    for first in range(0, len(texts), TEXTS_AT_ONCE):  # what the reference gives takes much memory
        part = texts[first : first + TEXTS_AT_ONCE]
        num_tokens += check(encoder, folder, reference, part, work)
    num_bytes = sum(len(text.encode()) for text in texts)
    print(
        f"{folder}: {len(texts)} texts, {num_bytes} bytes, {num_tokens} tokens, all equal",
        flush=True,
    )
    return num_bytes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--real", nargs="*", default=[], type=pathlib.Path)
    parser.add_argument("--characters", action="store_true", help="also every code point")
    parser.add_argument("--whole", action="store_true", help="more random texts, longer long ones")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    real = [text for file in args.real for text in documents(file)]
    num_bytes = 0
    for folder in args.folders:
        num_bytes += check_folder(
            args.encoder, folder, real, args.work, args.characters, args.whole
        )
    print(f"{num_bytes} bytes of text compared, all equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
