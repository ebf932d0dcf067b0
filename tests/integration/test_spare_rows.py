"""The pipeline on a base with spare vocabulary rows: new tokens take them, the run resumes to the same bytes, and transformers
loads the result. Needs the --parity packages."""

import json
import unittest

import torch
import transformers
from harness import BASE, CORPUS, NEW_LANGUAGE, fresh, hash_folder, load_json, run, write_pipeline
from test_kill import run_until_killed

SPARE_ROWS = 20


class SpareRows(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.base = fresh("spare-base") / "base"
        tokenizer = transformers.AutoTokenizer.from_pretrained(BASE)
        cls.num_tokens = len(tokenizer)
        model = transformers.AutoModelForCausalLM.from_pretrained(BASE, dtype="auto")
        torch.manual_seed(5)
        model.resize_token_embeddings(cls.num_tokens + SPARE_ROWS, mean_resizing=False)
        model.save_pretrained(cls.base)
        tokenizer.save_pretrained(cls.base)
        cls.yaml = write_pipeline(fresh("spare-run"), base=cls.base)
        cls.first = run("run", cls.yaml, "--json", cls.yaml.with_suffix(".json"), expect=None)
        cls.model = cls.yaml.parent / "run" / "model"

    def test_it_verifies_and_the_rows_stand_where_the_plan_said(self):
        self.assertIn(self.first.returncode, (0, 3, 4), self.first.stderr)
        manifest = load_json(self.model / "polygraft.json")
        plan = manifest["provenance"]["plan"]
        self.assertEqual(manifest["first_vocab_row"], self.num_tokens)
        self.assertEqual(plan["spare_vocab_rows"], SPARE_ROWS)
        self.assertEqual(plan["grown_vocab_rows"], plan["new_vocab_rows"] - SPARE_ROWS)
        report = json.loads(run("expand", "verify", "--base", self.base, "--expanded", self.model, "--json", "-").stdout)
        self.assertTrue(report["ok"] and report["masked_logits_equal"])

    def test_transformers_loads_it_and_ids_are_contiguous(self):
        model, loading = transformers.AutoModelForCausalLM.from_pretrained(self.model, output_loading_info=True)
        for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            self.assertFalse(loading[problem], problem)
        tokenizer = transformers.AutoTokenizer.from_pretrained(self.model)
        self.assertEqual(sorted(tokenizer.get_vocab().values()), list(range(len(tokenizer))))
        self.assertGreaterEqual(model.get_input_embeddings().weight.shape[0], len(tokenizer))

    def test_a_masked_pack_in_memory_reads_the_new_language_as_the_base_does(self):
        nats = []
        pack = ("--pack", self.model.parent / "pack", "--mask", "all")
        for name, more in (("base", ()), ("masked", pack)):
            folder = fresh(f"spare-scores-{name}")
            run("eval", "bpb", "--model", self.base, "--corpus", CORPUS, *more, "-o", folder / "result")
            file = next((folder / "result").glob(f"samples_bpb_{NEW_LANGUAGE}_*.jsonl"))
            nats.append([json.loads(line)["nats"] for line in file.read_text().splitlines()])
        self.assertGreater(len(nats[0]), 5)
        self.assertEqual(nats[0], nats[1])

    def test_killed_runs_resume_to_the_same_bytes(self):
        yaml = write_pipeline(fresh("spare-killed"), base=self.base)
        for kills in range(30):
            if run_until_killed(yaml, 6 * (1 + kills)):
                break
        self.assertGreaterEqual(kills, 1, "the kills must have hit something")
        self.assertEqual(hash_folder(yaml.parent / "run" / "model"), hash_folder(self.model))


if __name__ == "__main__":
    unittest.main()
