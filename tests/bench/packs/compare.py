"""Times `expand attach` and `expand detach` beside `cp -r` and `sync` of the same model on the same disk, and prints ratios.

Checks correctness first: detaching gives the base's files back byte for byte. The model is random and Marco-Nano-shaped, with
fewer experts; the pack adds 16 experts a layer and 2,000 tokens."""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import struct
import subprocess
import sys
import time

import numpy

LAYERS, WIDTH, EXPERT_WIDTH, VOCABULARY = 8, 1024, 384, 151936
ADDED_EXPERTS, ADDED_TOKENS = 16, 2000


def config(experts, rows):
    return {
        "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "vocab_size": rows, "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 64,
        "intermediate_size": 4096, "moe_intermediate_size": EXPERT_WIDTH, "num_experts": experts, "num_experts_per_tok": 8,
        "norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": [], "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6, "rope_theta": 1e6, "hidden_act": "silu", "tie_word_embeddings": True, "dtype": "bfloat16"}


def shapes(experts, rows):
    yield "model.embed_tokens.weight", [rows, WIDTH]
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", [WIDTH]
        for name, height in [("q", 1024), ("k", 512), ("v", 512)]:
            yield f"{prefix}self_attn.{name}_proj.weight", [height, WIDTH]
        yield prefix + "self_attn.o_proj.weight", [WIDTH, 1024]
        yield prefix + "self_attn.q_norm.weight", [64]
        yield prefix + "self_attn.k_norm.weight", [64]
        yield prefix + "post_attention_layernorm.weight", [WIDTH]
        yield prefix + "mlp.gate.weight", [experts, WIDTH]
        for expert in range(experts):
            for name in ["gate", "up"]:
                yield f"{prefix}mlp.experts.{expert}.{name}_proj.weight", [EXPERT_WIDTH, WIDTH]
            yield f"{prefix}mlp.experts.{expert}.down_proj.weight", [WIDTH, EXPERT_WIDTH]
    yield "model.norm.weight", [WIDTH]


def write_tensors(file, tensors):
    """`tensors`: (name, shape) pairs; random bf16 bytes of numbers below one."""
    header, position, sizes = {}, 0, []
    for name, shape in tensors:
        sizes.append(2 * int(numpy.prod(shape)))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [position, position + sizes[-1]]}
        position += sizes[-1]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    random = numpy.random.default_rng(17)
    with file.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for size in sizes:
            out.write((random.integers(0, 1 << 16, size // 2, dtype=numpy.uint16) & 0xBF7F).tobytes())


def write_tokenizer(folder):
    vocabulary = {f"<t{i}>": i for i in range(VOCABULARY)}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True},
                 "post_processor": None, "decoder": {"type": "ByteLevel"},
                 "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                           "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                           "vocab": vocabulary, "merges": []}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def make_base(folder, experts):
    folder.mkdir(parents=True)
    write_tensors(folder / "model.safetensors", list(shapes(experts, VOCABULARY)))
    (folder / "config.json").write_text(json.dumps(config(experts, VOCABULARY), indent=2))
    write_tokenizer(folder)


def make_pack(program, folder, base, experts):
    """The pack is described by hand; its base's hash is learned from the refusal that names it."""
    import hashlib

    folder.mkdir()
    tensors = [("embedding.added", [ADDED_TOKENS, WIDTH])]
    for layer in sorted(range(LAYERS), key=str):
        prefix = f"layers.{layer}.moe."
        tensors += [(prefix + "down.added", [ADDED_EXPERTS, WIDTH, EXPERT_WIDTH]),
                    (prefix + "gate_up.added", [ADDED_EXPERTS, 2 * EXPERT_WIDTH, WIDTH]),
                    (prefix + "router.added", [ADDED_EXPERTS, WIDTH])]
    write_tensors(folder / "additions.safetensors", tensors)
    pack = {"schema_version": 1, "tool_version": "bench", "name": "id",
            "base": {"tensors_hash": "0" * 64, "num_experts": experts, "vocab_rows": VOCABULARY, "tied_embeddings": True,
                     "tokenizer_hash": hashlib.sha256((base / "tokenizer.json").read_bytes()).hexdigest()},
            "untied_head": False, "additions_hash": "0" * 64,
            "layers": [{"layer": i, "num_experts": ADDED_EXPERTS, "donors": []} for i in range(LAYERS)],
            "tokens": [f"<n{i}>" for i in range(ADDED_TOKENS)], "merges": [], "provenance": {}}
    for part in ["additions_hash", "tensors_hash"]:
        (folder / "pack.json").write_text(json.dumps(pack))
        result = subprocess.run([program, "expand", "attach", "--model", base, "--pack", folder, "-o", folder / "refused"],
                                capture_output=True, text=True)
        found = result.stderr.split("found: ")[1].split()[0]
        (pack if part == "additions_hash" else pack["base"])[part] = found
    (folder / "pack.json").write_text(json.dumps(pack))


def timed(command):
    """Seconds, and the peak of anonymous memory in MiB (sampled)."""
    start, peak = time.monotonic(), 0
    process = subprocess.Popen([str(part) for part in command], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    peak = max(peak, int(line.split()[1]) // 1024)
        except (FileNotFoundError, ProcessLookupError):
            pass
        time.sleep(0.01)
    if process.returncode:
        sys.exit(f"{command} failed")
    return time.monotonic() - start, peak


def folder_bytes(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--experts", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    work = arguments.work / "packs-bench"
    shutil.rmtree(work, ignore_errors=True)
    base, pack, model, back, copy = (work / name for name in ["base", "id", "model", "back", "copy"])
    make_base(base, arguments.experts)
    make_pack(arguments.program, pack, base, arguments.experts)
    attach = [arguments.program, "expand", "attach", "--quiet", "--model", base, "--pack", pack, "-o", model]
    detach = [arguments.program, "expand", "detach", "--quiet", "--model", model, "--pack", "id", "-o", back]
    timed(attach), timed(detach)
    if subprocess.run(["diff", "-r", base, back]).returncode:
        sys.exit("detaching did not give the base back")
    print(f"base {folder_bytes(base) / 1e9:.2f} GB, attached {folder_bytes(model) / 1e9:.2f} GB; detached = base, byte for byte")
    rates, memory = {}, {}
    for _ in range(arguments.rounds):
        for name, command, source in [("attach", attach, model), ("detach", detach, base),
                                      ("cp and sync", ["sh", "-c", f"cp -r '{model}' '{copy}' && sync '{copy}'/*"], model)]:
            for old in {"attach": [model], "detach": [back]}.get(name, [copy]):
                shutil.rmtree(old, ignore_errors=True)
            os.sync()
            seconds, peak = timed(command)
            rates.setdefault(name, []).append(folder_bytes(source) / seconds / 1e6)
            memory[name] = max(memory.get(name, 0), peak)
    peer = statistics.median(rates["cp and sync"])
    for name, values in rates.items():
        rate = statistics.median(values)
        print(f"{name:12} {rate:8.0f} MB/s  {rate / peer:5.2f} x cp  peak anonymous memory {memory[name]} MiB")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
