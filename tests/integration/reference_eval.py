"""lm-evaluation-harness on a local model folder and local tasks: what the live tests and the bench compare with. Needs the
--parity packages."""

import json
import os
import pathlib
import subprocess
import sys

ROLLING_TASK = """\
task: bpb_{language}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {language}.jsonl}}}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list: [{{metric: bits_per_byte}}]
metadata: {{version: 1.0}}
"""


def write_rolling_tasks(files, folder):
    """Tasks bpb_<language> over the documents of `files`, {language: .jsonl}: what `polygraft eval bpb` measures."""
    folder.mkdir(parents=True)
    for language, file in files.items():
        rows = [{"text": json.loads(line)["text"]} for line in pathlib.Path(file).read_text().splitlines()]
        (folder / f"{language}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        (folder / f"bpb_{language}.yaml").write_text(ROLLING_TASK.format(language=language))


def lm_eval(model, tasks, folder, out, context, batch_size=8, dtype="float32", threads=None):
    """Runs the tasks that lie in `folder` into `out`."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / "cache")}
    if threads:
        environment["OMP_NUM_THREADS"] = environment["MKL_NUM_THREADS"] = str(threads)
    subprocess.run(
        [sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args",
         f"pretrained={model},dtype={dtype},max_length={context}", "--tasks", ",".join(tasks), "--include_path", str(folder),
         "--output_path", str(out), "--log_samples", "--device", "cpu", "--batch_size", str(batch_size)],
        cwd=folder, env=environment, check=True, capture_output=True)


def samples(folder, task):
    (file,) = folder.rglob(f"samples_{task}_*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def results(folder):
    (file,) = folder.rglob("results_*.json")
    return json.loads(file.read_text())["results"]


def context_of(model):
    return json.loads((model / "config.json").read_text())["max_position_embeddings"]
