#include "eval/detection_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "core/error.h"
#include "core/text.h"

namespace epvs::eval {
namespace {

using core::format_number;

std::string optional_cell(const core::Table& table, std::size_t row, const std::string& column) {
  if (!table.has(column) || table.cell(row, column) == core::kMissing) return {};
  return table.cell(row, column);
}

void require_same_keys(const core::Table& detections, const core::Table& truth) {
  for (const char* column : {"session_id", "region"}) {
    if (detections.has(column) == truth.has(column)) continue;
    const core::Table& with = detections.has(column) ? detections : truth;
    const core::Table& without = detections.has(column) ? truth : detections;
    throw core::InputError(
        fmt::format("{} has the column {}, {} has not", with.source(), column, without.source()),
        "give both tables the same key columns");
  }
}

double required_number(const core::Table& table, std::size_t row, const std::string& column) {
  const double value = table.number(row, column);
  if (std::isnan(value)) {
    throw core::InputError(
        fmt::format("{}: {} is missing, expected a number", table.where(row), column));
  }
  return value;
}

/// The scans of every region, and the points that stand in tables.
class ScanCollector {
 public:
  explicit ScanCollector(const std::vector<core::ScoreKey>& scans) {
    for (const core::ScoreKey& key : scans) {
      const auto [place, is_new] = region_number_.try_emplace(key.region, regions.size());
      if (is_new) regions.push_back({key.region, {}});
      std::vector<DetectionScan>& of_region = regions[place->second].scans;
      const Key scan = {key.region, key.participant_id, key.session_id};
      if (!scan_number_.try_emplace(scan, of_region.size()).second) continue;
      of_region.push_back({key.participant_id, key.session_id, {}, {}, {}});
    }
  }

  void add(const core::Table& table, bool with_weights) {
    for (std::size_t row = 0; row < table.rows(); ++row) {
      const Key key = {optional_cell(table, row, "region"),
                       optional_cell(table, row, "participant_id"),
                       optional_cell(table, row, "session_id")};
      if (key[1].empty()) throw core::InputError(table.where(row) + " has no participant_id");
      const auto found = scan_number_.find(key);
      if (found == scan_number_.end()) continue;
      DetectionScan& at = regions[region_number_.at(key[0])].scans[found->second];
      const PointMm point = {required_number(table, row, "x"), required_number(table, row, "y"),
                             required_number(table, row, "z")};
      (with_weights ? at.detections : at.truths).push_back(point);
      if (with_weights) at.weights.push_back(required_number(table, row, "weight"));
    }
  }

  std::vector<DetectionRegion> regions;

 private:
  using Key = std::array<std::string, 3>;  // region, participant, session
  std::map<std::string, std::size_t> region_number_;
  std::map<Key, std::size_t> scan_number_;
};

}  // namespace

core::Table read_detections(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return core::Table::read(path);
  constexpr std::string_view kEnding = "_desc-detections_epvs.tsv";
  std::set<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.path().filename().string().ends_with(kEnding)) files.insert(entry.path());
  }
  if (files.empty()) {
    throw core::InputError(
        fmt::format("the folder {} holds no *{}", path.string(), std::string(kEnding)),
        "give the folder that epvs infer --detections wrote, or one table");
  }
  std::optional<core::Table> all;
  for (const std::filesystem::path& file : files) {
    const core::Table one = core::Table::read(file);
    if (!all) all.emplace(one.columns());
    if (one.columns() != all->columns()) {
      throw core::InputError(
          fmt::format("{} has other columns than {}", file.string(), files.begin()->string()));
    }
    for (std::size_t row = 0; row < one.rows(); ++row) {
      std::vector<std::string> cells;
      for (std::size_t i = 0; i < one.columns().size(); ++i) cells.push_back(one.cell(row, i));
      all->add_row(std::move(cells));
    }
  }
  return *std::move(all);
}

