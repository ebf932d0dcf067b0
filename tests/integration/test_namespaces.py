"""Two hosts in miniature: a rank each in two network namespaces with addresses of their own, joined by a virtual cable.
Training and evaluating there gives the bytes of one process; a cut cable is noticed. Needs root, and `ip` (iproute2)."""

import os
import shutil
import subprocess
import sys
import unittest

from harness import BASE, CORPUS, PROGRAM, fresh, hash_folder, run, write_pipeline
from ranks import PATIENCE_SECONDS, run_on, wait_until
from test_parallel import TRAIN_YAML, checkpoints

SKIPPED = 77
IP = shutil.which("ip", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
# mpirun would start its daemon on the other host by ssh; here the other host is a namespace. Arguments: address, command.
AGENT = """\
#!/bin/sh
shift
exec {ip} netns exec {space} unshare --uts sh -c 'hostname {space}; '"$*"
"""


def ip(*arguments, check=True):
    return subprocess.run([IP, *arguments], capture_output=True, text=True, check=check)


class TwoHosts:
    """Namespaces NAMEa and NAMEb with the addresses 10.213.7.1 and .2."""

    def __init__(self):
        name = f"pg{os.getpid()}"
        self.spaces = [f"{name}a", f"{name}b"]
        self.cable = [f"{name}va", f"{name}vb"]

    def make(self):
        """@return what keeps this machine from making them; nothing when they are there."""
        if IP is None:
            return "there is no `ip` (iproute2)"
        try:
            for space in self.spaces:
                ip("netns", "add", space)
                ip("-n", space, "link", "set", "lo", "up")
            ip("link", "add", self.cable[0], "netns", self.spaces[0], "type", "veth",
               "peer", "name", self.cable[1], "netns", self.spaces[1])
            for number, (space, end) in enumerate(zip(self.spaces, self.cable, strict=True), start=1):
                ip("-n", space, "addr", "add", f"10.213.7.{number}/24", "dev", end)
                ip("-n", space, "link", "set", end, "up")
            subprocess.run(self.inside(0, "true"), capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.remove()
            return f"{error}: {getattr(error, 'stderr', '') or ''}".strip()
        return None

    def remove(self):
        for space in self.spaces:
            for process in ip("netns", "pids", space, check=False).stdout.split():
                subprocess.run(["kill", "-9", process], capture_output=True, check=False)
            ip("netns", "del", space, check=False)

    def set_cable(self, state):
        ip("-n", self.spaces[1], "link", "set", self.cable[1], state)

    def inside(self, host, *command):
        """The command in a namespace, with the host's name of its own."""
        return [IP, "netns", "exec", self.spaces[host], "unshare", "--uts", "sh", "-c",
                f'hostname {self.spaces[host]}; exec "$@"', "sh", *map(str, command)]

    def bytes_received(self):
        """By the first host, over the cable."""
        statistics = f"/sys/class/net/{self.cable[0]}/statistics/rx_bytes"
        return int(subprocess.run(self.inside(0, "cat", statistics), capture_output=True, text=True, check=True).stdout)

    def mpirun(self, folder, *command):
        """A rank on each host."""
        agent = folder / "agent.sh"
        agent.write_text(AGENT.format(ip=IP, space=self.spaces[1]))
        agent.chmod(0o755)
        return self.inside(0, os.environ["MPIEXEC"], "--allow-run-as-root", "--mca", "plm_rsh_agent", agent,
                           "--host", "10.213.7.1:1,10.213.7.2:1", "-n", "2", *command)


HOSTS = TwoHosts()


class Namespaces(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = fresh("namespaces")
        run("run", write_pipeline(cls.folder), "--until", "graft")

    def train(self, name, *options):
        config = self.folder / f"{name}.yaml"
        model = self.folder / "run" / "stages" / "graft" / "model"
        config.write_text(TRAIN_YAML.format(model=model, corpus=CORPUS, run_dir=self.folder / name))
        return [PROGRAM, "train", "--config", config, "--threads", "1", *options]

    def train_alone(self, *arguments):
        """@return hash of the model."""
        run_on(1, *self.train(*arguments), expect=(0, 3))
        return hash_folder(self.folder / arguments[0] / "model")

    def run_on_both(self, command, expect):
        """@return what both said, and how many bytes the first host received."""
        before = HOSTS.bytes_received()
        result = subprocess.run(HOSTS.mpirun(self.folder, *command), capture_output=True, text=True,
                                timeout=PATIENCE_SECONDS)
        self.assertIn(result.returncode, expect, result.stdout + result.stderr)
        return result.stderr, HOSTS.bytes_received() - before

    def test_training_over_the_cable_gives_the_bits_of_one_process(self):
        expected = self.train_alone("alone")
        for options in (["--ep", "2"], ["--dp", "2"]):
            name = "cable" + "".join(options)
            said, received = self.run_on_both(self.train(name, *options), expect=(0, 3))
            self.assertEqual(hash_folder(self.folder / name / "model"), expected, options)
            self.assertEqual(said.count("2 ranks by mpirun"), 1, said)
            self.assertGreater(received, 1_000_000, "gradients must have come over the cable")

    def test_a_profile_over_the_cable_has_the_bytes_of_one_process(self):
        profile = [PROGRAM, "expand", "profile", "--model", BASE, "--corpus", CORPUS, "--threads", "1", "-o"]
        run_on(1, *profile, self.folder / "alone.json")
        self.run_on_both([*profile, self.folder / "cable.json"], expect=(0,))
        self.assertEqual((self.folder / "cable.json").read_bytes(), (self.folder / "alone.json").read_bytes())

    def test_a_cut_cable_is_noticed_and_the_run_goes_on_alone(self):
        run_dir, longer = self.folder / "cut", ["--set", "train.tokens=40000"]
        command = self.train("cut", *longer, "--ep", "2", "--rank-timeout", "3")
        self.addCleanup(HOSTS.set_cable, "up")
        errors = self.folder / "cut.errors"
        with open(errors, "w", encoding="utf-8") as stderr, \
                subprocess.Popen(HOSTS.mpirun(self.folder, *command), stdout=subprocess.DEVNULL, stderr=stderr) as process:
            try:
                wait_until(lambda: checkpoints(run_dir), "a checkpoint")
                HOSTS.set_cable("down")
                wait_until(lambda: "rank error" in errors.read_text() or process.poll() is not None, "an error")
            finally:
                process.kill()
        self.assertIn("does not answer within 3 s", errors.read_text())
        self.assertIn("rank 1 (process ", errors.read_text())
        self.assertIn(f"on {HOSTS.spaces[1]})", errors.read_text())
        self.assertFalse((run_dir / "model").exists())
        self.assertEqual(self.train_alone("cut", *longer), self.train_alone("uncut", *longer))


def main():
    obstacle = HOSTS.make()
    if obstacle:
        print(f"skipped: no network namespaces here: {obstacle}")
        return SKIPPED
    try:
        return 0 if unittest.main(exit=False).result.wasSuccessful() else 1
    finally:
        HOSTS.remove()


if __name__ == "__main__":
    sys.exit(main())
