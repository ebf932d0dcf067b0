"""The two reference libraries behind one face: ids, and texts with and without special tokens."""

import json

import sentencepiece
import tokenizers


class HuggingFace:
    def __init__(self, folder):
        file = folder / "tokenizer.json"
        self.description = json.loads(file.read_text(encoding="utf-8"))
        self.tokenizer = tokenizers.Tokenizer.from_file(str(file))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def encode(self, texts):
        return [entry.ids for entry in self.tokenizer.encode_batch(texts, add_special_tokens=False)]

    def decode(self, ids):
        return self.tokenizer.decode_batch(ids, skip_special_tokens=False)

    def decode_plain(self, ids):
        return self.tokenizer.decode_batch(ids)

    def token(self, token_id):
        return self.tokenizer.id_to_token(token_id)

    def added(self):
        return [token["content"] for token in self.description["added_tokens"]][:12]

    def is_lossless(self):
        """Every byte of UTF-8 has a token (SmolLM2 lacks some); neither a normaliser nor an added token that takes spaces along, nor a space put in front."""
        text = json.dumps(self.description["pre_tokenizer"])
        never = {chr(byte) for byte in (0xC0, 0xC1, *range(0xF5, 0x100))}
        letters = set(tokenizers.pre_tokenizers.ByteLevel.alphabet()) - never
        if any(self.tokenizer.token_to_id(letter) is None for letter in letters):
            return False
        strips = any(token["lstrip"] or token["rstrip"] for token in self.description["added_tokens"])
        return (
            self.description["normalizer"] is None
            and not strips
            and '"add_prefix_space": true' not in text
            and "Removed" not in text
            and "Metaspace" not in text
        )


class SentencePiece:
    def __init__(self, folder):
        self.processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))

    def encode(self, texts):
        return [self.processor.encode(text) for text in texts]

    def decode(self, ids):
        return [self.processor.decode(row) for row in ids]

    def decode_plain(self, ids):
        special = {
            i
            for i in range(self.processor.get_piece_size())
            if self.processor.is_control(i) or self.processor.is_unknown(i)
        }
        return [self.processor.decode([i for i in row if i not in special]) for row in ids]

    def token(self, token_id):
        return self.processor.id_to_piece(token_id)

    def added(self):
        return ["<s>", "</s>", "<unk>", "<sep>", "[INST]", "<0x41>"]

    def is_lossless(self):
        return False


def load(folder):
    return HuggingFace(folder) if (folder / "tokenizer.json").exists() else SentencePiece(folder)
