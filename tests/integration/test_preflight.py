"""What `polygraft run` finds out before its first stage, and `run --dry-run` says as well."""

import json
import shlex
import shutil
import unittest

from harness import BASE, BASE_CONFIG, CORPUS, NEW_LANGUAGE, OLD_LANGUAGES, WORK, fresh, load_json, run, write_pipeline

TWO_PROCESSES = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_RANK": "0"}
TWO_OF_TORCHRUN = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}


class Preflight(unittest.TestCase):
    def setUp(self):
        self.folder = fresh("preflight")
        self.yaml = write_pipeline(self.folder)

    def refused(self, *messages, settings=(), code=2, environment=(), only_dry=False):
        """Every message is said, dry or not, and no run folder is made."""
        options = [word for setting in settings for word in ("--set", setting)]
        for dry in [["--dry-run"]] if only_dry else [["--dry-run"], []]:
            result = run("run", self.yaml, *options, *dry, expect=code, environment=environment)
            for message in messages:
                self.assertIn(message, result.stderr)
            self.assertFalse((self.folder / "run").exists())

    def test_a_gpu_that_this_build_cannot_use(self):
        self.refused("this build has no CUDA", settings=["train.device=cuda"])

    def test_a_gpu_for_several_processes(self):
        on_gpus = {"settings": ["train.device=cuda", "train.micro_batch_tokens=512"], "only_dry": True}
        self.refused("do not exchange GPU memory", "torchrun", environment=TWO_PROCESSES, **on_gpus)
        self.refused("this build has no CUDA", environment=TWO_OF_TORCHRUN, **on_gpus)

    def test_processes_that_cannot_share_a_step(self):
        self.refused("several ranks share a step by its micro-batches", environment=TWO_PROCESSES, only_dry=True)

    def test_a_precision_that_this_processor_lacks(self):
        self.refused("no products in bfloat16", settings=["train.precision=bfloat16"],
                     environment={"POLYGRAFT_CPU_PATH": "portable"})

    def test_a_broken_line_of_a_task_file(self):
        tasks = self.folder / "tasks.jsonl"
        item = {"id": "a", "language": "en", "context": "", "choices": ["x", "y"], "gold": 0}
        tasks.write_text(json.dumps(item) + "\n{}\n")
        self.refused("tasks.jsonl:2", settings=[f"evaluate.choice=[{tasks}]"], code=1)

    def test_a_run_folder_that_cannot_be_made(self):
        (self.folder / "file").write_text("")
        self.refused(f"{self.folder / 'file'}: is no folder", settings=[f"run_dir={self.folder / 'file' / 'run'}"], code=1)

    def test_a_run_folder_that_is_someone_elses(self):
        (self.folder / "other" / "model").mkdir(parents=True)
        self.refused("no run of polygraft's", settings=[f"run_dir={self.folder / 'other'}"])

    def test_a_base_without_donors_enough(self):
        self.refused("9 new experts need as many donors", settings=["expand.experts_per_layer=9"])
        self.refused("16 new experts need as many donors",
                     settings=["expand.experts_per_layer=2", "expand.experts_multiple_of=24"])

    def test_a_gate_for_another_language(self):
        self.refused("gate.new_languages", "[id], or nothing", "[de]", settings=["gate.new_languages=[de]"])
        run("run", self.yaml, "--dry-run", "--set", "gate.new_languages=[id]")

    def test_a_margin_of_nothing_that_is_measured(self):
        self.refused("gate.margins.ne", "one of bpb_de, bpb_en, bpb_es, de, en, es\n",
                     settings=["gate.margins={ne: 0.001}"])
        tasks = self.folder / "tasks.jsonl"
        tasks.write_text(json.dumps({"id": "a", "language": "de", "context": "", "choices": ["x", "y"], "gold": 0}) + "\n")
        run("run", self.yaml, "--dry-run", "--set", f"evaluate.choice=[{tasks}]",
            "--set", "gate.margins={tasks_de: 0.02, bpb_en: 0.001, es: 0.1}", "--set", "gate.metrics=[acc_norm]")
        self.refused("gate.metrics", "one of bits_per_byte", "did you mean 'bits_per_byte'?", settings=["gate.metrics=[bits_per_bite]"])
        for name in ("id", "bpb_id"):
            self.refused(f"gate.margins.{name}", "of a new language, which must gain",
                         settings=[f"gate.margins={{{name}: 0.001}}"])

    def test_rows_longer_than_the_models_positions(self):
        self.refused("longer than the model's positions", "at most 512",
                     settings=["train.sequence_length=600", "train.batch_tokens=1024"])

    def test_a_single_training_document(self):
        text = self.folder / "one.jsonl"
        text.write_text(json.dumps({"text": "One page and no more."}) + "\n")
        corpus = self.folder / "corpus.yaml"
        corpus.write_text(CORPUS.read_text().replace("[", f"[{WORK}/").replace(str(WORK / "en.train.jsonl"), str(text)))
        self.refused("en: needs at least two training documents", settings=[f"corpus={corpus}"])

    def corpus_with(self, language, **files):
        """A corpus whose `language` has other files."""
        languages = {code: {kind: [f"{WORK}/{code}.{kind}.jsonl"] for kind in ("train", "heldout")} | {"role": "old"}
                     for code in OLD_LANGUAGES} | {NEW_LANGUAGE: {"role": "new", "train": [f"{WORK}/{NEW_LANGUAGE}.train.jsonl"],
                                                                  "heldout": [f"{WORK}/{NEW_LANGUAGE}.heldout.jsonl"]}}
        languages[language] |= {kind: [str(file)] for kind, file in files.items()}
        corpus = self.folder / "corpus.yaml"
        corpus.write_text(json.dumps({"languages": languages}))
        return f"corpus={corpus}"

    def test_a_result_in_the_place_of_what_the_pipeline_names(self):
        tasks, corpus = self.folder / "tasks.jsonl", self.folder / "corpus.yaml"
        tasks.write_text(json.dumps({"id": "a", "language": "de", "context": "", "choices": ["x", "y"], "gold": 0}) + "\n")
        settings = ["--set", self.corpus_with("de"), "--set", f"evaluate.choice=[{tasks}]"]
        for file in (tasks, corpus):
            before = file.read_text()
            said = run("run", self.yaml, "--dry-run", *settings, "--json", file, expect=2).stderr
            self.assertIn("no earlier report", said)
            self.assertEqual(file.read_text(), before)
        train = ["train", "--config", BASE_CONFIG, "--dry-run", "--set", self.corpus_with("de"), "--json", corpus]
        self.assertIn("no earlier report", run(*train, expect=2).stderr)
        corpus.write_text(json.dumps(json.loads(corpus.read_text()), indent=2))  # as --json writes it
        self.assertIn("the output is the same as an input", run(*train, expect=2).stderr)

    def test_held_out_text_that_is_trained_on_is_warned_of(self):
        copy = self.folder / "another-name.jsonl"
        shutil.copy(WORK / f"{NEW_LANGUAGE}.train.jsonl", copy)
        said = run("run", self.yaml, "--dry-run", "--set", self.corpus_with(NEW_LANGUAGE, heldout=copy)).stderr
        self.assertRegex(said, rf"(\d+) of \1 held-out documents of {NEW_LANGUAGE} are training text of {NEW_LANGUAGE}: ")

    def test_texts_that_cannot_be_read(self):
        broken, unknown, empty = self.folder / "broken.jsonl", self.folder / "text.docx", self.folder / "empty.txt"
        broken.write_text('{"content": "Help"}\n')
        unknown.write_text("Help")
        empty.write_text("\n")
        self.refused("broken.jsonl:1", settings=[self.corpus_with("de", heldout=broken)], code=1)
        self.refused("text.docx", settings=[self.corpus_with("de", heldout=unknown)], code=1)
        self.refused("empty.txt: no document in it", settings=[self.corpus_with("id", heldout=empty)], code=1)
        two = self.corpus_with("id", heldout=empty)
        corpus, other = self.folder / "corpus.yaml", self.folder / "other.txt"
        other.write_text("\n")
        languages = json.loads(corpus.read_text())["languages"]
        languages["de"]["heldout"] = [str(other)]
        corpus.write_text(json.dumps({"languages": languages}))
        self.refused("empty.txt: no document in it", "other.txt: no document in it", settings=[two], code=1)

    def test_a_base_whose_tokenizer_is_missing_or_another_s(self):
        base = self.folder / "base"
        shutil.copytree(BASE, base)
        tokenizer = load_json(base / "tokenizer.json")
        first = 1 + max([*tokenizer["model"]["vocab"].values(), *(token["id"] for token in tokenizer["added_tokens"])])
        tokenizer["added_tokens"] += [{"id": number, "content": f"<|{number}|>", "special": True, "single_word": False,
                                       "lstrip": False, "rstrip": False, "normalized": False}
                                      for number in range(first, load_json(base / "config.json")["vocab_size"] + 1)]
        (base / "tokenizer.json").write_text(json.dumps(tokenizer))
        self.refused("more tokens than the model has rows", settings=[f"base={base}"])
        (base / "tokenizer.json").unlink()
        self.refused("tokenizer", settings=[f"base={base}"], code=1)
        run("eval", "bpb", "--model", base, "--corpus", CORPUS, "-o", self.folder / "results", "--dry-run", expect=1)

    def test_chats_of_a_base_that_writes_none(self):
        self.refused("train.replay.self_chats: asks for chats", "set train.replay.self_chats to 0",
                     settings=["train.replay.source=self", "train.replay.self_chats=0.5"])
        base = self.folder / "base"
        shutil.copytree(BASE, base)
        (base / "chat_template.jinja").write_text("{{ messages }}")
        self.refused("train.replay.self_chats with this base's chat template",
                     settings=[f"base={base}", "train.replay.source=self", "train.replay.self_chats=0.5"])

    def test_everything_at_once(self):
        (self.folder / "file").write_text("")
        self.refused("5 problems", "/nowhere/base", "/nowhere/tasks.jsonl", "is no folder", "this build has no CUDA",
                     "/nowhere/corpus.yaml",
                     settings=["base=/nowhere/base", "evaluate.choice=[/nowhere/tasks.jsonl]", "train.device=cuda",
                               f"run_dir={self.folder / 'file' / 'run'}", "corpus=/nowhere/corpus.yaml"])

    def test_an_input_that_is_not_there_is_the_same_exit_code_everywhere(self):
        text, out, none = WORK / "en.train.jsonl", ["-o", self.folder / "out"], "/nowhere/none.jsonl"
        (self.folder / "corpus.yaml").write_text(f"languages: {{en: {{role: old, train: [{text}], heldout: [{none}]}}}}")
        model, corpus, listed = ["--model", BASE], ["--corpus", CORPUS], ["--corpus", self.folder / "corpus.yaml"]
        extend = ["tokenizer", "extend", "--new-tokens", 5, *out]
        commands = [
            ["init", "--base", BASE, "--new", f"id={none}", "--old", f"en={text}", *out],
            ["init", "--base", none, "--new", f"id={text}", *out],
            ["run", none], ["run", self.yaml, "--set", f"base={none}"],
            ["run", self.yaml, "--set", "corpus=/nowhere/corpus.yaml", "--set", f"base={none}"],
            ["plan-parallel", none, "--ranks", 2], ["inspect", none], ["report", none],
            ["tokenizer", "train", "--text", none, "--vocab-size", 300, *out],
            [*extend, "--tokenizer", none, "--text", text, "--guard", text],
            [*extend, "--tokenizer", BASE, "--text", none, "--guard", text],
            ["tokenizer", "encode", "--tokenizer", BASE, none], ["tokenizer", "decode", "--tokenizer", none],
            ["tokenizer", "report", "--tokenizer", BASE, *listed], ["tokenizer", "report", "--tokenizer", none, *corpus],
            ["expand", "profile", *model, *listed, *out], ["expand", "profile", *model, "--corpus", none, *out],
            ["expand", "plan", *model, "--profile", none, "--set", "language=id", "--set", f"corpus={CORPUS}", "--set",
             f"extended_tokenizer={BASE}", *out],
            ["expand", "graft", *model, "--plan", none, *out], ["expand", "verify", "--base", BASE, "--expanded", none],
            ["expand", "pack", "--expanded", none, *out], ["expand", "attach", *model, "--pack", none, *out],
            ["expand", "fuse", "--model", none, *out], ["expand", "detach", "--model", none, "--pack", "id", *out],
            ["expand", "upcycle", "--model", none, "--set", "slices=2", "--set", "copies=2", *out], ["train", "--config", none],
            ["eval", "bpb", *model, *listed, *out], ["eval", "bpb", "--model", none, *corpus, *out],
            ["eval", "cloze", *listed, *out], ["eval", "choice", *model, "--tasks", none, *out],
            ["eval", "compare", none, none], ["generate", "--model", none, "--prompt", "x"]]
        for command in commands:
            with self.subTest(command=command):
                self.assertIn(none, run(*command, expect=1).stderr)
        self.assertFalse((self.folder / "out").exists())

    def test_training_without_anything_to_train(self):
        config = self.folder / "train.yaml"
        config.write_text(f"model: {BASE}\ncorpus: {CORPUS}\n"
                          f"run_dir: {self.folder / 'r'}\noutput: {self.folder / 'o'}\n"
                          "train: {tokens: 2048, batch_tokens: 1024, sequence_length: 128,\n"
                          "        optimizer: {learning_rate: 1.0e-3}}\n")
        self.assertIn("no additions to train", run("train", "--config", config, "--dry-run", expect=2).stderr)
        train = ["train", "--config", config, "--set", "train.trainable=all", "--dry-run"]
        self.assertGreater(json.loads(run(*train, "--json", "-").stdout)["trainable_parameters"], 0)
        precision = run(*train, "--set", "train.precision=bfloat16", expect=2, environment={"POLYGRAFT_CPU_PATH": "portable"})
        self.assertIn("no products in bfloat16", precision.stderr)


