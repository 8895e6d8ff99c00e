// From a phantom's scans to sensitivity and false positives: `epvs infer --detections` and `epvs
// eval
// --detections` against the truth table of the simulator, with weights made by hand whose attention
// map is the image itself. A mistake of orientation, of left and right or of millimetres anywhere
// on the way loses the EPVS.
#include <cmath>
#include <map>

#include "core/files.h"
#include "core/table.h"
#include "core/text.h"
#include "data/cohort/cohort.h"
#include "data/formats/nifti.h"
#include "models/layers.h"
#include "models/safetensors.h"
#include "models/weights_metadata.h"
#include "tests/support/test_support.h"

namespace epvs {
namespace {

namespace fs = std::filesystem;

constexpr int kDetections = 16;  // per scan

class Detections : public testing::Test {
 protected:
  std::string file(const std::string& name) const { return folder_ / name; }
  void run(const std::vector<std::string>& arguments) const {
    const auto result = tests::run_epvs(arguments);
    ASSERT_EQ(result.exit_code, 0) << core::join(arguments, " ") << "\n" << result.err;
  }

  /// Bright tubes in the basal ganglia of heads that lie anywhere; one scanner stores x from left
  /// to right, the other from right to left.
  void simulate() const {
    run({"simulate",
         file("bids"),
         "--preset",
         "demo",
         "--participants",
         "6",
         "--seed",
         "3",
         "--scanners",
         "research-1.5t,philips-3t",
         "--spacing-mm",
         "1,1,1",
         "--mean-count",
         "10",
         "--length-range-mm",
         "3,4",
         "--diameter-mean-mm",
         "2",
         "--diameter-sd-mm",
         "0",
         "--minimum-gap-mm",
         "4",
         "--lacunes",
         "0",
         "--white-matter-lesions",
         "0",
         "--noise-scale",
         "0.2",
         "--cohort",
         file("cohort.h5"),
         "--prepare",
         "spacing_mm=1,1,1",
         "--prepare",
         "dilation_voxels=1",
         "--prepare",
         "sigma_voxels=1"});
  }

  /// A gp_unet whose attention map is its input and whose score is kDetections.
  void write_weights(const std::string& cohort) const {
    models::WeightsMetadata metadata;
    metadata.preprocessing = data::CohortReader(cohort).options("bg");
    metadata.network.first_features = 1;
    metadata.network.pool_scale = 1e-9;
    const data::Shape& crop = metadata.preprocessing.crop_voxels;
    metadata.network.input_zyx = {crop[2], crop[1], crop[0]};
    std::map<std::string, std::vector<float>> values;
    std::vector<models::TensorToWrite> tensors;
    for (const models::Layer& row : models::layers_of(metadata.network)) {
      if (row.parameters == 0) continue;
      const bool dense = row.kind == models::LayerKind::kDense;
      const std::int64_t in = row.input.channels, out = row.output.channels;
      std::vector<float>& weight = values[row.name + ".weight"];
      weight.assign(static_cast<std::size_t>(in * out * (dense ? 1 : 27)), 0.0F);
      std::vector<float>& bias = values[row.name + ".bias"];
      bias.assign(static_cast<std::size_t>(out), 0.0F);
      // The last input channel of the last convolution is the image: its kernel's middle voxel.
      if (row.name == "up_conv") weight[weight.size() - 14] = 1.0F;
      if (dense) weight[0] = 1.0F;
      if (dense) bias[0] = kDetections;
      tensors.push_back(
          {row.name + ".weight", "F32",
           dense ? std::vector<std::int64_t>{out, in} : std::vector<std::int64_t>{out, in, 3, 3, 3},
           weight.data()});
      tensors.push_back({row.name + ".bias", "F32", {out}, bias.data()});
    }
    models::write_safetensors(folder_ / "w.safetensors", tensors,
                              {{"epvs", metadata.to_json().dump()}});
  }

  void detect(const std::string& cohort) const {
    write_weights(cohort);
    run({"infer",
         "--weights",
         file("w.safetensors"),
         "--cohort",
         cohort,
         "--out",
         file("scores.tsv"),
         "--scorer",
         "image",
         "--detections",
         file("found"),
         "--maps",
         "attention",
         "--maps-dir",
         file("maps"),
         "--maps-grid",
         "network",
         "--device",
         "cpu",
         "--threads",
         "1",
         "--force"});
  }

  /// epvs eval against a truth table; the value of a metric of all scans.
  std::map<std::string, double> evaluate(const std::string& truth) const {
    run({"eval", "--scores", file("bids/truth/truth_counts.tsv"), "--scores", file("scores.tsv"),
         "--reference", "true_count", "--scorers", "true_count,image", "--detections",
         file("found"), "--truth", truth, "--radius-mm", "3", "--out", file("eval"), "--force"});
    const core::Table metrics = core::Table::read(file("eval/metrics.tsv"));
    std::map<std::string, double> values;
    for (std::size_t row = 0; row < metrics.rows(); ++row) {
      if (metrics.cell(row, "reference") != "truth") continue;
      values[metrics.cell(row, "metric")] = metrics.number(row, "estimate");
    }
    return values;
  }

