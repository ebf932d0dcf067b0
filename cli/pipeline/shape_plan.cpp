// cli/pipeline/shape_plan.cpp: see shape_plan.h.
#include "cli/pipeline/shape_plan.h"

#include <algorithm>
#include <sstream>

#include "core/text.h"
#include "expand/plan.h"
#include "model/checkpoint/families.h"
#include "model/checkpoint/side_files.h"
#include "tokenizer/bpe_trainer.h"
#include "trainer/parallel/plan.h"
#include "trainer/shape_estimate.h"

namespace polygraft::cli {
namespace {

std::string rate(double teraflops) {
  if (teraflops < 1) return concat(fixed(1000 * teraflops, 0), " Gflop/s");
  return concat(fixed(teraflops, 0), " Tflop/s");
}

std::string table(const Json& json) {
  const auto bytes = [&](const char* key) { return human_bytes(json.at(key).get<uint64_t>()); };
  const auto count = [&](const char* key) { return human_count(json.at(key).get<uint64_t>()); };
  std::ostringstream out;
  const bool on_gpu = json.at("device") == "cuda";
  out << "base       " << json.at("family").get<std::string>() << ", " << count("base_parameters")
      << " parameters, " << count("base_active_parameters") << " active per token, "
      << bytes("base_bytes") << " (from config.json)\n"
      << "adds       " << count("added_experts_per_layer") << " experts in each of "
      << count("layers") << " layers, " << count("added_vocab_rows") << " vocabulary rows"
      << (json.at("new_tokens") == "auto" ? " (and what `new_tokens: auto` finds)" : "") << ": "
      << count("added_parameters") << " parameters, " << bytes("added_bytes") << "\n"
      << "training   " << count("steps") << " steps over " << count("tokens") << " tokens, about "
      << bytes("peak_memory_bytes")
      << (on_gpu ? " of the GPU's memory, the base with it\n"
                 : " of memory beside the files (mapped, " + bytes("base_bytes") + ")\n");
  if (!json.contains("machine")) return out.str();
  out << "machine    " << json.at("machine").get<std::string>() << ", "
      << bytes("machine_memory_bytes") << ": "
      << (json.at("fits").get<bool>() ? "fits" : "does NOT fit")
      << (json.contains("ep") ? concat(", with --ep ", json.at("ep").get<int64_t>()) : "")
      << "; about " << human_seconds(json.at("seconds").get<double>()) << " of training at "
      << rate(json.at("teraflops").get<double>()) << " sustained\n";
  if (json.contains("disk_bytes_per_step")) {
    out << "           the mapped base does not stay in it: a step reads up to "
        << bytes("disk_bytes_per_step") << " from disk, which takes longer than computing\n";
  }
  return out.str();
}

/// The best that a host's GPUs can do together: plan-parallel's answer.
trainer::GridPlan plan_on_gpus(const PipelineConfig& pipeline, const ExpandedShape& shape) {
  const trainer::PlannedRun run{shape.expanded, shape.num_added_experts, shape.num_added_vocab_rows,
                                pipeline.train};
  const trainer::RankRates& rates = *pipeline.machine.rank;
  return trainer::plan_grids(run, rates, rates.per_host).front();
}

/// @param plan has "device" and "base_bytes".
void add_machine(const PipelineConfig& pipeline, const ExpandedShape& shape,
                 const trainer::ShapeEstimate& estimate, ShapePlan& plan) {
  const MachineConfig& machine = pipeline.machine;
  if (machine.memory_gib == 0) return;
  const auto memory = static_cast<int64_t>(machine.memory_gib * (1 << 30));
  Json& json = plan.json;
  json["machine"] = machine.name;
  json["machine_memory_bytes"] = memory;
  const bool on_gpu = json.at("device") == "cuda";
  const bool on_gpus = on_gpu && machine.rank && machine.rank->per_host > 1;
  const bool has_plan =
      on_gpus && trainer::pieces_of_step(pipeline.train) >= machine.rank->per_host;
  plan.fits = estimate.peak_memory_bytes <= memory;
  if (has_plan) {
    const trainer::GridPlan grid = plan_on_gpus(pipeline, shape);
    plan.fits = grid.fits;
    if (grid.fits) json["ep"] = grid.ep;
  }
  json["fits"] = plan.fits;
  const auto base_bytes = json.at("base_bytes").get<int64_t>();
  if (!on_gpu && base_bytes + estimate.peak_memory_bytes > memory) {
    // Forward and backward of every micro-batch go through all layers.
    json["disk_bytes_per_step"] = 2 * trainer::pieces_of_step(pipeline.train) * base_bytes;
  }
  json["teraflops"] = machine.teraflops;
  json["seconds"] = plan.seconds = estimate.flops / (machine.teraflops * 1e12);
}

}  // namespace

model::ModelConfig read_moe_shape(const fs::path& folder) {
  const fs::path file = folder / "config.json";
  model::ModelConfig config = model::parse_model_config(read_json(file), file);
  if (config.is_moe()) return config;
  throw ConfigError(file.string(), "a dense model has no experts to add to")
      .hint("`polygraft expand upcycle` makes a mixture of experts of it first");
}

bool is_shape_alone(const fs::path& folder) {
  return fs::exists(folder / "config.json") && !fs::exists(folder / "model.safetensors") &&
         !fs::exists(folder / model::kIndexFile);
}

ExpandedShape expanded_shape(const PipelineConfig& pipeline) {
  ExpandedShape shape;
  shape.base = shape.expanded = read_moe_shape(pipeline.base);
  shape.num_added_experts = expand::count_new_experts(shape.base, pipeline.expand);
  shape.num_added_vocab_rows =
      tokenizer::parse_new_tokens(pipeline.tokenizer.new_tokens, "tokenizer.new_tokens")
          .value_or(0);
  shape.expanded.num_experts += shape.num_added_experts;
  shape.expanded.vocab_rows += shape.num_added_vocab_rows;
  if (pipeline.tokenizer.head == "untied") shape.expanded.tied_embeddings = false;
  return shape;
}

ShapePlan plan_from_shape(const PipelineConfig& pipeline) {
  const ExpandedShape shape = expanded_shape(pipeline);
  const auto& [base, expanded, experts, rows] = shape;
  const trainer::ShapeEstimate estimate =
      trainer::estimate_additions(expanded, experts, rows, pipeline.train);
  const model::ParameterCount of_base = model::count_parameters(base);
  const bool unties = base.tied_embeddings && !expanded.tied_embeddings;
  const model::RowLayout vocabulary{base.vocab_rows, rows, {}};  // spare rows a tokenizer tells
  const expand::AddedSizes added = expand::count_added(base, experts, vocabulary, unties);
  const auto width = static_cast<int64_t>(model::dtype_bytes(base.dtype));
  ShapePlan plan{.peak_memory_bytes = estimate.peak_memory_bytes};
  plan.json = {{"family", base.family},
               {"layers", std::count(base.layer_is_moe.begin(), base.layer_is_moe.end(), true)},
               {"base_parameters", of_base.total},
               {"base_active_parameters", of_base.active_per_token},
               {"base_bytes", of_base.total * width},
               {"added_experts_per_layer", experts},
               {"added_vocab_rows", rows},
               {"new_tokens", pipeline.tokenizer.new_tokens},
               {"added_parameters", added.parameters},
               {"added_bytes", added.bytes(base.dtype)},
               {"steps", estimate.steps},
               {"tokens", pipeline.train.tokens},
               {"device", pipeline.train.device},
               {"peak_memory_bytes", estimate.peak_memory_bytes}};
  add_machine(pipeline, shape, estimate, plan);
  plan.text = table(plan.json);
  return plan;
}

}  // namespace polygraft::cli
