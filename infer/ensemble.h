// Networks applied to the rows of a cohort: scores, attention maps, saliency. No Torch in this
// header.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/enum_names.h"
#include "core/log.h"
#include "data/cohort/cohort.h"
#include "models/network_options.h"
#include "models/weights_metadata.h"

namespace epvs::models {
class Profile;
}

namespace epvs::infer {

/// Left-right, back-front, bottom-top.
enum class FlipAxis { kX, kY, kZ };
constexpr auto names_of(FlipAxis) {
  return std::to_array<core::EnumName<FlipAxis>>(
      {{FlipAxis::kX, "x"}, {FlipAxis::kY, "y"}, {FlipAxis::kZ, "z"}});
}

/// What to compute.
struct InferenceRequest {
  std::string region;
  std::vector<std::size_t> rows;  ///< of the region, in the order of the results
  std::size_t batch = 1;          ///< volumes that go through a network together
  bool attention = false;
  bool saliency = false;
  /// Test-time flips: the mean over all combinations of flips along these axes.
  std::vector<FlipAxis> flip_axes;
  models::Profile* profile = nullptr;  ///< gets the parts reading, forward, attention, saliency
};

/// One scan. Maps are on the crop, x fastest as in the cohort file.
struct InferenceResult {
  std::size_t row = 0;
  std::vector<double> member_scores;  ///< one per network
  double score = 0;                   ///< their mean
  double sd = 0;                      ///< their standard deviation (n - 1); 0 for one network
  /// One network: M = sum_k w_k f_k (P2). Several: the mean over networks of pool_scale * M.
  std::vector<float> attention;
  /// d score / d input (P1 Fig 4).
  std::vector<float> saliency;
};

class Ensemble {
 public:
  /// Loads the networks onto the device. Throws InputError for weights that cannot be read,
  /// UsageError for a device that is not there or has no such `precision` (models/precision.h).
  /// Without a precision the device's fastest is taken. Sets the number of Torch's threads.
  Ensemble(const std::vector<std::filesystem::path>& weights, const std::string& device,
           int threads, std::optional<models::Precision> precision = models::Precision::kFloat32);
  ~Ensemble();

  std::size_t size() const;
  const models::WeightsMetadata& metadata(std::size_t member) const;
  /// Every member has attention maps (gp_unet).
  bool has_attention() const;
  /// score = identity_scale() * mean(attention) + identity_bias() over the network's grid, when all
  /// members pool by the average.
  double identity_scale() const;
  double identity_bias() const;
  bool identity_holds() const;
  /// "cpu" or "cuda:0".
  std::string device() const;
  models::Precision precision() const;
  /// "1.13.0"
  static std::string torch_version();

  /// models::require_fit of every network.
  void require_fit(const data::CohortReader& cohort, const std::string& region,
                   core::Log& log) const;

  using Done = std::function<void(const InferenceResult&)>;
  using Failed = std::function<void(std::size_t row, const std::string& reason)>;
  /// Calls `done` or `failed` once per row, in the order of the request: a volume that cannot be
  /// read or a score that is not finite fails alone. Throws RunError when memory does not suffice.
  void run(const data::CohortReader& cohort, const InferenceRequest& request, const Done& done,
           const Failed& failed) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace epvs::infer
