"""Live parity: the expanded folder loads in transformers, with our ids and our scores. Needs the --parity packages."""

import json
import unittest

import torch
import transformers
from harness import NEW_LANGUAGE, OLD_LANGUAGES, WORK, fresh, run, write_pipeline

NATS_TOLERANCE = 2e-4  # relative; float32 sums of some hundred tokens in another order


class LoadsInTransformers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = fresh("transformers")
        run("run", write_pipeline(folder), expect=None)
        cls.model_folder = folder / "run" / "model"
        cls.results = folder / "run" / "stages" / "evaluate"
        cls.tokenizer = transformers.AutoTokenizer.from_pretrained(cls.model_folder)
        cls.model, info = transformers.AutoModelForCausalLM.from_pretrained(
            cls.model_folder, dtype=torch.float32, output_loading_info=True)
        cls.model.eval()
        cls.loading = info

    def test_no_weight_is_missing_or_left_over(self):
        self.assertFalse(self.loading["missing_keys"])
        self.assertFalse(self.loading["unexpected_keys"])
        self.assertFalse(self.loading["mismatched_keys"])

    def samples(self, language):
        texts = [json.loads(line) for line in (WORK / f"{language}.heldout.jsonl").read_text().splitlines()]
        file = next(self.results.glob(f"samples_bpb_{language}_*.jsonl"))
        by_id = {s["id"]: s for s in map(json.loads, file.read_text().splitlines())}
        return [(text["text"], by_id[text["id"]]) for text in texts]

    def reference_nats(self, ids):
        with torch.no_grad():
            logits = self.model(torch.tensor([[self.tokenizer.bos_token_id, *ids]])).logits[0, :-1].double()
        return -torch.log_softmax(logits, -1).gather(1, torch.tensor(ids)[:, None]).sum().item()

    def test_documents_have_our_token_counts_and_our_scores(self):
        compared = 0
        for language in [*OLD_LANGUAGES, NEW_LANGUAGE]:
            for text, sample in self.samples(language):
                ids = self.tokenizer.encode(text, add_special_tokens=False)
                self.assertEqual(len(ids), sample["num_tokens"], sample["id"])
                if len(ids) >= self.model.config.max_position_embeddings:
                    continue  # longer than the context: windows, compared with lm-eval elsewhere
                nats = self.reference_nats(ids)
                self.assertLess(abs(nats - sample["nats"]) / nats, NATS_TOLERANCE, sample["id"])
                compared += 1
        self.assertGreater(compared, 40)

    def test_greedy_text_is_transformers_own(self):
        for language in [OLD_LANGUAGES[0], NEW_LANGUAGE]:
            prompt = self.samples(language)[0][0][:60]
            ours = json.loads(run("generate", "--model", self.model_folder, "--prompt", prompt, "--set", "max_new_tokens=24",
                                  "--json", "-").stdout)
            ids = torch.tensor([ours["prompt_tokens"]])
            with torch.no_grad():
                theirs = self.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=24, do_sample=False,
                                             eos_token_id=self.tokenizer.eos_token_id, pad_token_id=0)
            new = theirs[0, ids.shape[1]:].tolist()
            self.assertEqual(ours["tokens"], [token for token in new if token != self.tokenizer.eos_token_id])
            self.assertEqual(ours["text"], self.tokenizer.decode(ours["tokens"], skip_special_tokens=True))


if __name__ == "__main__":
    unittest.main()
