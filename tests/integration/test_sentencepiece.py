"""A base whose only tokenizer is a SentencePiece tokenizer.model: the whole pipeline, and packs on and off. The tokenizer is
trained, and what comes out is read, by the sentencepiece wheel. Run by the Python of the virtual environment."""

import json
import shutil
import unittest

import sentencepiece
from harness import CORPUS, NEW_LANGUAGE, OLD_LANGUAGES, WORK, fresh, hash_folder, load_json, run, write_pipeline

VOCAB_SIZE, NEW_TOKENS = 1000, 120
TRAIN_YAML = """\
version: 1
architecture: {{family: qwen3_moe, hidden_size: 32, num_layers: 2, num_heads: 4, num_kv_heads: 2, head_dim: 8,
               expert_width: 32, num_experts: 8, top_k: 2, tied_embeddings: false, max_positions: 512}}
tokenizer: {folder}/tokenizer
corpus: {corpus}
run_dir: {folder}/base-run
output: {folder}/base
seed: 17
train:
  trainable: all
  tokens: 60000
  sequence_length: 128
  batch_tokens: 2048
  optimizer: {{learning_rate: 6.0e-3, warmup_fraction: 0.05}}
  replay: {{fraction: 0}}
  probe: {{every_tokens: 60000, bytes_per_language: 4096}}
  checkpoint: {{every_tokens: 60000, keep: 1}}
"""


def texts(language, part):
    return [json.loads(line)["text"] for line in (WORK / f"{language}.{part}.jsonl").read_text().splitlines()]


def train_tokenizer(folder):
    folder.mkdir()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for code in OLD_LANGUAGES for text in texts(code, "train") for line in text.splitlines()
                               if line),
        model_prefix=str(folder / "tokenizer"), model_type="bpe", vocab_size=VOCAB_SIZE, byte_fallback=True,
        user_defined_symbols=["<tool>"], minloglevel=2)
    (folder / "tokenizer.vocab").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>"}))


def load(folder):
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


class SentencePiece(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = fresh("sentencepiece")
        train_tokenizer(cls.folder / "tokenizer")
        config = cls.folder / "base.yaml"
        config.write_text(TRAIN_YAML.format(folder=cls.folder, corpus=CORPUS))
        run("train", "--config", config)
        cls.base = cls.folder / "base"
        cls.yaml = write_pipeline(cls.folder, base=cls.base)
        cls.first = run("run", cls.yaml, "--json", cls.folder / "first.json", expect=None)
        cls.model = cls.folder / "run" / "model"

    def test_the_pipeline_runs_to_its_gate(self):
        outcome = load_json(self.folder / "first.json")["outcome"]
        self.assertEqual(self.first.returncode, {"pass": 0, "fail": 3, "insufficient": 4}[outcome], self.first.stderr)
        tests = {test["language"]: test for test in load_json(self.folder / "first.json")["tests"]}
        self.assertLess(tests[NEW_LANGUAGE]["ci_high"], 0)
        run("expand", "verify", "--base", self.base, "--expanded", self.model)

    def test_the_extended_model_travels_and_the_wheel_reads_it(self):
        for file in ("tokenizer.model", "tokenizer_config.json"):
            self.assertTrue((self.model / file).exists(), file)
        self.assertFalse((self.model / "tokenizer.json").exists())
        old, grown = load(self.base), load(self.model)
        self.assertEqual(grown.get_piece_size(), old.get_piece_size() + NEW_TOKENS)
        for language in OLD_LANGUAGES:
            for text in texts(language, "train"):
                self.assertEqual(old.encode(text), grown.encode(text), "guard text")
        lines = self.folder / "lines.txt"
        compared = 0
        for language in (NEW_LANGUAGE, *OLD_LANGUAGES):
            heldout = [line for text in texts(language, "heldout") for line in text.splitlines() if line.strip()]
            lines.write_text("".join(line + "\n" for line in heldout))
            ours = run("tokenizer", "encode", "--tokenizer", self.model, lines).stdout.splitlines()
            self.assertEqual([json.loads(ids) for ids in ours], [grown.encode(line) for line in heldout])
            compared += len(heldout)
        self.assertGreater(compared, 100)
        new = texts(NEW_LANGUAGE, "heldout")
        self.assertLess(sum(map(len, grown.encode(new))), 0.95 * sum(map(len, old.encode(new))))

    def test_a_pack_comes_off_and_goes_on(self):
        pack, bare, again = (self.folder / name for name in ("pack", "bare", "again"))
        run("expand", "pack", "--base", self.base, "--expanded", self.model, "-o", pack)
        self.assertEqual(len(load_json(pack / "pack.json")["tokens"]), NEW_TOKENS)
        run("expand", "detach", "--model", self.model, "--pack", NEW_LANGUAGE, "-o", bare)
        self.assertEqual(hash_folder(bare), hash_folder(self.base))
        run("expand", "attach", "--model", self.base, "--pack", pack, "-o", again)
        self.assertEqual((again / "tokenizer.model").read_bytes(), (self.model / "tokenizer.model").read_bytes())
        self.assertEqual((again / "model.safetensors").read_bytes(), (self.model / "model.safetensors").read_bytes())

    def test_a_folder_with_both_kinds_of_tokenizer_is_refused(self):
        both = self.folder / "both"
        shutil.copytree(self.folder / "tokenizer", both)
        shutil.copy(WORK / "tokenizer" / "tokenizer.json", both)
        result = run("tokenizer", "extend", "--tokenizer", both, "--text", WORK / f"{NEW_LANGUAGE}.train.jsonl", "--guard",
                     WORK / "en.train.jsonl", "-o", self.folder / "refused", expect=2)
        self.assertIn("tokenizer.json or tokenizer.model, not both", result.stderr)
        self.assertFalse((self.folder / "refused").exists())


if __name__ == "__main__":
    unittest.main()
