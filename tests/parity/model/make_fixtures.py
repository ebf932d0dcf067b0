#!/usr/bin/env python3
"""Expected logits and gradients of tiny random models, from transformers, for tests/parity/model/parity_test.cpp.

    make_fixtures.py OUT [--folders] [--only PREFIX]

Every weight comes from a formula that the test repeats (splitmix64 of tensor name and index), so a fixture holds
a config, token ids and expected numbers: text, small, and readable in a diff. With --folders each model is also
saved as a Hugging Face folder OUT/<case>/, for the live test to load as any released model is loaded.
"""
import argparse
import json
import pathlib

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM
from transformers import MixtralConfig, MixtralForCausalLM
from transformers import Qwen2MoeConfig, Qwen2MoeForCausalLM
from transformers import OlmoeConfig, OlmoeForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM

MASK = (1 << 64) - 1
ADAMW = {"lr": 1e-2, "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}
SEQUENCE_LENGTHS = (11, 6)
# A router whose k-th and next score nearly tie may choose otherwise after bfloat16 rounding: such seeds are passed over.
SMALLEST_ROUTER_GAP = 0.06
# As are seeds whose bfloat16 gradients stray further than this from the float32 ones (relative to the largest number of a
# tensor, and absolutely) in transformers itself: 0.7 of tests/tolerances.h, which leaves the rest to a second implementation.
LARGEST_STRAY = (3.5e-2, 7e-4)

SHAPE = dict(vocab_size=48, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             head_dim=8, intermediate_size=24, max_position_embeddings=64, rms_norm_eps=1e-5)
MOE = dict(SHAPE, num_experts=5, num_experts_per_tok=2, moe_intermediate_size=8)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)
LINEAR = dict(rope_type="linear", rope_theta=10000.0, factor=2.5)
DEFAULT = dict(rope_type="default", rope_theta=1000.0)

QWEN3_MOE = (Qwen3MoeConfig, Qwen3MoeForCausalLM)
QWEN3 = (Qwen3Config, Qwen3ForCausalLM)
LLAMA = (LlamaConfig, LlamaForCausalLM)
QWEN2 = (Qwen2Config, Qwen2ForCausalLM)
OLMOE = (OlmoeConfig, OlmoeForCausalLM)
MIXTRAL = (MixtralConfig, MixtralForCausalLM)
QWEN2_MOE = (Qwen2MoeConfig, Qwen2MoeForCausalLM)

# Every tensor of a model of these sizes is still more than a few numbers long, and a fixture small.
SMALL = dict(vocab_size=32, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
             intermediate_size=6, max_position_embeddings=64, rms_norm_eps=1e-5, rope_parameters=DEFAULT)
SMALL_MOE = dict(SMALL, num_experts=4, num_experts_per_tok=2)
SMALL_QWEN2_MOE = dict(SMALL_MOE, moe_intermediate_size=5, shared_expert_intermediate_size=7)
# The class's own special ids lie outside so small a vocabulary.
SMALL_OLMOE = dict(SMALL_MOE, pad_token_id=None, eos_token_id=None)
# Sequences are longer than it.
WINDOW = dict(use_sliding_window=True, sliding_window=4)
CASES = {
    "qwen3_moe_per_expert_untied": (QWEN3_MOE, "per_expert", dict(
        MOE, norm_topk_prob=True, tie_word_embeddings=False, rope_parameters=DEFAULT)),
    "qwen3_moe_fused_tied_yarn": (QWEN3_MOE, "fused", dict(
        MOE, norm_topk_prob=False, tie_word_embeddings=True, rope_parameters=YARN)),
    "qwen3_moe_mixed_layers_llama3": (QWEN3_MOE, "per_expert", dict(
        MOE, norm_topk_prob=False, mlp_only_layers=[0], tie_word_embeddings=False, rope_parameters=LLAMA3)),
    "qwen3_moe_fused_bias_linear": (QWEN3_MOE, "fused", dict(
        MOE, num_experts=6, num_experts_per_tok=3, norm_topk_prob=True, attention_bias=True,
        tie_word_embeddings=True, rope_parameters=LINEAR)),
    "qwen3_dense_tied": (QWEN3, "none", dict(SHAPE, tie_word_embeddings=True, rope_parameters=DEFAULT)),
    "qwen3_dense_untied_yarn": (QWEN3, "none", dict(
        SHAPE, tie_word_embeddings=False, rope_parameters=dict(YARN, attention_factor=0.9, beta_fast=16.0))),
    "llama_dense_llama3": (LLAMA, "none", dict(
        SHAPE, tie_word_embeddings=False, attention_bias=True, rope_parameters=LLAMA3)),
    "llama_dense_tied_mha": (LLAMA, "none", dict(
        SHAPE, num_key_value_heads=4, tie_word_embeddings=True, rope_parameters=DEFAULT)),
    "llama_dense_every_bias": (LLAMA, "none", dict(
        SMALL, attention_bias=True, mlp_bias=True, tie_word_embeddings=True)),
    "qwen3_dense_later_layers_windowed": (QWEN3, "none", dict(
        SMALL, head_dim=4, tie_word_embeddings=True, max_window_layers=1, **WINDOW)),
    "qwen3_moe_mixed_shards_windowed": (QWEN3_MOE, "mixed", dict(
        SMALL, head_dim=4, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=6, norm_topk_prob=True,
        tie_word_embeddings=True, **WINDOW)),
    "qwen2_dense_tied": (QWEN2, "none", dict(SMALL, tie_word_embeddings=True)),
    "qwen2_dense_later_layers_windowed": (QWEN2, "none", dict(
        SMALL, tie_word_embeddings=False, max_window_layers=1, **WINDOW)),
    "olmoe_per_expert_clipped": (OLMOE, "per_expert", dict(
        SMALL_OLMOE, norm_topk_prob=False, clip_qkv=0.7, tie_word_embeddings=False)),
    "olmoe_fused_tied_renormalised": (OLMOE, "fused", dict(
        SMALL_OLMOE, norm_topk_prob=True, attention_bias=True, tie_word_embeddings=True)),
    "mixtral_per_expert_windowed": (MIXTRAL, "per_expert", dict(
        SMALL_MOE, num_experts=6, sliding_window=4, tie_word_embeddings=False)),
    "mixtral_fused_tied": (MIXTRAL, "fused", dict(SMALL_MOE, tie_word_embeddings=True)),
    "mixtral_mixed_shards": (MIXTRAL, "mixed", dict(SMALL_MOE, tie_word_embeddings=True)),
    "qwen2_moe_per_expert_untied": (QWEN2_MOE, "per_expert", dict(
        SMALL_QWEN2_MOE, norm_topk_prob=False, tie_word_embeddings=False)),
    "qwen2_moe_fused_renormalised_windowed": (QWEN2_MOE, "fused", dict(
        SMALL_QWEN2_MOE, norm_topk_prob=True, qkv_bias=False, tie_word_embeddings=True, **WINDOW)),
    "qwen2_moe_every_second_layer": (QWEN2_MOE, "fused", dict(
        SMALL_QWEN2_MOE, norm_topk_prob=False, decoder_sparse_step=2, tie_word_embeddings=True)),
}


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


