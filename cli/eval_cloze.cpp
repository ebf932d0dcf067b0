// cli/eval_cloze.cpp: `polygraft eval cloze`: multiple-choice items out of held-out text.
#include <iostream>
#include <set>

#include "cli/command.h"
#include "cli/tokenizer_tables.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "eval/cloze.h"
#include "eval/results.h"

namespace polygraft::cli {
namespace {

void write_task(const std::string& language, const std::vector<OrderedJson>& items,
                const fs::path& folder) {
  const std::string task = "cloze_" + language;
  AtomicFile out(folder / (task + ".jsonl"));
  for (const OrderedJson& item : items) out.write(item.dump() + "\n");
  out.commit();
  write_file_atomically(folder / (task + ".yaml"), eval::cloze_task_yaml(task, task + ".jsonl"));
}

/// Whose passages the items are: an id is a document's and a number.
size_t count_documents(const std::vector<OrderedJson>& items) {
  std::set<std::string> documents;
  for (const OrderedJson& item : items) {
    const auto id = item.at("id").get<std::string>();
    documents.insert(id.substr(0, id.rfind('#')));
  }
  return documents.size();
}

ExitCode run_eval_cloze(const Arguments& arguments) {
  const auto corpus = tokenizer::load_corpus(arguments.path("corpus"));
  const auto options = bind_config<eval::ClozeOptions>(arguments.config_or_defaults());
  const auto texts = corpus_files(corpus, "heldout");
  Problems problems;
  for (const auto& entry : texts) eval::check_name("languages", entry.first, problems);
  problems.throw_if_any("corpus");
  const fs::path output = arguments.output();
  if (arguments.dry_run()) {
    arguments.say_plan(
        concat("would make items of ", corpus.languages.size(), " languages in ", output));
    return ExitCode::kDone;
  }
  AtomicFolder target(output, arguments.force());
  Json counts = Json::object();
  for (const auto& [language, files] : texts) {
    const auto documents = tokenizer::read_documents(files);
    const auto items = eval::make_cloze_items(language, documents, options);
    write_task(language, items, target.path());
    counts[language] = items.size();
    if (arguments.stdout_is_free()) {
      std::cout << "cloze_" << language << ": " << items.size() << " items of "
                << count_documents(items) << " documents, of " << documents.size() << "\n";
    }
  }
  write_file_atomically(target.path() / "options.yaml", config_to_yaml(options));
  target.commit();
  log_info(concat("items written to ", output.string()));
  arguments.emit_json({{"items", counts}, {"output", output.string()}});
  return ExitCode::kDone;
}

}  // namespace

Command eval_cloze_command() {
  return {.name = "eval cloze",
          .summary = "multiple-choice items made from held-out text",
          .operands = "",
          .example = "polygraft eval cloze --corpus data/corpus.yaml -o tasks",
          .add_options =
              [](po::options_description& o) {
                o.add_options()("corpus", po::value<std::string>()->value_name("FILE"),
                                "corpus.yaml");
              },
          .add_operands = nullptr,
          .run = run_eval_cloze,
          .settings = documented_settings<eval::ClozeOptions>,
          .takes_config = true,
          .writes_output = true};
}

}  // namespace polygraft::cli
