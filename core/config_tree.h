// core/config_tree.h: YAML as a plain tree of values that know where they were written. Private to
// core's config files. yaml-cpp's own nodes are not used beyond loading: they keep duplicate keys
// silently, and forget where an override came from.
#pragma once
#include <string>
#include <vector>

namespace polygraft {

struct ConfigNode {
  enum class Kind { kNull, kScalar, kSequence, kMapping };
  struct Entry;

  Kind kind = Kind::kNull;
  std::string location;  ///< "pipeline.yaml:7" or "--set train.tokens=5"
  std::string text;      ///< of a scalar
  bool quoted = false;   ///< a scalar in quotes is text, whatever it looks like
  std::vector<ConfigNode> elements;
  std::vector<Entry> entries;

  const Entry* find(const std::string& key) const;
  Entry* find(const std::string& key);
  std::string describe() const;  ///< for error messages: "'abc'", "a list", "nothing"
};

struct ConfigNode::Entry {
  std::string key;
  std::string location;
  ConfigNode value;
};

/// What locations within a text are called: "NAME:LINE", or NAME alone for one-line sources such as
/// --set.
struct ConfigTextName {
  std::string name;
  bool with_lines;
};

/// Parses one YAML document. Duplicate keys are noted in `problems`; the first one counts.
/// @throws ConfigError for text that is no YAML, holds several documents, or unfolds beyond any
/// sensible size.
ConfigNode parse_config_tree(const std::string& yaml, const ConfigTextName& name,
                             std::vector<std::string>& problems);

}  // namespace polygraft
