// Inputs, options, regions and single scans of `epvs prepare`, without its command line.
#include <Eigen/LU>
#include <algorithm>
#include <fstream>
#include <numeric>

#include "core/error.h"
#include "core/files.h"
#include "core/json.h"
#include "data/formats/nifti.h"
#include "data/formats/resample.h"
#include "data/prepare/inputs/inputs.h"
#include "data/prepare/inputs/weights_header.h"
#include "data/prepare/prepare_options.h"
#include "data/prepare/region.h"
#include "data/prepare/smooth_roi.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/block_labels.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

using tests::block_labels;
using tests::centred_grid;
using tests::expect_error;
using tests::TemporaryFolder;

void touch(const std::filesystem::path& path) {
  core::write_text(path, "x");
}

TEST(Inputs, FindsSessionsRunsAndKinds) {
  const TemporaryFolder folder;
  touch(folder / "sub-01/anat/sub-01_T2w.nii.gz");
  touch(folder / "sub-01/anat/sub-01_T1w.nii.gz");
  touch(folder / "sub-01/anat/sub-01_FLAIR.nii.gz");
  touch(folder / "sub-02/ses-a/anat/sub-02_ses-a_T2w.nii");
  touch(folder / "sub-02/ses-b/anat/sub-02_ses-b_PDw.mgz");
  touch(folder / "sub-03/anat/sub-03_T1w.nii.gz");
  std::vector<std::string> skipped;
  const std::vector<ScanInput> inputs = find_scans(folder.path(), {}, &skipped);
  ASSERT_EQ(inputs.size(), 3U);
  EXPECT_EQ(inputs[0].key(), "sub-01");
  EXPECT_EQ(inputs[0].t1w.filename(), "sub-01_T1w.nii.gz");
  EXPECT_EQ(inputs[1].key(), "sub-02_ses-a");
  EXPECT_EQ(inputs[2].scan.filename(), "sub-02_ses-b_PDw.mgz");
  EXPECT_EQ(skipped, std::vector<std::string>{"sub-03"});

  InputFilter filter;
  filter.participants = {"02"};
  filter.sessions = {"ses-b"};
  EXPECT_EQ(find_scans(folder.path(), filter).size(), 1U);
  filter.suffix = "T2w";
  expect_error<core::InputError>([&] { find_scans(folder.path(), filter); },
                                 {"no scan to prepare"});
  filter = {};
  filter.participants = {"sub-04"};
  expect_error<core::UsageError>([&] { find_scans(folder.path(), filter); },
                                 {"'sub-04' is not in", "did you mean"});
}

TEST(Inputs, SeveralRunsNeedAChoice) {
  const TemporaryFolder folder;
  touch(folder / "sub-01/anat/sub-01_run-1_T2w.nii.gz");
  touch(folder / "sub-01/anat/sub-01_run-2_T2w.nii.gz");
  expect_error<core::InputError>([&] { find_scans(folder.path(), {}); },
                                 {"sub-01 has 2 scans", "run-1_T2w", "run-2_T2w", "--run"});
  InputFilter filter;
  filter.run = "02";
  EXPECT_EQ(find_scans(folder.path(), filter).at(0).scan.filename(), "sub-01_run-2_T2w.nii.gz");
}

