"""parity.sentencepiece_extension: a SentencePiece model that we have extended, as the sentencepiece wheel reads it.

run_sentencepiece.py --programs FOLDER_WITH_make_tokenizer --work DIR [--data DIR]

The wheel trains a BPE model, `tokenizer extend` adds pieces under the guard, the wheel loads the result. Checked without a
line of our code: old pieces keep ids, scores and types, new ones follow and score below them, guard text keeps its ids,
new text gets shorter and comes back as it was.
"""

import argparse
import json
import pathlib
import shutil

import check_tokenizer
import run_parity
import sentencepiece

NEW_TOKENS = 200
DOCUMENTS = 20  # of each language that are compared; five times as many are learned from


def train(folder, texts):
    folder.mkdir()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in texts for line in text.splitlines() if line),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=3000,
        byte_fallback=True,
        user_defined_symbols=["<tool>"],
        control_symbols=["<turn>"],
        minloglevel=2,
    )


def load(folder):
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


def check_pieces(old, grown):
    size = old.get_piece_size()
    assert grown.get_piece_size() == size + NEW_TOKENS, grown.get_piece_size()
    for piece in range(size):
        for of in ("id_to_piece", "get_score", "is_control", "is_byte", "is_unknown", "is_unused"):
            assert getattr(old, of)(piece) == getattr(grown, of)(piece), f"piece {piece}: {of}"
    lowest = min(old.get_score(piece) for piece in range(size))
    assert all(grown.get_score(piece) < lowest for piece in range(size, size + NEW_TOKENS))


def check_texts(old, grown, new_texts, guard_texts):
    changed = sum(old.encode(text) != grown.encode(text) for text in guard_texts)
    assert changed == 0, f"{changed} of {len(guard_texts)} guard documents changed"
    before, after = (sum(len(ids) for ids in model.encode(new_texts)) for model in (old, grown))
    assert after < 0.95 * before, f"{before} -> {after} tokens of new text"
    for text in new_texts + ["<tool>", "a<tool> b"]:
        assert grown.decode(grown.encode(text)) == old.decode(old.encode(text)), text[:80]
    print(f"{len(guard_texts)} guard documents unchanged, new text {before} -> {after} tokens")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", required=True, type=pathlib.Path)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, default=run_parity.default_data())
    args = parser.parse_args()
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    codes = run_parity.gather_texts(args.data, args.work, DOCUMENTS)
    new_file = args.work / f"{run_parity.NEW_LANGUAGE}.jsonl"
    guard_files = [args.work / f"{code}.jsonl" for code in codes if code != run_parity.NEW_LANGUAGE]
    new_texts = check_tokenizer.documents(new_file)
    guard_texts = [text for file in guard_files for text in check_tokenizer.documents(file)]
    source, target = args.work / "trained", args.work / "extended"
    train(source, guard_texts)
    command = [args.programs / "make_tokenizer", "extend", source, NEW_TOKENS, target, new_file]
    report = json.loads(run_parity.run(*command, *guard_files))
    assert report["added"] == NEW_TOKENS and report["unreachable"] == 0, report
    assert report["guard_rejected"] > 0, "the guard had nothing to do: the test would show nothing"
    old, grown = load(source), load(target)
    check_pieces(old, grown)
    check_texts(old, grown, new_texts, guard_texts)


if __name__ == "__main__":
    main()
