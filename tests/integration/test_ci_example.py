"""examples/ci as a CI system runs it: the workflow's shell steps, one after the other, on a small model; and the plain job."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

import yaml
from harness import BASE, CORPUS, PROGRAM, SOURCE, WORK, fresh, hash_folder, load_json, partial_outputs, pipeline_yaml

JOB = SOURCE / "examples" / "ci" / "job.sh"
WORKFLOW = SOURCE / "examples" / "ci" / "polygraft.yml"
CANDIDATE = WORK / "pipeline" / "run" / "model"  # integration.pipeline leaves it
EXPRESSIONS = {"github.token": "secret", "github.event.pull_request.number": "7"}
GH = """#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$GH_LOG"
[[ $* != *--edit-last* ]] || exit 1     # there is no comment yet
cat "${@: -1}" >"$GH_LOG.body"
"""


def job(*arguments, **environment):
    return subprocess.run(["bash", JOB, *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, "POLYGRAFT": PROGRAM, **environment})


def reports(folder):
    """Names of the reports in `folder`."""
    return sorted(file.name for pattern in ("report.*", "junit.xml", "comparison.json") for file in folder.glob(pattern))


def filled(value):
    """The value of a step's or the workflow's `env`, expressions replaced."""
    return re.sub(r"\$\{\{ *([\w.]+) *\}\}", lambda match: EXPRESSIONS[match[1]], str(value))


class Checkout:
    """A repository with a pipeline, this project beside it, and a `gh` that only notes what it is told."""

    def __init__(self, name):
        self.folder = fresh(name)
        (self.folder / "polygraft").symlink_to(SOURCE)
        (self.folder / "pipelines").mkdir()
        (self.folder / "pipelines" / "indonesian.yaml").write_text(pipeline_yaml("ignored"))
        (self.folder / "bin").mkdir()
        (self.folder / "bin" / "gh").write_text(GH)
        (self.folder / "bin" / "gh").chmod(0o755)
        self.summary, self.gh_log = self.folder / "summary.md", self.folder / "gh.log"
        self.outputs = self.folder / "outputs"

    def run(self, job_name, **changed):
        """Runs the job's steps as the runner does; returns {step: exit code}."""
        workflow = yaml.safe_load(WORKFLOW.read_text())
        codes, failed = {}, False
        for step in workflow["jobs"][job_name]["steps"]:
            if "run" not in step or step["name"] == "Install" or (failed and step.get("if") != "always()"):
                continue
            environment = {**os.environ, **workflow["env"], **step.get("env", {}), **changed, "POLYGRAFT": PROGRAM,
                           "GITHUB_STEP_SUMMARY": str(self.summary), "GH_LOG": str(self.gh_log),
                           "GITHUB_OUTPUT": str(self.outputs),
                           "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
            result = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], cwd=self.folder,
                                    env={key: filled(value) for key, value in environment.items()}, capture_output=True, text=True)
            codes[step["name"]] = result.returncode
            failed = failed or (result.returncode != 0 and not step.get("continue-on-error"))
        return codes


