#include "data/split/split_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "data/cohort/cohort.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

bool is_hdf5(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic(4, '\0');
  file.read(magic.data(), 4);
  return magic == "\x89HDF";
}

std::vector<std::string> participants_of_cohort(const fs::path& path, const std::string& region) {
  const CohortReader cohort(path);
  std::vector<std::string> participants;
  std::set<std::string> seen;
  for (const std::string& name : cohort.regions()) {
    if (!region.empty() && name != region) continue;
    for (const CohortRow& row : cohort.rows(name)) {
      if (seen.insert(row.participant_id).second) participants.push_back(row.participant_id);
    }
  }
  if (participants.empty()) {
    throw core::InputError(
        fmt::format("{} has no participants{}", path.string(),
                    region.empty() ? "" : fmt::format(" in region '{}'", region)),
        "its regions: " + core::join(cohort.regions(), ", "));
  }
  return participants;
}

bool in_region(const core::Table& table, std::size_t row, const std::string& region) {
  return region.empty() || table.cell(row, "region") == region;
}

}  // namespace

std::vector<std::string> participants_of_table(const core::Table& table,
                                               const std::string& region) {
  const std::size_t column = table.index("participant_id");
  if (!region.empty()) table.index("region");
  std::vector<std::string> participants;
  std::set<std::string> seen;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (!in_region(table, row, region)) continue;
    if (table.missing(row, column)) {
      throw core::InputError(table.where(row) + ": participant_id is missing");
    }
    const std::string& id = table.cell(row, column);
    if (seen.insert(id).second) participants.push_back(id);
  }
  if (participants.empty()) {
    throw core::InputError(
        fmt::format("{} has no participants{}", table.source(),
                    region.empty() ? "" : fmt::format(" with region '{}'", region)));
  }
  return participants;
}

std::vector<std::string> strata_of_table(const core::Table& table, const std::string& column,
                                         const std::string& region, int bins,
                                         const std::vector<std::string>& participants) {
  if (!table.has(column)) {
    throw core::UsageError(fmt::format("{} has no column '{}'{}", table.source(), column,
                                       core::did_you_mean(column, table.columns())));
  }
  const std::size_t index = table.index(column);
  std::map<std::string, std::vector<std::string>> cells;
  std::set<std::string> distinct;
  bool numbers = true;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (table.has("region") && !in_region(table, row, region)) continue;
    const std::string& cell = table.cell(row, index);
    cells[table.cell(row, "participant_id")].push_back(cell);
    distinct.insert(cell);
    numbers = numbers && (table.missing(row, index) || core::parse_number(cell).has_value());
  }
  std::vector<double> values;
  std::vector<std::string> texts;
  for (const std::string& participant : participants) {
    const auto found = cells.find(participant);
    if (found == cells.end()) {
      throw core::InputError(
          fmt::format("{} has no row for participant {}", table.source(), participant),
          fmt::format("every participant needs a value of '{}' to be stratified", column));
    }
    double sum = 0;
    int known = 0;
    for (const std::string& cell : found->second) {
      if (!numbers && cell != found->second.front()) {
        throw core::InputError(
            fmt::format("{}: participant {} has '{}' and '{}' in column {}", table.source(),
                        participant, found->second.front(), cell, column),
            "a stratum belongs to a participant: choose a region or a column that does not change");
      }
      const auto number = core::parse_number(cell);
      if (!number) continue;
      sum += *number;
      ++known;
    }
    values.push_back(known > 0 ? sum / known : std::nan(""));
    texts.push_back(found->second.front());
  }
  if (!numbers) return texts;
  if (distinct.size() > static_cast<std::size_t>(bins)) return quantile_strata(values, bins);
  texts.clear();
  for (const double value : values) texts.push_back(core::format_number(value));
  return texts;
}

