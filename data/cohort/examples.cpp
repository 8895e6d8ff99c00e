#include "data/cohort/examples.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/hash.h"
#include "core/scores.h"
#include "core/text.h"

namespace epvs::data {

namespace {

constexpr std::size_t kNamesInMessage = 10;

std::string name_list(const std::vector<std::string>& names) {
  std::vector<std::string> shown(
      names.begin(),
      names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kNamesInMessage)));
  std::string text = core::join(shown, ", ");
  if (names.size() > shown.size()) {
    text += fmt::format(" and {} more", names.size() - shown.size());
  }
  return text;
}

/// Labels of one region and fold by (participant, session); session is empty when the table has
/// none.
class Labels {
 public:
  Labels(const core::ScoresTable& scores, const std::string& target, const std::string& region,
         int repeat, int fold)
      : has_session_(scores.has_session) {
    const std::size_t column = scores.scorer_index(target);
    for (std::size_t i = 0; i < scores.keys.size(); ++i) {
      const core::ScoreKey& key = scores.keys[i];
      if (!key.region.empty() && key.region != region) continue;
      if (!key.fold.empty() && key.fold != std::to_string(fold)) continue;
      if (!key.repeat.empty() && key.repeat != std::to_string(repeat)) continue;
      labels_[{key.participant_id, key.session_id}] = scores.values[i][column];
    }
  }

  double find(const std::string& participant, const std::string& session) const {
    auto found = labels_.find({participant, has_session_ ? session : std::string()});
    // A row without session serves a participant whose session has no name in the table.
    if (found == labels_.end()) found = labels_.find({participant, {}});
    return found == labels_.end() ? std::numeric_limits<double>::quiet_NaN() : found->second;
  }
  bool has_session() const { return has_session_; }

 private:
  bool has_session_;
  std::map<std::pair<std::string, std::string>, double> labels_;
};

}  // namespace

std::string Example::name() const {
  return session_id.empty() ? participant_id : participant_id + " " + session_id;
}

double Examples::mean_label() const {
  double sum = 0;
  for (const Example& example : train) sum += example.label;
  return train.empty() ? 0 : sum / static_cast<double>(train.size());
}

std::string Examples::fingerprint() const {
  std::string text = region + "\n" + target + "\n";
  for (const auto* part : {&train, &validation}) {
    for (const Example& example : *part) {
      text += fmt::format("{}\t{}\t{}\n", example.name(), example.row,
                          core::format_number(example.label));
    }
    text += "--\n";
  }
  return core::sha256_text(text);
}

std::string choose_region(const CohortReader& cohort, const std::string& wanted) {
  const std::vector<std::string> regions = cohort.regions();
  if (!wanted.empty()) {
    if (std::find(regions.begin(), regions.end(), wanted) != regions.end()) return wanted;
    core::throw_no_region(cohort.path().string(), wanted, regions);
  }
  if (regions.size() == 1) return regions.front();
  throw core::UsageError(
      fmt::format("{} has the regions {}", cohort.path().string(), core::join(regions, ", ")),
      "choose one with --region NAME; several regions are several trainings");
}

Examples collect_examples(const CohortReader& cohort, const std::string& region,
                          const core::ScoresTable& scores, const std::string& target,
                          const core::Splits& splits, int repeat, int fold) {
  Examples examples{region, target, repeat, fold, {}, {}, {}};
  const Labels labels(scores, target, region, repeat, fold);
  std::multimap<std::string, std::size_t> rows;
  const std::vector<CohortRow>& cohort_rows = cohort.rows(region);
  for (std::size_t i = 0; i < cohort_rows.size(); ++i) {
    rows.emplace(cohort_rows[i].participant_id, i);
  }
  std::vector<std::string> absent;
  std::vector<std::string> unlabelled;
  const auto collect = [&](core::Split split) {
    std::vector<Example> found;
    for (const std::string& participant : splits.participants_or_none(repeat, fold, split)) {
      const auto [begin, end] = rows.equal_range(participant);
      if (begin == end) absent.push_back(participant);
      if (std::distance(begin, end) > 1 && !labels.has_session()) {
        throw core::InputError(
            fmt::format("{} has no session_id, but {} has {} scans of {} in the cohort",
                        scores.source, participant, std::distance(begin, end), region),
            "add the column session_id to the table of scores");
      }
      for (auto i = begin; i != end; ++i) {
        const CohortRow& row = cohort_rows[i->second];
        Example example{participant, row.session_id, i->second,
                        labels.find(participant, row.session_id)};
        if (split != core::Split::kTest && std::isnan(example.label))
          unlabelled.push_back(example.name());
        found.push_back(std::move(example));
      }
    }
    return found;
  };
  splits.participants(repeat, fold, core::Split::kTrain);  // must not be empty
  examples.train = collect(core::Split::kTrain);
  examples.validation = collect(core::Split::kValidation);
  examples.test = collect(core::Split::kTest);
  if (!absent.empty()) {
    throw core::InputError(
        fmt::format("{} of {} participants of the split are not in {} ({}): {}", absent.size(),
                    splits.rows().size(), cohort.path().string(), region, name_list(absent)),
        "prepare these scans, or make splits from the cohort: epvs split COHORT");
  }
  if (!unlabelled.empty()) {
    throw core::InputError(
        fmt::format("{} train or validation scans have no {} score of {} in {}: {}",
                    unlabelled.size(), target, region, scores.source, name_list(unlabelled)),
        "add their scores, or make splits from the scored participants");
  }
  return examples;
}

void describe_examples(const Examples& examples, core::Log& log) {
  log.info("{} train, {} validation, {} test scans of {} (repeat {}, fold {})",
           examples.train.size(), examples.validation.size(), examples.test.size(), examples.region,
           examples.repeat, examples.fold);
  double square = 0;
  double low = examples.train.front().label;
  double high = low;
  std::size_t fractional = 0;
  std::size_t negative = 0;
  const double mean = examples.mean_label();
  for (const Example& example : examples.train) {
    square += (example.label - mean) * (example.label - mean);
    low = std::min(low, example.label);
    high = std::max(high, example.label);
    if (example.label != std::floor(example.label)) ++fractional;
    if (example.label < 0) ++negative;
  }
  const std::size_t n = examples.train.size();
  const double deviation = n > 1 ? std::sqrt(square / static_cast<double>(n - 1)) : 0;
  log.info("{} scores of the train scans: n {}, mean {:.4g}, SD {:.4g}, range {:.4g} to {:.4g}",
           examples.target, n, mean, deviation, low, high);
  if (fractional > 0) log.info("{} of {} train scores are not whole numbers", fractional, n);
  if (negative > 0) log.info("{} of {} train scores are negative", negative, n);
  if (low == high) {
    log.warning("all train scores are {}: there is nothing to learn from them", low);
  }
}

}  // namespace epvs::data
