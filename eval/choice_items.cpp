// eval/choice_items.cpp: task files -> items, every broken line named.
#include <set>

#include "core/error.h"
#include "core/text.h"
#include "eval/choice.h"
#include "tokenizer/text_stream.h"

namespace polygraft::eval {
namespace {

std::string id_text(const OrderedJson& json, const fs::path& where) {
  const auto id = json.find("id");
  if (id == json.end()) throw FormatError(where, "key 'id' is missing");
  return id->is_string() ? id->get<std::string>() : id->dump();
}

void check_item(const ChoiceItem& item, const fs::path& where) {
  const auto num_choices = static_cast<int64_t>(item.choices.size());
  if (num_choices < 2) {
    throw FormatError(where, "too few choices").expected("at least 2").found(concat(num_choices));
  }
  for (const std::string& choice : item.choices) {
    if (choice.empty()) throw FormatError(where, "a choice is empty");
  }
  if (item.gold < 0 || item.gold >= num_choices) {
    throw FormatError(where, "key 'gold' is no choice's index")
        .expected(concat("0 to ", num_choices - 1))
        .found(concat(item.gold));
  }
  if (item.language.empty()) throw FormatError(where, "key 'language' is empty");
}

ChoiceItem parse_item(const std::string& line, const fs::path& where) {
  if (const size_t invalid = find_invalid_utf8(line); invalid != std::string::npos) {
    throw FormatError(where, "invalid UTF-8").found(concat("a broken sequence at byte ", invalid));
  }
  ChoiceItem item;
  item.json = parse_ordered_json(line, where);
  if (!item.json.is_object()) {
    throw FormatError(where, "no item")
        .expected(R"({"id", "language", "context", "choices": [...], "gold": 0})")
        .found(line.substr(0, 80));
  }
  item.id = id_text(item.json, where);
  item.language = json_get<std::string>(item.json, "language", where);
  item.context = json_get<std::string>(item.json, "context", where);
  item.choices = json_get<std::vector<std::string>>(item.json, "choices", where);
  item.gold = json_get<int64_t>(item.json, "gold", where);
  check_item(item, where);
  return item;
}

std::string task_stem(const fs::path& file) {
  if (tokenizer::uncompressed_extension(file) != ".jsonl") {
    throw ConfigError("tasks", concat(file.string(), " is no task file"))
        .expected(".jsonl, .jsonl.gz or .jsonl.zst");
  }
  const std::string name = file.filename().string();
  return name.substr(0, name.rfind(".jsonl"));
}

std::string task_name(const std::string& stem, const std::string& language) {
  const std::string ending = "_" + language;
  return stem.ends_with(ending) ? stem : stem + ending;
}

bool is_ascii_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool joins_words(const std::string& context, const std::string& choice) {
  return !context.empty() && !choice.empty() && is_ascii_alphanumeric(context.back()) &&
         is_ascii_alphanumeric(choice.front());
}

/// The last word of a context and the first of a choice, where they join.
std::string seam(const std::string& context, const std::string& choice) {
  const size_t space = context.find_last_of(" \n\t");
  const size_t begin = space == std::string::npos ? 0 : space + 1;
  return printable(concat(context.substr(begin), choice.substr(0, choice.find_first_of(" \n\t"))));
}

}  // namespace

std::string find_joined_words(const std::map<std::string, std::vector<ChoiceItem>>& tasks) {
  for (const auto& [task, items] : tasks) {
    for (const ChoiceItem& item : items) {
      for (const std::string& choice : item.choices) {
        if (!joins_words(item.context, choice)) continue;
        return concat(task, ", item '", item.id, "': '", seam(item.context, choice), "'");
      }
    }
  }
  return "";
}

std::map<std::string, std::vector<ChoiceItem>> read_choice_items(
    const std::vector<fs::path>& files) {
  if (files.empty()) throw ConfigError("tasks", "no task file is named");
  std::map<std::string, std::vector<ChoiceItem>> tasks;
  std::map<std::string, std::set<std::string>> ids;
  for (const fs::path& file : files) {
    const std::string stem = task_stem(file);
    bool any = false;
    tokenizer::TextStream lines(file);
    for (std::string line; lines.next_line(line);) {
      if (is_blank(line)) continue;
      const fs::path where = concat(file.string(), ":", lines.line_number());
      ChoiceItem item = parse_item(line, where);
      const std::string task = task_name(stem, item.language);
      if (!ids[task].insert(item.id).second) {
        throw FormatError(where, concat("item '", item.id, "' is listed twice"));
      }
      tasks[task].push_back(std::move(item));
      any = true;
    }
    if (!any) throw FormatError(file, "no item in it");
  }
  return tasks;
}

}  // namespace polygraft::eval
