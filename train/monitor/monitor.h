// What a training shows in TensorBoard: curves, histograms of the weights, an attention map.
#pragma once

#include <array>
#include <filesystem>
#include <vector>

#include "models/network.h"
#include "models/torch.h"
#include "train/checkpoint.h"
#include "train/monitor/tensorboard.h"

namespace epvs::train {

class Monitor {
 public:
  /// Starts an event file in `folder` with the curves of `history`.
  Monitor(const std::filesystem::path& folder, const std::vector<EpochRow>& history);

  void epoch(const EpochRow& row);
  /// Histograms of every parameter.
  void weights(const models::Network& network, std::int64_t epoch);
  /// The middle axial slice of the attention map of (1, 1, Z, Y, X); nothing for a network without.
  void attention(models::Network& network, const torch::Tensor& volume,
                 const std::array<double, 3>& spacing_mm, std::int64_t epoch);

 private:
  std::filesystem::path folder_;
  EventWriter writer_;
};

}  // namespace epvs::train
