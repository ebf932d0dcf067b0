// eval/cloze.cpp: see cloze.h.
#include "eval/cloze.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/random.h"
#include "core/text.h"
#include "tokenizer/utf8.h"
#include "tokenizer/white_space.h"

namespace polygraft::eval {
namespace {

/// A place in a document: what is read, and what comes then (with the white space between them).
struct Passage {
  size_t document = 0;
  int64_t number = 0;  ///< within the document, from 0
  std::string context, continuation;
};

/// Byte offset `num_characters` code points after `begin`, or the text's end.
size_t advance(std::string_view text, size_t begin, int64_t num_characters) {
  while (num_characters-- > 0 && begin < text.size()) tokenizer::next_code_point(text, begin);
  return begin;
}

bool is_word_end(std::string_view text, size_t at) {
  return at == text.size() || tokenizer::leading_space(text.substr(at)) > 0;
}

/// The last word end in (begin, end], or `end` where there is none: a text without spaces is cut
/// between any two characters.
size_t back_to_word_end(std::string_view text, size_t begin, size_t end) {
  for (size_t at = end; at > begin; --at) {
    if (!is_continuation_byte(at < text.size() ? text[at] : ' ') && is_word_end(text, at))
      return at;
  }
  return end;
}

/// Passages of one document, one after the other; what is left at the end, shorter than a context
/// and a continuation, is left out.
std::vector<Passage> cut_document(size_t index, std::string_view text,
                                  const ClozeOptions& options) {
  std::vector<Passage> passages;
  size_t begin = 0;
  while (static_cast<int64_t>(passages.size()) < options.items_per_document) {
    const size_t context_end =
        back_to_word_end(text, begin, advance(text, begin, options.context_characters));
    const size_t full = advance(text, context_end, options.continuation_characters);
    if (full == text.size()) break;  // the rest is shorter than a continuation
    const size_t end = back_to_word_end(text, context_end, full);
    passages.push_back({index, static_cast<int64_t>(passages.size()),
                        std::string(text.substr(begin, context_end - begin)),
                        std::string(text.substr(context_end, end - context_end))});
    begin = end + tokenizer::leading_space(text.substr(end));
  }
  return passages;
}

/// The wrong choices of one item: the passages of other documents, in an order drawn for the item.
std::vector<std::string> draw_wrong(const Passage& right, const std::vector<Passage>& all,
                                    RandomStream& random, size_t count) {
  std::set<std::string> seen = {right.continuation};
  std::vector<std::string> wrong;
  for (const int64_t i : random.permutation(static_cast<int64_t>(all.size()))) {
    if (wrong.size() == count) break;
    const Passage& other = all[static_cast<size_t>(i)];
    if (other.document == right.document) continue;
    if (seen.insert(other.continuation).second) wrong.push_back(other.continuation);
  }
  return wrong;
}

OrderedJson make_item(const std::string& language, const tokenizer::Document& document,
                      const Passage& right, const std::vector<Passage>& all,
                      const ClozeOptions& options) {
  const std::string id = concat(document.id, "#", right.number);
  RandomStream random(static_cast<uint64_t>(options.seed), concat("cloze/", language, "/", id));
  const auto num_wrong = static_cast<size_t>(options.choices - 1);
  std::vector<std::string> choices = draw_wrong(right, all, random, num_wrong);
  if (choices.size() < num_wrong) {
    throw ConfigError(concat("cloze items of '", language, "'"), "there are too few long documents")
        .expected(
            concat(num_wrong, " different passages beside those of document '", document.id, "'"))
        .found(concat(choices.size()))
        .hint(
            "give more held-out text, or lower context_characters, continuation_characters or "
            "choices");
  }
  const uint64_t gold = random.below(static_cast<uint64_t>(options.choices));
  choices.insert(choices.begin() + static_cast<std::ptrdiff_t>(gold), right.continuation);
  OrderedJson item;
  item["id"] = id;
  item["document"] = document.id;
  item["language"] = language;
  item["context"] = right.context;
  item["choices"] = choices;
  item["gold"] = gold;
  return item;
}

}  // namespace

void ClozeOptions::validate(Problems& problems) const {
  problems.require_in("choices", choices, 2, 26);
  problems.require_in("context_characters", context_characters, 1, 100'000);
  problems.require_in("continuation_characters", continuation_characters, 1, 10'000);
  problems.require_in("items_per_document", items_per_document, 1, 1'000);
  problems.require_at_least("seed", seed, 0);
}

std::vector<OrderedJson> make_cloze_items(const std::string& language,
                                          const std::vector<tokenizer::Document>& documents,
                                          const ClozeOptions& options) {
  std::vector<Passage> passages;
  for (size_t d = 0; d < documents.size(); ++d) {
    for (Passage& passage : cut_document(d, documents[d].text, options)) {
      passages.push_back(std::move(passage));
    }
  }
  if (passages.empty()) {
    throw ConfigError(concat("cloze items of '", language, "'"), "no document is long enough")
        .expected(concat("more than ", options.context_characters, " + ",
                         options.continuation_characters, " characters in one document"));
  }
  std::vector<OrderedJson> items;
  for (const Passage& right : passages) {
    items.push_back(make_item(language, documents[right.document], right, passages, options));
  }
  return items;
}

std::string cloze_task_yaml(const std::string& task, const std::string& file) {
  return concat("# For lm_eval --include_path, started in the folder of ", file, ".\n",
                "task: ", task, "\ndataset_path: json\ndataset_kwargs: {data_files: {test: ", file,
                "}}\ntest_split: test\noutput_type: multiple_choice\n"
                "doc_to_text: context\ndoc_to_choice: choices\ndoc_to_target: gold\n"
                "target_delimiter: \"\"\nmetric_list: [{metric: acc}, {metric: acc_norm}, "
                "{metric: acc_bytes}]\nmetadata: {version: 1.0}\n");
}

}  // namespace polygraft::eval
