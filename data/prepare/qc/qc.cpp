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

/// Visits every field of a row with its name.
template <class Row, class Visit>
void visit_fields(Row& row, const Visit& visit) {
  visit("participant_id", row.participant_id);
  visit("session_id", row.session_id);
  visit("region", row.region);
  visit("volume_mm3", row.volume_mm3);
  visit("label_volume_mm3", row.label_volume_mm3);
  visit("cut_fraction", row.cut_fraction);
  visit("edge_fraction", row.edge_fraction);
  visit("outside_crop_fraction", row.outside_crop_fraction);
  visit("intensity_min", row.intensity_min);
  visit("intensity_max", row.intensity_max);
  visit("sharpness_per_mm", row.sharpness_per_mm);
  visit("mi_before", row.mi_before);
  visit("mi_after", row.mi_after);
  visit("overlap", row.overlap);
  visit("jacobian_min", row.jacobian_min);
  visit("seconds", row.seconds);
  visit("reasons", row.reasons);
}

}  // namespace

core::Json QcRow::to_json() const {
  core::Json document;
  visit_fields(*this, [&](const char* name, const auto& value) { document[name] = value; });
  return document;  // written as null where a number is NaN
}

QcRow QcRow::from_json(const core::Json& document) {
  QcRow row;
  visit_fields(row, [&](const char* name, auto& value) {
    if (!document.at(name).is_null()) {
      document.at(name).get_to(value);
    } else if constexpr (std::is_same_v<decltype(value), double&>) {
      value = std::numeric_limits<double>::quiet_NaN();
    }
  });
  return row;
}

VoxelBox box_around(const Volume<std::uint8_t>& mask, double margin_mm) {
  const VoxelBox box = bounding_box(mask);
  if (box.empty()) return box;
  const Eigen::Vector3d spacing = mask.geometry.spacing_mm();
  const std::size_t through = slice_axis(mask.geometry);
  Shape margin = {0, 0, 0};
  for (std::size_t i = 0; i < 3; ++i) {
    if (i != through) margin[i] = std::lround(margin_mm / spacing[static_cast<Eigen::Index>(i)]);
  }
  return box.grown(margin, mask.geometry.shape);
}

double sharpness_per_mm(const Volume<float>& scan, const VoxelBox& box) {
  const double kNone = std::numeric_limits<double>::quiet_NaN();
  if (box.empty()) return kNone;
  const Eigen::Vector3d spacing = scan.geometry.spacing_mm();
  const std::size_t through = slice_axis(scan.geometry);
  double sum = 0;
  double count = 0;
  double energy[3] = {0, 0, 0};
  double pairs[3] = {0, 0, 0};
  const double origin = scan.at(box.begin[0], box.begin[1], box.begin[2]);  // keeps the sums small
  double squares = 0;
  for (std::int64_t z = box.begin[2]; z < box.end[2]; ++z) {
    for (std::int64_t y = box.begin[1]; y < box.end[1]; ++y) {
      for (std::int64_t x = box.begin[0]; x < box.end[0]; ++x) {
        const double value = static_cast<double>(scan.at(x, y, z)) - origin;
        sum += value;
        squares += value * value;
        count += 1;
        const Shape at = {x, y, z};
        for (std::size_t i = 0; i < 3; ++i) {
          if (i == through || at[i] + 1 == box.end[i]) continue;
          Shape next = at;
          ++next[i];
          const double step =
              static_cast<double>(scan.at(next[0], next[1], next[2])) - origin - value;
          energy[i] += step * step;
          pairs[i] += 1;
        }
      }
    }
  }
  const double variance = squares / count - (sum / count) * (sum / count);
  double gradient = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    if (i == through) continue;
    if (pairs[i] == 0) return kNone;
    const double h = spacing[static_cast<Eigen::Index>(i)];
    gradient += energy[i] / pairs[i] / (h * h);
  }
  if (!(variance > 1e-12 * squares / count) || gradient <= 0) return kNone;
  return std::sqrt(gradient / variance);
}

fs::path qc_folder(const fs::path& out) {
  return out.parent_path() / (out.stem().string() + "_qc");
}

std::string qc_picture_name(const std::string& key) {
  return key + "_qc.png";
}

fs::path failures_path(const fs::path& out) {
  return qc_folder(out) / "failed.tsv";
}

namespace {

/// Values of a row that need the whole cohort.
struct CohortValues {
  double volume_z;
  double sharpness_z;
};

using Cell = std::string (*)(const QcRow& row, const CohortValues& cohort);

/// The columns of qc.tsv that a row fills, in order.
const std::vector<std::pair<const char*, Cell>>& columns() {
  using Row = const QcRow&;
  using Values = const CohortValues&;
  static const std::vector<std::pair<const char*, Cell>> all = {
      {"participant_id", [](Row r, Values) { return r.participant_id; }},
      {"session_id", [](Row r, Values) { return r.session_id; }},
      {"region", [](Row r, Values) { return r.region; }},
      {"volume_mm3", [](Row r, Values) { return rounded(r.volume_mm3, 1); }},
      {"volume_robust_z", [](Row, Values c) { return rounded(c.volume_z, 2); }},
      {"label_volume_mm3", [](Row r, Values) { return rounded(r.label_volume_mm3, 1); }},
      {"cut_fraction", [](Row r, Values) { return rounded(r.cut_fraction, 4); }},
      {"edge_fraction", [](Row r, Values) { return rounded(r.edge_fraction, 4); }},
      {"outside_crop_fraction", [](Row r, Values) { return rounded(r.outside_crop_fraction, 4); }},
      {"intensity_min", [](Row r, Values) { return core::format_number(r.intensity_min); }},
      {"intensity_max", [](Row r, Values) { return core::format_number(r.intensity_max); }},
      {"sharpness_per_mm", [](Row r, Values) { return rounded(r.sharpness_per_mm, 4); }},
      {"sharpness_robust_z", [](Row, Values c) { return rounded(c.sharpness_z, 2); }},
      {"mi_before", [](Row r, Values) { return rounded(r.mi_before, 4); }},
      {"mi_after", [](Row r, Values) { return rounded(r.mi_after, 4); }},
      {"overlap", [](Row r, Values) { return rounded(r.overlap, 3); }},
      {"jacobian_min", [](Row r, Values) { return rounded(r.jacobian_min, 3); }},
      {"seconds", [](Row r, Values) { return rounded(r.seconds, 2); }}};
  return all;
}

}  // namespace

core::Table qc_table(const std::vector<QcRow>& rows, const std::vector<ExcludedScan>& excluded,
                     const Exclusions& exclusions) {
  std::vector<std::string> names;
  for (const auto& [name, cell] : columns()) names.emplace_back(name);
  names.insert(names.end(), {"flag", "reason", "exclude", "exclude_reason"});
  core::Table table(std::move(names));
  const std::vector<double> volume_z = robust_z(rows, &QcRow::volume_mm3);
  const std::vector<double> sharpness_z = robust_z(rows, &QcRow::sharpness_per_mm);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::vector<std::string> reasons = rows[i].reasons;
    for (std::string& reason : cohort_reasons(volume_z[i], sharpness_z[i])) {
      reasons.push_back(std::move(reason));
    }
    std::vector<std::string> cells;
    for (const auto& [name, cell] : columns()) {
      cells.push_back(cell(rows[i], {volume_z[i], sharpness_z[i]}));
    }
    cells.insert(cells.end(),
                 {reasons.empty() ? "ok" : "check", core::join(reasons, "; "), "no", ""});
    table.add_row(std::move(cells));
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