def formula(name, shape, seed):
    """Uniform in [-1, 1): splitmix64(hash(name) + seed + index * golden ratio), upper 24 bits. Norms lie around 1."""
    count = int(np.prod(shape))
    start = np.uint64((fnv1a(name) + seed) & MASK)
    with np.errstate(over="ignore"):
        z = start + (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)
    values = np.float32(1) + np.float32(0.25) * unit if "norm" in name else np.float32(0.5) * unit
    return torch.from_numpy(values.reshape(shape))


# Names of one expert's gate, up and down, and of what holds the experts.
PER_EXPERT_NAMES = {"mixtral": ("w1", "w3", "w2", "block_sparse_moe")}
USUAL_NAMES = ("gate_proj", "up_proj", "down_proj", "mlp")


def stored_parts(name, tensor, layout, family):
    """A parameter's tensors as the checkpoint of this layout has them: [(stored name, view into tensor)]."""
    if layout == "mixed":  # layers taken in turn
        layout = "fused" if ".layers.1." in name else "per_expert"
    if layout != "per_expert":
        return [(name, tensor)]
    gate_name, up_name, down_name, block = PER_EXPERT_NAMES.get(family, USUAL_NAMES)
    name = name.replace(".mlp.", f".{block}.")
    if ".experts." not in name:
        return [(name, tensor)]
    prefix = name.rsplit(".", 1)[0]
    parts = []
    for expert in range(tensor.shape[0]):
        if name.endswith("gate_up_proj"):
            gate, up = tensor[expert].chunk(2)
            parts += [(f"{prefix}.{expert}.{gate_name}.weight", gate), (f"{prefix}.{expert}.{up_name}.weight", up)]
        else:
            parts.append((f"{prefix}.{expert}.{down_name}.weight", tensor[expert]))
    return parts


def build(case, dtype, seed):
    (config_class, model_class), layout, settings = CASES[case]
    config = config_class(**json.loads(json.dumps(settings)), use_cache=False)
    config._attn_implementation = "sdpa"
    config._experts_implementation = "eager"
    model = model_class(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            for stored, part in stored_parts(name, parameter, layout, config.model_type):
                part.copy_(formula(stored, tuple(part.shape), seed))
    return model.to(dtype).eval(), layout


def sequences(seed, vocab_size):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, vocab_size, length).tolist() for length in SEQUENCE_LENGTHS]


def mean_loss(model, ids):
    """Mean cross-entropy over all predictions; each sequence runs alone."""
    total, count, logits = 0.0, 0, []
    for sequence in ids:
        tokens = torch.tensor([sequence])
        out = model(tokens).logits[0].float()
        logits.append(out)
        total = total + torch.nn.functional.cross_entropy(out[:-1], tokens[0, 1:], reduction="sum")
        count += len(sequence) - 1
    return total / count, torch.cat(logits)


