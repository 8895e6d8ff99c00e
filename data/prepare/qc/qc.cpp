#include "data/prepare/qc/qc.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "core/text.h"

namespace epvs::data {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kLeastScans = 5;
constexpr double kFar = 3.5;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return 0.5 * (values[(n - 1) / 2] + values[n / 2]);
}

/// Modified z-scores of a member within its region; NaN for fewer than 5 scans that have it.
std::vector<double> robust_z(const std::vector<QcRow>& rows, double QcRow::*member) {
  std::map<std::string, std::vector<double>> values;
  for (const QcRow& row : rows) {
    if (std::isfinite(row.*member)) values[row.region].push_back(row.*member);
  }
  std::vector<double> z(rows.size(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::vector<double>& all = values[rows[i].region];
    if (all.size() < kLeastScans || !std::isfinite(rows[i].*member)) continue;
    const double middle = median(all);
    std::vector<double> distances;
    for (const double value : all) distances.push_back(std::abs(value - middle));
    const double spread = median(distances);
    if (spread > 0) z[i] = 0.6745 * (rows[i].*member - middle) / spread;
  }
  return z;
}

std::string rounded(double value, int digits) {
  if (!std::isfinite(value)) return core::kMissing;
  return fmt::format("{:.{}f}", value, digits);
}

std::vector<std::string> cohort_reasons(double volume_z, double sharpness_z) {
  std::vector<std::string> reasons;
  if (std::abs(volume_z) > kFar) {
    reasons.push_back(
        fmt::format("volume is far from the cohort's median (robust z {:.1f})", volume_z));
  }
  if (sharpness_z < -kFar) {
    reasons.push_back(fmt::format(
        "blurred or moved: far less sharp than the cohort (robust z {:.1f})", sharpness_z));
  }
  if (sharpness_z > kFar) {
    reasons.push_back(fmt::format(
        "noisy or filtered: far sharper than the cohort (robust z {:.1f})", sharpness_z));
  }
  return reasons;
}

}  // namespace

fs::path qc_folder(const fs::path& out) {
  return out.parent_path() / (out.stem().string() + "_qc");
}

std::string qc_picture_name(const std::string& key) {
  return key + "_qc.png";
}

fs::path failures_path(const fs::path& out) {
  return qc_folder(out) / "failed.tsv";
}

core::Table qc_table(const std::vector<QcRow>& rows, const std::vector<ExcludedScan>& excluded,
                     const Exclusions& exclusions) {
  core::Table table({"participant_id",
                     "session_id",
                     "region",
                     "volume_mm3",
                     "volume_robust_z",
                     "label_volume_mm3",
                     "cut_fraction",
                     "edge_fraction",
                     "outside_crop_fraction",
                     "intensity_min",
                     "intensity_max",
                     "sharpness_per_mm",
                     "sharpness_robust_z",
                     "mi_before",
                     "mi_after",
                     "overlap",
                     "jacobian_min",
                     "seconds",
                     "flag",
                     "reason",
                     "exclude",
                     "exclude_reason"});
  const std::vector<double> volume_z = robust_z(rows, &QcRow::volume_mm3);
  const std::vector<double> sharpness_z = robust_z(rows, &QcRow::sharpness_per_mm);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const QcRow& row = rows[i];
    std::vector<std::string> reasons = row.reasons;
    for (std::string& reason : cohort_reasons(volume_z[i], sharpness_z[i])) {
      reasons.push_back(std::move(reason));
    }
    table.add_row({row.participant_id,
                   row.session_id,
                   row.region,
                   rounded(row.volume_mm3, 1),
                   rounded(volume_z[i], 2),
                   rounded(row.label_volume_mm3, 1),
                   rounded(row.cut_fraction, 4),
                   rounded(row.edge_fraction, 4),
                   rounded(row.outside_crop_fraction, 4),
                   core::format_number(row.intensity_min),
                   core::format_number(row.intensity_max),
                   rounded(row.sharpness_per_mm, 4),
                   rounded(sharpness_z[i], 2),
                   rounded(row.mi_before, 4),
                   rounded(row.mi_after, 4),
                   rounded(row.overlap, 3),
                   rounded(row.jacobian_min, 3),
                   rounded(row.seconds, 2),
                   reasons.empty() ? "ok" : "check",
                   core::join(reasons, "; "),
                   "no",
                   ""});
  }
  for (const ExcludedScan& scan : excluded) {
    std::vector<std::string> cells;
    for (const std::string& column : table.columns()) {
      cells.push_back(exclusions.cell(scan, column));
    }
    const auto set = [&](const char* column, const std::string& text) {
      cells[table.index(column)] = text;
    };
    set("participant_id", scan.participant_id);
    set("session_id", scan.session_id);
    set("region", scan.region);
    set("flag", "excluded");
    set("exclude", "yes");
    set("exclude_reason", scan.reason);
    table.add_row(std::move(cells));
  }
  return table;
}

}  // namespace epvs::data
