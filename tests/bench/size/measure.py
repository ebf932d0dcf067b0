"""Runs every step of an expansion on a checkpoint that make_checkpoint.py wrote, and prints for each its wall time,
processor time, peak anonymous memory (RssAnon: what the process holds itself, without the mapped files), and where it
streams a model, its throughput beside that of `cp`.

`cp` of the base is followed by fsync of each file (`sync FILES`), as our writer does; before it and before each step that
is compared with it what they read is dropped from the page cache alike (posix_fadvise). They take turns, --rounds times,
and medians are compared. Throughput: bytes of the folder that is written (verify: of the folder that is checked) a second of
the whole command, hashing included. `graft` is compared with copied router rows ("graft, copied routers"), which need no
calibration text; the same with fitted rows is printed too, its time being that of the forward passes and fits.
The folder that detach writes must equal the base byte for byte.
"""

import argparse
import filecmp
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import make_checkpoint

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness.memory import AnonymousMemory  # noqa: E402

MIB = 1 << 20
READ = "cat of both models"  # verify's own peer
PLAN = """\
language: cc
corpus: corpus.yaml
extended_tokenizer: extended
tokenizer: {init: mean, mark_steps: 2, head: %s, pad_to: %d}
expand: {experts_per_layer: %d, router: %s, calibration_new_tokens: %d, calibration_old_tokens: %d}
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


def files_of(folder):
    return [file for file in sorted(pathlib.Path(folder).rglob("*")) if file.is_file()]


def folder_bytes(folder):
    return sum(file.stat().st_size for file in files_of(folder))


def forget(folder):
    """Drops the folder's files from the page cache."""
    for file in files_of(folder):
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def same_folders(one, other):
    names = [file.relative_to(one) for file in files_of(one)]
    return names == [file.relative_to(other) for file in files_of(other)] and all(
        filecmp.cmp(one / name, other / name, shallow=False) for name in names)


class Measured:
    """Rows of seconds, processor seconds and anonymous bytes by step; and throughputs by step, a list each."""

    def __init__(self, program, work):
        self.program, self.work, self.rows, self.rates = program, work, {}, {}

    def step(self, name, *arguments):
        self.run(name, [self.program, *map(str, arguments)])

    def run(self, name, command):
        began = time.monotonic()
        errors = self.work / "stderr"
        with open(errors, "w") as stderr:
            process = subprocess.Popen(command, cwd=self.work, stdout=subprocess.DEVNULL, stderr=stderr)
            memory = AnonymousMemory(process.pid)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        row = {"seconds": time.monotonic() - began, "processor_seconds": usage.ru_utime + usage.ru_stime,
               "anonymous_bytes": memory.peak}
        if process.returncode != 0:
            sys.exit(f"{name}: exit code {process.returncode}\n{errors.read_text()}")
        self.rows[name] = row
        print(f"{name:23} {row['seconds']:9.2f} s {row['processor_seconds']:9.2f} s of processor time "
              f"{row['anonymous_bytes'] / MIB:6.0f} MiB anonymous", flush=True)

    def stream(self, name, command, reads, result):
        """A step whose throughput counts. @param reads folders to drop from the cache. @param result whose bytes count."""
        for folder in reads:
            forget(folder)
        self.run(name, list(map(str, command)))
        self.rates.setdefault(name, []).append(folder_bytes(result) / self.rows[name]["seconds"])

    def print_rates(self):
        copied = statistics.median(self.rates["cp"])
        for name, rates in self.rates.items():
            rate = statistics.median(rates)
            self.rows[name]["times_cp"] = rate / copied
            print(f"{name:23} {rate / 1e6:9.0f} MB/s   {rate / copied:.2f} x cp   (median of {len(rates)})")
        # verify writes nothing and reads two models: where the disk reads no faster than it copies, cp is out of its reach.
        row = self.rows["verify"]
        row["times_read"] = statistics.median(self.rates["verify"]) / statistics.median(self.rates[READ])
        print(f"verify is {row['times_read']:.2f} x {READ}")