TEST(Inputs, ATableGivesPathsRelativeToItself) {
  const TemporaryFolder folder;
  touch(folder / "scans/a.nii");
  core::write_text(folder / "scans.tsv",
                   "participant_id\tsession_id\tt2w\tlabels\na\tn/a\tscans/a.nii\tscans/a.nii\n");
  const std::vector<ScanInput> inputs = find_scans(folder / "scans.tsv", {});
  EXPECT_EQ(inputs.at(0).scan, folder / "scans/a.nii");
  EXPECT_EQ(inputs.at(0).labels, folder / "scans/a.nii");
  EXPECT_EQ(inputs.at(0).session_id, "");

  core::write_text(folder / "twice.tsv", "participant_id\tt2w\na\tscans/a.nii\na\tscans/a.nii\n");
  expect_error<core::InputError>([&] { find_scans(folder / "twice.tsv", {}); },
                                 {"a is there twice"});
  core::write_text(folder / "lost.tsv", "participant_id\tt2w\na\tscans/b.nii\n");
  expect_error<core::InputError>([&] { find_scans(folder / "lost.tsv", {}); },
                                 {"lost.tsv line 2", "b.nii' does not exist"});
  core::write_text(folder / "gap.tsv", "participant_id\tt2w\nn/a\tscans/a.nii\n");
  expect_error<core::InputError>([&] { find_scans(folder / "gap.tsv", {}); },
                                 {"must not be missing"});
  core::write_text(folder / "slash.tsv", "participant_id\tt2w\na/b\tscans/a.nii\n");
  expect_error<core::InputError>([&] { find_scans(folder / "slash.tsv", {}); }, {"has a slash"});
  InputFilter filter;
  filter.participants = {"z"};
  expect_error<core::UsageError>([&] { find_scans(folder / "scans.tsv", filter); },
                                 {"'z' is not in"});
  expect_error<core::InputError>([&] { find_scans(folder / "nowhere", {}); }, {"does not exist"});
  std::filesystem::create_directory(folder / "empty");
  expect_error<core::InputError>([&] { find_scans(folder / "empty", {}); }, {"no sub-* folder"});
}

TEST(Inputs, LabelPatternsAreFilledIn) {
  const TemporaryFolder folder;
  touch(folder / "fs/sub-01/1/aseg.mgz");
  ScanInput input;
  input.participant_id = "sub-01";
  input.session_id = "ses-1";
  const std::string pattern =
      folder.path().string() + "/fs/{participant_id}/{session_label}/aseg.mgz";
  EXPECT_EQ(labels_of(input, pattern), folder / "fs/sub-01/1/aseg.mgz");
  input.session_id.clear();
  expect_error<core::UsageError>([&] { labels_of(input, pattern); }, {"names a session"});
  expect_error<core::InputError>([&] { labels_of(input, "no/{participant_label}.mgz"); },
                                 {"the label map of sub-01", "no/01.mgz"});
  expect_error<core::UsageError>([] { check_pattern("{participant}.mgz"); },
                                 {"unknown placeholder '{participant}'"});
  expect_error<core::UsageError>([] { check_pattern("a{participant_id"); },
                                 {"unknown placeholder"});
}

void write_weights(const std::filesystem::path& path, const std::string& header) {
  std::ofstream file(path, std::ios::binary);
  for (int i = 0; i < 8; ++i) file.put(static_cast<char>(header.size() >> (8 * i)));
  file << header << "tensors";
}

TEST(Weights, PreprocessingIsReadFromTheHeader) {
  const TemporaryFolder folder;
  PreprocessingOptions options;
  options.region = "hippocampi";
  options.spacing_mm = {0.7, 0.7, 1.1};
  const core::Json ours = {{"network", core::Json::object()}, {"preprocessing", options.to_json()}};
  const core::Json header = {{"__metadata__", {{"epvs", ours.dump()}}}};
  write_weights(folder / "w.safetensors", header.dump());
  EXPECT_TRUE(read_weights_preprocessing(folder / "w.safetensors").differences(options).empty());

  const auto refused = [&](const std::string& name, const std::string& text) {
    expect_error<core::InputError>([&] { read_weights_preprocessing(folder / name); },
                                   {name, text, "--like wants"});
  };
  core::write_text(folder / "a", "short");
  refused("a", "not a safetensors file");
  core::write_text(folder / "b", "\xff\xff\xff\x7f\x01\x02\x03\x04more");
  refused("b", "its header should have");
  write_weights(folder / "c", "no json");
  refused("c", "not JSON");
  write_weights(folder / "d", "{}");
  refused("d", "no entry 'epvs'");
  write_weights(folder / "e", core::Json{{"__metadata__", {{"epvs", "{}"}}}}.dump());
  refused("e", "how scans were prepared");
  write_weights(
      folder / "f",
      core::Json{{"__metadata__", {{"epvs", R"({"preprocessing":{"region":"bg"}})"}}}}.dump());
  refused("f", "preprocessing options lack");
}