class DryRun(unittest.TestCase):
    def setUp(self):
        self.folder = fresh("preflight-dry")
        self.yaml = write_pipeline(self.folder)

    def warnings(self, *settings):
        options = [word for setting in settings for word in ("--set", setting)]
        return run("run", self.yaml, "--dry-run", *options).stderr

    def test_what_a_run_may_come_to_is_warned_of(self):
        self.assertEqual(self.warnings(), "")
        self.assertRegex(self.warnings("gate.min_documents=1000"), r"de: \d+ held-out documents are fewer than the 1000")
        self.assertIn("of the machine tiny", self.warnings("machine={name: tiny, memory_gib: 0.001}"))
        self.assertEqual(self.warnings("machine={name: large, memory_gib: 64}"), "")

    def test_training_that_this_machine_cannot_hold(self):
        huge = ["--set", "train.batch_tokens=100000000", "--set", "train.micro_batch_tokens=0", "--set", "train.tokens=100000000"]
        self.assertIn("of this machine; a smaller train.micro_batch_tokens", run("run", self.yaml, *huge, "--dry-run").stderr)
        message = run("run", self.yaml, *huge, expect=2).stderr
        self.assertIn("training does not fit into this machine's memory", message)
        self.assertFalse((self.folder / "run").exists())
        run("run", self.yaml, *huge, "--until", "tokenizer")
        self.assertTrue((self.folder / "run" / "stages" / "tokenizer").exists(), "nothing is trained by then")

    def test_choices_without_their_space_are_warned_of(self):
        tasks = self.folder / "quiz.jsonl"
        item = {"id": "a", "language": "de", "context": "Ein guter", "choices": ["Tag", " Abend"], "gold": 0}
        tasks.write_text(json.dumps(item) + "\n")
        said = "quiz_de, item 'a': 'guterTag' is one word"
        self.assertEqual(self.warnings(f"evaluate.choice=[{tasks}]").count(said), 1)
        choice = ["eval", "choice", "--model", BASE, "--tasks", tasks, "-o", self.folder / "results", "--dry-run"]
        self.assertEqual(run(*choice).stderr.count(said), 1)
        tasks.write_text(json.dumps(item | {"choices": [" Tag", " Abend"]}) + "\n")
        self.assertNotIn("is one word", run(*choice).stderr)

    def test_a_model_with_weights_is_estimated(self):
        text = run("run", self.yaml, "--dry-run").stdout
        self.assertIn("would run  tokenizer", text)
        self.assertRegex(text, r"training +40 steps over 40,000 tokens, about \d")
        self.assertNotIn("machine ", text)
        self.assertIn("and what `new_tokens: auto` finds", run("run", self.yaml, "--dry-run", "--set",
                                                               "tokenizer.new_tokens=auto").stdout)
        for gib, verdict in [("64", ": fits;"), ("0.001", ": does NOT fit;")]:
            self.assertIn(verdict, run("run", self.yaml, "--dry-run", "--set", f"machine.memory_gib={gib}").stdout)

    def test_a_plan_for_many_ranks_names_all_that_is_missing(self):
        message = run("plan-parallel", self.yaml, "--ranks", "2", expect=2).stderr
        self.assertIn("machine.rank: {memory_gib", message)
        self.assertIn("train.micro_batch_tokens", message)
        example = run("plan-parallel", "--help").stdout.split("example:\n")[1]
        words = [str(self.yaml) if word.endswith(".yaml") else word for word in shlex.split(example)[1:]]
        self.assertIn("micro-batches; bytes", run(*words).stdout)

    def test_json_stands_alone(self):
        plan = json.loads(run("run", self.yaml, "--dry-run", "--json", "-").stdout)
        self.assertEqual(plan["stages"][0], {"stage": "tokenizer", "done": False})
        self.assertGreater(plan["peak_memory_bytes"], 0)
        text = WORK / "en.train.jsonl"
        for command in [["tokenizer", "train", "--text", text, "--vocab-size", "300", "-o", self.folder / "t"],
                        ["tokenizer", "extend", "--tokenizer", BASE, "--text", text, "--guard", text, "-o", self.folder / "t"],
                        ["expand", "profile", "--model", BASE, "--corpus", CORPUS, "-o", self.folder / "p.json"],
                        ["eval", "bpb", "--model", BASE, "--corpus", CORPUS, "-o", self.folder / "b"],
                        ["generate", "--model", BASE, "--prompt", "The"],
                        ["tokenizer", "report", "--tokenizer", BASE, "--corpus", CORPUS]]:
            with self.subTest(command=command[:2]):
                self.assertIn("would ", json.loads(run(*command, "--dry-run", "--json", "-").stdout)["dry_run"])
                self.assertIn("would ", run(*command, "--dry-run").stdout)

    def test_a_tokenizer_that_cannot_be_made(self):
        text, missing, output = WORK / "en.train.jsonl", self.folder / "missing.jsonl", ["-o", self.folder / "t", "--dry-run"]
        extend = ["tokenizer", "extend", "--tokenizer", BASE]
        for command in [["tokenizer", "train", "--text", text, missing], [*extend, "--text", missing, "--guard", text],
                        [*extend, "--text", text, "--guard", f"de={missing}"]]:
            self.assertIn("missing.jsonl: no such file", run(*command, *output, expect=1).stderr)
        self.assertIn("known", run("tokenizer", "train", "--text", CORPUS, *output, expect=1).stderr)
        for command, message in [(["tokenizer", "train", "--text", text, "--vocab-size", "200"], "200 is too small"),
                                 (["tokenizer", "train", "--text", text, "--pattern", "gpt9"], "gpt9"),
                                 ([*extend, "--text", text, "--guard", f"de={text}", "--min-count", "0"], "min_count = 0"),
                                 ([*extend, "--text", f"de={text}", "--guard", f"de={text}"], "new and guarded at once")]:
            self.assertIn(message, run(*command, *output, expect=2).stderr)
        run("tokenizer", "extend", "--tokenizer", missing, "--text", text, "--guard", text, *output, expect=1)


if __name__ == "__main__":
    unittest.main()
