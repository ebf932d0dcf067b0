#!/usr/bin/env python3
"""Times our training step, and our forward pass, against transformers' on the same model and batch.

    compare.py --ours BUILD/tests/bench/bench_training_step [--device cuda] [--precision bfloat16] [--shapes NAME ...]
               [--modes NAME ...] [--rounds N] [--threads N]

all: everything trains. additions: added experts, router rows and vocabulary rows do; peers: "split", additions as parameters
of their own beside frozen ones (fair), and "masked", gradients of stacked parameters with those of the old rows set to zero
(common practice). forward: the loss alone, as `eval bpb` and `expand profile` compute it.
Ours and one peer at a time are alive and take turns; the losses must agree before anything is timed. A ratio is the median
over rounds of (peer / ours), a group's the least of its peers'. Memory: peak of RssAnon from start to end, the ratio that of
the peer with the least. A peer that this machine's memory cannot hold is named and left out. Exit 1 when losses differ, or
when ours is slower than a peer; goals, which are the CPU's, are printed with whether they are reached. On a GPU ours is in
bfloat16, and so are the peers; memory is that of the GPU, at its peak, by the allocator that both sides have. With --precision
bfloat16 our products on the CPU have their operands rounded (train.precision), and losses must agree as bfloat16's do.
"""
import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
from collections import namedtuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness import random_model  # noqa: E402
from harness.side import Side  # noqa: E402

Shape = namedtuple("Shape", "config added_experts added_rows rows row_tokens checked_steps steps rounds modes")
SHAPES = {
    "quickstart": Shape(random_model.QUICKSTART, 8, 800, 8, 256, 3, 2, 5, ("all", "additions", "forward")),
    "marco-nano": Shape(random_model.MARCO_NANO_4, 16, 8000, 2, 256, 2, 1, 3, ("additions", "forward")),
    # For GPUs: a step that fills one, and the whole model.
    "marco-nano-8k": Shape(random_model.MARCO_NANO_4, 16, 8000, 8, 1024, 3, 4, 5, ("additions", "forward")),
    "marco-nano-whole": Shape({}, 16, 8000, 8, 1024, 3, 2, 3, ("additions", "forward")),
}
DEFAULT_SHAPES = {"cpu": ("quickstart", "marco-nano"), "cuda": ("quickstart", "marco-nano-8k")}
KINDS = {"all": ("all",), "additions": ("split", "masked"), "forward": ("forward",)}  # of peers, by our mode
GROUPS = {"all": "transformers", "split": "fair: frozen parameters", "masked": "common practice: masked gradients",
          "forward": "transformers, forward"}
GOALS = {"split": 2.5, "masked": 4.0, "forward": 2.0}  # times as fast
MEMORY_GOAL = 4.0  # times less, when additions train
DTYPES = {"cpu": ("float32", "bfloat16"), "cuda": ("bfloat16",)}
IMPLEMENTATIONS = ("eager", "grouped_mm")
# Relative difference of the loss after a few steps. bfloat16 rounds weights after every update, hence its own bound.
LOSS_TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-2}
COPIES = {"all": 4, "masked": 4, "split": 1, "forward": 1}  # of the weights: themselves, gradients, two moments
MIB = 1 << 20

Peer = namedtuple("Peer", "kind implementation dtype")


def available_bytes():
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


def reason_to_leave_out(peer, shape, config, device):
    """Why a peer cannot be run here; empty when it can."""
    if device == "cuda":
        if peer.kind == "masked" and COPIES["masked"] * 2 * random_model.num_parameters(config) > free_bytes_on_gpu():
            return "its gradients and moments do not fit on this GPU"
        return ""
    if peer.kind == "masked" and peer.implementation == "eager" and config["num_experts"] > 64:
        return "indexing, as eager does, forms a gradient of the whole stack for every expert"
    weights = random_model.num_parameters(config) * (4 if peer.dtype == "float32" else 2) * COPIES[peer.kind]
    logits = 4 * 4 * shape.rows * shape.row_tokens * config["vocab_size"]
    needed = weights + logits
    available = available_bytes()
    return f"needs {needed / 1e9:.0f} GB, {available / 1e9:.0f} GB are free" if 1.2 * needed > available else ""


def free_bytes_on_gpu():
    import torch
    return torch.cuda.mem_get_info()[0]


def check_losses(name, dtype, ours, theirs, steps):
    """Also the warm-up."""
    losses = [side.ask(steps)["losses"] for side in (ours, theirs)]
    off = max(abs(a - b) / abs(b) for a, b in zip(*losses))
    if not off <= LOSS_TOLERANCE[dtype]:
        raise SystemExit(f"the losses of {name} and ours differ by {off:.2e}, more than {LOSS_TOLERANCE[dtype]:.0e}: {losses}")
    return off


