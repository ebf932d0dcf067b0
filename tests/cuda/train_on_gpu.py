#!/usr/bin/env python3
"""Trains the quickstart's graft for a few steps on the CPU and twice on the GPU, and compares.

    train_on_gpu.py --polygraft PROGRAM --work FOLDER [--device cuda] [--steps N]

FOLDER is what examples/quickstart.sh leaves: base, texts and graft. The two GPU runs must write the same bytes, and no
language's bits per byte may differ from the CPU's by more than a tenth of what the new one gains there. Prints tokens a
second of both. Exit 1 otherwise.
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

BATCH_TOKENS = 2816
SHARE_OF_GAIN = 0.1


def settings(folder, work, device, tokens):
    return (f"version: 1\nmodel: {work}/run-id/stages/graft/model\ncorpus: {work}/corpus.yaml\nrun_dir: {folder}\n"
            f"output: {folder}/model\nseed: 17\ntrain:\n  trainable: additions\n  device: {device}\n  tokens: {tokens}\n"
            f"  sequence_length: 256\n  batch_tokens: {BATCH_TOKENS}\n  optimizer: {{learning_rate: 4.0e-3}}\n"
            "  replay: {fraction: 0.27}\n  protect: {method: kl}\n  probe: {every_tokens: 1000000000, bytes_per_language: 16384}\n"
            "  checkpoint: {every_tokens: 1000000000, keep: 1}\n")


def train(program, work, folder, device, steps):
    """{"first", "last": bits per byte by language, "rate": tokens a second, "hash"}."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    file = folder / "train.yaml"
    file.write_text(settings(folder, work, device, steps * BATCH_TOKENS))
    subprocess.run([program, "train", "--config", file], check=True, stdout=subprocess.DEVNULL)
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
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        runs = {name: train(arguments.polygraft, arguments.work, folder / name, device, arguments.steps)
                for name, device in (("cpu", "cpu"), ("gpu", arguments.device), ("again", arguments.device))}
    gains = {language: runs["cpu"]["first"][language] - bits for language, bits in runs["cpu"]["last"].items()}
    learned = max(gains, key=gains.get)
    worst = max(abs(runs["gpu"]["last"][language] - bits) for language, bits in runs["cpu"]["last"].items())
    same = runs["gpu"]["hash"] == runs["again"]["hash"]
    print(f"{arguments.steps} steps of {BATCH_TOKENS} tokens: {runs['gpu']['rate']:,.0f} tokens a second on {arguments.device}, "
          f"{runs['cpu']['rate']:,.0f} on this machine's CPU; {learned} gains {gains[learned]:.4f} bits per byte on the CPU, "
          f"no language differs by more than {worst:.4f}; two runs on {arguments.device}: "
          f"{'the same bytes' if same else 'DIFFERENT bytes'}")
    return 0 if same and worst <= SHARE_OF_GAIN * gains[learned] else 1


if __name__ == "__main__":
    sys.exit(main())
