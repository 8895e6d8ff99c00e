// `epvs inspect` through the real executable. Needs no Torch.
#include <fstream>

#include "core/files.h"
#include "core/json.h"
#include "data/cohort/cohort.h"
#include "data/formats/nifti.h"
#include "tests/support/test_support.h"

namespace epvs::models {
namespace {

using tests::run_epvs;
using tests::TemporaryFolder;

core::Json inspect_json(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "inspect");
  arguments.push_back("--json");
  const auto result = run_epvs(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return core::Json::parse(result.out);
}

void expect_failure(int exit_code, std::vector<std::string> arguments,
                    const std::vector<std::string>& texts) {
  arguments.insert(arguments.begin(), "inspect");
  const auto result = run_epvs(arguments);
  tests::expect_result(result, exit_code, texts);
}

TEST(Inspect, NetworksWithoutAFile) {
  core::Json d = inspect_json({"--network", "media2019"});
  EXPECT_EQ(d["parameters"], 41'562'577);
  EXPECT_EQ(d["layers"][0]["input"], core::Json({1, 84, 128, 168}));
  EXPECT_EQ(d["layers"][0]["output"], core::Json({32, 82, 126, 166}));
  // 2 operations x 27 taps x 32 channels x output voxels
  EXPECT_EQ(d["layers"][0]["flops"], 2LL * 27 * 32 * 82 * 126 * 166);
  d = inspect_json({"--network", "media2019", "--set", "network.blocks=1"});
  EXPECT_EQ(d["parameters"], 310'577'297);
  d = inspect_json({"--network", "cnn4", "--input", "14,12,10", "--set", "network.residual=none"});
  EXPECT_EQ(d["parameters"], 194'657);
  EXPECT_EQ(d["layers"][0]["input"], core::Json({1, 10, 12, 14}));
  const auto text = run_epvs({"inspect", "--network", "gp_unet"});
  EXPECT_NE(text.out.find("parameters 308,705"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("130x84x128x168"), std::string::npos) << text.out;
}

TEST(Inspect, Weights) {
  const std::string path = tests::golden("models/gp_unet.safetensors").string();
  const core::Json d = inspect_json({path});
  EXPECT_EQ(d["kind"], "weights");
  EXPECT_EQ(d["dtype"], "F64");
  EXPECT_EQ(d["parameters"], 3103);
  EXPECT_EQ(d["metadata"]["target"], "rater1");
  EXPECT_EQ(d["metadata"]["preprocessing"]["region"], "bg");
  const auto text = run_epvs({"inspect", path});
  for (const char* word : {"gp_unet", "rater1", "up_conv", "minmax", "parameters 3,103"}) {
    EXPECT_NE(text.out.find(word), std::string::npos) << word << " in\n" << text.out;
  }
}

TEST(Inspect, Scans) {
  const TemporaryFolder folder;
  data::Geometry geometry;
  geometry.shape = {4, 5, 6};
  geometry.affine.diagonal() << -0.5, 0.5, 3.0, 1.0;
  data::Volume<float> volume(geometry, 2.0F);
  volume.at(1, 2, 3) = -7.0F;
  volume.at(0, 0, 0) = 11.0F;
  for (const char* name : {"scan.nii", "scan.nii.gz"}) {
    data::write_nifti(folder / name, volume);
    const core::Json d = inspect_json({(folder / name).string()});
    EXPECT_EQ(d["kind"], "scan");
    EXPECT_EQ(d["shape"], core::Json({4, 5, 6}));
    EXPECT_EQ(d["orientation"], "LAS");
    EXPECT_EQ(d["minimum"], -7.0);
    EXPECT_EQ(d["maximum"], 11.0);
    EXPECT_DOUBLE_EQ(d["mean"].get<double>(), (118 * 2.0 - 7 + 11) / 120);
    EXPECT_EQ(d["not_finite_voxels"], 0);
    EXPECT_EQ(d["sform_code"], 1);
    EXPECT_NEAR(d["spacing_mm"][2].get<double>(), 3.0, 1e-6);
  }
  const std::string text = core::read_text(folder / "scan.nii");
  std::ofstream(folder / "cut.nii", std::ios::binary) << text.substr(0, text.size() - 9);
  expect_failure(3, {(folder / "cut.nii").string()}, {"cut.nii"});
}

TEST(Inspect, Cohorts) {
  const TemporaryFolder folder;
  data::PreprocessingOptions options;
  options.crop_voxels = {3, 3, 3};
  {
    data::CohortWriter writer(folder / "c.h5", {options}, {{"command_line", "epvs prepare x"}});
    for (const char* session : {"ses-1", "ses-2"}) {
      data::CohortRow row;
      row.participant_id = "sub-07";
      row.session_id = session;
      row.roi.shape = {3, 3, 3};
      row.source.shape = {30, 31, 32};
      data::CohortVolumes volumes;
      volumes.roi.assign(27, 0.5F);
      volumes.hard.assign(27, 1);
      volumes.soft.assign(27, 1.0F);
      writer.append("bg", row, volumes);
    }
    writer.finish();
  }
  const std::string path = (folder / "c.h5").string();
  const core::Json d = inspect_json({path});
  EXPECT_EQ(d["regions"][0]["region"], "bg");
  EXPECT_EQ(d["regions"][0]["scans"], 2);
  EXPECT_EQ(d["regions"][0]["participants"], 1);
  EXPECT_FALSE(d["regions"][0].contains("rows"));
  EXPECT_EQ(inspect_json({path, "--rows"})["regions"][0]["rows"][1]["session_id"], "ses-2");
  const auto text = run_epvs({"inspect", path, "--rows"});
  for (const char* word : {"2 scans of 1 participants", "30x31x32", "epvs prepare x", "ses-2"}) {
    EXPECT_NE(text.out.find(word), std::string::npos) << word << " in\n" << text.out;
  }
}

TEST(Inspect, RunFolders) {
  const TemporaryFolder folder;
  expect_failure(3, {folder.path().string()}, {"no training.tsv"});
  core::write_text(folder / "training.tsv",
                   "epoch\ttrain_loss\tvalidation_loss\n1\t9\t8\n2\t5\t4\n3\t3\t6\n");
  core::Json d = inspect_json({folder.path().string()});
  EXPECT_EQ(d["epochs"], 3);
  EXPECT_EQ(d["least_validation_loss"]["epoch"], "2");
  EXPECT_EQ(d["last_epoch"]["train_loss"], "3");
  EXPECT_EQ(d["finished"], false);
  std::filesystem::copy(tests::golden("models/cnn4.safetensors"), folder / "weights.safetensors");
  d = inspect_json({folder.path().string()});
  EXPECT_EQ(d["finished"], true);
  EXPECT_EQ(d["weights"]["metadata"]["network"]["architecture"], "cnn4");
}

TEST(Inspect, WrongUsageIsNamed) {
  expect_failure(2, {}, {"nothing to inspect"});
  const std::string weights = tests::golden("models/gp_unet.safetensors").string();
  expect_failure(2, {weights, "--network", "cnn4"}, {"both a file and --network"});
  expect_failure(2, {weights, "--input", "4,4,4"}, {"--input"});
  expect_failure(2, {weights, "--rows"}, {"--rows"});
  expect_failure(2, {"--network", "gp_unit"}, {"gp_unet"});
  expect_failure(2, {"--network", "gp_unet", "--set", "network.blocks=3"}, {"network.blocks"});
  expect_failure(2, {"--network", "media2019", "--input", "9,9,9"}, {"leaves nothing"});
  expect_failure(3, {"/nowhere/absent.nii"}, {"absent.nii"});
  const TemporaryFolder folder;
  core::write_text(folder / "notes.txt", "x");
  expect_failure(3, {(folder / "notes.txt").string()}, {"notes.txt", ".safetensors"});
}

}  // namespace
}  // namespace epvs::models
