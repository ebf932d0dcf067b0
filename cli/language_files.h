// cli/language_files.h: text files on a command line, by language.
#pragma once
#include <string>
#include <vector>

namespace polygraft::cli {

struct LanguageFiles {
  std::string language;            ///< "" where none is named
  std::vector<std::string> files;  ///< as they were given; they need not exist
};

/// "[LANG=]FILE[,FILE...]". What exists under a name with a comma, or with "=", is one file.
LanguageFiles parse_language_files(const std::string& value);

}  // namespace polygraft::cli
