#!/usr/bin/env python3
"""Times training steps of the quickstart's graft on one process with two threads and on two processes with one thread each,
which share out experts (2x1) or text alone (1x2), in turns; and holds `polygraft plan-parallel` to the times.

    measure.py --polygraft PROGRAM --work FOLDER [--rounds N] [--steps N]

FOLDER is what examples/quickstart.sh leaves. All runs must write the same model, byte for byte. A ratio is the median over
rounds of (two threads / the grid). The plan gets the rates that one process with one thread shows: operations a second of its
own step, bytes a second of a copy; then its step times on two ranks are compared with the measured ones. Goal: 2x1 at 0.9 of
two threads. Exit 1 when models differ, or a step takes less than half or more than twice what is planned.
"""
import argparse
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

CORES = 2
GOAL = 0.9
ROW_TOKENS, BATCH_TOKENS, PIECE_TOKENS = 256, 4096, 1024
TRAIN = f"""
  trainable: additions
  tokens: TOKENS
  sequence_length: {ROW_TOKENS}
  batch_tokens: {BATCH_TOKENS}
  micro_batch_tokens: {PIECE_TOKENS}
  optimizer: {{learning_rate: 4.0e-3}}
  replay: {{fraction: 0.25}}
  probe: {{every_tokens: 1000000000, bytes_per_language: 1024}}
  checkpoint: {{every_tokens: 1000000000, keep: 1}}
"""
VARIANTS = {"two threads": (1, 2, ()), "one thread": (1, 1, ()), "2x1": (2, 1, ("--ep", "2")), "1x2": (2, 1, ("--dp", "2"))}


def write_train(folder, work, steps):
    (folder / "train.yaml").write_text(
        f"version: 1\nmodel: {work}/run-id/stages/graft/model\ncorpus: {work}/corpus.yaml\nrun_dir: {folder}/run\n"
        f"output: {folder}/run/model\nseed: 17\ntrain:{TRAIN.replace('TOKENS', str(steps * BATCH_TOKENS))}")


def train(folder, program, variant):
    """Seconds of each step but the first, and the model's hash."""
    ranks, threads, options = VARIANTS[variant]
    shutil.rmtree(folder / "run", ignore_errors=True)
    command = [program, "train", "--config", folder / "train.yaml", "--threads", str(threads), "--quiet", *options]
    if ranks > 1:
        command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), *command]
    environment = dict(os.environ, OMPI_MCA_plm_rsh_agent="sh")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    lines = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    tokens = [line["tokens"] for line in lines if "loss" in line]
    rates = [line["tokens_per_second"] for line in lines if "loss" in line]
    sizes = [after - before for before, after in zip(tokens, tokens[1:])]
    digest = hashlib.sha256((folder / "run" / "model" / "model.safetensors").read_bytes()).hexdigest()
    return [size / rate for size, rate in zip(sizes, rates[1:])], digest


def copy_rate():
    """Bytes a second of one core's copies in memory."""
    source, target = bytearray(64 << 20), bytearray(64 << 20)
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        target[:] = source
        best = max(best, len(source) / (time.perf_counter() - started))
    return best


def plan(folder, program, work, teraflops, rate, ranks):
    """{"ep x dp": seconds of a step, what it exchanges of them}."""
    rank = {"memory_gib": 8, "teraflops": teraflops, "memory_gb_s": rate / 1e9, "link_gb_s": rate / 1e9, "latency_us": 20,
            "per_host": CORES}
    (folder / "pipeline.yaml").write_text(
        f"version: 1\nrun_dir: {folder}/planned\nbase: {work}/base\ncorpus: {work}/corpus.yaml\n"
        f"machine: {{name: this one, rank: {json.dumps(rank)}}}\n"
        "tokenizer: {new_tokens: 800, head: untied}\nexpand: {experts_per_layer: 8}\n"
        f"train:{TRAIN.replace('TOKENS', '1000000')}")
    output = subprocess.run([program, "plan-parallel", folder / "pipeline.yaml", "--ranks", str(ranks), "--json", "-"],
                            check=True, stdout=subprocess.PIPE, text=True).stdout
    return {f"{grid['ep']}x{grid['dp']}": grid for grid in json.loads(output)["plans"][0]["grids"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--polygraft", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        write_train(folder, arguments.work, arguments.steps)
        rounds, digests = [], set()
        for _ in range(arguments.rounds):
            seconds = {}
            for variant in VARIANTS:
                steps, digest = train(folder, arguments.polygraft, variant)
                seconds[variant] = statistics.median(steps)
                digests.add((VARIANTS[variant][1], digest))
            rounds.append(seconds)
        if len({digest for threads, digest in digests if threads == 1}) != 1:
            raise SystemExit("the grids' models differ")
        medians = {variant: statistics.median(seconds[variant] for seconds in rounds) for variant in VARIANTS}
        rate = copy_rate()
        slow = 1e-6  # so slow that operations alone count
        alone = plan(folder, arguments.polygraft, arguments.work, slow, rate, 1)["1x1"]
        teraflops = slow * alone["compute_seconds"] / medians["one thread"]
        planned = plan(folder, arguments.polygraft, arguments.work, teraflops, rate, CORES)
    print(f"{BATCH_TOKENS} tokens a step in pieces of {PIECE_TOKENS}; one thread: {medians['one thread']:.3f} s, "
          f"{1e3 * teraflops:.0f} Gflop/s; copies {rate / 1e9:.1f} GB/s; models are the same, byte for byte")
    print(f"two threads: {medians['two threads']:.3f} s")
    is_right = True
    for grid in ("2x1", "1x2"):
        ratio = statistics.median(seconds["two threads"] / seconds[grid] for seconds in rounds)
        goal = f" (goal {GOAL}: {'reached' if ratio >= GOAL else 'missed'})" if grid == "2x1" else ""
        figures = planned[grid]
        off = medians[grid] / figures["step_seconds"]
        is_right = is_right and 0.5 <= off <= 2
        print(f"{grid}: {medians[grid]:.3f} s, {ratio:.2f} times as fast as two threads{goal}; planned "
              f"{figures['step_seconds']:.3f} s, of which exchange {figures['exchange_seconds']:.3f}, gradients "
              f"{figures['gradient_seconds']:.3f}: measured / planned {off:.2f}")
    print(f"exchanging rows and sharing experts: {1 - medians['1x2'] / medians['2x1']:+.0%} of the 2x1 step")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
