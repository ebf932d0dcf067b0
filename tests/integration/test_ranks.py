"""`run`, `eval bpb`, `eval choice`, `expand profile` and `expand graft` on several processes: the bytes of one, whatever
their number; a killed rank; commands that have no use for ranks."""

import json
import shutil
import signal
import unittest

from harness import BASE, CORPUS, NEW_LANGUAGE, OLD_LANGUAGES, PROGRAM, WORK, fresh, hash_folder, partial_outputs, run, \
    write_pipeline
from ranks import Noted, run_on, start_until_hit

LANGUAGES = [*OLD_LANGUAGES, NEW_LANGUAGE]


def command(*words):
    return [PROGRAM, *words, "--threads", "1"]


def without_clock(folder):
    """What an evaluation wrote, but for when."""
    files = {}
    for file in folder.iterdir():
        kind = file.name.split("_20")[0]
        files[kind] = file.read_text()
        if kind == "results":
            results = json.loads(files[kind])
            del results["date"]
            files[kind] = results
    return files


class Ranks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = fresh("ranks")
        run("run", write_pipeline(cls.folder), "--until", "plan")
        cls.stages = cls.folder / "run" / "stages"

    def check_one_speaks(self, said, num_ranks):
        self.assertEqual(said.count("written to"), 1, said)
        self.assertEqual(said.count("ranks by mpirun"), 1 if num_ranks > 1 else 0, said)

    def check_every_number(self, name, words, content):
        """@param content of the output."""
        outputs = {}
        for num_ranks in (1, 2, 3):
            output = self.folder / f"{name}-{num_ranks}"
            said = run_on(num_ranks, *command(*words, "-o", output))
            self.check_one_speaks(said, num_ranks)
            outputs[num_ranks] = content(output)
            self.assertEqual(outputs[num_ranks], outputs[1], f"{num_ranks} ranks")
        self.assertEqual(partial_outputs(self.folder), [])
        self.assertEqual(list(self.folder.glob("*.unfinished")), [])

    def test_bits_per_byte_on_any_number_of_ranks(self):
        self.check_every_number("bpb", ["eval", "bpb", "--model", BASE, "--corpus", CORPUS], without_clock)

    def test_choices_on_any_number_of_ranks(self):
        run("eval", "cloze", "--corpus", CORPUS, "-o", self.folder / "tasks")
        tasks = sorted((self.folder / "tasks").glob("*.jsonl"))[:2]
        self.check_every_number("choice", ["eval", "choice", "--model", BASE, "--tasks", *tasks], without_clock)

    def test_a_profile_on_any_number_of_ranks(self):
        self.check_every_number("profile", ["expand", "profile", "--model", BASE, "--corpus", CORPUS],
                                lambda file: file.read_bytes())

    def test_a_graft_on_any_number_of_ranks_and_its_causes(self):
        self.check_every_number("graft", ["expand", "graft", "--model", BASE, "--plan", self.stages / "plan" / "plan.json"],
                                hash_folder)
        self.check_every_number("causes", ["eval", "bpb", "--model", self.folder / "graft-2", "--corpus", CORPUS, "--causes"],
                                without_clock)

    def test_an_existing_output_is_refused_and_no_rank_is_blamed(self):
        output = fresh("ranks-there")
        said = run_on(2, *command("eval", "bpb", "--model", BASE, "--corpus", CORPUS, "-o", output), expect=[2])
        self.assertIn("already exists", said)
        self.assertNotIn("rank error", said)

    def test_a_command_for_one_process_is_refused_under_several(self):
        for words in (["inspect", BASE], ["expand", "plan", "--model", BASE, "--dry-run"]):
            with self.subTest(words=words):
                said = run_on(2, *command(*words), expect=[2])
                self.assertIn("is the work of one process", said)
                self.assertIn("2 by mpirun", said)
                self.assertIn("unset OMPI_COMM_WORLD_SIZE", said)
        run_on(2, PROGRAM, "inspect", "--help")

    def pipeline(self, name):
        """@return the command of a whole run whose steps can be shared, and the folder of what it leaves."""
        folder = fresh(name)
        return command("run", write_pipeline(folder), "--set", "train.micro_batch_tokens=512"), folder / "run"

    def test_a_whole_run_on_any_number_of_ranks(self):
        alone, expected = self.pipeline("run-alone")
        run_on(1, *alone)
        shared, found = self.pipeline("run-shared")
        said = run_on(2, *shared, "--ep", "2", "--until", "graft")
        self.assertEqual(said.count("] graft"), 1, said)
        said = run_on(3, *shared)
        self.assertEqual(said.count("] graft: done before, skipped"), 1, said)
        for part in ("model", "pack"):
            self.assertEqual(hash_folder(found / part), hash_folder(expected / part), part)
        for stage in ("profile/profile.json", "compare/comparison.json"):
            texts = [json.loads((folder / "stages" / stage).read_text()) for folder in (expected, found)]
            self.assertEqual(*texts, stage)
        self.assertTrue((found / "report.html").exists())
        self.assertEqual(partial_outputs(found), [])
        self.assertEqual(list(found.glob("stages/*.unfinished")), [])

    def test_a_run_whose_steps_cannot_be_shared_is_refused_before_it_begins(self):
        folder = fresh("run-whole-steps")
        said = run_on(2, *command("run", write_pipeline(folder)), expect=[2])
        self.assertIn("train.micro_batch_tokens", said)
        self.assertFalse((folder / "run").exists())

    def long_evaluation(self, name):
        """@return the command, and its output: enough text for the first language's scores to be seen on the way."""
        corpus = self.folder / "long.yaml"
        lines = [f"  {language}: {{role: old, heldout: [{WORK / language}.train.jsonl]}}\n" for language in LANGUAGES]
        corpus.write_text("languages:\n" + "".join(lines))
        output = self.folder / name
        return command("eval", "bpb", "--model", BASE, "--corpus", corpus, "-o", output), output

    def hit_a_rank(self, name, who, how):
        """Sends a signal to one rank of two once a language has been scored. @return exit codes and what they said."""
        evaluation, output = self.long_evaluation(name)
        kept = output.with_name(output.name + ".unfinished")
        ranks = Noted(f"ranks-{name}-notes")

        def begin():
            shutil.rmtree(kept, ignore_errors=True)
            shutil.rmtree(output, ignore_errors=True)

        start_until_hit(ranks.command(*evaluation), lambda: list(kept.glob("*.scores")), lambda _: ranks.send(who, how),
                        begin, output)
        self.assertTrue(list(kept.glob("*.scores")))
        return ranks.codes(), ranks.said()

    def check_continues(self, name, num_ranks):
        whole, expected = self.long_evaluation("long-alone")
        if not expected.exists():
            run_on(1, *whole)
        evaluation, output = self.long_evaluation(name)
        run_on(num_ranks, *evaluation)
        self.assertEqual(without_clock(output), without_clock(expected))

    def test_a_killed_rank_is_named_and_one_process_goes_on(self):
        codes, said = self.hit_a_rank("killed", 1, signal.SIGKILL)
        self.assertEqual(codes, [1, 137], said)
        self.assertIn("rank error: rank 1 (process ", said[0])
        self.check_continues("killed", 1)

    def test_a_rank_that_is_told_to_stop_stops_all_and_three_go_on(self):
        codes, said = self.hit_a_rank("told", 0, signal.SIGTERM)
        self.assertEqual(codes, [143, 143], said)
        self.check_continues("told", 3)


if __name__ == "__main__":
    unittest.main()
