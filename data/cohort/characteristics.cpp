#include "data/cohort/characteristics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "data/formats/volume.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

/// A scan once, whatever the number of regions it is in.
struct CohortScan {
  std::string participant;
  Geometry geometry;
  core::Json facts;
};

std::string key_of(const std::string& participant, const std::string& session) {
  return session.empty() ? participant : participant + " " + session;
}

std::map<std::string, CohortScan> scans_of(const CohortReader& cohort) {
  std::map<std::string, CohortScan> scans;
  for (const std::string& region : cohort.regions()) {
    for (const CohortRow& row : cohort.rows(region)) {
      scans.emplace(key_of(row.participant_id, row.session_id),
                    CohortScan{row.participant_id, row.source, core::Json::object()});
    }
  }
  const core::Json provenance = cohort.provenance();
  if (!provenance.contains("scan_facts")) return scans;  // of an older epvs, or simulated
  for (const core::Json& facts : provenance["scan_facts"]) {
    const auto scan = scans.find(key_of(facts.at("participant_id").get<std::string>(),
                                        facts.at("session_id").get<std::string>()));
    if (scan != scans.end()) scan->second.facts = facts;
  }
  return scans;
}

/// The table that grows line by line.
class Characteristics {
 public:
  Characteristics()
      : table_({"characteristic", "level", "unit", "of", "n", "count", "minimum", "maximum", "mean",
                "sd"}) {}

  /// Summary of the known values; NaN is unknown.
  void numbers(const std::string& name, const std::string& unit, const std::string& of,
               const std::vector<double>& all) {
    std::vector<double> values;
    std::copy_if(all.begin(), all.end(), std::back_inserter(values),
                 [](double value) { return std::isfinite(value); });
    const std::size_t n = values.size();
    std::vector<std::string> row = {name, "", unit, of, std::to_string(n), "", "", "", "", ""};
    if (n > 0) {
      const auto [low, high] = std::minmax_element(values.begin(), values.end());
      double sum = 0;
      for (const double value : values) sum += value;
      const double mean = sum / static_cast<double>(n);
      double squares = 0;
      for (const double value : values) squares += (value - mean) * (value - mean);
      row[6] = core::format_number(*low);
      row[7] = core::format_number(*high);
      row[8] = core::format_number(mean);
      if (n > 1) row[9] = core::format_number(std::sqrt(squares / static_cast<double>(n - 1)));
    }
    table_.add_row(row);
  }
  /// A line per level, in their order; empty text is unknown.
  void levels(const std::string& name, const std::string& unit, const std::string& of,
              const std::vector<std::string>& all) {
    std::map<std::string, std::size_t> counts;
    std::size_t known = 0;
    for (const std::string& level : all) {
      if (level.empty()) continue;
      ++counts[level];
      ++known;
    }
    for (const auto& [level, count] : counts) {
      table_.add_row(
          {name, level, unit, of, std::to_string(known), std::to_string(count), "", "", "", ""});
    }
    if (counts.empty()) table_.add_row({name, "", unit, of, "0", "", "", "", "", ""});
  }
  void count(const std::string& name, const std::string& level, const std::string& of,
             std::size_t n) {
    table_.add_row({name, level, "", of, "", std::to_string(n), "", "", "", ""});
  }
  core::Table take() { return std::move(table_); }

 private:
  core::Table table_;
};

/// Rows of participants.tsv by participant, with or without "sub-".
class Participants {
 public:
  Participants(const fs::path& path, const std::set<std::string>& wanted) {
    if (path.empty()) return;
    table_ = core::Table::read(path);
    std::map<std::string, std::size_t> rows;
    for (std::size_t row = 0; row < table_.rows(); ++row) {
      const std::string id = bare(table_.cell(row, "participant_id"));
      if (!rows.emplace(id, row).second) {
        throw core::InputError(fmt::format("{}: participant {} is there twice", table_.where(row),
                                           table_.cell(row, "participant_id")));
      }
    }
    for (const std::string& participant : wanted) {
      const auto found = rows.find(bare(participant));
      if (found == rows.end()) {
        throw core::InputError(
            fmt::format("participant {} of the cohort is not in {}", participant, path.string()),
            "add a line, with n/a for what is not known");
      }
      rows_[participant] = found->second;
    }
  }
  bool given() const { return !table_.columns().empty(); }
  bool has(const std::string& column) const { return table_.has(column); }
  /// The first of these columns that the table has; empty when there is none.
  std::string column(const std::vector<std::string>& names) const {
    for (const std::string& name : names) {
      if (table_.has(name)) return name;
    }
    return {};
  }
  double number(const std::string& participant, const std::string& name) const {
    return name.empty() ? std::nan("") : table_.number(rows_.at(participant), name);
  }
  /// Empty for n/a.
  std::string text(const std::string& participant, const std::string& name) const {
    if (name.empty() || table_.missing(rows_.at(participant), table_.index(name))) return {};
    return table_.cell(rows_.at(participant), name);
  }

