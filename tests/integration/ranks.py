"""What the tests of several processes share: starting them under mpirun, and how each of them ended."""

import os
import pathlib
import subprocess
import time

from harness import fresh

PATIENCE_SECONDS = 300  # for what takes five on an idle machine
# mpirun ends the whole job once a process has left badly: each shell notes how its rank ended, and stays until all have.
NOTE_EXIT = """trap '' TERM
rm -f "$0/code.$OMPI_COMM_WORLD_RANK"
"$@" 2>"$0/error.$OMPI_COMM_WORLD_RANK" & echo $! >"$0/pid.$OMPI_COMM_WORLD_RANK"
wait $!
echo $? >"$0/note.$OMPI_COMM_WORLD_RANK" && mv "$0/note.$OMPI_COMM_WORLD_RANK" "$0/code.$OMPI_COMM_WORLD_RANK"
while [ "$(ls "$0" | grep -c code)" -lt "$OMPI_COMM_WORLD_SIZE" ]; do sleep 0.05; done
"""


def mpirun(num_ranks, *command):
    """The command line that starts so many; the command's own for one."""
    if num_ranks == 1:
        return list(map(str, command))
    return [os.environ["MPIEXEC"], "--allow-run-as-root", "--oversubscribe", "-n", str(num_ranks), *map(str, command)]


def run_on(num_ranks, *command, expect=(0,)):
    """@return what all ranks wrote to stderr."""
    result = subprocess.run(mpirun(num_ranks, *command), capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    if result.returncode not in expect:
        raise AssertionError(f"exit {result.returncode}, expected {expect}\n{result.stdout}\n{result.stderr}")
    return result.stderr


def wait_until(is_so, what):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come")
        time.sleep(0.005)


def start_until_hit(command, has_begun, hit, begin, output):
    """Starts the command, and calls `hit` with its process once it has begun; again when that was too late.
    @param begin removes what the command leaves. @param output what it writes last."""
    for _ in range(5):
        begin()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            wait_until(has_begun, "the first result")
            hit(process)
            process.wait(PATIENCE_SECONDS)
        if not output.exists():
            return
    raise AssertionError("every signal came too late")


class Noted:
    """Two ranks of which one gets a signal in the middle of the work."""

    def __init__(self, name):
        self.notes = pathlib.Path(fresh(name))

    def command(self, *command):
        return mpirun(2, "sh", "-c", NOTE_EXIT, self.notes, *command)

    def send(self, rank, how):
        try:
            os.kill(int((self.notes / f"pid.{rank}").read_text()), how)
        except ProcessLookupError:
            pass  # it has ended: too late

    def codes(self):
        return [int((self.notes / f"code.{rank}").read_text()) for rank in (0, 1)]

    def said(self):
        return [(self.notes / f"error.{rank}").read_text() for rank in (0, 1)]
