// tokenizer/pattern.cpp: see pattern.h.
#include "tokenizer/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/text.h"
#include "tokenizer/regex_dialect.h"

namespace polygraft::tokenizer {
namespace {

constexpr size_t kJitStackStartBytes = 64 * 1024;
constexpr size_t kStartsAtOnce = 4096;                   // between looks at the clock
constexpr size_t kJitStackMostBytes = 64 * 1024 * 1024;  // reserved only; pages come when used

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

/// The first character's beginning after `at`; the text's end is one.
size_t next_character(std::string_view text, size_t at) {
  do {
    ++at;
  } while (at < text.size() && is_continuation_byte(text[at]));
  return at;
}

/// What a match needs besides the code; one a thread, since PCRE2 writes into it.
struct MatchScratch {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(kJitStackStartBytes, kJitStackMostBytes, nullptr);

  MatchScratch() { pcre2_jit_stack_assign(context, nullptr, stack); }
  MatchScratch(const MatchScratch&) = delete;
  MatchScratch& operator=(const MatchScratch&) = delete;
  ~MatchScratch() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

}  // namespace

struct Pattern::Code {
  pcre2_code* code = nullptr;
  bool jit = false;
  std::string regex;
  std::filesystem::path where;

  Code(const std::string& source, const std::string& translated, std::filesystem::path file)
      : regex(source), where(std::move(file)) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                         PCRE2_UTF | PCRE2_UCP | PCRE2_USE_OFFSET_LIMIT, &error, &offset, nullptr);
    if (code == nullptr) {
      throw FormatError(where, concat("the pattern ", regex, " is no regular expression"))
          .found(concat(pcre2_message(error), " at byte ", offset, " of ", translated));
    }
    jit = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
  }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(code); }

  bool matches_empty() const {
    uint32_t answer = 0;
    pcre2_pattern_info(code, PCRE2_INFO_MATCHEMPTY, &answer);
    return answer != 0;
  }
};

Pattern::Pattern(std::shared_ptr<const Code> code, std::string_view pcre2, PatternEngine engine)
    : code_(std::move(code)) {
  if (engine == PatternEngine::kPcre2) return;
  if (const auto tree = parse_regex(pcre2)) automaton_ = RegexAutomaton::build(*tree);
}

Pattern::Pattern(const std::string& regex, const std::filesystem::path& where,
                 PatternEngine engine) {
  const std::string translated = to_pcre2(regex, where);
  auto code = std::make_shared<Code>(regex, translated, where);
  if (code->matches_empty()) {
    throw NotBuiltError("a Split pattern that can match the empty string")
        .found(concat(regex, " in ", where.string()));
  }
  *this = Pattern(std::move(code), translated, engine);
}

Pattern Pattern::literal(std::string_view text, const std::filesystem::path& where) {
  if (text.empty()) throw FormatError(where, "a Split pattern is the empty string");
  std::string quoted;
  for (const char byte : text) {
    const bool ascii = (byte & 0x80) == 0;
    if (ascii)
      quoted += concat("\\x{", "0123456789ABCDEF"[byte >> 4], "0123456789ABCDEF"[byte & 15], "}");
    else
      quoted += byte;
  }
  return {std::make_shared<Code>(std::string(text), quoted, where), quoted,
          PatternEngine::kFastest};
}

void Pattern::give_up(std::string_view text, size_t from, const std::string& reason) const {
  throw FormatError(code_->where, concat("the pattern ", code_->regex, " gave up on a text"))
      .found(concat(reason, ", from byte ", from, " of ", text.size()))
      .hint("split the text into shorter documents");
}

bool Pattern::find_by_pcre2(std::string_view text, size_t from, Span& match,
                            SearchBudget& budget) const {
  thread_local MatchScratch scratch;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  for (size_t begin = from; begin < text.size();) {
    const size_t last = next_character(text, std::min(begin + kStartsAtOnce, text.size() - 1));
    pcre2_set_offset_limit(scratch.context, last);
    const int result = code_->jit ? pcre2_jit_match(code_->code, subject, text.size(), begin, 0,
                                                    scratch.data, scratch.context)
                                  : pcre2_match(code_->code, subject, text.size(), begin,
                                                PCRE2_NO_UTF_CHECK, scratch.data, scratch.context);
    if (result >= 0) {
      const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(scratch.data);
      match = {bounds[0], bounds[1]};
      return true;
    }
    if (result != PCRE2_ERROR_NOMATCH) give_up(text, begin, pcre2_message(result));
    if (budget.is_out_of_time(text.size())) give_up(text, begin, "too much time was spent");
    begin = last;
  }
  return false;
}

}  // namespace polygraft::tokenizer
