"""Random expanded models of Qwen3-MoE's shape, as folders that polygraft and transformers both read."""
import json
import math
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "size"))
import make_checkpoint  # noqa: E402

CONFIG = pathlib.Path(__file__).resolve().parents[3] / "configs/shapes/marco-nano/config.json"
SEED = 17
MARCO_NANO_4 = {"num_hidden_layers": 4}
QUICKSTART = {"vocab_size": 4096, "hidden_size": 192, "num_hidden_layers": 4, "num_attention_heads": 6,
              "num_key_value_heads": 3, "head_dim": 32, "intermediate_size": 512, "moe_intermediate_size": 128,
              "num_experts": 16, "num_experts_per_tok": 4, "max_position_embeddings": 1024}


def make_model(folder, shape, added_experts, added_rows):
    """Writes bfloat16 weights, per-expert layout. @param shape what differs from Marco-Nano's config.json. Without
    additions the head is tied. @return the config."""
    config = json.loads(CONFIG.read_text()) | shape | {"bos_token_id": 0, "eos_token_id": 0}
    base = dict(config)
    config["num_experts"] += added_experts
    config["vocab_size"] += added_rows
    config["tie_word_embeddings"] = added_experts == 0
    make_checkpoint.write_model(config, SEED, folder)
    if added_experts:
        (folder / "polygraft.json").write_text(json.dumps(manifest(base, added_experts, added_rows)))
    return config


def manifest(base, added_experts, added_rows):
    pack = {"name": "new", "first_expert": base["num_experts"], "num_experts": added_experts,
            "first_vocab_row": base["vocab_size"], "num_vocab_rows": added_rows}
    return {"schema_version": 1, "tool_version": "bench", "base_tensors_hash": "0" * 64, "base_tokenizer_hash": "0" * 64,
            "base_num_experts": base["num_experts"], "base_vocab_rows": base["vocab_size"], "base_tied_embeddings": False,
            "packs": [pack], "provenance": {}}


def write_rows(folder, rows, row_tokens, vocab_size):
    """rows.json: `rows` lists of random ids."""
    stream = random.Random(SEED)
    (folder / "rows.json").write_text(json.dumps(
        [[stream.randrange(vocab_size) for _ in range(row_tokens)] for _ in range(rows)]))


def num_parameters(config):
    return sum(math.prod(shape) for _, shape in make_checkpoint.tensors(config))
