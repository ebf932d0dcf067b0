"""Every configuration in configs/ is parsed and dry-run from its config.json alone: no weights, tokenizer or text."""

import json
import unittest

from harness import SOURCE, run

CONFIGS = sorted((SOURCE / "configs").glob("*.yaml"))
# Parameters in all and active per token, in billions, to the digits that the models' own pages state.
PARAMETERS = {"marco-nano": ("8.0", "0.6"), "marco-mini": ("17.3", "0.86"), "qwen3-30b-a3b": ("30.5", "3.3"),
              "olmoe-1b-7b": ("6.9", "1.3"), "mixtral-8x7b": ("46.7", "12.9"), "qwen1.5-moe-a2.7b": ("14.3", "2.7")}


def is_stated(count, stated):
    """Whether the count, in billions, is the stated one: pages round (0.6027 is 0.6) or cut (0.8676 is 0.86)."""
    last_digit = 10 ** -len(stated.partition(".")[2])
    return abs(count / 1e9 - float(stated)) < last_digit


class Configs(unittest.TestCase):
    def test_there_is_one_for_each_model(self):
        self.assertEqual({file.stem for file in CONFIGS}, set(PARAMETERS))

    def test_each_says_what_it_adds_and_takes(self):
        for file in CONFIGS:
            with self.subTest(file.stem):
                result = json.loads(run("run", file, "--dry-run", "--json", "-").stdout)
                total, active = PARAMETERS[file.stem]
                for key, stated in (("base_parameters", total), ("base_active_parameters", active)):
                    self.assertTrue(is_stated(result[key], stated), f"{key}: {result[key]}, stated: {stated} billion")
                self.assertGreater(result["added_parameters"], 0)
                self.assertEqual(result["added_vocab_rows"], 10_000)
                self.assertTrue(result["fits"], f"{result['peak_memory_bytes']} bytes on {result['machine']}")
                self.assertGreater(result["seconds"], 0)

    def test_the_table_names_the_machine(self):
        text = run("run", SOURCE / "configs" / "marco-nano.yaml", "--dry-run").stdout
        self.assertIn("a 32 GiB CPU machine", text)
        self.assertIn("(from config.json)", text)

    def test_a_base_larger_than_the_memory_is_said_to_be_read_from_disk(self):
        for gib, read_again in [(96, False), (24, True)]:
            text = run("run", SOURCE / "configs" / "marco-mini.yaml", "--dry-run", "--set", f"machine.memory_gib={gib}").stdout
            self.assertIn(": fits;", text)
            self.assertEqual("from disk" in text, read_again, text)

    def test_gpus_that_share_experts_are_told_how(self):
        for name in ("mixtral-8x7b", "qwen3-30b-a3b"):
            text = run("run", SOURCE / "configs" / f"{name}.yaml", "--dry-run").stdout
            self.assertIn(": fits, with --ep 2;", text)

    def test_experts_that_no_grid_holds_do_not_fit(self):
        text = run("run", SOURCE / "configs" / "mixtral-8x7b.yaml", "--dry-run", "--set", "expand.experts_per_layer=2").stdout
        self.assertIn("does NOT fit", text)

    def test_a_step_that_is_not_cut_has_no_plan_for_many_gpus(self):
        text = run("run", SOURCE / "configs" / "mixtral-8x7b.yaml", "--dry-run", "--set", "train.micro_batch_tokens=0").stdout
        self.assertIn("does NOT fit", text)

    def test_without_a_dry_run_the_missing_weights_are_named(self):
        result = run("run", SOURCE / "configs" / "marco-nano.yaml", expect=None)
        self.assertNotEqual(result.returncode, 0)


if __name__ == "__main__":
    unittest.main()
