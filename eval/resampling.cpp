#include "eval/resampling.h"

#include <fmt/format.h>

#include <map>

#include "core/error.h"
#include "core/random.h"

namespace epvs::eval {

ResamplingDesign ResamplingDesign::by_participant(const std::vector<std::string>& participants,
                                                  const std::vector<std::string>& strata) {
  EPVS_ASSERT(strata.empty() || strata.size() == participants.size());
  ResamplingDesign design;
  std::map<std::string, std::size_t> clusters;
  std::map<std::string, std::size_t> stratum_numbers;
  std::vector<std::string> stratum_names;
  for (std::size_t i = 0; i < participants.size(); ++i) {
    const std::string& stratum = strata.empty() ? std::string() : strata[i];
    const auto [cluster, is_new] = clusters.emplace(participants[i], clusters.size());
    if (is_new) {
      const auto number = stratum_numbers.emplace(stratum, stratum_numbers.size()).first->second;
      design.stratum_of_cluster.push_back(number);
      stratum_names.push_back(stratum);
    } else if (stratum_names[cluster->second] != stratum) {
      throw core::InputError(fmt::format("{} is in the strata '{}' and '{}'", participants[i],
                                         stratum_names[cluster->second], stratum),
                             "a participant is drawn as a whole and belongs to one stratum");
    }
    design.cluster_of_unit.push_back(cluster->second);
  }
  return design;
}

ResamplingDesign ResamplingDesign::of_units(std::size_t units) {
  ResamplingDesign design;
  for (std::size_t i = 0; i < units; ++i) design.cluster_of_unit.push_back(i);
  design.stratum_of_cluster.assign(units, 0);
  return design;
}

Resampler::Resampler(ResamplingDesign design, std::size_t replicates, std::uint64_t seed)
    : design_(std::move(design)), replicates_(replicates), seed_(seed) {
  for (std::size_t c = 0; c < design_.clusters(); ++c) {
    const std::size_t stratum = design_.stratum_of_cluster[c];
    if (strata_.size() <= stratum) strata_.resize(stratum + 1);
    strata_[stratum].push_back(c);
  }
}

Resampler::Resampler(ResamplingDesign design, std::vector<std::vector<std::size_t>> draws)
    : design_(std::move(design)), replicates_(draws.size()), draws_(std::move(draws)) {
  for (const auto& draw : draws_) {
    for (const std::size_t cluster : draw) EPVS_ASSERT(cluster < design_.clusters());
  }
}

void Resampler::counts(std::size_t replicate, std::vector<double>& counts) const {
  counts.assign(design_.clusters(), 0.0);
  if (!draws_.empty()) {
    for (const std::size_t cluster : draws_[replicate]) counts[cluster] += 1;
    return;
  }
  core::Random random(core::mix_seed(seed_, {"resample", static_cast<std::int64_t>(replicate)}));
  for (const std::vector<std::size_t>& stratum : strata_) {
    const auto last = static_cast<std::int64_t>(stratum.size()) - 1;
    for (std::size_t i = 0; i < stratum.size(); ++i) {
      counts[stratum[static_cast<std::size_t>(random.integer(0, last))]] += 1;
    }
  }
}

void Resampler::unit_weights(const std::vector<double>& counts,
                             std::vector<double>& weights) const {
  weights.resize(design_.cluster_of_unit.size());
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = counts[design_.cluster_of_unit[i]];
}

}  // namespace epvs::eval
