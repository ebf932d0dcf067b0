#!/usr/bin/env python3
"""Times encoding by polygraft, tokenizers (Rust) and tiktoken on the same text, in turns, and prints the ratios.

    compare.py --programs BUILD --data DIR [--threads 1 2] [--rounds N] [--megabytes N] [--released FOLDER]

DIR holds CODE.train.jsonl, as examples/fetch_text.sh writes them; every language gives the same number of bytes. Texts
are in normal form C, since tiktoken knows no normaliser. Tokenizers: one trained here with Qwen2's pattern, and each
--released FOLDER with a byte-level tokenizer.json. All processes stay alive and take turns, so that a busy machine
slows all of them; a ratio is the median over rounds of (peer / ours) within a round. The ids of all documents must be
the same before anything is timed. Exit 1 when they are not, or when ours is slower than a peer.
"""
import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import unicodedata

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness.side import Side  # noqa: E402

PEERS = ("tokenizers", "tiktoken")


def gather(data, megabytes):
    """Documents of all languages below `data`, as many bytes of each."""
    files = sorted(data.glob("*.train.jsonl"))
    if not files:
        raise SystemExit(f"no CODE.train.jsonl in {data}: run examples/fetch_text.sh")
    texts = []
    for file in files:
        left = megabytes * 1e6 / len(files)
        for line in file.open(encoding="utf-8"):
            text = unicodedata.normalize("NFC", json.loads(line)["text"])
            texts.append(text)
            left -= len(text.encode())
            if left < 0:
                break
    return [file.name.split(".")[0] for file in files], texts


def train(programs, work, texts, vocab_size):
    (work / "train.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    folder = work / f"qwen2-{vocab_size}"
    subprocess.run([programs / "tests/parity/tokenizer/make_tokenizer", "train", "qwen2", str(vocab_size), folder,
                    work / "train.jsonl"], check=True, stderr=subprocess.DEVNULL)
    return folder


def check_same(sides):
    """Also the warm-up."""
    answers = {side.name: side.ask() for side in sides}
    ours = answers[sides[0].name]
    for name, answer in answers.items():
        if (answer["hash"], answer["tokens"]) != (ours["hash"], ours["tokens"]):
            raise SystemExit(f"{name} gives other ids: {answer['tokens']} tokens, ours {ours['tokens']}")
    return ours["tokens"]


def measure(folder, file, num_bytes, threads, arguments):
    ours = [arguments.programs / "tests/bench/bench_encode", folder, file, threads]
    peer = pathlib.Path(__file__).with_name("peer.py")
    commands = {"polygraft": ours} | {name: [sys.executable, peer, name, folder, file, threads] for name in PEERS}
    with contextlib.ExitStack() as stack:
        sides = [stack.enter_context(Side(name, command)) for name, command in commands.items()]
        num_tokens = check_same(sides)
        rounds = [[side.ask()["seconds"] for side in sides] for _ in range(arguments.rounds)]
    print(f"{folder.name}, {threads} thread{'s' if threads > 1 else ''}: {num_tokens} tokens, the same ids from all; "
          f"{arguments.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    ratios = {}
    for i, side in enumerate(sides):
        seconds = statistics.median(times[i] for times in rounds)
        ratios[side.name] = statistics.median(times[i] / times[0] for times in rounds)
        print(f"  {side.name:11s} {seconds:7.3f} s  {num_bytes / seconds / 1e6:7.1f} MB/s  ratio {ratios[side.name]:5.2f}")
    return {"tokenizer": folder.name, "threads": threads, "bytes": num_bytes, "ratios": ratios}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, type=pathlib.Path, help="the build folder")
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--released", action="append", default=[], type=pathlib.Path)
    parser.add_argument("--threads", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--vocab-size", type=int, default=32000)
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures there")
    arguments = parser.parse_args()
    codes, texts = gather(arguments.data, arguments.megabytes)
    num_bytes = sum(len(text.encode()) for text in texts)
    print(f"{len(texts)} documents, {num_bytes} bytes, {len(codes)} languages: {' '.join(codes)}")
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        file = work / "texts.jsonl"
        file.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
        folders = [train(arguments.programs, work, texts, arguments.vocab_size), *arguments.released]
        results = [measure(folder, file, num_bytes, threads, arguments)
                   for folder in folders for threads in arguments.threads]
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    if min(min(result["ratios"].values()) for result in results) < 1:
        raise SystemExit("slower than a peer")


if __name__ == "__main__":
    main()
