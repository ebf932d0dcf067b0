// trainer/data/self_text.cpp: see self_text.h.
#include "trainer/data/self_text.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/progress.h"
#include "core/random.h"
#include "core/text.h"
#include "eval/generation.h"
#include "model/checkpoint/tensors_hash.h"
#include "trainer/trainee.h"

namespace polygraft::trainer {
namespace {

using tokenizer::TokenId;
using Tokens = std::vector<TokenId>;

constexpr uint64_t kLargestSeed = uint64_t{1} << 62;
constexpr int64_t kDocumentsAtOnce = 16;   ///< weights are read once a token for all of them
constexpr int kMostBlankDocuments = 1000;  ///< in a row, before the base counts as mute

/// A document that was cut may end within a character, and no reader takes a zero byte, which a
/// byte-level base may write.
std::string readable(std::string text) {
  std::erase(text, '\0');
  while (text.ends_with(kReplacementCharacter))
    text.resize(text.size() - kReplacementCharacter.size());
  return text;
}

/// What the base went on with, and whether it came to an end by itself.
struct Continuation {
  std::string text;
  bool ended = false;
};

/// The base as an author: a few documents at a time.
class Author {
 public:
  Author(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
         const Tokens& end_tokens, const SelfTextOptions& options)
      : transformer_(transformer),
        tokenizer_(tokenizer),
        end_tokens_(end_tokens),
        no_token_(eval::rows_without_token(transformer, tokenizer, model::Mask::all())),
        options_(options),
        seeds_(options.seed, concat("self text ", options.name)) {
    if (!options.chat) return;
    if (const auto end = tokenizer.find(options.chat->end)) chat_end_tokens_.push_back(*end);
    chat_end_tokens_.insert(chat_end_tokens_.end(), end_tokens.begin(), end_tokens.end());
  }

  /// Chats are spread evenly among the documents. Blank ones are "".
  std::vector<std::string> write_documents(int64_t count) {
    int64_t num_chats = 0;
    for (int64_t i = 0; i < count; ++i, ++num_documents_) {
      num_chats += chats_among(num_documents_ + 1) - chats_among(num_documents_);
    }
    std::vector<std::string> documents = write_chats(num_chats);
    for (std::string& text : write_plain(count - num_chats)) documents.push_back(std::move(text));
    return documents;
  }

 private:
  int64_t chats_among(int64_t num_documents) const {
    const double share = options_.chat ? options_.chat_share : 0.0;
    return static_cast<int64_t>(std::floor(share * static_cast<double>(num_documents)));
  }

  std::vector<std::string> write_plain(int64_t count) {
    const std::vector<Tokens> prompts(static_cast<size_t>(count), {tokenizer_.prefix_id()});
    std::vector<std::string> documents;
    for (Continuation& text : continue_texts(prompts, end_tokens_, options_.document_tokens)) {
      documents.push_back(std::move(text.text));
    }
    return documents;
  }

  /// The user's turn takes half of a document at most, so that there is an answer.
  std::vector<std::string> write_chats(int64_t count) {
    if (count == 0) return {};
    const tokenizer::ChatFormat& format = *options_.chat;
    const std::string opening = format.opening(options_.system);
    const std::vector<Tokens> prompts(static_cast<size_t>(count), chat_ids(opening));
    std::vector<std::string> asked;
    std::vector<Tokens> asked_ids;
    for (const Continuation& question :
         continue_texts(prompts, chat_end_tokens_, options_.document_tokens / 2)) {
      if (is_blank(question.text)) continue;
      asked.push_back(format.prompt(options_.system, question.text));
      asked_ids.push_back(chat_ids(asked.back()));
    }
    const std::vector<Continuation> answers =
        continue_texts(asked_ids, chat_end_tokens_, options_.document_tokens / 2);
    std::vector<std::string> chats(static_cast<size_t>(count));
    for (size_t i = 0; i < answers.size(); ++i) {
      if (is_blank(answers[i].text)) continue;
      chats[i] = without_prefix(asked[i] + answers[i].text + (answers[i].ended ? format.end : ""));
    }
    return chats;
  }

  Tokens chat_ids(const std::string& text) const {
    Tokens ids;
    if (options_.chat->starts_with_bos && tokenizer_.bos_id()) ids.push_back(*tokenizer_.bos_id());
    tokenizer_.encode_append(text, ids);
    return ids;
  }

  /// Without the BOS that some formats write out: what stands first in a row is BOS anyway.
  std::string without_prefix(const std::string& text) const {
    const Tokens ids = tokenizer_.encode(text);
    const bool begins_so = !ids.empty() && ids.front() == tokenizer_.prefix_id();
    const std::string prefix = begins_so ? tokenizer_.token_bytes(ids.front()) : std::string();
    return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
  }

