"""`polygraft init`: a pipeline.yaml that fits model, texts and machine, and that `polygraft run` takes as it is."""

import json
import re
import shlex
import shutil
import unittest

from harness import BASE, NEW_LANGUAGE, OLD_LANGUAGES, WORK, fresh, hash_folder, load_json, partial_outputs, run

TEXTS = {language: WORK / f"{language}.train.jsonl" for language in [*OLD_LANGUAGES, NEW_LANGUAGE]}
HELDOUT = {language: WORK / f"{language}.heldout.jsonl" for language in TEXTS}


def init(output, *options, expect=0, base=BASE):
    old = [argument for language in OLD_LANGUAGES for argument in ("--old", f"{language}={TEXTS[language]}")]
    return run("init", "--base", base, "--new", f"{NEW_LANGUAGE}={TEXTS[NEW_LANGUAGE]}", *old, "-o", output, *options,
               expect=expect)


def documents(file):
    return [json.loads(line)["text"] for line in file.read_text().splitlines()]


class Init(unittest.TestCase):
    def test_the_file_runs_as_it_is(self):
        folder = fresh("init")
        result = init(folder / "pipeline.yaml", "--json", "-")
        plan = json.loads(result.stdout)
        self.assertTrue(plan["fits"])
        self.assertGreater(plan["seconds"], 0)
        stages = run("run", folder / "pipeline.yaml", "--dry-run").stdout
        self.assertIn("would run  graft", stages)
        run("run", folder / "pipeline.yaml", "--until", "tokenizer")
        self.assertTrue((folder / "runs" / "pipeline" / "stages" / "tokenizer").is_dir())

    def test_every_key_is_explained(self):
        folder = fresh("init-keys")
        init(folder / "pipeline.yaml")
        text = (folder / "pipeline.yaml").read_text()
        self.assertIn("# training tokens, replayed ones included", text)
        self.assertIn("polygraft run FILE --dry-run", text)
        self.assertNotIn(str(folder), text, "paths below the file's folder are relative")

    def test_held_out_documents_are_not_learned_from(self):
        folder = fresh("init-split")
        init(folder / "pipeline.yaml")
        for language, source in TEXTS.items():
            train = documents(folder / "pipeline-texts" / f"{language}.train.jsonl")
            heldout = documents(folder / "pipeline-texts" / f"{language}.heldout.jsonl")
            self.assertFalse(set(train) & set(heldout))
            self.assertEqual(sorted(train + heldout), sorted(documents(source)))

    def test_the_same_texts_are_split_alike(self):
        hashes = []
        for name in ("init-once", "init-again"):
            folder = fresh(name)
            init(folder / "pipeline.yaml")
            hashes.append(hash_folder(folder / "pipeline-texts"))
        self.assertEqual(hashes[0], hashes[1])

    def test_held_out_texts_of_ones_own_are_taken(self):
        folder = fresh("init-own")
        own = [a for language, file in HELDOUT.items() for a in ("--heldout", f"{language}={file}")]
        init(folder / "pipeline.yaml", *own)
        self.assertEqual([p.name for p in folder.iterdir()], ["pipeline.yaml"])

    def test_texts_are_not_replaced_by_their_own_split(self):
        folder = fresh("init-twice")
        init(folder / "pipeline.yaml")
        split = folder / "pipeline-texts"
        before = hash_folder(folder)
        words = ["init", "--base", BASE, "-o", folder / "pipeline.yaml", "--force",
                 "--heldout", f"{NEW_LANGUAGE}={split / f'{NEW_LANGUAGE}.heldout.jsonl'}",
                 "--new", f"{NEW_LANGUAGE}={split / f'{NEW_LANGUAGE}.train.jsonl'}"]
        for more in ([], ["--dry-run"]):
            message = run(*words, "--old", f"en={TEXTS['en']}", *more, expect=2).stderr
            self.assertIn("the output holds an input", message)
            self.assertIn(f"{NEW_LANGUAGE}.train.jsonl", message)
        self.assertEqual(hash_folder(folder), before)
        self.assertEqual(partial_outputs(folder), [])
        run(*words, "--old", f"en={split / 'en.train.jsonl'}", "--heldout", f"en={split / 'en.heldout.jsonl'}")
        self.assertTrue(split.is_dir(), "nothing to split, nothing replaced")
        (folder / "pipeline.yaml").unlink()
        self.assertIn("--force", init(folder / "pipeline.yaml", expect=2).stderr)

    def test_the_next_command_can_be_pasted(self):
        folder = fresh("init next")
        said = init(folder / "it's one.yaml").stderr
        command = re.search("next: polygraft (.*)", said).group(1)
        self.assertEqual(shlex.split(command), ["run", str(folder / "it's one.yaml"), "--dry-run"])

    def test_fewer_hours_mean_fewer_tokens(self):
        folder = fresh("init-hours")
        tokens = []
        for hours in ("8", "0.0001"):
            result = init(folder / f"{hours}.yaml", "--hours", hours, "--dry-run", "--json", folder / "plan.json")
            self.assertEqual(result.returncode, 0)
            tokens.append(load_json(folder / "plan.json")["tokens"])
        self.assertGreater(tokens[0], tokens[1])
        self.assertEqual([p.name for p in folder.iterdir()], ["plan.json"], "a dry run writes nothing else")

    def test_mistakes_are_named_and_nothing_is_written(self):
        folder = fresh("init-mistakes")
        output = folder / "pipeline.yaml"
        cases = [
            (("--old", "de"), "LANGUAGE=FILE"),
            (("--old", f"{NEW_LANGUAGE}={TEXTS['de']}"), "named twice"),
            (("--heldout", f"xx={TEXTS['de']}"), "neither --new nor --old"),
            (("--heldout", f"en={HELDOUT['en']}", "--heldout", f"en={HELDOUT['de']}"), "'en' is named twice"),
            (("--heldout", f"en={TEXTS['en']}"), "is trained on, too, as text of en"),
            (("--heldout", f"en={TEXTS['de']}"), "is trained on, too, as text of de"),
            (("--old", f"xx={HELDOUT['de']},{HELDOUT['de']}"), "is listed twice"),
            (("--old", f"../x={HELDOUT['de']}"), "'../x' cannot be part of a file name"),
            (("--new", f"pt={TEXTS['de']}"), "one language is added at a time"),
            (("--old", f"xx={WORK}"), "is a folder"),
            (("--old", f"xx={TEXTS[NEW_LANGUAGE]}"), "is text of the old language xx, too"),
            (("--hours", "-1"), "--hours"),
            (("--memory-gib", "0.1"), "does not fit"),
            (("--memory-gib", "-5"), "--memory-gib"),
            (("--memory-gib", "inf"), "--memory-gib"),
        ]
        for options, message in cases:
            with self.subTest(options=options):
                self.assertIn(message, init(output, *options, expect=2).stderr)
        message = init(output, "--old", "xx=/nowhere/text.jsonl", expect=1).stderr
        self.assertIn("/nowhere/text.jsonl: no such file; --old names it", message)
        self.assertEqual(list(folder.iterdir()), [])
        self.assertEqual(partial_outputs(folder), [])

    def test_a_folder_is_no_pipeline_file(self):
        folder = fresh("init-folder")
        for options in ([], ["--force"]):
            self.assertIn("must be a file", run("init", "--base", BASE, "--new", f"{NEW_LANGUAGE}={TEXTS[NEW_LANGUAGE]}",
                                                "-o", f"{folder}/new/", *options, expect=2).stderr)
            self.assertIn("must be a file", init(folder, *options, expect=2).stderr)
        self.assertEqual(list(folder.iterdir()), [])

    def test_without_old_text_the_base_writes_it(self):
        folder = fresh("init-self")
        run("init", "--base", BASE, "--new", f"{NEW_LANGUAGE}={TEXTS[NEW_LANGUAGE]}", "-o", folder / "pipeline.yaml")
        self.assertIn("source: self", (folder / "pipeline.yaml").read_text())
        self.assertIn("would run  self-text", run("run", folder / "pipeline.yaml", "--dry-run").stdout)

    def test_what_cannot_be_extended_is_a_mistake_of_the_command_line(self):
        folder = fresh("init-bases")
        output = folder / "pipeline.yaml"
        words = ["init", "--base", BASE, "-o", output, "--old", f"en={TEXTS['en']}"]
        self.assertIn("language 'pt/BR'", run(*words, "--new", f"pt/BR={TEXTS['de']}", expect=2).stderr)
        (folder / "one.jsonl").write_text('{"text": "one document"}\n')
        self.assertIn("too few documents", run(*words, "--new", f"id={folder / 'one.jsonl'}", expect=2).stderr)
        dense = folder / "dense"
        shutil.copytree(BASE, dense)
        config = load_json(dense / "config.json")
        (dense / "config.json").write_text(json.dumps(config | {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}))
        (dense / "model.safetensors").unlink()
        self.assertIn("expand upcycle", init(output, base=dense, expect=2).stderr)
        self.assertEqual(partial_outputs(folder), [])
        self.assertFalse(output.exists())

    def test_an_existing_file_is_kept(self):
        folder = fresh("init-existing")
        (folder / "pipeline.yaml").write_text("mine\n")
        self.assertIn("--force", init(folder / "pipeline.yaml", expect=2).stderr)
        self.assertIn("has not written", init(folder / "pipeline.yaml", "--force", expect=2).stderr)
        self.assertEqual((folder / "pipeline.yaml").read_text(), "mine\n")
        init(folder / "own.yaml")
        init(folder / "own.yaml", "--force")
        self.assertEqual(partial_outputs(folder), [])


if __name__ == "__main__":
    unittest.main()
