// expand/packs/base_check.cpp: see base_check.h.
#include "expand/packs/base_check.h"

#include <optional>

#include "core/error.h"
#include "core/log.h"
#include "core/text.h"

namespace polygraft::expand {

namespace {

using model::ModelFolder;

struct BaseFacts {
  std::string what, expected, found;
};

/// The first of what a pack says of its base, apart from its weights, that is not so.
std::optional<BaseFacts> find_contradiction(const Pack& pack, const ModelFolder& base,
                                            const std::string& tokenizer_hash) {
  const auto differ = [](const std::string& what, int64_t expected, int64_t found) {
    return BaseFacts{what, concat(expected), concat(found)};
  };
  const PackBase& wanted = pack.base;
  if (!pack.tokens.empty() && wanted.tokenizer_hash != tokenizer_hash) {
    return BaseFacts{"tokenizer", "SHA-256 " + wanted.tokenizer_hash, tokenizer_hash};
  }
  if (wanted.family != base.config.family)
    return BaseFacts{"family", wanted.family, base.config.family};
  if (wanted.num_experts != base.num_base_experts()) {
    return differ("number of experts", wanted.num_experts, base.num_base_experts());
  }
  if (wanted.vocab_rows != base.num_base_vocab_rows()) {
    return differ("number of vocabulary rows", wanted.vocab_rows, base.num_base_vocab_rows());
  }
  if (wanted.tied_embeddings != base.config.tied_embeddings) {
    return BaseFacts{"output rows", wanted.tied_embeddings ? "tied" : "untied",
                     base.config.tied_embeddings ? "tied" : "untied"};
  }
  return std::nullopt;
}

[[noreturn]] void refuse(const OpenPack& open, const BaseFacts& facts) {
  throw NotComparable(open.folder.string(),
                      concat("pack '", open.pack.name, "' belongs to another base: ", facts.what))
      .expected(facts.expected)
      .found(facts.found)
      .hint("attach it to its own base; --allow-base-mismatch goes on regardless");
}

/// Writes this base's identity over a pack's own, loudly.
void adopt(OpenPack& open, const PackBase& base) {
  if (open.pack.base.tied_embeddings != base.tied_embeddings) {
    throw NotComparable(open.folder.string(), "output rows tied in one base and not in the other")
        .hint("no additions fit both");
  }
  if (open.pack.base.family != base.family) {
    throw NotComparable(open.folder.string(), "the pack was made for a base of another family")
        .expected(open.pack.base.family)
        .found(base.family)
        .hint("the same additions compute something else there");
  }
  if (open.pack.base.tensors_hash == base.tensors_hash &&
      open.pack.base.tokenizer_hash == base.tokenizer_hash) {
    return;
  }
  log_warn(concat("pack '", open.pack.name, "' was made for the base ", open.pack.base.tensors_hash,
                  " and is attached to ", base.tensors_hash,
                  " (--allow-base-mismatch): nothing is known of what comes out"));
  open.pack.base = base;
}

}  // namespace

void check_base(OpenPack& open, const ModelFolder& view, const BaseHashes& hashes,
                const AttachOptions& options) {
  if (options.allow_base_mismatch) {
    adopt(open, {view.config.family, hashes.tensors, hashes.tokenizer, view.num_base_experts(),
                 view.num_base_vocab_rows(), view.config.tied_embeddings});
  }
  if (const auto facts = find_contradiction(open.pack, view, hashes.tokenizer)) {
    refuse(open, *facts);
  }
  if (hashes.tensors.empty() || open.pack.base.tensors_hash == hashes.tensors) return;
  refuse(open, {"weights", "tensors with SHA-256 " + open.pack.base.tensors_hash, hashes.tensors});
}

}  // namespace polygraft::expand
