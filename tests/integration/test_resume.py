"""kill -9 during an evaluation, then the same command: the same samples, byte for byte, and nothing scored twice."""

import contextlib
import random
import signal
import subprocess
import time
import unittest

from harness import NEW_LANGUAGE, PROGRAM, WORK, fresh, load_json, partial_outputs, run

MODEL = WORK / "pipeline" / "run" / "model"  # integration.pipeline leaves it


def contents(folder):
    """The samples as they are, and the results but for their times."""
    out = {}
    for file in folder.iterdir():
        if file.suffix == ".jsonl":
            out[file.name.rsplit("_", 1)[0]] = file.read_text()
        else:
            document = load_json(file)
            document.pop("date")
            out["results"] = document
    return out


def scored_bytes(unfinished):
    """How much has been scored and kept, in bytes of the logs. A running process moves them about."""
    with contextlib.suppress(FileNotFoundError):
        return sum(file.stat().st_size for file in unfinished.glob("*.scores"))
    return 0


class Resume(unittest.TestCase):
    def killed_again_and_again(self, out, *command):
        """Kills the command soon after it has kept more than at the last kill, now and then long before, until its output is
        there; returns what was kept at each kill."""
        pauses, kept = random.Random(5), []
        unfinished = out.with_name(out.name + ".unfinished")
        for turn in range(200):
            with subprocess.Popen([PROGRAM, *map(str, command), "-o", str(out)], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE) as process:
                is_early = turn % 4 == 0
                while not is_early and process.poll() is None and scored_bytes(unfinished) <= max(kept, default=0):
                    time.sleep(0.005)
                try:
                    process.wait(pauses.uniform(0, 0.2))
                    self.assertEqual(process.returncode, 0, process.stderr.read())
                    self.assertFalse(unfinished.exists())
                    return kept
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
            if out.exists():  # killed between its last step and its end
                return kept
            kept.append(scored_bytes(unfinished))
        self.fail("the evaluation never ended")

    def check(self, name, *command):
        folder = fresh(f"resume-{name}")
        run(*command, "-o", folder / "whole")
        kept = self.killed_again_and_again(folder / "killed", *command)
        self.assertGreaterEqual(len(set(kept)), 2, "kills must have come before anything was kept and after")
        self.assertEqual(kept, sorted(kept), "what was scored is never scored again")
        self.assertEqual(contents(folder / "killed"), contents(folder / "whole"))
        self.assertEqual(partial_outputs(folder), [])

    def test_bits_per_byte_with_causes(self):
        corpus = fresh("resume-corpus") / "corpus.yaml"
        corpus.write_text(f"""languages:
  en: {{role: old, heldout: [{WORK}/en.train.jsonl]}}
  {NEW_LANGUAGE}: {{role: new, heldout: [{WORK}/{NEW_LANGUAGE}.heldout.jsonl]}}
""")
        self.check("bpb", "eval", "bpb", "--model", MODEL, "--corpus", corpus, "--causes", "--threads", "1")

    def test_choices(self):
        tasks = fresh("resume-tasks") / "tasks"
        corpus = tasks.with_name("corpus.yaml")
        corpus.write_text(f"languages:\n  en: {{role: old, heldout: [{WORK}/en.train.jsonl]}}\n")
        run("eval", "cloze", "--corpus", corpus, "-o", tasks, "--set", "items_per_document=20",
            "--set", "context_characters=300")
        self.check("choice", "eval", "choice", "--model", MODEL, "--tasks", tasks / "cloze_en.jsonl", "--threads", "1")

    def test_a_signal_ends_with_130_and_the_evaluation_continues(self):
        folder = fresh("resume-signal")
        corpus = folder / "corpus.yaml"
        corpus.write_text(f"languages:\n  en: {{role: old, heldout: [{WORK}/en.train.jsonl]}}\n")
        command = ["eval", "bpb", "--model", MODEL, "--corpus", corpus, "--causes", "--threads", "1", "-o", folder / "out"]
        with subprocess.Popen([PROGRAM, *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            unfinished = folder / "out.unfinished"
            while process.poll() is None and not any(unfinished.glob("*.scores")):
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(60), 130)
        self.assertTrue(any(unfinished.glob("*.scores")))
        self.assertFalse((folder / "out").exists())
        run(*command)
        self.assertFalse(unfinished.exists())


if __name__ == "__main__":
    unittest.main()
