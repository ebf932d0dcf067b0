// tokenizer/corpus.h: texts as the user has them (.txt, .jsonl, plain, .gz, .zst), and the YAML
// that lists them by language.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/file.h"

namespace polygraft {
class Progress;
}

namespace polygraft::tokenizer {

struct Document {
  std::string id;    ///< "id" of the .jsonl line, else "FILE:LINE" (file name without folder, line
                     ///< from 1); what is no UTF-8 of that name is U+FFFD
  std::string text;  ///< valid UTF-8, not white space alone
  std::string context = {};  ///< read before the text and not scored; a file's documents have none
};

/// Calls `visit` for each document of one file, in order; lines and texts of white space alone are
/// skipped, and so is a byte order mark at a file's beginning. Streams: bounded memory.
/// @throws IoError for a missing file, FormatError naming file and line for broken UTF-8, a zero
/// character, broken JSON, a line without "text", or a file without any document.
void for_each_document(const fs::path& file, const std::function<void(Document&&)>& visit);
/// The same for all files, on up to `num_threads` threads (0: the default of core/parallel.h), in
/// no particular order: `visit(document, thread)` is called by several threads at once, each with
/// its number, from 0. Of several errors the first in the files' order is thrown. Ends early, by
/// throwing, when the process is asked to stop. @param progress null, or in bytes of text lines
/// (text_bytes).
void for_each_document_unordered(const std::vector<fs::path>& files, int num_threads,
                                 const std::function<void(Document&&, size_t)>& visit,
                                 Progress* progress = nullptr);
/// Their sizes together; 0, for "not known", where one is compressed.
uint64_t text_bytes(const std::vector<fs::path>& files);
/// How many documents the files have, or `most` where there are more; reads no further than that.
int64_t count_documents(const std::vector<fs::path>& files, int64_t most = INT64_MAX);
std::vector<Document> read_documents(const std::vector<fs::path>& files);
/// Of one file as many as it takes for `num_bytes` of text, at least one; reads no further.
std::vector<Document> read_leading_documents(const fs::path& file, int64_t num_bytes);

/// One language of a corpus.
struct LanguageTexts {
  std::string role;                  ///< "old" (must not get worse) or "new" (to be learned)
  std::vector<std::string> train;    ///< files
  std::vector<std::string> heldout;  ///< files; never trained on

  template <class Visitor>
  void visit(Visitor& v) {
    v.required("role", role, "old: must not get worse; new: to be learned");
    v.field("train", train, "files to learn from");
    v.field("heldout", heldout, "files to measure on; never trained on");
  }
};

/// corpus.yaml: {languages: {en: {role: old, train: [...], heldout: [...]}}}. Paths are absolute
/// after `load_corpus`.
struct Corpus {
  std::map<std::string, LanguageTexts> languages;

  template <class Visitor>
  void visit(Visitor& v) {
    v.required("languages", languages, "texts by language code");
  }
  /// Role is old or new; every listed file exists and is listed once; no language is measured on
  /// what any language trains on.
  void validate(Problems& problems) const;
  std::vector<std::string> with_role(const std::string& role) const;  ///< language codes, sorted
};

/// Relative paths are taken from the YAML's folder. @throws ConfigError listing every problem;
/// IoError where nothing is wrong but that files are missing.
Corpus load_corpus(const fs::path& yaml);
void resolve_paths(Corpus& corpus, const fs::path& base_folder);

}  // namespace polygraft::tokenizer
