#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/files.h"
#include "core/table.h"
#include "core/text.h"
#include "core/version.h"
#include "data/phantom/dataset.h"

namespace epvs::data {

namespace fs = std::filesystem;

using core::format_number;

namespace {

std::string rounded(double value, int digits) {
  return fmt::format("{:.{}f}", value, digits);
}

/// A table with its BIDS sidecar: what every column means, and where the table comes from.
class DescribedTable {
 public:
  DescribedTable& column(const std::string& name, const std::string& description,
                         const std::string& units = {}) {
    columns_.push_back(name);
    sidecar_[name]["Description"] = description;
    if (!units.empty()) sidecar_[name]["Units"] = units;
    return *this;
  }
  DescribedTable& levels(const core::Json& levels) {
    sidecar_[columns_.back()]["Levels"] = levels;
    return *this;
  }
  core::Table& table() {
    if (!table_) table_.emplace(columns_);
    return *table_;
  }
  void write(const fs::path& path, const core::Provenance& provenance) {
    fs::create_directories(path.parent_path());
    sidecar_["GeneratedBy"] = {{"Name", "epvs simulate"},
                               {"Version", core::kVersion},
                               {"Provenance", provenance.to_json()}};
    core::write_json(core::sidecar_path(path), sidecar_);
    table().write(path);
  }

