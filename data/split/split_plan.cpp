#include "data/split/split_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "core/error.h"
#include "core/random.h"
#include "core/text.h"

namespace epvs::data {

namespace {

std::size_t rounded(double value) {
  return static_cast<std::size_t>(std::llround(value));
}

SplitSizes given_sizes(const SplitOptions& options, std::size_t count) {
  const double f = options.validation_fraction;
  const auto whole = [](int size) { return static_cast<std::size_t>(size); };
  SplitSizes sizes;
  if (options.development >= 0) {
    sizes.validation = rounded(f * options.development);
    sizes.train = whole(options.development) - sizes.validation;
  } else if (options.train >= 0) {
    sizes.train = whole(options.train);
    sizes.validation =
        options.validation >= 0 ? whole(options.validation) : rounded(f / (1 - f) * options.train);
  }
  const bool train_known = options.development >= 0 || options.train >= 0;
  if (train_known) {
    const std::size_t used = sizes.train + sizes.validation;
    sizes.test = options.test >= 0 ? whole(options.test) : (count > used ? count - used : 0);
    return sizes;
  }
  sizes.test = whole(options.test);
  const std::size_t left = count > sizes.test ? count - sizes.test : 0;
  sizes.validation =
      options.validation >= 0 ? whole(options.validation) : rounded(f * static_cast<double>(left));
  sizes.train = left > sizes.validation ? left - sizes.validation : 0;
  return sizes;
}

/// The participants of one repeat in one row, strata merged evenly.
std::vector<std::string> merged_row(const std::map<std::string, std::vector<std::string>>& strata,
                                    std::uint64_t seed, int repeat) {
  struct Place {
    double position;
    std::string participant_id;
  };
  std::vector<Place> places;
  for (const auto& [stratum, members] : strata) {
    core::Random random(core::mix_seed(seed, {"split", repeat, stratum}));
    const double offset = random.uniform();
    const std::vector<std::size_t> order = random.permutation(members.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      places.push_back({(static_cast<double>(i) + offset) / static_cast<double>(members.size()),
                        members[order[i]]});
    }
  }
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    return std::tie(a.position, a.participant_id) < std::tie(b.position, b.participant_id);
  });
  std::vector<std::string> row;
  for (Place& place : places) row.push_back(std::move(place.participant_id));
  return row;
}

}  // namespace

void SplitOptions::declare(core::ParameterTable& table) {
  table.add("split.folds", &folds, "k-fold cross-validation with this many folds").range(0, 1000);
  table.add("split.repeats", &repeats, "k-fold: repeats, each with another shuffle")
      .range(1, 10000);
  table.add("split.monte_carlo", &monte_carlo, "this many independent random splits")
      .range(0, 10000);
  table.add("split.test_fraction", &test_fraction, "random splits: part of all participants")
      .range(0, 1);
  table
      .add("split.validation_fraction", &validation_fraction,
           "part of the participants that are not tested")
      .range(0, 0.95);
  table
      .add("split.train_fraction", &train_fraction,
           "random splits: part of all participants; 0 takes what is left")
      .range(0, 1);
  table.add("split.train", &train, "fixed number of training participants; -1: not fixed")
      .range(-1, 1e7);
  table
      .add("split.validation", &validation,
           "fixed number of validation participants; -1: not fixed")
      .range(-1, 1e7);
  table.add("split.test", &test, "fixed number of test participants; -1: not fixed").range(-1, 1e7);
  table
      .add("split.development", &development,
           "fixed number of training and validation participants together (the sizes of P1's "
           "learning curve); -1: not fixed")
      .range(-1, 1e7);
}

void SplitOptions::validate() const {
  if (folds == 1) {
    throw core::UsageError("folds = 1: violated constraint folds >= 2",
                           "for a single random split leave --folds out");
  }
  if (folds > 0 && monte_carlo > 0) {
    throw core::UsageError("--folds and --monte-carlo exclude each other",
                           "choose one of the two designs");
  }
  if (folds > 0 && has_sizes()) {
    throw core::UsageError("--folds and fixed sizes exclude each other",
                           "in k-fold the number of folds fixes the test size; use "
                           "--validation-fraction for the validation");
  }
  if (folds == 0 && repeats > 1) {
    throw core::UsageError("--repeats belongs to --folds",
                           "for several random splits give --monte-carlo R");
  }
  if (development >= 0 && (train >= 0 || validation >= 0)) {
    throw core::UsageError("--development is train and validation together",
                           "give either --development or --train and --validation");
  }
  if (validation >= 0 && train < 0 && test < 0) {
    throw core::UsageError("--validation alone fixes neither train nor test",
                           "add --test or --train");
  }
  if (has_sizes() && train_fraction > 0) {
    throw core::UsageError("--train-fraction and fixed sizes exclude each other");
  }
}

