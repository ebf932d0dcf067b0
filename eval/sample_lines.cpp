// eval/sample_lines.cpp: the file is read in blocks that end with a line, so that memory does not
// grow with its size. simdjson (Langdale & Lemire 2019) parses and validates each line.
#include "eval/sample_lines.h"

#include <simdjson.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <fstream>
#include <limits>
#include <memory>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/text.h"

namespace polygraft::eval {
namespace {

using simdjson::dom::element;
using Filters = std::map<std::string, TaskSamples>;

constexpr size_t kBlockBytes = size_t{4} << 20;

/// What every line is read with.
struct Source {
  std::filesystem::path file;
  std::string document_field;
};

/// Whole lines, from line `first_line` of the file on, with simdjson's padding behind them.
struct Block {
  std::string text;
  size_t num_bytes = 0;
  uint32_t first_line = 1;
};

NotComparable broken(const Source& source, uint32_t line, const std::string& problem) {
  return {concat(source.file.string(), ":", line), problem};
}

/// A text as it is, anything else as JSON.
std::string plain_text(element value) {
  std::string_view text;
  return value.get(text) ? simdjson::minify(value) : std::string(text);
}

/// One block's lines into samples.
class LineParser {
 public:
  LineParser(const Source& source, Filters& out) : source_(source), out_(out) {}

  void parse(const char* text, size_t num_bytes, uint32_t line) {
    line_ = line;
    element sample;
    const auto error = parser_.parse(text, num_bytes, /*realloc_if_needed=*/false).get(sample);
    if (error) refuse({text, num_bytes}, simdjson::error_message(error));
    if (!sample.is_object()) throw broken(source_, line_, "a sample must be a JSON object");
    read(sample);
  }

 private:
  [[noreturn]] void refuse(std::string_view text, const std::string& problem) const;
  void read(element sample);
  std::string_view text_or(element object, const char* key, std::string_view fallback) const;
  std::string doc_id(element sample) const;
  uint64_t document(element sample, const Sample& read) const;
  void read_metrics(element sample, TaskSamples& task, Sample& out) const;
  void read_metric(element value, const std::string& name, TaskSamples& task, Sample& out) const;
  double number(element value, const std::string& name) const;

