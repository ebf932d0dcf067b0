"""Times `polygraft eval compare` on two folders in lm-evaluation-harness's format; see bench.sh."""

import argparse
import hashlib
import json
import os
import pathlib
import random
import resource
import subprocess
import sys
import tempfile
import time

TIME = "2026-01-01T00-00-00.000000"
NUM_TASKS = 10
PADDING = "A passage of text, as long as those of the usual tasks are, so that lines have their usual length. " * 4
LIMIT_SECONDS, LIMIT_BYTES = 10, 1_000_000_000


def sample(task, doc_id, rolling, scores):
    """One line; `scores` are what the model got."""
    digest = hashlib.sha256(f"{task}/{doc_id}".encode()).hexdigest()
    line = {"doc_id": doc_id, "doc": {"text": PADDING, "gold": 1}, "target": "1",
            "arguments": {"gen_args_0": {"arg_0": "question", "arg_1": " 0"}}, "resps": [[["-10.671398162841797", "False"]]],
            "filtered_resps": [["-10.671398162841797", "False"]], "filter": "none",
            "metrics": ["bits_per_byte"] if rolling else ["acc", "acc_norm"], "doc_hash": digest, "prompt_hash": digest,
            "target_hash": digest}
    line.update({"bits_per_byte": scores} if rolling else {"acc": scores, "acc_norm": scores})
    return json.dumps(line)


def make_folders(folders, num_samples):
    """Writes both; returns {task: (baseline, candidate)} on the scale that the comparison prints."""
    rng = random.Random(1)
    expected = {}
    for index in range(NUM_TASKS):
        rolling = index % 2 == 0
        task = f"{'bpb' if rolling else 'quiz'}_l{chr(ord('a') + index)}"
        sums, num_bytes = [0.0, 0.0], 0
        files = [open(folder / f"samples_{task}_{TIME}.jsonl", "w") for folder in folders]
        for doc_id in range(num_samples // NUM_TASKS):
            size = rng.randrange(100, 500)
            nats = size * rng.uniform(0.6, 1.0)
            right = rng.random() < 0.7
            values = [nats, nats * rng.uniform(0.99, 1.01)] if rolling else [float(right), float(right != (rng.random() < 0.05))]
            for side, file in enumerate(files):
                file.write(sample(task, doc_id, rolling, [-values[side], size] if rolling else values[side]) + "\n")
                sums[side] += values[side]
            num_bytes += size if rolling else 1
        for file in files:
            file.close()
        expected[task] = [total / num_bytes / (0.6931471805599453 if rolling else 1) for total in sums]
    for folder in folders:
        results = {"results": {task: {"alias": task} for task in expected},
                   "n-samples": {task: {"effective": num_samples // NUM_TASKS} for task in expected}}
        (folder / f"results_{TIME}.json").write_text(json.dumps(results))
    return expected


def check(report, expected):
    tests = {test["task"]: test for test in report["tests"]}
    if set(tests) != set(expected):
        sys.exit(f"tasks differ: {sorted(tests)} and {sorted(expected)}")
    for task, levels in expected.items():
        for side, level in zip(("baseline", "candidate"), levels):
            if abs(tests[task][side] / level - 1) > 1e-9:
                sys.exit(f"{task}: {side} is {tests[task][side]}, made as {level}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--polygraft", required=True)
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folders = [pathlib.Path(temporary) / side for side in ("baseline", "candidate")]
        for folder in folders:
            folder.mkdir()
        expected = make_folders(folders, arguments.samples)
        size = sum(file.stat().st_size for folder in folders for file in folder.iterdir())
        report = pathlib.Path(temporary) / "report.json"
        walls, work = [], []
        for _ in range(arguments.rounds):
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            code = subprocess.run([arguments.polygraft, "eval", "compare", *folders, "--json", report, "--quiet"],
                                  stdout=subprocess.DEVNULL).returncode
            walls.append(time.monotonic() - start)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            work.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            if code not in (0, 3):
                sys.exit(f"exit code {code}")
            check(json.loads(report.read_text()), expected)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"{2 * arguments.samples} samples, {size / 1e9:.2f} GB, {os.cpu_count()} cores: {min(walls):.2f} s at best of "
          f"{arguments.rounds} ({min(work):.2f} s of processor time; limit {LIMIT_SECONDS} s), peak {peak / 1e6:.0f} MB "
          f"(limit {LIMIT_BYTES / 1e6:.0f} MB); every mean as made")
    if min(walls) > LIMIT_SECONDS or peak > LIMIT_BYTES:
        sys.exit("beyond the limit")


main()
