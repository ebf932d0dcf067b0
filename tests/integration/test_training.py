"""Training where something is missing: text of the old languages, or a way to stay inside the budget."""

import unittest

from harness import CORPUS, NEW_LANGUAGE, WORK, fresh, load_json, run, write_pipeline

TRAIN_YAML = """\
version: 1
model: {model}
corpus: {corpus}
run_dir: {folder}/run
output: {folder}/model
train:
  tokens: 4000
  sequence_length: 128
  batch_tokens: 1024
  optimizer: {{learning_rate: 4.0e-3}}
  probe: {{every_tokens: 2000, bytes_per_language: 4096}}
  budget: {{max_relative_bpb: 0}}
"""


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = fresh("training")
        cls.corpus = cls.folder / "corpus.yaml"
        files = ", ".join(f"{part}: [{WORK}/{NEW_LANGUAGE}.{part}.jsonl]" for part in ["train", "heldout"])
        cls.corpus.write_text(f"languages:\n  {NEW_LANGUAGE}: {{role: new, {files}}}\n")
        cls.yaml = write_pipeline(cls.folder, corpus=cls.corpus)
        cls.command = ["run", cls.yaml, "--set", "train.replay.source=self", "--set", "train.replay.self_tokens=12000"]
        cls.first = run(*cls.command, "--json", cls.folder / "comparison.json", expect=None)

    def test_without_old_text_the_base_writes_it(self):
        refused = run("run", self.yaml, expect=2)
        self.assertIn("train.replay.source: self", refused.stderr)
        self.assertIn(self.first.returncode, [0, 3, 4], self.first.stderr)
        tests = {t["language"]: t for t in load_json(self.folder / "comparison.json")["tests"]}
        self.assertEqual(set(tests), {"self", NEW_LANGUAGE})
        self.assertLess(tests[NEW_LANGUAGE]["ci_high"], 0)
        self.assertGreaterEqual(tests["self"]["n"], 20)
        second = run(*self.command, expect=self.first.returncode)
        self.assertEqual(second.stderr.count("skipped"), 13, second.stderr)

    def test_a_budget_that_cannot_be_kept_ends_with_3_and_the_least_harmful_weights(self):
        folder = fresh("training-budget")
        config = folder / "train.yaml"
        model = self.folder / "run" / "stages" / "graft" / "model"
        config.write_text(TRAIN_YAML.format(model=model, corpus=CORPUS, folder=folder))
        result = run("train", "--config", config, "--json", folder / "train.json", expect=3)
        self.assertIn("the least harmful one's weights are written: step", result.stderr)
        self.assertTrue((folder / "model" / "model.safetensors").exists())
        self.assertIs(load_json(folder / "train.json")["within_budget"], False)
        self.assertNotIn("no train.budget", result.stderr)

    def test_without_a_budget_nothing_holds_the_old_languages_and_that_is_said(self):
        folder = fresh("training-without-budget")
        config = folder / "train.yaml"
        model = self.folder / "run" / "stages" / "graft" / "model"
        with_budget = TRAIN_YAML.format(model=model, corpus=CORPUS, folder=folder)
        config.write_text(with_budget.replace("  budget: {max_relative_bpb: 0}\n", ""))
        self.assertIn("no train.budget: nothing limits what ", run("train", "--config", config).stderr)


if __name__ == "__main__":
    unittest.main()
