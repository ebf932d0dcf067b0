"""The main job: a language added to a small model, from text to report, twice."""

import json
import shutil
import unittest

from harness import BASE, CORPUS, NEW_LANGUAGE, OLD_LANGUAGES, WORK, flip_byte, fresh, hash_folder, load_json, partial_outputs
from harness import run, write_pipeline


class Pipeline(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = fresh("pipeline")
        cls.yaml = write_pipeline(cls.folder)
        cls.first = run("run", cls.yaml, "--json", cls.folder / "first.json", expect=None)
        cls.run_dir = cls.folder / "run"

    def test_the_exit_code_is_the_gates(self):
        outcome = load_json(self.folder / "first.json")["outcome"]
        expected = {"pass": 0, "fail": 3, "insufficient": 4}[outcome]
        self.assertEqual(self.first.returncode, expected, self.first.stderr)

    def test_the_new_language_got_better_and_old_ones_are_measured(self):
        tests = {t["language"]: t for t in load_json(self.folder / "first.json")["tests"]}
        self.assertEqual(set(tests), {*OLD_LANGUAGES, NEW_LANGUAGE})
        new = tests[NEW_LANGUAGE]
        self.assertLess(new["ci_high"], 0, "the interval of the new language's change must lie below zero")
        for language in OLD_LANGUAGES:
            self.assertLess(tests[language]["delta"] / tests[language]["baseline"], 0.02, language)

    def test_every_output_is_there_and_nothing_is_partial(self):
        for name in ["report.html", "report.md", "report.json", "junit.xml", "metrics.jsonl", "pipeline.resolved.yaml"]:
            self.assertTrue((self.run_dir / name).exists(), name)
        self.assertEqual(partial_outputs(self.run_dir), [])

    def test_its_pack_is_trained_on_where_it_lies(self):
        config = self.folder / "more.yaml"
        config.write_text(f"version: 1\nmodel: {BASE}\npack: {self.run_dir / 'pack'}\ncorpus: {CORPUS}\n"
                          f"run_dir: {self.folder / 'more-run'}\noutput: {self.folder / 'more'}\n"
                          "train: {tokens: 2048, batch_tokens: 1024, sequence_length: 128, optimizer: {learning_rate: 4.0e-3}}\n")
        self.assertIn("pack written to", run("train", "--config", config).stderr)
        self.assertEqual({file.name for file in (self.folder / "more").iterdir()},
                         {file.name for file in (self.run_dir / "pack").iterdir()})
        self.assertNotEqual(hash_folder(self.folder / "more"), hash_folder(self.run_dir / "pack"))

    def test_the_report_has_the_tokenizers_tables(self):
        page = (self.run_dir / "report.html").read_text()
        for text in ["one-byte tokens", "unused in these texts", "Words that take most tokens", "documents changed"]:
            self.assertIn(text, page)
        report = run("tokenizer", "report", "--tokenizer", self.run_dir / "model", "--against", BASE, "--corpus", CORPUS)
        for text in ["one-byte tokens", "unused in these texts", "new tokens"]:
            self.assertIn(text, report.stdout)
        values = load_json(self.run_dir / "stages" / "heldout" / "tokens.json")
        self.assertEqual(values["added_tokens"], 120)
        self.assertGreater(values["unused_tokens"], 0)
        for language in OLD_LANGUAGES:
            self.assertIn("single_byte_share", values["languages"][language])
        self.assertGreater(values["languages"][NEW_LANGUAGE]["longest_words"][0]["tokens"], 1)

    def test_a_second_run_skips_everything(self):
        before = hash_folder(self.run_dir / "model")
        second = run("run", self.yaml, expect=self.first.returncode)
        self.assertEqual(second.stderr.count("skipped"), 12, second.stderr)
        self.assertEqual(hash_folder(self.run_dir / "model"), before)

    def test_dry_run_changes_nothing(self):
        folder = fresh("dry")
        yaml = write_pipeline(folder)
        self.assertIn("would run  tokenizer", run("run", yaml, "--dry-run").stdout)
        self.assertFalse((folder / "run").exists())

    def test_verify_names_a_flipped_byte(self):
        changed = fresh("flipped") / "model"
        shutil.copytree(self.run_dir / "model", changed)
        run("expand", "verify", "--base", BASE, "--expanded", changed)
        flip_byte(changed / "model.safetensors", "model.layers.1.self_attn.k_proj.weight", 2 * 48 * 5 + 7)
        result = run("expand", "verify", "--base", BASE, "--expanded", changed, "--json", "-", expect=3)
        difference = json.loads(result.stdout)["differences"][0]
        self.assertEqual(difference["tensor"], "model.layers.1.self_attn.k_proj.weight")
        self.assertEqual(difference["row"], 5)
        self.assertEqual(difference["first_byte"], 7)

    def test_masked_model_scores_as_the_base_bit_for_bit(self):
        folder = fresh("masked")
        corpus = folder / "old.yaml"
        corpus.write_text("\n".join(line for line in CORPUS.read_text().replace("[", f"[{WORK}/").splitlines()
                                    if not line.strip().startswith(NEW_LANGUAGE)))
        run("eval", "bpb", "--model", BASE, "--corpus", corpus, "-o", folder / "base")
        run("eval", "bpb", "--model", self.run_dir / "model", "--corpus", corpus, "--mask", "all", "-o", folder / "masked")
        for language in OLD_LANGUAGES:
            nats = []
            for result in ["base", "masked"]:
                file = next((folder / result).glob(f"samples_bpb_{language}_*.jsonl"))
                nats.append([json.loads(line)["nats"] for line in file.read_text().splitlines()])
            self.assertGreater(len(nats[0]), 5)
            self.assertEqual(nats[0], nats[1])

    def test_choices_are_compared_beside_bits_per_byte(self):
        folder = fresh("pipeline-choice")
        run("eval", "cloze", "--corpus", CORPUS, "-o", folder / "tasks", "--set", "items_per_document=1")
        tasks = [str(folder / "tasks" / f"cloze_{language}.jsonl") for language in [*OLD_LANGUAGES, NEW_LANGUAGE]]
        shutil.copytree(self.run_dir, folder / "run", symlinks=True)
        result = run("run", self.yaml, "--set", f"run_dir={folder / 'run'}", "--set", f"evaluate.choice={tasks}",
                     "--set", "gate.margins={cloze_de: 0.5, es: 0.25}", "--json", folder / "comparison.json", expect=None)
        self.assertEqual(result.stderr.count("skipped"), 8, result.stderr)
        tests = load_json(folder / "comparison.json")["tests"]
        metrics = {(t["language"], t["metric"]) for t in tests}
        for language in [*OLD_LANGUAGES, NEW_LANGUAGE]:
            self.assertIn((language, "bits_per_byte"), metrics)
            self.assertIn((language, "acc"), metrics)
        margins = {test["task"]: test["margin"] for test in tests}  # one of choices alone, one of both
        self.assertEqual([margins[task] for task in ("cloze_de", "bpb_es", "cloze_es")], [-0.5, 0.25, -0.25])

    def test_old_text_behind_the_new_language_is_reported(self):
        folders = [self.run_dir / "stages" / stage / "behind" for stage in ["evaluate-base", "evaluate"]]
        compared = json.loads(run("eval", "compare", *folders, "--json", "-", expect=None).stdout)["tests"]
        report = load_json(self.run_dir / "report.json")
        table, = [t for t in report["tables"] if t["title"].startswith(f"Old text behind a passage of {NEW_LANGUAGE}")]
        self.assertEqual([row[0] for row in table["rows"]], sorted(OLD_LANGUAGES))
        self.assertEqual([row[1:3] for row in table["rows"]],
                         [[f"{test['baseline']:.4f}", f"{test['candidate']:.4f}"] for test in compared])
        plain = {test["language"]: test["baseline"] for test in report["comparison"]["tests"]}
        for test in compared:
            self.assertNotEqual(test["baseline"], plain[test["language"]])
        self.assertIn("Old text behind a passage", (self.run_dir / "report.md").read_text())

    def test_masked_model_says_what_the_base_says(self):
        def generate(model, *options):
            result = run("generate", "--model", model, "--prompt", "The document", "--set", "max_new_tokens=30", "--json", "-",
                         *options)
            return json.loads(result.stdout)

        base = generate(BASE)
        self.assertGreater(len(base["text"]), 10)
        self.assertEqual(generate(self.run_dir / "model", "--mask", "all"), base)
        refused = run("generate", "--model", BASE, "--prompt", "Hello", "--chat", expect=2)
        self.assertIn("has no chat template", refused.stderr)

    def test_a_base_with_packs_is_refused_before_anything_is_proposed(self):
        folder = fresh("init-of-packs")
        text = WORK / f"{NEW_LANGUAGE}.train.jsonl"
        refused = run("init", "--base", self.run_dir / "model", "--new", f"sw={text}", "-o", folder / "p.yaml", expect=2)
        self.assertIn("has packs already", refused.stderr)
        self.assertEqual(list(folder.iterdir()), [])

    def test_the_pack_and_the_base_are_the_model(self):
        attached = fresh("attached") / "model"
        run("expand", "attach", "--model", BASE, "--pack", self.run_dir / "pack", "-o", attached)
        self.assertEqual(hash_folder(attached), hash_folder(self.run_dir / "model"))

    def test_results_say_which_pack_was_on(self):
        folder = fresh("pack-results")
        tasks = folder / "quiz.jsonl"
        tasks.write_text(json.dumps({"id": "a", "language": "id", "context": "Klik", "choices": [" ya", " tidak"], "gold": 0}))
        for output, pack in ((folder / "base", []), (folder / "with", ["--pack", f"{self.run_dir / 'pack'}/"])):
            run("eval", "choice", "--model", BASE, *pack, "--tasks", tasks, "-o", output)
        page = folder / "page.html"
        run("eval", "compare", folder / "base", folder / "with", "--html", page, expect=4)
        additions = load_json(self.run_dir / "pack" / "pack.json")["additions_hash"]
        self.assertIn(f"pack ({additions})", page.read_text())

    def test_inspect_shows_the_pack(self):
        info = json.loads(run("inspect", self.run_dir / "model", "--json", "-").stdout)
        self.assertEqual(info["num_experts"], 12)
        self.assertEqual([p["name"] for p in info["packs"]], [NEW_LANGUAGE])


if __name__ == "__main__":
    unittest.main()
