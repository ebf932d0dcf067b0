"""Times `polygraft eval bpb` beside lm-evaluation-harness; see bench.sh."""

import argparse
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "integration"))
from reference_eval import context_of, lm_eval, results, samples, write_rolling_tasks  # noqa: E402

TOLERANCE = 2e-4  # relative, of a document's log-likelihood: float32 sums in another order
LONGEST_CONTEXT = 2048  # polygraft's default window, given to both
MODES = (("float32", 1), ("float32", 8), ("bfloat16", 8))  # lm-eval's dtype and batch size; its best counts


def cut(file, target, num_bytes):
    """Whole documents up to about num_bytes."""
    with open(file, encoding="utf-8") as lines, open(target, "w", encoding="utf-8") as out:
        while out.tell() < num_bytes and (line := lines.readline()):
            out.write(line)


class Turn:
    """Wall and processor seconds of what runs inside."""

    def __enter__(self):
        self.before, self.start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        return self

    def __exit__(self, *_):
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.wall = time.monotonic() - self.start
        self.work = after.ru_utime + after.ru_stime - self.before.ru_utime - self.before.ru_stime


class Bench:
    def __init__(self, arguments, folder, name, model):
        self.arguments, self.folder, self.name, self.model = arguments, folder, name, pathlib.Path(model)
        self.context = min(context_of(self.model), LONGEST_CONTEXT)
        files = {}
        for language in ("en", "id"):
            files[language] = folder / f"{language}.jsonl"
            cut(pathlib.Path(arguments.data) / f"{language}.heldout.jsonl", files[language], arguments.bytes)
        self.tasks = [f"bpb_{language}" for language in files]
        self.num_bytes = sum(file.stat().st_size for file in files.values())
        rows = [f"  {language}: {{role: old, heldout: [{file}]}}\n" for language, file in files.items()]
        (folder / "corpus.yaml").write_text("languages:\n" + "".join(rows))
        write_rolling_tasks(files, folder / "tasks")

    def ours(self, out):
        with Turn() as turn:
            subprocess.run([self.arguments.polygraft, "eval", "bpb", "--model", self.model, "--corpus",
                            self.folder / "corpus.yaml", "-o", out, "--quiet", "--threads", str(self.arguments.threads)],
                           check=True, stdout=subprocess.DEVNULL)
        return turn

    def theirs(self, out, dtype, batch_size):
        with Turn() as turn:
            lm_eval(self.model, self.tasks, self.folder / "tasks", out, self.context, batch_size, dtype, self.arguments.threads)
        return turn

    def check(self, ours, theirs):
        """The same figures for every document; returns the largest relative difference."""
        largest = 0
        for task in self.tasks:
            for a, b in zip(samples(ours, task), samples(theirs, task), strict=True):
                largest = max(largest, abs(a["bits_per_byte"][0] / b["bits_per_byte"][0] - 1))
            figures = [results(side)[task]["bits_per_byte,none"] for side in (ours, theirs)]
            print(f"{self.name} {task}: {figures[0]:.6f} bits per byte, lm-eval {figures[1]:.6f}")
            largest = max(largest, abs(figures[0] / figures[1] - 1))
        if largest > TOLERANCE:
            sys.exit(f"{self.name}: a log-likelihood differs by {largest:.1e}, more than {TOLERANCE:.0e}")
        print(f"{self.name}: every document within {largest:.1e} of lm-eval's log-likelihood")

    def run(self):
        times = {"polygraft": [], **{mode: [] for mode in MODES}}
        for turn in range(self.arguments.rounds):
            out = self.folder / f"ours-{turn}"
            times["polygraft"].append(self.ours(out))
            for dtype, batch_size in MODES:
                theirs = self.folder / f"theirs-{turn}-{dtype}-{batch_size}"
                times[dtype, batch_size].append(self.theirs(theirs, dtype, batch_size))
                if turn == 0 and dtype == "float32":
                    self.check(out, theirs)
        wall = {who: statistics.median(turn.wall for turn in turns) for who, turns in times.items()}
        work = {who: statistics.median(turn.work for turn in turns) for who, turns in times.items()}
        best = min(MODES, key=lambda mode: wall[mode])
        for who in times:
            label = who if who == "polygraft" else f"lm-eval {who[0]} batch {who[1]}"
            print(f"{self.name} {label}: {wall[who]:.2f} s, {work[who]:.2f} s of processor time")
        print(f"{self.name}: polygraft is {wall[best] / wall['polygraft']:.2f} times as fast as lm-eval's best "
              f"({best[0]}, batch {best[1]}); processor time {work[best] / work['polygraft']:.2f}; whole commands, "
              f"{self.num_bytes} bytes, {self.arguments.threads} threads, medians of {self.arguments.rounds}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--polygraft", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", action="append", required=True, help="NAME=FOLDER")
    parser.add_argument("--bytes", type=int, default=60_000, help="of each of two languages")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for named in arguments.model:
        name, _, model = named.partition("=")
        with tempfile.TemporaryDirectory() as folder:
            Bench(arguments, pathlib.Path(folder), name, model).run()


main()
