"""Compiles a CUDA source for every architecture of the preset `cuda` and reads what ptxas says of each kernel: registers,
shared memory, stack, spills. Fails beyond the bounds below; exit code 77 (skipped) where there is no nvcc. No GPU needed.

usage: check_registers.py SOURCE_FOLDER FILE.cu"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

ARCHITECTURES = ("80", "90a", "100a")
MAX_REGISTERS = 64  # of a thread: then an SM's 65,536 hold four blocks of 256 threads
MAX_STACK_BYTES = 0  # local memory of a thread: arrays that are not in registers
MAX_SPILL_BYTES = 0  # stores and loads
SKIPPED = 77

ENTRY = re.compile(r"Compiling entry function '(?P<name>[^']+)' for 'sm_(?P<architecture>\w+)'")
MEMORY = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")


def find_nvcc():
    named = os.environ.get("CUDACXX")
    return named or shutil.which("nvcc", path=os.environ.get("PATH", "") + ":/usr/local/cuda/bin")


def compile_verbosely(nvcc, root, source):
    targets = [f"-gencode=arch=compute_{one},code=sm_{one}" for one in ARCHITECTURES]
    with tempfile.TemporaryDirectory() as folder:
        command = [nvcc, "-std=c++20", "-O3", f"-I{root}", *targets, "--threads=2", "-Xptxas=-v", "-Xcompiler=-Wall,-Wextra",
                   "--Werror=all-warnings", "-c", source, "-o", os.path.join(folder, "out.o")]
        result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")
    return result.stdout + result.stderr


def readable(names):
    plain = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    bodies = [re.search(r"run_body<(.*)>\(", line) for line in plain.splitlines()]
    return [re.sub(r"(\w+|\(anonymous namespace\))::", "", body.group(1)).strip() if body else line
            for body, line in zip(bodies, plain.splitlines())]


def read_kernels(output):
    """One (name, architecture, registers, shared bytes, stack bytes, spill bytes) for each kernel and architecture."""
    kernels = []
    for part in output.split("ptxas info    : Compiling entry")[1:]:
        part = "Compiling entry" + part
        entry, memory, used = ENTRY.search(part), MEMORY.search(part), USED.search(part)
        if not (entry and memory and used):
            sys.exit(f"ptxas says something else than expected:\n{part}")
        stack, stores, loads = map(int, memory.groups())
        kernels.append((entry["name"], entry["architecture"], int(used[1]), int(used[2] or 0), stack, stores + loads))
    names = readable([kernel[0] for kernel in kernels])
    return sorted((name, *kernel[1:]) for name, kernel in zip(names, kernels))


def main():
    root, source = sys.argv[1:]
    nvcc = find_nvcc()
    if nvcc is None:
        print("skipped: no nvcc in CUDACXX, on PATH or in /usr/local/cuda/bin")
        return SKIPPED
    kernels = read_kernels(compile_verbosely(nvcc, root, source))
    print(f"{'kernel':32} {'sm':>5} {'registers':>9} {'shared B':>9} {'stack B':>8} {'spill B':>8}")
    num_bad = 0
    for name, architecture, registers, shared, stack, spill in kernels:
        bad = registers > MAX_REGISTERS or stack > MAX_STACK_BYTES or spill > MAX_SPILL_BYTES
        num_bad += bad
        print(f"{name:32} {architecture:>5} {registers:9} {shared:9} {stack:8} {spill:8}{'  BEYOND THE BOUND' if bad else ''}")
    missing = {one for one in ARCHITECTURES if one not in {kernel[1] for kernel in kernels}}
    print(f"{len(kernels)} kernels, {num_bad} beyond {MAX_REGISTERS} registers, {MAX_STACK_BYTES} bytes of stack or "
          f"{MAX_SPILL_BYTES} of spills" + (f"; none for {sorted(missing)}" if missing else ""))
    return 1 if num_bad or missing else 0


if __name__ == "__main__":
    sys.exit(main())
