"""A random checkpoint of Marco-Nano's shape at 1/16 (1 GB) through every step: the base stays in its files. Times and the
16 GB version: tests/bench/size/bench.sh."""

import json
import subprocess
import sys
import unittest

from harness import PROGRAM, SOURCE, fresh

MIB = 1 << 20
# The program with LibTorch and its threads takes about 120 MiB; the base alone is 1017 MiB as stored and twice that in
# float32, so that a copy of any part of it shows.
MOST_ANONYMOUS = {"inspect": 200 * MIB, "plan": 200 * MIB, "profile": 900 * MIB, "graft": 900 * MIB, "verify": 900 * MIB}


class Size(unittest.TestCase):
    def test_the_base_is_never_in_anonymous_memory(self):
        bench = SOURCE / "tests" / "bench" / "size"
        work = fresh("size")
        shape = SOURCE / "configs" / "shapes" / "marco-nano" / "config.json"
        subprocess.run([sys.executable, bench / "make_checkpoint.py", "--config", shape, "--scale", "16", "-o", work],
                       check=True)
        result = subprocess.run(
            [sys.executable, bench / "measure.py", "--polygraft", PROGRAM, "--work", work, "--experts", "4",
             "--profile-tokens", "600", "--calibration-tokens", "300", "--no-training"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        print(result.stdout)
        self.assertEqual(result.returncode, 0)
        rows = json.loads(result.stdout.splitlines()[-1])
        for name, most in MOST_ANONYMOUS.items():
            with self.subTest(name):
                self.assertLess(rows[name]["anonymous_bytes"], most)
                self.assertGreater(rows[name]["anonymous_bytes"], 0)

    def tearDown(self):
        fresh("size").rmdir()


if __name__ == "__main__":
    unittest.main()
