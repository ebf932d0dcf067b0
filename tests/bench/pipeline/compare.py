#!/usr/bin/env python3
"""Runs the quickstart's pipeline with polygraft and with peer_pipeline.py, and prints wall time and memory stage by stage.

    compare.py --polygraft PROGRAM --base FOLDER --corpus corpus.yaml --pipeline pipeline.yaml [--tokens N] [--threads N]

Both get the same base, texts, settings and number of training tokens, and run after each other; what the peer lacks is
switched off (`equal_settings`). Checked: the base's bits per byte are the same on both sides; the new language's and the worst
old language's change are comparable. Memory: the peak of RssAnon within a stage. Stages that polygraft alone has (proof, packs,
report) count in its total. Exit 1 when results are not comparable.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from collections import namedtuple

import yaml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness.memory import AnonymousMemory  # noqa: E402

STAGE = re.compile(r"\[\d+/\d+\] (\S+)$")
START = "start"
GATE_CODES = (0, 3, 4)  # passed, harmed, not enough evidence
BASE_TOLERANCE = 2e-3  # relative, of the base's bits per byte
NEW_TOLERANCE = 0.05  # relative, of the new language's after training
OLD_TOLERANCE = 0.003  # of the difference between both sides' worst relative change: the gate's margin
MIB = 1 << 20

Stage = namedtuple("Stage", "name seconds anonymous_bytes")


def run_watched(command, threads, codes=(0,)):
    """Runs a pipeline. @return its stages, by what it announces on stderr; the first one is its start."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads),
                                "RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "true"}
    marks, log = [(START, time.time())], []
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               env=environment)
    memory = AnonymousMemory(process.pid)
    for line in process.stderr:
        log.append(line)
        found = STAGE.search(line.rstrip())
        if found:
            print(f"{pathlib.Path(command[1]).name}: {line.rstrip()}", file=sys.stderr, flush=True)
            marks.append((found[1], time.time()))
    if process.wait() not in codes:
        raise SystemExit(f"exit code {process.returncode}\n{''.join(log[-30:])}")
    ends = [begin for _, begin in marks[1:]] + [time.time()]
    return [Stage(name, end - begin, memory.peak_between(begin, end)) for (name, begin), end in zip(marks, ends)]


def equal_settings(pipeline, num_tokens):
    """A pipeline's settings without the budget, which moves the weights of protection, and without what looks at old text by
    cause and behind a passage."""
    settings = yaml.safe_load(pipeline.read_text())
    settings["train"]["tokens"] = num_tokens
    settings["train"].pop("budget", None)
    return settings | {"evaluate": {"causes": False, "behind": False}}


def run_ours(arguments, pipeline, work):
    folder = work / "run"
    command = [arguments.polygraft, "run", pipeline, "--threads", arguments.threads]
    settings = {"base": arguments.base, "corpus": arguments.corpus, "run_dir": folder}
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    stages = run_watched(command, arguments.threads, GATE_CODES)
    tests = json.loads((folder / "stages/compare/comparison.json").read_text())["tests"]
    return stages, {test["language"]: test | {"relative": test["delta"], "low": test["ci_low"], "high": test["ci_high"]}
                    for test in tests}


def run_peer(arguments, pipeline, work):
    folder = work / "peer"
    command = [sys.executable, pathlib.Path(__file__).with_name("peer_pipeline.py"), "--out", folder, "--experts",
               arguments.experts, "--threads", arguments.threads, "--base", arguments.base, "--corpus", arguments.corpus,
               "--pipeline", pipeline]
    return run_watched(command, arguments.threads), json.loads((folder / "results.json").read_text())


def result_text(test):
    change, low, high = (100 * test[key] for key in ("relative", "low", "high"))
    return f"{test['candidate']:.4f} {change:+.3f} [{low:+.3f}, {high:+.3f}]"


def check(ours, theirs):
    """Prints both sides' results; exits when they are not comparable."""
    problems = []
    print(f"{'language':10s} {'base':>8s}  {'ours':35s}  peer: bits per byte, change in % [95 %]")
    for language, test in ours.items():
        peer = theirs[language]
        print(f"{language:10s} {test['baseline']:8.4f}  {result_text(test):35s}  {result_text(peer)}")
        if abs(peer["baseline"] / test["baseline"] - 1) > BASE_TOLERANCE:
            problems.append(f"{language}: the base has {test['baseline']:.5f} bits per byte and {peer['baseline']:.5f}")
    new, = (language for language, test in ours.items() if test["is_new"])
    if abs(theirs[new]["candidate"] / ours[new]["candidate"] - 1) > NEW_TOLERANCE:
        problems.append(f"{new} differs by more than {NEW_TOLERANCE:.0%}")
    worst = [max(side[language]["relative"] for language in ours if language != new) for side in (ours, theirs)]
    print(f"{new}: ours {ours[new]['candidate']:.4f}, peer {theirs[new]['candidate']:.4f} bits per byte; "
          f"worst old change: ours {worst[0]:+.3%}, peer {worst[1]:+.3%}")
    if abs(worst[0] - worst[1]) > OLD_TOLERANCE:
        problems.append(f"the worst old changes differ by more than {OLD_TOLERANCE:.1%}")
    if problems:
        raise SystemExit("not comparable: " + "; ".join(problems))


def total(stages):
    return Stage("total", sum(stage.seconds for stage in stages), max(stage.anonymous_bytes for stage in stages))


def row(name, ours, theirs):
    text = f"{name:14s}"
    for stage in (ours, theirs):
        text += f" {stage.seconds:8.1f} s {stage.anonymous_bytes / MIB:6.0f} MiB" if stage else " " * 21 + "-"
    if ours and theirs:
        text += f"   {theirs.seconds / ours.seconds:6.2f} x time  {theirs.anonymous_bytes / ours.anonymous_bytes:6.2f} x memory"
    return text


def print_table(ours, theirs):
    """@param ours, theirs lists of stages. Planning belongs to the graft."""
    print(f"{'stage':14s} {'ours':>21s} {'peer':>21s}   peer / ours")
    peer = {stage.name: stage for stage in theirs}
    for stage in ours:
        print(row(stage.name, stage, peer.get(stage.name)))
    print(row("total", total(ours), total(theirs)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("polygraft", "base", "corpus", "pipeline"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--tokens", type=int, default=250_000, help="of training, on both sides")
    parser.add_argument("--experts", choices=("eager", "grouped_mm"), default="grouped_mm", help="transformers' implementation")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        pipeline = work / "pipeline.yaml"
        pipeline.write_text(yaml.safe_dump(equal_settings(arguments.pipeline, arguments.tokens)))
        ours, our_results = run_ours(arguments, pipeline, work)
        theirs, their_results = run_peer(arguments, pipeline, work)
    print(f"{arguments.tokens} training tokens, {arguments.threads} threads, transformers {arguments.experts} float32")
    print_table(ours, theirs)
    if arguments.json:
        figures = {"ours": [stage._asdict() for stage in ours], "peer": [stage._asdict() for stage in theirs],
                   "results": {"ours": our_results, "peer": their_results}}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    check(our_results, their_results)


if __name__ == "__main__":
    main()