TEST(PrepareOptions, PresetsAreThePapersValues) {
  PrepareOptions options;
  options.regions = {"bg", "cso"};
  const std::vector<PreprocessingOptions> p2 = options.resolve({});
  EXPECT_EQ(p2[0].spacing_mm, (std::array<double, 3>{0.5, 0.5, 0.8}));
  EXPECT_EQ(p2[0].crop_voxels, (Shape{168, 128, 56}));
  EXPECT_EQ(p2[1].crop_voxels, (Shape{250, 290, 14}));
  EXPECT_EQ(p2[0].normalisation, "minmax");
  EXPECT_EQ(p2[0].registration, "none");
  EXPECT_EQ(p2[0].label_source, "freesurfer");
  EXPECT_NE(std::find(p2[1].labels.begin(), p2[1].labels.end(), 4035), p2[1].labels.end());
  options.preset = "p1";
  options.regions = {"bg"};
  EXPECT_EQ(options.resolve({})[0].registration, "none");
  options.template_scan = "t2.nii.gz";
  const PreprocessingOptions p1 = options.resolve({})[0];
  EXPECT_EQ(p1.spacing_mm, (std::array<double, 3>{0.5, 0.5, 0.5}));
  EXPECT_EQ(p1.crop_voxels, (Shape{168, 128, 84}));
  EXPECT_EQ(p1.normalisation, "max");
  EXPECT_EQ(p1.registration, "rigid");
  EXPECT_EQ(p1.dilation_voxels, 4);
  EXPECT_EQ(p1.sigma_voxels, 2.0);
}

TEST(PrepareOptions, CropKeepsItsExtentAtAnotherSpacing) {
  EXPECT_EQ(crop_for("bg", {0.5, 0.5, 0.5}), (Shape{168, 128, 84}));
  EXPECT_EQ(crop_for("bg", {1, 1, 1}), (Shape{84, 64, 44}));
  EXPECT_EQ(crop_for("midbrain", {0.5, 0.5, 0.8}), (Shape{88, 88, 11}));
}

TEST(PrepareOptions, ContradictionsAndGapsAreRefused) {
  PrepareOptions options;
  options.atlases = {"a.nii"};
  expect_error<core::UsageError>([&] { options.resolve({}); }, {"--atlas needs --template"});
  options.labels = "b.nii";
  options.template_scan = "t.nii";
  expect_error<core::UsageError>([&] { options.resolve({}); }, {"--labels and --atlas"});
  options = {};
  options.registration = "rigid";
  expect_error<core::UsageError>([&] { options.resolve({}); }, {"needs --template"});
  options = {};
  options.regions = {"bg", "bg"};
  expect_error<core::UsageError>([&] { options.resolve({}); }, {"'bg' is given twice"});
  options.regions = {"gb"};
  expect_error<core::UsageError>([&] { options.resolve({}); }, {"gb"});
  options = {};
  options.crop_from_masks = true;
  options.crop_voxels = {8, 8, 8};
  expect_error<core::UsageError>([&] { options.resolve({}); }, {"--crop-from-masks"});
}

TEST(PrepareOptions, LikeTakesTheWeightsAndRefusesWhatContradicts) {
  PreprocessingOptions weights;
  weights.region = "hippocampi";
  weights.spacing_mm = {0.7, 0.7, 1.1};
  weights.crop_voxels = {64, 64, 32};
  weights.dilation_voxels = 2;
  PrepareOptions options;
  const PreprocessingOptions found = options.resolve({}, weights).at(0);
  EXPECT_TRUE(found.differences(weights).empty());
  EXPECT_EQ(found.labels, (std::vector<std::int64_t>{17, 53}));
  options.spacing_mm = {0.5, 0.5, 0.8};
  expect_error<core::UsageError>(
      [&] { options.resolve({"spacing_mm"}, weights); },
      {"--like contradicts", "spacing_mm", "0.5,0.5,0.8", "0.7,0.7,1.1"});
  options = {};
  expect_error<core::UsageError>([&] { options.resolve({"dilation_voxels"}, weights); },
                                 {"dilation_voxels: 4 and 2"});
  expect_error<core::UsageError>([&] { options.resolve({"regions"}, weights); },
                                 {"region: bg and hippocampi"});
  options.preset = "p1";
  expect_error<core::UsageError>([&] { options.resolve({"preset"}, weights); }, {"spacing_mm"});
  weights.registration = "rigid";
  expect_error<core::UsageError>([&] { PrepareOptions().resolve({}, weights); },
                                 {"the weights expect scans that are registered"});
}

