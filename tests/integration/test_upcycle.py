"""Live parity of upcycling: dense models saved by transformers, made into mixtures of experts, and loaded in transformers:
with the exact scaling they compute what the dense ones did. Needs the --parity packages."""

import json
import unittest

import torch
import transformers
from harness import fresh, run
from transformers import LlamaConfig, Qwen3Config

TOLERANCE = 1e-4  # of the largest logit; float32 sums in another order
SHAPE = dict(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, intermediate_size=48,
             max_position_embeddings=128, vocab_size=101, initializer_range=0.2)
LLAMA3_ROPE = {"rope_type": "llama3", "rope_theta": 50000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 64}
DENSE = {
    "llama": LlamaConfig(**SHAPE, rms_norm_eps=1e-5, rope_parameters=LLAMA3_ROPE, tie_word_embeddings=True),
    "qwen3": Qwen3Config(**SHAPE, head_dim=16, tie_word_embeddings=False),
}


class Upcycle(unittest.TestCase):
    def logits(self, folder, ids):
        model, loading = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True)
        for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            self.assertFalse(loading[problem], problem)
        with torch.no_grad():
            return model(ids).logits, model.config

    def test_the_function_is_kept_or_changed_as_the_program_says(self):
        work = fresh("upcycle")
        ids = torch.randint(0, SHAPE["vocab_size"], (3, 100), generator=torch.Generator().manual_seed(1))
        for family, config in DENSE.items():
            torch.manual_seed(5)
            dense = work / family
            transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(dense)
            before, _ = self.logits(dense, ids)
            for scale in ("exact", "cube_root"):
                with self.subTest(family=family, scale=scale):
                    moe = work / f"{family}-{scale}"
                    report = json.loads(run("expand", "upcycle", "--model", dense, "--set", "slices=4", "--set", "copies=3",
                                            "--set", "reinit_ratio=0", "--set", f"scale={scale}", "-o", moe,
                                            "--json", "-").stdout)
                    after, moe_config = self.logits(moe, ids)
                    self.assertEqual(moe_config.model_type, report["family"])
                    change = ((after - before).abs().max() / before.abs().max()).item()
                    if report["function"] == "kept":
                        self.assertLess(change, TOLERANCE)
                    else:
                        self.assertGreater(change, 100 * TOLERANCE)
                    self.assertEqual(report["function"] == "kept", scale == "exact")


if __name__ == "__main__":
    unittest.main()
