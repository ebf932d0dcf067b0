// eval/cloze.cpp: see cloze.h.
#include "eval/cloze.h"

#include <map>
#include <set>
#include <unordered_map>

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

/// Where a context that begins at `begin` ends. A word end in its first half would leave too little
/// of it.
size_t end_of_context(std::string_view text, size_t begin, const ClozeOptions& options) {
  const size_t half = advance(text, begin, options.context_characters / 2);
  return back_to_word_end(text, half, advance(text, begin, options.context_characters));
}

/// Passages of one document, one after the other; what is left at the end, shorter than a context
/// and a continuation, is left out, and so are places where white space fills a continuation.
std::vector<Passage> cut_document(size_t index, std::string_view text,
                                  const ClozeOptions& options) {
  std::vector<Passage> passages;
  size_t begin = tokenizer::leading_space(text);
  while (static_cast<int64_t>(passages.size()) < options.items_per_document) {
    const size_t context_end = end_of_context(text, begin, options);
    const size_t full = advance(text, context_end, options.continuation_characters);
    if (full == text.size()) break;  // the rest is shorter than a continuation
    const size_t first_word = context_end + tokenizer::leading_space(text.substr(context_end));
    if (first_word >= full) {
      begin = first_word;
      continue;
    }
    const size_t end = back_to_word_end(text, first_word, full);
    passages.push_back({index, static_cast<int64_t>(passages.size()),
                        std::string(text.substr(begin, context_end - begin)),
                        std::string(text.substr(context_end, end - context_end))});
    begin = end + tokenizer::leading_space(text.substr(end));
  }
  return passages;
}

/// Ids that differ: of several documents "x" the second is "x~2", as files in two folders that
/// have the same name make them.
std::vector<std::string> unique_ids(const std::vector<tokenizer::Document>& documents) {
  std::set<std::string> taken;
  for (const tokenizer::Document& document : documents) taken.insert(document.id);
  std::map<std::string, int64_t> counts;
  std::vector<std::string> ids;
  for (const tokenizer::Document& document : documents) {
    std::string id = document.id;
    int64_t& count = counts[document.id];
    if (++count > 1) {
      while (!taken.insert(id = concat(document.id, "~", count)).second) ++count;
    }
    ids.push_back(std::move(id));
  }
  return ids;
}

/// The numbers below `size` in a drawn order (Fisher and Yates), one after the other: an item takes
/// a few of what may be a million passages.
class DrawnOrder {
 public:
  DrawnOrder(size_t size, RandomStream& random) : left_(size), random_(random) {}
  bool is_over() const { return left_ == 0; }
  size_t next() {
    const size_t place = random_.below(left_--);
    const size_t drawn = at(place);
    moved_[place] = at(left_);  // the last one takes its place
    return drawn;
  }

 private:
  size_t at(size_t place) const {
    const auto found = moved_.find(place);
    return found == moved_.end() ? place : found->second;
  }
  size_t left_;
  RandomStream& random_;
  std::unordered_map<size_t, size_t> moved_;
};

/// The wrong choices of one item: the passages of other documents, in an order drawn for the item.
std::vector<std::string> draw_wrong(const Passage& right, const std::vector<Passage>& all,
                                    RandomStream& random, size_t count) {
  std::set<std::string> seen = {right.continuation};
  std::vector<std::string> wrong;
  for (DrawnOrder order(all.size(), random); !order.is_over() && wrong.size() < count;) {
    const Passage& other = all[order.next()];
    if (other.document == right.document) continue;
    if (seen.insert(other.continuation).second) wrong.push_back(other.continuation);
  }
  return wrong;
}

OrderedJson make_item(const std::string& language, const std::string& document,
                      const Passage& right, const std::vector<Passage>& all,
                      const ClozeOptions& options) {
  const std::string id = concat(document, "#", right.number);
  RandomStream random(static_cast<uint64_t>(options.seed), concat("cloze/", language, "/", id));
  const auto num_wrong = static_cast<size_t>(options.choices - 1);
  std::vector<std::string> choices = draw_wrong(right, all, random, num_wrong);
  if (choices.size() < num_wrong) {
    throw ConfigError(concat("cloze items of '", language, "'"), "there are too few long documents")
        .expected(
            concat(num_wrong, " different passages beside those of document '", document, "'"))
        .found(concat(choices.size()))
        .hint(
            "give more held-out text, or lower context_characters, continuation_characters or "
            "choices");
  }
  const uint64_t gold = random.below(static_cast<uint64_t>(options.choices));
  choices.insert(choices.begin() + static_cast<std::ptrdiff_t>(gold), right.continuation);
  OrderedJson item;
  item["id"] = id;
  item["document"] = document;
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
  const std::vector<std::string> ids = unique_ids(documents);
  std::vector<OrderedJson> items;
  for (const Passage& right : passages) {
    items.push_back(make_item(language, ids[right.document], right, passages, options));
  }
  return items;
}

std::string cloze_task_yaml(const std::string& task, const std::string& file) {
  // As JSON strings, which YAML reads: a language's name may hold what YAML has a meaning for.
  return concat("# For lm_eval --include_path, started in the folder of ", file, ".\n",
                "task: ", Json(task).dump(),
                "\ndataset_path: json\ndataset_kwargs: {data_files: {test: ", Json(file).dump(),
                "}}\ntest_split: test\noutput_type: multiple_choice\n"
                "doc_to_text: context\ndoc_to_choice: choices\ndoc_to_target: gold\n"
                "target_delimiter: \"\"\nmetric_list: [{metric: acc}, {metric: acc_norm}, "
                "{metric: acc_bytes}]\nmetadata: {version: 1.0}\n");
}

}  // namespace polygraft::eval
