// core/config_reader.cpp: one mapping of the tree being read into the fields of one struct.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "core/config.h"
#include "core/config_document.h"
#include "core/text.h"

namespace polygraft {
namespace {

using Kind = ConfigNode::Kind;

/// The whole of `text` as a number in plain notation; a leading '+' is allowed, as in YAML.
template <class Number>
bool parse_number(std::string_view text, Number& value) {
  if (text.starts_with("+-")) return false;
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

bool parse(const ConfigNode& node, double& value) {
  if (node.kind != Kind::kScalar || node.quoted) return false;
  std::string_view magnitude = node.text;
  const bool negative = magnitude.starts_with('-');
  if (negative || magnitude.starts_with('+')) magnitude.remove_prefix(1);
  if (magnitude == ".inf" || magnitude == ".Inf" || magnitude == ".INF") {
    value = negative ? -std::numeric_limits<double>::infinity()
                     : std::numeric_limits<double>::infinity();
    return true;
  }
  // from_chars would take "inf" and "nan", which YAML reads as text.
  return parse_number(node.text, value) && std::isfinite(value);
}

bool parse(const ConfigNode& node, int64_t& value) {
  if (node.kind != Kind::kScalar || node.quoted) return false;
  if (parse_number(node.text, value)) return true;
  double real = 0;  // 1e9 is a handy way to write a count of tokens
  constexpr double kExactUpTo = 9007199254740992.0;  // 2^53
  if (!parse(node, real) || std::trunc(real) != real || std::abs(real) > kExactUpTo) return false;
  value = static_cast<int64_t>(real);
  return true;
}

bool parse(const ConfigNode& node, bool& value) {
  if (node.kind != Kind::kScalar || node.quoted) return false;
  const bool yes = node.text == "true" || node.text == "True" || node.text == "TRUE";
  const bool no = node.text == "false" || node.text == "False" || node.text == "FALSE";
  value = yes;
  return yes || no;
}

bool parse(const ConfigNode& node, std::string& value) {
  value = node.text;
  return node.kind == Kind::kScalar;
}

const char* kind_name(const bool&) { return "true or false"; }
const char* kind_name(const int64_t&) { return "a whole number (64 bits)"; }
const char* kind_name(const double&) { return "a number"; }
const char* kind_name(const std::string&) { return "text"; }

}  // namespace

struct ConfigReader::Node {
  std::shared_ptr<const ConfigSource::Document> document;  // keeps `value` alive
  const ConfigNode* value;
  std::string location;
  std::string path;     // "" at the top
  bool silent = false;  // stands where something of a wrong kind was, which is reported already
  std::vector<std::string> known_keys = {};

  std::string path_of(const std::string& key) const {
    return path.empty() ? key : path + "." + key;
  }

  template <class T>
  void read_scalar(const ConfigNode& from, const std::string& from_path, T& into,
                   Problems& problems) {
    T parsed{};
    if (parse(from, parsed)) {
      into = std::move(parsed);
      return;
    }
    problems.add(concat(from.location, ": '", from_path, "' must be ", kind_name(parsed),
                        ", found ", from.describe()));
  }

  template <class T>
  void read_list(const ConfigNode& from, const std::string& from_path, std::vector<T>& into,
                 Problems& problems) {
    if (from.kind != Kind::kSequence) {
      problems.add(concat(from.location, ": '", from_path, "' must be a list, found ",
                          from.describe(),
                          from.kind == Kind::kScalar ? "; write [" + from.text + "]" : ""));
      return;
    }
    into.clear();
    for (size_t i = 0; i < from.elements.size(); ++i) {
      T element{};
      read_scalar(from.elements[i], concat(from_path, "[", i, "]"), element, problems);
      into.push_back(std::move(element));
    }
  }

