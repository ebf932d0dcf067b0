"""Live parity of every family: a random base saved by transformers, expanded by the program's stages one by one, verified,
and loaded in transformers again, with our scores. Needs the --parity packages."""

import json
import shutil
import unittest

import torch
import transformers
from harness import BASE, CORPUS, NEW_LANGUAGE, OLD_LANGUAGES, WORK, fresh, load_json, run
from transformers import MixtralConfig, OlmoeConfig, Qwen2MoeConfig, Qwen3MoeConfig

NATS_TOLERANCE = 2e-4  # relative; float32 sums of some hundred tokens in another order
SHAPE = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=24,
             max_position_embeddings=512, num_experts=8, num_experts_per_tok=2, initializer_range=0.2,
             eos_token_id=None, pad_token_id=None)
FAMILIES = {
    "qwen3_moe": Qwen3MoeConfig(**SHAPE, head_dim=8, moe_intermediate_size=24, norm_topk_prob=True, tie_word_embeddings=True),
    "olmoe": OlmoeConfig(**SHAPE, norm_topk_prob=False, clip_qkv=4.0, tie_word_embeddings=False),
    "mixtral": MixtralConfig(**SHAPE, sliding_window=48, tie_word_embeddings=False),
    "qwen2_moe": Qwen2MoeConfig(**SHAPE, moe_intermediate_size=24, shared_expert_intermediate_size=32, norm_topk_prob=False,
                                tie_word_embeddings=True),
}
# Vocabulary rows of a base whose tokenizer has n tokens: more spare rows than the 60 new ones need, and spare rows that they
# outgrow, in a matrix that stays a multiple of 64.
VOCAB_ROWS = {"qwen3_moe": lambda n: n + 100, "mixtral": lambda n: (n + 63) // 64 * 64,
              "olmoe": lambda n: n + 100, "qwen2_moe": lambda n: (n + 63) // 64 * 64}
PLAN_YAML = """\
language: {language}
corpus: {corpus}
extended_tokenizer: {tokenizer}
tokenizer: {{new_tokens: 60, mark_steps: 8}}
expand: {{experts_per_layer: 2, calibration_new_tokens: 1500, calibration_old_tokens: 3000}}
"""


class Families(unittest.TestCase):
    families, tokenizer, name = FAMILIES, BASE, "families"
    load_tokenizer = staticmethod(transformers.AutoTokenizer.from_pretrained)
    is_comparable = staticmethod(lambda text: True)

    @classmethod
    def setUpClass(cls):
        cls.folder = fresh(cls.name)
        cls.extended = cls.folder / "tokenizer"
        old_texts = [WORK / f"{language}.train.jsonl" for language in OLD_LANGUAGES]
        run("tokenizer", "extend", "--tokenizer", cls.tokenizer, "--text", WORK / f"{NEW_LANGUAGE}.train.jsonl", "--guard",
            *old_texts, "--new-tokens", 60, "-o", cls.extended)

    def make_base(self, family):
        """As a released model comes: weights and config by transformers, tokenizer and chat template beside them."""
        base = self.folder / family
        config = self.families[family]
        num_tokens = len(self.load_tokenizer(self.tokenizer))
        config.vocab_size = VOCAB_ROWS.get(family, lambda n: n)(num_tokens)
        torch.manual_seed(3)
        transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(base)
        for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json"):
            if (self.tokenizer / name).exists():
                shutil.copy(self.tokenizer / name, base / name)
        (base / "chat_template.jinja").write_text("{{ messages }}")
        config_json = load_json(base / "config.json")
        config_json["a_key_nobody_knows"] = {"kept": [1, 2]}
        (base / "config.json").write_text(json.dumps(config_json))
        return base

    def expand(self, base):
        """profile, plan, graft, verify; the plan and the expanded folder."""
        profile, plan, config = (base.with_suffix(suffix) for suffix in (".profile.json", ".plan.json", ".plan.yaml"))
        config.write_text(PLAN_YAML.format(language=NEW_LANGUAGE, corpus=CORPUS, tokenizer=self.extended))
        expanded = base.with_suffix(".expanded")
        run("expand", "profile", "--model", base, "--corpus", CORPUS, "--tokens", 1500, "-o", profile)
        run("expand", "plan", "--model", base, "--profile", profile, "--config", config, "-o", plan)
        run("expand", "graft", "--model", base, "--plan", plan, "-o", expanded)
        report = json.loads(run("expand", "verify", "--base", base, "--expanded", expanded, "--json", "-").stdout)
        self.assertTrue(report["ok"] and report["masked_logits_equal"])
        return load_json(plan), expanded

    def check_side_files(self, base, expanded):
        before, after = load_json(base / "config.json"), load_json(expanded / "config.json")
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        self.assertLessEqual(changed, {"num_experts", "num_local_experts", "vocab_size", "tie_word_embeddings"})
        for name in ("chat_template.jinja", "generation_config.json"):
            self.assertEqual((base / name).read_bytes(), (expanded / name).read_bytes())

    def check_vocabulary(self, base, plan, expanded):
        rows = load_json(base / "config.json")["vocab_size"]
        tokens, added = (len(self.load_tokenizer(folder)) for folder in (base, expanded))
        self.assertEqual(added, tokens + plan["new_vocab_rows"])
        self.assertEqual(plan["spare_vocab_rows"], min(rows - tokens, added - tokens))
        grown = max(added, rows)
        self.assertEqual(plan["padding_vocab_rows"], -grown % 64 if grown > rows and rows % 64 == 0 else 0)
        self.assertEqual(load_json(expanded / "config.json")["vocab_size"], grown + plan["padding_vocab_rows"])
        self.assertEqual((expanded / "polygraft.base" / "displaced_rows.safetensors").exists(), rows > tokens)

    def check_scores(self, expanded):
        model, loading = transformers.AutoModelForCausalLM.from_pretrained(
            expanded, dtype=torch.float32, output_loading_info=True)
        for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            self.assertFalse(loading[problem], problem)
        routers = [tensor for name, tensor in model.state_dict().items() if name.endswith("mlp.gate.weight")]
        self.assertEqual(len(routers), 2)
        for router in routers:  # rows that nearly coincide would leave it to rounding which expert is chosen
            self.assertGreater((router[-1] - router[-2]).norm() / router[-1].norm(), 1e-2)
        tokenizer = self.load_tokenizer(expanded)
        results = expanded.with_suffix(".results")
        run("eval", "bpb", "--model", expanded, "--corpus", CORPUS, "-o", results)
        compared = 0
        for language in (NEW_LANGUAGE, OLD_LANGUAGES[0]):
            texts = map(json.loads, (WORK / f"{language}.heldout.jsonl").read_text().splitlines())
            samples = map(json.loads, next(results.glob(f"samples_bpb_{language}_*.jsonl")).read_text().splitlines())
            by_id = {sample["id"]: sample for sample in samples}
            for text in filter(self.is_comparable, texts):
                ids = tokenizer.encode(text["text"], add_special_tokens=False)
                self.assertEqual(len(ids), by_id[text["id"]]["num_tokens"], text["id"])
                if len(ids) >= model.config.max_position_embeddings:
                    continue  # longer than the context: windows, compared with lm-eval elsewhere
                with torch.no_grad():
                    logits = model(torch.tensor([[tokenizer.bos_token_id, *ids]])).logits[0, :-1].double()
                nats = -torch.log_softmax(logits, -1).gather(1, torch.tensor(ids)[:, None]).sum().item()
                self.assertLess(abs(nats - by_id[text["id"]]["nats"]) / nats, NATS_TOLERANCE, text["id"])
                compared += 1
        self.assertGreater(compared, 10)

    def test_every_family_expands_verifies_and_loads(self):
        for family, config in self.families.items():
            with self.subTest(family):
                base = self.make_base(family)
                plan, expanded = self.expand(base)
                renormalised = family == "mixtral" or config.norm_topk_prob
                self.assertEqual(plan["softmax_shift"]["renormalized"], renormalised)
                self.check_side_files(base, expanded)
                self.check_vocabulary(base, plan, expanded)
                self.check_scores(expanded)


if __name__ == "__main__":
    unittest.main()
