"""Live parity: bits per byte of held-out text, by us and by lm-evaluation-harness on the same folder: the same
log-likelihood for every document, those longer than the context too, so that results of either can be compared. Needs the
--parity packages."""

import unittest

from harness import BASE, NEW_LANGUAGE, WORK, fresh, run
from reference_eval import context_of, lm_eval, results, samples, write_rolling_tasks

NATS_TOLERANCE = 2e-4  # relative; float32 sums in another order
LANGUAGES = ("en", NEW_LANGUAGE)


class BitsPerByte(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        work = fresh("bpb")
        files = {language: WORK / f"{language}.heldout.jsonl" for language in LANGUAGES}
        lines = [f"  {language}: {{role: old, heldout: [{file}]}}\n" for language, file in files.items()]
        (work / "corpus.yaml").write_text("languages:\n" + "".join(lines))
        cls.ours, cls.theirs = work / "ours", work / "theirs"
        run("eval", "bpb", "--model", BASE, "--corpus", work / "corpus.yaml", "-o", cls.ours)
        write_rolling_tasks(files, work / "tasks")
        lm_eval(BASE, [f"bpb_{language}" for language in LANGUAGES], work / "tasks", cls.theirs, context_of(BASE))

    def test_every_document_scores_as_in_lm_eval(self):
        longer = 0
        for language in LANGUAGES:
            ours, theirs = (samples(folder, f"bpb_{language}") for folder in (self.ours, self.theirs))
            self.assertGreater(len(ours), 5)
            self.assertEqual([sample["doc_id"] for sample in ours], [sample["doc_id"] for sample in theirs])
            for a, b in zip(ours, theirs, strict=True):
                self.assertEqual(a["bits_per_byte"][1], b["bits_per_byte"][1])  # bytes
                self.assertLess(abs(a["bits_per_byte"][0] / b["bits_per_byte"][0] - 1), NATS_TOLERANCE, a["id"])
                self.assertEqual(a["target_hash"], b["target_hash"])
                longer += a["num_tokens"] > context_of(BASE)
        self.assertGreater(longer, 0, "documents longer than the context must be among them")

    def test_the_sums_are_the_same(self):
        for language in LANGUAGES:
            ours, theirs = (results(folder)[f"bpb_{language}"]["bits_per_byte,none"] for folder in (self.ours, self.theirs))
            self.assertAlmostEqual(ours / theirs, 1, delta=NATS_TOLERANCE)


if __name__ == "__main__":
    unittest.main()
