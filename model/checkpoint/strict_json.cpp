// model/checkpoint/strict_json.cpp: see strict_json.h. nlohmann keeps the last of two equal keys
// silently, so the keys are watched while parsing.
#include "model/checkpoint/strict_json.h"

#include <set>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "model/checkpoint/quote.h"

namespace polygraft::model {
namespace {

/// The open objects, outermost first, each with the keys it has had so far.
class KeyWatch {
 public:
  KeyWatch(const fs::path& file, int max_depth) : file_(file), max_depth_(max_depth) {}

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start) {
      if (depth >= max_depth_) {
        throw FormatError(file_, concat("JSON is nested deeper than ", max_depth_, " levels"));
      }
    }
    if (event == Json::parse_event_t::object_start) open_.emplace_back();
    if (event == Json::parse_event_t::object_end) open_.pop_back();
    if (event == Json::parse_event_t::key) note(parsed.get_ref<const std::string&>());
    return true;
  }

 private:
  void note(const std::string& key) {
    if (open_.back().insert(key).second) return;
    throw FormatError(file_, concat("the JSON key ", in_quotes(key), " occurs twice"))
        .hint("the file is damaged or was made to mislead; fetch it again from its source");
  }
  const fs::path& file_;
  int max_depth_;
  std::vector<std::set<std::string>> open_;
};

}  // namespace

Json parse_strict_json(std::string_view text, const fs::path& file, int max_depth) {
  KeyWatch watch(file, max_depth);
  try {
    return Json::parse(text.begin(), text.end(), std::ref(watch));
  } catch (const Json::parse_error& error) {
    throw FormatError(file, concat("broken JSON at byte ", error.byte))
        .hint("the file is damaged or truncated; fetch it again from its source");
  } catch (const Json::exception& error) {  // a number that no double holds
    throw FormatError(file, "broken JSON").found(in_quotes(error.what()));
  }
}

}  // namespace polygraft::model
