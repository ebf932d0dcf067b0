// eval/results_writer.cpp: our own measurements in lm-evaluation-harness's files, so that its tools
// read them too. A document's entry in `bits_per_byte` is [log-likelihood, bytes], as lm-eval's
// rolling tasks store it.
#include <cmath>

#include "core/error.h"
#include "core/hash.h"
#include "core/text.h"
#include "eval/results.h"
#include "eval/results_frame.h"

namespace polygraft::eval {
namespace {

void check_score(const std::string& language, const DocumentScore& score) {
  if (std::isfinite(score.nats) && score.num_bytes > 0) return;
  throw NumericError(concat(bpb_task(language), ", document '", score.id, "'"),
                     "its score cannot be used")
      .expected("finite nats and at least one byte")
      .found(concat(score.nats, " nats, ", score.num_bytes, " bytes"));
}

/// Standard error of sum(bits) / sum(bytes), by linearisation over documents (Cochran 1977, ch. 6).
double standard_error(const std::vector<DocumentScore>& scores, double bits_per_byte) {
  const auto n = static_cast<double>(scores.size());
  double squares = 0, bytes = 0;
  for (const DocumentScore& score : scores) {
    const auto num_bytes = static_cast<double>(score.num_bytes);
    const double residual = score.nats / M_LN2 - bits_per_byte * num_bytes;
    squares += residual * residual;
    bytes += num_bytes;
  }
  return std::sqrt(n / (n - 1) * squares) / bytes;
}

OrderedJson sample_json(const DocumentScore& score, int64_t index) {
  const std::string log_likelihood = Json(-score.nats).dump();
  const OrderedJson pair = {-score.nats, score.num_bytes};
  OrderedJson sample;
  sample["doc_id"] = index;
  sample["id"] = score.id;
  sample["doc"] = {{"id", score.id}, {"sha256", score.text_hash}};
  sample["target"] = "";
  sample["arguments"] = OrderedJson::object();
  sample["resps"] = OrderedJson::array({OrderedJson::array({log_likelihood})});
  sample["filtered_resps"] = OrderedJson::array({log_likelihood});
  sample["filter"] = "none";
  sample["metrics"] = {"byte_perplexity", "bits_per_byte"};
  sample["doc_hash"] = score.text_hash;
  sample["prompt_hash"] = score.text_hash;
  sample["target_hash"] = score.text_hash;
  sample["byte_perplexity"] = pair;
  sample["bits_per_byte"] = pair;
  sample["nats"] = score.nats;
  sample["num_bytes"] = score.num_bytes;
  sample["num_tokens"] = score.num_tokens;
  return sample;
}

void write_samples(const std::vector<DocumentScore>& scores, AtomicFile& out) {
  int64_t index = 0;
  for (const DocumentScore& score : scores) out.write(sample_json(score, index++).dump() + "\n");
}

OrderedJson task_metrics(const std::vector<DocumentScore>& scores) {
  const double bpb = bits_per_byte(scores);
  OrderedJson metrics;
  metrics["byte_perplexity,none"] = std::exp2(bpb);
  metrics["byte_perplexity_stderr,none"] = "N/A";
  metrics["bits_per_byte,none"] = bpb;
  metrics["bits_per_byte_stderr,none"] = "N/A";
  if (scores.size() > 1) metrics["bits_per_byte_stderr,none"] = standard_error(scores, bpb);
  return metrics;
}

OrderedJson task_config(const std::string& task) {
  OrderedJson config;
  config["task"] = task;
  config["output_type"] = "loglikelihood_rolling";
  config["metric_list"] = {{{"metric", "byte_perplexity"}}, {{"metric", "bits_per_byte"}}};
  config["num_fewshot"] = 0;
  config["repeats"] = 1;
  config["metadata"] = {{"version", kTaskVersion}};
  return config;
}

/// lm-eval's task hash: over the concatenated hashes of every sample.
std::string task_hash(const std::vector<DocumentScore>& scores) {
  Sha256 hash;
  for (const DocumentScore& score : scores) {
    for (int repeat = 0; repeat < 3; ++repeat) hash.update(score.text_hash);
  }
  return hash.finish();
}

OrderedJson totals(const std::vector<DocumentScore>& scores) {
  double nats = 0;
  int64_t num_bytes = 0, num_tokens = 0;
  for (const DocumentScore& score : scores) {
    nats += score.nats;
    num_bytes += score.num_bytes;
    num_tokens += score.num_tokens;
  }
  return {{"documents", scores.size()},
          {"nats", nats},
          {"num_bytes", num_bytes},
          {"num_tokens", num_tokens}};
}

void add_language(OrderedJson& document, const std::string& language,
                  const std::vector<DocumentScore>& scores) {
  const std::string task = bpb_task(language);
  add_task(document, task, scores.size(), task_metrics(scores),
           {{"byte_perplexity", false}, {"bits_per_byte", false}});
  document["configs"][task] = task_config(task);
  document["task_hashes"][task] = task_hash(scores);
  document["polygraft"]["languages"][language] = totals(scores);
}

void check_result(const BpbResult& result) {
  if (result.languages.empty()) throw ConfigError("languages", "there is nothing to write");
  Problems problems;
  for (const auto& [language, scores] : result.languages) {
    check_name("languages", language, problems);
  }
  problems.throw_if_any("languages");
  for (const auto& [language, scores] : result.languages) {
    if (scores.empty()) throw ConfigError(bpb_task(language), "there is no document");
    for (const DocumentScore& score : scores) check_score(language, score);
  }
}

}  // namespace

std::string bpb_task(const std::string& language) { return concat(kBpbTaskPrefix, language); }

void write_bpb_result(const BpbResult& result, const fs::path& folder) {
  check_result(result);
  OrderedJson document = results_frame(result.model_path, result.model_hash, result.config);
  std::map<std::string, std::function<void(AtomicFile&)>> sample_writers;
  for (const auto& [language, scores] : result.languages) {
    add_language(document, language, scores);
    OrderedJson& stated = document["polygraft"]["languages"][language];
    if (const auto role = result.roles.find(language); role != result.roles.end())
      stated["role"] = role->second;
    if (const auto causes = result.causes.find(language); causes != result.causes.end())
      stated["causes"] = causes->second.to_json();
    sample_writers[bpb_task(language)] = [&scores](AtomicFile& out) { write_samples(scores, out); };
  }
  write_result_folder(folder, document, sample_writers);
}

}  // namespace polygraft::eval
