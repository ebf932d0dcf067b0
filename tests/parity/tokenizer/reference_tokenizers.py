"""Tokenizers made by the reference library, one for each way of building a byte-level one."""

import json

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, trainers

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + TAIL
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + TAIL
CL100K = (
    CONTRACTIONS
    + r"|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    + CONTRACTIONS
    + "?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    + CONTRACTIONS
    + "?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = [
    r"\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
]
PLAIN_ADDED = ["<|im_start|>"]
ODD_ADDED = [
    AddedToken("<mask>", lstrip=True, rstrip=True, normalized=False),
    AddedToken("solo", single_word=True, normalized=True),
    AddedToken("été x", normalized=True),
    AddedToken("<|im|>", special=True),
    AddedToken("  ", normalized=False),
    AddedToken("left", lstrip=True, normalized=False),
    AddedToken("right", rstrip=True, normalized=True),
    AddedToken("日本", normalized=False),
]


# With ignore_merges a token that is found in whole words alone would become a piece: extending refuses it.
WHOLE_ADDED = [token for token in ODD_ADDED if not token.single_word]


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert=invert)


def sequence(*steps, prefix=False):
    return pre_tokenizers.Sequence(
        [*steps, pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=False)]
    )


def variants():
    """name -> (normalizer, pre-tokenizer, ignore_merges, added tokens)"""
    byte_level = pre_tokenizers.ByteLevel
    digits = pre_tokenizers.Digits
    return {
        "gpt2": (None, byte_level(add_prefix_space=False), False, PLAIN_ADDED),
        "qwen2": (normalizers.NFC(), sequence(split(QWEN2)), False, PLAIN_ADDED),
        "llama3": (None, sequence(split(LLAMA3)), True, WHOLE_ADDED),
        "o200k": (None, sequence(split(O200K)), True, WHOLE_ADDED),
        "cl100k": (None, sequence(split(CL100K)), False, ODD_ADDED),
        "deepseek": (normalizers.Sequence([]), sequence(*map(split, DEEPSEEK)), False, ODD_ADDED),
        "prefix": (None, byte_level(add_prefix_space=True), False, ODD_ADDED),
        "digits": (
            normalizers.NFKC(),
            pre_tokenizers.Sequence(
                [digits(individual_digits=True), byte_level(add_prefix_space=False)]
            ),
            False,
            ODD_ADDED,
        ),
        "numbers": (
            normalizers.NFD(),
            pre_tokenizers.Sequence(
                [digits(individual_digits=False), byte_level(add_prefix_space=True)]
            ),
            False,
            ODD_ADDED,
        ),
        "removed": (normalizers.NFKD(), sequence(split(r"\s+", "removed")), False, ODD_ADDED),
        "previous": (None, sequence(split(r"[\s\p{P}]", "merged_with_previous")), False, ODD_ADDED),
        "next": (
            None,
            sequence(pre_tokenizers.Split(" ", "merged_with_next"), prefix=True),
            False,
            ODD_ADDED,
        ),
        "contiguous": (
            None,
            sequence(split(r"\d|\S", "contiguous", invert=True)),
            False,
            ODD_ADDED,
        ),
    }


def first_metaspace(split):
    return pre_tokenizers.Metaspace(prepend_scheme="first", split=split)


def character_variants():
    """BPE that starts from characters: name -> (normalizer, pre-tokenizer, decoder, options of the model)"""
    space = "\u2581"
    fallback = dict(byte_fallback=True, fuse_unk=True)
    back_to_text = decoders.Sequence(
        [decoders.Replace(space, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    llama = normalizers.Sequence([normalizers.Prepend(space), normalizers.Replace(" ", space)])
    return {
        "llama2": (llama, None, back_to_text, fallback),
        "metaspace-first": (None, first_metaspace(False), decoders.Metaspace(prepend_scheme="first"), {}),
        "metaspace-always": (
            normalizers.Sequence(
                [normalizers.NFKC(), normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]
            ),
            pre_tokenizers.Sequence(
                [pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True)]
            ),
            decoders.Metaspace(),
            dict(fuse_unk=True),
        ),
        "metaspace-never": (
            None,
            pre_tokenizers.Sequence(
                [split(r"\n"), pre_tokenizers.Metaspace(prepend_scheme="never", split=True)]
            ),
            back_to_text,
            fallback,
        ),
        "metaspace-split-first": (
            None,
            pre_tokenizers.Sequence([split(r"\d+"), first_metaspace(True)]),
            decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")]),
            fallback,
        ),
    }


def make_from_characters(name, texts, folder, vocab_size):
    normalizer, pre_tokenizer, decoder, options = character_variants()[name]
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", **options))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)] if "byte_fallback" in options else []
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        limit_alphabet=200,
        special_tokens=["<unk>", "<s>", "</s>"] + byte_tokens,
        show_progress=False,
    )
    tokenizer.train_from_iterator([line for text in texts for line in text.split(" ")], trainer)
    tokenizer.add_tokens(ODD_ADDED)
    description = json.loads(tokenizer.to_str())
    # Trained as special tokens to have ids; they are not to be found in a text.
    description["added_tokens"] = [
        token for token in description["added_tokens"] if token["content"] not in byte_tokens
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(description), encoding="utf-8")


def make(name, texts, folder, vocab_size):
    normalizer, pre_tokenizer, ignore_merges, added = variants()[name]
    tokenizer = tokenizers.Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|bos|>", "<|eos|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(added)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
