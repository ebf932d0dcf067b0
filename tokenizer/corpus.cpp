// tokenizer/corpus.cpp: see corpus.h.
#include "tokenizer/corpus.h"

#include <utility>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "tokenizer/text_stream.h"

namespace polygraft::tokenizer {
namespace {

std::string place(const fs::path& file, int64_t line_number) {
  return concat(file.string(), ":", line_number);
}

void require_utf8(const fs::path& file, int64_t line_number, const std::string& text) {
  const size_t invalid = find_invalid_utf8(text);
  if (invalid == std::string::npos) return;
  throw FormatError(place(file, line_number), "invalid UTF-8")
      .expected("UTF-8 text")
      .found(concat("byte value ", static_cast<unsigned>(static_cast<unsigned char>(text[invalid])),
                    " at byte ", invalid, " of the line"));
}

/// One line of a .jsonl file; an empty text is no document.
Document parse_line(const fs::path& file, int64_t line_number, const std::string& line) {
  const std::string where = place(file, line_number);
  const Json json = parse_json(line, where);
  if (!json.is_object() || !json.contains("text") || !json["text"].is_string()) {
    throw FormatError(where, "no document")
        .expected(R"({"text": "...", "id": "..."})")
        .found(line.substr(0, 80));
  }
  Document document{{}, json["text"].get<std::string>()};
  if (const auto id = json.find("id"); id != json.end() && !id->is_null()) {
    document.id = id->is_string() ? id->get<std::string>() : id->dump();
  }
  return document;
}

}  // namespace

void for_each_document(const fs::path& file, const std::function<void(Document&&)>& visit) {
  const std::string extension = uncompressed_extension(file);
  if (extension != ".txt" && extension != ".jsonl") {
    throw FormatError(file, concat("extension '", extension, "' is not known"))
        .expected(".txt or .jsonl, either also with .gz or .zst");
  }
  TextStream stream(file);
  const std::string name = file.filename().string();
  bool any = false;
  for (std::string line; stream.next_line(line);) {
    if (line.empty()) continue;
    require_utf8(file, stream.line_number(), line);
    Document document = extension == ".txt" ? Document{{}, std::move(line)}
                                            : parse_line(file, stream.line_number(), line);
    line.clear();
    if (document.text.empty()) continue;
    if (document.id.empty()) document.id = concat(name, ":", stream.line_number());
    any = true;
    visit(std::move(document));
  }
  if (!any) {
    throw FormatError(file, "no document in it")
        .found(concat(stream.line_number(), " lines"))
        .expected("at least one line of text");
  }
}

std::vector<Document> read_documents(const std::vector<fs::path>& files) {
  std::vector<Document> documents;
  for (const fs::path& file : files) {
    for_each_document(file, [&](Document&& document) { documents.push_back(std::move(document)); });
  }
  return documents;
}

void Corpus::validate(Problems& problems) const {
  for (const auto& [code, language] : languages) {
    const std::string path = "languages." + code;
    problems.require(language.role == "old" || language.role == "new", path + ".role",
                     language.role, "must be old or new");
    for (const auto& [key, files] :
         {std::pair{"train", &language.train}, std::pair{"heldout", &language.heldout}}) {
      for (const std::string& file : *files) {
        problems.require(fs::is_regular_file(file), concat(path, ".", key), file, "no such file");
      }
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
  auto unchecked = bind_config<UncheckedCorpus>(ConfigSource::from_file(yaml));
  Corpus corpus{std::move(unchecked.languages)};
  resolve_paths(corpus, yaml.parent_path());
  Problems problems;
  corpus.validate(problems);
  problems.throw_if_any(yaml.string());
  return corpus;
}

}  // namespace polygraft::tokenizer
