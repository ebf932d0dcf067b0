"""`eval compare` as a CI job uses it: verdicts, reports, a baseline file, and input that is broken."""

import json
import os
import pathlib
import shutil
import subprocess
import unittest

from harness import PROGRAM, SOURCE, fresh, hash_folder, load_json, partial_outputs, run

GATE = SOURCE / "examples" / "gate-only"
BASELINE, CANDIDATE = GATE / "results" / "baseline", GATE / "results" / "candidate"


def validate(junit):
    schema = pathlib.Path(__file__).with_name("junit.xsd")
    subprocess.run(["xmllint", "--noout", "--schema", schema, junit], check=True, capture_output=True)


class Compare(unittest.TestCase):
    def test_the_example_gets_each_verdict(self):
        out = fresh("compare-example")
        subprocess.run(["bash", GATE / "gate.sh", PROGRAM, out], check=True, capture_output=True)
        outcomes = {name: load_json(out / f"{name}.json")["outcome"] for name in ("failed", "passed", "insufficient")}
        self.assertEqual(outcomes, {"failed": "fail", "passed": "pass", "insufficient": "insufficient"})
        for name in outcomes:
            validate(out / f"{name}.xml")
            self.assertLess(len((out / f"{name}.md").read_text()), 65536)
        lm_eval = load_json(next(CANDIDATE.rglob("results_*.json")))["results"]
        tests = {test["task"]: test for test in load_json(out / "failed.json")["tests"]}
        self.assertEqual(set(tests), set(lm_eval))
        for task, metric in (("bpb_de", "bits_per_byte"), ("bpb_en", "bits_per_byte"), ("sums_en", "acc")):
            self.assertAlmostEqual(tests[task]["candidate"], lm_eval[task][f"{metric},none"], places=12)

    def test_the_schema_can_refuse(self):
        file = fresh("compare-schema") / "junit.xml"
        file.write_text('<testsuites tests="1" failures="0" errors="0"><testcase name="x"/></testsuites>')
        with self.assertRaises(subprocess.CalledProcessError):
            validate(file)

    def test_a_baseline_file_gives_the_same_figures(self):
        out = fresh("compare-baseline")
        run("eval", "compare", BASELINE, "--write-baseline", out / "baseline.json")
        run("eval", "compare", BASELINE, CANDIDATE, "--json", out / "folder.json", expect=3)
        run("eval", "compare", out / "baseline.json", CANDIDATE, "--json", out / "file.json", expect=3)
        self.assertEqual(load_json(out / "folder.json"), load_json(out / "file.json"))

    def test_no_verdict_outlives_a_comparison_that_fails(self):
        out = fresh("compare-verdicts")
        files = {option: out / f"report.{option}" for option in ("html", "markdown", "junit", "json")}
        asked = [word for option, file in files.items() for word in (f"--{option}", file)]
        run("eval", "compare", BASELINE, BASELINE, *asked, expect=None)
        self.assertTrue(all(file.exists() for file in files.values()))
        run("eval", "compare", BASELINE, out / "none", *asked, "--set", "no_such_key=1", expect=2)
        run("eval", "compare", BASELINE, out / "none", *asked, "--dry-run", expect=1)
        self.assertTrue(all(file.exists() for file in files.values()), "a call that cannot be understood touches nothing")
        run("eval", "compare", BASELINE, out / "none", *asked, expect=1)
        self.assertEqual([file for file in files.values() if file.exists()], [])

    def test_what_is_read_is_never_replaced(self):
        out = fresh("compare-inputs")
        for side in (BASELINE, CANDIDATE):
            shutil.copytree(side, out / side.name)
        run("eval", "compare", BASELINE, "--write-baseline", out / "kept.json")
        results = next((out / "baseline").rglob("results_*.json"))
        samples = next((out / "candidate").rglob("samples_bpb_de_*"))
        (out / "link").symlink_to(samples)
        (out / "hard").hardlink_to(results)
        (out / "folder").mkdir()
        os.mkfifo(out / "pipe")
        (out / "device").symlink_to("/dev/null")  # a link that is replaced does no harm
        before = hash_folder(out)
        around = out / "folder" / ".." / samples.relative_to(out)
        outputs = [results, samples, out / "baseline", out / "link", out / "hard", around, out / "folder", out / "pipe",
                   out / "device", out / "nowhere" / "file", ""]
        cases = [(option, out / "baseline", output) for output in outputs
                 for option in ("--markdown", "--write-baseline", "--json", "--html", "--junit")]
        cases += [("--write-baseline", results, samples), ("--write-baseline", results, out / "hard"),
                  ("--write-baseline", out / "kept.json", out / "kept.json")]
        for option, baseline, output in cases:
            with self.subTest(option=option, baseline=baseline, output=output):
                result = run("eval", "compare", baseline, out / "candidate", option, output, expect=2)
                self.assertEqual(result.stdout, "")
        for option in ("--markdown", "--write-baseline", "--html", "--junit"):
            message = run("eval", "compare", out / "baseline", out / "candidate", option, "-", expect=2).stderr
            self.assertIn("only --json -", message)
        message = run("eval", "compare", out / "baseline", out / "candidate", "--json", out / "a", "--html",
                      out / "folder" / ".." / "a", expect=2).stderr
        self.assertIn("names the same file as --json", message)
        message = run("eval", "compare", BASELINE, "--write-baseline", out / "b", "--html", out / "a", expect=2).stderr
        self.assertIn("--html: means nothing without a CANDIDATE", message)
        self.assertEqual(hash_folder(out), before)
        self.assertTrue((out / "pipe").is_fifo() and (out / "link").is_symlink())

    def test_a_file_that_is_no_earlier_report_is_left_alone(self):
        out = fresh("compare-foreign")
        for option in ("--markdown", "--html", "--junit", "--write-baseline"):
            file = out / "notes.jsonl"
            file.write_text('{"text": "somebody\'s own"}\n')
            message = run("eval", "compare", BASELINE, CANDIDATE, option, file, expect=2).stderr
            self.assertIn(f"{option}: names a file that is no earlier report", message)
            self.assertIn("somebody", file.read_text())
            file.write_text("")
            for _ in range(2):  # an empty file is filled, and an earlier report made again
                run("eval", "compare", BASELINE, CANDIDATE, option, file, expect=3)

    def test_a_repeated_baseline_is_shown(self):
        out = fresh("compare-repeat")
        text = run("eval", "compare", BASELINE, CANDIDATE, "--repeat-baseline", BASELINE, "--json", out / "c.json",
                   expect=3).stdout
        self.assertIn("noise floor", text)
        self.assertEqual([test["noise"]["delta"] for test in load_json(out / "c.json")["tests"]], [0, 0, 0])

    def test_a_github_job_gets_the_report_on_its_page(self):
        summary = fresh("compare-summary") / "summary.md"
        summary.write_text("before\n")
        subprocess.run([PROGRAM, "eval", "compare", BASELINE, CANDIDATE], capture_output=True,
                       env={**os.environ, "GITHUB_STEP_SUMMARY": str(summary)})
        self.assertTrue(summary.read_text().startswith("before\n# Comparison\n"))
        self.assertIn("| de |", summary.read_text())

    def test_a_page_that_cannot_be_written_leaves_the_verdict(self):
        out = fresh("compare-no-summary")
        for summary in (out, out / "nowhere" / "summary.md"):
            result = run("eval", "compare", BASELINE, CANDIDATE, "--json", "-", expect=3,
                         environment={"GITHUB_STEP_SUMMARY": str(summary)})
            self.assertEqual(json.loads(result.stdout)["outcome"], "fail")
            self.assertIn("GITHUB_STEP_SUMMARY", result.stderr)

    def broken(self, name, edit):
        """Exit code 4 and nothing written, after `edit` changed the lines of the candidate's German samples."""
        out = fresh(f"compare-broken-{name}")
        shutil.copytree(CANDIDATE, out / "candidate")
        file = next((out / "candidate").rglob("samples_bpb_de_*"))
        file.write_text("".join(edit(file.read_text().splitlines(keepends=True))))
        before = sorted(out.rglob("*"))
        result = run("eval", "compare", BASELINE, out / "candidate", "--markdown", out / "r.md", "--junit", out / "j.xml",
                     "--html", out / "r.html", "--write-baseline", out / "b.json", expect=4)
        self.assertEqual(sorted(out.rglob("*")), before)
        self.assertEqual(partial_outputs(out), [])
        return result.stderr

    def test_broken_samples_are_named(self):
        cut = self.broken("cut", lambda lines: lines[:-1] + [lines[-1][:100]])
        self.assertIn(".jsonl:40", cut)
        self.assertIn("too early", self.broken("short", lambda lines: lines[:-1]))
        self.assertIn("listed twice", self.broken("twice", lambda lines: lines + [lines[3]]))

        def without(key, value):
            sample = json.loads(value)
            sample.pop(key)
            return json.dumps(sample) + "\n"

        self.assertIn("missing", self.broken("metric", lambda lines: [without("bits_per_byte", lines[0])] + lines[1:]))
        nan = self.broken("nan", lambda lines: lines[:5] + [lines[5].replace('"bits_per_byte": [-', '"bits_per_byte": [NaN, ')]
                          + lines[6:])
        self.assertIn(".jsonl:6", nan)
        self.assertIn("not finite", nan)

    def test_another_question_is_not_comparable(self):
        out = fresh("compare-other")
        shutil.copytree(CANDIDATE, out / "candidate")
        for file in (out / "candidate").rglob("samples_*"):
            lines = file.read_text().splitlines(keepends=True)
            sample = json.loads(lines[7])
            sample["prompt_hash"] = "0" * 64
            file.write_text("".join(lines[:7] + [json.dumps(sample) + "\n"] + lines[8:]))
        result = run("eval", "compare", BASELINE, out / "candidate", "--write-baseline", out / "b.json", expect=4)
        self.assertIn("document 7 differs: prompt_hash", result.stdout)
        self.assertIn("b.json is not written: the results are not comparable", result.stderr)
        self.assertFalse((out / "b.json").exists())


if __name__ == "__main__":
    unittest.main()
