// Small cohorts and weights for the tests of infer; Torch stays in fixture.cpp.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "data/cohort/cohort.h"
#include "models/network_options.h"

namespace epvs::tests {

/// gp_unet of 4 features on a crop of 12 x 10 x 8 voxels (x, y, z), He weights.
models::NetworkOptions small_network(
    models::Architecture architecture = models::Architecture::kGpUnet);
/// What the cohort of write_cohort() was prepared with.
data::PreprocessingOptions small_preprocessing();

/// Saves a new network; float64 when asked.
void write_weights(const std::filesystem::path& path, const models::NetworkOptions& options,
                   std::uint64_t seed, bool float64 = false,
                   const data::PreprocessingOptions& preprocessing = small_preprocessing());

/// The network's own forward pass over one volume (x fastest), batch of one.
double score_of(const std::filesystem::path& weights, const std::vector<float>& volume);

struct CohortPlan {
  std::vector<std::string> participants = {"sub-01", "sub-02", "sub-03", "sub-04"};
  std::string session;             ///< of every scan
  bool second_is_flipped = false;  ///< sub-02 is sub-01, flipped left-right
};
/// A cohort whose crop is a block of voxels of the source scan `scan` (20 x 18 x 10 voxels of
/// 0.5 x 0.5 x 0.8 mm, written by this function), beginning at voxel (3, 2, 1).
void write_cohort(const std::filesystem::path& path, const std::filesystem::path& scan,
                  const CohortPlan& plan = {});

}  // namespace epvs::tests