def smallest_router_gap(model, ids):
    if not getattr(model.config, "num_experts", 0):
        return float("inf")
    gaps = []
    k = model.config.num_experts_per_tok
    for sequence in ids:
        out = model(torch.tensor([sequence]), output_router_logits=True)
        for logits in out.router_logits:
            top = logits.float().sort(-1, descending=True).values
            gaps.append((top[:, k - 1] - top[:, k]).min().item())
    return min(gaps)


def gradients(case, dtype, seed, ids):
    model, _ = build(case, dtype, seed)
    mean_loss(model, ids)[0].backward()
    return [parameter.grad.float() for parameter in model.parameters()]


def strays(case, seed, ids):
    relative, absolute = LARGEST_STRAY
    pairs = zip(gradients(case, torch.float32, seed, ids), gradients(case, torch.bfloat16, seed, ids))
    return any((wide - narrow).abs().max() > absolute + relative * narrow.abs().max() for wide, narrow in pairs)


def pick_seed(case):
    for seed in range(1, 5000):
        model, _ = build(case, torch.float32, seed)
        ids = sequences(seed, model.config.vocab_size)
        with torch.no_grad():
            if smallest_router_gap(model, ids) <= SMALLEST_ROUTER_GAP:
                continue
        if not strays(case, seed, ids):
            return seed
    raise SystemExit(f"{case}: no seed whose routers decide clearly and whose gradients survive bfloat16")


def adamw_losses(case, dtype, seed, ids):
    """Of parameters, gradients and moments in `dtype`, as torch.optim.AdamW keeps them."""
    model, _ = build(case, dtype, seed)
    groups = [{"params": [p for p in model.parameters() if p.ndim >= 2]},
              {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, **ADAMW)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss, _ = mean_loss(model, ids)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    losses.append(mean_loss(model, ids)[0].item())
    return losses


def numbers(tensor, digits):
    return [float(f"{value:.{digits}g}") for value in tensor.detach().float().flatten().tolist()]


def expected(case, dtype, seed, ids):
    model, layout = build(case, dtype, seed)
    loss, logits = mean_loss(model, ids)
    loss.backward()
    digits = 8 if dtype == torch.float32 else 5
    gradients = {}
    for name, parameter in model.named_parameters():
        for stored, part in stored_parts(name, parameter.grad, layout, model.config.model_type):
            gradients[stored] = numbers(part, digits)
    return {"loss": numbers(loss, 9)[0], "logits": numbers(logits, digits), "gradients": gradients}


def save_folder(model, layout, folder):
    """per_expert and none: what save_pretrained writes. fused: transformers' own parameter names, as its v5 layout.
    mixed: some layers thus, some so; transformers reads that as well, which is checked here."""
    model.save_pretrained(folder)
    if layout not in ("fused", "mixed"):
        return
    tied = model.config.tie_word_embeddings
    state = {stored: part.contiguous() for name, tensor in model.state_dict().items()
             if not (tied and name == "lm_head.weight")
             for stored, part in stored_parts(name, tensor, layout, model.config.model_type)}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    again = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    for name, tensor in model.state_dict().items():
        if not torch.equal(tensor, again[name]):
            raise SystemExit(f"{folder}: transformers reads {name} otherwise than it was written")


def dump(fixture, path):
    """One line a tensor, so that a change can be read."""
    def lines(value, indent):
        if isinstance(value, dict):
            inner = ",\n".join(f"{indent} {json.dumps(key)}: {lines(item, indent + ' ')}" for key, item in value.items())
            return "{\n" + inner + "\n" + indent + "}"
        return json.dumps(value, separators=(",", ":"))
    path.write_text(lines(fixture, "") + "\n")


def make(case, out, folders):
    seed = pick_seed(case)
    model, layout = build(case, torch.float32, seed)
    ids = sequences(seed, model.config.vocab_size)
    config = json.loads(model.config.to_json_string(use_diff=False))
    config = {key: value for key, value in config.items() if value is not None and not key.startswith("_")}
    fixture = {
        "case": case,
        "generator": "tests/parity/model/make_fixtures.py",
        "versions": {"transformers": transformers.__version__, "torch": torch.__version__},
        "seed": seed,
        "layout": layout,
        "config": config,
        "sequences": ids,
        "adamw": {"settings": ADAMW, "losses": adamw_losses(case, torch.float32, seed, ids),
                  "bfloat16_losses": adamw_losses(case, torch.bfloat16, seed, ids)},
        "float32": expected(case, torch.float32, seed, ids),
        "bfloat16": expected(case, torch.bfloat16, seed, ids),
    }
    dump(fixture, out / f"{case}.json")
    if folders:
        save_folder(model, layout, out / case)
    print(f"{case}: seed {seed}, {(out / f'{case}.json').stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--folders", action="store_true", help="also save every model as a Hugging Face folder")
    parser.add_argument("--only", default="", help="the cases whose names begin so")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for case in CASES:
        if case.startswith(arguments.only):
            make(case, arguments.out, arguments.folders)


if __name__ == "__main__":
    main()
