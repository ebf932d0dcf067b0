"""`polygraft train` on several processes: the bits of one, whatever the grid; a killed rank; another number of ranks."""

import json
import shutil
import signal
import subprocess
import unittest

from harness import CORPUS, PROGRAM, fresh, hash_folder, partial_outputs, run, write_pipeline
from ranks import Noted, mpirun, run_on, start_until_hit

TRAIN_YAML = """\
version: 1
model: {model}
corpus: {corpus}
run_dir: {run_dir}
output: {run_dir}/model
seed: 17
train:
  trainable: additions
  tokens: 6000
  sequence_length: 64
  batch_tokens: 1024
  micro_batch_tokens: 320
  optimizer: {{learning_rate: 4.0e-3}}
  replay: {{fraction: 0.25}}
  probe: {{every_tokens: 3000, bytes_per_language: 2048}}
  budget: {{max_relative_bpb: 0.003}}
  checkpoint: {{every_tokens: 1024, keep: 2}}
"""


def train_command(config, *options):
    return [PROGRAM, "train", "--config", str(config), "--threads", "1", *options]


def train_on(num_ranks, config, *options, expect=(0, 3)):
    """@return what all ranks wrote to stderr. Exit code 3: trained, but no probe was inside the budget."""
    return run_on(num_ranks, *train_command(config, *options), expect=expect)


def checkpoints(run_dir):
    return sorted(int(path.name.split("-")[1]) for path in run_dir.glob("checkpoint-*") if path.name[11:].isdigit())


