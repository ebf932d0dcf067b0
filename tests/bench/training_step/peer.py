#!/usr/bin/env python3
"""The peer of training_step.cpp: the same step in transformers, in one of its experts implementations and dtypes.

    peer.py FOLDER all|additions eager|grouped_mm float32|bfloat16 THREADS

Additions only, as it is done there: experts are rows of one stacked parameter, so the parameters that hold additions
are trained and the gradients of the old rows are set to zero.
"""
import json
import pathlib
import sys
import time

import torch
from transformers import AutoModelForCausalLM


def keep_added_rows(parameter, num_base):
    def hook(gradient):
        gradient = gradient.clone()
        gradient[:num_base] = 0
        return gradient
    parameter.requires_grad_(True)
    parameter.register_hook(hook)


def select(model, trainable, manifest):
    if trainable == "all":
        return
    model.requires_grad_(False)
    experts, rows = manifest["base_num_experts"], manifest["base_vocab_rows"]
    for layer in model.model.layers:
        keep_added_rows(layer.mlp.gate.weight, experts)
        keep_added_rows(layer.mlp.experts.gate_up_proj, experts)
        keep_added_rows(layer.mlp.experts.down_proj, experts)
    keep_added_rows(model.model.embed_tokens.weight, rows)
    keep_added_rows(model.lm_head.weight, rows)


def main():
    folder, trainable, implementation, dtype = pathlib.Path(sys.argv[1]), *sys.argv[2:5]
    torch.set_num_threads(int(sys.argv[5]))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), attn_implementation="sdpa",
                                                 experts_implementation=implementation)
    assert model.config._experts_implementation == implementation
    model.train()
    manifest = json.loads((folder / "polygraft.json").read_text()) if trainable == "additions" else {}
    select(model, trainable, manifest)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, fused=True)
    ids = torch.tensor(json.loads((folder / "rows.json").read_text()))
    for line in sys.stdin:
        milliseconds, losses = [], []
        for _ in range(int(line)):
            start = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            loss = model(ids, labels=ids, use_cache=False).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            losses.append(loss.item())
            milliseconds.append(1e3 * (time.perf_counter() - start))
        print(json.dumps({"milliseconds": milliseconds, "losses": losses}), flush=True)


if __name__ == "__main__":
    main()
