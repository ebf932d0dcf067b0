"""SentencePiece models: small ones trained here, and the tokenizer.json form of a BPE one, as released for Mixtral."""

import json

import sentencepiece

VISIBLE_SPACE = "\u2581"

TRAINED = {
    "sp-unigram": dict(model_type="unigram", byte_fallback=True, character_coverage=0.98),
    "sp-unigram-unknown": dict(model_type="unigram", user_defined_symbols=["<sep>", "日本"]),
    "sp-bpe": dict(
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        control_symbols=["<pad>"],
        user_defined_symbols=["<sep>", "  "],
    ),
    "sp-bpe-suffix": dict(model_type="bpe", treat_whitespace_as_suffix=True),
}


def train(name, texts, folder, vocab_size):
    folder.mkdir(parents=True, exist_ok=True)
    lines = [line for text in texts for line in text.split("\n") if line and len(line) < 2000]
    with open(folder / "tokenizer.model", "wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            vocab_size=vocab_size,
            num_threads=1,
            minloglevel=2,
            hard_vocab_limit=False,
            **TRAINED[name],
        )


def merges_of(scores):
    """Pairs of pieces that make a piece, best piece first: what a BPE model's scores mean as ranks."""
    merges = []
    ids = {piece: number for number, piece in enumerate(scores)}
    for piece, score in scores.items():
        pairs = [
            (piece[:i], piece[i:])
            for i in range(1, len(piece))
            if piece[:i] in scores and piece[i:] in scores
        ]
        pairs.sort(key=lambda pair: (ids[pair[0]], ids[pair[1]]))
        merges += [(pair, score) for pair in pairs]
    merges.sort(key=lambda entry: entry[1], reverse=True)
    return [list(pair) for pair, _ in merges]


def to_tokenizer_json(model_file, folder, metaspace):
    """@param metaspace: the newer form, with a Metaspace pre-tokenizer in place of a normaliser."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model_file))
    vocab = {processor.id_to_piece(i): i for i in range(processor.get_piece_size())}
    normal = {
        piece: processor.get_score(i)
        for piece, i in vocab.items()
        if not (processor.is_control(i) or processor.is_unknown(i) or processor.is_byte(i))
    }
    special = [piece for piece, i in vocab.items() if processor.is_control(i) or processor.is_unknown(i)]
    bos = processor.id_to_piece(processor.bos_id())
    space = {"String": VISIBLE_SPACE}
    prepend = {"type": "Prepend", "prepend": VISIBLE_SPACE}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": VISIBLE_SPACE}
    scheme = {"type": "Metaspace", "replacement": VISIBLE_SPACE, "prepend_scheme": "first", "split": False}
    description = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            dict(id=vocab[s], content=s, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
            for s in special
        ],
        "normalizer": None if metaspace else {"type": "Sequence", "normalizers": [prepend, replace]},
        "pre_tokenizer": scheme if metaspace else None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {bos: {"id": bos, "ids": [vocab[bos]], "tokens": [bos]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": space, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": processor.id_to_piece(processor.unk_id()),
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": merges_of(normal),
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(description, ensure_ascii=False), encoding="utf-8")
