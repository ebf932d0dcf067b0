// cli/generate.cpp: `polygraft generate`: what a model says to a prompt.
#include <iostream>

#include "cli/command.h"
#include "cli/evaluate.h"
#include "cli/text_printer.h"
#include "core/log.h"
#include "core/text.h"
#include "eval/generation.h"
#include "tokenizer/chat_format.h"

namespace polygraft::cli {
namespace {

using tokenizer::TokenId;
using Tokens = std::vector<TokenId>;

struct Prompt {
  Tokens ids, end_tokens;
};

/// As documents are scored: after the tokenizer's own template, or else after BOS (EOS).
Prompt plain_prompt(const std::string& text, const tokenizer::Tokenizer& tokenizer,
                    const fs::path& folder) {
  Prompt prompt{tokenizer.special_template().before, eval::read_end_tokens(folder, tokenizer)};
  if (prompt.ids.empty()) prompt.ids.push_back(tokenizer.prefix_id());
  tokenizer.encode_append(text, prompt.ids);
  return prompt;
}

Prompt chat_prompt(const Arguments& arguments, const tokenizer::Tokenizer& tokenizer,
                   const fs::path& folder) {
  const tokenizer::ChatFormat format = tokenizer::read_chat_format(folder);
  log_info(concat("chat format: ", format.name));
  if (!format.default_system.empty() && !arguments.optional_text("system"))
    log_info(concat("its own system text: ", format.default_system));
  const std::string system = arguments.optional_text("system").value_or("");
  Prompt prompt{{}, eval::read_end_tokens(folder, tokenizer)};
  // Where there is no BOS a template writes nothing for it.
  if (format.starts_with_bos && tokenizer.bos_id()) prompt.ids.push_back(*tokenizer.bos_id());
  tokenizer.encode_append(format.prompt(system, arguments.text("prompt")), prompt.ids);
  if (const auto end = tokenizer.find(format.end)) prompt.end_tokens.push_back(*end);
  return prompt;
}

void check_texts(const Arguments& arguments) {
  for (const char* option : {"prompt", "system"}) {
    const size_t invalid = find_invalid_utf8(arguments.optional_text(option).value_or(""));
    if (invalid == std::string::npos) continue;
    throw ConfigError(concat("--", option), "not valid UTF-8")
        .found(concat("an invalid sequence at byte ", invalid));
  }
  if (!arguments.optional_text("system") || arguments.flag("chat")) return;
  throw ConfigError("--system", "means nothing without --chat")
      .hint("--chat asks in the model's chat format, of which a system text is a part");
}

ExitCode run_generate(const Arguments& arguments) {
  check_texts(arguments);
  const auto options = bind_config<eval::GenerationOptions>(arguments.config_or_defaults());
  const MeasuredModel measured = measured_model(arguments);
  const std::string text = arguments.text("prompt");
  const expand::OpenModel model = open_measured(measured);
  const Prompt prompt = arguments.flag("chat")
                            ? chat_prompt(arguments, model.tokenizer, measured.folder.path)
                            : plain_prompt(text, model.tokenizer, measured.folder.path);
  if (arguments.dry_run()) {
    arguments.say_plan(concat("would continue a prompt of ", prompt.ids.size(), " tokens"));
    return ExitCode::kDone;
  }
  TextPrinter printer(model.tokenizer, arguments.stdout_is_free() ? &std::cout : nullptr);
  const model::Mask mask = mask_of(measured);
  const eval::TextRows rows{prompt.end_tokens,
                            eval::rows_without_token(model.transformer, model.tokenizer, mask)};
  const eval::Generated generated =
      eval::generate(model.transformer, prompt.ids, rows, options, mask,
                     [&](TokenId token) { printer.add(token); });
  printer.finish();
  if (arguments.stdout_is_free()) std::cout << "\n";
  arguments.emit_json({{"text", model.tokenizer.decode(generated.tokens, true)},
                       {"tokens", generated.tokens},
                       {"prompt_tokens", prompt.ids},
                       {"ended", generated.ended}});
  return ExitCode::kDone;
}

}  // namespace

Command generate_command() {
  return {.name = "generate",
          .summary = "what a model says to a prompt; --mask all: what its base says",
          .operands = "",
          .example =
              "polygraft generate --model models/base --prompt 'A spreadsheet is' "
              "--set max_new_tokens=40",
          .add_options =
              [](po::options_description& o) {
                add_measured_model_options(o);
                auto add = o.add_options();
                add("prompt", po::value<std::string>()->value_name("TEXT"),
                    "text to continue, or the question; before a text to continue comes what the "
                    "tokenizer's own template puts there, or else BOS (EOS where there is none)");
                add("chat", po::bool_switch(), "as a question in the model's chat format");
                add("system", po::value<std::string>()->value_name("TEXT"),
                    "with --chat: the system text; the format's own when it is left out");
              },
          .add_operands = nullptr,
          .run = run_generate,
          .settings = documented_settings<eval::GenerationOptions>,
          .takes_config = true};
}

}  // namespace polygraft::cli
