// Does a score rise by what was added? The answer of scans into which `epvs implant` put k known EPVS.
//
// The series of a scan is the scan with k = 0, then with more and more. In each series the difference
// d = score(k) - score(0) is regressed on k > 0 by least squares: a counting scorer has slope 1 and
// intercept 0. (At k = 0 the difference is 0 by definition and says nothing of the intercept.) Slopes
// and intercepts are averaged over the series of a participant, then over participants, whose spread
// gives the interval by t; several scans of one person are no new evidence. The correlation within
// scans is that of score and k after the mean of each series is taken off both (Bland & Altman, BMJ
// 1995;310:446); its interval by Fisher's z has sum (points - 1) - 1 degrees of freedom and takes the
// points of a scan as independent, which the bootstrap by participant does not.
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "core/table.h"
#include "eval/evaluation.h"

namespace epvs::eval {

/// One scan with its implants: `added[0]` = 0, then what was added to it, and the scores.
struct ImplantSeries {
  std::string participant_id;
  std::vector<double> added;
  std::vector<double> score;
};

inline constexpr std::array<const char*, 3> kImplantMetrics = {"implant_slope", "implant_intercept",
                                                               "implant_pearson"};

/// The three metrics for any weights of participants.
class ImplantStatistics {
 public:
  /// Series with fewer than two different numbers above 0 have no line and are left out.
  explicit ImplantStatistics(const std::vector<ImplantSeries>& series);

  /// In order of first appearance, those of series with a line.
  const std::vector<std::string>& participants() const { return participants_; }
  std::size_t left_out() const { return left_out_; }
  /// `weights`: one per participant. NaN where a metric does not exist.
  std::array<double, 3> evaluate(std::span<const double> weights) const;
  /// Intervals by t and Fisher's z.
  std::array<Estimate, 3> estimates(double confidence) const;

 private:
  struct Sums {
    double series = 0;
    double slope = 0;
    double intercept = 0;
    double degrees = 0;             ///< sum (points - 1)
    double kk = 0, ks = 0, ss = 0;  ///< within series, about their means
  };
  std::vector<std::string> participants_;
  std::vector<Sums> sums_;
  std::size_t left_out_ = 0;
};

/// Rows of metrics.tsv: for each scorer against the reference (what was added) in every region and
/// group the three metrics, by closed form, then with `--bootstrap` by bca and percentile. n counts
/// participants. The series of a scan are its sessions but for their last letter k and number
/// (ses-k00, ses-k05; ses-2k00, ...). Throws InputError for other sessions, for a series without
/// k00 and for a reference that is not 0 there.
std::vector<MetricRow> implant_rows(const Dataset& data, const core::Table* participants,
                                    const GroupOptions& groups, const EvaluationOptions& options);

}  // namespace epvs::eval
