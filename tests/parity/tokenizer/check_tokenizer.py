"""Compares ids and decoded texts with Hugging Face tokenizers, on nasty and on real text.

check_tokenizer.py --encoder build/encode_lines --work DIR [--real FILE...] TOKENIZER...

Each TOKENIZER is a folder with tokenizer.json. Real text: .txt or .jsonl, one document a line. Exits 1 at the first
tokenizer that differs, showing where.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import nasty_texts
import tokenizers


def run_ours(encoder, folder, texts, work):
    lines = work / "texts.jsonl"
    lines.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    result = subprocess.run(
        [encoder, str(folder), str(lines)], capture_output=True, encoding="utf-8"
    )
    if result.returncode != 0:
        raise SystemExit(f"{encoder} {folder} failed:\n{result.stderr}")
    return [json.loads(line) for line in result.stdout.split("\n") if line]


def run_theirs(reference, text):
    ids = reference.encode(text, add_special_tokens=False).ids
    return {
        "ids": ids,
        "decoded": reference.decode(ids, skip_special_tokens=False),
        "decoded_plain": reference.decode(ids),
    }


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
            f"  theirs as tokens {[reference.id_to_token(i) for i in theirs[key][max(0, at - 2):at + 6]]}"
        )
    return "\n".join(lines)


def load_reference(folder):
    reference = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    reference.no_truncation()
    reference.no_padding()
    return reference


def check(encoder, folder, texts, work, lossless):
    """Number of tokens compared. @param lossless: nothing is normalised, so decode(encode(x)) == x."""
    reference = load_reference(folder)
    num_tokens = 0
    results = run_ours(encoder, folder, texts, work)
    if len(results) != len(texts):
        raise SystemExit(f"{folder}: {len(results)} results for {len(texts)} texts")
    for text, ours in zip(texts, results):
        theirs = run_theirs(reference, text)
        if ours != theirs:
            raise SystemExit(
                f"{folder} differs\n" + first_difference(reference, text, ours, theirs)
            )
        if lossless and ours["decoded"] != text:
            raise SystemExit(f"{folder}: decode(encode(x)) is not x for {text[:200]!a}")
        num_tokens += len(ours["ids"])
    return num_tokens


def is_lossless(description):
    """Neither a normaliser nor an added token that takes spaces along, nor a space put in front."""
    text = json.dumps(description["pre_tokenizer"])
    strips = any(token["lstrip"] or token["rstrip"] for token in description["added_tokens"])
    return (
        description["normalizer"] is None
        and not strips
        and '"add_prefix_space": true' not in text
        and "Removed" not in text
    )


def documents(file):
    lines = [line for line in file.read_text(encoding="utf-8").split("\n") if line]
    return [json.loads(line)["text"] for line in lines] if file.suffix == ".jsonl" else lines


def check_folder(encoder, folder, real, work, characters, long):
    """Compares one tokenizer on nasty texts and on `real` ones; on request on every code point, on huge texts."""
    description = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    added = [token["content"] for token in description["added_tokens"]][:12]
    texts = nasty_texts.hand_made(added) + nasty_texts.random_texts(17, 2000) + real
    texts += nasty_texts.every_character() if characters else []
    texts += nasty_texts.long_texts() if long else []
    num_tokens = check(encoder, folder, texts, work, is_lossless(description))
    print(f"{folder}: {len(texts)} texts, {num_tokens} tokens, all equal", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--real", nargs="*", default=[], type=pathlib.Path)
    parser.add_argument(
        "--characters", action="store_true", help="also every code point, in lines of 64"
    )
    parser.add_argument(
        "--long", action="store_true", help="also texts of a megabyte without a break"
    )
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    real = [text for file in args.real for text in documents(file)]
    for folder in args.folders:
        check_folder(args.encoder, folder, real, args.work, args.characters, args.long)
    return 0


if __name__ == "__main__":
    sys.exit(main())
