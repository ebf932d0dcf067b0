"""What may go wrong with an output, for each command that writes a model or a pack: the disk is full, the target cannot be
written, the target is the source, another process writes it, the source is truncated meanwhile. Each ends with a clear error
and the documented exit code, and leaves neither a half-written output nor a lock."""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

from harness import PROGRAM, SOURCE, fresh, run

PLAN = """\
language: cc
corpus: corpus.yaml
extended_tokenizer: extended
tokenizer: {init: mean, head: tied, pad_to: 0}
expand: {experts_per_layer: 8, router: donor}
"""
PIPELINE = """\
version: 1
run_dir: %(run)s
seed: 17
base: base
corpus: corpus.yaml
tokenizer: {new_tokens: 8}
expand: {experts_per_layer: 2, router: donor}
train: {tokens: 1000, sequence_length: 64, batch_tokens: 256, optimizer: {learning_rate: 1.0e-3}}
"""


class Outputs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """Marco-Nano's shape at 1/256, and one of everything that the commands read."""
        cls.folder = fresh("outputs")
        shape = SOURCE / "configs" / "shapes" / "marco-nano" / "config.json"
        make_checkpoint = SOURCE / "tests" / "bench" / "size" / "make_checkpoint.py"
        subprocess.run([sys.executable, make_checkpoint, "--config", shape, "--scale", "256", "-o", cls.folder], check=True)
        (cls.folder / "plan.yaml").write_text(PLAN)
        (cls.folder / "pipeline.yaml").write_text(PIPELINE % {"run": "run"})
        cls.polygraft("expand", "profile", "--model", "base", "--corpus", "corpus.yaml", "--tokens", 300, "-o", "profile.json")
        cls.polygraft("expand", "plan", "--model", "base", "--profile", "profile.json", "--config", "plan.yaml", "-o", "plan.json")
        for name, command in cls.commands(cls).items():
            if name != "run":
                cls.polygraft(*command, "-o", {"graft": "grafted", "pack": "cc"}.get(name, f"made-{name}"))
        cls.before = cls.listing(cls)

    @classmethod
    def polygraft(cls, *arguments, expect=0):
        return run(*arguments, expect=expect, cwd=cls.folder)

    def commands(self):
        """By name, in an order in which each finds what it reads."""
        return {"graft": ["expand", "graft", "--model", "base", "--plan", "plan.json"],
                "pack": ["expand", "pack", "--expanded", "grafted"],
                "attach": ["expand", "attach", "--model", "base", "--pack", "cc"],
                "detach": ["expand", "detach", "--model", "grafted", "--pack", "cc"],
                "fuse": ["expand", "fuse", "--model", "grafted"],
                "upcycle": ["expand", "upcycle", "--model", "dense", "--set", "slices=8", "--set", "copies=2"],
                "run": ["run", "pipeline.yaml", "--until", "graft"]}

    def writers(self):
        """The commands that take -o, and the folders that each reads."""
        reads = {"graft": ["base"], "pack": ["grafted"], "attach": ["base", "cc"], "detach": ["grafted"], "fuse": ["grafted"],
                 "upcycle": ["dense"]}
        return [(name, self.commands()[name], folders) for name, folders in reads.items()]

    def listing(self):
        """Every file with its size and time; the sources must stay as they were."""
        return sorted((str(p.relative_to(self.folder)), p.stat().st_size, p.stat().st_mtime_ns)
                      for p in self.folder.rglob("*") if p.is_file())

    def assert_nothing_changed(self):
        self.assertEqual(self.listing(), self.before)
        self.assertFalse((self.folder / "out").exists())

    def test_a_limit_on_file_sizes(self):
        """It stands in for a full disk where none can be mounted; the largest file of each output does not fit."""
        made = {"graft": "grafted", "pack": "cc"}
        for name, command, _ in self.writers():
            with self.subTest(name):
                files = (self.folder / made.get(name, f"made-{name}")).rglob("*.safetensors")
                limit = max(file.stat().st_size for file in files) // 2
                result = subprocess.run(
                    [PROGRAM, *command, "-o", "out"], capture_output=True, text=True, cwd=self.folder,
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertIn(".safetensors: cannot write: File too large", result.stderr)
                self.assert_nothing_changed()

    def test_paths_of_a_plan_are_taken_from_its_file(self):
        plan = ["expand", "plan", "--model", self.folder / "base", "--profile", self.folder / "profile.json", "--dry-run",
                "--json", "-"]
        settings = ["--set", "language=cc", "--set", "corpus=corpus.yaml", "--set", "extended_tokenizer=extended"]
        for name, cwd, words in [("a file, from elsewhere", "/", ["--config", self.folder / "plan.yaml"]),
                                 ("no file", self.folder, settings)]:
            with self.subTest(name):
                made = json.loads(run(*plan, *words, cwd=cwd).stdout)
                self.assertEqual(made["corpus"], str(self.folder / "corpus.yaml"))
                self.assertEqual(made["tokenizer"], str(self.folder / "extended"))

    def test_a_plan_is_of_the_model_that_was_profiled(self):
        profile = json.loads((self.folder / "profile.json").read_text())
        asked = profile["model_hash"] = "0" * 64
        with tempfile.TemporaryDirectory() as folder:
            other = pathlib.Path(folder) / "profile.json"
            other.write_text(json.dumps(profile))
            plan = ["expand", "plan", "--model", "base", "--profile", other, "--config", "plan.yaml"]
            for output in (["-o", "out"], ["--dry-run"]):
                message = self.polygraft(*plan, *output, expect=4).stderr
                self.assertIn("not the model that the profile was made from", message)
                self.assertIn(f"tensors with SHA-256 {asked}", message)
        self.assert_nothing_changed()

    def on_mount(self, options, command, output):
        """Runs the command with a small file system of its own mounted at disk/. @return its result; stdout ends with what
        is left on that disk."""
        disk = self.folder / "disk"
        disk.mkdir(exist_ok=True)
        script = 'mount -t tmpfs -o "$1" tmpfs disk || exit 77; shift; "$@"; code=$?; echo "left:" $(ls -A disk); exit $code'
        result = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", options, PROGRAM, *command, *output],
                                capture_output=True, text=True, cwd=self.folder)
        disk.rmdir()
        if result.returncode == 77 or "unshare" in result.stderr:
            self.skipTest("no file system can be mounted here")
        return result

    def test_a_full_disk(self):
        for name, command, _ in self.writers():
            with self.subTest(name):
                result = self.on_mount("size=8m", command, ["-o", "disk/out"])
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertIn("No space left on device", result.stderr)
                self.assertIn("free now", result.stderr)
                self.assertTrue(result.stdout.endswith("left:\n"), result.stdout)
                self.assert_nothing_changed()
        with self.subTest("run"):
            result = self.on_mount("size=8m", self.commands()["run"], ["--set", "run_dir=disk/run"])
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn("No space left on device", result.stderr)
            self.assert_nothing_changed()

    def test_a_target_that_cannot_be_written(self):
        for name, command in self.commands().items():
            with self.subTest(name):
                output = ["--set", "run_dir=disk/run"] if name == "run" else ["-o", "disk/out"]
                result = self.on_mount("ro", command, output)
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertIn("Read-only file system", result.stderr)
                self.assertIn("disk/", result.stderr)
                self.assert_nothing_changed()

    def test_a_target_that_is_a_source(self):
        link = self.folder / "link"
        for name, command, folders in self.writers():
            for source in folders:
                link.symlink_to(source)
                for output in (source, f"../{self.folder.name}/{source}/", "link", f"link/{source}", f"{source}/inside", "."):
                    with self.subTest(name, source=source, output=output):
                        result = self.polygraft(*command, "-o", output, "--force", expect=2)
                        self.assertIn("an input", result.stderr)
                link.unlink()
                self.assert_nothing_changed()
        for run_dir in ("base", "base/inside"):
            result = self.polygraft(*self.commands()["run"], "--set", f"run_dir={run_dir}", expect=2)
            self.assertIn("an input", result.stderr)
            self.assert_nothing_changed()

    def test_a_target_that_another_process_writes(self):
        lock = self.folder / "out.lock"
        for name, command, _ in self.writers():
            with self.subTest(name):
                with subprocess.Popen(["flock", lock, "sh", "-c", f"echo process 7 on elsewhere > {lock}; exec sleep 60"]) as holder:
                    while not lock.exists() or "elsewhere" not in lock.read_text():
                        pass
                    result = self.polygraft(*command, "-o", "out", expect=2)
                    holder.kill()
                self.assertIn("another polygraft is already writing this", result.stderr)
                self.assertIn("process 7 on elsewhere", result.stderr)
                lock.unlink()
                self.assert_nothing_changed()

    def test_a_lock_that_a_killed_process_left_is_no_lock(self):
        (self.folder / "out.lock").write_text("process 7 on elsewhere")
        self.polygraft(*self.commands()["pack"], "-o", "out")
        shutil.rmtree(self.folder / "out")
        self.assert_nothing_changed()

    def test_a_file_with_the_name_of_a_lock_is_left_alone(self):
        lock = self.folder / "out.lock"
        command = self.commands()["pack"]
        lock.write_text("pinned = 1\n")
        self.assertIn("is in the way", self.polygraft(*command, "-o", "out", expect=2).stderr)
        self.assertEqual(lock.read_text(), "pinned = 1\n")
        lock.rename(self.folder / "notes")
        lock.symlink_to("notes")
        self.polygraft(*command, "-o", "out", expect=1)
        self.assertEqual((self.folder / "notes").read_text(), "pinned = 1\n")
        lock.unlink()
        (self.folder / "notes").unlink()
        self.assert_nothing_changed()

    def test_a_slash_behind_a_folder_that_is_to_be_made(self):
        """As the shell completes names: the results must not find their own unfinished scores in their place."""
        self.polygraft("eval", "bpb", "--model", "base/", "--corpus", "corpus.yaml", "-o", "out/")
        self.assertTrue(list((self.folder / "out").glob("results_*.json")))
        shutil.rmtree(self.folder / "out")
        self.assert_nothing_changed()

    def test_a_source_that_gets_shorter_while_it_is_read(self):
        """The process ends at once, as if killed; the next run removes what it left."""
        shrinking = self.folder / "shrinking"
        shutil.copytree(self.folder / "base", shrinking)
        weights = shrinking / "model.safetensors"
        command = [PROGRAM, "eval", "bpb", "--model", shrinking, "--corpus", "corpus.yaml", "-o", "out"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=self.folder) as process:
            while not list((self.folder / "out.unfinished").glob("*")):  # it scores
                self.assertIsNone(process.poll())
            os.truncate(weights, 4096)
            _, errors = process.communicate()
        shutil.rmtree(shrinking)
        self.assertEqual(process.returncode, 1, errors)
        self.assertIn("shrinking/model.safetensors: cannot be read any more", errors)
        self.assertFalse((self.folder / "out").exists())
        self.assertTrue((self.folder / "out.unfinished").exists(), "what an evaluation resumes from")
        self.polygraft("eval", "bpb", "--model", "base", "--corpus", "corpus.yaml", "-o", "out")
        shutil.rmtree(self.folder / "out")
        self.assert_nothing_changed()


if __name__ == "__main__":
    unittest.main()
