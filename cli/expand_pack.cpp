// cli/expand_pack.cpp: `polygraft expand pack`: one language's additions of an expanded model in a
// folder of their own.
#include <iostream>

#include "cli/command.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/overlap.h"
#include "core/text.h"
#include "expand/packs/stored_pack.h"
#include "model/checkpoint/tensors_hash.h"

namespace polygraft::cli {
namespace {

/// --pack, or the model's only pack.
std::string chosen_pack(const Arguments& arguments, const model::ModelFolder& expanded) {
  if (const auto name = arguments.optional_text("pack")) return *name;
  const size_t num_packs = expanded.manifest ? expanded.manifest->packs.size() : 0;
  if (num_packs == 1) return expanded.manifest->packs.front().name;
  throw ConfigError("--pack", num_packs == 0 ? "the model has no additions to pack"
                                             : "the model has several packs; name one")
      .found(expanded.path.string())
      .hint("`polygraft inspect` lists a model's packs");
}

void check_base(const Arguments& arguments, const model::ModelFolder& expanded) {
  const auto base = arguments.optional_text("base");
  if (!base || !expanded.manifest) return;
  const std::string hash = model::hash_tensors(model::ModelFolder::open(*base).tensors);
  if (hash == expanded.manifest->base_tensors_hash) return;
  throw NotComparable(*base, "this is not the base of the expanded model")
      .expected("tensors with SHA-256 " + expanded.manifest->base_tensors_hash)
      .found(hash);
}

ExitCode run_expand_pack(const Arguments& arguments) {
  const auto expanded = model::ModelFolder::open(arguments.path("expanded"));
  const std::string name = chosen_pack(arguments, expanded);
  check_base(arguments, expanded);
  const expand::StoredPack stored = expand::find_pack(expanded, name);
  expand::Pack pack = stored.pack;
  if (!arguments.dry_run()) {
    const fs::path output = arguments.output();
    refuse_overlap(output, expanded.path);
    AtomicFolder folder(output, arguments.force());
    pack = expand::write_pack(stored, folder.path());
    folder.commit();
    log_info(concat("pack '", name, "' written to ", output.string()));
  }
  if (arguments.stdout_is_free()) {
    std::cout << "pack " << name << ": " << pack.num_experts() << " experts in each of "
              << pack.layers.size() << " layers, " << pack.num_vocab_rows() << " tokens, "
              << pack.merges.size() << " merges\n";
  }
  arguments.emit_json({{"name", name},
                       {"experts", pack.num_experts()},
                       {"vocab_rows", pack.num_vocab_rows()},
                       {"merges", pack.merges.size()},
                       {"base_tensors_hash", pack.base.tensors_hash},
                       {"additions_hash", pack.additions_hash}});
  return ExitCode::kDone;
}

}  // namespace

Command expand_pack_command() {
  return {.name = "expand pack",
          .summary = "write one language's additions of an expanded model as a pack",
          .operands = "",
          .example = "polygraft expand pack --expanded runs/id/model -o packs/id",
          .add_options =
              [](po::options_description& o) {
                auto add = o.add_options();
                add("expanded", po::value<std::string>()->value_name("MODEL"),
                    "expanded model folder");
                add("base", po::value<std::string>()->value_name("MODEL"),
                    "also check that this is the model it was expanded from");
                add("pack", po::value<std::string>()->value_name("NAME"),
                    "the pack's name (its language), where the model has several");
              },
          .add_operands = nullptr,
          .run = run_expand_pack,
          .writes_output = true};
}

}  // namespace polygraft::cli
