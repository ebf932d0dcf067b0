"""Help, versions, and the mistakes people make on a command line."""

import subprocess
import unittest

from harness import SOURCE, fresh, run

COMMANDS = ["init", "run", "plan-parallel", "inspect", "tokenizer train", "tokenizer extend", "tokenizer encode",
            "tokenizer decode", "tokenizer report", "expand profile", "expand plan", "expand graft", "expand upcycle",
            "expand verify", "expand pack", "expand attach", "expand detach", "expand fuse", "train", "eval bpb", "eval cloze",
            "eval choice", "eval compare", "generate", "report"]


class CommandLine(unittest.TestCase):
    def test_every_command_has_help_with_an_example(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                text = run(*command.split(), "--help").stdout
                self.assertIn(f"usage: polygraft {command}", text)
                self.assertIn("example:\n  ", text)
                self.assertNotRegex(text, r"--\S+ arg\b")  # an option's value has a name

    def test_overview_lists_every_command(self):
        text = run("--help").stdout
        for command in COMMANDS:
            self.assertIn(f"  {command} ", text)

    def test_version(self):
        self.assertRegex(run("--version").stdout, r"^polygraft \d+\.\d+\.\d+\n$")

    def test_no_command_is_a_usage_error(self):
        self.assertIn("usage: polygraft COMMAND", run(expect=2).stderr)

    def test_a_misspelt_command_is_told_its_neighbour(self):
        self.assertIn("did you mean 'eval compare'?", run("eval", "compaer", expect=2).stderr)

    def test_an_unknown_option_is_refused(self):
        self.assertIn("--modle", run("inspect", "--modle", "x", expect=2).stderr)

    def test_threads_beyond_reason_are_refused(self):
        for count in ("-1", "40000"):
            self.assertIn("must be 0 to 1024", run("inspect", "nowhere", "--threads", count, expect=2).stderr)

    def test_a_missing_operand_is_named(self):
        message = run("inspect", expect=2).stderr
        self.assertIn("the operand MODEL is missing", message)
        self.assertIn("polygraft inspect MODEL", message)
        self.assertIn("--base is missing", run("expand", "verify", expect=2).stderr)

    def test_a_first_word_alone_lists_its_commands(self):
        for word, *commands in [("eval", "bpb", "compare"), ("expand", "profile", "fuse"), ("tokenizer", "train", "report")]:
            for text in [run(word, "--help").stdout, run(word, "-h").stdout, run(word, expect=2).stderr]:
                for command in commands:
                    self.assertIn(f"  {word} {command} ", text)
                self.assertNotIn("  inspect ", text)

    def test_what_means_nothing_is_refused_with_what_does(self):
        for command, option, hint in [("run p.yaml", "--force", "done again without it"),
                                      ("run p.yaml", "--config x.yaml", "polygraft run PIPELINE.yaml"),
                                      ("plan-parallel p.yaml", "--config x.yaml", "polygraft plan-parallel PIPELINE.yaml"),
                                      ("report run", "--force", "always made again"),
                                      ("eval compare a b", "--force", "is replaced without it"),
                                      ("inspect model", "--force", "replaces nothing"),
                                      ("inspect model", "--set a=b", "no configuration"),
                                      ("tokenizer encode f", "--json x", "prints lines"),
                                      ("tokenizer decode f", "--dry-run", "prints lines")]:
            with self.subTest(command=command, option=option):
                message = run(*command.split(), *option.split(), expect=2).stderr
                self.assertIn(f"{option.split()[0]}: means nothing to", message)
                self.assertIn(hint, message)

    def test_help_lists_what_can_be_set(self):
        for command, lines in [("run", ["  run_dir (required) ", "  train.optimizer.learning_rate (required) ",
                                        "  languages.NAME.train=[] ", "  machine.rank.teraflops (required in machine.rank) ",
                                        "  train.budget.max_relative_bpb="]),
                               ("train", ["  corpus (required) ", "  train.tokens"]),
                               ("eval compare", ["  margin_relative_bpb=0.002 ", "  margins.NAME="]),
                               ("eval cloze", ["  items_per_document="]),
                               ("generate", ["  max_new_tokens="]),
                               ("expand plan", ["  expand.experts_per_layer="]),
                               ("expand upcycle", ["Settings (--set KEY=VALUE, or in --config FILE):"])]:
            text = run(*command.split(), "--help").stdout
            for line in lines:
                with self.subTest(command=command, line=line):
                    self.assertIn("\n" + line if line[0] == " " else line, text)
        self.assertNotIn("Settings (", run("inspect", "--help").stdout)

    def test_help_says_what_options_alone_do_not(self):
        for command, text in [("run", "The exit code is the gate's"), ("run", "outside train.budget"),
                              ("run", "PIPELINE.yaml; relative paths of both are taken from its folder):"),
                              ("train", "FILE; relative paths of both are taken from its folder):"),
                              ("expand plan", "FILE; relative paths of both are taken from its folder):"),
                              ("eval choice", "gold counts from 0"), ("report", "--run-dir ")]:
            with self.subTest(command=command, text=text):
                self.assertIn(text, run(*command.split(), "--help").stdout)

    def test_an_operand_is_named_as_the_usage_does(self):
        self.assertIn("the operand RUN_DIR is missing", run("report", expect=2).stderr)

    def test_a_script_without_an_option_s_value_is_a_usage_error(self):
        for script, option in [("examples/quickstart.sh", "--new"), ("examples/fetch_text.sh", "--old"),
                               ("examples/smollm2/run.sh", "--tokens"), ("examples/study/run.sh", "--program"),
                               ("cmake/install.sh", "--venv"), ("cmake/install.sh", "--wheels"), ("tests/run.sh", "--jobs")]:
            with self.subTest(script=script):
                result = subprocess.run(["bash", SOURCE / script, option], capture_output=True, text=True)
                self.assertEqual(result.returncode, 2, result.stderr)
                self.assertIn(f"error: {option} needs ", result.stderr)
        missing = subprocess.run(["bash", SOURCE / "examples/study/run.sh", "--program", "./missing"], capture_output=True, text=True)
        self.assertEqual((missing.returncode, missing.stderr), (2, "run.sh: error: there is no program './missing'\n"))

    def test_a_file_is_not_called_a_missing_folder(self):
        self.assertIn("is a file, no folder", run("inspect", __file__, expect=1).stderr)

    def test_a_path_that_can_lead_nowhere_is_no_defect(self):
        circle = fresh("circle") / "circle"
        circle.symlink_to(circle)
        for path, why in (("x" * 300, "File name too long"), (circle, "Too many levels of symbolic links")):
            message = run("inspect", path, expect=1).stderr
            self.assertIn(f"i/o error: {path}: cannot use it: {why}", message)

    def test_results_that_are_not_there_are_named(self):
        self.assertIn("/nowhere/base", run("eval", "compare", "/nowhere/base", "/nowhere/other", expect=1).stderr)

    def test_a_missing_folder_is_named(self):
        result = run("inspect", "/nowhere/model", expect=1)
        self.assertIn("/nowhere/model", result.stderr)
        self.assertEqual(result.stdout, "")

    def test_a_broken_assignment_is_shown(self):
        self.assertIn("dotted.key=value", run("eval", "compare", "a", "b", "--set", "margin", expect=2).stderr)


if __name__ == "__main__":
    unittest.main()