std::vector<DetectionRegion> detection_regions(const core::Table& detections,
                                               const core::Table& truth,
                                               const std::vector<core::ScoreKey>& scans) {
  require_same_keys(detections, truth);
  const auto require_same = [&](const char* column, std::string core::ScoreKey::*key) {
    const bool scores_have = std::any_of(
        scans.begin(), scans.end(), [&](const core::ScoreKey& s) { return !(s.*key).empty(); });
    if (truth.has(column) == scores_have) return;
    throw core::InputError(
        fmt::format("{} has {} column {}, the scores have {}", truth.source(),
                    truth.has(column) ? "the" : "no", column, scores_have ? "one" : "none"),
        "give the scores and the tables of points the same key columns");
  };
  require_same("session_id", &core::ScoreKey::session_id);
  require_same("region", &core::ScoreKey::region);
  ScanCollector collector(scans);
  collector.add(truth, false);
  collector.add(detections, true);
  return std::move(collector.regions);
}

std::vector<DetectionScan> scans_of_group(const DetectionRegion& region, const Dataset& data,
                                          const std::vector<std::size_t>& units) {
  std::set<std::pair<std::string, std::string>> wanted;
  for (const std::size_t unit : units) {
    wanted.emplace(data.units[unit].participant_id, data.units[unit].session_id);
  }
  std::vector<DetectionScan> scans;
  for (const DetectionScan& scan : region.scans) {
    if (wanted.contains({scan.participant_id, scan.session_id})) scans.push_back(scan);
  }
  return scans;
}

std::vector<MetricRow> detection_rows(const std::string& region, const std::string& group,
                                      const std::string& scorer, const DetectionSummary& summary,
                                      const DetectionOptions& options) {
  std::vector<MetricRow> rows;
  const std::string radius = "radius_mm=" + format_number(options.radius_mm);
  const std::string point = std::isnan(options.threshold)
                                ? radius
                                : radius + ";weight>=" + format_number(options.threshold);
  const auto add = [&](const std::string& metric, const std::string& parameter,
                       const Estimate& value) {
    rows.push_back(
        {region, group, summary.participants, "truth", scorer, metric, parameter, value});
  };
  add("detection_sensitivity", point, summary.sensitivity);
  add("detection_precision", point, summary.precision);
  add("detection_f1", point, summary.f1);
  add("fps_per_scan", point, summary.fps_per_scan);
  for (std::size_t i = 0; i < summary.froc.size(); ++i) {
    add("froc_sensitivity", radius + ";fps_per_scan<=" + format_number(options.fp_rates[i]),
        summary.froc[i]);
  }
  add("froc_mean", radius, summary.froc_mean);
  return rows;
}

core::Table froc_table() {
  return core::Table({"region", "group", "scorer", "threshold", "hits", "false_positives", "truths",
                      "scans", "sensitivity", "precision", "fps_per_scan"});
}

void add_froc(core::Table& table, const std::string& region, const std::string& group,
              const std::string& scorer, const DetectionSummary& summary) {
  for (const FrocPoint& point : summary.curve) {
    table.add(region, group, scorer, point.threshold, point.hits, point.false_positives,
              summary.truths, summary.scans, point.sensitivity, point.precision,
              point.fps_per_scan);
  }
}

core::Table matched_points_table(const std::vector<DetectionRegion>& regions, double radius_mm) {
  core::Table table(
      {"participant_id", "session_id", "region", "kind", "x", "y", "z", "weight", "distance_mm"});
  for (const DetectionRegion& region : regions) {
    for (const DetectionScan& scan : region.scans) {
      std::map<std::size_t, double> distance;
      std::set<std::size_t> hit;
      for (const PointMatch& match : match_points(scan, radius_mm)) {
        distance[match.detection] = match.distance_mm;
        hit.insert(match.truth);
      }
      const auto add = [&](const char* kind, const PointMm& p, double weight, double d) {
        table.add(scan.participant_id, scan.session_id, region.region, kind, p[0], p[1], p[2],
                  weight, d);
      };
      for (std::size_t i = 0; i < scan.detections.size(); ++i) {
        const auto found = distance.find(i);
        const bool is_hit = found != distance.end();
        add(is_hit ? "hit" : "unmatched", scan.detections[i], scan.weights[i],
            is_hit ? found->second : kNaN);
      }
      for (std::size_t i = 0; i < scan.truths.size(); ++i) {
        if (!hit.contains(i)) add("missed", scan.truths[i], kNaN, kNaN);
      }
    }
  }
  return table;
}

}  // namespace epvs::eval
