// core/config.cpp: problems, and the source: a YAML file with overrides laid over it.
#include "core/config.h"

#include <algorithm>

#include "core/config_document.h"
#include "core/file.h"
#include "core/text.h"

namespace polygraft {
namespace {

using Kind = ConfigNode::Kind;

void require_mapping(const ConfigNode& root, const std::string& name) {
  if (root.kind == Kind::kMapping || root.kind == Kind::kNull) return;
  throw ConfigError(name, "the top level must be a mapping of keys to values")
      .found(root.describe())
      .hint("write lines such as 'key: value'");
}

/// The mapping that `keys` but the last lead to; missing ones are made.
ConfigNode& mapping_for(ConfigNode& root, const std::vector<std::string>& keys,
                        const std::string& location) {
  ConfigNode* node = &root;
  for (size_t depth = 0;; ++depth) {
    if (node->kind == Kind::kNull) node->kind = Kind::kMapping;
    if (node->kind != Kind::kMapping) {
      const std::vector<std::string> above(keys.begin(),
                                           keys.begin() + static_cast<std::ptrdiff_t>(depth));
      throw ConfigError(location, concat("'", join(above, "."), "' is not a mapping"))
          .found(concat(node->describe(), " (", node->location, ")"));
    }
    if (depth + 1 == keys.size()) return *node;
    ConfigNode::Entry* entry = node->find(keys[depth]);
    if (entry == nullptr) {
      ConfigNode empty;
      empty.location = location;
      entry = &node->entries.emplace_back(ConfigNode::Entry{keys[depth], location, empty});
    }
    node = &entry->value;
  }
}

}  // namespace

void Problems::require(bool ok, const std::string& path, const std::string& value,
                       const std::string& rule) {
  if (ok) return;
  std::vector<std::string> parts = scope_;
  parts.push_back(path);
  const std::string full_path = join(parts, ".");
  const auto located = locations_.find(full_path);
  add(concat(located == locations_.end() ? "" : located->second + ": ", full_path, " = ", value,
             ": ", rule));
}

void Problems::require_one_of(const std::string& path, const std::string& value,
                              const std::vector<std::string>& allowed) {
  require(std::find(allowed.begin(), allowed.end(), value) != allowed.end(), path, value,
          concat("must be one of ", join(allowed, ", ")));
}

void Problems::require_in(const std::string& path, double value, const std::string& shown,
                          double low, double high, Ends ends) {
  const bool has_low = ends == Ends::kBoth || ends == Ends::kLow;
  const bool has_high = ends == Ends::kBoth || ends == Ends::kHigh;
  const bool inside =
      (has_low ? value >= low : value > low) && (has_high ? value <= high : value < high);
  require(inside, path, shown,
          concat("must lie in ", has_low ? "[" : "(", low, ", ", high, has_high ? "]" : ")"));
}

void Problems::require_at_least(const std::string& path, int64_t value, int64_t least) {
  require(value >= least, path, concat(value), concat("must be at least ", least));
}

void Problems::require_file(const std::string& path, const fs::path& file) {
  const fs::file_status status = fs::status(file);
  if (!fs::exists(status)) ++num_missing_files_;
  require(fs::is_regular_file(status), path, file.string(),
          !fs::exists(status)        ? "no such file"
          : fs::is_directory(status) ? "is a folder, not a file"
                                     : "is no regular file");
}

void Problems::throw_if_any(const std::string& where) const {
  if (lines_.empty()) return;
  const std::string count = lines_.size() == 1 ? "1 problem" : concat(lines_.size(), " problems");
  const std::string text = count + "\n  " + join(lines_, "\n  ");
  if (num_missing_files_ == lines_.size()) throw IoError(where, text);
  throw ConfigError(where, text);
}

ConfigSource ConfigSource::from_file(const std::filesystem::path& file) {
  return from_text(read_file(file), file.string());
}

ConfigSource ConfigSource::from_text(const std::string& yaml, const std::string& name) {
  ConfigSource source;
  source.document_ = std::make_shared<Document>();
  source.document_->name = name;
  source.document_->root = parse_config_tree(yaml, {name, true}, source.document_->problems);
  require_mapping(source.document_->root, name);
  return source;
}

void ConfigSource::set(const std::string& assignment) {
  const std::string location = "--set " + assignment;
  const size_t equals = assignment.find('=');
  const std::vector<std::string> keys = split(assignment.substr(0, equals), '.');
  bool well_formed = equals != std::string::npos;
  for (const std::string& key : keys) well_formed = well_formed && !key.empty();
  if (!well_formed) {
    throw ConfigError(location, "not an assignment").expected("dotted.key=value").found(assignment);
  }
  auto changed = std::make_shared<Document>(*document_);  // copies of this source keep their values
  ConfigNode& mapping = mapping_for(changed->root, keys, location);
  ConfigNode value =
      parse_config_tree(assignment.substr(equals + 1), {location, false}, changed->problems);
  if (ConfigNode::Entry* entry = mapping.find(keys.back())) {
    *entry = {keys.back(), location, std::move(value)};
  } else {
    mapping.entries.push_back({keys.back(), location, std::move(value)});
  }
  document_ = std::move(changed);
}

const std::string& ConfigSource::name() const { return document_->name; }

}  // namespace polygraft
