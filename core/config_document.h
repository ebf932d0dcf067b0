// core/config_document.h: what a ConfigSource holds. Private to core's config files.
#pragma once
#include <string>
#include <vector>

#include "core/config.h"
#include "core/config_tree.h"

namespace polygraft {

struct ConfigSource::Document {
  std::string name;
  ConfigNode root;
  std::vector<std::string> problems;  // found while parsing; reported with those of binding
};

}  // namespace polygraft
