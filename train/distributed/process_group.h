// Several processes that train one network together (data-parallel): each takes its share of every
// batch, the gradients are summed over all, so that every process holds the same weights.
#pragma once

#include <torch/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "train/distributed/collectives.h"
#include "train/distributed/launch.h"
#include "train/optimizer.h"

namespace epvs::train {

/// A group of one (the default) connects to nothing and changes no number. All functions must be
/// called by all processes in the same order; all throw core::RunError naming the process that died
/// or failed.
class ProcessGroup {
 public:
  ProcessGroup() = default;
  /// Meets the other processes within `patience` (c10d's default); see connect(). A launch of one
  /// is a group of one.
  static ProcessGroup join(const Launch& launch,
                           std::chrono::milliseconds patience = std::chrono::minutes(5));

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool has_others() const { return size_ > 1; }
  /// Rank 0 writes all files and logs what all would say alike.
  bool is_first() const { return rank_ == 0; }
  /// This process among those of its machine, and their number.
  int local_rank() const;
  int local_size() const;
  /// "rank 1 (host a, process 7)"; empty in a group of one.
  std::string name(int rank) const;

  /// The part of `n` things that `rank` takes, as [begin, end): neighbours, in order, lower ranks
  /// one more where n does not divide.
  struct Share {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t size() const { return end - begin; }
  };
  Share share(std::size_t n, int rank) const;
  Share share(std::size_t n) const { return share(n, rank_); }

  /// The device on which the gradients are.
  void use_device(const torch::Device& device);
  /// Sums the gradients over all processes, in buckets of about `bucket_bytes`; an undefined one
  /// counts as zero. Afterwards all processes hold the same bits.
  void sum_gradients(const std::vector<NamedParameter>& parameters,
                     std::size_t bucket_bytes = 32 << 20);
  /// Overwrites the tensors (any device) by those of rank 0.
  void broadcast(const std::vector<torch::Tensor>& tensors);
  std::string broadcast(const std::string& text);
  /// The numbers of all processes, put together by rank. No process has more than `most`.
  std::vector<double> gather(const std::vector<double>& own, std::size_t most);
  /// One text of each process, by rank.
  std::vector<std::string> gather(const std::string& own);
  /// Element by element the largest of all processes.
  std::vector<double> largest(const std::vector<double>& own);
  /// Waits for all.
  void barrier() { largest({0}); }
  /// Throws core::UsageError in every process naming a rank, a key and both values when the flat
  /// objects differ from that of rank 0.
  void require_equal(const core::Json& own);

  /// The orderly end, once all have come to it. Afterwards nothing is sent any more.
  void finish();
  /// Leaves the reason for which this process ends where the others find it. Does nothing after
  /// finish().
  void fail(const std::string& message) noexcept;

 private:
  int rank_ = 0;
  int size_ = 1;
  std::unique_ptr<Collectives> collectives_;
};

}  // namespace epvs::train
