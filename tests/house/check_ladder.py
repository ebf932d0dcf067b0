"""The ladder of STYLE: cli -> trainer -> expand -> eval -> tokenizer, model -> core. An include that climbs it, or that
joins two folders of one rung, fails; so does a source that includes spdlog outside core, or Torch below model."""

import pathlib
import re
import sys

RANK = {"core": 0, "tokenizer": 1, "model": 1, "eval": 2, "expand": 3, "trainer": 4, "cli": 5}
INCLUDE = re.compile(r'^\s*#include\s+[<"]([^>"]+)[>"]', re.MULTILINE)
TORCH = ("ATen/", "torch/", "c10/")


def problems_of(folder, file, included):
    top = included.split("/")[0]
    if top in RANK and top != folder and RANK[top] >= RANK[folder]:
        yield f"{file}: includes {included}, which is not below {folder}"
    if included.startswith("spdlog/") and file.name != "log.cpp":
        yield f"{file}: includes {included}; only core/log.cpp may"
    if included.startswith(TORCH) and folder in ("core", "tokenizer"):
        yield f"{file}: includes {included}; {folder} knows no Torch"


def main():
    root = pathlib.Path(sys.argv[1])
    problems, num_files = [], 0
    for folder in RANK:
        for file in sorted((root / folder).rglob("*")):
            if file.suffix not in (".h", ".cpp", ".cu", ".cuh"):
                continue
            num_files += 1
            for included in INCLUDE.findall(file.read_text()):
                problems += problems_of(folder, file.relative_to(root), included)
    print("\n".join(problems) or f"{num_files} files keep to the ladder")
    return 1 if problems or num_files < 50 else 0


if __name__ == "__main__":
    sys.exit(main())