class Ci(unittest.TestCase):
    def test_the_workflow_is_one(self):
        workflow = yaml.safe_load(WORKFLOW.read_text())
        self.assertEqual(set(workflow[True]), {"pull_request", "schedule", "workflow_dispatch"})  # YAML 1.1 reads `on` as true
        for job_name, steps in ((name, job["steps"]) for name, job in workflow["jobs"].items()):
            for step in steps:
                self.assertEqual(("run" in step) + ("uses" in step), 1, (job_name, step))
                if "run" in step:
                    subprocess.run(["bash", "-n", "-c", step["run"]], check=True)
                for path in re.findall(r"polygraft/[\w./-]+\.sh", step.get("run", "")):
                    self.assertTrue((SOURCE / pathlib.Path(path).relative_to("polygraft")).exists(), path)

    def test_a_pull_request_gets_the_verdict(self):
        checkout = Checkout("ci-pull-request")
        codes = checkout.run("expansion", TOKENS="6000")
        report = load_json(checkout.folder / "out" / "report.json")["comparison"]
        expected = {"pass": 0, "fail": 3, "insufficient": 4}[report["outcome"]]
        self.assertEqual(codes, {"Small expansion": expected, "Post the verdict": 0})
        markdown = (checkout.folder / "out" / "report.md").read_text()
        self.assertIn(report["verdict"].split(".")[0], markdown)
        self.assertEqual(pathlib.Path(f"{checkout.gh_log}.body").read_text(), markdown)
        self.assertEqual(checkout.gh_log.read_text().splitlines()[1], "pr comment 7 --body-file out/report.md")
        self.assertEqual(checkout.summary.read_text().strip(), markdown.strip())
        self.assertTrue((checkout.folder / "out" / "junit.xml").exists())
        self.fails_without_a_verdict(checkout)

    def fails_without_a_verdict(self, checkout):
        """A later push whose job fails has no report of the earlier one, in OUT or on the pull request."""
        pipeline = checkout.folder / "pipelines" / "indonesian.yaml"
        pipeline.write_text(pipeline.read_text().replace("seed: 17", "seed: none"))
        codes = checkout.run("expansion", TOKENS="6000")
        self.assertNotIn(codes["Small expansion"], (0, 3, 4))
        self.assertEqual(reports(checkout.folder / "out"), ["report.md"])
        self.assertIn("No verdict", pathlib.Path(f"{checkout.gh_log}.body").read_text())
        pipeline.write_text(pipeline.read_text().replace("seed: none", "seed: 17"))
        checkout.run("expansion", TOKENS="6000")
        self.assertEqual(reports(checkout.folder / "out"), ["junit.xml", "report.html", "report.json", "report.md"])

    def test_a_night_compares_two_checkpoints_and_scores_the_base_once(self):
        checkout = Checkout("ci-nightly")
        variables = {"BASE": BASE, "CANDIDATE": CANDIDATE, "CORPUS": CORPUS, "GATE": checkout.folder / "gate.yaml"}
        outcomes = []
        for margin in ("0.5", "0.0"):
            variables["GATE"].write_text(f"margin_relative_bpb: {margin}\nmin_documents: 5\n")
            codes = checkout.run("nightly", **variables)
            comparison = load_json(checkout.folder / "nightly" / "comparison.json")
            self.assertEqual([test["language"] for test in comparison["tests"] if test["is_new"]], ["id"])  # its role in CORPUS
            outcomes.append((codes, comparison["outcome"]))
            before = hash_folder(checkout.folder / "nightly" / "base")
        self.assertEqual(outcomes[0], ({"Name the baseline": 0, "Gate": 0}, "pass"))
        self.assertEqual(outcomes[1][0]["Gate"], {"fail": 3, "insufficient": 4}[outcomes[1][1]])
        self.assertEqual(hash_folder(checkout.folder / "nightly" / "base"), before)
        self.assertEqual(checkout.summary.read_text().count("# Comparison"), 2)
        self.assertEqual(partial_outputs(checkout.folder / "nightly"), [])
        names = checkout.outputs.read_text().split()
        self.assertEqual(len(set(names)), 1)
        self.assertTrue((checkout.folder / "nightly" / names[0].removeprefix("name=")).exists())
        variables["GATE"].write_text("margin: 1\n")
        self.assertEqual(checkout.run("nightly", **variables)["Gate"], 2)
        self.assertEqual(reports(checkout.folder / "nightly"), [])

    def test_another_base_or_text_has_another_baseline(self):
        out, texts = fresh("ci-baselines"), fresh("ci-baseline-texts")
        for file in WORK.glob("*.heldout.jsonl"):
            shutil.copy(file, texts)
        corpus = texts / "corpus.yaml"
        corpus.write_text("languages: {en: {role: old, heldout: [en.heldout.jsonl]}, id: {role: new, heldout: ['id.heldout.jsonl']}}")

        def deltas(base):
            job("nightly", base, CANDIDATE, corpus, out)
            return [test["delta"] for test in load_json(out / "comparison.json")["tests"]]

        self.assertNotEqual(deltas(BASE), [0, 0])
        self.assertEqual(deltas(CANDIDATE), [0, 0])
        with (texts / "id.heldout.jsonl").open("a") as file:
            file.write('{"text": "Satu kalimat lagi."}\n')
        self.assertEqual(deltas(CANDIDATE), [0, 0])
        self.assertEqual(len(list(out.glob("baseline-*.json"))), 3)

    def test_a_text_whose_path_has_a_space_is_seen(self):
        folder = fresh("ci spaces")
        names = ["plain.txt", "in quotes.txt", "a, comma.txt", "in a list.txt", "last of it.txt", "on its line.txt", "block.txt"]
        (folder / "corpus.yaml").write_text(f"""languages:
  en: {{role: old, heldout: [{names[0]}, "{names[1]}", '{names[2]}', {names[3]}, {names[4]}]}}
  id:
    role: new
    heldout:
      - {names[5]}  # a comment
      - {names[6]}
""")
        for name in names:
            (folder / name).write_text("one\n")
        seen = [job("baseline-name", BASE, folder / "corpus.yaml").stdout]
        for name in names:
            (folder / name).write_text("two\n")
            seen.append(job("baseline-name", BASE, folder / "corpus.yaml").stdout)
            self.assertRegex(seen[-1], r"^baseline-\w+\.json$")
        self.assertEqual(len(set(seen)), len(names) + 1)

    def test_a_wrong_call_says_how(self):
        result = job("nightly", "a")
        self.assertEqual(result.returncode, 2)
        self.assertIn("job.sh pull-request PIPELINE.yaml OUT", result.stderr)
        self.assertNotEqual(job("baseline-name", "missing", CORPUS).returncode, 0)
        self.assertNotIn(job("pull-request", "missing.yaml", fresh("ci-wrong")).returncode, (0, 3, 4))


if __name__ == "__main__":
    unittest.main()
