// trainer/data/training_data.cpp: see training_data.h.
#include "trainer/data/training_data.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "trainer/data/self_text.h"

namespace polygraft::trainer {
namespace {

constexpr int64_t kLargestProbeShare = 10;  ///< at most one tenth of a language's text is held back

std::vector<fs::path> training_files(const tokenizer::Corpus& corpus, const std::string& language) {
  const auto found = corpus.languages.find(language);
  if (found == corpus.languages.end()) {
    std::vector<std::string> known;
    for (const auto& [name, texts] : corpus.languages) known.push_back(name);
    throw ConfigError("languages", concat("the corpus has no language '", language, "'"))
        .expected(concat("one of ", join(known, ", ")));
  }
  if (found->second.train.empty()) {
    throw ConfigError(concat("languages.", language), "has no training files")
        .hint("list them under `train:` in the corpus");
  }
  return {found->second.train.begin(), found->second.train.end()};
}

void require_two(int64_t num_documents, const std::string& language) {
  if (num_documents >= 2) return;
  throw ConfigError(language, "needs at least two training documents: the last is the probe's")
      .found(concat(num_documents));
}

std::vector<tokenizer::Document> documents_from(const std::vector<fs::path>& files, int64_t first) {
  std::vector<tokenizer::Document> documents;
  int64_t index = 0;
  for (const fs::path& file : files) {
    tokenizer::for_each_document(file, [&](tokenizer::Document&& document) {
      if (index++ >= first) documents.push_back(std::move(document));
    });
  }
  return documents;
}

/// @param tokenizer that the shard is of: where each of its tokens has a row, gigabytes of ids need
/// not be looked through.
void require_ids_below(const TokenShard& shard, const tokenizer::Tokenizer& tokenizer,
                       int64_t num_vocab_rows, const std::string& language) {
  if (tokenizer.size() <= num_vocab_rows || shard.num_tokens() == 0) return;
  const int32_t highest = *std::max_element(shard.ids().begin(), shard.ids().end());
  if (highest >= num_vocab_rows) {
    throw ConfigError(language, "the tokenizer yields ids for which the model has no row")
        .expected(concat("ids below ", num_vocab_rows))
        .found(concat(highest))
        .hint("is this the model's own tokenizer?");
  }
}

/// A language's shard, opened once even when it is both replayed and probed.
struct LanguageText {
  TokenShard shard;
  int64_t num_training_documents;
};

/// The first rank reads the text, and encodes it unless that was done; the others, which are told
/// when, map what it has written.
TokenShard shard_of(const fs::path& file, const std::vector<fs::path>& sources,
                    const tokenizer::Tokenizer& tokenizer, const std::string& language,
                    const parallel::Team& team) {
  return team.in_turn([&] {
    if (!team.is_first()) return TokenShard::open(file);
    return open_or_encode_shard(file, sources, tokenizer, concat("encoding ", language));
  });
}

/// As the first rank has read them.
std::vector<tokenizer::Document> probe_documents(const std::vector<fs::path>& files, int64_t first,
                                                 const parallel::Team& team) {
  if (team.is_alone()) return documents_from(files, first);
  Json json = Json::array();
  if (team.is_first()) {
    for (const auto& document : documents_from(files, first)) {
      json.push_back({document.id, document.text});
    }
  }
  json = Json::parse(team.as_first_says(json.dump()));
  std::vector<tokenizer::Document> documents;
  for (const Json& entry : json)
    documents.push_back({entry.at(0).get<std::string>(), entry.at(1).get<std::string>()});
  return documents;
}

void append(std::vector<Row>& rows, const std::vector<Row>& more) {
  rows.insert(rows.end(), more.begin(), more.end());
}

/// `rows`, from the first on again and again, until they are so many tokens.
std::vector<Row> repeated(const std::vector<Row>& rows, int64_t at_least) {
  std::vector<Row> result;
  while (at_least > 0) {
    result.push_back(rows[result.size() % rows.size()]);
    at_least -= static_cast<int64_t>(result.back().size());
  }
  return result;
}

/// The base's own text counts as much as that of all other languages: the rows of what is shorter
/// come again in an epoch.
RowStream make_stream(const std::vector<std::string>& languages,
                      const std::map<std::string, LanguageText>& texts, const TrainJob& job) {
  std::vector<TokenShard> shards;
  std::vector<Row> rows, self_rows;
  for (const std::string& language : languages) {
    const LanguageText& text = texts.at(language);
    append(language == kSelfLanguage ? self_rows : rows,
           cut_rows(text.shard, text.num_training_documents, job.train.sequence_length));
    shards.push_back(text.shard);
  }
  if (!self_rows.empty() && !rows.empty()) {
    const int64_t half = std::max(num_tokens(rows), num_tokens(self_rows));
    rows = repeated(rows, half);
    self_rows = repeated(self_rows, half);
  }
  append(rows, self_rows);
  return {join(languages, "+"), std::move(shards), std::move(rows), job.seed};
}

/// A stream for each language where shares follow the probe, otherwise one of them all.
std::map<std::string, RowStream> replay_streams(const std::vector<std::string>& languages,
                                                const std::map<std::string, LanguageText>& texts,
                                                const TrainJob& job) {
  std::map<std::string, RowStream> streams;
  if (!job.train.replays_by_harm()) {
    streams.emplace(join(languages, "+"), make_stream(languages, texts, job));
    return streams;
  }
  for (const std::string& language : languages) {
    streams.emplace(language, make_stream({language}, texts, job));
  }
  return streams;
}

}  // namespace

std::vector<std::string> LanguageRoles::probed() const {
  std::set<std::string> all(learned.begin(), learned.end());
  all.insert(guarded.begin(), guarded.end());
  return {all.begin(), all.end()};
}

LanguageRoles assign_roles(const TrainJob& job) {
  LanguageRoles roles;
  roles.learned = job.languages;
  if (roles.learned.empty()) {
    roles.learned = job.corpus.with_role(job.train.trainable == "additions" ? "new" : "old");
  }
  std::erase(roles.learned, kSelfLanguage);
  if (roles.learned.empty()) throw ConfigError("languages", "there is no language to learn");
  std::sort(roles.learned.begin(), roles.learned.end());
  if (!job.scratch) {
    for (const std::string& language : job.corpus.with_role("old")) {
      const auto& learned = roles.learned;
      if (std::find(learned.begin(), learned.end(), language) != learned.end()) continue;
      roles.guarded.push_back(language);
    }
    if (job.train.replay.fraction > 0) roles.replayed = roles.guarded;
    if (job.train.replay.source == "self") roles.replayed = {kSelfLanguage};
  }
  if (job.train.budget && roles.guarded.empty() && !job.train.replay.writes_text()) {
    throw ConfigError("train.budget", "there is no old language to hold it against")
        .found("learned: " + join(roles.learned, ", "))
        .hint("list an old language that is not learned, or leave the budget out");
  }
  return roles;
}

LanguageRoles resolve_roles(const TrainJob& job) {
  LanguageRoles roles = assign_roles(job);
  for (const std::string& language : roles.probed()) training_files(job.corpus, language);
  return roles;
}

void require_documents(const tokenizer::Corpus& corpus, const std::vector<std::string>& languages) {
  for (const std::string& language : languages) {
    const auto found = corpus.languages.find(language);
    if (found == corpus.languages.end() || language == kSelfLanguage) continue;
    const auto& train = found->second.train;
    require_two(tokenizer::count_documents({train.begin(), train.end()}, /*most=*/2), language);
  }
}

int64_t num_training_documents(const TokenShard& shard, int64_t probe_bytes,
                               const std::string& language) {
  require_two(shard.num_documents(), language);
  const int64_t wanted = std::min(probe_bytes, shard.text_bytes() / kLargestProbeShare);
  int64_t first_held_back = shard.num_documents() - 1;
  int64_t held_back = shard.document_bytes(first_held_back);
  while (first_held_back > 1 && held_back + shard.document_bytes(first_held_back - 1) <= wanted) {
    held_back += shard.document_bytes(--first_held_back);
  }
  return first_held_back;
}

TrainingData prepare_data(const TrainJob& job, const LanguageRoles& roles,
                          const tokenizer::Tokenizer& tokenizer, int64_t num_vocab_rows,
                          const parallel::Team& team) {
  std::map<std::string, LanguageText> texts;
  std::map<std::string, std::vector<tokenizer::Document>> probe_texts;
  std::map<std::string, std::string> shard_keys;
  for (const std::string& language : roles.probed()) {
    const std::vector<fs::path> files = training_files(job.corpus, language);
    const fs::path file = job.run_dir / "data" / concat(language, ".tokens");
    TokenShard shard = shard_of(file, files, tokenizer, language, team);
    require_ids_below(shard, tokenizer, num_vocab_rows, language);
    const int64_t num_training =
        num_training_documents(shard, job.train.probe.bytes_per_language, language);
    probe_texts[language] = probe_documents(files, num_training, team);
    shard_keys[language] = shard.key();
    texts.emplace(language, LanguageText{std::move(shard), num_training});
  }
  std::optional<ReplayMix> replayed;
  if (!roles.replayed.empty()) replayed.emplace(replay_streams(roles.replayed, texts, job));
  return {make_stream(roles.learned, texts, job), std::move(replayed), std::move(probe_texts),
          std::move(shard_keys)};
}

}  // namespace polygraft::trainer
