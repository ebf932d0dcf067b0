#!/usr/bin/env python3
"""The peer of moe_layer.cpp: the experts of transformers' Qwen3-MoE on the same arrays.

    peer.py FOLDER eager|grouped_mm float32|bfloat16 THREADS [cpu|cuda]

Added experts are rows of the stacked parameters: where there are any, these are trained and the gradients of old rows set
to zero, as it is done there. Otherwise everything is frozen, and only gradients of x and of the routing weights are formed.
"""
import json
import pathlib
import sys
import time

import numpy
import torch
from transformers import Qwen3MoeConfig
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeExperts

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from harness.added_rows import keep_added_rows  # noqa: E402


def read(folder, name, shape, dtype):
    count = int(numpy.prod(shape))
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    return torch.from_file(str(folder / name), shared=True, size=count, dtype=dtype).view(shape)


def make_experts(folder, shape, implementation, dtype, device):
    d, f, e, n = (shape[name] for name in ("width", "expert_width", "experts", "added"))
    config = Qwen3MoeConfig(hidden_size=d, moe_intermediate_size=f, num_experts=e + n, num_experts_per_tok=shape["top_k"])
    config._experts_implementation = implementation
    with torch.device("meta"):
        experts = Qwen3MoeExperts(config)
    for name, base, added, sizes in (("gate_up_proj", "gate_up.bin", "added_gate_up.bin", (2 * f, d)),
                                     ("down_proj", "down.bin", "added_down.bin", (d, f))):
        rows = torch.empty((e + n, *sizes), dtype=dtype)
        rows[:e] = read(folder, base, (e, *sizes), torch.bfloat16)
        rows[e:] = read(folder, added, (n, *sizes), torch.float32)
        parameter = torch.nn.Parameter(rows.to(device), requires_grad=False)
        setattr(experts, name, parameter)
        if n:
            keep_added_rows(parameter, e)
    return experts


def main():
    folder, implementation, dtype = pathlib.Path(sys.argv[1]), sys.argv[2], getattr(torch, sys.argv[3])
    torch.set_num_threads(int(sys.argv[4]))
    shape = json.loads((folder / "shape.json").read_text())
    t, d, k = (shape[name] for name in ("tokens", "width", "top_k"))
    device = sys.argv[5] if len(sys.argv) > 5 else "cpu"
    finish = torch.cuda.synchronize if device == "cuda" else lambda: None
    experts = make_experts(folder, shape, implementation, dtype, device)
    x_all, d_out = (read(folder, name, (t, d), torch.float32).to(device, dtype) for name in ("x.bin", "d_out.bin"))
    weight_all = read(folder, "weight.bin", (t, k), torch.float32).to(device)
    expert = read(folder, "expert.bin", (t, k), torch.int64).to(device)
    for line in sys.stdin:
        tokens, repeats = (int(word) for word in line.split())
        milliseconds = []
        for _ in range(repeats):
            x, weight = (v[:tokens].detach().clone().requires_grad_() for v in (x_all, weight_all))
            experts.zero_grad(set_to_none=True)
            finish()
            start = time.perf_counter()
            out = experts(x, expert[:tokens], weight.to(dtype))
            out.backward(d_out[:tokens])
            finish()
            milliseconds.append(1e3 * (time.perf_counter() - start))
        results = {"out": out.detach(), "d_x": x.grad, "d_weight": weight.grad}
        if shape["added"]:
            results["d_gate_up"] = experts.gate_up_proj.grad[shape["experts"]:]
            results["d_down"] = experts.down_proj.grad[shape["experts"]:]
        for name, value in results.items():
            value.float().cpu().contiguous().numpy().tofile(folder / f"{sys.argv[2]}.{sys.argv[3]}.{name}.bin")
        del results, out
        experts.zero_grad(set_to_none=True)  # the others need the memory
        print(json.dumps({"milliseconds": milliseconds}), flush=True)


if __name__ == "__main__":
    main()
