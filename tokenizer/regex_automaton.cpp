// tokenizer/regex_automaton.cpp: see regex_automaton.h.
#include "tokenizer/regex_automaton.h"

#include <algorithm>
#include <map>
#include <string>

#include "tokenizer/regex_program.h"
#include "tokenizer/utf8.h"

namespace polygraft::tokenizer {

/// States by the list of program positions that they stand for.
class AutomatonBuilder {
 public:
  AutomatonBuilder(const RegexProgram& program, RegexAutomaton& result)
      : program_(program), result_(result) {}

  bool run() {
    if (!make_classes()) return false;
    state_of({});  // row 0
    result_.start_row_ = state_of({program_.start}) * stride();
    for (size_t state = 0; state < kernels_.size(); ++state) {
      if (kernels_.size() > kMostStates) return false;
      add_row(*kernels_[state]);
    }
    make_hopeless_lengths();
    return true;
  }

 private:
  static constexpr size_t kMostStates = 2000, kMostClasses = 250, kMostPages = 255;
  using Kernel = std::vector<uint32_t>;
  struct Interval {
    char32_t first, last;
    uint8_t code_class;
  };

  uint32_t stride() const { return result_.num_classes_ + 1; }
  bool make_classes();
  bool make_pages();
  void add_row(const Kernel& kernel);
  void make_hopeless_lengths();

  uint32_t state_of(const Kernel& kernel) {
    const auto [known, fresh] = states_.try_emplace(kernel, static_cast<uint32_t>(kernels_.size()));
    if (fresh) kernels_.push_back(&known->first);
    return known->second;
  }

  const RegexProgram& program_;
  RegexAutomaton& result_;
  std::vector<Interval> intervals_;         ///< all code points, in order
  std::vector<std::vector<bool>> members_;  ///< [class][set of the program]
  std::map<Kernel, uint32_t> states_;
  std::vector<const Kernel*> kernels_;  ///< by state; a map's keys stay where they are
};

/// Code points that all sets of the program treat alike are one class.
bool AutomatonBuilder::make_classes() {
  std::vector<char32_t> begins{0};
  for (const CodePointSet& set : program_.sets) {
    for (const auto& [first, last] : set.ranges()) {
      begins.push_back(first);
      if (last < CodePointSet::kLast) begins.push_back(last + 1);
    }
  }
  std::sort(begins.begin(), begins.end());
  begins.erase(std::unique(begins.begin(), begins.end()), begins.end());
  std::map<std::vector<bool>, uint8_t> known;
  for (size_t i = 0; i < begins.size(); ++i) {
    std::vector<bool> member;
    for (const CodePointSet& set : program_.sets) member.push_back(set.contains(begins[i]));
    const auto [entry, fresh] = known.try_emplace(member, static_cast<uint8_t>(known.size()));
    if (known.size() > kMostClasses) return false;
    if (fresh) members_.push_back(member);
    const char32_t last = i + 1 < begins.size() ? begins[i + 1] - 1 : CodePointSet::kLast;
    intervals_.push_back({begins[i], last, entry->second});
  }
  result_.num_classes_ = static_cast<uint32_t>(members_.size());
  return make_pages();
}

bool AutomatonBuilder::make_pages() {
  std::map<std::string, uint16_t> known;
  std::string page(256, '\0');
  auto interval = intervals_.begin();
  for (char32_t first = 0; first <= CodePointSet::kLast; first += 256) {
    for (char32_t i = 0; i < 256; ++i) {
      if (first + i > interval->last) ++interval;
      page[i] = static_cast<char>(interval->code_class);
    }
    const auto [entry, fresh] =
        known.try_emplace(page, static_cast<uint16_t>(result_.classes_.size()));
    if (known.size() > kMostPages) return false;
    if (fresh) result_.classes_.insert(result_.classes_.end(), page.begin(), page.end());
    result_.page_[first / 256] = entry->second;
  }
  std::copy_n(result_.classes_.begin() + result_.page_[0], result_.ascii_class_.size(),
              result_.ascii_class_.begin());
  return true;
}

void AutomatonBuilder::add_row(const Kernel& kernel) {
  RegexStepper stepper(program_);
  for (uint32_t code_class = 0; code_class < stride(); ++code_class) {
    const bool at_end = code_class == result_.num_classes_;
    Kernel next;
    const bool match = stepper.step(kernel, at_end ? nullptr : &members_[code_class], next);
    result_.transitions_.push_back(2 * state_of(next) * stride() + (match ? 1 : 0));
  }
}

void AutomatonBuilder::make_hopeless_lengths() {
  const auto lead_of = [](char32_t code_point) {
    std::string text;
    append_utf8(code_point, text);
    return static_cast<unsigned char>(text.front());
  };
  std::array<bool, 256> can_begin{};
  for (const Interval& interval : intervals_) {
    if (result_.transitions_[result_.start_row_ + interval.code_class] == 0) continue;
    for (int lead = lead_of(interval.first); lead <= lead_of(interval.last); ++lead) {
      can_begin[static_cast<size_t>(lead)] = true;
    }
  }
  for (size_t lead = 0; lead < can_begin.size(); ++lead) {
    result_.hopeless_length_[lead] =
        can_begin[lead] ? 0 : static_cast<uint8_t>(utf8_length(static_cast<unsigned char>(lead)));
  }
}

std::unique_ptr<const RegexAutomaton> RegexAutomaton::build(const RegexNode& tree) {
  const auto program = RegexProgram::compile(tree);
  if (!program) return nullptr;
  auto automaton = std::make_unique<RegexAutomaton>();
  return AutomatonBuilder(*program, *automaton).run() ? std::move(automaton) : nullptr;
}

inline size_t RegexAutomaton::match_end(std::string_view text, size_t begin, size_t& seen) const {
  const uint32_t* const transitions = transitions_.data();
  uint32_t row = start_row_;
  size_t last = kNone;
  for (size_t at = begin; at < text.size();) {
    const size_t here = at;
    const auto byte = static_cast<unsigned char>(text[at]);
    uint8_t code_class = 0;
    if (byte < 0x80) {
      code_class = ascii_class_[byte];
      ++at;
    } else {
      code_class = class_of(next_code_point(text, at));
    }
    const uint32_t transition = transitions[row + code_class];
    if ((transition & 1) != 0) last = here;
    row = transition >> 1;
    if (row == 0) return seen = at, last;
  }
  seen = text.size();
  return (transitions[row + num_classes_] & 1) != 0 ? text.size() : last;
}

bool RegexAutomaton::find(std::string_view text, size_t from, size_t& begin, size_t& end,
                          SearchBudget& budget) const {
  while (from < text.size()) {
    const auto lead = static_cast<unsigned char>(text[from]);
    if (hopeless_length_[lead] != 0) {
      from += hopeless_length_[lead];
      continue;
    }
    size_t seen = 0;
    end = match_end(text, from, seen);
    budget.spend(seen - (end != kNone ? end : from));
    if (end != kNone) return begin = from, true;
    if (budget.is_spent()) return begin = from, false;
    from += utf8_length(lead);
  }
  return false;
}

}  // namespace polygraft::tokenizer
