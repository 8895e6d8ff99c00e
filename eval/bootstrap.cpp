#include "eval/bootstrap.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/parallel.h"
#include "core/random.h"
#include "eval/correlation.h"
#include "eval/statistics.h"

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

namespace {

constexpr std::size_t kFewestReplicates = 50;

struct Scratch {
  std::vector<double> counts;
  std::vector<double> weights;
  std::vector<double> out;
  PairStatistics::Workspace work;
};

/// work(i, scratch) for i in 0..count-1; every thread works on its own copy of `scratch`.
template <class T, class Work>
void for_each_index(std::size_t count, int threads, const T& scratch, const Work& work) {
  core::parallel_ranges(static_cast<std::int64_t>(count), threads,
                        [&](std::int64_t begin, std::int64_t end) {
                          T own = scratch;
                          for (std::int64_t i = begin; i < end; ++i) {
                            work(static_cast<std::size_t>(i), own);
                          }
                        });
}

/// Leave one cluster out: moment sums by subtraction, ranks by weights of 0. Influence as boot's
/// usual.jack: (clusters of the stratum - 1) (observed - value without the cluster).
void jackknife(std::span<const PairStatistics* const> pairs, const ResamplingDesign& design,
               int threads, std::vector<Replicates>& results) {
  const std::size_t clusters = design.clusters();
  std::vector<std::vector<std::size_t>> units(clusters);
  for (std::size_t i = 0; i < design.cluster_of_unit.size(); ++i) {
    units[design.cluster_of_unit[i]].push_back(i);
  }
  std::map<std::size_t, double> stratum_size;
  for (const std::size_t stratum : design.stratum_of_cluster) stratum_size[stratum] += 1;
  const std::vector<double> ones(design.cluster_of_unit.size(), 1.0);
  std::vector<PairStatistics::Sums> totals;
  for (const PairStatistics* pair : pairs) totals.push_back(pair->sums(ones));
  Scratch scratch;
  scratch.weights = ones;
  for_each_index(clusters, threads, scratch, [&](std::size_t c, Scratch& s) {
    for (const std::size_t unit : units[c]) s.weights[unit] = 0;
    const double factor = stratum_size.at(design.stratum_of_cluster[c]) - 1;
    for (std::size_t p = 0; p < pairs.size(); ++p) {
      PairStatistics::Sums sums = totals[p];
      for (const std::size_t unit : units[c]) {
        const auto row = pairs[p]->row(unit);
        for (std::size_t k = 0; k < sums.size(); ++k) sums[k] -= row[k];
      }
      s.out.assign(results[p].metrics, kNaN);
      if (sums[0] > 0.5) pairs[p]->evaluate(s.weights, sums, s.out, s.work);
      for (std::size_t m = 0; m < results[p].metrics; ++m) {
        results[p].influence[m * clusters + c] = factor * (results[p].observed[m] - s.out[m]);
      }
    }
    for (const std::size_t unit : units[c]) s.weights[unit] = 1;
  });
}

/// boot's norm.inter on sorted replicates.
double interpolated(const std::vector<double>& sorted, double alpha) {
  const double count = static_cast<double>(sorted.size());
  const double rank = (count + 1) * alpha;
  const double whole = std::floor(rank);
  if (whole < 1) return sorted.front();
  if (whole >= count) return sorted.back();
  const auto k = static_cast<std::size_t>(whole);
  if (whole == rank) return sorted[k - 1];
  const double z = normal_quantile(alpha);
  const double z0 = normal_quantile(whole / (count + 1));
  const double z1 = normal_quantile((whole + 1) / (count + 1));
  return sorted[k - 1] + (z - z0) / (z1 - z0) * (sorted[k] - sorted[k - 1]);
}

std::vector<double> finite_sorted(std::span<const double> replicates) {
  std::vector<double> sorted;
  sorted.reserve(replicates.size());
  std::copy_if(replicates.begin(), replicates.end(), std::back_inserter(sorted),
               [](double v) { return std::isfinite(v); });
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

/// The estimate without interval, with a note for lost replicates; nothing when there is no
/// interval.
std::string replicates_obstacle(const std::vector<double>& sorted, std::size_t all) {
  if (sorted.size() < kFewestReplicates) {
    return fmt::format("no interval: {} of {} resamples have this metric, at least {} are needed",
                       sorted.size(), all, kFewestReplicates);
  }
  return {};
}

std::string lost_note(std::size_t finite, std::size_t all) {
  if (finite == all) return {};
  return fmt::format("{} of {} resamples lack this metric", all - finite, all);
}

}  // namespace

std::vector<Replicates> bootstrap(std::span<const PairStatistics* const> pairs,
                                  const Resampler& resampler, int threads) {
  const std::size_t replicates = resampler.replicates();
  const std::size_t clusters = resampler.design().clusters();
  std::vector<Replicates> results(pairs.size());
  const std::vector<double> ones(resampler.design().cluster_of_unit.size(), 1.0);
  PairStatistics::Workspace work;
  for (std::size_t p = 0; p < pairs.size(); ++p) {
    EPVS_ASSERT(pairs[p]->units() == ones.size());
    Replicates& r = results[p];
    r.metrics = pairs[p]->names().size();
    r.replicates = replicates;
    r.clusters = clusters;
    r.observed.resize(r.metrics);
    r.values.resize(r.metrics * replicates);
    r.influence.resize(r.metrics * clusters);
    pairs[p]->evaluate(ones, r.observed, work);
  }
  for_each_index(replicates, threads, Scratch(), [&](std::size_t b, Scratch& s) {
    resampler.counts(b, s.counts);
    resampler.unit_weights(s.counts, s.weights);
    for (std::size_t p = 0; p < pairs.size(); ++p) {
      s.out.resize(results[p].metrics);
      pairs[p]->evaluate(s.weights, s.out, s.work);
      for (std::size_t m = 0; m < results[p].metrics; ++m) {
        results[p].values[m * replicates + b] = s.out[m];
      }
    }
  });
  jackknife(pairs, resampler.design(), threads, results);
  return results;
}

Estimate percentile_interval(double observed, std::span<const double> replicates,
                             double confidence) {
  if (std::isnan(observed)) return Estimate::unavailable("the metric does not exist");
  const std::vector<double> sorted = finite_sorted(replicates);
  Estimate result;
  result.estimate = observed;
  result.note = replicates_obstacle(sorted, replicates.size());
  if (!result.note.empty()) return result;
  result.ci_low = interpolated(sorted, (1 - confidence) / 2);
  result.ci_high = interpolated(sorted, (1 + confidence) / 2);
  result.ci_method = "percentile";
  result.note = lost_note(sorted.size(), replicates.size());
  return result;
}

Estimate bca_interval(double observed, std::span<const double> replicates,
                      std::span<const double> influence, double confidence) {
  if (std::isnan(observed)) return Estimate::unavailable("the metric does not exist");
  const std::vector<double> sorted = finite_sorted(replicates);
  Estimate result;
  result.estimate = observed;
  result.note = replicates_obstacle(sorted, replicates.size());
  if (!result.note.empty()) return result;
  const auto below = std::lower_bound(sorted.begin(), sorted.end(), observed) - sorted.begin();
  const double w = normal_quantile(static_cast<double>(below) / static_cast<double>(sorted.size()));
  double cubes = 0;
  double squares = 0;
  for (const double l : influence) {
    squares += l * l;
    cubes += l * l * l;
  }
  const double a = cubes / (6 * std::pow(squares, 1.5));
  if (!std::isfinite(w)) {
    result.note = "no interval: the estimate lies outside all of its resamples";
    return result;
  }
  if (!std::isfinite(a)) {
    result.note = "no interval: the metric does not exist without some participant";
    return result;
  }
  const auto adjusted = [&](double probability) {
    const double z = w + normal_quantile(probability);
    return normal_cdf(w + z / (1 - a * z));
  };
  result.ci_low = interpolated(sorted, adjusted((1 - confidence) / 2));
  result.ci_high = interpolated(sorted, adjusted((1 + confidence) / 2));
  result.ci_method = "bca";
  result.note = lost_note(sorted.size(), replicates.size());
  return result;
}

double bootstrap_p(std::span<const double> replicates) {
  double at_most = 1;
  double at_least = 1;
  double count = 1;
  for (const double value : replicates) {
    if (!std::isfinite(value)) continue;
    count += 1;
    if (value <= 0) at_most += 1;
    if (value >= 0) at_least += 1;
  }
  if (count == 1) return kNaN;
  return std::min(1.0, 2 * std::min(at_most, at_least) / count);
}

namespace {

/// |value| reaches |observed| but for rounding.
bool reaches(double value, double observed) {
  return std::abs(value) >= std::abs(observed) * (1 - 1e-12);
}

std::vector<std::vector<std::size_t>> members_of(const std::vector<std::string>& strata,
                                                 std::size_t n) {
  std::map<std::string, std::vector<std::size_t>> members;
  for (std::size_t i = 0; i < n; ++i) members[strata.empty() ? "" : strata[i]].push_back(i);
  std::vector<std::vector<std::size_t>> result;
  for (auto& [name, list] : members) result.push_back(std::move(list));
  return result;
}

}  // namespace

AssociationP permute_association(std::span<const double> x, std::span<const double> y,
                                 const std::vector<std::string>& strata, std::size_t permutations,
                                 std::uint64_t seed, int threads) {
  const PairMoments plain = pair_moments(x, y);
  if (plain.n < 3 || plain.constant_x || plain.constant_y) return {};
  const std::vector<double> rank_x = mid_ranks(x);
  const std::vector<double> rank_y = mid_ranks(y);
  const PairMoments ranks = pair_moments(rank_x, rank_y);
  const auto strata_members = members_of(strata, x.size());
  std::vector<char> reached_plain(permutations), reached_ranks(permutations);
  using Partners = std::vector<std::size_t>;
  for_each_index(permutations, threads, Partners(x.size()), [&](std::size_t b, Partners& partner) {
    core::Random random(core::mix_seed(seed, {"permutation", static_cast<std::int64_t>(b)}));
    for (const auto& members : strata_members) {
      const auto order = random.permutation(members.size());
      for (std::size_t i = 0; i < members.size(); ++i) partner[members[i]] = members[order[i]];
    }
    double sxy = 0;
    double rank_sxy = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      sxy += (x[i] - plain.mean_x) * (y[partner[i]] - plain.mean_y);
      rank_sxy += (rank_x[i] - ranks.mean_x) * (rank_y[partner[i]] - ranks.mean_y);
    }
    reached_plain[b] = reaches(sxy, plain.sxy);
    reached_ranks[b] = reaches(rank_sxy, ranks.sxy);
  });
  const auto p = [&](const std::vector<char>& reached) {
    return (1.0 + static_cast<double>(std::count(reached.begin(), reached.end(), 1))) /
           (1.0 + static_cast<double>(permutations));
  };
  return {p(reached_plain), p(reached_ranks)};
}

