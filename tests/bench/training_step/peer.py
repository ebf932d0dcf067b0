#!/usr/bin/env python3
"""The peer of training_step.cpp: the same step in transformers, in one of its experts implementations and dtypes.

    peer.py FOLDER all|split|masked|forward eager|grouped_mm float32|bfloat16 THREADS [cpu|cuda]

split: additions are parameters of their own (split_model.py). masked: as it is usually done, the stacked parameters that
hold additions train, and gradients of old rows are set to zero. forward: no step, the loss alone.
"""
import json
import pathlib
import sys
import time

import torch
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from split_model import split

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness.added_rows import keep_added_rows  # noqa: E402


def mask(model, num_experts, num_rows):
    model.requires_grad_(False)
    for layer in model.model.layers:
        keep_added_rows(layer.mlp.gate.weight, num_experts)
        keep_added_rows(layer.mlp.experts.gate_up_proj, num_experts)
        keep_added_rows(layer.mlp.experts.down_proj, num_experts)
    keep_added_rows(model.model.embed_tokens.weight, num_rows)
    keep_added_rows(model.lm_head.weight, num_rows)


def load(folder, kind, implementation, dtype, device):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa",
                                                 experts_implementation=implementation)
    assert model.config._experts_implementation == implementation
    if kind in ("split", "masked"):
        manifest = json.loads((folder / "polygraft.json").read_text())
        {"split": split, "masked": mask}[kind](model, manifest["base_num_experts"], manifest["base_vocab_rows"])
    return model.to(device).train(kind != "forward")


def main():
    folder, kind, implementation, dtype = pathlib.Path(sys.argv[1]), *sys.argv[2:5]
    disable_progress_bar()
    torch.set_num_threads(int(sys.argv[5]))
    device = sys.argv[6] if len(sys.argv) > 6 else "cpu"
    model = load(folder, kind, implementation, getattr(torch, dtype), device)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, fused=True)
    ids = torch.tensor(json.loads((folder / "rows.json").read_text()), device=device)

    def train():
        optimizer.zero_grad(set_to_none=True)
        loss = model(ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return loss.item()

    @torch.no_grad()
    def score():
        return model(ids, labels=ids, use_cache=False).loss.item()

    step = score if kind == "forward" else train
    for line in sys.stdin:
        milliseconds, losses = [], []
        for _ in range(int(line)):
            start = time.perf_counter()
            losses.append(step())
            milliseconds.append(1e3 * (time.perf_counter() - start))
        peak = torch.cuda.max_memory_allocated() if device == "cuda" else 0
        print(json.dumps({"milliseconds": milliseconds, "losses": losses, "device_bytes": peak}), flush=True)


if __name__ == "__main__":
    main()
