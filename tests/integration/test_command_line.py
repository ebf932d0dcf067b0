"""Help, versions, and the mistakes people make on a command line."""

import unittest

from harness import run

COMMANDS = ["init", "run", "inspect", "tokenizer train", "tokenizer extend", "tokenizer encode", "tokenizer decode",
            "expand profile", "expand plan", "expand graft", "expand upcycle", "expand verify", "expand pack",
            "expand attach", "expand detach", "expand fuse", "train", "eval bpb", "eval cloze", "eval choice", "eval compare",
            "generate", "report"]


class CommandLine(unittest.TestCase):
    def test_every_command_has_help_with_an_example(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                text = run(*command.split(), "--help").stdout
                self.assertIn(f"usage: polygraft {command}", text)
                self.assertIn("example:\n  ", text)

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

    def test_a_missing_operand_is_named(self):
        self.assertIn("--model is missing", run("inspect", expect=2).stderr)

    def test_a_missing_folder_is_named(self):
        result = run("inspect", "/nowhere/model", expect=1)
        self.assertIn("/nowhere/model", result.stderr)
        self.assertEqual(result.stdout, "")

    def test_a_broken_assignment_is_shown(self):
        self.assertIn("dotted.key=value", run("eval", "compare", "a", "b", "--set", "margin", expect=2).stderr)


if __name__ == "__main__":
    unittest.main()