std::vector<double> permute_difference(std::span<const double> x, std::span<const double> a,
                                       std::span<const double> b, const PairOptions& options,
                                       const ResamplingDesign& design, std::size_t permutations,
                                       std::uint64_t seed, int threads) {
  // One table of 2n units (x, a) and (x, b): weights choose which half of it plays scorer a.
  const std::size_t n = x.size();
  std::vector<double> twice_x(x.begin(), x.end());
  twice_x.insert(twice_x.end(), x.begin(), x.end());
  std::vector<double> both(a.begin(), a.end());
  both.insert(both.end(), b.begin(), b.end());
  const PairStatistics statistics(twice_x, both, options);
  const std::size_t metrics = statistics.names().size();
  const auto difference = [&](const std::vector<double>& chosen, std::vector<double>& weights,
                              std::vector<double>& first, std::vector<double>& second,
                              PairStatistics::Workspace& work) {
    for (std::size_t i = 0; i < n; ++i) {
      weights[i] = chosen[design.cluster_of_unit[i]];
      weights[n + i] = 1 - weights[i];
    }
    statistics.evaluate(weights, first, work);
    for (double& weight : weights) weight = 1 - weight;
    statistics.evaluate(weights, second, work);
    for (std::size_t m = 0; m < metrics; ++m) first[m] -= second[m];
  };
  struct Swaps {
    std::vector<double> chosen, weights, first, second;
    PairStatistics::Workspace work;
  };
  Swaps none = {std::vector<double>(design.clusters(), 1.0),
                std::vector<double>(2 * n),
                std::vector<double>(metrics),
                std::vector<double>(metrics),
                {}};
  difference(none.chosen, none.weights, none.first, none.second, none.work);
  const std::vector<double> observed = none.first;
  // Of each permutation and metric: exists, and reaches the observed difference.
  std::vector<char> exists(permutations * metrics), reached(permutations * metrics);
  for_each_index(permutations, threads, none, [&](std::size_t r, Swaps& swaps) {
    core::Random random(core::mix_seed(seed, {"swap", static_cast<std::int64_t>(r)}));
    for (double& choice : swaps.chosen) choice = random.flip(0.5) ? 1 : 0;
    difference(swaps.chosen, swaps.weights, swaps.first, swaps.second, swaps.work);
    for (std::size_t m = 0; m < metrics; ++m) {
      exists[r * metrics + m] = std::isfinite(swaps.first[m]) ? 1 : 0;
      reached[r * metrics + m] =
          std::isfinite(swaps.first[m]) && reaches(swaps.first[m], observed[m]) ? 1 : 0;
    }
  });
  std::vector<double> p(metrics, kNaN);
  for (std::size_t m = 0; m < metrics; ++m) {
    if (!std::isfinite(observed[m])) continue;
    double above = 1;
    double all = 1;
    for (std::size_t r = 0; r < permutations; ++r) {
      above += reached[r * metrics + m];
      all += exists[r * metrics + m];
    }
    p[m] = above / all;
  }
  return p;
}

}  // namespace epvs::eval
