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

std::string or_missing(const std::string& text) {
  return text.empty() ? core::kMissing : text;
}

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

/// Collects the scans of every region.
class ScanCollector {
 public:
  using Key = std::array<std::string, 3>;  // region, participant, session

  ScanCollector() = default;
  /// Rows of other scans are passed over.
  explicit ScanCollector(std::set<Key> only) : only_(std::move(only)), is_limited_(true) {}

  DetectionScan& scan(const std::string& participant, const std::string& session,
                      const std::string& region) {
    const auto [place, is_new] = region_number_.try_emplace(region, regions_.size());
    if (is_new) regions_.push_back({region, {}});
    std::vector<DetectionScan>& scans = regions_[place->second].scans;
    const auto [at, is_new_scan] =
        scan_number_.try_emplace({region, participant, session}, scans.size());
    if (is_new_scan) scans.push_back({participant, session, {}, {}, {}});
    return scans[at->second];
  }

  void add(const core::Table& table, bool with_weights) {
    for (std::size_t row = 0; row < table.rows(); ++row) {
      const std::string participant = optional_cell(table, row, "participant_id");
      if (participant.empty()) {
        throw core::InputError(table.where(row) + " has no participant_id");
      }
      const std::string session = optional_cell(table, row, "session_id");
      const std::string region = optional_cell(table, row, "region");
      if (is_limited_ && !only_.contains({region, participant, session})) continue;
      DetectionScan& at = scan(participant, session, region);
      PointMm point{};
      const std::array<const char*, 3> axes = {"x", "y", "z"};
      for (std::size_t axis = 0; axis < axes.size(); ++axis) {
        point[axis] = required_number(table, row, axes[axis]);
      }
      if (with_weights) {
        at.detections.push_back(point);
        at.weights.push_back(required_number(table, row, "weight"));
      } else {
        at.truths.push_back(point);
      }
    }
  }

  std::vector<DetectionRegion> take() { return std::move(regions_); }

 private:
  static double required_number(const core::Table& table, std::size_t row,
                                const std::string& column) {
    const double value = table.number(row, column);
    if (std::isnan(value)) {
      throw core::InputError(
          fmt::format("{}: {} is missing, expected a number", table.where(row), column));
    }
    return value;
  }

  std::vector<DetectionRegion> regions_;
  std::map<std::string, std::size_t> region_number_;
  std::map<Key, std::size_t> scan_number_;
  std::set<Key> only_;
  bool is_limited_ = false;
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
  ScanCollector collector;
  const bool sessions = truth.has("session_id");
  const bool regions = truth.has("region");
  for (const core::ScoreKey& key : scans) {
    collector.scan(key.participant_id, sessions ? key.session_id : "", regions ? key.region : "");
  }
  collector.add(truth, false);
  collector.add(detections, true);
  return collector.take();
}

std::vector<DetectionRegion> detection_regions_of_scans(const core::Table& detections,
                                                        const core::Table& truth,
                                                        const std::vector<core::ScoreKey>& scans) {
  require_same_keys(detections, truth);
  std::set<ScanCollector::Key> known;
  const auto require_same = [&](const char* column, bool scores_have) {
    if (truth.has(column) == scores_have) return;
    throw core::InputError(
        fmt::format("{} has {} column {}, the scores have {}", truth.source(),
                    truth.has(column) ? "the" : "no", column, scores_have ? "one" : "none"),
        "give the scores and the tables of points the same key columns");
  };
  bool sessions = false;
  bool regions = false;
  for (const core::ScoreKey& key : scans) {
    known.insert({key.region, key.participant_id, key.session_id});
    sessions |= !key.session_id.empty();
    regions |= !key.region.empty();
  }
  require_same("session_id", sessions);
  require_same("region", regions);
  ScanCollector collector(std::move(known));
  for (const core::ScoreKey& key : scans) {
    collector.scan(key.participant_id, key.session_id, key.region);
  }
  collector.add(truth, false);
  collector.add(detections, true);
  return collector.take();
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
    table.add_row({or_missing(region), group, scorer, format_number(point.threshold),
                   std::to_string(point.hits), std::to_string(point.false_positives),
                   std::to_string(summary.truths), std::to_string(summary.scans),
                   format_number(point.sensitivity), format_number(point.precision),
                   format_number(point.fps_per_scan)});
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
        table.add_row({scan.participant_id, or_missing(scan.session_id), or_missing(region.region),
                       kind, format_number(p[0]), format_number(p[1]), format_number(p[2]),
                       format_number(weight), format_number(d)});
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
