// One region and group of an evaluation: every pair, every comparison, closed forms and resamples.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "eval/bootstrap.h"
#include "eval/evaluation.h"

namespace epvs::eval {

class GroupEvaluator {
 public:
  /// Appends its rows to `out`.
  GroupEvaluator(const Dataset& data, const std::string& region, const Group& group,
                 const EvaluationOptions& options, Evaluation& out);
  void run();

 private:
  using Pair = std::pair<std::size_t, std::size_t>;
  /// Pairs on the same complete units share their resamples.
  struct Job {
    std::vector<Pair> pairs;
    std::vector<PairStatistics> statistics;
    std::vector<Replicates> replicates;
    std::string obstacle;  ///< why there are no resamples
  };

  void prepare_jobs();
  void run_job(const std::vector<std::size_t>& units, Job& job);
  std::optional<Resampler> resampler(const std::vector<std::size_t>& units, Job& job) const;
  ResamplingDesign design(const std::vector<std::size_t>& units) const;
  std::vector<std::string> strata(const std::vector<std::size_t>& units) const;

  void add_pair(std::size_t a, std::size_t b);
  void add_resampled_metrics(const Complete& complete, std::size_t a, std::size_t b);
  void add_association_p(const Complete& complete, std::size_t a, std::size_t b);
  void add_together();
  void add_comparison(std::size_t a, std::size_t b);
  void add_resampled_comparisons(const Complete& triple, std::size_t a, std::size_t b);
  void add_permuted_comparisons(const Complete& triple, std::size_t a, std::size_t b);

  void push_metric(std::size_t n, const std::string& reference, const std::string& scorer,
                   const std::string& metric, const std::string& parameter, Estimate value);
  void push_comparison(std::size_t n, std::size_t a, std::size_t b, const char* test,
                       const MetricName& metric, Estimate value);
  /// Too few units; empty when there are enough.
  std::string small(std::size_t n) const;
  /// How many units lack a score; empty for none.
  std::string loss(std::size_t n) const;
  bool has_sessions(const std::vector<std::size_t>& units) const;
  std::uint64_t seed() const;

  const Dataset& data_;
  const std::string& region_;
  const Group& group_;
  const EvaluationOptions& options_;
  Evaluation& out_;
  std::map<std::vector<std::size_t>, Job> jobs_;
};

}  // namespace epvs::eval
