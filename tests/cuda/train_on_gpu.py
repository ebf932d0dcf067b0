#!/usr/bin/env python3
"""Trains the quickstart's graft for a few steps on the CPU and twice on the GPU, and compares; on several GPUs, too.

    train_on_gpu.py --polygraft PROGRAM --work FOLDER [--device cuda] [--ranks N] [--steps N]

FOLDER is what examples/quickstart.sh leaves: base, texts and graft. The two GPU runs must write the same bytes, as must N
ranks with a GPU each, and no language's bits per byte may differ from the CPU's by more than a tenth of what the new one gains
there, also where the N ranks share experts out. Prints tokens a second. Exit 1 otherwise.
"""
import argparse
import hashlib
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

BATCH_TOKENS, PIECE_TOKENS = 2816, 768
THREADS = 2  # alike everywhere: the CPU's bits depend on them
SHARE_OF_GAIN = 0.1


def settings(folder, work, device, tokens):
    return (f"version: 1\nmodel: {work}/run-id/stages/graft/model\ncorpus: {work}/corpus.yaml\nrun_dir: {folder}\n"
            f"output: {folder}/model\nseed: 17\ntrain:\n  trainable: additions\n  device: {device}\n  tokens: {tokens}\n"
            f"  sequence_length: 256\n  batch_tokens: {BATCH_TOKENS}\n  micro_batch_tokens: {PIECE_TOKENS}\n"
            "  optimizer: {learning_rate: 4.0e-3}\n"
            "  replay: {fraction: 0.27}\n  protect: {method: kl}\n  probe: {every_tokens: 1000000000, bytes_per_language: 16384}\n"
            "  checkpoint: {every_tokens: 1000000000, keep: 1}\n")


def start(device, ranks, ep):
    """What stands before the program, and its options."""
    if ranks == 1:
        return [], []
    if device == "cpu":
        launcher = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", str(ranks)]
    else:
        launcher = [sys.executable, "-m", "torch.distributed.run", "--no-python", "--nproc-per-node", str(ranks)]
    return launcher, ["--ep", str(ep)]


def train(program, work, folder, device, steps, ranks=1, ep=1):
    """{"first", "last": bits per byte by language, "rate": tokens a second, "hash"}."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    file = folder / "train.yaml"
    file.write_text(settings(folder, work, device, steps * BATCH_TOKENS))
    launcher, options = start(device, ranks, ep)
    command = [program, "train", "--config", file, "--threads", str(THREADS), *options]
    subprocess.run([*launcher, *command], check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    probes = [{language: found["bits_per_byte"] for language, found in line["probe"].items()} for line in lines if "probe" in line]
    rates = [line["tokens_per_second"] for line in lines if "loss" in line]
    digest = hashlib.sha256((folder / "model" / "model.safetensors").read_bytes()).hexdigest()
    return {"first": probes[0], "last": probes[-1], "rate": statistics.median(rates[len(rates) // 2:]), "hash": digest}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--polygraft", required=True)
    parser.add_argument("--work", type=lambda folder: pathlib.Path(folder).resolve(), required=True)
    parser.add_argument("--device", default="cuda", help="cpu: to try this script")
    parser.add_argument("--ranks", type=int, default=1, help="as many GPUs, besides one")
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        device, ranks = arguments.device, arguments.ranks
        ways = {"cpu": ("cpu", 1, 1), "gpu": (device, 1, 1), "again": (device, 1, 1)}
        if ranks > 1:
            ways |= {f"{ranks} ranks": (device, ranks, 1), f"{ranks} ranks, experts shared": (device, ranks, ranks)}
        runs = {name: train(arguments.polygraft, arguments.work, folder / name, of_device, arguments.steps, of_ranks, ep)
                for name, (of_device, of_ranks, ep) in ways.items()}
    gains = {language: runs["cpu"]["first"][language] - bits for language, bits in runs["cpu"]["last"].items()}
    learned = max(gains, key=gains.get)
    worst = max(abs(run["last"][language] - bits) for run in runs.values() for language, bits in runs["cpu"]["last"].items())
    same = all(run["hash"] == runs["gpu"]["hash"] for name, run in runs.items() if name != "cpu" and "shared" not in name)
    print(f"{arguments.steps} steps of {BATCH_TOKENS} tokens: {runs['gpu']['rate']:,.0f} tokens a second on {arguments.device}, "
          f"{runs['cpu']['rate']:,.0f} on this machine's CPU; {learned} gains {gains[learned]:.4f} bits per byte on the CPU, "
          f"no language differs by more than {worst:.4f}; runs on {arguments.device}: "
          f"{'the same bytes' if same else 'DIFFERENT bytes'}")
    for name in list(ways)[3:]:
        print(f"{name}: {runs[name]['rate']:,.0f} tokens a second, "
              f"{'the bytes' if runs[name]['hash'] == runs['gpu']['hash'] else 'other bytes than those'} of one")
    return 0 if same and worst <= SHARE_OF_GAIN * gains[learned] else 1


if __name__ == "__main__":
    sys.exit(main())
