// tokenizer/corpus.cpp: see corpus.h.
#include "tokenizer/corpus.h"

#include <sys/stat.h>

#include <atomic>
#include <set>
#include <utility>

#include "core/error.h"
#include "core/json.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "core/stop.h"
#include "core/text.h"
#include "tokenizer/text_faults.h"
#include "tokenizer/text_stream.h"
#include "tokenizer/white_space.h"

namespace polygraft::tokenizer {
namespace {

/// One line of a file of JSON lines. @throws FormatError.
Json parse_json_line(const std::string& line, const std::string& where) {
  try {
    return parse_json(line, where);
  } catch (FormatError& error) {
    if (!line.starts_with('[')) throw;
    throw std::move(error).hint("jq -c '.[]' OLD > NEW.jsonl makes lines of an array");
  }
}

/// One line of a .jsonl file.
Document parse_line(const fs::path& file, int64_t line_number, const std::string& line) {
  const std::string where = place_of(file, line_number);
  const Json json = parse_json_line(line, where);
  require_text_key(where, json);
  Document document{{}, json["text"].get<std::string>()};
  require_no_zero(where, document.text);
  if (const auto id = json.find("id"); id != json.end() && !id->is_null()) {
    document.id = id->is_string() ? id->get<std::string>() : id->dump();
  }
  return document;
}

/// The lines of one file, and what they say.
class DocumentLines {
 public:
  explicit DocumentLines(const fs::path& file)
      : file_(file),
        name_(valid_utf8(file.filename().string())),
        extension_(require_known_extension(file)),
        stream_(std::make_unique<TextStream>(file)) {}

  struct Line {
    int64_t number = 0;
    std::string text;
  };
  /// False at the end of the file, which is closed then.
  bool next(Line& line) {
    if (!stream_->next_line(line.text)) {
      stream_.reset();
      return false;
    }
    line.number = ++num_lines_;
    return true;
  }

  /// False for a line that is no document: it, or its text, is white space alone.
  bool parse(Line& line, Document& document) const {
    if (line.text.empty() || (extension_ == ".jsonl" && is_blank(line.text))) return false;
    require_text_line(file_, line.number, line.text);
    document = extension_ == ".txt" ? Document{{}, std::move(line.text)}
                                    : parse_line(file_, line.number, line.text);
    if (leading_space(document.text) == document.text.size()) return false;
    if (document.id.empty()) document.id = concat(name_, ":", line.number);
    return true;
  }

  void require_any(bool any) const {
    if (any) return;
    throw FormatError(file_, "no document in it")
        .found(concat(num_lines_, " lines"))
        .expected("at least one line of text");
  }

 private:
  fs::path file_;
  std::string name_, extension_;
  std::unique_ptr<TextStream> stream_;
  int64_t num_lines_ = 0;
};

/// Lines of several files, in blocks that are worth a thread's while.
class LineBlocks {
 public:
  explicit LineBlocks(const std::vector<fs::path>& files) : files_(files) {}

  struct Source {
    explicit Source(const fs::path& file) : lines(file) {}
    DocumentLines lines;
    std::atomic<bool> any = false;
  };
  struct Block {
    std::shared_ptr<Source> source;
    std::vector<DocumentLines::Line> lines;

    uint64_t num_bytes() const {
      uint64_t sum = 0;
      for (const DocumentLines::Line& line : lines) sum += line.text.size() + 1;  // the line's end
      return sum;
    }
  };

  /// False when all files are read.
  bool next(Block& block) {
    constexpr size_t kBlockBytes = 256 << 10;
    size_t num_bytes = 0;
    while (num_bytes < kBlockBytes) {
      if (!source_ && !open_next()) return false;
      DocumentLines::Line line;
      if (!source_->lines.next(line)) {
        block.source = std::exchange(source_, nullptr);
        return true;
      }
      num_bytes += line.text.size() + sizeof line;
      block.lines.push_back(std::move(line));
    }
    block.source = source_;
    return true;
  }

  /// To be called when all blocks are parsed.
  void require_documents() const {
    for (const auto& source : opened_) source->lines.require_any(source->any);
  }

 private:
  bool open_next() {
    if (opened_.size() == files_.size()) return false;
    opened_.push_back(std::make_shared<Source>(files_[opened_.size()]));
    source_ = opened_.back();
    return true;
  }

