// eval/roles.cpp: see roles.h.
#include "eval/roles.h"

#include "core/error.h"
#include "core/text.h"

namespace polygraft::eval {

std::map<std::string, std::string> stated_roles(const OrderedJson& results) {
  std::map<std::string, std::string> roles;
  const OrderedJson::json_pointer where("/polygraft/languages");
  if (!results.contains(where)) return roles;
  for (const auto& [language, entry] : results[where].items()) {
    const auto role = entry.find("role");
    if (role != entry.end() && role->is_string()) roles[language] = role->get<std::string>();
  }
  return roles;
}

std::vector<std::string> stated_new_languages(const ResultFolder& baseline,
                                              const ResultFolder& candidate) {
  const std::map<std::string, std::string> before = stated_roles(baseline.results);
  std::map<std::string, std::string> roles = stated_roles(candidate.results);
  for (const auto& [language, role] : before) {
    const auto [entry, is_only_there] = roles.emplace(language, role);
    if (is_only_there || entry->second == role) continue;
    throw NotComparable(candidate.path.string(),
                        concat("the corpus list's role of '", language, "' is another than in ",
                               baseline.path.string()))
        .expected(concat("role: ", role))
        .found(concat("role: ", entry->second))
        .hint(concat("say which languages are new: --set new_languages=[", language,
                     "], or [] for none"));
  }
  std::vector<std::string> languages;
  for (const auto& [language, role] : roles)
    if (role == "new") languages.push_back(language);
  return languages;
}

}  // namespace polygraft::eval