  const ConfigNode& at(const std::string& key) const { return value->find(key)->value; }
};

ConfigReader::ConfigReader(const ConfigSource& source, Problems& problems) : problems_(problems) {
  node_.reset(
      new Node{source.document_, &source.document_->root, source.document_->root.location, ""});
  for (const std::string& line : source.document_->problems) problems_.add(line);
}
ConfigReader::ConfigReader(std::unique_ptr<Node> node, Problems& problems)
    : node_(std::move(node)), problems_(problems) {}
ConfigReader::~ConfigReader() = default;

bool ConfigReader::has(const std::string& key, bool required) {
  node_->known_keys.push_back(key);
  const ConfigNode::Entry* entry = node_->value->find(key);
  if (entry != nullptr) {
    problems_.locate(node_->path_of(key), entry->location);
  } else if (required && !node_->silent) {
    problems_.add(concat(node_->location, ": required key '", node_->path_of(key), "' is missing"));
  }
  return entry != nullptr;
}

bool ConfigReader::is_null(const std::string& key) const {
  return node_->at(key).kind == Kind::kNull;
}
bool ConfigReader::is_scalar(const std::string& key) const {
  return node_->at(key).kind == Kind::kScalar;
}

ConfigReader ConfigReader::over(const ConfigNode* value, const std::string& location,
                                const std::string& path) {
  static const ConfigNode kEmpty;
  auto node =
      std::unique_ptr<Node>(new Node{node_->document, &kEmpty, location, path, node_->silent});
  // `replay:` with nothing below it, as when all its lines are commented out, leaves the defaults.
  if (value != nullptr && value->kind != Kind::kNull) {
    if (value->kind == Kind::kMapping) {
      node->value = value;
    } else {
      problems_.add(
          concat(location, ": '", path, "' must be a mapping, found ", value->describe()));
      node->silent = true;
    }
  }
  return {std::move(node), problems_};
}

ConfigReader ConfigReader::child(const std::string& key) {
  const ConfigNode::Entry* entry = node_->value->find(key);
  if (entry == nullptr) return over(nullptr, node_->location, node_->path_of(key));
  return over(&entry->value, entry->location, node_->path_of(key));
}

size_t ConfigReader::sequence_size(const std::string& key) {
  const ConfigNode& value = node_->at(key);
  if (value.kind == Kind::kSequence) return value.elements.size();
  problems_.add(concat(value.location, ": '", node_->path_of(key), "' must be a list, found ",
                       value.describe()));
  return 0;
}

ConfigReader ConfigReader::element(const std::string& key, size_t index) {
  const ConfigNode& value = node_->at(key).elements[index];
  return over(&value, value.location, concat(node_->path_of(key), "[", index, "]"));
}

std::vector<std::string> ConfigReader::mapping_keys() {
  std::vector<std::string> keys;
  for (const ConfigNode::Entry& entry : node_->value->entries) keys.push_back(entry.key);
  return keys;
}

void ConfigReader::finish() {
  const std::vector<std::string>& known = node_->known_keys;
  for (const ConfigNode::Entry& entry : node_->value->entries) {
    if (std::find(known.begin(), known.end(), entry.key) != known.end()) continue;
    const std::string nearest = nearest_name(entry.key, known);
    problems_.add(concat(entry.location, ": unknown key '", node_->path_of(entry.key), "'; ",
                         nearest.empty() ? "known keys: " + join(known, ", ")
                                         : "nearest known key: '" + nearest + "'"));
  }
}

void ConfigReader::scalar(const std::string& key, bool& value) {
  node_->read_scalar(node_->at(key), node_->path_of(key), value, problems_);
}
void ConfigReader::scalar(const std::string& key, int64_t& value) {
  node_->read_scalar(node_->at(key), node_->path_of(key), value, problems_);
}
void ConfigReader::scalar(const std::string& key, double& value) {
  node_->read_scalar(node_->at(key), node_->path_of(key), value, problems_);
}
void ConfigReader::scalar(const std::string& key, std::string& value) {
  node_->read_scalar(node_->at(key), node_->path_of(key), value, problems_);
}
void ConfigReader::scalar(const std::string& key, std::vector<int64_t>& value) {
  node_->read_list(node_->at(key), node_->path_of(key), value, problems_);
}
void ConfigReader::scalar(const std::string& key, std::vector<double>& value) {
  node_->read_list(node_->at(key), node_->path_of(key), value, problems_);
}
void ConfigReader::scalar(const std::string& key, std::vector<std::string>& value) {
  node_->read_list(node_->at(key), node_->path_of(key), value, problems_);
}

}  // namespace polygraft
