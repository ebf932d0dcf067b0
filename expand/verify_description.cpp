// expand/verify_description.cpp: config.json, polygraft.json and the tokenizer of an expanded
// model against its base's.
#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/text.h"
#include "expand/merge_list.h"
#include "expand/packs/base_snapshot.h"
#include "expand/verify_parts.h"
#include "tokenizer/sentencepiece_growth.h"
#include "tokenizer/tokenizer_file.h"

namespace polygraft::expand {

namespace {

using model::ModelFolder;

/// The keys of both objects, but for `except`, whose values differ.
std::vector<std::string> differing_keys(const Json& a, const Json& b,
                                        const std::set<std::string>& except) {
  std::set<std::string> keys;
  for (const Json* object : {&a, &b}) {
    for (const auto& [key, value] : object->items()) keys.insert(key);
  }
  std::vector<std::string> differing;
  for (const std::string& key : keys) {
    if (except.count(key) != 0) continue;
    if (!a.contains(key) || !b.contains(key) || a[key] != b[key]) differing.push_back(key);
  }
  return differing;
}

std::string value_text(const Json& object, const std::string& key) {
  return object.contains(key) ? object[key].dump().substr(0, 60) : "nothing";
}

void verify_config(const ModelFolder& base, const ModelFolder& expanded, VerifyReport& report) {
  const Json before = *base.config_json, after = *expanded.config_json;
  const auto differing = differing_keys(
      before, after, {"num_experts", "num_local_experts", "vocab_size", "tie_word_embeddings"});
  for (const std::string& key : differing) {
    add_difference(report, "config.json",
                   concat("key '", key, "': base has ", value_text(before, key),
                          ", expanded model ", value_text(after, key)));
  }
}

void verify_count(const std::string& what, int64_t manifest, int64_t base, VerifyReport& report) {
  if (manifest == base) return;
  add_difference(report, model::kManifestFile,
                 concat(what, ": the manifest says ", manifest, ", the base has ", base));
}

/// Without it the additions cannot be taken off again.
void verify_snapshot(const ModelFolder& expanded, VerifyReport& report) {
  try {
    BaseSnapshot::open(expanded.path);
  } catch (const Error& error) {
    add_difference(report, kBaseFolder, error.what());
  }
}

void verify_manifest(const ModelFolder& base, const std::string& base_hash,
                     const ModelFolder& expanded, VerifyReport& report) {
  if (!expanded.manifest) {
    const bool grown = expanded.config.num_experts != base.config.num_experts ||
                       expanded.config.vocab_rows != base.config.vocab_rows;
    if (grown) {
      add_difference(report, model::kManifestFile,
                     "missing, though the model has more rows than the base");
    }
    return;
  }
  const model::Manifest& manifest = *expanded.manifest;
  verify_count("base_num_experts", manifest.base_num_experts, base.config.num_experts, report);
  verify_count("base_vocab_rows", manifest.base_vocab_rows, base.config.vocab_rows, report);
  if (manifest.base_tied_embeddings != base.config.tied_embeddings) {
    add_difference(report, model::kManifestFile,
                   concat("base_tied_embeddings is ", manifest.base_tied_embeddings,
                          ", the base's output rows say otherwise"));
  }
  verify_snapshot(expanded, report);
  if (manifest.base_tensors_hash != base_hash) {
    add_difference(
        report, model::kManifestFile,
        concat("base_tensors_hash is ", manifest.base_tensors_hash, ", the base's is ", base_hash));
  }
}

}  // namespace

void verify_description(const ModelFolder& base, const std::string& base_hash,
                        const ModelFolder& expanded, VerifyReport& report) {
  verify_config(base, expanded, report);
  verify_manifest(base, base_hash, expanded, report);
}

namespace {

constexpr const char* kTokenizerFile = "tokenizer.json";
constexpr const char* kModelFile = "tokenizer.model";

void verify_vocabulary(const Json& before, const Json& after, VerifyReport& report) {
  for (const auto& [token, id] : before.items()) {
    if (after.contains(token) && after[token] == id) continue;
    add_difference(
        report, kTokenizerFile,
        concat("token '", token, "' had id ", id.dump(), ", has ", value_text(after, token)));
  }
}

void verify_merges(const std::vector<MergePair>& before, const std::vector<MergePair>& after,
                   VerifyReport& report) {
  for (size_t rank = 0; rank < before.size(); ++rank) {
    if (rank < after.size() && after[rank] == before[rank]) continue;
    add_difference(
        report, kTokenizerFile,
        concat("merge '", before[rank].first, " ", before[rank].second, "' lost its rank ", rank));
    return;  // the ones after it have all moved
  }
}

void verify_added_tokens(const Json& before, const Json& after, VerifyReport& report) {
  for (const Json& token : before) {
    if (std::find(after.begin(), after.end(), token) == after.end()) {
      add_difference(report, kTokenizerFile, "added token changed: " + token.dump());
    }
  }
}

}  // namespace

namespace {

void verify_tokenizer_json(const std::filesystem::path& old_file,
                           const std::filesystem::path& new_file, VerifyReport& report) {
  const Json before = read_json(old_file), after = read_json(new_file);
  const Json old_model = json_get<Json>(before, "model", old_file);
  const Json new_model = json_get<Json>(after, "model", new_file);
  verify_vocabulary(json_get<Json>(old_model, "vocab", old_file),
                    json_get<Json>(new_model, "vocab", new_file), report);
  verify_merges(read_merges(before, old_file), read_merges(after, new_file), report);
  verify_added_tokens(before.value("added_tokens", Json::array()),
                      after.value("added_tokens", Json::array()), report);
  const auto note = [&](const std::string& path) {
    add_difference(report, kTokenizerFile, "'" + path + "' differs from the base's");
  };
  // Truncation and padding are settings of a call, not of the segmentation.
  for (const std::string& key :
       differing_keys(before, after, {"model", "added_tokens", "truncation", "padding"})) {
    note(key);
  }
  for (const std::string& key : differing_keys(old_model, new_model, {"vocab", "merges"})) {
    note("model." + key);
  }
}

void verify_tokenizer_model(const std::filesystem::path& old_file,
                            const std::filesystem::path& new_file, VerifyReport& report) {
  try {
    tokenizer::added_pieces(read_file(old_file), read_file(new_file), new_file);
  } catch (const FormatError& error) {
    add_difference(report, kModelFile, error.what());
  }
}

/// A pack of another tokenizer would be refused by its own base.
void verify_tokenizer_hash(const ModelFolder& base, const ModelFolder& expanded,
                           VerifyReport& report) {
  if (!expanded.manifest) return;
  const std::string& noted = expanded.manifest->base_tokenizer_hash;
  const std::string hash = sha256_file(tokenizer::tokenizer_file_of(base.path));
  if (noted == hash) return;
  add_difference(report, model::kManifestFile,
                 concat("base_tokenizer_hash is ", noted, ", the base's is ", hash));
}

}  // namespace

void verify_tokenizer(const ModelFolder& base, const ModelFolder& expanded, VerifyReport& report) {
  bool has_one = false;
  for (const char* name : {kTokenizerFile, kModelFile}) {
    const auto old_file = base.path / name, new_file = expanded.path / name;
    const bool had_one = std::filesystem::exists(old_file);
    if (had_one != std::filesystem::exists(new_file)) {
      add_difference(report, name, "one of the two models has none");
    } else if (had_one) {
      (name == kModelFile ? verify_tokenizer_model : verify_tokenizer_json)(old_file, new_file,
                                                                            report);
      has_one = true;
    }
  }
  if (has_one) verify_tokenizer_hash(base, expanded, report);
}

}  // namespace polygraft::expand
