"""One side of a bench: a process that stays alive and answers one line of JSON to every line it is sent, so that sides
take turns and a busy machine slows all of them."""
import json
import os
import subprocess

from harness.memory import AnonymousMemory


class Side:
    """@param threads of OpenMP and MKL, None: as in the environment. @param watch_memory fills `memory`."""

    def __init__(self, name, command, threads=None, watch_memory=False):
        counts = {} if threads is None else {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self.name = name
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=os.environ | counts)
        self.memory = AnonymousMemory(self.process.pid) if watch_memory else None

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended without an answer")
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
