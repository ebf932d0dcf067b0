#!/usr/bin/env python3
"""Times our training step against transformers' on the same model and batch, in turns, and prints the ratio.

    compare.py --ours BUILD/tests/bench/bench_training_step [--rounds N] [--threads N] [--trainable all]

The model has the quickstart's size. All processes stay alive and take turns, so that a busy machine slows all of them;
the ratio is the median over rounds of (best peer / ours) within a round. The losses must agree before anything is timed.
Exit 1 when they do not, or when ours is slower than the best peer.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import torch
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

ROWS, ROW_TOKENS = 8, 256
BASE_EXPERTS, ADDED_EXPERTS = 16, 8
BASE_VOCAB, ADDED_VOCAB = 4096, 800
PEERS = [(implementation, dtype) for dtype in ("float32", "bfloat16") for implementation in ("eager", "grouped_mm")]
# Relative difference of the loss after a few steps. bfloat16 rounds weights after every update, hence its own bound.
LOSS_TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2}


def make_model(folder, expanded):
    experts = BASE_EXPERTS + (ADDED_EXPERTS if expanded else 0)
    rows = BASE_VOCAB + (ADDED_VOCAB if expanded else 0)
    torch.manual_seed(17)
    model = Qwen3MoeForCausalLM(Qwen3MoeConfig(
        vocab_size=rows, hidden_size=192, num_hidden_layers=4, num_attention_heads=6, num_key_value_heads=2,
        head_dim=32, intermediate_size=512, moe_intermediate_size=128, num_experts=experts, num_experts_per_tok=4,
        norm_topk_prob=True, tie_word_embeddings=not expanded, max_position_embeddings=2048))
    model.save_pretrained(folder)
    ids = torch.randint(0, rows, (ROWS, ROW_TOKENS)).tolist()
    (folder / "rows.json").write_text(json.dumps(ids))
    if expanded:
        manifest = {"schema_version": 1, "tool_version": "bench", "base_tensors_hash": "0" * 64, "base_tokenizer_hash": "0" * 64,
                    "base_num_experts": BASE_EXPERTS, "base_vocab_rows": BASE_VOCAB, "base_tied_embeddings": False,
                    "packs": [{"name": "new", "first_expert": BASE_EXPERTS, "num_experts": ADDED_EXPERTS,
                               "first_vocab_row": BASE_VOCAB, "num_vocab_rows": ADDED_VOCAB}], "provenance": {}}
        (folder / "polygraft.json").write_text(json.dumps(manifest))


class Side:
    """One process that runs steps when told to."""

    def __init__(self, name, command, environment):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)

    def run(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended without an answer")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def start(folder, trainable, arguments):
    environment = dict(os.environ, OMP_NUM_THREADS=str(arguments.threads), MKL_NUM_THREADS=str(arguments.threads))
    peer = str(pathlib.Path(__file__).with_name("peer.py"))
    sides = [Side("polygraft float32", [arguments.ours, str(folder), trainable], environment)]
    for implementation, dtype in PEERS:
        command = [sys.executable, peer, str(folder), trainable, implementation, dtype, str(arguments.threads)]
        sides.append(Side(f"transformers {implementation} {dtype}", command, environment))
    return sides


def check_losses(sides):
    """Also the warm-up: three steps each."""
    losses = {side.name: side.run(3)["losses"] for side in sides}
    ours = losses[sides[0].name]
    for name, theirs in losses.items():
        limit = LOSS_TOLERANCE["bfloat16" if name.endswith("bfloat16") else "float32"]
        worst = max(abs(a - b) / abs(b) for a, b in zip(ours, theirs))
        print(f"  losses {name:36s} {' '.join(f'{loss:.6f}' for loss in theirs)}  (off by {worst:.1e})")
        if worst > limit:
            raise SystemExit(f"the losses of {name} and ours differ by {worst:.2e}, more than {limit:.0e}")


def measure(trainable, arguments):
    print(f"{'everything trains' if trainable == 'all' else 'only additions train'}: {ROWS} rows of {ROW_TOKENS} "
          f"tokens, {arguments.threads} threads, {arguments.rounds} rounds")
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        make_model(folder, expanded=trainable == "additions")
        sides = start(folder, trainable, arguments)
        try:
            check_losses(sides)
            rounds = [[min(side.run(2)["milliseconds"]) for side in sides] for _ in range(arguments.rounds)]
        finally:
            for side in sides:
                side.close()
    medians = {side.name: statistics.median(times) for side, times in zip(sides, zip(*rounds))}
    for name, milliseconds in medians.items():
        print(f"  {name:43s} {milliseconds:8.1f} ms  {ROWS * ROW_TOKENS / milliseconds:8.2f} tokens/ms")
    ratio = statistics.median(min(times[1:]) / times[0] for times in rounds)
    print(f"  ratio (best peer of each round / ours): {ratio:.2f}")
    return {"trainable": trainable, "milliseconds": medians, "ratio": ratio}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--trainable", choices=("all", "additions"), nargs="+", default=("all", "additions"))
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures there")
    arguments = parser.parse_args()
    results = [measure(trainable, arguments) for trainable in arguments.trainable]
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    if min(result["ratio"] for result in results) < 1:
        raise SystemExit("slower than the peer")


if __name__ == "__main__":
    main()
