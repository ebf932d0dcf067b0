// cli/model_option.cpp: see model_option.h.
#include "cli/model_option.h"

namespace polygraft::cli {

void add_pack_options(po::options_description& options) {
  auto add = options.add_options();
  add("pack", po::value<std::vector<std::string>>()->composing()->value_name("PACK"),
      "folder of a pack, put onto the model in memory; may be repeated");
  add("allow-base-mismatch", po::bool_switch(), "put on a pack of another base if its shapes fit");
}

void add_model_options(po::options_description& options) {
  options.add_options()("model", po::value<std::string>()->value_name("MODEL"), "model folder");
  add_pack_options(options);
}

expand::PackChoice chosen_packs(const Arguments& arguments) {
  expand::PackChoice choice;
  for (const std::string& pack : arguments.texts("pack")) choice.packs.emplace_back(pack);
  choice.options.allow_base_mismatch = arguments.flag("allow-base-mismatch");
  return choice;
}

}  // namespace polygraft::cli
