#!/usr/bin/env python3
"""A Qwen-size tokenizer made and extended for real by two languages, measured: learning, loading, the guard over 1 GB.

    extension.py --programs BUILD --unpacked DIR --data DIR --work DIR [--guard-megabytes 1000] [--new-tokens 8000]

DIRs as examples/fetch_text.sh makes them. Learned from: help pages of all languages but the new ones, 100 MB (make_text.py).
Guard: the same to 1 GB. New: pages of the two new languages. Checked: no new token is unreachable, no guard document is cut
differently, and Hugging Face tokenizers gives the same ids with the written files, and for old text those it gave before.
Times are processor time of all threads, and the clock's, which other work on the machine makes longer. Exit 1 when a
check fails or a figure misses its goal.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness.side import Side  # noqa: E402

NEW_LANGUAGES = ["id", "km"]
QWEN_SIZE = 151_643  # entries of Qwen2's tokenizer without its added tokens
LEARNED = 10_000
GOALS = {"learning, processor s": 240, "learning, MB": 2000, "loading, processor s": 0.3}
SAMPLE_BYTES = 20_000_000


class Run:
    """A finished program: what it printed, and what it took."""

    def __init__(self, *command):
        start = time.monotonic()
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=log)
            self.output = process.stdout.read().decode()
            _, status, usage = os.wait4(process.pid, 0)
            log.seek(0)
            self.log = log.read().decode()
        sys.stderr.write(self.log)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{command[0]} {command[1]} failed")
        self.seconds, self.cpu = time.monotonic() - start, usage.ru_utime + usage.ru_stime
        self.megabytes = usage.ru_maxrss / 1024

    def megabytes_per_second(self, step):
        """Of the clock, as the program's closing line of a step that counts bytes says it."""
        rate = re.search(rf"{step}: .* \(([\d,]+) bytes/s\)", self.log)
        return int(rate[1].replace(",", "")) / 1e6

    def __str__(self):
        return f"{self.cpu:.1f} s of processor time, {self.seconds:.1f} s by the clock, {self.megabytes:.0f} MB at most"


def make_text(arguments, out, megabytes, languages):
    if not out.exists():
        script = pathlib.Path(__file__).with_name("make_text.py")
        subprocess.run([sys.executable, script, "--unpacked", arguments.unpacked, "--out", out.with_suffix(".part"),
                        "--megabytes", str(megabytes), *languages], check=True)
        out.with_suffix(".part").rename(out)
    return out


def texts_of(file, most_bytes=SAMPLE_BYTES):
    texts = []
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            texts.append(json.loads(line)["text"])
            most_bytes -= len(texts[-1].encode())
            if most_bytes < 0:
                break
    return texts


def ids_hash(arguments, name, folder, texts):
    """(hash of all ids, number of tokens) by one of the sides of compare.py."""
    file = arguments.work / "sample.jsonl"
    file.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    command = [arguments.programs / "tests/bench/bench_encode", folder, file, 2]
    if name != "polygraft":
        command = [sys.executable, pathlib.Path(__file__).with_name("peer.py"), name, folder, file, 2]
    with Side(name, command) as side:
        answer = side.ask()
        return answer["hash"], answer["tokens"]


