#include "data/prepare/inputs/exclusions.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/text.h"

namespace epvs::data {

namespace {

std::string cell_or_empty(const core::Table& table, std::size_t row, const std::string& column) {
  if (!table.has(column) || table.missing(row, table.index(column))) return {};
  return table.cell(row, column);
}

}  // namespace

core::Json ExcludedScan::to_json() const {
  return {{"participant_id", participant_id},
          {"session_id", session_id},
          {"region", region},
          {"reason", reason}};
}

Exclusions::Exclusions(const std::filesystem::path& path) : table_(core::Table::read(path)) {
  table_.index("participant_id");
  table_.index("exclude");
  for (std::size_t line = 0; line < table_.rows(); ++line) {
    const std::string word = core::lower(cell_or_empty(table_, line, "exclude"));
    if (word != "yes" && word != "no" && !word.empty()) {
      throw core::InputError(fmt::format("{}: exclude is '{}'; expected yes or no",
                                         table_.where(line),
                                         cell_or_empty(table_, line, "exclude")));
    }
    if (word != "yes") continue;
    std::string reason = cell_or_empty(table_, line, "exclude_reason");
    if (reason.empty()) reason = cell_or_empty(table_, line, "reason");
    if (reason.empty()) reason = "no reason given";
    rows_.push_back(
        {line,
         {cell_or_empty(table_, line, "participant_id"), cell_or_empty(table_, line, "session_id"),
          cell_or_empty(table_, line, "region"), reason}});
  }
}

bool Exclusions::fits(const Row& row, const std::string& participant, const std::string& session,
                      const std::string& region) {
  return row.scan.participant_id == participant &&
         (row.scan.session_id.empty() || row.scan.session_id == session) &&
         (row.scan.region.empty() || row.scan.region == region);
}

std::optional<ExcludedScan> Exclusions::find(const ScanInput& input,
                                             const std::string& region) const {
  for (const Row& row : rows_) {
    if (fits(row, input.participant_id, input.session_id, region)) {
      return ExcludedScan{input.participant_id, input.session_id, region, row.scan.reason};
    }
  }
  return std::nullopt;
}

bool Exclusions::excludes(const ScanInput& input, const std::string& region) const {
  return find(input, region).has_value();
}

std::string Exclusions::cell(const ExcludedScan& scan, const std::string& column) const {
  for (const Row& row : rows_) {
    if (!fits(row, scan.participant_id, scan.session_id, scan.region)) continue;
    const std::string text = cell_or_empty(table_, row.line, column);
    return text.empty() ? core::kMissing : text;
  }
  return core::kMissing;
}

std::vector<std::string> Exclusions::unknown(const std::vector<ScanInput>& inputs,
                                             const std::vector<std::string>& regions) const {
  std::vector<std::string> names;
  for (const Row& row : rows_) {
    const bool known = std::any_of(inputs.begin(), inputs.end(), [&](const ScanInput& input) {
      return std::any_of(regions.begin(), regions.end(), [&](const std::string& region) {
        return fits(row, input.participant_id, input.session_id, region);
      });
    });
    if (known) continue;
    std::string name = row.scan.participant_id;
    if (!row.scan.session_id.empty()) name += " " + row.scan.session_id;
    if (!row.scan.region.empty()) name += " " + row.scan.region;
    names.push_back(name);
  }
  return names;
}

}  // namespace epvs::data
