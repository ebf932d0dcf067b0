// expand/packs/pack_on_base.cpp: see pack_on_base.h.
#include "expand/packs/pack_on_base.h"

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "expand/packs/base_check.h"
#include "expand/packs/composition.h"
#include "expand/packs/stored_pack.h"
#include "expand/rounded_bytes.h"
#include "model/checkpoint/tensors_hash.h"

namespace polygraft::expand {

namespace {

/// Added experts as what they are trained in, whatever their neighbours in the file are.
void convert_experts(model::Weights& weights) {
  const at::ScalarType dtype = weights.compute_dtype();
  for (auto& layer : weights.layers) {
    for (model::SplitRows* bank : {&layer.moe.gate_up, &layer.moe.down}) {
      if (bank->added.defined()) bank->set_added(bank->added.to(dtype));
    }
  }
}

}  // namespace

PackOnBase put_pack_on(const model::ModelFolder& base, const fs::path& pack) {
  if (base.manifest) {
    throw ConfigError(base.path.string(), "a pack is trained on its base, and this model has packs")
        .hint("name the base; `polygraft expand detach` gives it back");
  }
  const auto tokenizer = tokenizer::Tokenizer::load(base.path);
  OpenPack open = open_pack(pack);
  check_base(open, base, {model::hash_tensors(base.tensors), tokenizer.hash()}, {});
  tokenizer::Tokenizer extended = tokenizer_with(base.path, open.pack);
  std::vector<OpenPack> packs;
  packs.push_back(std::move(open));
  const Composition composition = compose(base, std::move(packs), tokenizer.size());
  PackOnBase result{composition.manifest, config_with(composition, base.config),
                    model::map_weights(base, at::kFloat, model::AddedExperts::kInMemory),
                    std::move(extended)};
  put_on(composition, result.weights);
  convert_experts(result.weights);
  return result;
}

tokenizer::Tokenizer tokenizer_with(const fs::path& base, const Pack& pack) {
  auto tokenizer = tokenizer::Tokenizer::load(base);
  if (pack.tokens.empty()) return tokenizer;
  return pack_tokenizer(base, lay_out_vocabulary({&pack}, tokenizer.size()).additions).load(base);
}

void write_trained_pack(const fs::path& pack, const Additions& additions,
                        const OrderedJson& provenance, const fs::path& out) {
  const OpenPack before = open_pack(pack);
  StoredPack stored{before.pack, {}, {}};
  stored.pack.provenance = provenance;
  std::map<std::string, std::string> rounded;  // what the pieces point into
  for (const auto& [name, rows] : before.additions) {
    const model::Dtype dtype = model::from_scalar_type(rows.scalar_type());
    rounded[name] = rounded_bytes(additions.at(name), dtype);
    stored.tensors.push_back({{name, dtype, rows.sizes().vec()}, {rounded[name]}});
  }
  write_pack(stored, out);
}

}  // namespace polygraft::expand
