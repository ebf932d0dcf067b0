// eval/margins.cpp: what a gate asks of single tasks, languages and metrics: each must be there,
// and a margin of something old.
#include "core/error.h"
#include "core/text.h"
#include "eval/compare.h"

namespace polygraft::eval {

void MeasuredNames::add(const std::string& task, const std::string& language, bool is_new) {
  std::set<std::string>& names = is_new ? of_new : of_old;
  names.insert(task);
  if (!language.empty()) names.insert(language);
}

void check_margins(const GateConfig& gate, const std::string& key, const MeasuredNames& names) {
  const std::vector<std::string> known(names.of_old.begin(), names.of_old.end());
  for (const auto& [name, margin] : gate.margins) {
    if (names.of_old.contains(name)) continue;
    const std::string where = concat(key, ".", name);
    if (names.of_new.contains(name)) {
      throw ConfigError(where, "is a margin of a new language, which must gain")
          .expected(
              "min_new_gain_relative, how much its bits per byte must fall; accuracy must not")
          .hint("remove the margin, or gate the language as an old one (new_languages)");
    }
    const std::string nearest = nearest_name(name, known);
    throw ConfigError(where, "no task and no old language of the comparison has this name")
        .expected(concat("one of ", join(known, ", ")))
        .hint(nearest.empty() ? "remove the margin or correct its name"
                              : concat("did you mean '", nearest, "'?"));
  }
}

void check_metrics(const GateConfig& gate, const std::string& key,
                   const std::set<std::string>& known) {
  const std::vector<std::string> names(known.begin(), known.end());
  for (const std::string& metric : gate.metrics) {
    if (known.contains(metric)) continue;
    const std::string nearest = nearest_name(metric, names);
    throw ConfigError(key, concat("no task of the comparison has the metric '", metric, "'"))
        .expected(concat("one of ", join(names, ", ")))
        .hint(nearest.empty() ? "remove the metric or correct its name"
                              : concat("did you mean '", nearest, "'?"));
  }
}

}  // namespace polygraft::eval