 private:
  std::vector<std::string> columns_;
  core::Json sidecar_;
  std::optional<core::Table> table_;
};

/// Starts with participant_id and, in cohorts with repeat scans, session_id.
DescribedTable keyed_table(bool sessions) {
  DescribedTable table;
  table.column("participant_id", "participant");
  if (sessions) table.column("session_id", "session: ses-1, or ses-2 for a repeat scan");
  return table;
}

std::vector<std::string> keys(const ScanPlan& plan) {
  if (plan.session_id.empty()) return {plan.participant_id};
  return {plan.participant_id, plan.session_id};
}

void append(std::vector<std::string>& row, const Eigen::Vector3d& point) {
  for (int axis = 0; axis < 3; ++axis) row.push_back(rounded(point[axis], 3));
}

void write_participants(const SimulationJob& job, const SimulationSummary& summary,
                        const core::Provenance& provenance) {
  DescribedTable table = keyed_table(false);
  table.column("age", "age at the first scan", "year");
  table.column("sex", "sex").levels({{"F", "female"}, {"M", "male"}});
  core::Json scanners;
  for (const auto& [name, share] : job.options.scanner_shares()) {
    const ScannerProfile& profile = scanner_profile(name);
    scanners[name] = fmt::format("simulated, {} T", format_number(profile.field_strength_t));
  }
  table.column("scanner", "scanner profile of epvs simulate").levels(scanners);
  for (const ParticipantRecord& record : summary.participants) {
    const Participant& one = record.participant;
    table.table().add_row(
        {one.id, format_number(one.age_years), one.female ? "F" : "M", one.scanner});
  }
  table.write(job.folder / "participants.tsv", provenance);
}

void write_scores(const SimulationJob& job, const SimulationSummary& summary,
                  const core::Provenance& provenance) {
  const bool sessions = job.options.rescans > 0;
  const bool repeat = job.options.repeat_ratings;
  const std::string where =
      job.options.rating == Rating::kSlice ? "in the rated slice (bg, cso)" : "in the region";
  DescribedTable scores = keyed_table(sessions);
  scores.column("region", "region of the brain")
      .column("rater1", "EPVS counted by simulated rater 1 " + where)
      .column("rater2", "EPVS counted by simulated rater 2 " + where);
  if (repeat) scores.column("rater2_repeat", "the second rating of rater 2");
  DescribedTable truth = keyed_table(sessions);
  truth.column("region", "region of the brain")
      .column("true_count", "number of EPVS in the region")
      .column("true_count_slice",
              "EPVS of the region whose centre line passes through the rated slice (bg: anterior "
              "commissure; cso: 1 cm above the lateral ventricles); elsewhere as true_count");
  for (const ParticipantRecord& record : summary.participants) {
    for (const ScanRecord& scan : record.scans) {
      for (const RegionScore& score : scan.scores) {
        std::vector<std::string> row = keys(scan.plan);
        row.push_back(region_name(score.region));
        std::vector<std::string> true_row = row;
        for (const int count : score.raters) row.push_back(std::to_string(count));
        if (!repeat) row.pop_back();
        scores.table().add_row(std::move(row));
        true_row.push_back(std::to_string(score.true_count));
        true_row.push_back(std::to_string(score.true_count_slice));
        truth.table().add_row(std::move(true_row));
      }
    }
  }
  scores.write(job.folder / "phenotype" / "visual_scores.tsv", provenance);
  truth.write(job.folder / "truth" / "truth_counts.tsv", provenance);
}

void write_truth_epvs(const SimulationJob& job, const SimulationSummary& summary,
                      const core::Provenance& provenance) {
  DescribedTable table = keyed_table(job.options.rescans > 0);
  table.column("region", "region that holds the EPVS")
      .column("number", "number of the EPVS within the participant; equal in all sessions")
      .column("hemisphere", "L or R of the participant's midline")
      .column("x", "middle of the centre line, RAS world of the scan", "mm")
      .column("y", "middle of the centre line, RAS world of the scan", "mm")
      .column("z", "middle of the centre line, RAS world of the scan", "mm")
      .column("length_mm", "length of the centre line", "mm")
      .column("diameter_mm", "diameter of the tube", "mm")
      .column("peak_fraction", "part of its fullest voxel that the EPVS fills")
      .column("brightness", "between its tissue (0) and CSF (1)")
      .column("contrast", "of its fullest voxel over its tissue, white matter = 1")
      .column("in_rated_slice", "1: passes through the rated slice of its region, if it has one");
  for (const ParticipantRecord& record : summary.participants) {
    for (const ScanRecord& scan : record.scans) {
      for (std::size_t i = 0; i < scan.epvs.size(); ++i) {
        const Perivascular& epvs = record.participant.epvs[i];
        std::vector<std::string> row = keys(scan.plan);
        row.push_back(region_name(epvs.region));
        row.push_back(std::to_string(i + 1));
        row.push_back(epvs.centre().x() < 0 ? "L" : "R");
        append(row, scan.plan.to_world(epvs.centre()));
        row.push_back(rounded(epvs.length_mm(), 3));
        row.push_back(rounded(epvs.diameter_mm, 3));
        row.push_back(rounded(scan.epvs[i].peak_fraction, 3));
        row.push_back(rounded(epvs.brightness, 3));
        row.push_back(rounded(scan.epvs[i].contrast, 3));
        const auto slice = scan.plan.rated_slice(epvs.region);
        row.push_back(!slice || scan.epvs[i].passes(*slice) ? "1" : "0");
        table.table().add_row(std::move(row));
      }
    }
  }
  table.write(job.folder / "truth" / "truth_epvs.tsv", provenance);
}

/// Where the centre line of what rater 1 counted comes nearest to the slice that should be read.
void write_dot_marks(const SimulationJob& job, const SimulationSummary& summary,
                     const core::Provenance& provenance) {
  DescribedTable table = keyed_table(job.options.rescans > 0);
  table.column("region", "region that was rated")
      .column("number", "number of the EPVS in truth_epvs.tsv")
      .column("x", "dot of rater 1, RAS world of the scan", "mm")
      .column("y", "dot of rater 1, RAS world of the scan", "mm")
      .column("z", "dot of rater 1, RAS world of the scan", "mm");
  int left = job.options.marked_scans;
  for (const ParticipantRecord& record : summary.participants) {
    if (record.participant.sessions > 1 || left-- <= 0) continue;
    const ScanRecord& scan = record.scans.front();
    for (const RegionScore& score : scan.scores) {
      const auto slice = scan.plan.rated_slice(score.region);
      for (const std::size_t i : score.marked) {
        const std::vector<Eigen::Vector3d>& line = scan.epvs[i].world_line;
        Eigen::Vector3d dot = line[line.size() / 2];
        if (slice && job.options.rating == Rating::kSlice) {
          const double z = scan.plan.geometry.to_world(0, 0, *slice).z();
          dot = *std::min_element(line.begin(), line.end(), [&](const auto& a, const auto& b) {
            return std::abs(a.z() - z) < std::abs(b.z() - z);
          });
        }
        std::vector<std::string> row = keys(scan.plan);
        row.push_back(region_name(score.region));
        row.push_back(std::to_string(i + 1));
        append(row, dot);
        table.table().add_row(std::move(row));
      }
    }
  }
  table.write(job.folder / "phenotype" / "dot_marks.tsv", provenance);
}

void write_truth_lesions(const SimulationJob& job, const SimulationSummary& summary,
                         const core::Provenance& provenance) {
  DescribedTable table = keyed_table(job.options.rescans > 0);
  table.column("kind", "what it is; none of them is an EPVS")
      .levels({{"lacune", "fluid, 3 to 8 mm, dark rim"},
               {"white_matter", "white matter hyperintensity, soft border"},
               {"flow_void", "small dark vessel of the basal ganglia"},
               {"bright_vessel", "small bright vessel of the basal ganglia"}})
      .column("region", "counted region that holds its centre, or n/a")
      .column("x", "centre, RAS world of the scan", "mm")
      .column("y", "centre, RAS world of the scan", "mm")
      .column("z", "centre, RAS world of the scan", "mm")
      .column("radius_x_mm",
              "half axis of the ellipsoid along the head's x; of a vessel its radius", "mm")
      .column("radius_y_mm", "half axis of the ellipsoid along the head's y", "mm")
      .column("radius_z_mm", "half axis of the ellipsoid along the head's z", "mm");
  for (const ParticipantRecord& record : summary.participants) {
    for (const ScanRecord& scan : record.scans) {
      for (const Lesion& lesion : record.participant.lesions) {
        std::vector<std::string> row = keys(scan.plan);
        row.push_back(lesion.kind == LesionKind::kLacune ? "lacune" : "white_matter");
        row.push_back(lesion.region);
        append(row, scan.plan.to_world(lesion.centre));
        append(row, lesion.radii_mm);
        table.table().add_row(std::move(row));
      }
      for (const Vessel& vessel : record.participant.vessels) {
        std::vector<std::string> row = keys(scan.plan);
        row.emplace_back(vessel.bright ? "bright_vessel" : "flow_void");
        row.emplace_back("bg");
        append(row, scan.plan.to_world(vessel.line[vessel.line.size() / 2]));
        append(row, Eigen::Vector3d::Constant(vessel.diameter_mm / 2));
        table.table().add_row(std::move(row));
      }
    }
  }
  table.write(job.folder / "truth" / "truth_lesions.tsv", provenance);
}

void write_truth_scans(const SimulationJob& job, const SimulationSummary& summary,
                       const core::Provenance& provenance) {
  DescribedTable table = keyed_table(job.options.rescans > 0);
  table.column("scanner", "scanner profile")
      .column("ac_x", "anterior commissure, RAS world of the scan", "mm")
      .column("ac_y", "anterior commissure, RAS world of the scan", "mm")
      .column("ac_z", "anterior commissure, RAS world of the scan", "mm")
      .column("ac_slice", "stored z index of the slice of the anterior commissure")
      .column("cso_slice", "stored z index of the slice 1 cm above the lateral ventricles")
      .column("gain", "stored value of white matter without bias field")
      .column("field_t", "field strength", "tesla")
      .column("repetition_time_ms", "TR", "ms")
      .column("echo_time_ms", "TE", "ms")
      .column("slice_thickness_mm", "width of the slice profile at half its height", "mm")
      .column("noise", "standard deviation of the complex noise, white matter = 1")
      .column("bias", "amplitude of the bias field")
      .column("not_placed", "EPVS that were drawn but found no room; not in any count");
  std::vector<std::string> cells;
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 4; ++column) {
      table.column(fmt::format("head_to_world_{}{}", row + 1, column + 1),
                   "rigid transform from head coordinates to the scan's world");
    }
  }
  for (const ParticipantRecord& record : summary.participants) {
    for (const ScanRecord& scan : record.scans) {
      std::vector<std::string> row = keys(scan.plan);
      row.push_back(record.participant.scanner);
      append(row, scan.plan.anterior_commissure());
      row.push_back(std::to_string(scan.plan.commissure_slice()));
      row.push_back(std::to_string(*scan.plan.rated_slice(Region::kCentrumSemiovale)));
      row.push_back(rounded(scan.plan.gain, 1));
      for (const double value :
           {scan.plan.profile.field_strength_t, scan.plan.profile.repetition_time_ms,
            scan.plan.profile.echo_time_ms, scan.plan.profile.slice_thickness_mm}) {
        row.push_back(rounded(value, 2));
      }
      row.push_back(format_number(scan.plan.profile.noise));
      row.push_back(format_number(scan.plan.profile.bias));
      row.push_back(std::to_string(record.participant.not_placed));
      for (int i = 0; i < 12; ++i) {
        row.push_back(rounded(scan.plan.head_to_world(i / 4, i % 4), 6));
      }
      table.table().add_row(std::move(row));
    }
  }
  table.write(job.folder / "truth" / "truth_scans.tsv", provenance);
}

