#include "experiments/baselines/baseline_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/error.h"
#include "core/files.h"
#include "core/parallel.h"
#include "core/stop.h"
#include "core/table.h"
#include "data/cohort/examples.h"
#include "experiments/baselines/bright_voxels.h"
#include "experiments/baselines/vesselness.h"

namespace epvs::experiments {

namespace {

/// A voxel of every so many serves to choose the candidate thresholds.
constexpr std::size_t kSampleStep = 31;

bool in_this_build(Baseline method) {
  if (method == Baseline::kSift) return has_sift_forest();
  if (method == Baseline::kVesselness) return has_vesselness();
  return true;
}

/// From 1e-4 to 1, the range of the vesselness of a normalised ROI, in equal ratios.
std::vector<float> vesselness_thresholds() {
  std::vector<float> result;
  for (int k = 0; k <= 64; ++k)
    result.push_back(std::pow(10.0F, -4 + 4 * static_cast<float>(k) / 64));
  return result;
}

}  // namespace

core::Manual BaselineCommand::manual() const {
  core::Manual manual;
  manual.name = "baseline";
  manual.summary = "scores of simpler methods, to compare a network with";
  manual.synopsis =
      "--cohort COHORT.h5 --scores SCORES.tsv --splits SPLITS.tsv --out TABLE [options]";
  manual.description =
      "Scores every scan of a fold's splits with the methods of P1's Table 1 and writes one column "
      "per method, for epvs eval:\n"
      "intensity: (a) mean intensity of the smooth ROI. volume: (b) number of voxels brighter than "
      "a threshold. components: (c) number of their connected groups (26 neighbours). sift: (d) "
      "SIFT descriptors of the slices around the rated one, a dictionary of visual words for each "
      "slice, and a regression forest. vesselness: connected groups above a threshold of Frangi's "
      "vesselness, which P1 did not have.\n"
      "Thresholds are tuned on the training scans (largest Pearson correlation with --target), for "
      "volume and components in each scan's own intensities, without the cohort's normalisation. "
      "The values are no counts yet: epvs eval --calibrate-on validation rescales each method "
      "linearly to the best intraclass correlation on the validation scans, as P1 did.";
  manual.examples = {
      {"All methods, then Table 1 with the network beside them:",
       "epvs baseline --cohort bg.h5 --scores visual_scores.tsv --target rater1 --splits splits.tsv "
       "--out baselines.tsv"},
      {"The two that need no training of a forest:",
       "epvs baseline --cohort bg.h5 --scores visual_scores.tsv --splits splits.tsv --methods "
       "volume,components --out bright.tsv"}};
  manual.citations = {
      "Dubost et al. 2019, 3D regression neural network for the quantification of enlarged "
      "perivascular spaces in brain MRI. Medical Image Analysis 51:89-100. arXiv:1802.05914",
      "Lowe 2004, Distinctive image features from scale-invariant keypoints. Int J Comput Vis 60.",
      "Frangi et al. 1998, Multiscale vessel enhancement filtering. MICCAI 1998."};
  manual.uses_threads = true;
  manual.uses_seed = true;
  return manual;
}

void BaselineCommand::declare(core::CommandLine& line) {
  line.heading("Inputs");
  line.option("--cohort", &cohort_, "cohort file").unit("FILE").required();
  line.option("--scores", &scores_, "table of scores (TSV)").unit("FILE").required();
  line.option("--target", &target_, "column of the scores to learn").unit("SCORER");
  line.option("--splits", &splits_, "splits.tsv").unit("FILE").required();
  line.option("--region", &region_, "region of the cohort; not needed where it has one");
  line.option("--fold", &fold_, "fold of the splits").range(0, 1e6);
  line.option("--repeat", &repeat_, "repeat of the splits").range(0, 1e6);
  line.heading("Output");
  line.option("--out", &out_, "table of scores, a column per method").unit("FILE").required();
  line.heading("Methods");
  line.option("--methods", &methods_, "which methods; default: all that are in this build");
  line.option("--slices", &sift_.slices, "sift: slices around the rated one").range(1, 999);
  line.option("--words", &sift_.words, "sift: visual words per slice").range(2, 10000);
  line.option("--trees", &sift_.trees, "sift: trees of the forest").range(1, 1e6);
}

/// One run: the scans, and a column of scores for each method.
struct BaselineCommand::Job {
  const BaselineCommand& options;
  core::Context& context;
  data::CohortReader cohort;
  data::Examples examples;
  std::vector<data::Example> scans;   ///< train, validation, test
  std::vector<std::size_t> training;  ///< 0, 1, ... of the scans
  std::vector<double> training_labels;
  core::StopSignals signals;
  core::Json details;  ///< what was tuned, by method

