// Resamples by participant: which participants are drawn, how often.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace epvs::eval {

/// What is drawn: clusters (participants) of units (their sessions), within strata.
struct ResamplingDesign {
  std::vector<std::size_t> cluster_of_unit;
  std::vector<std::size_t> stratum_of_cluster;
  std::size_t clusters() const { return stratum_of_cluster.size(); }

  /// Units of one participant stay together; participants are drawn within `strata` (one text per
  /// unit; empty for one stratum). Throws InputError when a participant's units differ in stratum.
  static ResamplingDesign by_participant(const std::vector<std::string>& participants,
                                         const std::vector<std::string>& strata = {});
  /// Every unit on its own.
  static ResamplingDesign of_units(std::size_t units);
};

/// Counts of replicate after replicate; replicate b depends on (seed, b) alone, so any thread may
/// ask for any replicate.
class Resampler {
 public:
  /// As many draws with replacement from each stratum as it has clusters.
  Resampler(ResamplingDesign design, std::size_t replicates, std::uint64_t seed);
  /// Given draws: draws[b] lists clusters.
  Resampler(ResamplingDesign design, std::vector<std::vector<std::size_t>> draws);

  const ResamplingDesign& design() const { return design_; }
  std::size_t replicates() const { return replicates_; }
  /// How often each cluster is in replicate b.
  void counts(std::size_t replicate, std::vector<double>& counts) const;
  /// Counts of clusters spread on their units.
  void unit_weights(const std::vector<double>& counts, std::vector<double>& weights) const;

 private:
  ResamplingDesign design_;
  std::vector<std::vector<std::size_t>> strata_;  ///< clusters of each stratum
  std::size_t replicates_;
  std::uint64_t seed_ = 0;
  std::vector<std::vector<std::size_t>> draws_;
};

}  // namespace epvs::eval