core::Manual SplitCommand::manual() const {
  core::Manual manual;
  manual.name = "split";
  manual.summary = "participants to training, validation and test sets";
  manual.synopsis = "TABLE|COHORT.h5 --out SPLITS.tsv [--folds K | --monte-carlo R] [options]";
  manual.description =
      "Divides the participants of a table (any TSV with participant_id: participants.tsv, visual "
      "scores) or of a cohort file, and writes one row per repeat, fold and participant: repeat, "
      "fold, participant_id, split. Sessions of a participant stay together. Later commands only "
      "read this file, so that every network sees the same sets.\n"
      "Without --folds the split is random: one, or several independent ones with --monte-carlo. "
      "Sizes are fractions, or fixed numbers; participants beyond fixed sizes are in no set. With "
      "--stratify every set has its share of every group.\n"
      "The result depends on the participants and the seed, not on the order of the rows.";
  manual.examples = {
      {"P1's sizes:",
       "epvs split participants.tsv --train 1289 --validation 323 --test 405 --out splits.tsv"},
      {"Ten-fold cross-validation, repeated twice, scanners in equal shares:",
       "epvs split participants.tsv --folds 10 --repeats 2 --stratify scanner --out splits.tsv"},
      {"One point of P1's learning curve: five random sets of 40 scans, 20% of them validation:",
       "epvs split participants.tsv --development 40 --test 400 --monte-carlo 5 --out lc40.tsv"},
      {"Participants of a cohort file, stratified by quartiles of the visual score:",
       "epvs split cohort.h5 --participants visual_scores.tsv --region bg --stratify rater1 "
       "--out splits.tsv"}};
  manual.citations = {
      "Sizes and learning curve: Dubost F, et al. 3D regression neural network for the "
      "quantification of enlarged perivascular spaces in brain MRI. Medical Image Analysis 51, "
      "2019, sections 3.4 and 3.5. arXiv:1802.05914"};
  manual.uses_seed = true;
  return manual;
}

void SplitCommand::declare(core::CommandLine& line) {
  line.positional("INPUT", &input_, "table with a column participant_id, or cohort file")
      .required();
  line.option("--out", &out_, "the splits table").required().unit("FILE");
  line.option("--region", &region_, "only participants (and strata) of this region");
  line.heading("Design");
  options_.declare(table_);
  line.options_of(table_);
  line.heading("Stratification");
  line.option("--stratify", &stratify_, "column whose groups every set gets its share of");
  line.option("--participants", &participants_,
              "table that has the column of --stratify; default: TABLE itself")
      .unit("FILE");
  line.option("--bins", &bins_, "a column of more distinct numbers is cut into this many quantiles")
      .range(2, 100);
}

void SplitCommand::run(core::Context& context) {
  options_.validate();
  core::require_exists(input_, "the input");
  core::refuse_existing(out_, context.force);
  const bool cohort = is_hdf5(input_);
  std::optional<core::Table> table;
  if (!cohort) table.emplace(core::Table::read(input_));
  const std::vector<std::string> participants =
      cohort ? participants_of_cohort(input_, region_) : participants_of_table(*table, region_);
  std::vector<SplitSubject> subjects;
  for (const std::string& id : participants) subjects.push_back({id, ""});
  context.provenance.add_input(input_);

  if (stratify_.empty() && !participants_.empty()) {
    throw core::UsageError("--participants is given without --stratify",
                           "name the column with --stratify");
  }
  if (!stratify_.empty()) {
    if (!participants_.empty()) {
      context.provenance.add_input(participants_);
      table.emplace(core::Table::read(participants_));
    }
    if (!table) {
      throw core::UsageError("a cohort file has no column to stratify by",
                             "give the table that has it with --participants");
    }
    const std::vector<std::string> strata =
        strata_of_table(*table, stratify_, region_, bins_, participants);
    std::map<std::string, int> sizes;
    for (std::size_t i = 0; i < subjects.size(); ++i) {
      subjects[i].stratum = strata[i];
      ++sizes[strata[i]];
    }
    for (const auto& [name, size] : sizes) {
      context.log.info("stratum {} = {}: {} participants", stratify_, name, size);
    }
  }

  const core::Splits splits = make_splits(std::move(subjects), options_, context.seed);
  core::Table sizes({"repeat", "fold", "train", "validation", "test", "unused"});
  for (const auto& [repeat, fold] : splits.pairs()) {
    std::vector<std::string> row = {std::to_string(repeat), std::to_string(fold)};
    std::size_t used = 0;
    for (const auto& [split, name] : core::names_of(core::Split{})) {
      const std::size_t size = splits.participants_or_none(repeat, fold, split).size();
      row.push_back(std::to_string(size));
      used += size;
    }
    row.push_back(std::to_string(participants.size() - used));
    sizes.add_row(std::move(row));
  }
  fmt::print("{}", sizes.to_aligned(12));
  if (context.dry_run) return;
  context.provenance.add("seed", context.seed);
  splits.write(out_);
  context.provenance.write_beside(out_);
}

}  // namespace epvs::data
