"""Starts one process of mpi_check on each of two GPUs, with torchrun's variables: every collective over NCCL. Exit code 77
(skipped) where the processes say that there is no GPU for each; that they say so in clear words is then what was checked.

usage: check_nccl.py MPI_CHECK"""

import os
import socket
import subprocess
import sys

NUM_RANKS = 2
SKIPPED = 77
TIMEOUT_S = 110
NO_GPU = ("this machine shows no CUDA device", "has no GPU of its own")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(program, rank, port):
    launcher = {"RANK": rank, "WORLD_SIZE": NUM_RANKS, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    environment = {**os.environ, **{name: str(value) for name, value in launcher.items()}}
    return subprocess.Popen([program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def check(processes):
    # The last rank is the first that may lack a GPU; the others would wait for it.
    for rank in reversed(range(NUM_RANKS)):
        output = processes[rank].communicate(timeout=TIMEOUT_S)[0]
        print(f"rank {rank} exits with {processes[rank].returncode}:\n{output}")
        if processes[rank].returncode == 1 and any(words in output for words in NO_GPU):
            print("skipped: no GPU for each rank")
            return SKIPPED
    return 0 if all(process.returncode == 0 for process in processes) else 1


def main():
    port = free_port()
    processes = [start(sys.argv[1], rank, port) for rank in range(NUM_RANKS)]
    try:
        return check(processes)
    finally:  # whoever still waits for another holds its GPU
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
