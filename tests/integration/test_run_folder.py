"""A run folder whose settings change: no report of two runs, no old verdict, no training thrown away."""

import json
import os
import re
import shutil
import unittest

from harness import BASE, CORPUS, NEW_LANGUAGE, WORK, flip_byte, fresh, hash_folder, load_json, run

RUN = WORK / "pipeline" / "run"  # integration.pipeline leaves it
YAML = RUN.with_name("pipeline.yaml")
REPORTS = ["report.html", "report.md", "report.json", "junit.xml"]


class RunFolder(unittest.TestCase):
    def setUp(self):
        self.dir = fresh("run-folder") / "run"
        shutil.copytree(RUN, self.dir, symlinks=True)
        self.exit_code = {"pass": 0, "fail": 3, "insufficient": 4}[load_json(RUN / "report.json")["comparison"]["outcome"]]

    def pipeline(self, *options, expect=None):
        return run("run", YAML, "--set", f"run_dir={self.dir}", *options, expect=expect)

    def reports(self):
        return [name for name in REPORTS if (self.dir / name).exists()]

    def test_a_report_of_two_runs_is_refused(self):
        verdict = self.dir.with_name("verdict.json")
        verdict.write_text('{\n  "outcome": "pass"\n}\n')
        self.pipeline("--set", "train.tokens=20000", "--until", "tokenizer", "--json", verdict, expect=0)
        self.assertEqual(self.reports(), [])
        self.assertEqual(load_json(verdict), {"until": "tokenizer"})
        message = run("report", self.dir, expect=2).stderr
        self.assertIn("stage 'train' was made under other settings", message)
        self.assertIn("run the pipeline to its end", message)
        self.assertEqual(self.reports(), [])
        again = self.pipeline(expect=self.exit_code)  # what was made under these settings still counts
        self.assertEqual(again.stderr.count("skipped"), 11, again.stderr)
        self.assertEqual(self.reports(), REPORTS)
        run("report", self.dir)

    def test_a_report_file_that_is_missing_is_made_again(self):
        self.pipeline(expect=self.exit_code)  # the report names its folder, which is another
        for name in REPORTS:
            (self.dir / name).unlink()
            again = self.pipeline(expect=self.exit_code)
            self.assertEqual(again.stderr.count("skipped"), 11, again.stderr)
            self.assertEqual(self.reports(), REPORTS)
        self.assertEqual(self.pipeline(expect=self.exit_code).stderr.count("skipped"), 12)

    def test_a_curve_whose_last_line_is_cut_is_shown_as_far_as_it_goes(self):
        metrics = self.dir / "training" / "metrics.jsonl"
        whole = metrics.read_text()
        metrics.write_text(whole[:-20])
        self.assertIn("The last line of metrics.jsonl is cut off", run("report", self.dir).stderr)
        loss = next(chart for chart in load_json(self.dir / "report.json")["charts"] if chart["title"] == "Training loss")
        self.assertGreater(len(loss["curves"][0]["points"]), 5)
        self.assertIn("is cut off", loss["note"])
        metrics.write_text("{\n" + whole)
        self.assertIn("metrics.jsonl:1", run("report", self.dir, expect=1).stderr)

    def test_training_outside_its_budget_is_said_beside_the_verdict(self):
        file = self.dir / "stages" / "train" / "train.json"
        inside, step = load_json(file), {"within_budget": False, "best_step": 12, "blend": None}
        for said, training in {"Training ended outside its budget of +0.300 %": step,
                               "Training found nothing inside its budget of +0.300 %": step | {"best_step": 0}}.items():
            file.write_text(json.dumps(inside | training))
            self.assertIn(said, run("report", self.dir).stdout)
            for name in REPORTS:
                text = (self.dir / name).read_text().replace("\u00a0", " ")  # the page keeps a number and its unit together
                self.assertTrue(said in text, name)
        file.write_text(json.dumps(inside | {"within_budget": True}))
        self.assertNotIn("its budget", run("report", self.dir).stdout)

    def test_a_report_replaces_nothing_that_it_is_made_of(self):
        before = hash_folder(self.dir)
        for file in ("pipeline.resolved.yaml", "metrics.jsonl", "training/metrics.jsonl", "stages/verify/verify.json",
                     "model/config.json"):
            self.assertIn("an input", run("report", self.dir, "--json", self.dir / file, expect=2).stderr)
        self.assertEqual(hash_folder(self.dir), before)
        for _ in range(2):
            run("report", self.dir, "--json", self.dir / "comparison.json")

    def tables(self):
        run("report", self.dir)
        return {table["title"].split(" (")[0]: table for table in load_json(self.dir / "report.json")["tables"]}

    def test_the_program_that_made_a_run_is_named_and_not_the_one_that_prints(self):
        for file in (self.dir / "stages" / "evaluate").glob("results_*.json"):
            results = load_json(file)
            results["polygraft"]["config"]["polygraft_version"] = "0.0.1"
            file.write_text(json.dumps(results))
        self.assertIn(["made by", "polygraft 0.0.1"], self.tables()["Provenance"]["rows"])

    def test_what_is_not_comparable_has_no_numbers(self):
        behind = f"Old text behind a passage of {NEW_LANGUAGE}"
        languages = [row[0] for row in self.tables()[behind]["rows"]]
        [file] = (self.dir / "stages" / "evaluate-base" / "behind").glob(f"samples_bpb_{languages[0]}_*.jsonl")
        file.write_text(re.sub(r'"doc_hash":"\w+"', f'"doc_hash":"{64 * "0"}"', file.read_text(), count=1))
        table = self.tables()[behind]
        self.assertEqual([row[0] for row in table["rows"]], languages[1:])
        self.assertIn(f"{languages[0]} is not comparable: ", (self.dir / "report.md").read_text())

    def test_another_gate_judges_the_same_stages(self):
        self.pipeline("--set", "gate.margin_relative_bpb=0.9", "--until", "tokenizer", expect=0)
        self.assertEqual(self.reports(), [])
        run("report", self.dir)
        self.assertEqual(load_json(self.dir / "report.json")["comparison"]["tests"][0]["margin"], 0.9)

    def test_settings_that_were_edited_are_not_the_stages(self):
        settings = self.dir / "pipeline.resolved.yaml"
        settings.write_text(settings.read_text().replace("seed: 17", "seed: 18", 1))
        self.assertIn("belongs to other settings", run("report", self.dir, expect=2).stderr)
        (self.dir / "stage-keys.json").unlink()
        self.assertIn("nothing says which settings", run("report", self.dir, expect=1).stderr)

    def test_a_stage_that_is_missing_is_named(self):
        shutil.rmtree(self.dir / "stages" / "verify")
        self.assertIn("stage 'verify' has not finished", run("report", self.dir, expect=1).stderr)

    def test_training_of_other_settings_is_named_and_kept(self):
        shorter = ["--set", "train.tokens=20000", "--until", "train"]
        before = hash_folder(self.dir)
        for dry in [True, False]:
            result = self.pipeline(*shorter, *(["--dry-run"] if dry else []), expect=0)
            self.assertIn("stage 'train' begins afresh (changed: train.tokens: 40000 -> 20000)", result.stderr)
            self.assertRegex(result.stderr, f"40,\\d+ tokens trained in {self.dir / 'training'} are kept")
            if dry:
                self.assertEqual(hash_folder(self.dir), before)
        self.assertTrue((self.dir / "training.before" / "checkpoint-40").is_dir())
        self.assertNotEqual(hash_folder(self.dir / "model"), hash_folder(RUN / "model"))
        result = self.pipeline("--until", "train", expect=0)
        self.assertRegex(result.stderr, r"stage 'train' goes on from the 40,\d+ tokens kept in")
        self.assertEqual(hash_folder(self.dir / "model"), hash_folder(RUN / "model"))
        self.assertEqual((self.dir / "metrics.jsonl").read_text(), (RUN / "metrics.jsonl").read_text())
        self.assertTrue((self.dir / "training.before" / "checkpoint-20").is_dir())
        third = self.pipeline("--set", "train.tokens=10000", "--dry-run", expect=0)
        self.assertRegex(third.stderr, r"20,\d+ tokens there are deleted")

    def test_held_out_text_that_is_trained_on_is_said(self):
        rows = {table["title"]: table["rows"] for table in load_json(RUN / "report.json")["tables"]}["Held-out text"]
        for language, documents, shared in rows:
            train, heldout = ((WORK / f"{language}.{split}.jsonl").read_text().splitlines() for split in ("train", "heldout"))
            texts = {json.loads(line)["text"] for line in train}
            both = sum(json.loads(line)["text"] in texts for line in heldout)
            self.assertEqual([documents, shared], [str(len(heldout)), str(both)], language)
        copy = self.dir.with_name("copy.jsonl")
        shutil.copy(WORK / f"{NEW_LANGUAGE}.train.jsonl", copy)
        corpus = self.dir.with_name("corpus.yaml")
        own = WORK / f"{NEW_LANGUAGE}.heldout.jsonl"
        corpus.write_text(CORPUS.read_text().replace("[", f"[{WORK}/").replace(str(own), str(copy)))
        said = self.pipeline("--set", f"corpus={corpus}", "--until", "heldout", expect=0).stderr
        self.assertRegex(said, rf"{NEW_LANGUAGE}: (\d+) of \1 held-out documents are in its training text, too")

    def test_the_verdict_says_what_was_trained_on(self):
        self.assertNotIn("that are training text, too", run("report", self.dir).stdout)
        counts = self.dir / "stages" / "heldout" / "documents.json"
        documents = load_json(counts)
        documents[NEW_LANGUAGE]["also_trained_on"] = half = documents[NEW_LANGUAGE]["documents"] // 2
        counts.write_text(json.dumps(documents))
        run("report", self.dir)
        verdict = load_json(self.dir / "report.json")["comparison"]["verdict"]
        self.assertIn(f"training text, too: {NEW_LANGUAGE} ({half} of {documents[NEW_LANGUAGE]['documents']});", verdict)

    def test_a_model_that_was_changed_is_made_again(self):
        config = self.dir / "model" / "config.json"
        time = config.stat().st_mtime_ns
        config.write_text(config.read_text().replace('"rope_theta": 1', '"rope_theta": 2'))
        os.utime(config, ns=(time, time + 1_000_000_000))
        self.assertNotEqual(hash_folder(self.dir / "model"), hash_folder(RUN / "model"))
        self.assertRegex(self.pipeline("--dry-run", expect=0).stdout, "would run  train")
        said = self.pipeline(expect=self.exit_code).stderr
        self.assertIn("stage 'train' is done again: model/config.json is not as the stage left it", said)
        self.assertEqual(hash_folder(self.dir / "model"), hash_folder(RUN / "model"))
        self.assertEqual(self.reports(), REPORTS)

    def test_a_copied_run_folder_is_done(self):
        for file in self.dir.rglob("*"):
            if file.is_file():
                os.utime(file)
        (self.dir / "model" / "README.md").write_text("a card of one's own\n")
        said = self.pipeline(expect=self.exit_code).stderr
        self.assertEqual(said.count("skipped"), 11, said)  # all but the report, which names the folder
        self.assertTrue((self.dir / "model" / "README.md").exists())

    def test_texts_of_finished_training_are_not_looked_through_again(self):
        texts = self.dir.with_name("texts")
        texts.mkdir()
        for file in [CORPUS, *WORK.glob("*.train.jsonl"), *WORK.glob("*.heldout.jsonl")]:
            shutil.copy(file, texts)
        corpus = ["--set", f"corpus={texts / CORPUS.name}"]
        self.pipeline(*corpus, expect=self.exit_code)
        text = texts / f"{NEW_LANGUAGE}.train.jsonl"
        time = text.stat().st_mtime_ns
        text.write_bytes(text.read_bytes()[:-20] + b"\xff" * 19 + b"\n")
        os.utime(text, ns=(time, time))  # remembered as what it was
        again = self.pipeline(*corpus, expect=self.exit_code)
        self.assertEqual(again.stderr.count("skipped"), 12, again.stderr)

    def test_more_held_out_text_trains_nothing_anew(self):
        more = self.dir.with_name("more.jsonl")
        own = WORK / f"{NEW_LANGUAGE}.heldout.jsonl"
        more.write_text(own.read_text() + json.dumps({"text": "one more document"}) + "\n")
        corpus = self.dir.with_name("corpus.yaml")
        corpus.write_text(CORPUS.read_text().replace("[", f"[{WORK}/").replace(str(own), str(more)))
        said = self.pipeline("--set", f"corpus={corpus}", "--dry-run", expect=0)
        self.assertEqual(re.findall(r"would run +(\S+)", said.stdout),
                         ["heldout", "evaluate-base", "verify", "pack", "evaluate", "compare", "report"])
        self.assertNotIn("begins afresh", said.stderr)

    def test_other_checkpoints_train_nothing_anew(self):
        result = self.pipeline("--set", "train.checkpoint.every_tokens=9000", expect=self.exit_code)
        self.assertNotIn("begins afresh", result.stderr)
        self.assertRegex(result.stderr, r"train\b.*: done before, skipped")

    def test_a_folder_that_is_no_model_is_called_what_it_is(self):
        self.assertIn(f"its model is {self.dir / 'model'}", run("inspect", self.dir, expect=1).stderr)
        message = run("inspect", self.dir / "pack", expect=1).stderr
        self.assertIn("is a language pack, no model", message)
        self.assertIn("--pack", message)

    def test_a_folder_that_is_no_run_is_called_so(self):
        message = run("report", self.dir / "model", expect=1).stderr
        self.assertIn("is no run folder", message)
        self.assertIn("pipeline.resolved.yaml", message)

    def test_a_dry_run_promises_nothing_that_cannot_be_done(self):
        model, pack = self.dir / "model", self.dir / "pack"
        said = run("expand", "detach", "--model", model, "--pack", "xx", "--dry-run", expect=2).stderr
        self.assertIn("there is no pack 'xx'", said)
        self.assertIn(NEW_LANGUAGE, said)
        self.assertIn("would detach", run("expand", "detach", "--model", model, "--pack", NEW_LANGUAGE, "--dry-run").stdout)
        said = run("expand", "attach", "--model", model, "--pack", pack, "--dry-run", expect=4).stderr
        self.assertIn(f"there are two packs '{NEW_LANGUAGE}'", said)
        self.assertIn("would attach", run("expand", "attach", "--model", BASE, "--pack", pack, "--dry-run").stdout)
        bpb = ["eval", "bpb", "-o", self.dir.with_name("bpb"), "--dry-run"]
        said = run(*bpb, "--model", model, "--corpus", CORPUS, "--mask", "xx", expect=2).stderr
        self.assertIn("there is no pack 'xx'", said)
        self.assertIn("'xx'", run(*bpb, "--model", BASE, "--corpus", CORPUS, "--behind", "xx", expect=2).stderr)
        corpus = self.dir.with_name("corpus.yaml")
        corpus.write_text(f"languages: {{en: {{role: old, train: [{WORK / 'en.train.jsonl'}]}}}}\n")
        self.assertIn("has no held-out text", run(*bpb, "--model", BASE, "--corpus", corpus, expect=2).stderr)
        cloze = ["eval", "cloze", "--corpus", corpus, "-o", self.dir.with_name("cloze"), "--dry-run"]
        self.assertIn("languages.en.heldout: no files", run(*cloze, expect=2).stderr)

    def test_a_fused_model_is_a_base_of_its_own(self):
        fused = fresh("verify-fused") / "model"
        run("expand", "fuse", "--model", self.dir / "model", "-o", fused)
        message = run("expand", "verify", "--base", BASE, "--expanded", fused, expect=4).stderr
        self.assertIn("and then this one against that model", message)
        verify = ["expand", "verify", "--base", self.dir / "model", "--expanded", fused, "--json", "-"]
        report = json.loads(run(*verify).stdout)
        self.assertTrue(report["ok"] and report["masked_logits_equal"])
        flip_byte(fused / "model.safetensors", "model.layers.1.self_attn.k_proj.weight", 7)
        self.assertEqual(json.loads(run(*verify, expect=3).stdout)["num_differences"], 1)

    def test_base_and_expanded_exchanged_is_no_flood(self):
        result = run("expand", "verify", "--base", self.dir / "model", "--expanded", BASE, expect=None)
        self.assertNotEqual(result.returncode, 0)
        self.assertLess(len((result.stdout + result.stderr).splitlines()), 16, result.stdout)
        self.assertRegex(result.stdout, r"and \d+ more")


if __name__ == "__main__":
    unittest.main()
