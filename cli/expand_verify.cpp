// cli/expand_verify.cpp: `polygraft expand verify`: proves base + additions = expanded, or names
// what differs.
#include <algorithm>
#include <iostream>

#include "cli/model_option.h"
#include "core/text.h"
#include "eval/report.h"
#include "expand/verify.h"

namespace polygraft::cli {
namespace {

constexpr size_t kShownDifferences = 10;  // the JSON has more

void print_differences(const expand::VerifyReport& report) {
  const std::vector<expand::Difference>& differences = report.differences;
  for (size_t i = 0; i < std::min(differences.size(), kShownDifferences); ++i) {
    const expand::Difference& difference = differences[i];
    std::cout << "  " << difference.tensor;
    if (difference.row >= 0)
      std::cout << ", row " << difference.row << ", byte " << difference.first_byte;
    std::cout << ": " << difference.reason << "\n";
  }
  if (differences.size() > kShownDifferences) {
    const bool has_all = report.num_differences == std::ssize(differences);
    std::cout << "  and " << report.num_differences - static_cast<int64_t>(kShownDifferences)
              << " more (--json has " << (has_all ? "all " : "the first ") << differences.size()
              << ")\n";
  }
}

void print(const expand::VerifyReport& report) {
  std::cout << (report.ok ? "ok: " : "NOT ok: ") << report.tensors_checked << " tensors, "
            << human_bytes(report.bytes_compared) << " compared, masked logits "
            << (report.masked_logits_equal ? "bit-identical" : "DIFFERENT") << "\n";
  print_differences(report);
  if (report.step0.empty()) return;
  std::cout << eval::causes_text(report.step0);
}

/// Experts and rows that nothing says are additions: every one would count as a difference.
void refuse_fused(const model::ModelFolder& base, const model::ModelFolder& expanded) {
  const bool has_grown = expanded.config.num_experts > base.config.num_experts ||
                         expanded.config.vocab_rows > base.config.vocab_rows;
  if (expanded.manifest || !has_grown) return;
  throw NotComparable(expanded.path.string(),
                      concat("has no ", model::kManifestFile, " that tells its additions"))
      .expected("a model with packs, as `graft`, `train` or `attach` leaves it")
      .hint(
          "a fused model is a base of its own: verify the model that it was made of against the "
          "first base, and then this one against that model");
}

ExitCode run_expand_verify(const Arguments& arguments) {
  auto base = model::ModelFolder::open(arguments.path("base"));
  expand::VerifyOptions options;
  options.packs = chosen_packs(arguments);
  // With packs the base itself may be what they are put onto.
  const bool onto_base = !options.packs.packs.empty() && !arguments.optional_text("expanded");
  const auto expanded = onto_base ? base : model::ModelFolder::open(arguments.path("expanded"));
  // What packs brought is old to a model fused from this one, and to what was grafted onto that.
  if (!onto_base) base.manifest.reset();
  refuse_fused(base, expanded);
  std::optional<tokenizer::Corpus> corpus;
  if (const auto file = arguments.optional_text("corpus")) corpus = tokenizer::load_corpus(*file);
  const expand::VerifyReport report = expand::verify_expansion(base, expanded, corpus, options);
  if (arguments.stdout_is_free()) print(report);
  arguments.emit_json(report.to_json());
  return report.ok ? ExitCode::kDone : ExitCode::kGateFailed;
}

}  // namespace

Command expand_verify_command() {
  return {.name = "expand verify",
          .summary = "prove that base + additions = expanded, byte by byte",
          .operands = "",
          .example =
              "polygraft expand verify --base models/base --expanded runs/id/model --corpus "
              "data/corpus.yaml",
          .add_options =
              [](po::options_description& o) {
                auto add = o.add_options();
                add("base", po::value<std::string>()->value_name("MODEL"),
                    "the model before the expansion");
                add("expanded", po::value<std::string>()->value_name("MODEL"),
                    "the model after it; with --pack it may be left out: the base with the packs");
                add("corpus", po::value<std::string>()->value_name("FILE"),
                    "also split the change on old text by cause: of the first 32 KiB of each old "
                    "language's held-out text");
                add_pack_options(o);
              },
          .add_operands = nullptr,
          .run = run_expand_verify};
}

}  // namespace polygraft::cli
