#!/usr/bin/env python3
"""The peers of encode.cpp, with its protocol:  peer.py tokenizers|tiktoken FOLDER TEXTS.jsonl THREADS

Each is asked in the way that costs it least: tokenizers by encode_batch_fast (no offsets), tiktoken by encode_to_numpy
(no list of Python integers). Turning the answers into hashes is not timed.
"""
import json
import os
import pathlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor

FNV_OFFSET, FNV_PRIME, MASK = 0xCBF29CE484222325, 0x100000001B3, 2**64 - 1


def hash_of(documents):
    state, count = FNV_OFFSET, 0
    for ids in documents:
        for token in ids:
            state = ((state ^ token) * FNV_PRIME) & MASK
        state = ((state ^ 0xFFFFFFFF) * FNV_PRIME) & MASK
        count += len(ids)
    return state, count


def tokenizers_encoder(folder, threads):
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return (lambda texts: tokenizer.encode_batch_fast(texts, add_special_tokens=False)), (lambda encoding: encoding.ids)


def patterns_of(pre_tokenizer):
    """The regular expressions of a sequence of isolating splits."""
    steps = pre_tokenizer["pretokenizers"] if pre_tokenizer["type"] == "Sequence" else [pre_tokenizer]
    return [step["pattern"]["Regex"] for step in steps if step["type"] == "Split"]


def single_pattern(patterns):
    """tiktoken has one pattern. For DeepSeek's three in sequence, one that cuts alike: what an earlier one isolates is
    kept out of the classes of the last, and ends the text for its lookahead."""
    if len(patterns) == 1:
        return patterns[0]
    numbers, ideographs, words = patterns
    assert numbers == r"\p{N}{1,3}", numbers
    ideographic = ideographs.removesuffix("+")
    isolated = rf"\p{{N}}{ideographic[1:-1]}"
    words = words.replace(r"[\p{L}\p{M}]+", rf"[[\p{{L}}\p{{M}}]--[{isolated}]]+")
    words = words.replace(r"[^\r\n\p{L}\p{P}\p{S}]?", rf"[^\r\n\p{{L}}\p{{P}}\p{{S}}{isolated}]?")
    words = words.replace(r"[\p{P}\p{S}]+", rf"[[\p{{P}}\p{{S}}]--[{isolated}]]+")
    words = words.replace(r"(?!\S)", rf"(?![^\s{isolated}])")
    # What no alternative matches is a piece of its own there, and left out by tiktoken.
    rest = rf"(?:[^\s\p{{L}}\p{{M}}\p{{N}}\p{{P}}\p{{S}}](?![[\p{{L}}\p{{M}}]--[{isolated}]]))+"
    return f"{numbers}|{ideographs}|{words}|{rest}"


def tiktoken_encoder(folder, threads):
    import tiktoken

    description = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    byte_of = {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(others)}
    added = {token["content"]: token["id"] for token in description["added_tokens"]}
    ranks = {bytes(byte_of[c] for c in token): rank for token, rank in description["model"]["vocab"].items()
             if token not in added}
    encoding = tiktoken.Encoding(folder.name, pat_str=single_pattern(patterns_of(description["pre_tokenizer"])),
                                 mergeable_ranks=ranks, special_tokens={})
    if threads == 1:
        return (lambda texts: list(map(encoding.encode_to_numpy, texts))), (lambda ids: ids.tolist())
    pool = ThreadPoolExecutor(threads)
    return (lambda texts: list(pool.map(encoding.encode_to_numpy, texts))), (lambda ids: ids.tolist())


def main():
    name, folder, file, threads = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), int(sys.argv[4])
    encode, ids_of = {"tokenizers": tokenizers_encoder, "tiktoken": tiktoken_encoder}[name](folder, threads)
    texts = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    answer = {}
    for _ in sys.stdin:
        start = time.perf_counter()
        documents = encode(texts)
        seconds = time.perf_counter() - start
        if not answer:  # the ids of one tokenizer do not change; Python needs long to hash them
            answer["hash"], answer["tokens"] = hash_of(map(ids_of, documents))
        print(json.dumps({"seconds": seconds, **answer}), flush=True)


if __name__ == "__main__":
    main()
