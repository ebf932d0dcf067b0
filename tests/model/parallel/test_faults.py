"""Ranks that die, fail or fall silent: every other one stops soon, exits with 1, and names it."""

import os
import pathlib
import subprocess
import tempfile
import time
import unittest

# mpirun ends the whole job once a process has left badly: each shell notes how its rank ended, and stays until all have.
NOTE_EXIT = """trap '' TERM
"$@" 2>"$0/error.$OMPI_COMM_WORLD_RANK"
echo $? >"$0/note.$OMPI_COMM_WORLD_RANK" && mv "$0/note.$OMPI_COMM_WORLD_RANK" "$0/code.$OMPI_COMM_WORLD_RANK"
while [ "$(ls "$0" | grep -c code)" -lt "$OMPI_COMM_WORLD_SIZE" ]; do sleep 0.05; done
"""


# As in containers of one host: each rank counts processes on its own, and the first one is no other's number.
OWN_NUMBERING = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c",
                 'for i in $(seq $((20 * (1 - OMPI_COMM_WORLD_RANK)))); do /bin/true; done; "$0" "$@"; exit $?']


def run_ranks(num_ranks, *arguments, wrapper=()):
    """@return exit code and stderr by rank, and the seconds until all had ended."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [os.environ["MPIEXEC"], "--allow-run-as-root", "--oversubscribe", "-n", str(num_ranks),
             "sh", "-c", NOTE_EXIT, folder, *wrapper, os.environ["MPI_CHECK"], *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False)
        notes = pathlib.Path(folder)
        codes = [int((notes / f"code.{r}").read_text()) for r in range(num_ranks)]
        errors = [(notes / f"error.{r}").read_text() for r in range(num_ranks)]
    return codes, errors, time.monotonic() - started


class Faults(unittest.TestCase):
    def check_others(self, how, who, code_of_lost, problem, most_seconds):
        codes, errors, seconds = run_ranks(3, how, str(who))
        self.assertEqual(codes[who], code_of_lost)
        for rank in {0, 1, 2} - {who}:
            self.assertEqual(codes[rank], 1, errors[rank])
            self.assertIn(f"rank error: rank {who} (process ", errors[rank])
            self.assertIn(problem, errors[rank])
        self.assertLess(seconds, most_seconds)

    def test_a_rank_that_is_killed(self):
        for who in [0, 2]:
            self.check_others("lose", who, 137, "has ended", 15)

    def test_a_rank_that_leaves_with_an_error(self):
        self.check_others("throw", 1, 1, "stopped with an error", 15)

    def test_a_rank_that_falls_silent(self):
        self.check_others("stop", 1, 0, "does not answer within 2", 45)

    def test_without_a_fault_all_is_well(self):
        codes, errors, _ = run_ranks(2)
        self.assertEqual(codes, [0, 0], errors)

    def test_numbers_of_processes_mean_nothing_in_another_container(self):
        if subprocess.run([*OWN_NUMBERING[:4], "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("may not make a numbering of processes of its own")
        codes, errors, _ = run_ranks(2, "stop", "0", wrapper=OWN_NUMBERING)
        self.assertEqual(codes, [0, 1], errors)
        self.assertIn("does not answer within 2", errors[1])


if __name__ == "__main__":
    unittest.main()
