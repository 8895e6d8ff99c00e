#include "eval/reliability.h"

#include <algorithm>
#include <boost/math/distributions/chi_squared.hpp>
#include <cmath>
#include <map>
#include <set>
#include <string_view>

#include "core/error.h"
#include "core/text.h"
#include "eval/agreement.h"
#include "eval/statistics.h"

namespace epvs::eval {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Digits compare as numbers: "ses-2" before "ses-10".
struct NaturalOrder {
  bool operator()(const std::string& a, const std::string& b) const {
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < a.size() && j < b.size()) {
      if (is_digit(a[i]) && is_digit(b[j])) {
        const std::string_view left = digits(a, i);
        const std::string_view right = digits(b, j);
        if (left.size() != right.size()) return left.size() < right.size();
        if (left != right) return left < right;
      } else {
        if (a[i] != b[j]) return a[i] < b[j];
        ++i;
        ++j;
      }
    }
    if (a.size() - i != b.size() - j) return a.size() - i < b.size() - j;
    return a < b;  // "01" and "1" are different sessions
  }

 private:
  static std::string_view digits(const std::string& text, std::size_t& position) {
    while (position < text.size() && text[position] == '0') ++position;
    const std::size_t start = position;
    while (position < text.size() && is_digit(text[position])) ++position;
    return std::string_view(text).substr(start, position - start);
  }
};

using Sessions = std::map<std::string, double, NaturalOrder>;

std::vector<std::string> names(const Sessions& sessions) {
  std::vector<std::string> result;
  for (const auto& [session, value] : sessions) result.push_back(session);
  return result;
}

void check_choice(const core::ScoresTable& table, const RescanOptions& options) {
  if (options.first_session.empty() != options.second_session.empty() ||
      (!options.first_session.empty() && options.first_session == options.second_session)) {
    throw core::UsageError(
        fmt::format("sessions to pair are '{}' and '{}', expected two different ones or none",
                    options.first_session, options.second_session));
  }
  if (options.first_session.empty()) return;
  std::set<std::string, NaturalOrder> known;
  for (const core::ScoreKey& key : table.keys) known.insert(key.session_id);
  for (const std::string& session : {options.first_session, options.second_session}) {
    if (known.contains(session)) continue;
    throw core::UsageError(fmt::format("no scan of session '{}' in {}", session, table.source),
                           "its sessions are " + core::join({known.begin(), known.end()}, ", "));
  }
}

/// Scores by participant (in order of the table) and session.
std::vector<std::pair<std::string, Sessions>> collect(const core::ScoresTable& table,
                                                      std::size_t scorer,
                                                      const std::string& region) {
  std::vector<std::pair<std::string, Sessions>> people;
  std::map<std::string, std::size_t> place;
  for (std::size_t row = 0; row < table.keys.size(); ++row) {
    const core::ScoreKey& key = table.keys[row];
    if (key.region != region) continue;
    const auto [where, is_new] = place.try_emplace(key.participant_id, people.size());
    if (is_new) people.emplace_back(key.participant_id, Sessions{});
    Sessions& sessions = people[where->second].second;
    if (!sessions.try_emplace(key.session_id, table.values[row][scorer]).second) {
      throw core::InputError(fmt::format("{}: {} has session '{}' more than once in region '{}'",
                                         table.source, key.participant_id, key.session_id, region),
                             "pick one fold and repeat before pairing sessions");
    }
  }
  return people;
}

Estimate within_sd(const PairMoments& m, double confidence) {
  Estimate result;
  const auto n = static_cast<double>(m.n);
  result.estimate = std::sqrt(m.sum_d2 / (2.0 * n));
  result.ci_method = "chi_squared";
  result.df1 = n;
  const boost::math::chi_squared distribution(n);
  const double tail = (1.0 - confidence) / 2.0;
  result.ci_low = result.estimate *
                  std::sqrt(n / boost::math::quantile(boost::math::complement(distribution, tail)));
  result.ci_high = result.estimate * std::sqrt(n / boost::math::quantile(distribution, tail));
  return result;
}

Estimate paired_bias(const PairMoments& m, double confidence) {
  Estimate result;
  const auto n = static_cast<double>(m.n);
  result.estimate = m.mean_d;
  const double se = std::sqrt(m.sdd / (n - 1.0) / n);
  const double t = t_quantile(0.5 + confidence / 2.0, n - 1.0);
  result.ci_low = m.mean_d - t * se;
  result.ci_high = m.mean_d + t * se;
  result.ci_method = "t";
  result.df1 = n - 1.0;
  if (se > 0.0) {
    result.statistic = m.mean_d / se;
    result.p = t_two_sided(result.statistic, n - 1.0);
  } else {
    result.note = "all differences are equal: no test";
  }
  return result;
}

}  // namespace

RescanPairs pair_sessions(const core::ScoresTable& table, const std::string& scorer,
                          const std::string& region, const RescanOptions& options) {
  if (!table.has_session) {
    throw core::InputError(table.source + " has no session_id column",
                           "scan-rescan pairs need participant_id and session_id");
  }
  check_choice(table, options);
  RescanPairs result;
  result.scorer = scorer;
  result.region = region;
  for (const auto& [participant, sessions] : collect(table, table.scorer_index(scorer), region)) {
    std::string first = options.first_session;
    std::string second = options.second_session;
    if (first.empty()) {
      if (sessions.size() > 2) {
        throw core::InputError(
            fmt::format("{}: {} has {} sessions ({}), expected 2", table.source, participant,
                        sessions.size(), core::join(names(sessions), ", ")),
            "name the two sessions to pair");
      }
      if (sessions.size() < 2) {
        result.left_out.push_back(participant);
        continue;
      }
      first = sessions.begin()->first;
      second = std::next(sessions.begin())->first;
    }
    const auto a = sessions.find(first);
    const auto b = sessions.find(second);
    if (a == sessions.end() || b == sessions.end() || std::isnan(a->second) ||
        std::isnan(b->second)) {
      result.left_out.push_back(participant);
      continue;
    }
    result.pairs.push_back({participant, a->second, b->second});
  }
  return result;
}

RescanAgreement rescan_agreement(std::span<const double> first, std::span<const double> second,
                                 double confidence) {
  if (first.size() != second.size()) {
    throw core::InputError(
        fmt::format("{} first and {} second scans, expected as many", first.size(), second.size()));
  }
  RescanAgreement result;
  result.n = first.size();
  if (result.n < 3) {
    const auto none =
        Estimate::unavailable(fmt::format("n = {} pairs, needs at least 3", result.n));
    result.icc.fill(none);
    result.within_subject_sd = result.repeatability_coefficient = result.bias = none;
    return result;
  }
  result.icc = icc(first, second, confidence);
  const PairMoments m = pair_moments(first, second);
  result.within_subject_sd = within_sd(m, confidence);
  result.repeatability_coefficient = result.within_subject_sd;
  const double factor = 1.96 * std::sqrt(2.0);
  result.repeatability_coefficient.estimate *= factor;
  result.repeatability_coefficient.ci_low *= factor;
  result.repeatability_coefficient.ci_high *= factor;
  result.bias = paired_bias(m, confidence);
  return result;
}

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
