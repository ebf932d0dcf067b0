// cli/pipeline/repeated_text.h: documents that stand where they should not: among what is measured
// and among what is trained on, or in the new language's text and in an old one's. File names do
// not tell; the documents do.
#pragma once
#include <string>
#include <vector>

#include "tokenizer/corpus.h"

namespace polygraft::cli {

/// A sentence for each language of whose held-out documents more than one in 20 are trained on, and
/// for each old one that shares as many of the new one's training documents. Equal is what has the
/// same bytes. Looks at the first 64 MiB of a language's text, and passes files that do not exist.
std::vector<std::string> find_repeated_text(const tokenizer::Corpus& corpus);

}  // namespace polygraft::cli
