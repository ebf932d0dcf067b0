"""Live parity with Mixtral's own tokenizer.model, which mistral-common carries, as a base's only tokenizer: extended, grafted,
verified, and loaded in transformers, with the same ids and our scores. Needs the --parity packages.

Transformers 5.23 reads a tokenizer.model in its own way, that of the base as well: AutoTokenizer puts no space in front for a
mixtral folder (hence the class by name), and two spaces are joined before a word takes the second (such texts are left out)."""

import importlib.util
import json
import pathlib
import shutil
import unittest

import sentencepiece
import test_families
import transformers
from harness import NEW_LANGUAGE, OLD_LANGUAGES, WORK, fresh


def mixtral_tokenizer():
    """A folder as Mixtral is released, but for tokenizer.json."""
    folder = fresh("mixtral-released")
    package = pathlib.Path(importlib.util.find_spec("mistral_common").submodule_search_locations[0])
    shutil.copy(package / "data" / "tokenizer.model.v1", folder / "tokenizer.model")
    settings = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    transformers.MixtralConfig().save_pretrained(folder)  # by which transformers knows the tokenizer's class
    return folder


class MixtralTokenizer(test_families.Families):
    load_tokenizer = staticmethod(transformers.LlamaTokenizer.from_pretrained)
    is_comparable = staticmethod(lambda text: "  " not in text["text"])
    families, name = {"mixtral": test_families.FAMILIES["mixtral"]}, "mixtral-tokenizer"

    @classmethod
    def setUpClass(cls):
        cls.tokenizer = mixtral_tokenizer()
        super().setUpClass()

    def test_transformers_and_sentencepiece_give_the_same_ids(self):
        shutil.copy(self.tokenizer / "config.json", self.extended)
        theirs = self.load_tokenizer(self.extended)
        wheel = sentencepiece.SentencePieceProcessor(model_file=str(self.extended / "tokenizer.model"))
        self.assertEqual(len(theirs), 32060)
        for language in (NEW_LANGUAGE, *OLD_LANGUAGES):
            texts = map(json.loads, (WORK / f"{language}.heldout.jsonl").read_text().splitlines())
            compared = 0
            for text in filter(self.is_comparable, texts):
                self.assertEqual(theirs.encode(text["text"], add_special_tokens=False), wheel.encode(text["text"]))
                compared += 1
            self.assertGreater(compared, 5, language)


if __name__ == "__main__":
    unittest.main()
