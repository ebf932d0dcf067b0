"""Broken input: a clear error, the documented exit code, and nothing left under the final name."""

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import unittest

from harness import (BASE, BASE_CONFIG, CORPUS, NEW_LANGUAGE, PROGRAM, WORK, fresh, hash_folder, load_json, partial_outputs,
                     pipeline_yaml, run)


@contextlib.contextmanager
def held_lock(file):
    """Another process holds the lock on `file`."""
    file.touch()
    with subprocess.Popen(["flock", file, "sleep", "30"]) as holder:
        while subprocess.run(["flock", "-n", file, "true"]).returncode == 0:
            pass  # until the holder has it
        yield
        holder.kill()


class BadInput(unittest.TestCase):
    def setUp(self):
        self.folder = fresh("bad")

    def copy_base(self):
        target = self.folder / "model"
        shutil.copytree(BASE, target)
        return target

    def eval_fails(self, model, code, *messages, corpus=CORPUS):
        """eval bpb exits with `code`, says every message, and leaves no output."""
        out = self.folder / "result"
        result = run("eval", "bpb", "--model", model, "--corpus", corpus, "-o", out, expect=code)
        for message in messages:
            self.assertIn(message, result.stderr)
        self.assertFalse(out.exists())
        self.assertEqual(partial_outputs(self.folder), [])

    def test_truncated_safetensors(self):
        model = self.copy_base()
        file = model / "model.safetensors"
        os.truncate(file, file.stat().st_size - 100)
        self.eval_fails(model, 1, "model.safetensors")

    def test_header_longer_than_the_file(self):
        model = self.copy_base()
        (model / "model.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}")
        self.eval_fails(model, 1, "header")

    def test_header_that_is_no_json(self):
        model = self.copy_base()
        (model / "model.safetensors").write_bytes(struct.pack("<Q", 8) + b"\xff" * 8)
        self.eval_fails(model, 1, "model.safetensors")

    def test_config_that_disagrees_with_the_tensors(self):
        model = self.copy_base()
        config = json.loads((model / "config.json").read_text())
        config["num_experts"] = 9
        (model / "config.json").write_text(json.dumps(config))
        self.eval_fails(model, 1, "experts.8.gate_proj.weight", "num_experts (9) with the experts present (8)")

    def test_another_family_is_refused_by_name(self):
        model = self.copy_base()
        config = json.loads((model / "config.json").read_text())
        config["model_type"] = "mamba2"
        (model / "config.json").write_text(json.dumps(config))
        self.eval_fails(model, 2, "mamba2")

    def test_quantised_weights_are_refused_by_name(self):
        model = self.copy_base()
        config = json.loads((model / "config.json").read_text())
        config["quantization_config"] = {"quant_method": "fp8"}
        (model / "config.json").write_text(json.dumps(config))
        self.eval_fails(model, 2, "quanti")

    def test_index_that_points_outside_the_folder(self):
        model = self.copy_base()
        (model / "model.safetensors").rename(self.folder / "outside.safetensors")
        index = {"metadata": {}, "weight_map": {"model.norm.weight": "../outside.safetensors"}}
        (model / "model.safetensors.index.json").write_text(json.dumps(index))
        self.eval_fails(model, 1, "outside.safetensors")

    def test_a_class_that_has_a_normaliser_of_its_own_is_warned_of(self):
        folder = self.folder / "tokenizer"
        shutil.copytree(WORK / "tokenizer", folder)
        text = self.folder / "line.txt"
        text.write_text("One line.\n")
        config = json.loads((folder / "tokenizer_config.json").read_text())
        tokenizer = json.loads((folder / "tokenizer.json").read_text())
        for name, normalizer, is_warned in [("Qwen2Tokenizer", None, True), ("GPTNeoXTokenizerFast", {"type": "NFKC"}, True),
                                            ("Qwen2TokenizerFast", {"type": "NFC"}, False),
                                            ("Qwen2Tokenizer", {"type": "Sequence", "normalizers": [{"type": "NFC"}]}, False),
                                            ("PreTrainedTokenizerFast", None, False)]:
            with self.subTest(name=name, normalizer=normalizer):
                (folder / "tokenizer_config.json").write_text(json.dumps({**config, "tokenizer_class": name}))
                (folder / "tokenizer.json").write_text(json.dumps({**tokenizer, "normalizer": normalizer}))
                said = run("tokenizer", "encode", "--tokenizer", folder, text).stderr
                self.assertEqual("makes NFC of a text first" in said, is_warned, said)

    def test_a_byte_order_mark_and_the_end_of_a_line_have_no_ids(self):
        marked, plain = self.folder / "marked.txt", self.folder / "plain.txt"
        marked.write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
        plain.write_bytes(b"one\ntwo\n")
        encode = ["tokenizer", "encode", "--tokenizer", WORK / "tokenizer"]
        self.assertEqual(run(*encode, marked).stdout, run(*encode, plain).stdout)

    def test_lines_are_read_until_a_signal(self):
        for sent in (signal.SIGINT, signal.SIGTERM):
            with subprocess.Popen([PROGRAM, "tokenizer", "decode", "--tokenizer", WORK / "tokenizer"], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE) as decoding:
                decoding.stdin.write(b"[72]\n")
                decoding.stdin.flush()
                decoding.stdout.readline()
                decoding.send_signal(sent)  # while it waits for the next line
                try:
                    self.assertEqual(decoding.wait(timeout=60), -sent)
                finally:
                    decoding.kill()

    def test_a_mask_of_no_pack(self):
        self.assertIn("no pack 'nopack'", run("eval", "bpb", "--model", BASE, "--corpus", CORPUS, "--mask", "nopack", "-o",
                                              self.folder / "result", expect=2).stderr)
        self.assertEqual(partial_outputs(self.folder), [])

    def test_a_model_folder_whose_name_is_no_utf8(self):
        model = self.folder / os.fsdecode(b"ba\xffse")
        shutil.copytree(BASE, model)
        (self.folder / "page.txt").write_text("One page and no more.\n")
        corpus = self.folder / "corpus.yaml"
        corpus.write_text("languages: {en: {role: old, heldout: [page.txt]}}")
        out = self.folder / "result"
        run("eval", "bpb", "--model", model, "--corpus", corpus, "-o", out, "--json", self.folder / "result.json")
        self.assertTrue(load_json(next(out.glob("results_*.json")))["model_name"].endswith("ba\ufffdse"))

    def test_missing_language_file(self):
        corpus = self.folder / "corpus.yaml"
        corpus.write_text("languages: {en: {role: old, train: [], heldout: [nowhere.jsonl]}}")
        self.eval_fails(BASE, 1, "nowhere.jsonl: no such file", corpus=corpus)

    def test_text_that_is_not_utf8_is_located(self):
        (self.folder / "broken.txt").write_bytes(b"fine\nbr\xffken\n")
        corpus = self.folder / "corpus.yaml"
        corpus.write_text("languages: {en: {role: old, heldout: [broken.txt]}}")
        self.eval_fails(BASE, 1, "broken.txt:2", corpus=corpus)

    def test_unknown_keys_are_all_reported_with_their_neighbours(self):
        yaml = self.folder / "pipeline.yaml"
        yaml.write_text(pipeline_yaml(self.folder / "run").replace("learning_rate", "lerning_rate").replace("kl: 20", "kll: 20"))
        result = run("run", yaml, expect=2)
        for message in ["pipeline.yaml:", "lerning_rate", "'learning_rate'", "kll"]:
            self.assertIn(message, result.stderr)
        self.assertFalse((self.folder / "run").exists())

    def test_existing_output_needs_force(self):
        out = self.folder / "result"
        out.mkdir()
        (out / "precious").write_text("keep")
        result = run("eval", "bpb", "--model", BASE, "--corpus", CORPUS, "-o", out, expect=2)
        self.assertIn("--force", result.stderr)
        self.assertEqual((out / "precious").read_text(), "keep")

    def test_force_replaces_what_was_written_before_and_no_other_folder(self):
        out, words = self.folder / "result", ["eval", "bpb", "--model", BASE, "--corpus", CORPUS, "--force", "-o"]
        (out / "own").mkdir(parents=True)
        for name in ("thesis.txt", "own/thesis.txt"):
            (out / name).write_text("keep")
            result = run(*words, out, expect=2)
            self.assertIn("no command of polygraft has written", result.stderr)
            self.assertEqual((out / name).read_text(), "keep")
            (out / "thesis.txt").unlink(missing_ok=True)
        shutil.rmtree(out / "own")
        run(*words, out)
        (out / "notes.md").write_text("beside results")
        run(*words, out)
        self.assertFalse((out / "notes.md").exists())

    def test_json_replaces_json_and_no_other_file(self):
        text = self.folder / "text.jsonl"
        text.write_text('{"text": "one"}\n')
        self.assertIn("no earlier report", run("inspect", BASE, "--json", text, expect=2).stderr)
        self.assertEqual(text.read_text(), '{"text": "one"}\n')
        for _ in range(2):
            run("inspect", BASE, "--json", self.folder / "inspected.json")

    def test_training_leaves_other_folders_alone_and_says_early_what_it_cannot_write(self):
        model, run_dir = self.copy_base(), self.folder / "run"
        before = hash_folder(self.folder)
        (self.folder / "notes").mkdir()
        (self.folder / "notes" / "metrics.jsonl").write_text("own")
        yaml = self.folder / "train.yaml"
        yaml.write_text(f"{{corpus: {CORPUS}, model: {model}, run_dir: run, output: out, train: {{trainable: all, tokens: 20000, "
                        "sequence_length: 128, batch_tokens: 2048, optimizer: {learning_rate: 1.0e-3}, replay: {fraction: 0}}}")
        train = ["train", "--config", yaml]
        for folders, said in [((model, self.folder / "out"), "an input"),
                              ((model / "run", self.folder / "out"), "an input"),
                              ((self.folder / "notes", self.folder / "out"), "no run of polygraft's"),
                              ((run_dir, run_dir), "keeps what it needs"),
                              ((run_dir / "deep", run_dir), "keeps what it needs"),
                              ((run_dir, run_dir / "data"), "keeps what it needs"),
                              ((run_dir, run_dir / "checkpoint-6"), "keeps what it needs")]:
            with self.subTest(folders=folders):
                result = run(*train, "--set", f"run_dir={folders[0]}", "--set", f"output={folders[1]}", expect=2)
                self.assertIn(said, result.stderr)
        result = run(*train, "--set", f"run_dir={run_dir}", "--set", "output=/proc/polygraft/model", expect=1)
        self.assertIn("/proc", result.stderr)
        self.assertNotIn("step", result.stderr.replace(" steps, ", ""))
        shutil.rmtree(run_dir)
        shutil.rmtree(self.folder / "notes")
        yaml.unlink()
        self.assertEqual(hash_folder(self.folder), before)

    def test_what_is_read_is_never_replaced(self):
        model = self.copy_base()
        texts = self.folder / "texts"
        texts.mkdir()
        text = texts / "en.jsonl"
        text.write_text('{"text": "one"}\n')
        corpus = self.folder / "corpus.yaml"
        corpus.write_text("languages:\n  en: {role: old, heldout: [texts/en.jsonl]}\n")
        before = hash_folder(self.folder)
        bpb = ["eval", "bpb", "--model", model, "--corpus", corpus]
        for words in (bpb + ["-o", model], bpb + ["-o", texts], bpb + ["-o", self.folder / "new", "--json", text],
                      ["tokenizer", "train", "--text", text, "-o", texts],
                      ["tokenizer", "extend", "--tokenizer", model, "--text", text, "--guard", text, "-o", model],
                      ["expand", "profile", "--model", model, "--corpus", corpus, "-o", corpus],
                      ["train", "--config", BASE_CONFIG, "--set", f"corpus={CORPUS}", "--set", f"run_dir={texts}",
                       "--set", f"output={texts}"]):
            with self.subTest(words=words):
                result = run(*words, "--force", expect=2)
                self.assertIn("an input", result.stderr)
        train = ["train", "--config", BASE_CONFIG, "--dry-run", "--set", f"corpus={CORPUS}", "--set", f"tokenizer={model}"]
        for command in (["inspect", model], train):
            self.assertIn("lies in an input", run(*command, "--json", model / "config.json", expect=2).stderr)
        self.assertEqual(hash_folder(self.folder), before)

    def test_a_folder_of_somebody_else_is_no_run_folder(self):
        yaml = self.folder / "pipeline.yaml"
        yaml.write_text(pipeline_yaml(self.folder / "work"))
        (self.folder / "work" / "model").mkdir(parents=True)
        (self.folder / "work" / "model" / "precious").write_text("keep")
        result = run("run", yaml, expect=2)
        self.assertIn("no run of polygraft's", result.stderr)
        self.assertEqual((self.folder / "work" / "model" / "precious").read_text(), "keep")

    def test_what_a_run_would_stumble_over_later_is_said_first(self):
        yaml = self.folder / "pipeline.yaml"
        yaml.write_text(pipeline_yaml(self.folder / "run"))
        result = run("run", yaml, "--dry-run", "--set", "expand.experts_per_layer=1000", expect=2)
        self.assertIn("1000 new experts need as many donors", result.stderr)
        corpus = self.folder / "corpus.yaml"
        content = CORPUS.read_text().replace("[", f"[{CORPUS.parent}/")
        corpus.write_text(content.replace(f"{NEW_LANGUAGE}:", "all:"))
        self.assertIn("'all' has an unusable name",
                      run("run", yaml, "--dry-run", "--set", f"corpus={corpus}", expect=2).stderr)
        corpus.write_text(content.replace(f"{NEW_LANGUAGE}:", "self:"))
        self.assertIn("'self' is what the base's own text is called",
                      run("run", yaml, "--dry-run", "--set", f"corpus={corpus}", expect=2).stderr)
        corpus.write_text(content.replace("de:", "de/at:"))
        self.assertIn("'de/at' cannot be part of a file name",
                      run("run", yaml, "--dry-run", "--set", f"corpus={corpus}", expect=2).stderr)
        corpus.write_text(content.replace("de.train", f"{NEW_LANGUAGE}.train"))
        self.assertIn("is text of the old language de, too",
                      run("run", yaml, "--dry-run", "--set", f"corpus={corpus}", expect=2).stderr)
        corpus.write_text(re.sub(r"heldout: \[[^]]*\]", "heldout: []", content))
        self.assertIn("needs text to measure on", run("run", yaml, "--dry-run", "--set", f"corpus={corpus}", expect=2).stderr)

    def test_text_that_is_trained_on_measures_nothing(self):
        corpus = self.folder / "corpus.yaml"
        text = self.folder / "en.jsonl"
        text.write_text('{"text": "one"}\n')
        corpus.write_text("languages:\n  en: {role: old, train: [en.jsonl], heldout: [en.jsonl]}\n")
        self.eval_fails(BASE, 2, "languages.en.heldout", "is trained on, too", corpus=corpus)
        corpus.write_text("languages:\n  de: {role: old, train: [en.jsonl]}\n  en: {role: old, heldout: [en.jsonl]}\n")
        self.eval_fails(BASE, 2, "languages.en.heldout", "as text of de", corpus=corpus)

    def test_a_result_that_did_not_get_out_is_no_success(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run([PROGRAM, "inspect", BASE], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("standard output", result.stderr)

    def test_options_that_mean_nothing_are_refused(self):
        for option in (["--set", "a=1"], ["--config", BASE_CONFIG], ["-o", self.folder / "out"]):
            self.assertIn("means nothing to `inspect`", run("inspect", BASE, *option, expect=2).stderr)
        result = run("generate", "--model", BASE, "--prompt", "The", "--system", "Be brief.", expect=2)
        self.assertIn("means nothing without --chat", result.stderr)
        for texts in (("a\udcffb", "ok"), ("ok", "a\udcffb")):  # the byte 0xff, as Python spells it
            result = run("generate", "--model", BASE, "--chat", "--prompt", texts[0], "--system", texts[1], expect=2)
            self.assertIn("an invalid sequence at byte 1", result.stderr)

    def test_ids_that_are_none(self):
        for ids in ("[4294967368]", "[100000]", "[1.5]", "[true]", "[-1]", "7"):
            result = subprocess.run([PROGRAM, "tokenizer", "decode", "--tokenizer", BASE], input=ids + "\n", text=True,
                                    capture_output=True)
            self.assertEqual(result.returncode, 1, result.stdout)
            self.assertIn("-:1: not an array of ids", result.stderr)

    def test_numbers_out_of_range_are_refused_before_any_work(self):
        yaml = self.folder / "pipeline.yaml"
        yaml.write_text(pipeline_yaml(self.folder / "run"))
        for setting in ("machine.memory_gib=1e12", "machine.memory_gib=.inf", "machine.teraflops=.inf",
                        "expand.router_margin=.inf", "tokenizer.head_ridge=.inf"):
            message = run("run", yaml, "--dry-run", "--set", setting, expect=2).stderr
            self.assertIn(setting.split("=")[0], message)
            self.assertIn("must lie in", message)
        output = self.folder / "out"
        for tokens in ("1", "0", "-1", "9000000000000000000"):
            message = run("expand", "profile", "--model", BASE, "--corpus", CORPUS, f"--tokens={tokens}", "-o", output,
                          expect=2).stderr
            self.assertIn("--tokens", message)
        paths = ["--set", f"corpus={CORPUS}", "--set", f"extended_tokenizer={BASE}", "--set", "language=id"]
        for command in (["plan", "--profile", "none.json", *paths], ["upcycle", "--set", "slices=2", "--set", "copies=2"]):
            message = run("expand", *command, "--model", BASE, "--set", "seed=-1", "-o", output, expect=2).stderr
            self.assertIn("seed", message)
        self.assertFalse(output.exists())

    def test_unwritable_output(self):
        result = run("eval", "bpb", "--model", BASE, "--corpus", CORPUS, "-o", "/proc/result", expect=1)
        self.assertIn("/proc/result", result.stderr)

    def test_a_corpus_without_texts_is_named(self):
        folder = fresh("no-texts")
        corpus = folder / "corpus.yaml"
        corpus.write_text(f"languages: {{de: {{role: old, heldout: [{CORPUS.parent / 'de.heldout.jsonl'}]}}}}\n")
        result = run("expand", "profile", "--model", BASE, "--corpus", corpus, "-o", folder / "profile.json", expect=2)
        self.assertIn(f"{corpus}: 1 problem", result.stderr)

    def test_a_profile_that_has_no_place(self):
        place = self.folder / "nowhere" / "profile.json"
        for output, message in ((place, "a folder that does not exist"), (self.folder, "cannot replace a folder")):
            result = run("expand", "profile", "--model", BASE, "--corpus", CORPUS, "-o", output, "--force", expect=2)
            self.assertIn(message, result.stderr)

    def test_full_disk(self):
        """A file-size limit stands in for the full disk: the write fails in the middle of a tensor file."""
        yaml = self.folder / "pipeline.yaml"
        yaml.write_text(pipeline_yaml(self.folder / "run"))
        run("run", yaml, "--until", "plan")
        limit = (BASE / "model.safetensors").stat().st_size // 2
        result = subprocess.run(
            [PROGRAM, "run", yaml, "--until", "graft"], capture_output=True, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("model.safetensors", result.stderr)
        self.assertFalse((self.folder / "run" / "stages" / "graft").exists())
        self.assertEqual(partial_outputs(self.folder), [])
        run("run", yaml, "--until", "graft")

    def test_a_second_process_is_kept_out_of_a_run_folder(self):
        yaml = self.folder / "pipeline.yaml"
        yaml.write_text(pipeline_yaml(self.folder / "run"))
        run("run", yaml, "--until", "tokenizer")
        with held_lock(self.folder / "run" / "lock"):
            result = run("run", yaml, expect=2)
        self.assertIn("another polygraft", result.stderr)

    def test_a_second_process_is_kept_out_of_a_training_folder(self):
        training = self.folder / "training"
        training.mkdir()
        output = self.folder / "model"
        with held_lock(training / "lock"):
            result = run("train", "--config", BASE_CONFIG, "--set", f"run_dir={training}", "--set", f"output={output}",
                         expect=2)
        self.assertIn("another polygraft", result.stderr)
        self.assertFalse(output.exists())


if __name__ == "__main__":
    unittest.main()
