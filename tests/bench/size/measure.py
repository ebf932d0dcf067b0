"""Runs every step of an expansion on a checkpoint that make_checkpoint.py wrote, and prints wall time, peak anonymous
memory (RssAnon: what the process holds itself, without the mapped files), and the ratio to `cp` of the base.

Before `cp`, graft and verify the base is dropped from the page cache alike (posix_fadvise), and `cp` is followed by the
fsync that our writer does. Each step's time is the whole command's: hashing and, for graft, calibration included.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

MIB = 1 << 20
PLAN = """\
language: cc
corpus: corpus.yaml
extended_tokenizer: extended
tokenizer: {init: mean}
expand: {experts_per_layer: %d, calibration_new_tokens: %d, calibration_old_tokens: %d}
"""
TRAIN = """\
version: 1
model: %(model)s
corpus: corpus.yaml
languages: [cc]
run_dir: %(run)s
output: %(output)s
seed: 17
train:
  trainable: additions
  tokens: 1024
  sequence_length: 256
  batch_tokens: 1024
  micro_batch_tokens: 512
  optimizer: {learning_rate: 1.0e-4}
  replay: {fraction: 0.25}
  probe: {every_tokens: 1024, bytes_per_language: 1024}
  checkpoint: {every_tokens: 1000000, keep: 1}
"""


class AnonymousMemory(threading.Thread):
    """The largest RssAnon of a process, in bytes, looked at every 10 ms."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.status, self.peak = pathlib.Path(f"/proc/{pid}/status"), 0
        self.start()

    def run(self):
        while True:
            try:
                lines = self.status.read_text().splitlines()
            except OSError:
                return
            sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")]
            if not sizes:
                return
            self.peak = max(self.peak, sizes[0])
            time.sleep(0.01)


def forget(*folders):
    """Drops the folders' files from the page cache."""
    for folder in folders:
        for file in filter(pathlib.Path.is_file, pathlib.Path(folder).rglob("*")):
            with open(file, "rb") as opened:
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Measured:
    def __init__(self, program, work):
        self.program, self.work, self.rows = program, work, {}

    def step(self, name, *arguments, cold=()):
        forget(*cold)
        began = time.monotonic()
        process = subprocess.Popen([self.program, *map(str, arguments)], cwd=self.work, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        memory = AnonymousMemory(process.pid)
        out, err = process.communicate()
        self.rows[name] = {"seconds": time.monotonic() - began, "anonymous_bytes": memory.peak}
        print(self.line(name), flush=True)
        if process.returncode != 0:
            sys.exit(f"{name}: exit code {process.returncode}\n{out}\n{err}")

    def copy(self, base):
        """cp and fsync of the base; its time is what the others are held against."""
        forget(base)
        began = time.monotonic()
        target = self.work / "copy"
        subprocess.run(["cp", "-r", base, target], check=True)
        subprocess.run(["sync", "-f", target], check=True)
        self.rows["cp"] = {"seconds": time.monotonic() - began, "anonymous_bytes": 0}
        shutil.rmtree(target)
        print(self.line("cp"), flush=True)

    def line(self, name):
        row = self.rows[name]
        text = f"{name:8} {row['seconds']:9.2f} s   {row['anonymous_bytes'] / MIB:8.0f} MiB anonymous"
        if name in ("graft", "verify") and "cp" in self.rows:
            row["times_cp"] = self.rows["cp"]["seconds"] / row["seconds"]
            text += f"   {row['times_cp']:.2f} x cp"
        return text


def run_steps(program, work, options):
    measured = Measured(program, work)
    base, grafted = work / "base", work / "grafted"
    (work / "plan.yaml").write_text(
        PLAN % (options.experts, options.calibration_tokens, 2 * options.calibration_tokens))
    (work / "train.yaml").write_text(TRAIN % {"model": grafted, "run": work / "run", "output": work / "trained"})
    measured.step("inspect", "inspect", base)
    measured.step("profile", "expand", "profile", "--model", base, "--corpus", "corpus.yaml", "--tokens",
                  options.profile_tokens, "-o", "profile.json")
    measured.step("plan", "expand", "plan", "--model", base, "--profile", "profile.json", "--config", "plan.yaml",
                  "-o", "plan.json")
    measured.copy(base)
    measured.step("graft", "expand", "graft", "--model", base, "--plan", "plan.json", "-o", grafted, cold=[base])
    measured.step("verify", "expand", "verify", "--base", base, "--expanded", grafted, cold=[base, grafted])
    if not options.no_training:
        measured.step("train", "train", "--config", "train.yaml")
    return measured.rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--polygraft", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="what make_checkpoint.py wrote")
    parser.add_argument("--experts", type=int, default=16, help="new experts a layer")
    parser.add_argument("--profile-tokens", type=int, default=20_000 // 3, help="of each of the three languages")
    parser.add_argument("--calibration-tokens", type=int, default=1000, help="new ones; twice as many old ones")
    parser.add_argument("--no-training", action="store_true")
    options = parser.parse_args()
    rows = run_steps(options.polygraft, options.work.resolve(), options)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