  /// The truth table with every point changed.
  std::string changed_truth(const std::string& name, double sign_x, double shift_z) const {
    const core::Table truth = core::Table::read(file("bids/truth/truth_epvs.tsv"));
    core::Table out({"participant_id", "region", "x", "y", "z"});
    for (std::size_t row = 0; row < truth.rows(); ++row) {
      out.add_row({truth.cell(row, "participant_id"), truth.cell(row, "region"),
                   core::format_number(sign_x * truth.number(row, "x")), truth.cell(row, "y"),
                   core::format_number(truth.number(row, "z") + shift_z)});
    }
    out.write(file(name));
    return file(name);
  }

  /// Sensitivity with the true points, and with points that are wrong by a flip or a shift.
  void expect_detections_at_the_true_places() const {
    const std::string truth = file("bids/truth/truth_epvs.tsv");
    const auto right = evaluate(truth);
    EXPECT_GT(right.at("detection_sensitivity"), 0.75);
    EXPECT_GT(right.at("detection_precision"), 0.5);
    const core::Table froc = core::Table::read(file("eval/froc.tsv"));
    const std::size_t last = froc.rows() - 1;
    EXPECT_EQ(froc.integer(last, "truths"),
              static_cast<long long>(core::Table::read(truth).rows()));
    EXPECT_EQ(froc.integer(last, "scans"), 6);
    EXPECT_EQ(froc.integer(last, "hits") + froc.integer(last, "false_positives"), 6 * kDetections);
    EXPECT_NEAR(right.at("fps_per_scan"),
                static_cast<double>(froc.integer(last, "false_positives")) / 6, 1e-12);
    EXPECT_NEAR(right.at("detection_sensitivity"), froc.number(last, "sensitivity"), 1e-12);
    for (std::size_t row = 1; row < froc.rows(); ++row) {
      EXPECT_GE(froc.number(row, "sensitivity"), froc.number(row - 1, "sensitivity"));
    }
    // Controls: the other side of the head, and 12 mm higher.
    EXPECT_LT(evaluate(changed_truth("mirrored.tsv", -1, 0)).at("detection_sensitivity"), 0.4);
    EXPECT_LT(evaluate(changed_truth("shifted.tsv", 1, 12)).at("detection_sensitivity"), 0.4);
  }

  tests::TemporaryFolder folder_;
};

TEST_F(Detections, BrightTubesOfAPhantomAreFoundWhereTheyAre) {
  simulate();
  detect(file("cohort.h5"));
  expect_detections_at_the_true_places();

  // Voxels and millimetres of a detection are one place in the scan, and its weight is the value
  // of the attention map there.
  std::size_t points = 0;
  for (const auto& entry : fs::directory_iterator(file("found"))) {
    const std::string name = entry.path().filename().string();
    if (name.find("_desc-detections_epvs.tsv") == std::string::npos) continue;
    const std::string participant = name.substr(0, name.find('_'));
    const data::Geometry scan =
        data::read_header(file("bids/" + participant + "/anat/" + participant + "_T2w.nii.gz"))
            .geometry;
    const data::Volume<float> map =
        data::read_scan(
            file("maps/" + participant + "_space-roi_label-bg_desc-attention_epvs.nii.gz"))
            .image;
    const core::Table found = core::Table::read(entry.path());
    for (std::size_t row = 0; row < found.rows(); ++row, ++points) {
      const Eigen::Vector3d world(found.number(row, "x"), found.number(row, "y"),
                                  found.number(row, "z"));
      const Eigen::Vector3d voxel(found.number(row, "x_voxel"), found.number(row, "y_voxel"),
                                  found.number(row, "z_voxel"));
      EXPECT_LT((scan.to_world(voxel) - world).norm(), 1e-3) << name;
      const Eigen::Vector3d place = map.geometry.to_voxel(world);
      EXPECT_FLOAT_EQ(
          map.at(std::llround(place[0]), std::llround(place[1]), std::llround(place[2])),
          static_cast<float>(found.number(row, "weight")));
    }
  }
  EXPECT_EQ(points, 6U * kDetections);

#if EPVS_HAS_ITK
  // The same from the scans themselves, through prepare.
  run({"prepare", file("bids"), file("prepared.h5"), "--preset", "p2", "--regions", "bg", "--lut",
       "freesurfer", "--labels",
       file("bids/derivatives/labels/{participant_id}/anat/{participant_id}_dseg.nii.gz"),
       "--spacing-mm", "1,1,1", "--dilation-voxels", "1", "--sigma-voxels", "1"});
  detect(file("prepared.h5"));
  expect_detections_at_the_true_places();
#endif
}

}  // namespace
}  // namespace epvs
