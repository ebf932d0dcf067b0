"""Writes a random checkpoint of a real model's shape, with a tokenizer, an extended tokenizer and texts to go with it.

A model of any size is written as a stream: bfloat16, per-expert layout, shards of 5 GB. The same seed gives the same
bytes. Words of the texts are consonant-vowel syllables; old ones have two or three, new ones four with a q in their middle.

    OUT/base/       config.json, generation_config.json, model-*.safetensors, tokenizer.json
    OUT/dense/      a dense qwen3 that upcycling makes as large as the base
    OUT/extended/   tokenizer.json with --new-tokens more tokens
    OUT/corpus.yaml, OUT/*.jsonl

--scale S divides layers and experts by sqrt(S) and the vocabulary by S: 16 makes Marco-Nano 1/16 as large.
"""

import argparse
import itertools
import json
import math
import pathlib
import random

SHARD_BYTES = 5_000_000_000
POOL_ELEMENTS = 1 << 25
SLICES = 8  # of the dense model's FFN, as Marco-MoE cuts Qwen3-0.6B's
CONSONANTS, VOWELS = "bcdfghjklmnprstvwxyz", "aeiou"


def scaled(config, scale):
    """The config with about 1/scale of the parameters."""
    root = math.isqrt(scale)
    config["num_hidden_layers"] = max(config["num_hidden_layers"] // root, 1)
    config["num_experts"] = max(config["num_experts"] // root, config["num_experts_per_tok"] + 1)
    config["vocab_size"] //= scale
    return config


def dense_of(config):
    """A qwen3 whose FFN makes SLICES experts of the config's width."""
    moe = ("num_experts", "num_experts_per_tok", "norm_topk_prob", "decoder_sparse_step", "mlp_only_layers",
           "moe_intermediate_size", "output_router_logits", "router_aux_loss_coef")
    dense = {key: value for key, value in config.items() if key not in moe}
    return dense | {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
                    "intermediate_size": SLICES * config["moe_intermediate_size"]}


def tensors(config):
    """Names and shapes of a per-expert qwen3_moe or a qwen3 checkpoint, in the order in which they are written."""
    width, head = config["hidden_size"], config["head_dim"]
    query, key = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    expert = config.get("moe_intermediate_size")
    yield "model.embed_tokens.weight", (config["vocab_size"], width)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", (width,)
        yield at + "self_attn.q_proj.weight", (query, width)
        yield at + "self_attn.k_proj.weight", (key, width)
        yield at + "self_attn.v_proj.weight", (key, width)
        yield at + "self_attn.o_proj.weight", (width, query)
        yield at + "self_attn.q_norm.weight", (head,)
        yield at + "self_attn.k_norm.weight", (head,)
        yield at + "post_attention_layernorm.weight", (width,)
        if "num_experts" not in config:
            yield at + "mlp.gate_proj.weight", (config["intermediate_size"], width)
            yield at + "mlp.up_proj.weight", (config["intermediate_size"], width)
            yield at + "mlp.down_proj.weight", (width, config["intermediate_size"])
            continue
        yield at + "mlp.gate.weight", (config["num_experts"], width)
        for e in range(config["num_experts"]):
            yield at + f"mlp.experts.{e}.gate_proj.weight", (expert, width)
            yield at + f"mlp.experts.{e}.up_proj.weight", (expert, width)
            yield at + f"mlp.experts.{e}.down_proj.weight", (width, expert)
    yield "model.norm.weight", (width,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (config["vocab_size"], width)


def shards(config):
    """The tensors cut into files of at most SHARD_BYTES."""
    files, size = [[]], 0
    for name, shape in tensors(config):
        num_bytes = 2 * math.prod(shape)
        if files[-1] and size + num_bytes > SHARD_BYTES:
            files.append([])
            size = 0
        files[-1].append((name, shape))
        size += num_bytes
    return files


class Weights:
    """Random bfloat16 weights, fast: pieces of a pool of random values, from a random place on; norms are one."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        # The high byte holds the sign and seven bits of the exponent: 0x3B is 0.002 to 0.008, 0x3C is 0.008 to 0.03.
        high_byte = bytes((0x80 if b & 1 else 0) | (0x3B if b & 6 else 0x3C) for b in range(256))
        pool = bytearray(2 * POOL_ELEMENTS)
        pool[0::2] = self.random.randbytes(POOL_ELEMENTS)
        pool[1::2] = self.random.randbytes(POOL_ELEMENTS).translate(high_byte)
        self.pool = memoryview(pool)

    def write(self, file, name, shape):
        left = 2 * math.prod(shape)
        if "norm" in name:
            file.write(b"\x80\x3f" * (left // 2))
            return
        while left:
            first = 2 * self.random.randrange(POOL_ELEMENTS)
            piece = self.pool[first:first + left]
            file.write(piece)
            left -= len(piece)


def write_shard(path, names, weights):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in names:
        end = offset + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in names:
            weights.write(file, name, shape)
    return offset


def write_model(config, seed, folder):
    weights, index, total = Weights(seed), {}, 0
    files = shards(config)
    for i, names in enumerate(files):
        name = f"model-{i + 1:05}-of-{len(files):05}.safetensors" if len(files) > 1 else "model.safetensors"
        total += write_shard(folder / name, names, weights)
        index.update({tensor: name for tensor, _ in names})
    if len(files) > 1:
        (folder / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=2))
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "generation_config.json").write_text('{"_from_model_config": true}\n')
    return total


def byte_alphabet():
    """GPT-2's letters for the 256 bytes."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [b for b in range(256) if b not in kept]
    return [chr(b) for b in kept] + [chr(256 + i) for i in range(len(moved))]


def merges(vocab_size, num_new):
    """Syllables, then words of two and of three; new tokens are two words of two with a q between, which no old merge
    crosses, so that each is reachable. @return (old, new) pairs."""
    syllables = [c + v for c in CONSONANTS for v in VOWELS]
    pairs = [(c, v) for c in CONSONANTS for v in VOWELS] + list(itertools.product(syllables, syllables))
    two = [a + b for a, b in pairs[len(syllables):]]
    threes = itertools.product(two, syllables)
    num_old = vocab_size - 257  # bytes and the end of text
    old = list(itertools.islice(itertools.chain(pairs, threes), num_old))
    known = [a + b for a, b in old if len(a + b) == 4]
    last = known[:math.isqrt(num_new)]
    new = [("q", word) for word in last] + [(word, "q" + end) for word, end in itertools.islice(
        itertools.product(known, last), num_new - len(last))]
    return old, new


def write_tokenizer(old, new, folder):
    """New tokens come after the special one, so that every old id stays."""
    vocab = {token: i for i, token in enumerate(byte_alphabet())}
    for left, right in old:
        vocab[left + right] = len(vocab)
    end = len(vocab)
    vocab["<|endoftext|>"] = end
    for left, right in new:
        vocab[left + right] = len(vocab)
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    special = {"id": end, "content": "<|endoftext|>", "single_word": False, "lstrip": False, "rstrip": False,
               "normalized": False, "special": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
             "vocab": vocab, "merges": [f"{left} {right}" for left, right in old + new]}
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [special], "normalizer": None,
             "pre_tokenizer": level, "post_processor": None, "decoder": level, "model": model}
    (folder / "tokenizer.json").write_text(json.dumps(whole, ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}))
    return end


def write_text(path, words, num_words, stream):
    """Documents of 200 words each, drawn so that early words are frequent."""
    drawn = [words[int(len(words) * stream.random() ** 3)] for _ in range(num_words)]
    with open(path, "w", encoding="utf-8") as out:
        for first in range(0, num_words, 200):
            out.write(json.dumps({"text": " ".join(drawn[first:first + 200])}) + "\n")


def write_corpus(old, new, folder, seed):
    stream = random.Random(seed + 1)
    old_words = [a + b for a, b in old if len(a + b) >= 4]
    stream.shuffle(old_words)
    half = len(old_words) // 2
    words = {"aa": old_words[:half], "bb": old_words[half:], "cc": [a + b for a, b in new]}
    lines = ["languages:"]
    for language, its_words in words.items():
        write_text(folder / f"{language}.train.jsonl", its_words, 24_000, stream)
        write_text(folder / f"{language}.heldout.jsonl", its_words, 400, stream)
        lines.append(f"  {language}: {{role: {'new' if language == 'cc' else 'old'}, "
                     f"train: [{language}.train.jsonl], heldout: [{language}.heldout.jsonl]}}")
    (folder / "corpus.yaml").write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=pathlib.Path, required=True, help="config.json that gives the shape")
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--new-tokens", type=int, default=10_000, help="divided by --scale too")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True)
    options = parser.parse_args()
    config = scaled(json.loads(options.config.read_text()), options.scale)
    base, dense, extended = (options.output / name for name in ("base", "dense", "extended"))
    for folder in (base, dense, extended):
        folder.mkdir(parents=True)
    old, new = merges(config["vocab_size"], options.new_tokens // options.scale)
    config["bos_token_id"] = config["eos_token_id"] = write_tokenizer(old, [], base)
    write_tokenizer(old, [], dense)
    write_tokenizer(old, new, extended)
    write_corpus(old, new, options.output, options.seed)
    write_model(dense_of(config), options.seed + 2, dense)
    print(f"{write_model(config, options.seed, base)} bytes of weights")


if __name__ == "__main__":
    main()