SplitSizes split_sizes(const SplitOptions& options, std::size_t count, int fold) {
  const double f = options.validation_fraction;
  SplitSizes sizes;
  if (options.folds > 0) {
    const auto k = static_cast<std::size_t>(options.folds);
    sizes.test = count / k + (static_cast<std::size_t>(fold) < count % k ? 1 : 0);
    sizes.validation = rounded(f * static_cast<double>(count - sizes.test));
    sizes.train = count - sizes.test - sizes.validation;
  } else if (options.has_sizes()) {
    sizes = given_sizes(options, count);
  } else {
    sizes.test = rounded(options.test_fraction * static_cast<double>(count));
    sizes.validation = rounded(f * static_cast<double>(count - sizes.test));
    sizes.train = options.train_fraction > 0
                      ? rounded(options.train_fraction * static_cast<double>(count))
                      : count - sizes.test - sizes.validation;
  }
  const std::size_t sum = sizes.train + sizes.validation + sizes.test;
  if (sum > count) {
    throw core::UsageError(
        fmt::format("train {} + validation {} + test {} = {} exceed the {} participants",
                    sizes.train, sizes.validation, sizes.test, sum, count),
        "choose smaller sizes or fractions");
  }
  if (sizes.train == 0) {
    throw core::UsageError(fmt::format("no participant of {} is left for training (validation {}, "
                                       "test {})",
                                       count, sizes.validation, sizes.test),
                           "choose smaller validation and test sets");
  }
  return sizes;
}

core::Splits make_splits(std::vector<SplitSubject> subjects, const SplitOptions& options,
                         std::uint64_t seed) {
  options.validate();
  std::sort(subjects.begin(), subjects.end(), [](const SplitSubject& a, const SplitSubject& b) {
    return a.participant_id < b.participant_id;
  });
  std::map<std::string, std::vector<std::string>> strata;
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    if (i > 0 && subjects[i].participant_id == subjects[i - 1].participant_id) {
      throw core::UsageError(
          fmt::format("participant {} is there twice", subjects[i].participant_id));
    }
    strata[subjects[i].stratum].push_back(subjects[i].participant_id);
  }
  const std::size_t count = subjects.size();
  if (options.folds > 0 && count < static_cast<std::size_t>(options.folds)) {
    throw core::UsageError(fmt::format("{} folds need at least as many participants, there are {}",
                                       options.folds, count),
                           "choose fewer folds");
  }

  std::vector<core::SplitRow> rows;
  const int repeats = options.folds > 0 ? options.repeats : std::max(1, options.monte_carlo);
  for (int repeat = 0; repeat < repeats; ++repeat) {
    const std::vector<std::string> row = merged_row(strata, seed, repeat);
    std::size_t start = 0;
    for (int fold = 0; fold < std::max(1, options.folds); ++fold) {
      const SplitSizes sizes = split_sizes(options, count, fold);
      std::vector<core::SplitRow> own;
      const auto take = [&](std::size_t from, std::size_t size, core::Split split) {
        for (std::size_t i = 0; i < size; ++i) {
          own.push_back({repeat, fold, row[(from + i) % count], split});
        }
      };
      take(start + sizes.test + sizes.validation, sizes.train, core::Split::kTrain);
      take(start + sizes.test, sizes.validation, core::Split::kValidation);
      take(start, sizes.test, core::Split::kTest);
      std::sort(own.begin(), own.end(), [](const core::SplitRow& a, const core::SplitRow& b) {
        return a.participant_id < b.participant_id;
      });
      rows.insert(rows.end(), own.begin(), own.end());
      start += sizes.test;
    }
  }
  return core::Splits(std::move(rows), "splits");
}

std::vector<std::string> quantile_strata(const std::vector<double>& values, int bins) {
  std::vector<double> sorted;
  for (const double value : values) {
    if (!std::isnan(value)) sorted.push_back(value);
  }
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::string> strata;
  for (const double value : values) {
    if (std::isnan(value)) {
      strata.emplace_back("n/a");
      continue;
    }
    // The middle rank of equal values decides, so that they stay together.
    const auto [low, high] = std::equal_range(sorted.begin(), sorted.end(), value);
    const double rank = 0.5 * static_cast<double>((low - sorted.begin()) + (high - sorted.begin()));
    const int bin = static_cast<int>(rank * bins / static_cast<double>(sorted.size()));
    strata.push_back(fmt::format("q{}", std::min(bin, bins - 1) + 1));
  }
  return strata;
}

}  // namespace epvs::data
