"""examples/study without its hours: every arm's settings are accepted, and results are tabulated as they were printed."""

import json
import subprocess
import sys
import unittest

from harness import BASE, CORPUS, NEW_LANGUAGE, PROGRAM, SOURCE, WORK, fresh, run

EXPANDED = WORK / "pipeline" / "run" / "model"  # integration.pipeline leaves it
STUDY = SOURCE / "examples" / "study"
RATES = [line.split() for line in (STUDY / "learning_rates.txt").read_text().splitlines() if line[:1] not in ("", "#")]


def settings(file):
    """The --set arguments of a file of KEY=VALUE lines, as run.sh makes them."""
    return [part for line in file.read_text().splitlines() if line[:1] not in ("", "#") for part in ("--set", line)]


def change(language, delta, is_new=False, candidate=2.0):
    return {"language": language, "is_new": is_new, "delta": delta, "ci_low": delta - 0.001, "ci_high": delta + 0.002,
            "candidate": candidate}


class Study(unittest.TestCase):
    def test_every_arm_has_settings_that_train_accepts(self):
        self.assertEqual({arm for arm, *_ in RATES}, {file.stem for file in (STUDY / "arms").glob("*.set")})
        for arm, chosen, *tried in RATES:
            with self.subTest(arm):
                self.assertIn(chosen, tried)
                run("train", "--config", STUDY / "common.yaml", "--set", f"model={EXPANDED}", "--set", f"corpus={CORPUS}",
                    "--set", f"languages=[{NEW_LANGUAGE}]", *settings(STUDY / "arms" / f"{arm}.set"),
                    "--set", f"train.optimizer.learning_rate={chosen}", "--dry-run")

    def test_the_dense_model_is_of_the_base_s_active_size(self):
        out = run("train", "--config", SOURCE / "examples/quickstart/base.yaml", "--set", f"tokenizer={BASE}", "--set",
                  f"corpus={CORPUS}", *settings(STUDY / "dense.set"), "--dry-run")
        self.assertIn("dense_width: 512", out.stdout)
        self.assertIn("expert_width: 0", out.stdout)

    def test_results_are_what_was_printed_and_missing_arms_are_named(self):
        work = fresh("study")
        (work / "data").mkdir()
        rate = next(chosen for arm, chosen, *_ in RATES if arm == "ours")
        for seed, worst in ((17, 0.01), (18, 0.03)):
            tests = [change("de", worst), change("en", 0.005), change("id", -0.5, True, candidate=2.5)]
            (work / f"id-ours-{rate}-s{seed}.corpus.json").write_text(json.dumps({"tests": tests}))
        (work / f"id-ours-{rate}-s18.train.json").write_text(json.dumps({"seconds": 7, "within_budget": False}))
        subprocess.run([sys.executable, STUDY / "summarise.py", "--work", work, "--rates", STUDY / "learning_rates.txt",
                        "--program", PROGRAM, "--command", "run.sh", "--out", work, "id"], check=True)
        text = (work / "RESULTS.md").read_text()
        row = next(line for line in text.splitlines() if line.startswith("| ours, 0.15 % (no probe inside its budget) |"))
        self.assertIn("| 2.5000 | - | de | +2.00 [+0.90, +3.20] | +1.25 |", row)
        self.assertIn("17, 18", row)
        self.assertIn("Missing: dense, full;", text)
        self.assertIn("ours, 0.15 %", (work / "id.svg").read_text())

    def test_causes_are_those_of_the_weights_that_were_written(self):
        work = fresh("study-causes")
        (work / "data").mkdir()
        rate = next(chosen for arm, chosen, *_ in RATES if arm == "ours")
        run_name = f"id-ours-{rate}-s17"

        def probe(new, head):
            old = {"bits_per_byte": 1.5, "delta_relative": head, "leak_share": 0.002, "relative_by_position": {"1": 0.5, "65-": 0.1},
                   "relative_by_cause": {"tokenizer": 0.0, "head": head, "router": 0.0, "experts": 0.0}}
            return {"de": old, "en": old | {"delta_relative": -0.1}, "id": {"bits_per_byte": new, "leak_share": 0.6}}

        (work / f"{run_name}-run").mkdir()
        lines = [{"step": step, "probe": probe(new, head)} for step, new, head in ((0, 3.0, 0.03), (4, 2.5, 0.02), (8, 2.4, 0.04))]
        (work / f"{run_name}-run" / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (work / f"{run_name}.train.json").write_text(json.dumps(
            {"seconds": 7, "within_budget": True, "probe": {"de": {"delta_relative": 0.02}, "id": {"bits_per_byte": 2.5}}}))
        tests = [change("de", 0.01), change("id", -0.5, True, candidate=2.0)]
        (work / f"{run_name}.corpus.json").write_text(json.dumps({"tests": tests}))
        balanced = [change("de", 0.02), change("id", -0.5, True, candidate=2.2)]
        (work / f"id-ours-balance-{rate}-s17.corpus.json").write_text(json.dumps({"tests": balanced}))
        subprocess.run([sys.executable, STUDY / "summarise.py", "--work", work, "--rates", STUDY / "learning_rates.txt",
                        "--program", PROGRAM, "--command", "run.sh", "--out", work, "id"], check=True)
        text = (work / "RESULTS.md").read_text()
        self.assertIn("| id, ours, 0.15 % | de | +2.00 | +0.000 | +2.000 | +0.000 | +0.000 | +50.00 | - | - | - | +10.00 | +0.20 | +60 |", text)
        self.assertIn("ours, balanced experts: new +10.0 % against ours, worst old de +2.00 [+1.90, +2.20] %.", text)
        self.assertIn("ours, tied head: not run", text)

    def test_pages_behind_a_passage_have_a_table_of_their_own(self):
        work = fresh("study-behind")
        (work / "data").mkdir()
        rate = next(chosen for arm, chosen, *_ in RATES if arm == "ours")
        tests = [change("de", 0.01), change("it", 0.03)]
        (work / f"id-ours-{rate}-s17.behind.json").write_text(json.dumps({"tests": tests}))
        (work / f"id-ours-{rate}-s17.corpus.json").write_text(json.dumps({"tests": [*tests, change("id", -0.5, True)]}))
        subprocess.run([sys.executable, STUDY / "summarise.py", "--work", work, "--rates", STUDY / "learning_rates.txt",
                        "--program", PROGRAM, "--command", "run.sh", "--out", work, "id"], check=True)
        self.assertIn("| id, ours, 0.15 % | it | +3.00 [+2.90, +3.20] | +2.00 |", (work / "RESULTS.md").read_text())

    def test_languages_one_after_the_other_are_tabulated_in_their_order(self):
        work = fresh("study-stack")
        (work / "data").mkdir()
        rate = next(chosen for arm, chosen, *_ in RATES if arm == "ours")
        first = f"id-ours-{rate}-s17"
        second = f"{first}-fused-pt-BR-ours-{rate}-s17"
        old = [change("de", 0.001), change("id", -0.3), change("pt-BR", -0.4, True, candidate=1.5)]
        (work / f"{second}.stack.json").write_text(json.dumps({"tests": [old[0], change("id", 0.002), old[2]]}))
        (work / f"{second}.base.json").write_text(json.dumps({"tests": old}))
        third = f"{second}-fused-ca-ours-{rate}-s17"
        on_two = [change("de", 0.002), change("pt-BR", 0.003), change("ca", -0.4, True, candidate=1.6)]
        (work / f"{third}.stack.json").write_text(json.dumps({"tests": on_two}))
        (work / f"{third}.base.json").write_text(json.dumps({"tests": on_two}))
        (work / f"together-{first}.json").write_text(json.dumps({"tests": [change("de", 0.004), change("id", 0.003), old[2]]}))
        subprocess.run([sys.executable, STUDY / "summarise.py", "--work", work, "--rates", STUDY / "learning_rates.txt",
                        "--program", PROGRAM, "--command", "run.sh", "--out", work, "id", "pt-BR"], check=True)
        text = (work / "RESULTS.md").read_text()
        self.assertIn("| pt-BR on id | 1.5000 | id +0.20 [+0.10, +0.40] | de +0.10 [+0.00, +0.30] |", text)
        self.assertIn("| ca on id, pt-BR | 1.6000 | pt-BR +0.30 [+0.20, +0.50] | de +0.20 [+0.10, +0.40] |", text)
        self.assertIn(f"| {first} | de +0.40 [+0.30, +0.60] |", text)


if __name__ == "__main__":
    unittest.main()
