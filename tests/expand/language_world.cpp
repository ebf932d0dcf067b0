// tests/expand/language_world.cpp: see language_world.h.
#include "tests/expand/language_world.h"

#include <sentencepiece_trainer.h>

#include <map>
#include <stdexcept>

#include "core/file.h"
#include "core/random.h"
#include "core/text.h"
#include "tests/expand/tiny_model.h"

namespace polygraft::testing {

namespace {

std::vector<std::string> syllables_of(const std::string& language) {
  if (language == "aa") return {"ka", "ri", "to", "mun", "sel"};
  if (language == "bb") return {"fro", "wen", "dig", "lich", "ung"};
  return {"jala", "pu", "nang", "tira", "be"};
}

/// Words of one to three syllables of the language's own. Deterministic.
std::string invented_text(const std::string& language, const std::string& part, int64_t num_lines) {
  const std::vector<std::string> syllables = syllables_of(language);
  RandomStream random(3, language + "." + part);
  std::string text;
  for (int64_t line = 0; line < num_lines; ++line) {
    const uint64_t num_words = 4 + random.below(16);
    for (uint64_t word = 0; word < num_words; ++word) {
      if (word > 0) text += ' ';
      const uint64_t num_syllables = 1 + random.below(3);
      for (uint64_t i = 0; i < num_syllables; ++i) text += syllables[random.below(5)];
    }
    text += '\n';
  }
  return text;
}

void write_corpus(LanguageWorld& world) {
  std::string yaml = "languages:\n";
  for (const std::string language : {"aa", "bb", "cc"}) {
    for (const std::string part : {"train", "heldout"}) {
      write_file_atomically(world.folder / (language + "." + part + ".txt"),
                            invented_text(language, part, part == "train" ? 150 : 30));
    }
    yaml += "  " + language + ": {role: " + (language == "cc" ? "new" : "old") + ", train: [" +
            language + ".train.txt], heldout: [" + language + ".heldout.txt]}\n";
  }
  world.corpus_yaml = world.folder / "corpus.yaml";
  write_file_atomically(world.corpus_yaml, yaml);
  world.corpus = tokenizer::load_corpus(world.corpus_yaml);
}

/// The letters of all invented languages have pieces, as those of Europe's have in released models:
/// the text of one more file, as the trainer of 0.1.97 ends the process over a required character
/// that it never sees.
void train_sentencepiece(const std::vector<fs::path>& texts, const fs::path& folder) {
  fs::create_directories(folder);
  const fs::path letters = folder / "letters.txt";
  write_file_atomically(letters, "b j p q v x y z\n");
  const auto status = sentencepiece::SentencePieceTrainer::Train(
      concat("--input=", texts[0].string(), ",", texts[1].string(), ",", letters.string(),
             " --model_prefix=", (folder / "tokenizer").string(),
             " --model_type=bpe --vocab_size=330 --byte_fallback=true"
             " --character_coverage=1 --minloglevel=2"));
  fs::remove(letters);
  if (!status.ok()) throw std::runtime_error(status.ToString());
  fs::remove(folder / "tokenizer.vocab");
  write_file_atomically(folder / "tokenizer_config.json",
                        R"({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>"})");
}

void write_base(LanguageWorld& world, TokenizerKind kind) {
  world.base = world.folder / "base";
  tokenizer::TrainOptions options;
  options.vocab_size = 300;
  const std::vector<fs::path> texts = {world.folder / "aa.train.txt",
                                       world.folder / "bb.train.txt"};
  if (kind == TokenizerKind::kSentencePiece) {
    train_sentencepiece(texts, world.base);
  } else {
    tokenizer::train_tokenizer(texts, options, world.base);
  }
  TinyModel tiny;
  tiny.vocab_rows = tokenizer::Tokenizer::load(world.base).size();
  write_tiny_base(tiny, world.base);
}

void extend(LanguageWorld& world) {
  std::map<std::string, std::vector<fs::path>> fresh, guard;
  fresh["cc"] = {world.folder / "cc.train.txt"};
  for (const std::string language : {"aa", "bb"}) {
    guard[language] = {world.folder / (language + ".train.txt")};
  }
  tokenizer::ExtendOptions options;
  options.new_tokens = 12;
  world.extended = world.folder / "extended";
  world.extension = tokenizer::extend_tokenizer(world.base, fresh, guard, options, world.extended);
}

}  // namespace

const LanguageWorld& language_world(TokenizerKind kind) {
  static std::map<TokenizerKind, LanguageWorld> worlds;
  const auto [place, is_new] = worlds.try_emplace(kind);
  LanguageWorld& world = place->second;
  if (is_new) {
    write_corpus(world);
    write_base(world, kind);
    extend(world);
  }
  return world;
}

fs::path write_world_base(const std::string& family) {
  const LanguageWorld& world = language_world();
  const fs::path base = world.folder / family;
  fs::copy(world.base, base, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  TinyModel tiny;
  tiny.vocab_rows = tokenizer::Tokenizer::load(world.base).size();
  tiny.family = family;
  tiny.renormalize = false;
  tiny.seed = 17;  // what can be gained depends on the weights: 1 to 89 % for nine seeds
  write_tiny_base(tiny, base);
  return base;
}

expand::ExpansionPlan make_plan(const LanguageWorld& world, const fs::path& base_path) {
  const model::ModelFolder base = model::ModelFolder::open(base_path);
  expand::ProfileOptions options;
  options.tokens_per_language = 1500;
  const expand::Profile profile = expand::profile_folder(base, world.corpus, options);
  expand::PlanRequest request;
  request.language = "cc";
  request.num_tokens = tokenizer::Tokenizer::load(base_path).size();
  request.new_vocab_rows = static_cast<int64_t>(world.extension.tokens.size());
  request.vocabulary.mark_steps = 8;
  request.experts.experts_per_layer = 2;
  request.experts.calibration_new_tokens = 1500;
  request.experts.calibration_old_tokens = 2500;
  expand::ExpansionPlan plan = expand::plan_expansion(base.config, profile, request);
  plan.corpus = world.corpus_yaml.string();
  plan.tokenizer = world.extended.string();
  return plan;
}

}  // namespace polygraft::testing