  const Source& source_;
  Filters& out_;
  simdjson::dom::parser parser_;
  uint32_t line_ = 0;
};

/// Python writes NaN and Infinity as bare words, which JSON does not have.
bool holds_python_non_finite(std::string_view line) {
  for (const char* start : {": ", "[", ", ", ": -", "[-", ", -"}) {
    for (const char* word : {"NaN", "Infinity"}) {
      if (line.find(concat(start, word)) != std::string_view::npos) return true;
    }
  }
  return false;
}

void LineParser::refuse(std::string_view text, const std::string& problem) const {
  if (holds_python_non_finite(text)) {
    throw broken(source_, line_, "a score is not finite")
        .expected("finite numbers")
        .found("NaN or Infinity")
        .hint("the evaluation that wrote it met a numeric error; run it again");
  }
  throw broken(source_, line_, "the line is no whole JSON object")
      .found(concat(problem, " at ", printable(text)))
      .hint("the file may have been cut; copy it again or evaluate again");
}

std::string_view LineParser::text_or(element object, const char* key,
                                     std::string_view fallback) const {
  element value;
  if (object[key].get(value) || value.is_null()) return fallback;
  std::string_view text;
  if (value.get(text)) throw broken(source_, line_, concat("'", key, "' is no text"));
  return text;
}

std::string LineParser::doc_id(element sample) const {
  element id;
  if (sample["doc_id"].get(id)) throw broken(source_, line_, "key 'doc_id' is missing");
  return plain_text(id);
}

uint64_t LineParser::document(element sample, const Sample& read) const {
  element value;
  if (!sample["doc"][source_.document_field].get(value) && !value.is_null()) {
    return name_fingerprint(plain_text(value));
  }
  return read.doc_hash != 0 ? read.doc_hash : name_fingerprint(read.doc_id);
}

void LineParser::read(element sample) {
  TaskSamples& task = out_[std::string(text_or(sample, "filter", "none"))];
  Sample out;
  out.doc_id = doc_id(sample);
  out.doc_hash = fingerprint(text_or(sample, "doc_hash", ""));
  out.prompt_hash = fingerprint(text_or(sample, "prompt_hash", ""));
  out.target_hash = fingerprint(text_or(sample, "target_hash", ""));
  out.document = document(sample, out);
  out.line = line_;
  read_metrics(sample, task, out);
  task.samples.push_back(std::move(out));
}

void LineParser::read_metrics(element sample, TaskSamples& task, Sample& out) const {
  element names;
  if (sample["metrics"].get(names) || names.is_null()) return;
  simdjson::dom::array list;
  if (names.get(list)) throw broken(source_, line_, "'metrics' is no list of names");
  for (const element name : list) {
    std::string_view text;
    if (name.get(text)) throw broken(source_, line_, "'metrics' is no list of names");
    const std::string metric(text);
    element value;
    if (sample[metric].get(value))
      throw broken(source_, line_, concat("metric '", metric, "' is listed but missing"));
    read_metric(value, metric, task, out);
  }
}

void set_value(TaskSamples& task, Sample& out, const std::string& metric, double value) {
  auto index = static_cast<size_t>(task.metric_index(metric));
  if (index >= task.metrics.size()) {
    index = task.metrics.size();
    task.metrics.push_back(metric);
  }
  if (index >= out.values.size())
    out.values.resize(task.metrics.size(), std::numeric_limits<double>::quiet_NaN());
  out.values[index] = value;
}

double LineParser::number(element value, const std::string& name) const {
  double number = 0;
  if (!value.get(number)) return number;
  throw broken(source_, line_, concat("'", name, "' is no finite number"))
      .found(printable(simdjson::minify(value)));
}

void LineParser::read_metric(element value, const std::string& name, TaskSamples& task,
                             Sample& out) const {
  bool truth = false;
  if (!value.get(truth)) return set_value(task, out, name, truth ? 1 : 0);
  if (value.is_number() || value.is_null()) return set_value(task, out, name, number(value, name));
  simdjson::dom::array pair;  // other shapes (texts, BLEU's references) are not compared
  if ((name != "bits_per_byte" && name != "byte_perplexity") || value.get(pair)) return;
  element nats, bytes;
  if (pair.size() != 2 || pair.at(0).get(nats) || pair.at(1).get(bytes)) return;
  // Rolling tasks store [log-likelihood, bytes]; the two metrics that carry bytes give the same.
  const double num_bytes = number(bytes, name);
  if (num_bytes <= 0) {
    throw broken(source_, line_, concat("'", name, "' counts no bytes"))
        .found(simdjson::minify(value));
  }
  set_value(task, out, "nats", -number(nats, name));
  set_value(task, out, "num_bytes", num_bytes);
}

Filters parse_block(const Source& source, const Block& block) {
  Filters out;
  LineParser parser(source, out);
  std::string_view rest(block.text.data(), block.num_bytes);
  if (block.first_line == 1) rest = without_byte_order_mark(rest);
  for (uint32_t line = block.first_line; !rest.empty(); ++line) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (!is_blank(rest.substr(0, end))) parser.parse(rest.data(), end, line);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

/// Cuts a file into blocks of whole lines.
class BlockReader {
 public:
  explicit BlockReader(const Source& source)
      : file_(source.file), stream_(source.file, std::ios::binary) {
    if (!stream_) throw IoError(source.file, "cannot be read");
  }

  /// The next lines, or an empty block at the end.
  Block next() {
    Block block;
    block.first_line = next_line_;
    block.text = std::move(carried_);
    carried_.clear();
    size_t end = 0;
    do {  // a line longer than a block makes the block longer
      const size_t before = block.text.size();
      block.text.resize(before + kBlockBytes);
      stream_.read(block.text.data() + before, static_cast<std::streamsize>(kBlockBytes));
      block.text.resize(before + static_cast<size_t>(stream_.gcount()));
      end = stream_ ? block.text.rfind('\n') + 1 : block.text.size();
    } while (end == 0 && stream_);
    if (stream_.bad()) throw IoError(file_, "cannot be read to its end");
    carried_.assign(block.text, end);
    block.num_bytes = end;
    next_line_ += static_cast<uint32_t>(
        std::count(block.text.begin(), block.text.begin() + static_cast<ptrdiff_t>(end), '\n'));
    block.text.resize(end + simdjson::SIMDJSON_PADDING);
    return block;
  }

 private:
  fs::path file_;
  std::ifstream stream_;
  std::string carried_;  // the beginning of a line that the next block ends
  uint32_t next_line_ = 1;
};

/// Values in the order of `to`, which grows by the metrics it lacks.
void add_samples(TaskSamples&& from, TaskSamples& to) {
  if (to.metrics.empty()) to.metrics = from.metrics;
  const bool same_order = to.metrics == from.metrics;
  for (Sample& sample : from.samples) {
    if (!same_order) {
      const std::vector<double> values = std::exchange(sample.values, {});
      for (size_t i = 0; i < values.size(); ++i)
        if (!std::isnan(values[i])) set_value(to, sample, from.metrics[i], values[i]);
    }
    to.samples.push_back(std::move(sample));
  }
}

void sort_samples(const Source& source, TaskSamples& task) {
  const auto less = [](const Sample& a, const Sample& b) {
    return doc_id_less(a.doc_id, b.doc_id) || (a.doc_id == b.doc_id && a.line < b.line);
  };
  auto& samples = task.samples;
  if (!std::is_sorted(samples.begin(), samples.end(), less))
    std::sort(samples.begin(), samples.end(), less);
  const auto twice =
      std::adjacent_find(samples.begin(), samples.end(),
                         [](const Sample& a, const Sample& b) { return a.doc_id == b.doc_id; });
  if (twice != samples.end()) {
    throw broken(source, std::next(twice)->line,
                 concat("document ", twice->doc_id, " is listed twice"))
        .found(concat("the first time in line ", twice->line))
        .hint("two runs may have been written into one file; evaluate again into an empty folder");
  }
  for (Sample& sample : samples)  // lines before a metric's first appearance lack it
    sample.values.resize(task.metrics.size(), std::numeric_limits<double>::quiet_NaN());
}

}  // namespace

std::map<std::string, TaskSamples> read_sample_lines(const std::filesystem::path& file,
                                                     const std::string& document_field) {
  const Source source{file, document_field};
  BlockReader reader(source);
  std::deque<Filters> blocks;  // one for each block, in the file's order; never moved
  parallel_tasks(0, [&]() -> Task {
    auto block = std::make_shared<Block>(reader.next());
    if (block->num_bytes == 0) return {};
    Filters& out = blocks.emplace_back();
    return [&source, &out, block](size_t) { out = parse_block(source, *block); };
  });
  Filters out;
  for (Filters& block : blocks) {
    for (auto& [filter, task] : block) add_samples(std::move(task), out[filter]);
    block.clear();
  }
  for (auto& [filter, task] : out) sort_samples(source, task);
  return out;
}

}  // namespace polygraft::eval