class Parallel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = fresh("parallel")
        run("run", write_pipeline(cls.folder), "--until", "graft")
        train_on(1, cls.config("alone"))
        cls.expected = cls.results("alone")

    @classmethod
    def config(cls, name):
        file = cls.folder / f"{name}.yaml"
        model = cls.folder / "run" / "stages" / "graft" / "model"
        file.write_text(TRAIN_YAML.format(model=model, corpus=CORPUS, run_dir=cls.folder / name))
        return file

    @classmethod
    def results(cls, name):
        """The model, and metrics.jsonl but for what the clock says."""
        run_dir = cls.folder / name
        lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
        for line in lines:
            line.pop("tokens_per_second", None)
        return hash_folder(run_dir / "model"), lines

    def check_results(self, name):
        self.assertEqual(self.results(name), self.expected, name)
        self.assertEqual(partial_outputs(self.folder / name), [])

    def test_every_grid_trains_the_bits_of_one_process(self):
        for num_ranks, options in [(2, ["--ep", "2"]), (4, ["--ep", "4"]), (4, ["--ep", "2", "--dp", "2"]), (2, [])]:
            name = f"grid-{num_ranks}{''.join(options)}"
            said = train_on(num_ranks, self.config(name), *options)
            self.check_results(name)
            self.assertEqual(said.count("ranks by mpirun"), 1, "one rank speaks for all")
            self.assertEqual(said.count("model written to"), 1, said)

    def test_a_grid_that_does_not_fit_is_refused(self):
        said = train_on(2, self.config("refused"), "--ep", "3", expect=[2])
        self.assertIn("expected: ep x dp = 2", said)
        self.assertFalse((self.folder / "refused").exists())

    def test_a_time_that_no_clock_counts_is_refused(self):
        for seconds in ("0", "1e10"):
            said = train_on(1, self.config("untimed"), "--rank-timeout", seconds, expect=[2])
            self.assertIn("--rank-timeout", said)
        self.assertFalse((self.folder / "untimed").exists())

    def test_a_rank_that_never_starts_is_not_waited_for(self):
        """Its place is taken by a process that knows nothing of MPI."""
        command = train_command(self.config("unstarted"), "--rank-timeout", "4")
        launcher = [*mpirun(2, *command), ":", "-n", "1", "sleep", "60"]
        result = subprocess.run(launcher, capture_output=True, text=True, timeout=50)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("rank error: a rank: did not start within 4 s", result.stderr)
        self.assertFalse((self.folder / "unstarted" / "model").exists())

    def test_ranks_need_pieces(self):
        said = train_on(2, self.config("whole"), "--set", "train.micro_batch_tokens=0", expect=[2])
        self.assertIn("train.micro_batch_tokens", said)

    def start_until_hit(self, name, hit, command):
        """Calls `hit` with the command's process after the first checkpoint."""
        run_dir = self.folder / name
        start_until_hit(command, lambda: checkpoints(run_dir), hit,
                        begin=lambda: shutil.rmtree(run_dir, ignore_errors=True), output=run_dir / "model")

    def hit_a_rank(self, name, who, how, *options):
        """Sends a signal to one rank of two in the middle of training. @return both exit codes and what they said."""
        ranks = Noted(f"parallel-{name}-notes")
        self.start_until_hit(name, lambda _: ranks.send(who, how),
                             ranks.command(*train_command(self.config(name), *options)))
        self.assertTrue(checkpoints(self.folder / name))
        return ranks.codes(), ranks.said()

    def test_a_killed_rank_ends_the_other_and_one_process_goes_on(self):
        codes, said = self.hit_a_rank("two-to-one", 1, signal.SIGKILL, "--ep", "2")
        self.assertEqual(codes, [1, 137], said)
        self.assertIn("rank error: rank 1 (process ", said[0])
        train_on(1, self.config("two-to-one"))
        self.check_results("two-to-one")

    def test_the_first_rank_is_no_exception(self):
        codes, said = self.hit_a_rank("two-to-four", 0, signal.SIGKILL)
        self.assertEqual(codes, [137, 1], said)
        self.assertIn("rank error: rank 0 (process ", said[1])
        train_on(4, self.config("two-to-four"), "--ep", "4")
        self.check_results("two-to-four")

    def test_a_rank_that_is_told_to_stop_stops_all_after_the_same_step(self):
        codes, said = self.hit_a_rank("told", 1, signal.SIGTERM, "--set", "train.checkpoint.every_tokens=2000")
        self.assertEqual(codes, [143, 143], said)

    def test_a_rank_that_is_told_to_stop_in_a_probe_stops_all(self):
        """The first probe is of much text; it comes after the log has said what replayed text costs."""
        run_dir = self.folder / "probed"
        ranks = Noted("parallel-probed-notes")
        log = ranks.notes / "error.0"

        def begin():
            log.unlink(missing_ok=True)
            shutil.rmtree(run_dir, ignore_errors=True)

        command = train_command(self.config("probed"), "--set", "train.probe.bytes_per_language=200000", "--rank-timeout", "60")
        start_until_hit(ranks.command(*command), lambda: log.exists() and "replayed text counts" in log.read_text(),
                        lambda _: ranks.send(1, signal.SIGTERM), begin, run_dir / "model")
        self.assertEqual(ranks.codes(), [143, 143], ranks.said())

    def test_ranks_that_wait_while_the_first_works_alone_are_interrupted_like_it(self):
        run_dir = self.folder / "waiting"
        ranks = Noted("parallel-waiting-notes")
        log = ranks.notes / "error.0"
        alone = ["--set", "train.replay.source=self", "--set", "train.replay.self_tokens=2000000"]

        def begin():
            log.unlink(missing_ok=True)
            shutil.rmtree(run_dir, ignore_errors=True)

        start_until_hit(ranks.command(*train_command(self.config("waiting"), *alone)),
                        lambda: log.exists() and "trainable parameters" in log.read_text(),
                        lambda _: [ranks.send(who, signal.SIGTERM) for who in (1, 0)], begin, run_dir / "model")
        self.assertEqual(ranks.codes(), [143, 143], ranks.said())

    def test_a_killed_process_goes_on_as_two_ranks(self):
        command = train_command(self.config("one-to-two"))
        self.start_until_hit("one-to-two", lambda process: process.kill(), command)
        train_on(2, self.config("one-to-two"), "--ep", "2")
        self.check_results("one-to-two")


if __name__ == "__main__":
    unittest.main()
