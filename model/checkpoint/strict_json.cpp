// model/checkpoint/strict_json.cpp: see strict_json.h. nlohmann keeps the last of two equal keys
// silently, so a first pass watches the keys and a second one builds the value. (One pass with a
// parser callback would do, but nlohmann 3.11 then searches the whole parent after every child:
// some 14 s of processor time for the 19,742 tensors of a fine-grained model, against under half a
// second for everything that opening it takes.)
#include "model/checkpoint/strict_json.h"

#include <string>
#include <unordered_set>
#include <vector>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "model/checkpoint/quote.h"

namespace polygraft::model {
namespace {

/// Follows the parser's events without building anything; throws at the first thing that must not
/// be.
class KeyWatch : public nlohmann::json_sax<Json> {
 public:
  KeyWatch(const fs::path& file, int max_depth) : file_(file), max_depth_(max_depth) {}

  bool start_object(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    if (keys_.back().insert(name).second) return true;
    throw FormatError(file_, concat("the JSON key ", in_quotes(name), " occurs twice"))
        .hint("the file is damaged or was made to mislead; fetch it again from its source");
  }

  /// @param byte from one.
  [[noreturn]] void throw_broken(size_t byte) const {
    throw FormatError(file_, concat("broken JSON at byte ", byte))
        .hint("the file is damaged or truncated; fetch it again from its source");
  }
  bool parse_error(size_t byte, const std::string&, const Json::exception&) override {
    throw_broken(byte);
  }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }

 private:
  bool open() {
    if (keys_.size() == static_cast<size_t>(max_depth_)) {
      throw FormatError(file_, concat("JSON is nested deeper than ", max_depth_, " levels"));
    }
    keys_.emplace_back();
    return true;
  }
  bool close() {
    keys_.pop_back();
    return true;
  }
  const fs::path& file_;
  int max_depth_;
  std::vector<std::unordered_set<std::string>> keys_;  // of each open container; an array has none
};

}  // namespace

Json parse_strict_json(std::string_view text, const fs::path& file, int max_depth) {
  // nlohmann's lexer takes a zero byte for the end of its input.
  KeyWatch watch(file, max_depth);
  if (const size_t zero = text.find('\0'); zero != text.npos) watch.throw_broken(zero + 1);
  Json::sax_parse(text.begin(), text.end(), &watch);
  return Json::parse(text.begin(), text.end());
}

}  // namespace polygraft::model
