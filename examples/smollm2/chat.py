#!/usr/bin/env python3
"""The same questions to several chat models, answered by transformers' own greedy `generate`."""
import argparse

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

QUESTIONS = ["What is the capital of France?", "Name three colours of the rainbow.",
             "Apa yang dimaksud dengan lembar kerja dalam LibreOffice Calc?"]


def answer(model, tokenizer, question, max_new_tokens):
    """The reply's text, without special tokens."""
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        ids = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
    return tokenizer.decode(ids[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True).strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", metavar="NAME=FOLDER", help="a name to print and a Hugging Face folder")
    parser.add_argument("--max-new-tokens", type=int, default=40)
    args = parser.parse_args()
    loaded = []
    for name, folder in (entry.split("=", 1) for entry in args.models):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        loaded.append((name, model, AutoTokenizer.from_pretrained(folder)))
    for question in QUESTIONS:
        print(f"user: {question}")
        for name, model, tokenizer in loaded:
            reply = " ".join(answer(model, tokenizer, question, args.max_new_tokens).split())
            print(f"  {name}: {reply}")


if __name__ == "__main__":
    main()