def measure_peer(folder, mode, peer, shape, arguments):
    """One peer against ours: {"milliseconds": [ours, peer's], "ratio", "anonymous_bytes": [...], "off"}."""
    name = " ".join(peer)
    script = pathlib.Path(__file__).with_name("peer.py")
    on_gpu = ["cuda"] if arguments.device == "cuda" else []
    rounded = ["bfloat16"] if arguments.precision == "bfloat16" and not on_gpu else []
    with Side("ours", [arguments.ours, folder, mode, *on_gpu, *rounded], arguments.threads, watch_memory=True) as ours, \
            Side(name, [sys.executable, script, folder, *peer, arguments.threads, *on_gpu], arguments.threads,
                 watch_memory=True) as theirs:
        least = "bfloat16" if rounded else peer.dtype
        off = check_losses(name, least, ours, theirs, shape.checked_steps)
        rounds = [[min(side.ask(shape.steps)["milliseconds"]) for side in (ours, theirs)]
                  for _ in range(arguments.rounds or shape.rounds)]
        peaks = [side.ask(0)["device_bytes"] if on_gpu else side.memory.peak for side in (ours, theirs)]
    return {"peer": peer._asdict(), "milliseconds": [statistics.median(times) for times in zip(*rounds)],
            "ratio": statistics.median(theirs / ours for ours, theirs in rounds), "anonymous_bytes": peaks, "off": off}


def verdict(value, goal):
    return "" if goal is None else f" (goal {goal:g}: {'reached' if value >= goal else 'missed'})"


def print_peer(result, tokens):
    ours, theirs = result["milliseconds"]
    memory = [size / MIB for size in result["anonymous_bytes"]]
    print(f"  {' '.join(result['peer'].values()):28s} {theirs:9.1f} ms, ours {ours:8.1f} ms ({tokens / ours:.2f} tokens/ms): "
          f"ratio {result['ratio']:5.2f}; {memory[1]:6.0f} MiB, ours {memory[0]:5.0f}; "
          f"losses within {result['off']:.0e}", flush=True)


def print_group(kind, results):
    ratio = min(result["ratio"] for result in results)
    text = f"  {GROUPS[kind]}: ours is {ratio:.2f} times as fast as the best{verdict(ratio, GOALS.get(kind))}"
    if kind in ("split", "masked"):
        least = min(result["anonymous_bytes"][1] / result["anonymous_bytes"][0] for result in results)
        text += f", in {least:.2f} times less memory{verdict(least, MEMORY_GOAL)}"
    print(text, flush=True)


def measure(name, mode, arguments):
    shape = SHAPES[name]
    added = (shape.added_experts, shape.added_rows) if mode != "all" else (0, 0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        config = random_model.make_model(folder, shape.config, *added)
        random_model.write_rows(folder, shape.rows, shape.row_tokens, config["vocab_size"])
        print(f"{name}, {mode}: {config['num_hidden_layers']} layers of width {config['hidden_size']}, {config['num_experts']} "
              f"experts ({added[0]} added), {config['vocab_size']} vocabulary rows ({added[1]} added), {shape.rows} rows of "
              f"{shape.row_tokens} tokens; {arguments.threads} threads, {arguments.rounds or shape.rounds} rounds", flush=True)
        results = []
        variants = [(implementation, dtype) for dtype in DTYPES[arguments.device] for implementation in IMPLEMENTATIONS]
        for peer in (Peer(kind, *variant) for kind in KINDS[mode] for variant in variants):
            reason = reason_to_leave_out(peer, shape, config, arguments.device)
            if reason:
                print(f"  {' '.join(peer):28s} left out: {reason}")
                continue
            results.append(measure_peer(folder, mode, peer, shape, arguments))
            print_peer(results[-1], shape.rows * shape.row_tokens)
    for kind in KINDS[mode]:
        group = [result for result in results if result["peer"]["kind"] == kind]
        if group:
            print_group(kind, group)
    return {"shape": name, "mode": mode, "peers": results}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--device", choices=tuple(DTYPES), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="of our products on the CPU")
    parser.add_argument("--shapes", nargs="+", choices=tuple(SHAPES), help="default: the device's")
    parser.add_argument("--modes", nargs="+", choices=tuple(KINDS), default=tuple(KINDS))
    parser.add_argument("--rounds", type=int, help="default: the shape's")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures there")
    arguments = parser.parse_args()
    results = [measure(name, mode, arguments) for name in arguments.shapes or DEFAULT_SHAPES[arguments.device]
               for mode in SHAPES[name].modes if mode in arguments.modes and (mode, arguments.device) != ("all", "cuda")]
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    if min((peer["ratio"] for result in results for peer in result["peers"]), default=1) < 1:
        raise SystemExit("slower than a peer")


if __name__ == "__main__":
    main()