core::Json description(const std::string& name, const std::string& type,
                       const core::Provenance& provenance) {
  return {{"Name", name},
          {"BIDSVersion", "1.8.0"},
          {"DatasetType", type},
          {"License", "CC0"},
          {"GeneratedBy",
           {{{"Name", "epvs simulate"},
             {"Version", core::kVersion},
             {"Description", "procedural phantom, no human data"},
             {"Provenance", provenance.to_json()}}}}};
}

void write_labels_description(const SimulationJob& job, const core::Provenance& provenance) {
  const fs::path folder = job.folder / "derivatives" / "labels";
  fs::create_directories(folder);
  core::Table lut({"index", "name"});
  for (const auto& [number, name] : freesurfer_names()) {
    lut.add_row({std::to_string(number), name});
  }
  lut.write(folder / "dseg.tsv");
  core::write_json(folder / "dataset_description.json",
                   description("label maps of an epvs phantom cohort", "derivative", provenance));
}

std::string readme(const SimulationJob& job) {
  return fmt::format(
      "# Phantom cohort\n\n"
      "Simulated by epvs {}: no scan of a person is in here. {} participants, seed {}.\n\n"
      "- `sub-*/` T2-weighted scans{}\n"
      "- `derivatives/labels/` label maps in FreeSurfer numbers; for `epvs prepare`:\n"
      "  `--labels '{}' --lut freesurfer`\n"
      "- `phenotype/visual_scores.tsv` counts of two simulated raters\n"
      "- `truth/` true counts, every EPVS, lesions that are not EPVS, position of every scan\n"
      "- `simulation.json` all options and the command line\n",
      core::kVersion, job.options.participants, job.seed,
      job.write_scans ? "" : " (not written: --no-scans)",
      label_pattern("BIDS_DIR", job.options.rescans > 0));
}

}  // namespace

void write_dataset_tables(const SimulationJob& job, const SimulationSummary& summary,
                          const core::Provenance& provenance) {
  write_participants(job, summary, provenance);
  write_scores(job, summary, provenance);
  write_truth_epvs(job, summary, provenance);
  if (job.options.marked_scans > 0) write_dot_marks(job, summary, provenance);
  write_truth_lesions(job, summary, provenance);
  write_truth_scans(job, summary, provenance);
  if (job.write_scans) write_labels_description(job, provenance);
  core::write_text(job.folder / "README.md", readme(job));
  core::write_text(job.folder / ".bidsignore", "truth/\nsimulation.json\n");
  core::write_json(job.folder / "dataset_description.json",
                   description("epvs phantom cohort", "raw", provenance));
}

}  // namespace epvs::data
