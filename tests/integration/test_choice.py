"""Live parity: items out of held-out text, scored by us and by lm-evaluation-harness on the same folder: the same
log-likelihoods, accuracies and hashes, so that results of either can be compared. Needs the --parity packages."""

import json
import unittest

from harness import BASE, CORPUS, NEW_LANGUAGE, fresh, run
from reference_eval import context_of, lm_eval, samples

NATS_TOLERANCE = 2e-4  # relative; float32 sums in another order
METRICS = ("acc", "acc_norm", "acc_bytes")
OPTIONS = ["context_characters=120", "continuation_characters=40", "items_per_document=2"]


def log_likelihoods(sample):
    return [float(entry[0]) for entry in sample["filtered_resps"]]


class Choice(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = fresh("choice")
        cls.tasks = cls.work / "tasks"
        settings = [argument for option in OPTIONS for argument in ("--set", option)]
        run("eval", "cloze", "--corpus", CORPUS, "-o", cls.tasks, *settings)
        cls.ours, cls.theirs = cls.work / "ours", cls.work / "theirs"
        files = [cls.tasks / f"cloze_{language}.jsonl" for language in ("en", NEW_LANGUAGE)]
        run("eval", "choice", "--model", BASE, "--tasks", *files, "-o", cls.ours)
        lm_eval(BASE, ["cloze_en", f"cloze_{NEW_LANGUAGE}"], cls.tasks, cls.theirs, context_of(BASE))

    def test_every_item_scores_as_in_lm_eval(self):
        for language in ("en", NEW_LANGUAGE):
            ours = samples(self.ours, f"cloze_{language}")
            theirs = {s["doc_id"]: s for s in samples(self.theirs, f"cloze_{language}")}
            self.assertEqual(len(ours), len(theirs))
            self.assertGreater(len(ours), 10)
            for sample in ours:
                other = theirs[sample["doc_id"]]
                for name in ("doc_hash", "prompt_hash", "target_hash"):
                    self.assertEqual(sample[name], other[name], name)
                for a, b in zip(log_likelihoods(sample), log_likelihoods(other), strict=True):
                    self.assertLess(abs(a - b), NATS_TOLERANCE * abs(b), sample["doc"]["id"])
                for metric in METRICS:
                    self.assertEqual(sample[metric], other[metric], metric)

    def test_their_results_and_ours_can_be_compared(self):
        result = run("eval", "compare", self.theirs, self.ours, "--json", "-", expect=None)
        for test in json.loads(result.stdout)["tests"]:
            self.assertEqual(test["delta"], 0, test)
            self.assertNotEqual(test["outcome"], "not_comparable", test)


if __name__ == "__main__":
    unittest.main()
