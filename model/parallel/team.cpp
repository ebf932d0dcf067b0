// model/parallel/team.cpp: see team.h.
#include "model/parallel/team.h"

#include <signal.h>

#include "core/hash.h"
#include "core/stop.h"
#include "core/text.h"

namespace polygraft::parallel {

void Team::wait_for_all() const {
  if (!is_alone()) ranks_->barrier();
}

void Team::add_up(std::span<double> values) const {
  if (!is_alone()) ranks_->all_reduce_sum(values);
}

int64_t Team::as_first_says(int64_t own) const {
  Deliveries deliveries(*this);
  deliveries.to_all(0, std::as_writable_bytes(std::span(&own, 1)));
  deliveries.wait();
  return own;
}

std::string Team::as_first_says(std::string own) const {
  own.resize(static_cast<size_t>(as_first_says(std::ssize(own))));
  Deliveries deliveries(*this);
  deliveries.to_all(0, std::as_writable_bytes(std::span(own)));
  deliveries.wait();
  return own;
}

void Team::throw_if_stopped() const {
  if (is_alone()) return polygraft::throw_if_stopped();
  int64_t num_stopped = stop_requested() ? 1 : 0;
  ranks_->all_reduce_sum(std::span(&num_stopped, 1));
  if (num_stopped == 0) return;
  polygraft::throw_if_stopped();
  throw Interrupted(SIGTERM);
}

int Team::first_unlike(const std::string& text) const {
  if (is_alone()) return 0;
  const std::string own = sha256(text);
  std::string all(own.size() * static_cast<size_t>(size()), ' ');
  ranks_->all_gather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all)));
  for (int r = 1; r < size(); ++r) {
    const size_t place = own.size() * static_cast<size_t>(r);
    if (all.compare(place, own.size(), all, 0, own.size()) != 0) return r;
  }
  return 0;
}

void Team::require_same(const std::string& settings) const {
  const int unlike = first_unlike(settings);
  if (unlike == 0) return;
  throw ConfigError(concat("rank ", unlike), "is not about to do what rank 0 does")
      .expected("the same settings, text, weights, checkpoints and number of threads")
      .hint("give all ranks the same command, and folders that all of them see");
}

void Deliveries::to_all(int from, Bytes bytes) {
  if (!team_.is_alone()) pending_.push_back(team_.ranks_->start_broadcast(bytes, from));
}

void Deliveries::to_one(int from, int to, Bytes bytes) {
  if (!team_.is_alone()) pending_.push_back(team_.ranks_->start_send(bytes, from, to));
}

void Deliveries::wait() {
  for (const PendingPtr& delivery : pending_) delivery->wait();
  pending_.clear();
}

}  // namespace polygraft::parallel