  Job(const BaselineCommand& command, core::Context& shell)
      : options(command), context(shell), cohort(command.cohort_) {
    examples = data::collect_examples(cohort, data::choose_region(cohort, command.region_),
                                      core::ScoresTable::read(command.scores_, {command.target_}),
                                      command.target_, core::Splits::read(command.splits_),
                                      command.repeat_, command.fold_);
    for (const auto* part : {&examples.train, &examples.validation, &examples.test}) {
      scans.insert(scans.end(), part->begin(), part->end());
    }
    for (std::size_t i = 0; i < examples.train.size(); ++i) {
      training.push_back(i);
      training_labels.push_back(examples.train[i].label);
    }
  }

  const data::CohortRow& row(std::size_t scan) const {
    return cohort.rows(examples.region)[scans[scan].row];
  }
  std::vector<float> roi(std::size_t scan) const {
    return cohort.read_roi(examples.region, scans[scan].row);
  }
  std::vector<float> soft(std::size_t scan) const {
    return cohort.read_soft(examples.region, scans[scan].row);
  }

  /// `work` for scans 0..count-1, several at a time.
  void for_scans(const std::string& task, std::size_t count,
                 const std::function<void(std::size_t)>& work) {
    core::Progress progress(context.log, task, count, "scan");
    core::parallel_jobs(static_cast<std::int64_t>(count), context.threads, [&](std::int64_t scan) {
      signals.throw_if_stopped();
      work(static_cast<std::size_t>(scan));
      progress.advance();
    });
  }

  std::vector<double> intensities() {
    std::vector<double> result(scans.size());
    for_scans("intensity", scans.size(),
              [&](std::size_t scan) { result[scan] = mean_intensity(roi(scan), soft(scan)); });
    return result;
  }

  std::vector<float> raw_thresholds() {
    std::vector<std::vector<float>> samples(training.size());
    for_scans("thresholds", training.size(), [&](std::size_t scan) {
      const std::vector<float> mask = soft(scan);
      const std::vector<float> values = unnormalised_roi(row(scan), roi(scan), mask);
      for (std::size_t i = 0, inside = 0; i < values.size(); ++i) {
        if (mask[i] > 0 && inside++ % kSampleStep == 0) samples[scan].push_back(values[i]);
      }
    });
    std::vector<float> all;
    for (const auto& sample : samples) all.insert(all.end(), sample.begin(), sample.end());
    return candidate_thresholds(std::move(all));
  }

  /// `measures[scan][threshold]` at the threshold that serves the training scans best.
  std::vector<double> tuned(Baseline method, const std::vector<float>& thresholds,
                            const std::vector<std::vector<double>>& measures) {
    const TunedThreshold best = tune_threshold(
        {measures.begin(), measures.begin() + static_cast<std::ptrdiff_t>(training.size())},
        training_labels);
    details[core::to_text(method)] = {{"threshold", thresholds[best.index]},
                                      {"pearson_on_training_scans", best.pearson}};
    std::vector<double> result;
    for (const auto& scan : measures) result.push_back(scan[best.index]);
    return result;
  }

  /// volume and components, which share their reading and thresholds.
  void bright_voxels(const std::set<Baseline>& methods,
                     std::map<Baseline, std::vector<double>>& columns) {
    const std::vector<float> thresholds = raw_thresholds();
    std::vector<std::vector<double>> volumes(scans.size());
    std::vector<std::vector<double>> components(scans.size());
    for_scans("bright voxels", scans.size(), [&](std::size_t scan) {
      const std::vector<float> values = unnormalised_roi(row(scan), roi(scan), soft(scan));
      volumes[scan] = voxels_above(values, thresholds);
      if (methods.contains(Baseline::kComponents)) {
        components[scan] = components_above(values, row(scan).roi.shape, thresholds);
      }
    });
    if (methods.contains(Baseline::kVolume)) {
      columns[Baseline::kVolume] = tuned(Baseline::kVolume, thresholds, volumes);
    }
    if (methods.contains(Baseline::kComponents)) {
      columns[Baseline::kComponents] = tuned(Baseline::kComponents, thresholds, components);
    }
  }

  std::vector<double> vesselness_counts() {
    const std::vector<float> thresholds = vesselness_thresholds();
    std::vector<std::vector<double>> components(scans.size());
    for_scans("vesselness", scans.size(), [&](std::size_t scan) {
      const data::Geometry& grid = row(scan).roi;
      const Eigen::Vector3d spacing = grid.spacing_mm();
      components[scan] = components_above(
          vesselness(roi(scan), grid.shape, {spacing.x(), spacing.y(), spacing.z()}), grid.shape,
          thresholds);
    });
    return tuned(Baseline::kVesselness, thresholds, components);
  }

  /// The slices around the rated one in 8 bit; a slice outside the crop is empty (0).
  SliceStack slices_of(std::size_t scan) const {
    const auto [nx, ny, nz] = row(scan).roi.shape;
    const std::vector<float> values = roi(scan);
    const float largest = *std::ranges::max_element(values);
    SliceStack stack{static_cast<int>(nx), static_cast<int>(ny), {}};
    const auto voxels = static_cast<std::size_t>(nx * ny);
    for (int k = 0; k < options.sift_.slices; ++k) {
      std::vector<std::uint8_t>& slice = stack.slices.emplace_back(voxels, 0);
      const std::int64_t z = row(scan).ac_slice + k - options.sift_.slices / 2;
      if (z < 0 || z >= nz || largest <= 0) continue;
      const auto begin = values.begin() + z * nx * ny;
      std::transform(begin, begin + nx * ny, slice.begin(), [largest](float value) {
        return static_cast<std::uint8_t>(std::lround(255 * std::max(0.0F, value) / largest));
      });
    }
    return stack;
  }

