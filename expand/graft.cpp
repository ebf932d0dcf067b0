// expand/graft.cpp: the whole of `expand graft`: checks that model and plan belong together,
// computes, writes.
#include "expand/graft.h"

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace polygraft::expand {

namespace {

void check_kind(const model::ModelFolder& base) {
  if (base.manifest && !base.manifest->packs.empty()) {
    throw NotComparable(base.path.string(), "a model with packs is no base to graft onto")
        .found(concat("pack '", base.manifest->packs.front().name, "'"))
        .hint(
            "`expand fuse` makes its packs part of it; or graft onto its base, `expand pack` both "
            "results and `expand attach` the packs");
  }
  if (!base.config.is_moe()) {
    throw NotComparable(base.path.string(), "a dense model has no experts to graft beside")
        .expected("the mixture-of-experts model of the plan")
        .found("family " + base.config.family);
  }
}

void check_base(const model::ModelFolder& base, const ExpansionPlan& plan,
                const std::string& base_hash) {
  if (plan.model_hash == base_hash) return;
  throw NotComparable(base.path.string(), "this is not the model that the plan was made for")
      .expected("tensors with SHA-256 " + plan.model_hash)
      .found(base_hash)
      .hint("profile and plan again with this model");
}

/// Paths stay out of the manifest: the same plan on the same texts gives the same bytes wherever
/// the run folder lies.
OrderedJson provenance(const ExpansionPlan& plan, const tokenizer::Tokenizer& extended) {
  Json plan_json = plan.to_json();
  plan_json.erase("corpus");
  plan_json.erase("tokenizer");
  OrderedJson result = OrderedJson::object();
  result["plan"] = OrderedJson::parse(plan_json.dump());
  result["extended_tokenizer_hash"] = extended.hash();
  return result;
}

model::Manifest make_manifest(const model::ModelFolder& base, const ExpansionPlan& plan,
                              const model::RowLayout& vocab,
                              const tokenizer::Tokenizer& old_tokenizer,
                              const tokenizer::Tokenizer& extended) {
  model::Manifest manifest;
  manifest.tool_version = POLYGRAFT_VERSION;
  manifest.base_tensors_hash = plan.model_hash;
  manifest.base_tokenizer_hash = old_tokenizer.hash();
  manifest.base_num_experts = base.config.num_experts;
  manifest.base_vocab_rows = base.config.vocab_rows;
  manifest.base_tied_embeddings = base.config.tied_embeddings;
  const auto num_experts =
      plan.layers.empty() ? 0 : static_cast<int64_t>(plan.layers.front().donors.size());
  manifest.vocab_placement = vocab.placement;
  manifest.packs = {{plan.language, base.config.num_experts, num_experts, vocab.first_added(),
                     plan.new_vocab_rows}};
  manifest.provenance = provenance(plan, extended);
  return manifest;
}

}  // namespace

void graft(const model::ModelFolder& base, const ExpansionPlan& plan,
           const std::filesystem::path& out, const parallel::Team& team) {
  check_kind(base);
  const tokenizer::Tokenizer old_tokenizer = tokenizer::Tokenizer::load(base.path);
  const std::filesystem::path extended_folder =
      plan.new_vocab_rows > 0 ? std::filesystem::path(plan.tokenizer) : base.path;
  const tokenizer::Tokenizer extended = tokenizer::Tokenizer::load(extended_folder);
  team.require_same(plan.to_json().dump());
  const Calibration calibration = read_calibration(tokenizer::load_corpus(plan.corpus), plan);
  const ComputedAdditions computed = compute_additions(
      model::Transformer::load(base), old_tokenizer, extended, plan, calibration, team);
  if (!team.is_first()) return;
  ExpandedFolder expanded;
  expanded.manifest = make_manifest(base, plan, computed.vocab, old_tokenizer, extended);
  if (plan.new_vocab_rows > 0) expanded.tokenizer = extended_folder;
  expanded.untie_head = plan.untie_head;
  expanded.make_expert = computed.make_expert;
  check_base(base, plan, write_expanded(base, computed.additions, expanded, out));
}

}  // namespace polygraft::expand