  std::vector<Continuation> continue_texts(const std::vector<Tokens>& prompts,
                                           const Tokens& end_tokens, int64_t most_tokens) {
    eval::GenerationOptions sampling;
    sampling.temperature = 1;
    sampling.max_new_tokens = std::max<int64_t>(most_tokens, 1);
    std::vector<eval::GenerationRequest> requests;
    for (const Tokens& prompt : prompts) {
      sampling.seed = static_cast<int64_t>(seeds_.below(kLargestSeed));
      requests.push_back({prompt, sampling});
    }
    std::vector<Continuation> texts;
    const eval::TextRows rows{end_tokens, no_token_};
    for (const eval::Generated& written :
         eval::generate_all(transformer_, requests, rows, model::Mask::all())) {
      texts.push_back({readable(tokenizer_.decode(written.tokens, true)), written.ended});
    }
    return texts;
  }

  const model::Transformer& transformer_;
  const tokenizer::Tokenizer& tokenizer_;
  Tokens end_tokens_, no_token_, chat_end_tokens_;
  SelfTextOptions options_;
  RandomStream seeds_;
  int64_t num_documents_ = 0;
};

Json chat_json(const std::optional<tokenizer::ChatFormat>& chat) {
  if (!chat) return nullptr;
  return {chat->starts_with_bos, chat->before_system, chat->after_system,  chat->before_user,
          chat->after_user,      chat->end,           chat->default_system};
}

/// What the text depends on beside the number of threads.
std::string key_of(const Trainee& trainee, const Tokens& end_tokens,
                   const SelfTextOptions& options) {
  const model::ModelFolder& folder = *trainee.folder;
  const std::string base =
      folder.manifest ? folder.manifest->base_tensors_hash : model::hash_tensors(folder.tensors);
  const Json key = {base,
                    trainee.tokenizer.hash(),
                    trainee.tokenizer.prefix_id(),
                    end_tokens,
                    options.name,
                    options.num_tokens,
                    options.document_tokens,
                    options.seed,
                    chat_json(options.chat),
                    options.chat_share,
                    options.system};
  return sha256(key.dump());
}

/// Written on the CPU, the text is the same wherever the run, or its continuation, trains.
TrainJob for_author(const TrainJob& job) {
  TrainJob on_cpu = job;
  on_cpu.train.device = "cpu";
  return on_cpu;
}

}  // namespace

SelfTextOptions self_text_options(const TrainConfig& train, int64_t seed,
                                  const std::filesystem::path& model_folder) {
  SelfTextOptions options = {.name = {},
                             .num_tokens = train.replay.self_tokens,
                             .document_tokens = train.sequence_length,
                             .seed = static_cast<uint64_t>(seed),
                             .chat_share = train.replay.self_chats,
                             .system = train.replay.self_system};
  if (options.chat_share > 0) options.chat = tokenizer::read_chat_format(model_folder);
  return options;
}

void write_self_text(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                     const std::vector<TokenId>& end_tokens, const SelfTextOptions& options,
                     const std::filesystem::path& file) {
  Author author(transformer, tokenizer, end_tokens, options);
  Progress progress("writing text with the base", static_cast<uint64_t>(options.num_tokens),
                    "tokens");
  std::string lines;
  int num_blank = 0;
  int64_t num_tokens = 0;
  while (num_tokens < options.num_tokens) {
    for (const std::string& text : author.write_documents(kDocumentsAtOnce)) {
      num_blank = is_blank(text) ? num_blank + 1 : 0;
      if (num_blank > 0 || num_tokens >= options.num_tokens) continue;
      lines += Json{{"text", text}}.dump() + "\n";
      num_tokens += static_cast<int64_t>(tokenizer.encode(text).size());
    }
    if (num_blank >= kMostBlankDocuments) {
      throw NumericError("writing text with the base", "it writes nothing")
          .found(concat(num_blank, " empty documents in a row"))
          .hint("give old text of the corpus and leave out train.replay.source");
    }
    progress.set(static_cast<uint64_t>(num_tokens));
  }
  progress.finish();
  write_file_atomically(file, lines);
}

TrainJob with_self_text(const TrainJob& job) {
  if (job.corpus.languages.count(kSelfLanguage) > 0) return job;
  if (job.scratch) {
    throw ConfigError("train.replay.source", "a new model has no base that could write old text")
        .found(job.train.replay.source)
        .hint("leave it out: training from scratch replays nothing");
  }
  const Trainee trainee = load_trainee(for_author(job));
  const Tokens end_tokens = eval::read_end_tokens(job.model, trainee.tokenizer);
  SelfTextOptions options = self_text_options(job.train, job.seed, job.model);
  options.name = "replay";
  const std::string key = key_of(trainee, end_tokens, options).substr(0, 16);
  const std::filesystem::path file = job.run_dir / "data" / concat("self-", key, ".jsonl");
  if (!std::filesystem::exists(file)) {
    create_folders(file.parent_path());
    write_self_text(trainee.transformer, trainee.tokenizer, end_tokens, options, file);
  }
  TrainJob with_text = job;
  with_text.corpus.languages[kSelfLanguage] = {
      .role = "old", .train = {file.string()}, .heldout = {}};
  return with_text;
}

}  // namespace polygraft::trainer
