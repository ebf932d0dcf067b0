"""Two result folders written by lm-evaluation-harness 0.4.13 itself: python make_results.py (torch, transformers, lm-eval).

A tiny random model, and the same one with its output scaled by 1.05, which makes its guesses overconfident: a real, small
harm. Both are evaluated on bits per byte of German and English sentences and on a multiple-choice task, under one filter
each. Written beside this script: results/baseline, results/candidate (environment information removed).
"""
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HERE = Path(__file__).resolve().parent
CONTEXT = 96
SENTENCES = {
    "de": (["Die Katze", "Der Hund", "Meine Nachbarin", "Ein Kind", "Der alte Mann"],
           ["sieht", "sucht", "findet", "malt"], ["ein rotes Haus.", "den kleinen Vogel im Garten."]),
    "en": (["The cat", "A dog", "My neighbour", "Some child", "The old man"],
           ["sees", "looks for", "finds", "paints"], ["a red house.", "the little bird in the garden."]),
}
ROLLING = """task: bpb_{language}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {language}.jsonl}}}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list: [{{metric: bits_per_byte}}]
metadata: {{version: 1.0}}
"""
CHOICE = """task: sums_en
dataset_path: json
dataset_kwargs: {data_files: {test: sums.jsonl}}
output_type: multiple_choice
test_split: test
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: gold
metric_list: [{metric: acc}]
metadata: {version: 1.0}
"""


def tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {"<|bos|>": 0, **{character: i + 1 for i, character in enumerate(alphabet)}}
    bpe = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<|bos|>", eos_token="<|bos|>")


def save_model(folder, output_scale):
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=257, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
                         num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=CONTEXT, bos_token_id=0,
                         eos_token_id=0, initializer_range=0.2, tie_word_embeddings=False)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight.mul_(output_scale)
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def write_lines(file, rows):
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_tasks(work):
    (work / "tasks").mkdir()
    for language, parts in SENTENCES.items():
        write_lines(work / f"{language}.jsonl", [{"text": " ".join(words)} for words in itertools.product(*parts)])
        (work / "tasks" / f"bpb_{language}.yaml").write_text(ROLLING.format(language=language))
    write_lines(work / "sums.jsonl", [{"question": f"{i}+{j}=", "choices": [str(i + j), str(i + j + 1)], "gold": 0}
                                      for i in range(8) for j in range(5)])
    (work / "tasks" / "sums_en.yaml").write_text(CHOICE)


def evaluate(work, model, out):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(work / "cache")}
    command = [sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args", f"pretrained={model},max_length={CONTEXT}",
               "--tasks", "bpb_de,bpb_en,sums_en", "--include_path", "tasks", "--output_path", out, "--log_samples",
               "--device", "cpu", "--batch_size", "16"]
    subprocess.run(command, cwd=work, env=environment, check=True)
    target = HERE / "results" / out
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(work / out, target)
    for file in target.rglob("results_*.json"):
        results = json.loads(file.read_text())
        results.pop("pretty_env_info")
        file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


with tempfile.TemporaryDirectory() as temporary:
    work = Path(temporary)
    write_tasks(work)
    for out, output_scale in (("baseline", 1.0), ("candidate", 1.05)):
        save_model(work / f"model-{out}", output_scale)
        evaluate(work, f"model-{out}", out)