def check_extension(arguments, report, old, grown, guard, heldout):
    changed = {code: entry["changed_documents"] for code, entry in report["languages"].items() if code == guard.stem}
    if report["unreachable"] or any(changed.values()) or report["added"] != arguments.new_tokens:
        raise SystemExit(f"{report['unreachable']} unreachable, changed {changed}, {report['added']} added")
    sample = texts_of(guard)
    answers = {ids_hash(arguments, name, folder, sample) for name in ("polygraft", "tokenizers") for folder in (old, grown)}
    if len(answers) != 1:
        raise SystemExit("guard text: the four of ours and tokenizers, old and grown, differ")
    for code, texts in heldout.items():
        ours, theirs, before = (ids_hash(arguments, *side, texts) for side in
                                (("polygraft", grown), ("tokenizers", grown), ("tokenizers", old)))
        if ours != theirs or not ours[1] < before[1]:
            raise SystemExit(f"{code}: ours {ours}, tokenizers {theirs}, before {before}")
        size = sum(len(text.encode()) for text in texts)
        print(f"  {code}, held out: {size / before[1]:.2f} -> {size / ours[1]:.2f} bytes per token, same ids from tokenizers")
    print(f"  guard: same ids from both tokenizers of both programs on {len(sample)} documents; "
          f"by the report 0 of {report['languages'][guard.stem]['documents']} documents changed")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("programs", "unpacked", "data", "work"):
        parser.add_argument(f"--{name}", required=True, type=pathlib.Path)
    parser.add_argument("--guard-megabytes", type=float, default=1000)
    parser.add_argument("--new-tokens", type=int, default=8_000)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    make = arguments.programs / "tests/parity/tokenizer/make_tokenizer"
    codes = sorted(file.name.split(".")[0] for file in arguments.data.glob("*.train.jsonl"))
    old_codes = [code for code in codes if code not in NEW_LANGUAGES]
    learn_from = make_text(arguments, arguments.work / "learn.jsonl", 100, old_codes)
    guard = make_text(arguments, arguments.work / "guard.jsonl", arguments.guard_megabytes, old_codes)
    figures = {}

    folder = arguments.work / "learned"
    shutil.rmtree(folder, ignore_errors=True)
    run = Run(make, "train", "qwen2", 256 + 2 + LEARNED, folder, learn_from)
    print(f"learning {LEARNED} merges from {learn_from.stat().st_size / 1e6:.0f} MB: {run}")
    figures["learning, processor s"], figures["learning, MB"] = run.cpu, run.megabytes
    learning_rate = learn_from.stat().st_size / 1e6 / run.seconds

    old = arguments.work / f"qwen2-{QWEN_SIZE}"
    if not (old / "tokenizer_config.json").exists():
        run = Run(make, "train", "qwen2", QWEN_SIZE, old, learn_from)
        print(f"learning {QWEN_SIZE} entries: {run}")
    loaded = json.loads(Run(arguments.programs / "tests/bench/bench_load", old).output)
    print(f"loading {loaded['entries']} entries: {loaded['seconds']:.3f} s of processor time, the least of 5")
    figures["loading, processor s"] = loaded["seconds"]

    new_texts = [arguments.data / f"{code}.train.jsonl" for code in NEW_LANGUAGES]
    joined = ",".join(map(str, new_texts))
    one_document = arguments.work / "one.jsonl"
    one_document.write_text(json.dumps({"text": "Hello."}) + "\n")
    grown = arguments.work / "grown"
    shutil.rmtree(grown, ignore_errors=True)
    without = Run(make, "extend", old, arguments.new_tokens, grown, joined, one_document)
    run = Run(make, "extend", old, arguments.new_tokens, grown, joined, guard)
    report = json.loads(run.output)
    print(f"extending by {report['added']} tokens of {' and '.join(NEW_LANGUAGES)}, guarded by "
          f"{guard.stat().st_size / 1e6:.0f} MB of {len(old_codes)} languages: {run}")
    guard_rate = run.megabytes_per_second("reading the guard texts")
    print(f"  the guard read {guard_rate:.1f} MB a second by the clock; learning took {learning_rate:.1f} MB a second")
    print(f"  without a guard {without}; the rest is the search for witnesses and encoding all of it before and after")
    print(f"  {report['guard_rejected']} pairs rejected by the guard, {report['script_rejected']} across scripts, "
          f"{report['unreachable']} tokens unreachable")
    heldout = {code: texts_of(arguments.data / f"{code}.heldout.jsonl") for code in NEW_LANGUAGES}
    check_extension(arguments, report, old, grown, guard, heldout)
    figures["extending, MB"] = run.megabytes
    missed = [f"{name} {figures[name]:.2f}, goal {goal}" for name, goal in GOALS.items() if figures[name] > goal]
    if guard_rate < learning_rate:
        missed.append("the guard is slower than learning")
    if missed:
        raise SystemExit("; ".join(missed))


if __name__ == "__main__":
    main()
