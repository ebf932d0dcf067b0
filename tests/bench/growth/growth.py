#!/usr/bin/env python3
"""How the cost of our training step grows: with tokens, experts, added experts and the length of sequences.

    growth.py --ours BUILD/tests/bench/bench_training_step --svg FILE [--rounds N] [--threads N]

One of them grows while the others stay: 2 layers of width 512, 64 experts of 256, top-8, 8 added ones, 8 rows of 256 tokens;
sequence length at 4,096 tokens in all. Only additions train. The sizes of one dimension are alive together and take turns;
the median step of each counts. Printed: milliseconds, peak anonymous memory, and the exponent e of size^e, by least squares
on the logarithms; 1 is proportional, 0 is no growth.
"""
import argparse
import contextlib
import json
import os
import pathlib
import statistics
import sys
import tempfile
from collections import namedtuple

import plot

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import random_model  # noqa: E402
from harness.side import Side  # noqa: E402

SHAPE = {"vocab_size": 8192, "hidden_size": 512, "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 4,
         "head_dim": 64, "intermediate_size": 1536, "moe_intermediate_size": 256, "num_experts": 64,
         "num_experts_per_tok": 8}
ADDED_ROWS = 512
MIB = 1 << 20

Size = namedtuple("Size", "experts added rows row_tokens", defaults=(64, 8, 8, 256))
DIMENSIONS = {
    "tokens": [(rows * 256, Size(rows=rows)) for rows in (2, 4, 8, 16, 32)],
    "experts": [(experts, Size(experts=experts)) for experts in (16, 32, 64, 128, 256)],
    "added experts": [(added, Size(added=added)) for added in (4, 8, 16, 32, 64)],
    "sequence length": [(length, Size(rows=4096 // length, row_tokens=length)) for length in (128, 256, 512, 1024, 2048)],
}


def start(size, folder, arguments):
    folder.mkdir()
    config = random_model.make_model(folder, SHAPE | {"num_experts": size.experts}, size.added, ADDED_ROWS)
    random_model.write_rows(folder, size.rows, size.row_tokens, config["vocab_size"])
    return Side(str(size), [arguments.ours, folder, "additions"], arguments.threads, watch_memory=True)


def measure(name, arguments):
    """{"sizes", "milliseconds", "anonymous_bytes"} of one dimension."""
    sizes = DIMENSIONS[name]
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        sides = [stack.enter_context(start(size, pathlib.Path(temporary) / str(number), arguments)) for number, size in sizes]
        for side in sides:
            side.ask(1)  # warm-up
        rounds = [[side.ask(1)["milliseconds"][0] for side in sides] for _ in range(arguments.rounds)]
        peaks = [side.memory.peak for side in sides]
    return {"sizes": [number for number, _ in sizes], "milliseconds": [statistics.median(times) for times in zip(*rounds)],
            "anonymous_bytes": peaks}


def print_figures(name, figures):
    exponents = [plot.fit_power(figures["sizes"], figures[kind])[0] for kind in ("milliseconds", "anonymous_bytes")]
    points = zip(figures["sizes"], figures["milliseconds"], figures["anonymous_bytes"])
    print(f"{name}: " + "; ".join(f"{size:,}: {time:.1f} ms, {peak / MIB:.0f} MiB" for size, time, peak in points))
    print(f"  time grows with exponent {exponents[0]:.2f}, memory with {exponents[1]:.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--svg", type=pathlib.Path, required=True, help="the plot goes there")
    parser.add_argument("--dimensions", nargs="+", choices=tuple(DIMENSIONS), default=tuple(DIMENSIONS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures there")
    arguments = parser.parse_args()
    results, panels = {}, []
    for name in arguments.dimensions:
        results[name] = figures = measure(name, arguments)
        print_figures(name, figures)
        panels.append(plot.panel(f"Training step, by {name}", name, "milliseconds", figures["sizes"], figures["milliseconds"]))
    arguments.svg.write_text(plot.page(panels))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