  std::vector<double> sift_scores() {
    std::vector<std::string> without;
    for (std::size_t scan = 0; scan < scans.size(); ++scan) {
      if (row(scan).ac_slice < 0) without.push_back(scans[scan].name());
    }
    if (!without.empty()) {
      throw core::InputError(
          fmt::format(
              "sift needs the slice of the anterior commissure, which {} of {} scans do not "
              "have: {}{}",
              without.size(), scans.size(), without.front(), without.size() > 1 ? ", ..." : ""),
          "choose the others: --methods intensity,volume,components,vesselness");
    }
    context.log.info("sift: {} slices, {} words each, {} trees", options.sift_.slices,
                     options.sift_.words, options.sift_.trees);
    details["sift"] = {{"slices", options.sift_.slices},
                       {"words", options.sift_.words},
                       {"trees", options.sift_.trees},
                       {"depth", options.sift_.depth}};
    return score_by_sift_forest(
        scans.size(), [this](std::size_t scan) { return slices_of(scan); }, training,
        training_labels, options.sift_, context.seed, context.threads);
  }

  std::map<Baseline, std::vector<double>> score(const std::set<Baseline>& methods) {
    std::map<Baseline, std::vector<double>> columns;
    if (methods.contains(Baseline::kIntensity)) columns[Baseline::kIntensity] = intensities();
    if (methods.contains(Baseline::kVolume) || methods.contains(Baseline::kComponents)) {
      bright_voxels(methods, columns);
    }
    if (methods.contains(Baseline::kVesselness))
      columns[Baseline::kVesselness] = vesselness_counts();
    if (methods.contains(Baseline::kSift)) columns[Baseline::kSift] = sift_scores();
    return columns;
  }

  void write(const std::vector<Baseline>& methods,
             const std::map<Baseline, std::vector<double>>& columns) const {
    const bool sessions =
        std::ranges::any_of(scans, [](const auto& scan) { return !scan.session_id.empty(); });
    std::vector<std::string> names = {"participant_id"};
    if (sessions) names.emplace_back("session_id");
    names.insert(names.end(), {"region", "fold", "repeat"});
    for (const Baseline method : methods) names.push_back(core::to_text(method));
    core::Table table(names);
    for (std::size_t scan = 0; scan < scans.size(); ++scan) {
      std::vector<std::string> cells = {scans[scan].participant_id};
      if (sessions) cells.push_back(scans[scan].session_id);
      cells.insert(cells.end(), {examples.region, std::to_string(options.fold_),
                                 std::to_string(options.repeat_)});
      for (const Baseline method : methods) {
        cells.push_back(core::format_number(columns.at(method)[scan]));
      }
      table.add_row(cells);
    }
    table.write(options.out_);
  }
};

void BaselineCommand::run(core::Context& context) {
  core::refuse_existing(out_, context.force);
  std::vector<Baseline> methods = methods_;
  for (const auto& entry : names_of(Baseline{})) {
    if (methods_.empty() && in_this_build(entry.value)) methods.push_back(entry.value);
    if (methods_.empty() && !in_this_build(entry.value)) {
      context.log.warning("the method {} is not in this build", entry.text);
    }
  }
  const std::set<Baseline> chosen(methods.begin(), methods.end());
  if (chosen.size() != methods.size()) throw core::UsageError("--methods names a method twice");
  for (const Baseline method : methods) {
    if (!in_this_build(method)) {
      throw core::UsageError(
          "the method " + core::to_text(method) + " is not in this build",
          method == Baseline::kSift
              ? "it needs OpenCV (Debian: libopencv-features2d-dev, libopencv-ml-dev)"
              : "it needs ITK");
    }
  }
  Job job(*this, context);
  context.begin(fmt::format("{} method(s) on {} scans of {}, region {}, with {} thread(s)",
                            methods.size(), job.scans.size(), cohort_.string(), job.examples.region,
                            context.threads));
  if (context.dry_run) {
    context.end_dry_run(out_.string());
    return;
  }
  data::describe_examples(job.examples, context.log);
  const auto columns = job.score(chosen);
  job.write(methods, columns);
  for (const auto& path : {scores_, splits_}) context.provenance.add_input(path);
  context.provenance.add("cohort",
                         {{"path", cohort_.string()}, {"fingerprint", job.cohort.fingerprint()}});
  context.provenance.add("target", target_);
  context.provenance.add("methods", job.details);
  context.provenance.write_beside(out_);
  context.log.info("{} scans scored in {}", job.scans.size(), out_.string());
}

}  // namespace epvs::experiments
