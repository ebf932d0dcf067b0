// eval/sources.cpp: see sources.h.
#include "eval/sources.h"

#include "core/hash.h"
#include "core/json.h"
#include "core/text.h"
#include "eval/compare.h"
#include "eval/number_text.h"
#include "eval/report.h"
#include "eval/results.h"

namespace polygraft::eval {
namespace {

/// "" when there is no text at `pointer`.
std::string stated_text(const OrderedJson& results, const char* pointer) {
  const OrderedJson::json_pointer where(pointer);
  return results.contains(where) && results[where].is_string() ? results[where].get<std::string>()
                                                               : "";
}

/// lm-evaluation-harness writes seconds, in some versions with a fraction.
int64_t stated_date(const OrderedJson& results) {
  constexpr double kYear9999 = 253402300799;
  const auto date = results.find("date");
  const bool stated = date != results.end() && date->is_number();
  const double seconds = stated ? date->get<double>() : 0;
  return seconds > 0 && seconds <= kYear9999 ? static_cast<int64_t>(seconds) : 0;
}

std::string stated_program(const OrderedJson& results) {
  const std::string ours = stated_text(results, "/polygraft/config/polygraft_version");
  if (!ours.empty()) return "polygraft " + ours;
  const std::string theirs = stated_text(results, "/lm_eval_version");
  return theirs.empty() ? "" : "lm-evaluation-harness " + theirs;
}

/// In the tasks' order, which is the writer's.
std::string stated_texts_hash(const OrderedJson& results) {
  const auto hashes = results.find("task_hashes");
  if (hashes == results.end() || !hashes->is_object() || hashes->empty()) return "";
  return sha256(Json::parse(hashes->dump()).dump());
}

/// "id (1f..), pt (2e..)". The hash of the model's tensors covers packs, and does not name them.
std::string stated_packs(const OrderedJson& results) {
  const OrderedJson::json_pointer where("/polygraft/config/packs");
  if (!results.contains(where) || !results[where].is_array()) return "";
  std::vector<std::string> packs;
  for (const OrderedJson& pack : results[where])
    packs.push_back(
        concat(stated_text(pack, "/folder"), " (", stated_text(pack, "/additions_hash"), ")"));
  return join(packs, ", ");
}

std::string file_names(const ResultFolder& folder) {
  std::vector<std::string> names;
  for (const ResultsFile& file : folder.files) names.push_back(file.path.filename().string());
  return join(names, ", ");
}

/// "2026-11-22 18:03 UTC"
std::string date_text(int64_t seconds) {
  return seconds == 0 ? "" : utc_text("%Y-%m-%d %H:%M UTC", seconds);
}

}  // namespace

ResultSource source_of(const ResultFolder& folder) {
  const OrderedJson& results = folder.results;
  return {.model = stated_text(results, "/model_name"),
          .model_hash = stated_text(results, "/polygraft/model_hash"),
          .tokenizer_hash = stated_text(results, "/polygraft/config/tokenizer_hash"),
          .texts_hash = stated_texts_hash(results),
          .packs = stated_packs(results),
          .mask = stated_text(results, "/polygraft/config/mask"),
          .program = stated_program(results),
          .kernels = stated_text(results, "/polygraft/config/kernels"),
          .files = file_names(folder),
          .date = stated_date(results)};
}

std::string model_difference(const OrderedJson& one, const OrderedJson& other) {
  struct Mark {
    const char* pointer;
    const char* name;
    bool settles;  ///< where both state it, no other mark is asked
  };
  constexpr Mark kMarks[] = {{"/polygraft/config/mask", "additions left out", false},
                             {"/polygraft/model_hash", "tensors", true},
                             {"/config/model_sha", "revision", true},
                             {"/config/model_revision", "revision", false},
                             {"/model_name", "model", true}};
  for (const auto& [pointer, name, settles] : kMarks) {
    const std::string a = stated_text(one, pointer), b = stated_text(other, pointer);
    if (a.empty() || b.empty()) continue;
    if (a != b) return concat(name, ": '", a, "' and '", b, "'");
    if (settles) return "";
  }
  return "";
}

Json ResultSource::to_json() const {
  return {{"model_hash", model_hash}, {"tokenizer_hash", tokenizer_hash},
          {"texts_hash", texts_hash}, {"mask", mask},
          {"program", program},       {"kernels", kernels}};
}

Table sources_table(const Comparison& comparison) {
  Table table{
      .title = "What was compared", .header = {"what", "baseline", "candidate"}, .rows = {}};
  const ResultSource &before = comparison.baseline, &after = comparison.candidate;
  const auto add = [&](const char* what, const std::string& baseline,
                       const std::string& candidate) {
    if (!baseline.empty() || !candidate.empty()) table.rows.push_back({what, baseline, candidate});
  };
  add("model", before.model, after.model);
  add("tensors (SHA-256)", before.model_hash, after.model_hash);
  add("packs put on (SHA-256 of their additions)", before.packs, after.packs);
  add("additions left out", before.mask, after.mask);
  add("tokenizer (SHA-256)", before.tokenizer_hash, after.tokenizer_hash);
  add("texts of all tasks (SHA-256)", before.texts_hash, after.texts_hash);
  add("evaluated by", before.program, after.program);
  add("kernels", before.kernels, after.kernels);
  add("results", before.files, after.files);
  add("evaluated on", date_text(before.date), date_text(after.date));
  return table;
}

}  // namespace polygraft::eval
