"""The tokenizer inside a GGUF file as tokenizer.json, for models that are packaged in that form alone (SmolLM2).

Only the metadata at the beginning of the file is read: magic, version, counts, then key, type, value.
"""

import json
import struct

CONTROL = 3
SIZES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


class Reader:
    def __init__(self, file):
        self.file = file

    def number(self, code):
        return struct.unpack("<" + code, self.file.read(struct.calcsize("<" + code)))[0]

    def text(self):
        return self.file.read(self.number("Q")).decode("utf-8")

    def value(self, kind):
        if kind == STRING:
            return self.text()
        if kind == ARRAY:
            element, count = self.number("I"), self.number("Q")
            return [self.value(element) for _ in range(count)]
        return self.number(SIZES[kind])


def metadata(path):
    with open(path, "rb") as file:
        reader = Reader(file)
        if file.read(4) != b"GGUF":
            raise SystemExit(f"{path} is no GGUF file")
        reader.number("I")
        reader.number("Q")
        count = reader.number("Q")
        return {reader.text(): reader.value(reader.number("I")) for _ in range(count)}


def to_tokenizer_json(path, folder):
    """SmolLM's pre-tokenizer: digits one by one, then GPT-2's pattern."""
    values = metadata(path)
    if values["tokenizer.ggml.model"] != "gpt2" or values["tokenizer.ggml.pre"] != "smollm":
        raise SystemExit(f"{path} holds another kind of tokenizer")
    tokens = values["tokenizer.ggml.tokens"]
    special = [i for i, kind in enumerate(values["tokenizer.ggml.token_type"]) if kind == CONTROL]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    description = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            dict(id=i, content=tokens[i], single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
            for i in special
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": values["tokenizer.ggml.merges"],
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(description, ensure_ascii=False), encoding="utf-8")
