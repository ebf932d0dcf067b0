#!/usr/bin/env python3
"""Times the experts of one MoE layer, forward and backward, against transformers' on the same arrays, in turns.

    compare.py --ours BUILD/tests/bench/bench_moe_layer [--device cuda] [--precision bfloat16] [--shapes NAME ...]
               [--tokens N ...] [--rounds N] [--threads N]

The base is bfloat16 and frozen; ours computes with it where it lies, in float32 or, where asked, with operands rounded to
bfloat16 (train.precision). Peers: transformers eager and grouped_mm, in
float32 and bfloat16. "frozen": no expert trains anywhere. "additions": 16 added experts train; the peers train the stacked
parameters and set the old rows' gradients to zero (grouped_mm alone: indexing, as eager does, forms a gradient of the
whole stack for every expert). Outputs and gradients must agree with transformers' grouped_mm in float32 before
anything is timed. The ratio is the median over rounds of (best peer of the round / ours). Exit 1 when results differ.
On a GPU both sides are in bfloat16, and the share is that of the larger of two floors: the operations at the rate of a large
product, the bytes (weights of the experts that are hit, and rows, each read or written once a product) at that of a copy.
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

import numpy
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness.side import Side  # noqa: E402

SHAPES = {  # width, experts, top-k, expert width
    "quickstart": (192, 16, 4, 128),
    "marco-nano": (1024, 232, 8, 384),
    "marco-mini": (1024, 256, 8, 768),
    "qwen3-30b-a3b": (2048, 128, 8, 768),
}
ADDED = 16
DTYPES = {"cpu": ("float32", "bfloat16"), "cuda": ("bfloat16",)}
REFERENCE = {"cpu": "float32", "cuda": "bfloat16"}  # of grouped_mm
TOLERANCE = {"float32": 2e-5, "bfloat16": 3e-2}  # of the largest value, by our precision
PIECES = {"float32": 3, "bfloat16": 1}  # tile products for one of ours
TOKENS = {"cpu": (16, 128, 1024, 8192), "cuda": (128, 1024, 8192, 32768)}
RESULTS = ("out", "d_x", "d_weight", "d_gate_up", "d_down")


def write_arrays(folder, name, tokens, added):
    width, experts, top_k, expert_width = SHAPES[name]
    shape = {"width": width, "experts": experts, "added": added, "top_k": top_k, "expert_width": expert_width,
             "tokens": tokens}
    (folder / "shape.json").write_text(json.dumps(shape))
    generator = torch.Generator().manual_seed(17)

    def write(file, sizes, dtype, scale):
        with open(folder / file, "wb") as out:
            for _ in range(sizes[0]):
                part = torch.randn(sizes[1:], generator=generator).mul_(scale).to(dtype)
                out.write(part.view(torch.uint8).numpy().tobytes())
    write("x.bin", (tokens, width), torch.float32, 1)
    write("d_out.bin", (tokens, width), torch.float32, 1)
    write("gate_up.bin", (experts, 2 * expert_width, width), torch.bfloat16, 0.02)
    write("down.bin", (experts, width, expert_width), torch.bfloat16, 0.02)
    write("added_gate_up.bin", (added, 2 * expert_width, width), torch.float32, 0.02)
    write("added_down.bin", (added, width, expert_width), torch.float32, 0.02)
    scores, chosen = torch.randn((tokens, experts + added), generator=generator).softmax(1).topk(top_k, 1)
    (scores / scores.sum(1, keepdim=True)).numpy().tofile(folder / "weight.bin")
    chosen.numpy().tofile(folder / "expert.bin")
    return shape


def start(folder, added, arguments):
    peer = str(pathlib.Path(__file__).with_name("peer.py"))
    on_gpu = ["cuda"] if arguments.device == "cuda" else []
    rounded = ["bfloat16"] if arguments.precision == "bfloat16" and not on_gpu else []
    sides = [Side("ours", [arguments.ours, str(folder), *on_gpu, *rounded], arguments.threads)]
    for path in arguments.paths:
        sides.append(Side(f"ours {path}", [arguments.ours, str(folder), path], arguments.threads))
    for implementation in ("eager", "grouped_mm"):
        for dtype in DTYPES[arguments.device]:
            if added and implementation == "eager":
                continue
            command = [sys.executable, peer, str(folder), implementation, dtype, str(arguments.threads), *on_gpu]
            sides.append(Side(f"{implementation} {dtype}", command, arguments.threads))
    return sides


def check(folder, sides, tokens, added, device, precision):
    """Also the warm-up."""
    reference = REFERENCE[device]
    for side in sides:
        side.ask(tokens, 1)
        if side.name == f"grouped_mm {reference}":
            for name in RESULTS if added else RESULTS[:3]:
                ours, theirs = (numpy.fromfile(folder / f"{prefix}.{name}.bin", numpy.float32)
                                for prefix in ("ours", f"grouped_mm.{reference}"))
                off = numpy.abs(ours - theirs).max() / numpy.abs(theirs).max()
                if not off <= TOLERANCE[precision]:
                    raise SystemExit(f"{name} of {tokens} tokens is off by {off:.1e} of its largest value")


def measure(folder, shape, tokens, roofline, arguments):
    with contextlib.ExitStack() as stack:
        sides = [stack.enter_context(side) for side in start(folder, shape["added"], arguments)]
        check(folder, sides, tokens, shape["added"], arguments.device, arguments.precision)
        repeats = 3 if tokens <= 256 else 1
        rounds = [[min(side.ask(tokens, repeats)["milliseconds"]) for side in sides] for _ in range(arguments.rounds)]
    first_peer = 1 + len(arguments.paths)
    medians = {side.name: statistics.median(times) for side, times in zip(sides, zip(*rounds))}
    ratio = statistics.median(min(times[first_peer:]) / times[0] for times in rounds)
    seconds = medians["ours"] / 1e3
    slots = tokens * shape["top_k"]
    operations = 2 * slots * 3 * 2 * shape["width"] * shape["expert_width"]  # forward and dX
    chosen = numpy.fromfile(folder / "expert.bin", numpy.int64)[:slots]
    hit = len(numpy.unique(chosen[chosen < shape["experts"]]))
    read = 2 * hit * 3 * shape["width"] * shape["expert_width"] * 2
    if arguments.device == "cuda":
        return print_gpu(shape, tokens, slots, medians, ratio, roofline, chosen)
    figures = {"tokens": tokens, "rows_per_expert": slots / shape["experts"], "milliseconds": medians, "ratio": ratio,
               "operations_per_second": operations / seconds, "bytes_per_second": read / seconds}
    peers = "  ".join(f"{name} {value:.1f}" for name, value in medians.items() if name != "ours")
    fused = roofline["fused_multiply_add"]
    peak = f" ({operations / seconds / fused:.0%} of FMA peak" if fused else " (no vector peak"
    pieces = PIECES[arguments.precision]
    tiles = f", tiles {pieces * operations / seconds / roofline['bf16_tiles']:.0%}" if roofline["bf16_tiles"] else ""
    print(f"  {tokens:5d} tokens, {slots / shape['experts']:6.1f} rows an expert: ours {medians['ours']:.1f} ms; {peers}; "
          f"ratio {ratio:.2f}; {operations / seconds / 1e9:.0f} GF/s{peak}"
          f"{tiles}), weights at {read / seconds / 1e9:.1f} GB/s ({read / seconds / roofline['memory_read']:.0%}"
          f" of read rate)", flush=True)
    return figures


def print_gpu(shape, tokens, slots, medians, ratio, roofline, chosen):
    """Operations of both directions and of the matrices that train; bytes that must move at least."""
    width, expert_width = shape["width"], shape["expert_width"]
    per_row = 2 * 3 * width * expert_width
    trained_slots = int((chosen >= shape["experts"]).sum())
    operations = 2 * slots * per_row + trained_slots * per_row
    hit = len(numpy.unique(chosen))
    products = [(width, 2 * expert_width), (expert_width, width)]  # in and out, forward; turned round, backward
    rows = 2 * slots * 2 * sum(sum(product) for product in products)
    trained = shape["added"] * 3 * width * expert_width
    moved = 2 * 2 * hit * 3 * width * expert_width + rows + 2 * trained
    floor = max(operations / roofline["bf16_products"], moved / roofline["memory_copy"])
    seconds = medians["ours"] / 1e3
    peers = "  ".join(f"{name} {value:.2f}" for name, value in medians.items() if name != "ours")
    bound = "operations" if operations / roofline["bf16_products"] > moved / roofline["memory_copy"] else "bytes"
    print(f"  {tokens:5d} tokens, {slots / shape['experts']:6.1f} rows an expert: ours {medians['ours']:.2f} ms; {peers}; "
          f"ratio {ratio:.2f}; {operations / seconds / 1e9:,.0f} GFLOP/s, {moved / 1e6:,.0f} MB at least, "
          f"{floor / seconds:.0%} of the roofline (bound by {bound})", flush=True)
    return {"tokens": tokens, "milliseconds": medians, "ratio": ratio, "operations_per_second": operations / seconds,
            "bytes": moved, "share_of_roofline": floor / seconds}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--device", choices=tuple(TOKENS), default="cpu")
    parser.add_argument("--precision", choices=tuple(TOLERANCE), help="of ours; default: float32, on a GPU bfloat16")
    parser.add_argument("--shapes", nargs="+", choices=tuple(SHAPES), default=tuple(SHAPES))
    parser.add_argument("--tokens", nargs="+", type=int, help="default: the device's")
    parser.add_argument("--modes", nargs="+", choices=("frozen", "additions"), default=("frozen", "additions"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--paths", nargs="+", default=(), help="time these CPU paths of ours, too, such as AVX2; portable: "
                        "LibTorch's products")
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures there")
    arguments = parser.parse_args()
    arguments.tokens = arguments.tokens or TOKENS[arguments.device]
    arguments.precision = arguments.precision or ("bfloat16" if arguments.device == "cuda" else "float32")
    environment = dict(os.environ, OMP_NUM_THREADS=str(arguments.threads))
    command = [arguments.ours, "-", "cuda"] if arguments.device == "cuda" else [arguments.ours]
    roofline = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)
    if arguments.device == "cuda":
        print(f"{roofline['device']}: bfloat16 products {roofline['bf16_products'] / 1e12:.0f} TFLOP/s, memory copy "
              f"{roofline['memory_copy'] / 1e9:.0f} GB/s")
    else:
        print(f"{arguments.threads} threads: float32 FMA {roofline['fused_multiply_add'] / 1e9:.0f} GF/s, bfloat16 tiles "
              f"{roofline['bf16_tiles'] / 1e9:.0f} GF/s, memory read {roofline['memory_read'] / 1e9:.1f} GB/s")
    results = {"roofline": roofline, "layers": []}
    for name in arguments.shapes:
        for mode in arguments.modes:
            with tempfile.TemporaryDirectory() as temporary:
                folder = pathlib.Path(temporary)
                shape = write_arrays(folder, name, max(arguments.tokens), ADDED if mode == "additions" else 0)
                print(f"{name}, {mode}: width {shape['width']}, {shape['experts']} + {shape['added']} experts of "
                      f"{shape['expert_width']}, top-{shape['top_k']}")
                figures = [measure(folder, shape, tokens, roofline, arguments) for tokens in arguments.tokens]
                results["layers"].append({"shape": name, "mode": mode, "figures": figures})
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
