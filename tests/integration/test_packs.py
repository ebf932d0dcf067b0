"""Two language packs attached to one model: it loads in transformers, knows the tokens of both, scores as we do, and both come
off again. Needs the --parity packages."""

import filecmp
import json
import unittest

import torch
import transformers
from harness import BASE, CORPUS, NEW_LANGUAGE, OLD_LANGUAGES, WORK, fresh, load_json, run

LANGUAGES = [NEW_LANGUAGE, "es"]  # the second plays a new language, too
NATS_TOLERANCE = 2e-4  # relative; float32 sums of some hundred tokens in another order


def make_pack(folder, language):
    """Extends, profiles, plans, grafts and packs; no training."""
    work = folder / language
    work.mkdir()
    others = [code for code in [*OLD_LANGUAGES, NEW_LANGUAGE] if code not in LANGUAGES]
    corpus = work / "corpus.yaml"
    corpus.write_text("languages:\n" + "".join(
        f"  {code}: {{role: {'new' if code == language else 'old'}, train: [{WORK}/{code}.train.jsonl], "
        f"heldout: [{WORK}/{code}.heldout.jsonl]}}\n" for code in [*others, language]))
    run("tokenizer", "extend", "--tokenizer", BASE, "--text", WORK / f"{language}.train.jsonl", "--guard",
        *[WORK / f"{code}.train.jsonl" for code in others], "--new-tokens", 60, "-o", work / "tokenizer")
    run("expand", "profile", "--model", BASE, "--corpus", corpus, "--tokens", 3000, "-o", work / "profile.json")
    plan = work / "plan.yaml"
    plan.write_text(f"language: {language}\ncorpus: {corpus}\nextended_tokenizer: {work / 'tokenizer'}\n"
                    "tokenizer: {mark_steps: 8}\n"
                    "expand: {experts_per_layer: 2, calibration_new_tokens: 2000, calibration_old_tokens: 3000}\n")
    run("expand", "plan", "--model", BASE, "--profile", work / "profile.json", "--config", plan, "-o", work / "plan.json")
    run("expand", "graft", "--model", BASE, "--plan", work / "plan.json", "-o", work / "model")
    run("expand", "pack", "--base", BASE, "--expanded", work / "model", "-o", work / "pack")
    return work


def differing(folder, other):
    """Names of the files that one of the two lacks or that differ."""
    files = {str(p.relative_to(root)) for root in (folder, other) for p in root.rglob("*") if p.is_file()}
    return sorted(name for name in files if not ((folder / name).exists() and (other / name).exists()
                                                 and filecmp.cmp(folder / name, other / name, shallow=False)))


class Packs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = fresh("packs")
        cls.made = {language: make_pack(cls.folder, language) for language in LANGUAGES}
        cls.both = cls.folder / "both"
        packs = [part for language in reversed(LANGUAGES) for part in ("--pack", cls.made[language] / "pack")]
        run("expand", "attach", "--model", BASE, *packs, "-o", cls.both)
        run("expand", "verify", "--base", BASE, "--expanded", cls.both)
        run("eval", "bpb", "--model", BASE, *packs, "--corpus", cls.made["es"] / "corpus.yaml", "-o", cls.folder / "results")

    def test_one_pack_attached_is_the_grafted_model(self):
        work = self.made[NEW_LANGUAGE]
        run("expand", "attach", "--model", BASE, "--pack", work / "pack", "-o", work / "attached")
        self.assertEqual(differing(work / "model", work / "attached"), [])

    def test_both_come_off_again(self):
        first, second = self.folder / "first", self.folder / "second"
        run("expand", "detach", "--model", self.both, "--pack", "es", "-o", first)
        self.assertEqual(differing(first, self.made[NEW_LANGUAGE] / "model"), [])
        run("expand", "detach", "--model", first, "--pack", NEW_LANGUAGE, "-o", second)
        self.assertEqual(differing(second, BASE), [])

    def test_packs_in_memory_are_read_as_the_written_sum(self):
        packs = [part for language in LANGUAGES for part in ("--pack", self.made[language] / "pack")]
        asked = [["inspect"], ["expand", "profile", "--corpus", CORPUS, "--tokens", 500, "-o", self.folder / "profile.json",
                               "--force", "--model"]]
        for command in asked:
            with self.subTest(command[0]):
                written, in_memory = (json.loads(run(*command, model, *more, "--json", "-").stdout)
                                      for model, more in ((self.both, []), (BASE, packs)))
                for result in (written, in_memory):
                    result.pop("model_hash", None)
                self.assertEqual(written, in_memory)
        written, in_memory = (json.loads(run("expand", "verify", "--base", BASE, "--corpus", CORPUS, *more, "--json", "-").stdout)
                              for more in (["--expanded", self.both], packs))
        self.assertTrue(in_memory["ok"] and in_memory["masked_logits_equal"])
        self.assertEqual(written["step0"], in_memory["step0"])

    def test_transformers_loads_both_and_scores_as_packs_in_memory_do(self):
        model, loading = transformers.AutoModelForCausalLM.from_pretrained(
            self.both, dtype=torch.float32, output_loading_info=True)
        for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            self.assertFalse(loading[problem], problem)
        tokenizer = transformers.AutoTokenizer.from_pretrained(self.both)
        for language in LANGUAGES:
            tokens = load_json(self.made[language] / "pack" / "pack.json")["tokens"]
            self.assertTrue(set(tokens) <= set(tokenizer.get_vocab()))
        file = next((self.folder / "results").glob("samples_bpb_es_*.jsonl"))
        samples = {s["id"]: s for s in map(json.loads, file.read_text().splitlines())}
        compared = 0
        for line in (WORK / "es.heldout.jsonl").read_text().splitlines():
            text = json.loads(line)
            ids = tokenizer.encode(text["text"], add_special_tokens=False)
            self.assertEqual(len(ids), samples[text["id"]]["num_tokens"])
            if len(ids) >= model.config.max_position_embeddings:
                continue
            with torch.no_grad():
                logits = model(torch.tensor([[tokenizer.bos_token_id, *ids]])).logits[0, :-1].double()
            nats = -torch.log_softmax(logits, -1).gather(1, torch.tensor(ids)[:, None]).sum().item()
            self.assertLess(abs(nats - samples[text["id"]]["nats"]) / nats, NATS_TOLERANCE)
            compared += 1
        self.assertGreater(compared, 5)

    def test_another_base_and_broken_packs_are_clear_errors(self):
        pack = self.made["es"] / "pack"
        wrong = run("expand", "attach", "--model", self.made[NEW_LANGUAGE] / "model", "--pack", pack, "--pack", pack, "-o",
                    self.folder / "wrong", expect=4)
        self.assertIn("two packs", wrong.stderr)
        self.assertFalse((self.folder / "wrong").exists())
        missing = run("expand", "attach", "--model", BASE, "--pack", self.folder / "nothing", "-o", self.folder / "wrong",
                      expect=1)
        self.assertIn("pack.json", missing.stderr)


if __name__ == "__main__":
    unittest.main()
