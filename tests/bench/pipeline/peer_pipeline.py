#!/usr/bin/env python3
"""The quickstart's pipeline as one would write it in Python with transformers, tokenizers and numpy.

    peer_pipeline.py --base FOLDER --corpus corpus.yaml --pipeline pipeline.yaml --out FOLDER [--threads N]

The same data and steps as `polygraft run`: extend the tokenizer, profile, graft, train the additions with old text protected,
measure before and after, compare. Stages are announced on stderr as polygraft announces them; OUT/results.json has the
figures. What only polygraft does (proof that the base is unchanged, packs, causes, the budget, resuming,
report) is left out.
"""
import argparse
import json
import os
import pathlib
import sys

import torch
import yaml
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

import peer_graft
import peer_scoring
import peer_tokenizer
import peer_training

STAGES = ("tokenizer", "profile", "graft", "evaluate-base", "train", "evaluate", "compare")


def announce(stage):
    print(f"[{STAGES.index(stage) + 1}/{len(STAGES)}] {stage}", file=sys.stderr, flush=True)


def read_texts(folder, files):
    return [json.loads(line)["text"] for file in files for line in (folder / file).open(encoding="utf-8")]


class Corpus:
    def __init__(self, file):
        languages = yaml.safe_load(file.read_text())["languages"]
        self.old = [name for name, entry in languages.items() if entry["role"] == "old"]
        self.new, = (name for name, entry in languages.items() if entry["role"] == "new")
        self.train, self.heldout = ({name: read_texts(file.parent, entry[kind]) for name, entry in languages.items()}
                                    for kind in ("train", "heldout"))

    def old_texts(self):
        return [text for language in self.old for text in self.train[language]]


def evaluate(model, tokenizer, corpus, prefix):
    return {language: peer_scoring.score(model, tokenizer, texts, prefix) for language, texts in corpus.heldout.items()}


def compare(before, after):
    return {language: {"baseline": peer_scoring.bits_per_byte(before[language]),
                       "candidate": peer_scoring.bits_per_byte(after[language]),
                       **peer_scoring.change(before[language], after[language])._asdict()} for language in before}


def run(arguments):
    settings, corpus = yaml.safe_load(arguments.pipeline.read_text()), Corpus(arguments.corpus)
    expand, seed = settings["expand"], settings["seed"]
    announce("tokenizer")
    merges = peer_tokenizer.extend(arguments.base, corpus.train[corpus.new], corpus.old_texts(),
                                   settings["tokenizer"]["new_tokens"], arguments.out / "tokenizer")
    tokenizers = [Tokenizer.from_file(str(folder / "tokenizer.json")) for folder in (arguments.base, arguments.out / "tokenizer")]
    announce("profile")
    base = AutoModelForCausalLM.from_pretrained(arguments.base, dtype=torch.float32, attn_implementation="sdpa",
                                                experts_implementation=arguments.experts)
    base.requires_grad_(False)
    prefix = base.config.bos_token_id
    shares = peer_graft.profile(base, tokenizers[0], corpus.train, prefix)
    announce("graft")
    donors = peer_graft.choose_donors(shares, corpus.new, corpus.old, expand["experts_per_layer"])
    parts = peer_tokenizer.old_parts(merges, tokenizers[0].get_vocab_size())
    model = peer_graft.graft(base, tokenizers[1], (corpus.old_texts(), corpus.train[corpus.new]), prefix, parts, donors,
                             expand["reinit_ratio"], settings["tokenizer"]["mark_steps"], seed)
    announce("evaluate-base")
    before = evaluate(base, tokenizers[0], corpus, prefix)
    announce("train")
    models = peer_training.Models(base, model, tokenizers, prefix)
    peer_training.train(models, corpus.train, corpus.new, settings["train"], seed)
    model.to(torch.bfloat16).save_pretrained(arguments.out / "model")
    announce("evaluate")
    after = evaluate(model.float(), tokenizers[1], corpus, prefix)
    announce("compare")
    (arguments.out / "results.json").write_text(json.dumps(compare(before, after), indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("base", "corpus", "pipeline", "out"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--experts", choices=("eager", "grouped_mm"), default="grouped_mm", help="transformers' implementation")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    run(arguments)


if __name__ == "__main__":
    main()