  const std::vector<fs::path>& files_;
  std::vector<std::shared_ptr<Source>> opened_;
  std::shared_ptr<Source> source_;
};

}  // namespace

void for_each_document(const fs::path& file, const std::function<void(Document&&)>& visit) {
  DocumentLines lines(file);
  bool any = false;
  Document document;
  for (DocumentLines::Line line; lines.next(line);) {
    if (!lines.parse(line, document)) continue;
    any = true;
    visit(std::move(document));
  }
  lines.require_any(any);
}

void for_each_document_unordered(const std::vector<fs::path>& files, int num_threads,
                                 const std::function<void(Document&&, size_t)>& visit,
                                 Progress* progress) {
  LineBlocks blocks(files);
  const auto work = [&visit](LineBlocks::Block& block, size_t thread) {
    Document document;
    for (DocumentLines::Line& line : block.lines) {
      throw_if_stopped();
      if (!block.source->lines.parse(line, document)) continue;
      block.source->any = true;
      visit(std::move(document), thread);
    }
  };
  parallel_tasks(num_threads, [&]() -> Task {
    auto block = std::make_shared<LineBlocks::Block>();
    if (!blocks.next(*block)) return {};
    if (progress != nullptr) progress->advance(block->num_bytes());
    return [&work, block](size_t thread) { work(*block, thread); };
  });
  blocks.require_documents();
}

uint64_t text_bytes(const std::vector<fs::path>& files) {
  uint64_t sum = 0;
  for (const fs::path& file : files) {
    if (file.extension() != uncompressed_extension(file)) return 0;
    std::error_code unreadable;  // said when the file is opened
    const uintmax_t size = fs::file_size(file, unreadable);
    sum += unreadable ? 0 : size;
  }
  return sum;
}

int64_t count_documents(const std::vector<fs::path>& files, int64_t most) {
  int64_t count = 0;
  Document document;
  for (const fs::path& file : files) {
    DocumentLines lines(file);
    for (DocumentLines::Line line; count < most && lines.next(line);) {
      if (lines.parse(line, document)) ++count;
    }
  }
  return count;
}

std::vector<Document> read_leading_documents(const fs::path& file, int64_t num_bytes) {
  std::vector<Document> documents;
  DocumentLines lines(file);
  Document document;
  int64_t bytes_read = 0;
  for (DocumentLines::Line line; bytes_read < num_bytes && lines.next(line);) {
    if (!lines.parse(line, document)) continue;
    bytes_read += static_cast<int64_t>(document.text.size());
    documents.push_back(std::move(document));
  }
  lines.require_any(!documents.empty());
  return documents;
}

std::vector<Document> read_documents(const std::vector<fs::path>& files) {
  std::vector<Document> documents;
  for (const fs::path& file : files) {
    for_each_document(file, [&](Document&& document) { documents.push_back(std::move(document)); });
  }
  return documents;
}

namespace {

/// The same for one file by whatever path, links included.
std::string identity_of(const std::string& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) == 0) return concat(status.st_dev, ":", status.st_ino);
  return fs::path(file).lexically_normal().string();
}

/// Which language trains on a file, by identity; the first of several.
std::map<std::string, std::string> trained_on(const Corpus& corpus) {
  std::map<std::string, std::string> languages;
  for (const auto& [code, language] : corpus.languages) {
    for (const std::string& file : language.train) languages.emplace(identity_of(file), code);
  }
  return languages;
}

void require_files(const std::string& path, const std::vector<std::string>& files,
                   Problems& problems) {
  std::set<std::string> listed;
  for (const std::string& file : files) {
    problems.require_file(path, file);
    problems.require(listed.insert(identity_of(file)).second, path, file,
                     "is listed twice: its documents would count twice");
  }
}

}  // namespace

void Corpus::validate(Problems& problems) const {
  const std::map<std::string, std::string> trained = trained_on(*this);
  for (const auto& [code, language] : languages) {
    const std::string path = "languages." + code;
    problems.require(language.role == "old" || language.role == "new", path + ".role",
                     language.role, "must be old or new");
    require_files(path + ".train", language.train, problems);
    require_files(path + ".heldout", language.heldout, problems);
    for (const std::string& file : language.heldout) {
      const auto found = trained.find(identity_of(file));
      if (found == trained.end()) continue;
      problems.require(
          false, path + ".heldout", file,
          concat("is trained on, too, as text of ", found->second, ": it would prove nothing"));
    }
  }
}

std::vector<std::string> Corpus::with_role(const std::string& role) const {
  std::vector<std::string> codes;
  for (const auto& [code, language] : languages) {
    if (language.role == role) codes.push_back(code);
  }
  return codes;
}

void resolve_paths(Corpus& corpus, const fs::path& base_folder) {
  for (auto& [code, language] : corpus.languages) {
    for (std::vector<std::string>* files : {&language.train, &language.heldout}) {
      for (std::string& file : *files) {
        file = fs::absolute(base_folder / file).lexically_normal().string();
      }
    }
  }
}

namespace {

/// The same fields without the check, which must see resolved paths.
struct UncheckedCorpus {
  std::map<std::string, LanguageTexts> languages;
  template <class Visitor>
  void visit(Visitor& v) {
    v.required("languages", languages, "texts by language code");
  }
};

}  // namespace

Corpus load_corpus(const fs::path& yaml) {
  const ConfigSource source = ConfigSource::from_file(yaml);
  Corpus corpus{bind_config<UncheckedCorpus>(source).languages};
  Problems problems;
  ConfigReader(source, problems).required("languages", corpus.languages, "");  // for their lines
  resolve_paths(corpus, yaml.parent_path());
  corpus.validate(problems);
  problems.throw_if_any(yaml.string());
  return corpus;
}

}  // namespace polygraft::tokenizer
