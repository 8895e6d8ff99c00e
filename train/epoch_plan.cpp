#include "train/epoch_plan.h"

#include <algorithm>

#include "core/random.h"

namespace epvs::train {

EpochPlan::EpochPlan(const std::vector<Example>& examples, const TrainOptions& options,
                     std::uint64_t seed, std::int64_t epoch)
    : accumulate_(options.accumulate) {
  core::Random random(core::mix_seed(seed, {"order", epoch}));
  for (const std::size_t i : random.permutation(examples.size())) {
    if (batches_.empty() || std::ssize(batches_.back()) == options.batch_size) {
      batches_.emplace_back();
    }
    batches_.back().push_back(&examples[i]);
  }
}

std::int64_t EpochPlan::batches_of(std::int64_t scans, std::int64_t batch_size) {
  return (scans + batch_size - 1) / batch_size;
}

double EpochPlan::weight(std::int64_t i) const {
  const std::int64_t begin = i / accumulate_ * accumulate_;
  std::int64_t scans = 0;
  for (std::int64_t k = begin; k < std::min(size(), begin + accumulate_); ++k) {
    scans += std::ssize(batches_[k]);
  }
  return static_cast<double>(batches_[i].size()) / static_cast<double>(scans);
}

bool EpochPlan::ends_update(std::int64_t i) const {
  return (i + 1) % accumulate_ == 0 || i + 1 == size();
}

std::vector<std::vector<std::size_t>> EpochPlan::own_rows(const ProcessGroup& group,
                                                          std::int64_t first) const {
  std::vector<std::vector<std::size_t>> rows;
  for (std::int64_t i = first; i < size(); ++i) {
    const ProcessGroup::Share own = group.share(batches_[i].size());
    if (own.size() == 0) continue;
    rows.emplace_back();
    for (std::size_t k = own.begin; k < own.end; ++k) rows.back().push_back(batches_[i][k]->row);
  }
  return rows;
}

}  // namespace epvs::train
