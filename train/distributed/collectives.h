// The collective operations of a process group; c10d behind them (collectives.cpp). Every
// process must call them in the same order. They throw core::RunError naming the processes that
// died or failed.
#pragma once

#include <torch/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "train/distributed/launch.h"

namespace epvs::train {

/// One process of a group.
struct Member {
  std::string host;
  std::string name;    ///< "rank 1 (host a, process 7)"
  int local_rank = 0;  ///< among those of its host
  int local_size = 1;  ///< processes of its host
};

class Collectives {
 public:
  virtual ~Collectives() = default;
  virtual const std::vector<Member>& members() const = 0;

  /// Sums over all processes, in place and in an order that depends on the number of processes
  /// alone, so that all get the same bits. Returns a function that waits for the end. The tensor
  /// must be contiguous, and on the CPU unless reduces_on() its device.
  virtual std::function<void()> start_sum(torch::Tensor tensor) = 0;
  /// True when start_sum() takes tensors of this device (NCCL on CUDA).
  virtual bool reduces_on(const torch::Device& device) const = 0;
  /// A CPU tensor of equal shape from every process, by rank.
  virtual std::vector<torch::Tensor> gather(const torch::Tensor& tensor) = 0;
  /// Overwrites the CPU tensor by that of rank 0.
  virtual void broadcast(torch::Tensor& tensor) = 0;
  /// The device on which gradients are: NCCL needs to know.
  virtual void use_device(const torch::Device& device) = 0;

  /// The orderly end: waits until all processes have done their work.
  virtual void finish() = 0;
  /// Leaves the reason for which this process ends where the others find it.
  virtual void fail(const std::string& message) noexcept = 0;
};

/// Meets the other processes. Throws core::UsageError when this build has no c10d, and
/// core::RunError when some have not come within `patience` (they are named), rank 0 cannot be
/// reached or its port is taken.
std::unique_ptr<Collectives> connect(const Launch& launch, std::chrono::milliseconds patience);

}  // namespace epvs::train
