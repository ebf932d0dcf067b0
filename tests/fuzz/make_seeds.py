"""make_seeds.py FOLDER: small valid tokenizer.json and tokenizer.model files to start from."""

import io
import json
import pathlib
import sys

import sentencepiece

SPACE = "\u2581"
SPLIT = {"type": "Split", "pattern": {"Regex": r"\p{N}{1,3}|\s+(?!\S)|[^\s\p{L}]+"}, "behavior": "Isolated", "invert": False}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
PREPEND = {"type": "Prepend", "prepend": SPACE}
REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
METASPACE = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": False}
BACK = [
    {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
    {"type": "ByteFallback"},
    {"type": "Fuse"},
    {"type": "Strip", "content": " ", "start": 1, "stop": 0},
]
TEMPLATE = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
}


def sequence(kind, steps):
    return {"type": "Sequence", kind: steps}


def description(normalizer, pre_tokenizer, decoder, characters):
    tokens = ["<unk>", "<s>", *characters, "ab", "aab"] + [f"<0x{byte:02X}>" for byte in (0xC3, 0xB6)]
    flags = dict(single_word=False, lstrip=True, rstrip=False, normalized=False, special=True)
    return {
        "version": "1.0",
        "added_tokens": [dict(id=1, content="<s>", **flags)],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": TEMPLATE,
        "decoder": decoder,
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "fuse_unk": True,
            "byte_fallback": SPACE in characters,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [["a", "b"], "a ab"],
        },
    }


def json_seeds():
    nfc = {"type": "NFC"}
    llama = sequence("normalizers", [PREPEND, REPLACE])
    yield description(nfc, sequence("pretokenizers", [SPLIT, BYTE_LEVEL]), BYTE_LEVEL, "abelo\u0120\u010a")
    yield description(llama, None, sequence("decoders", BACK), "abelo" + SPACE)
    yield description(None, METASPACE, METASPACE, "abelo" + SPACE)


def model_seed(**options):
    model = io.BytesIO()
    text = ["ab aab aba baa abba ba b a", "hello world 12345", "\u65e5\u672c"]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_writer=model, hard_vocab_limit=False, minloglevel=2, **options
    )
    return model.getvalue()


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(json_seeds()):
        (folder / f"{i}.json").write_text(json.dumps(seed), encoding="utf-8")
    identity = dict(normalization_rule_name="identity")
    for i, options in enumerate(
        [
            dict(model_type="bpe", vocab_size=300, byte_fallback=True, **identity),
            dict(model_type="unigram", vocab_size=40, **identity),
            dict(model_type="unigram", vocab_size=300, byte_fallback=True, normalization_rule_name="nmt_nfkc"),
        ]
    ):
        (folder / f"{i}.model").write_bytes(model_seed(**options))


if __name__ == "__main__":
    main()
