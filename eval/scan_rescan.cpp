#include "eval/scan_rescan.h"

#include <boost/math/distributions/chi_squared.hpp>
#include <cmath>
#include <map>
#include <set>
#include <string_view>

#include "core/error.h"
#include "core/text.h"
#include "eval/distributions.h"
#include "eval/icc.h"
#include "eval/moments.h"

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

}  // namespace epvs::eval
