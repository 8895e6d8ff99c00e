#include "eval/heterogeneity.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "eval/distributions.h"
#include "eval/estimate.h"

namespace epvs::eval {
namespace {

struct Effect {
  double z = 0.0;
  double weight = 0.0;  // inverse variance, n - 3
};

PooledCorrelation pool(const std::vector<Effect>& effects, double tau2, double quantile) {
  double sum_weight = 0.0;
  double sum = 0.0;
  for (const Effect& effect : effects) {
    const double weight = 1.0 / (1.0 / effect.weight + tau2);
    sum_weight += weight;
    sum += weight * effect.z;
  }
  PooledCorrelation pooled;
  pooled.z = sum / sum_weight;
  pooled.se_z = 1.0 / std::sqrt(sum_weight);
  pooled.r = std::tanh(pooled.z);
  pooled.ci_low = std::tanh(pooled.z - quantile * pooled.se_z);
  pooled.ci_high = std::tanh(pooled.z + quantile * pooled.se_z);
  return pooled;
}

/// Higgins & Thompson 2002: ln H +- quantile * se(ln H), I2 = (H^2 - 1) / H^2.
void set_i2_interval(CorrelationHeterogeneity& result, double quantile) {
  const double k = result.df + 1.0;
  if (result.q <= 0.0 || k < 3.0) {
    result.i2_low = result.i2_high = kNaN;
    return;
  }
  const double log_h = 0.5 * std::log(result.q / result.df);
  const double se =
      result.q > k
          ? 0.5 * (std::log(result.q) - std::log(result.df)) /
                (std::sqrt(2.0 * result.q) - std::sqrt(2.0 * k - 3.0))
          : std::sqrt(1.0 / (2.0 * (k - 2.0)) * (1.0 - 1.0 / (3.0 * (k - 2.0) * (k - 2.0))));
  const auto i2 = [](double log_value) { return std::max(0.0, 1.0 - std::exp(-2.0 * log_value)); };
  result.i2_low = i2(log_h - quantile * se);
  result.i2_high = i2(log_h + quantile * se);
}

/// Why a group cannot enter; empty when it can.
std::string unusable(const GroupCorrelation& group) {
  if (group.n < 4) return fmt::format("{}: n = {}, needs at least 4", group.group, group.n);
  if (std::isnan(group.r)) return group.group + ": no correlation";
  if (std::abs(group.r) > 1.0) {
    throw core::InputError(
        fmt::format("group '{}' has the correlation {}, expected -1..1", group.group, group.r));
  }
  if (std::abs(group.r) == 1.0) return group.group + ": |r| = 1 has no Fisher z";
  return {};
}

}  // namespace

CorrelationHeterogeneity correlation_heterogeneity(const std::vector<GroupCorrelation>& groups,
                                                   double confidence) {
  if (!(confidence > 0.0 && confidence < 1.0)) {
    throw core::UsageError(fmt::format("confidence = {}, expected between 0 and 1", confidence),
                           "0.95 is usual");
  }
  CorrelationHeterogeneity result;
  std::vector<Effect> effects;
  for (const GroupCorrelation& group : groups) {
    if (std::string reason = unusable(group); !reason.empty()) {
      result.left_out.push_back(std::move(reason));
      continue;
    }
    effects.push_back({std::atanh(group.r), static_cast<double>(group.n) - 3.0});
    result.n += group.n;
  }
  result.groups = effects.size();
  if (effects.size() < 2) {
    result.note = fmt::format("{} usable group{}, heterogeneity needs at least 2", effects.size(),
                              effects.size() == 1 ? "" : "s");
    result.q = result.df = result.p = result.tau2 = result.i2 = kNaN;
    result.i2_low = result.i2_high = kNaN;
    result.fixed = result.random = {kNaN, kNaN, kNaN, kNaN, kNaN};
    return result;
  }
  const double quantile = normal_quantile(0.5 + confidence / 2.0);
  result.fixed = pool(effects, 0.0, quantile);
  double sum_weight = 0.0;
  double sum_squared = 0.0;
  for (const Effect& effect : effects) {
    const double deviation = effect.z - result.fixed.z;
    result.q += effect.weight * deviation * deviation;
    sum_weight += effect.weight;
    sum_squared += effect.weight * effect.weight;
  }
  result.df = static_cast<double>(effects.size()) - 1.0;
  result.p = chi_squared_upper(result.q, result.df);
  result.tau2 = std::max(0.0, (result.q - result.df) / (sum_weight - sum_squared / sum_weight));
  result.i2 = result.q > 0.0 ? std::max(0.0, (result.q - result.df) / result.q) : 0.0;
  set_i2_interval(result, quantile);
  result.random = pool(effects, result.tau2, quantile);
  return result;
}

std::vector<LeaveOneOut> leave_one_group_out(
    const std::vector<std::string>& labels,
    const std::function<double(const std::vector<std::size_t>&)>& metric) {
  std::vector<std::string> groups;
  std::vector<std::size_t> everyone;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    everyone.push_back(i);
    if (std::find(groups.begin(), groups.end(), labels[i]) == groups.end()) {
      groups.push_back(labels[i]);
    }
  }
  const double all = everyone.empty() ? kNaN : metric(everyone);
  std::vector<LeaveOneOut> table;
  for (const std::string& group : groups) {
    std::vector<std::size_t> rest;
    for (const std::size_t i : everyone) {
      if (labels[i] != group) rest.push_back(i);
    }
    LeaveOneOut row;
    row.left_out_group = group;
    row.n = rest.size();
    row.estimate = rest.empty() ? kNaN : metric(rest);
    row.difference = row.estimate - all;
    table.push_back(row);
  }
  return table;
}

}  // namespace epvs::eval
