// eval/results_frame.cpp: see results_frame.h.
#include "eval/results_frame.h"

#include <algorithm>
#include <ctime>

#include "core/error.h"
#include "core/text.h"
#include "eval/results.h"

namespace polygraft::eval {
namespace {

/// A model's path as a folder name, as lm-eval makes it.
std::string sanitized(const std::string& name) {
  std::string out;
  bool in_run = false;
  for (const char c : name) {
    const bool reserved = std::string_view("\"<>:/|\\?*[]").find(c) != std::string_view::npos;
    if (reserved && !in_run) out += "__";
    if (!reserved) out += c;
    in_run = reserved;
  }
  return out;
}

}  // namespace

OrderedJson results_frame(const std::string& path, const std::string& model_hash,
                          const OrderedJson& config) {
  const std::string model_path = valid_utf8(path);
  OrderedJson document;
  for (const char* key : {"results", "group_subtasks", "configs", "versions", "n-shot",
                          "higher_is_better", "n-samples"}) {
    document[key] = OrderedJson::object();  // fixes the order of keys to lm-eval's
  }
  document["config"] = {{"model", "polygraft"},
                        {"model_args", {{"pretrained", model_path}}},
                        {"model_sha", model_hash}};
  document["date"] = static_cast<int64_t>(std::time(nullptr));
  document["task_hashes"] = OrderedJson::object();
  document["model_source"] = "polygraft";
  document["model_name"] = model_path;
  document["model_name_sanitized"] = sanitized(model_path);
  document["polygraft"] = {{"model_hash", model_hash}, {"config", config}};
  return document;
}

void add_task(OrderedJson& document, const std::string& task, size_t num_samples,
              const OrderedJson& metrics, const OrderedJson& higher_is_better) {
  OrderedJson& entry = document["results"][task];
  entry["name"] = task;
  entry["alias"] = task;
  entry["sample_len"] = num_samples;
  entry.update(metrics);
  document["versions"][task] = kTaskVersion;
  document["n-shot"][task] = 0;
  document["higher_is_better"][task] = higher_is_better;
  document["n-samples"][task] = {{"original", num_samples}, {"effective", num_samples}};
}

void write_result_folder(
    const fs::path& folder, const OrderedJson& document,
    const std::map<std::string, std::function<void(AtomicFile&)>>& sample_writers) {
  create_folders(folder);
  if (!fs::is_empty(folder)) refuse_existing_output(folder, /*force=*/false);
  const std::string time = iso_time_for_file_name();
  for (const auto& [task, write_samples] : sample_writers) {
    AtomicFile samples(folder / concat("samples_", task, "_", time, ".jsonl"));
    write_samples(samples);
    samples.commit();
  }
  write_json(folder / concat("results_", time, ".json"), document);
}

void check_name(const std::string& key, const std::string& name, Problems& problems) {
  const bool printable = std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == '/' || c == '\\' || c == 0x7f;
  });
  const bool is_utf8 = find_invalid_utf8(name) == std::string::npos;
  if (printable && is_utf8 && !name.empty() && name.size() <= 64) return;
  problems.add(
      concat(key, ": '", name,
             "' cannot be part of a file name: take 1 to 64 bytes of UTF-8 without slashes "
             "or control characters, for instance 'pt-BR'"));
}

}  // namespace polygraft::eval
