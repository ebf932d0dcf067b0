// cli/pipeline/report_data.cpp: the report of a run folder: verdict, curves, similarity, tables,
// provenance.
#include <algorithm>

#include "cli/pipeline/pipeline.h"
#include "cli/tokenizer_tables.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "eval/number_text.h"
#include "trainer/metrics.h"

namespace polygraft::cli {
namespace {

Json stage_json(const fs::path& run_dir, const std::string& stage, const std::string& file) {
  return read_json(run_dir / "stages" / stage / file);
}

/// The settings of a run folder whose stages were all made under them: a report of two runs would
/// be of none.
PipelineConfig read_settings(const fs::path& run_dir) {
  const fs::path file = run_dir / kResolvedFile;
  StageKeys::read(run_dir, read_file(file))
      .require({"tokenizer", "heldout", "profile", "plan", "evaluate-base", "train", "verify",
                "evaluate"},
               run_dir);
  return bind_config<PipelineConfig>(ConfigSource::from_file(file));
}

constexpr const char* kInterferenceNote =
    "Each old language's bits per byte on the probe's text against the base's. Beyond the budget "
    "at a "
    "step, the run protects old text harder or goes back. That limit falls with the learning "
    "rate, because smaller steps undo much of what larger ones do; at the end it is "
    "max_relative_bpb.";
constexpr const char* kLearningNote =
    "On the probe's text, the end of the training text; the table of new languages is of another "
    "text, the held-out one.";

/// Curves out of metrics.jsonl: the loss a step; interference and bits per byte a probe.
struct Curves {
  eval::Chart loss{
      .title = "Training loss", .x_label = "tokens", .y_label = "bits per byte", .curves = {}};
  eval::Chart interference{.title = "Interference during training",
                           .x_label = "tokens",
                           .y_label = "relative change, %",
                           .curves = {},
                           .note = kInterferenceNote};
  eval::Chart causes{.title = "Interference by cause (the worst old language of each probe)",
                     .x_label = "tokens",
                     .y_label = "relative change, %",
                     .curves = {},
                     .note = eval::kCausesNote};
  eval::Chart learning{.title = "New language",
                       .x_label = "tokens",
                       .y_label = "bits per byte (probe)",
                       .curves = {},
                       .note = kLearningNote};
};

void add_point(eval::Chart& chart, const std::string& name, double x, double y,
               bool is_limit = false) {
  for (eval::Curve& curve : chart.curves) {
    if (curve.name == name) return curve.points.emplace_back(x, y), void();
  }
  chart.curves.push_back({name, {{x, y}}, is_limit});
}

/// The causes of the old language that did worst, by its bound as the budget takes it.
void add_causes(eval::Chart& chart, const Json& probe, const fs::path& where, double tokens) {
  const Json* worst = nullptr;
  const auto bound = [&](const Json& values) { return json_get<double>(values, "ci_high", where); };
  for (const auto& [language, values] : probe.items()) {
    if (!values.contains("relative_by_cause")) continue;
    if (worst == nullptr || bound(values) > bound(*worst)) worst = &values;
  }
  if (worst == nullptr) return;
  const auto by_cause = json_get<Json>(*worst, "relative_by_cause", where);
  for (const eval::CauseField& cause : eval::kCauses)
    add_point(chart, cause.name, tokens, 100 * json_get<double>(by_cause, cause.name, where));
}

void add_probe(Curves& curves, const Json& probe, const fs::path& where, double tokens,
               const std::vector<std::string>& new_languages) {
  add_causes(curves.causes, probe, where, tokens);
  for (const auto& [language, values] : probe.items()) {
    const bool is_new =
        std::find(new_languages.begin(), new_languages.end(), language) != new_languages.end();
    if (is_new) {
      add_point(curves.learning, language, tokens,
                json_get<double>(values, "bits_per_byte", where));
    } else {
      add_point(curves.interference, language, tokens,
                100 * json_get<double>(values, "delta_relative", where));
    }
  }
}

/// What the budget allowed at this probe's learning rate.
void add_limit(Curves& curves, const Json& budget, const fs::path& where, double tokens) {
  add_point(curves.interference, "budget at this step", tokens,
            100 * json_get<double>(budget, "limit", where), /*is_limit=*/true);
}

Curves read_curves(const fs::path& metrics, const std::vector<std::string>& new_languages) {
  Curves curves;
  const auto add_line = [&](const Json& json, const fs::path& where) {
    const double tokens = json_get<double>(json, "tokens", where);
    if (json.contains("bits_per_byte"))
      add_point(curves.loss, "train", tokens, json_get<double>(json, "bits_per_byte", where));
    if (json.contains("probe")) add_probe(curves, json.at("probe"), where, tokens, new_languages);
    if (json.contains("budget") && tokens > 0) add_limit(curves, json.at("budget"), where, tokens);
  };
  if (!trainer::for_each_metrics_line(metrics, add_line)) {
    curves.loss.note = "The last line of metrics.jsonl is cut off, and not shown.";
    log_warn(concat(metrics.string(), ": ", curves.loss.note));
  }
  return curves;
}

eval::HeatMap similarity_map(const Json& profile) {
  eval::HeatMap map{.title = "Language similarity (correlation of routing signatures)",
                    .rows = {},
                    .columns = {},
                    .values = {}};
  for (const auto& [language, row] : profile.at("similarity").items()) {
    map.rows.push_back(language);
    std::vector<double> values;
    for (const auto& [other, value] : row.items()) values.push_back(value.get<double>());
    map.values.push_back(values);
  }
  map.columns = map.rows;
  map.with_tree = true;
  return map;
}

eval::RoutingMap routing_map(const Json& profile) {
  eval::RoutingMap map{
      .title = "Experts that each language uses (base model)", .languages = {}, .layers = {}};
  for (const Json& layer : profile.at("layers")) {
    auto& shown = map.layers.emplace_back();
    shown.name = concat(layer.at("layer"));
    map.languages.clear();
    for (const auto& [language, shares] : layer.at("signature").items()) {
      map.languages.push_back(language);
      shown.share_LE.push_back(shares.get<std::vector<double>>());
    }
  }
  return map;
}

/// Segmentation of the training text, old languages' being what the guard has read.
eval::Table guard_table(const Json& extend) {
  eval::Table table{.title = "Tokenizer on training text",
                    .header = {"language", "bytes per token before", "after", "documents changed"},
                    .rows = {}};
  for (const auto& [language, values] : extend.at("languages").items()) {
    table.rows.push_back({language, fixed(values.at("bytes_per_token_before").get<double>(), 3),
                          fixed(values.at("bytes_per_token_after").get<double>(), 3),
                          concat(values.at("changed_documents"), " of ", values.at("documents"))});
  }
  return table;
}

eval::Table heldout_table(const Json& heldout) {
  eval::Table table{.title = "Held-out text",
                    .header = {"language", "documents", "also in the training text"},
                    .rows = {}};
  for (const auto& [language, counts] : heldout.items()) {
    table.rows.push_back(
        {language, concat(counts.at("documents")), concat(counts.at("also_trained_on"))});
  }
  return table;
}

eval::Table additions_table(const Json& plan) {
  eval::Table table{.title = "What was added",
                    .header = {"layer", "new experts", "donors (expert: score)"},
                    .rows = {}};
  for (const Json& layer : plan.at("layers")) {
    std::vector<std::string> donors;
    for (const Json& donor : layer.at("donors")) {
      donors.push_back(concat(donor.at("expert"), ": ", fixed(donor.at("score").get<double>(), 3)));
    }
    table.rows.push_back(
        {concat(layer.at("layer")), concat(layer.at("new_experts")), join(donors, ", ")});
  }
  return table;
}

/// Old languages' change where a passage of the new one stands before their text; none where that
/// was not measured.
std::vector<eval::Table> behind_tables(const fs::path& run_dir, eval::GateConfig gate) {
  const fs::path baseline = run_dir / "stages" / "evaluate-base" / eval::kBehindFolder;
  const fs::path candidate = run_dir / "stages" / "evaluate" / eval::kBehindFolder;
  if (!fs::exists(baseline) || !fs::exists(candidate)) return {};
  const auto read = [&](const fs::path& folder) {
    return eval::read_result_folder(folder, gate.document_field);
  };
  eval::Table table{
      .title = concat("Old text behind a passage of ", join(gate.new_languages.value(), ", "),
                      " (the gate does not look at it)"),
      .header = {"language", "bits per byte before", "after", "change", "interval", "documents"},
      .rows = {}};
  gate.new_languages->clear();  // they are what the passages are of
  gate.margins.clear();         // no outcome is shown, and some may be of what is not measured here
  gate.metrics.clear();         // likewise
  std::vector<std::string> notes;
  for (const auto& test : eval::compare_results(read(baseline), read(candidate), gate).tests) {
    if (test.outcome == eval::Outcome::kNotComparable) {
      notes.push_back(concat(test.language, " is not comparable: ", test.reason));
      continue;
    }
    table.rows.push_back({test.language, fixed(test.estimate.baseline, 4),
                          fixed(test.estimate.candidate, 4), eval::signed_percent(test.change()),
                          eval::signed_percent(test.interval),
                          human_count(static_cast<uint64_t>(test.estimate.num_documents))});
  }
  table.note = join(notes, "; ");
  return {table};
}

/// "1.97 times as long as the steps"
std::string times_text(double seconds, double of_seconds) {
  return of_seconds > 0 ? concat(fixed(seconds / of_seconds, 2), " times as long as the steps")
                        : "-";
}

std::string within_budget_text(const trainer::TrainConfig& config, const Json& training) {
  if (!config.budget) return "there is none";
  return training.at("within_budget").get<bool>() ? "yes" : "no";
}

/// @param program that made the run; another may print it.
eval::Table provenance_table(const std::string& program, const trainer::TrainConfig& config,
                             const Json& verify, const Json& training, const Json& plan) {
  return {
      .title = "Provenance",
      .header = {"what", "value"},
      .rows = {{"made by", program},
               {"base tensors (SHA-256)", plan.value("model_hash", "")},
               {"added parameters", human_count(plan.at("added_parameters").get<uint64_t>())},
               {"added bytes", human_bytes(plan.at("added_bytes").get<uint64_t>())},
               {"training steps", human_count(training.at("steps").get<uint64_t>())},
               {"training tokens", human_count(training.at("tokens").get<uint64_t>())},
               {"probes took", times_text(training.value("probe_seconds", 0.0),
                                          training.at("seconds").get<double>())},
               {"written step", human_count(training.at("best_step").get<uint64_t>())},
               {"within the budget", within_budget_text(config, training)},
               {"base tensors compared", human_count(verify.at("tensors_checked").get<uint64_t>())},
               {"masked logits", verify.at("masked_logits_equal").get<bool>()
                                     ? "bit-identical to the base's"
                                     : "DIFFERENT"}}};
}

/// "": training ended inside its budget, or had none. The gate judges held-out text alone, and may
/// pass what the budget did not.
std::string budget_note(const trainer::TrainConfig& train, const Json& training) {
  if (!train.budget || training.at("within_budget").get<bool>()) return "";
  const std::string limit = eval::signed_percent(train.budget->max_relative_bpb);
  const auto step = training.at("best_step").get<uint64_t>();
  if (step == 0 && training.value("blend", Json()).is_null()) {
    return concat(
        "Training found nothing inside its budget of ", limit,
        " that knows the new text better: what is judged are the weights from before it.");
  }
  return concat("Training ended outside its budget of ", limit,
                ": what is judged are the least harmful weights it found, of step ",
                human_count(step), ".");
}

/// "": hardly any held-out document is trained on.
std::string trained_on_note(const Json& heldout) {
  constexpr double kToleratedShare = 0.05;
  std::vector<std::string> languages;
  for (const auto& [language, counts] : heldout.items()) {
    const auto trained_on = counts.at("also_trained_on").get<double>();
    const auto documents = counts.at("documents").get<double>();
    if (trained_on > kToleratedShare * documents)
      languages.push_back(concat(language, " (", trained_on, " of ", documents, ")"));
  }
  if (languages.empty()) return "";
  return concat("Held-out documents that are training text, too: ", join(languages, ", "),
                "; what they show is not what other text would.");
}

}  // namespace

eval::Report make_report(const fs::path& run_dir) {
  const PipelineConfig config = read_settings(run_dir);
  const Json extend = stage_json(run_dir, "tokenizer", "extend.json");
  const Json tokens = stage_json(run_dir, "heldout", "tokens.json");
  const Json heldout = stage_json(run_dir, "heldout", "documents.json");
  const Json profile = stage_json(run_dir, "profile", "profile.json");
  const Json plan = stage_json(run_dir, "plan", "plan.json");
  const Json training = stage_json(run_dir, "train", "train.json");
  const Json verify = stage_json(run_dir, "verify", "verify.json");
  Curves curves = read_curves(run_dir / "metrics.jsonl", config.gate.new_languages.value());
  eval::Report report;
  report.title = concat("Adding ", join(config.gate.new_languages.value(), ", "), " to ",
                        fs::path(config.base).filename().string());
  report.comparison = compare_stages(run_dir, config.gate);
  std::vector<std::string> notes = {budget_note(config.train, training), trained_on_note(heldout)};
  std::erase(notes, "");
  report.comparison.note = join(notes, " ");
  for (eval::Chart* chart : {&curves.interference, &curves.causes, &curves.learning, &curves.loss})
    if (!chart->curves.empty()) report.charts.push_back(std::move(*chart));
  report.heat_maps = {similarity_map(profile)};
  report.routing = routing_map(profile);
  report.tables = behind_tables(run_dir, config.gate);
  for (eval::Table& table : tokenizer_tables(tokens)) report.tables.push_back(std::move(table));
  for (const eval::Table& table :
       {guard_table(extend), heldout_table(heldout), additions_table(plan),
        provenance_table(report.comparison.candidate.program, config.train, verify, training,
                         plan)}) {
    report.tables.push_back(table);
  }
  report.resolved_config = read_file(run_dir / kResolvedFile);
  return report;
}

}  // namespace polygraft::cli