PreprocessingOptions small_options(const std::string& region = "bg") {
  PreprocessingOptions options;
  options.region = region;
  options.spacing_mm = {1, 1, 1};
  options.crop_voxels = {28, 20, 16};
  options.dilation_voxels = 2;
  options.sigma_voxels = 1.0;
  options.labels = region_labels(RegionTable::preset("freesurfer"), region);
  return options;
}

TEST(Region, TheBoxGivesTheSmoothRoiOfTheWholeGrid) {
  const Geometry grid = centred_grid({40, 40, 50}, {1, 1, 1});
  const Volume<std::int32_t> labels = block_labels(grid);
  Volume<float> scan(grid);
  for (std::size_t i = 0; i < scan.voxels.size(); ++i) {
    scan.voxels[i] = static_cast<float>((i * 7919) % 1009);
  }
  const PreprocessingOptions options = small_options();
  const NetworkSpace space{network_grid(grid, options.spacing_mm), Eigen::Matrix4d::Identity()};
  const RegionOnGrid region =
      make_region({{&labels, Eigen::Matrix4d::Identity(), "labels"}}, options, space, grid, {}, 1);
  EXPECT_LT(region.hard.voxels.size(), scan.voxels.size());
  const SmoothRoi part = smooth_roi(resample(scan, region.hard.geometry), region.hard, options);
  const SmoothRoi whole = smooth_roi(scan, region_mask(labels, options.labels), options);
  ASSERT_EQ(part.roi.voxels.size(), whole.roi.voxels.size());
  float worst = 0;
  for (std::size_t i = 0; i < whole.roi.voxels.size(); ++i) {
    worst = std::max(worst, std::abs(part.roi.voxels[i] - whole.roi.voxels[i]));
  }
  EXPECT_LT(worst, 1e-6F);
  EXPECT_EQ(part.hard.voxels, whole.hard.voxels);
  EXPECT_TRUE(part.roi.geometry.same_as(whole.roi.geometry));
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(region.box_origin[i] + part.crop_origin[i], whole.crop_origin[i]);
  }
  EXPECT_EQ(region.label_volume_mm3, 2 * 6 * 12 * 8);
  EXPECT_EQ(part.region_volume_mm3, 2 * 6 * 12 * 8);
  EXPECT_EQ(region.fraction_outside, 0);
  EXPECT_EQ(region_extent(region), (Shape{20, 12, 8}));
}

TEST(Region, LabelsOnAnotherGridAndThroughATransform) {
  const Geometry scan = centred_grid({40, 40, 25}, {1, 1, 2});
  Geometry own = centred_grid({40, 40, 50}, {1, 1, 1});
  own.affine.topRightCorner<3, 1>() += Eigen::Vector3d(3, -2, 4);  // the label map's own world
  const Volume<std::int32_t> labels = block_labels(own);
  Eigen::Matrix4d to_labels = Eigen::Matrix4d::Identity();
  to_labels.topRightCorner<3, 1>() = Eigen::Vector3d(3, -2, 4);
  PreprocessingOptions options = small_options();
  options.spacing_mm = {0.5, 0.5, 0.5};
  const NetworkSpace space{network_grid(scan, options.spacing_mm), Eigen::Matrix4d::Identity()};
  for (const bool nearest : {true, false}) {
    RegionRules rules;
    rules.nearest = nearest;
    const RegionOnGrid region =
        make_region({{&labels, to_labels, "labels"}}, options, space, scan, rules, 1);
    const double volume = 0.125 * static_cast<double>(std::accumulate(region.hard.voxels.begin(),
                                                                      region.hard.voxels.end(), 0));
    EXPECT_NEAR(volume, 2 * 6 * 12 * 8, nearest ? 1e-9 : 0.04 * 1152);
    // The left block (11) begins at x = -19.5 + 10 - 0.5.
    const Shape centre = centre_of_mass_voxel(region.hard);
    const Eigen::Vector3d world = region.hard.geometry.to_world({static_cast<double>(centre[0]),
                                                                 static_cast<double>(centre[1]),
                                                                 static_cast<double>(centre[2])});
    EXPECT_NEAR(world[0], 0, 0.5);
    EXPECT_NEAR(world[1], -2, 0.5);
    EXPECT_NEAR(world[2], -11, 0.5);
  }
}