def write_plans(work, options):
    for router, head, pad_to in [("donor", "tied", 0), ("discriminant", "untied", 64)]:
        (work / f"{router}.yaml").write_text(
            PLAN % (head, pad_to, options.experts, router, options.calibration_tokens, 2 * options.calibration_tokens))


def stream_steps(measured, work, options):
    program, base, grafted = measured.program, work / "base", work / "grafted"
    copied, attached, detached, pack = work / "copied", work / "attached", work / "detached", work / "pack"
    upcycled, dense = work / "upcycled", work / "dense"
    copies = json.loads((base / "config.json").read_text())["num_experts"] // make_checkpoint.SLICES
    for _ in range(options.rounds):
        for folder in (copied, grafted, pack, attached, detached, upcycled):
            shutil.rmtree(folder, ignore_errors=True)
        measured.stream("cp", ["sh", "-c", f"cp -r '{base}' '{copied}' && sync '{copied}'/*"], [base], copied)
        shutil.rmtree(copied)
        measured.stream("graft, copied routers",
                        [program, "expand", "graft", "--model", base, "--plan", "donor.json", "-o", grafted], [base], grafted)
        measured.stream("verify", [program, "expand", "verify", "--base", base, "--expanded", grafted], [base, grafted],
                        grafted)
        measured.stream(READ, ["sh", "-c", f"cat '{base}'/*.safetensors '{grafted}'/*.safetensors >/dev/null"], [base, grafted], grafted)
        measured.step("pack", "expand", "pack", "--expanded", grafted, "-o", pack)
        measured.stream("detach", [program, "expand", "detach", "--model", grafted, "--pack", "cc", "-o", detached], [grafted],
                        detached)
        if not same_folders(base, detached):
            sys.exit("detaching did not give the base back")
        shutil.rmtree(detached)
        shutil.rmtree(grafted)
        measured.stream("upcycle", [program, "expand", "upcycle", "--model", dense, "--set", f"slices={make_checkpoint.SLICES}",
                                    "--set", f"copies={copies}", "-o", upcycled], [dense], upcycled)
        shutil.rmtree(upcycled)
        measured.stream("attach", [program, "expand", "attach", "--model", base, "--pack", pack, "-o", attached],
                        [base, pack], attached)
    for folder in (attached, pack):
        shutil.rmtree(folder)


def run_steps(measured, work, options):
    base, grafted = work / "base", work / "grafted"
    write_plans(work, options)
    measured.step("inspect", "inspect", base)
    measured.step("profile", "expand", "profile", "--model", base, "--corpus", "corpus.yaml", "--tokens",
                  options.profile_tokens, "-o", "profile.json")
    for router in ("donor", "discriminant"):
        measured.step("plan", "expand", "plan", "--model", base, "--profile", "profile.json", "--config", f"{router}.yaml",
                      "-o", f"{router}.json")
    stream_steps(measured, work, options)
    measured.step("graft", "expand", "graft", "--model", base, "--plan", "discriminant.json", "-o", grafted)
    if not options.no_training:
        (work / "train.yaml").write_text(TRAIN % {"model": grafted, "run": work / "run", "output": work / "trained"})
        measured.step("train", "train", "--config", "train.yaml")
    measured.print_rates()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--polygraft", required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="what make_checkpoint.py wrote")
    parser.add_argument("--experts", type=int, default=16, help="new experts a layer")
    parser.add_argument("--profile-tokens", type=int, default=20_000 // 3, help="of each of the three languages")
    parser.add_argument("--calibration-tokens", type=int, default=1000, help="new ones; twice as many old ones")
    parser.add_argument("--rounds", type=int, default=1, help="how often cp and what is compared with it take turns")
    parser.add_argument("--no-training", action="store_true")
    options = parser.parse_args()
    work = options.work.resolve()
    measured = Measured(str(pathlib.Path(options.polygraft).resolve()), work)
    run_steps(measured, work, options)
    print(json.dumps(measured.rows))


if __name__ == "__main__":
    main()
