"""Makes the small base model that the integration tests extend: real text, trained from scratch by our own trainer."""

import os
import pathlib
import shutil
import subprocess

from harness import BASE, BASE_CONFIG, CORPUS, NEW_LANGUAGE, OLD_LANGUAGES, SOURCE, WORK, run

TRAIN_BYTES = 250_000
HELDOUT_BYTES = 40_000

TRAIN_YAML = """\
version: 1
architecture: {family: qwen3_moe, hidden_size: 48, num_layers: 2, num_heads: 4, num_kv_heads: 2, head_dim: 16,
               expert_width: 48, num_experts: 8, top_k: 2, tied_embeddings: true, max_positions: 512}
tokenizer: tokenizer
corpus: corpus.yaml
run_dir: base-run
output: base
seed: 17
train:
  trainable: all
  tokens: 400000
  sequence_length: 128
  batch_tokens: 2048
  optimizer: {learning_rate: 6.0e-3, warmup_fraction: 0.05}
  replay: {fraction: 0}
  probe: {every_tokens: 200000, bytes_per_language: 8192}
  checkpoint: {every_tokens: 200000, keep: 1}
  load_balance: 0.01
"""


def cut(source, target, num_bytes):
    """The first whole lines of `source` up to about num_bytes."""
    written = 0
    with open(source, encoding="utf-8") as lines, open(target, "w", encoding="utf-8") as out:
        for line in lines:
            out.write(line)
            written += len(line.encode())
            if written >= num_bytes:
                break


def main():
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "polygraft" / "test-text"
    subprocess.run(
        ["bash", SOURCE / "examples" / "fetch_text.sh", "--old", " ".join(OLD_LANGUAGES), "--new", NEW_LANGUAGE,
         "--work", cache], check=True)
    for made in (BASE, WORK / "base-run", WORK / "tokenizer"):  # tests that need no base may be at work beside them
        shutil.rmtree(made, ignore_errors=True)
    WORK.mkdir(parents=True, exist_ok=True)
    corpus = ["languages:"]
    for language in [*OLD_LANGUAGES, NEW_LANGUAGE]:
        cut(cache / "data" / f"{language}.train.jsonl", WORK / f"{language}.train.jsonl", TRAIN_BYTES)
        cut(cache / "data" / f"{language}.heldout.jsonl", WORK / f"{language}.heldout.jsonl", HELDOUT_BYTES)
        role = "new" if language == NEW_LANGUAGE else "old"
        corpus.append(f"  {language}: {{role: {role}, train: [{language}.train.jsonl], heldout: [{language}.heldout.jsonl]}}")
    CORPUS.write_text("\n".join(corpus) + "\n")
    old_files = [WORK / f"{language}.train.jsonl" for language in OLD_LANGUAGES]
    run("tokenizer", "train", "--text", *old_files, "--vocab-size", 1024, "-o", WORK / "tokenizer")
    BASE_CONFIG.write_text(TRAIN_YAML)
    run("train", "--config", BASE_CONFIG)
    assert (BASE / "model.safetensors").exists()


if __name__ == "__main__":
    main()
