// tests/tokenizer/extension_setting.h: a byte-level tokenizer learned from two invented languages,
// to be extended by the text of a third.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "sample_tokenizer.h"
#include "tokenizer/bpe_trainer.h"

namespace polygraft::tokenizer {

struct ExtensionSetting {
  TemporaryFolder folder;
  fs::path old_text = folder.write("old.txt", invented_text(1, "abcdeeaa"));
  fs::path other_old_text = folder.write("other.txt", invented_text(2, "bcdefgaa"));
  fs::path new_text = folder.write("new.txt", invented_text(3, "cdefghae"));
  fs::path source = folder.path() / "source";
  fs::path target = folder.path() / "target";

  ExtensionSetting() {
    TrainOptions options;
    options.vocab_size = 330;
    train_tokenizer({old_text, other_old_text}, options, source);
  }
  ExtendReport extend(int64_t new_tokens, bool guarded = true) const {
    ExtendOptions options;
    options.new_tokens = new_tokens;
    std::map<std::string, std::vector<fs::path>> guard{{"o1", {old_text}},
                                                       {"o2", {other_old_text}}};
    if (!guarded) guard.clear();
    return extend_tokenizer(source, {{"nw", {new_text}}}, guard, options, target);
  }
};

}  // namespace polygraft::tokenizer