 private:
  static std::string bare(const std::string& id) {
    return id.starts_with("sub-") ? id.substr(4) : id;
  }
  core::Table table_;
  std::map<std::string, std::size_t> rows_;
};

double fact_number(const CohortScan& scan, const char* name) {
  const auto found = scan.facts.find(name);
  return found != scan.facts.end() && found->is_number() ? found->get<double>() : std::nan("");
}

std::string fact_text(const CohortScan& scan, const char* name) {
  const auto found = scan.facts.find(name);
  return found != scan.facts.end() && found->is_string() ? found->get<std::string>()
                                                         : std::string();
}

void describe_people(const std::map<std::string, CohortScan>& scans, const Participants& table,
                     Characteristics& out) {
  std::set<std::string> people;
  for (const auto& [key, scan] : scans) people.insert(scan.participant);
  std::vector<double> ages;
  std::vector<std::string> sexes;
  std::vector<std::string> scanners;
  const std::string age = table.column({"age", "age_years"});
  const std::string sex = table.column({"sex", "gender"});
  const std::string scanner = table.column({"scanner"});
  for (const std::string& id : people) {
    ages.push_back(table.number(id, age));
    sexes.push_back(table.text(id, sex));
    scanners.push_back(table.text(id, scanner));
  }
  out.count("participants", "", "participants", people.size());
  out.numbers("age", "years", "participants", ages);
  out.levels("sex", "", "participants", sexes);
  out.levels("scanner", "", "participants", scanners);
}

void describe_scans(const std::map<std::string, CohortScan>& scans, const Participants& table,
                    Characteristics& out) {
  std::vector<double> in_plane;
  std::vector<double> through;
  std::vector<double> thickness;
  std::vector<double> spacing;
  std::vector<std::string> field;
  std::vector<std::string> manufacturer;
  std::vector<std::string> model;
  const std::string field_column = table.column({"field_strength_t", "magnetic_field_strength"});
  const std::string maker_column = table.column({"manufacturer"});
  for (const auto& [key, scan] : scans) {
    const Eigen::Vector3d mm = scan.geometry.spacing_mm();
    const auto slice = static_cast<Eigen::Index>(slice_axis(scan.geometry));
    in_plane.push_back(0.5 * (mm.sum() - mm[slice]));
    through.push_back(mm[slice]);
    thickness.push_back(fact_number(scan, "SliceThickness"));
    spacing.push_back(fact_number(scan, "SpacingBetweenSlices"));
    double tesla = fact_number(scan, "MagneticFieldStrength");
    if (!std::isfinite(tesla)) tesla = table.number(scan.participant, field_column);
    field.push_back(std::isfinite(tesla) ? core::format_number(tesla) : std::string());
    manufacturer.push_back(fact_text(scan, "Manufacturer"));
    if (manufacturer.back().empty()) {
      manufacturer.back() = table.text(scan.participant, maker_column);
    }
    model.push_back(fact_text(scan, "ManufacturersModelName"));
  }
  out.count("scans", "", "scans", scans.size());
  out.numbers("in_plane_voxel_size", "mm", "scans", in_plane);
  out.numbers("slice_voxel_size", "mm", "scans", through);
  out.numbers("slice_thickness", "mm", "scans", thickness);
  out.numbers("slice_spacing", "mm", "scans", spacing);
  out.levels("field_strength", "T", "scans", field);
  out.levels("manufacturer", "", "scans", manufacturer);
  out.levels("scanner_model", "", "scans", model);
}

/// How many scans were found, excluded (per region and reason) and failed.
void describe_selection(const CohortReader& cohort, const std::map<std::string, CohortScan>& scans,
                        Characteristics& out) {
  const core::Json provenance = cohort.provenance();
  if (!provenance.contains("scans_found")) {  // simulated, or of an older epvs
    out.levels("scans_found", "", "scans", {});
    return;
  }
  out.count("scans_found", "", "scans", provenance["scans_found"].get<std::size_t>());
  out.count("scans_failed", "", "scans", provenance.at("failed").size());
  std::set<std::string> left_out;
  std::map<std::string, std::size_t> reasons;
  for (const core::Json& entry : provenance.at("excluded")) {
    const std::string key = key_of(entry.at("participant_id").get<std::string>(),
                                   entry.at("session_id").get<std::string>());
    if (!scans.contains(key)) left_out.insert(key);
    ++reasons[entry.at("region").get<std::string>() + ": " + entry.at("reason").get<std::string>()];
  }
  out.count("scans_excluded", "from all regions", "scans", left_out.size());
  for (const auto& [reason, count] : reasons) out.count("excluded", reason, "scans", count);
}

}  // namespace

core::Table cohort_characteristics(const CohortReader& cohort, const fs::path& participants) {
  const std::map<std::string, CohortScan> scans = scans_of(cohort);
  std::set<std::string> people;
  for (const auto& [key, scan] : scans) people.insert(scan.participant);
  const Participants table(participants, people);
  Characteristics out;
  describe_selection(cohort, scans, out);
  describe_people(scans, table, out);
  describe_scans(scans, table, out);
  return out.take();
}

}  // namespace epvs::data
