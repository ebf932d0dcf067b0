// core/config_tree.cpp: from yaml-cpp's nodes to ours. The only includer of yaml-cpp.
#include "core/config_tree.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "core/error.h"
#include "core/text.h"

namespace polygraft {
namespace {

// Aliases let a few lines of YAML unfold into billions of values ("billion laughs"), or into an
// endless one.
constexpr int kMaxDepth = 64;
constexpr int kMaxValues = 200'000;

class TreeBuilder {
 public:
  TreeBuilder(const ConfigTextName& name, std::vector<std::string>& problems)
      : name_(name), problems_(problems) {}

  ConfigNode build(const YAML::Node& yaml, int depth) {
    ConfigNode node;
    node.location = locate(yaml.Mark());
    if (depth > kMaxDepth || ++num_values_ > kMaxValues) {
      throw ConfigError(node.location, "nested too deeply, or too large once aliases are unfolded")
          .expected(concat("at most ", kMaxDepth, " levels and ", kMaxValues, " values"));
    }
    if (yaml.IsScalar()) {
      node.kind = ConfigNode::Kind::kScalar;
      node.text = text_of(yaml);
      node.quoted = is_quoted(yaml);
    } else if (yaml.IsSequence()) {
      node.kind = ConfigNode::Kind::kSequence;
      for (const auto& element : yaml) node.elements.push_back(build(element, depth + 1));
    } else if (yaml.IsMap()) {
      node.kind = ConfigNode::Kind::kMapping;
      for (const auto& entry : yaml) add_entry(node, entry.first, entry.second, depth);
    }
    return node;
  }

 private:
  std::string locate(const YAML::Mark& mark) const {
    return name_.with_lines ? concat(name_.name, ":", mark.line + 1) : name_.name;
  }

  /// No name and no path may hold a NUL: the system would take what stands before it.
  std::string text_of(const YAML::Node& scalar) {
    const std::string& text = scalar.Scalar();
    if (text.find('\0') != std::string::npos)
      problems_.push_back(concat(locate(scalar.Mark()), ": a text holds a NUL character"));
    return text;
  }

  static bool is_quoted(const YAML::Node& scalar) {
    return scalar.Tag() == "!" || scalar.Tag() == "tag:yaml.org,2002:str";
  }

  void add_entry(ConfigNode& node, const YAML::Node& key, const YAML::Node& value, int depth) {
    const std::string location = locate(key.Mark());
    if (!key.IsScalar()) {
      problems_.push_back(concat(location, ": a key must be a plain name"));
      return;
    }
    const std::string name = text_of(key);
    if (name == "<<" && !is_quoted(key)) {
      problems_.push_back(concat(location, ": merge keys ('<<') are not supported; write out what ",
                                 "they stand for"));
      return;
    }
    if (const ConfigNode::Entry* first = node.find(name)) {
      problems_.push_back(
          concat(location, ": duplicate key '", name, "'; first seen at ", first->location));
      return;
    }
    node.entries.push_back({name, location, build(value, depth + 1)});
  }

  const ConfigTextName& name_;
  std::vector<std::string>& problems_;
  int num_values_ = 0;
};

void refuse_invalid_utf8(const std::string& yaml, const ConfigTextName& name) {
  const size_t invalid = find_invalid_utf8(yaml);
  if (invalid == std::string::npos) return;
  const auto line =
      1 + std::count(yaml.begin(), yaml.begin() + static_cast<std::ptrdiff_t>(invalid), '\n');
  throw ConfigError(name.with_lines ? concat(name.name, ":", line) : name.name, "not valid UTF-8")
      .found(concat("an invalid sequence at byte ", invalid));
}

}  // namespace

const ConfigNode::Entry* ConfigNode::find(const std::string& key) const {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  return found == entries.end() ? nullptr : &*found;
}

ConfigNode::Entry* ConfigNode::find(const std::string& key) {
  return const_cast<Entry*>(std::as_const(*this).find(key));
}

std::string ConfigNode::describe() const {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kSequence:
      return "a list";
    case Kind::kMapping:
      return "a mapping";
    case Kind::kScalar:
      break;
  }
  return concat(quoted ? "the quoted text '" : "'", text, "'");
}

ConfigNode parse_config_tree(const std::string& yaml, const ConfigTextName& name,
                             std::vector<std::string>& problems) {
  refuse_invalid_utf8(yaml, name);
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(yaml);
    if (documents.size() > 1) {
      throw ConfigError(name.name, "holds more than one YAML document")
          .found(concat(documents.size(), " documents, separated by '---'"));
    }
    if (!documents.empty()) return TreeBuilder(name, problems).build(documents[0], 0);
  } catch (const YAML::Exception& error) {
    const std::string where =
        name.with_lines ? concat(name.name, ":", error.mark.line + 1, ":", error.mark.column + 1)
                        : name.name;
    throw ConfigError(where, "not valid YAML: " + error.msg);
  }
  ConfigNode empty;
  empty.location = name.with_lines ? name.name + ":1" : name.name;
  return empty;
}

}  // namespace polygraft
