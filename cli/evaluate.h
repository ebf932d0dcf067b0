// cli/evaluate.h: a model folder measured: bits per byte of a corpus's held-out text, multiple
// choice. The commands and the pipeline share it.
#pragma once
#include "cli/model_option.h"
#include "core/file.h"
#include "core/folder_lock.h"
#include "eval/choice.h"
#include "eval/results.h"
#include "expand/packs/open_model.h"
#include "model/checkpoint/model_folder.h"
#include "tokenizer/corpus.h"

namespace polygraft::cli {

/// A model, and which additions take part in measuring it.
struct MeasuredModel {
  model::ModelFolder folder;
  std::string mask = "none";      ///< "all": no addition does; a pack's name: all but that pack's
  expand::PackChoice packs = {};  ///< put onto the model in memory
  fs::path unfinished;       ///< a folder that keeps scores, so that a killed evaluation continues;
                             ///< "": none are kept
  parallel::Team team = {};  ///< shares the texts out; results are the same on all
};

/// Where an evaluation into `output` keeps what it has: OUTPUT.unfinished, one process at a time.
/// It is removed once the results are in place, and when there is nothing in it.
class Unfinished {
 public:
  /// @throws ConfigError when another process works there; IoError.
  explicit Unfinished(fs::path folder) : folder_(std::move(folder)), lock_(folder_) {}
  ~Unfinished();
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  /// With a slash at the output's end, too: within it the folder would be in its own results' way.
  static fs::path beside(const fs::path& output) {
    return (output / "").lexically_normal().parent_path().string() + ".unfinished";
  }
  const fs::path& folder() const { return folder_; }
  void remove();

 private:
  fs::path folder_;
  FolderLock lock_;
};

/// The output folder of an evaluation, and what it keeps until then. One rank has it.
class EvaluationOutput {
 public:
  /// @throws ConfigError when the folder exists and `replace` is false, or somebody else writes it.
  EvaluationOutput(const fs::path& output, bool replace)
      : folder_(output, replace), unfinished_(Unfinished::beside(output)) {}

  const fs::path& path() const { return folder_.path(); }  ///< where to write until commit()
  void commit();

 private:
  AtomicFolder folder_;
  Unfinished unfinished_;
};

/// The options of model_option.h and --mask, and what they say.
void add_measured_model_options(po::options_description& options);
MeasuredModel measured_model(const Arguments& arguments);

/// Without reading weights (those of a base that packs are put onto aside), what open_measured()
/// would refuse. @throws what it throws.
void check_measured(const MeasuredModel& measured);

/// The model in memory, packs put on or taken off. Where all additions are masked, its tokenizer
/// cuts text as the base does.
expand::OpenModel open_measured(const MeasuredModel& measured);
model::Mask mask_of(const MeasuredModel& measured);

struct BpbOptions {
  bool causes = false;      ///< also split the change on old languages by cause (eval/causes.h)
  std::string behind = {};  ///< a language whose passages stand before the others' documents
                            ///< (eval/quotation.h); it is not measured itself
};

/// @throws ConfigError when a language has no held-out text, or when there is no other language
/// than `behind`.
void check_corpus(const tokenizer::Corpus& corpus, const BpbOptions& options);

/// @throws as check_corpus(); ConfigError for causes of a mask or of a model without additions.
eval::BpbResult evaluate_bpb(const MeasuredModel& measured, const tokenizer::Corpus& corpus,
                             const BpbOptions& options = {});

/// A warning of the first question that looks as if its choices lacked their leading space, or "".
std::string joined_words_warning(const std::map<std::string, std::vector<eval::ChoiceItem>>& tasks);

eval::ChoiceResult evaluate_choice(
    const MeasuredModel& measured,
    const std::map<std::string, std::vector<eval::ChoiceItem>>& tasks);

}  // namespace polygraft::cli
