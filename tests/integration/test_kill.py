"""kill -9 at any moment, then the same command: the model is the same, byte for byte."""

import random
import signal
import subprocess
import time
import unittest

from harness import PROGRAM, fresh, hash_folder, partial_outputs, run, write_pipeline


def kill_until_it_ends(yaml, seconds):
    """@param seconds that a whole run takes. @return how often it was killed."""
    pauses = random.Random(23)
    for kills in range(60):
        # Short enough to fall into every stage, growing so that the slowest stage can finish in the end.
        if run_until_killed(yaml, pauses.uniform(0.05, 0.12 * (1 + kills / 4)) * seconds):
            return kills
    raise AssertionError("the run never ended")


def run_until_killed(yaml, seconds):
    """@return True when the run ended by itself before the kill."""
    with subprocess.Popen([PROGRAM, "run", str(yaml)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            code = process.wait(seconds)
            assert code == 0, f"the run ended by itself with {code}"
            return True
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return False


class Kill(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = fresh("uninterrupted")
        started = time.monotonic()
        run("run", write_pipeline(folder), expect=None)
        cls.seconds = time.monotonic() - started
        cls.expected = hash_folder(folder / "run" / "model")

    def test_killed_again_and_again_it_ends_with_the_same_bytes(self):
        # The machine may have been busier while the time was taken than it is now.
        for share in (1, 1 / 4, 1 / 16):
            yaml = write_pipeline(fresh("killed"))
            kills = kill_until_it_ends(yaml, share * self.seconds)
            if kills >= 3:
                break
        self.assertGreaterEqual(kills, 3, "the kills must have hit something")
        run_dir = yaml.parent / "run"
        self.assertEqual(hash_folder(run_dir / "model"), self.expected)
        self.assertEqual(partial_outputs(run_dir), [])

    def test_a_signal_ends_with_130_and_the_run_continues(self):
        for share in (0.5, 0.25, 0.1, 0.03):  # a machine that was busy while the whole run was timed is faster now
            yaml = write_pipeline(fresh("interrupted"))
            with subprocess.Popen([PROGRAM, "run", str(yaml)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
                time.sleep(share * self.seconds)
                process.send_signal(signal.SIGINT)
                code = process.wait(120)
            if code != 0:
                break
        self.assertEqual(code, 130)
        run("run", yaml, expect=None)
        self.assertEqual(hash_folder(yaml.parent / "run" / "model"), self.expected)


if __name__ == "__main__":
    unittest.main()