TEST(Region, CentrumSemiovaleIsASlabAboveTheVentricles) {
  const Geometry grid = centred_grid({40, 40, 50}, {1, 1, 1});
  const Volume<std::int32_t> labels = block_labels(grid);
  const PreprocessingOptions options = small_options("cso");
  const NetworkSpace space{network_grid(grid, options.spacing_mm), Eigen::Matrix4d::Identity()};
  RegionRules rules;
  rules.cso_above_mm = 10;
  rules.cso_slab_mm = 4;
  const RegionOnGrid region = make_region({{&labels, Eigen::Matrix4d::Identity(), "labels"}},
                                          options, space, grid, rules, 1);
  EXPECT_EQ(region_extent(region), (Shape{30, 30, 4}));
  // The ventricle ends at z = 21.5 voxels; 10 mm above is 31.5: slices 30 to 33.
  const Eigen::Vector3d low = region.hard.geometry.to_world({0, 0, 0});
  std::int64_t first = 0;
  while (std::none_of(&region.hard.voxels[region.hard.offset(0, 0, first)],
                      &region.hard.voxels[region.hard.offset(0, 0, first)] +
                          region.hard.geometry.shape[0] * region.hard.geometry.shape[1],
                      [](std::uint8_t v) { return v != 0; })) {
    ++first;
  }
  EXPECT_NEAR(low[2] + static_cast<double>(first), grid.to_world({0, 0, 30})[2], 1e-9);

  Volume<std::int32_t> bare = labels;
  for (std::int32_t& label : bare.voxels) label = label == 2 ? 2 : 0;
  expect_error<core::InputError>(
      [&] {
        make_region({{&bare, Eigen::Matrix4d::Identity(), "bare.mgz"}}, options, space, grid, rules,
                    1);
      },
      {"needs the lateral ventricles", "bare.mgz"});
}

TEST(Region, EmptyForeignAndMissingRegionsAreRefused) {
  const Geometry grid = centred_grid({40, 40, 50}, {1, 1, 1});
  const Volume<std::int32_t> labels = block_labels(grid);
  const auto make = [&](const Geometry& scan, const std::string& region) {
    const PreprocessingOptions options = small_options(region);
    const NetworkSpace space{network_grid(scan, options.spacing_mm), Eigen::Matrix4d::Identity()};
    return make_region({{&labels, Eigen::Matrix4d::Identity(), "aseg.mgz"}}, options, space, scan,
                       {}, 1);
  };
  expect_error<core::InputError>([&] { make(grid, "hippocampi"); },
                                 {"'hippocampi' is empty", "aseg.mgz", "17,53", "--lut"});
  Geometry elsewhere = grid;
  elsewhere.affine(0, 3) += 200;
  expect_error<core::InputError>([&] { make(elsewhere, "bg"); },
                                 {"outside the scan", "cannot match", "same person"});
  Geometry half = grid;  // begins in the middle of the right block
  half.shape[0] = 13;
  half.affine(0, 3) += 27;
  expect_error<core::InputError>([&] { make(half, "bg"); },
                                 {"75% of region 'bg'", "more than half"});
  Geometry most = grid;  // 2 of 12 columns are cut off
  most.shape[0] = 28;
  EXPECT_NEAR(make(most, "bg").fraction_outside, 2.0 / 12.0, 1e-12);
}

}  // namespace
}  // namespace epvs::data
