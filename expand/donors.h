// expand/donors.h: which experts a new language's experts are cloned from. Pure.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "expand/plan.h"

namespace polygraft::expand {

/// Old languages by similarity to `language`, nearest first; equal ones by name.
/// @throws ConfigError when `language` is not in the profile (the nearest name is given) or no old
/// language is.
std::vector<std::pair<std::string, double>> rank_old_languages(const Profile& profile,
                                                               const std::string& language);

/// The `num_donors` experts of a layer with the highest score, best first; ties to the lower id.
///   used:    score(e) = s_new(e)
///   nearest: score(e) = s_new(e) x specificity(e), specificity(e) = mean of s_l(e) over the
///   nearest languages
///            / mean of s_l(e) over all old languages (1 where no old language uses e)
/// s_l(e): share of language l's (token, slot) pairs that go to expert e. Nearest: the first min(3,
/// ceil(N/2)) of N.
std::vector<Donor> choose_donors(const LayerProfile& layer, const std::string& language,
                                 const std::vector<std::pair<std::string, double>>& nearest,
                                 bool weigh_by_specificity, int64_t num_donors);

}  // namespace polygraft::expand
