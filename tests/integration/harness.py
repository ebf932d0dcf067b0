"""What the integration tests share: running the program, hashing folders, the small base model's paths."""

import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess

PROGRAM = os.environ["POLYGRAFT"]
SOURCE = pathlib.Path(os.environ["POLYGRAFT_SOURCE_DIR"])
WORK = pathlib.Path(os.environ["POLYGRAFT_TEST_WORK"])
BASE = WORK / "base"
BASE_CONFIG = WORK / "base.yaml"
CORPUS = WORK / "corpus.yaml"
OLD_LANGUAGES = ["en", "de", "es"]
NEW_LANGUAGE = "id"


def run(*arguments, expect=0, cwd=None, environment=()):
    """Runs polygraft, with `environment` beside its own; fails with its stderr unless it exits with `expect` (None: any)."""
    command = [PROGRAM, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **dict(environment)})
    if expect is not None and result.returncode != expect:
        raise AssertionError(
            f"{' '.join(command)}\nexit {result.returncode}, expected {expect}\n{result.stdout}\n{result.stderr}"
        )
    return result


def pipeline_yaml(run_dir, base=BASE, corpus=CORPUS):
    """A pipeline small enough for seconds, with every part switched on."""
    return f"""\
version: 1
run_dir: {run_dir}
seed: 17
base: {base}
corpus: {corpus}
tokenizer: {{new_tokens: 120, mark_steps: 20}}
expand: {{experts_per_layer: 4, calibration_new_tokens: 3000, calibration_old_tokens: 6000}}
train:
  tokens: 40000
  sequence_length: 128
  batch_tokens: 1024
  optimizer: {{learning_rate: 4.0e-3, warmup_fraction: 0.08}}
  replay: {{fraction: 0.27}}
  protect: {{method: kl, kl: 20, hinge: 0.5, capture: 0.1, margin: 0.3}}
  probe: {{every_tokens: 10000, bytes_per_language: 8192}}
  budget: {{max_relative_bpb: 0.003}}
  checkpoint: {{every_tokens: 4000, keep: 2}}
gate: {{margin_relative_bpb: 0.02, min_documents: 5}}
"""


def write_pipeline(folder, **options):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "pipeline.yaml"
    file.write_text(pipeline_yaml(folder / "run", **options))
    return file


def hash_folder(folder):
    """SHA-256 over names and bytes of every file below `folder`."""
    digest = hashlib.sha256()
    for file in sorted(p for p in pathlib.Path(folder).rglob("*") if p.is_file()):
        digest.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def fresh(name):
    """An empty folder below the work folder."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def partial_outputs(folder):
    """Names that only an unfinished write leaves."""
    return [str(p) for p in pathlib.Path(folder).rglob("*.polygraft-partial-*")]


def flip_byte(file, tensor, offset):
    """Flips one bit of `tensor` at `offset` bytes into its data."""
    content = bytearray(file.read_bytes())
    header_bytes = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + header_bytes])
    content[8 + header_bytes + header[tensor]["data_offsets"][0] + offset] ^= 1
    file.write_bytes(content)


def load_json(file):
    return json.loads(pathlib.Path(file).read_text())
