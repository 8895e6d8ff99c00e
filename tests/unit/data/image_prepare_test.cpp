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
#include "data/prepare/stages/cut_region.h"
#include "data/prepare/stages/smooth_roi.h"
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
  filter.suffix = ScanSuffix::kT2w;
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
  core::write_text(folder / "dicom/p1/IM0", std::string(128, '\0') + "DICM rest");
  expect_error<core::InputError>([&] { find_scans(folder / "dicom", {}); },
                                 {"holds DICOM files", "p1/IM0", "dcm2niix"});
  core::write_text(folder / "folder.tsv", "participant_id\tt2w\na\tdicom/p1\n");
  expect_error<core::InputError>([&] { find_scans(folder / "folder.tsv", {}); }, {"dcm2niix"});
  std::filesystem::create_directory(folder / "empty");
  expect_error<core::InputError>([&] { find_scans(folder / "empty", {}); }, {"no sub-* folder"});
}

TEST(Inputs, PdwIsTakenWhereItIsAskedForOrAllThereIs) {
  const TemporaryFolder folder;
  touch(folder / "t2.nii");
  touch(folder / "pd.nii");
  core::write_text(folder / "s.tsv",
                   "participant_id\tt2w\tpdw\na\tt2.nii\tpd.nii\nb\tn/a\tpd.nii\n");
  const auto names = [&](ScanSuffix suffix) {
    InputFilter filter;
    filter.suffix = suffix;
    std::vector<std::string> all;
    for (const ScanInput& input : find_scans(folder / "s.tsv", filter)) {
      all.push_back(input.scan.filename().string());
    }
    return all;
  };
  EXPECT_EQ(names(ScanSuffix::kAuto), (std::vector<std::string>{"t2.nii", "pd.nii"}));
  EXPECT_EQ(names(ScanSuffix::kPdw), (std::vector<std::string>{"pd.nii", "pd.nii"}));
  expect_error<core::InputError>([&] { names(ScanSuffix::kT2w); },
                                 {"s.tsv line 3", "t2w must not be missing", "--suffix"});
  core::write_text(folder / "s.tsv", "participant_id\tpdw\nb\tpd.nii\n");
  EXPECT_EQ(names(ScanSuffix::kAuto), std::vector<std::string>{"pd.nii"});
  core::write_text(folder / "s.tsv", "participant_id\tage\nb\t7\n");
  expect_error<core::InputError>([&] { names(ScanSuffix::kAuto); }, {"t2w"});
}

TEST(Inputs, TheT1wScanMustBeTheOnlyOne) {
  const TemporaryFolder folder;
  touch(folder / "sub-a/anat/sub-a_T2w.nii.gz");
  touch(folder / "sub-a/anat/sub-a_T1w.nii.gz");
  touch(folder / "sub-a/anat/sub-a_rec-norm_T1w.nii.gz");
  touch(folder / "sub-b/anat/sub-b_T2w.nii.gz");
  const std::vector<ScanInput> inputs = find_scans(folder.path(), {});
  expect_error<core::InputError>([&] { required_t1w(inputs[0]); },
                                 {"sub-a has 2 T1w scans", "rec-norm_T1w", "table of scans"});
  expect_error<core::InputError>([&] { required_t1w(inputs[1]); }, {"sub-b has no T1w scan"});
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

/// The options of one command line, as `prepare` settles them.
struct Told {
  explicit Told(const std::vector<std::string>& assignments) {
    options.declare(table);
    for (const std::string& text : assignments) table.assign("prepare." + text);
  }
  std::vector<PreprocessingOptions> resolve(
      const std::optional<PreprocessingOptions>& weights = std::nullopt) {
    options.settle(table, weights);
    return options.resolve(weights);
  }
  PrepareOptions options;
  core::ParameterTable table;
};

TEST(PrepareOptions, PresetsAreThePapersValues) {
  const std::vector<PreprocessingOptions> p2 = Told({"regions=bg,cso"}).resolve();
  EXPECT_EQ(p2[0].spacing_mm, (std::array<double, 3>{0.5, 0.5, 0.8}));
  EXPECT_EQ(p2[0].crop_voxels, (Shape{168, 128, 56}));
  EXPECT_EQ(p2[1].crop_voxels, (Shape{250, 290, 14}));
  EXPECT_EQ(p2[0].normalisation, Normalisation::kMinMax);
  EXPECT_EQ(p2[0].registration, GridRegistration::kNone);
  EXPECT_EQ(p2[0].label_source, "freesurfer");
  EXPECT_NE(std::find(p2[1].labels.begin(), p2[1].labels.end(), 4035), p2[1].labels.end());
  Told asked({"preset=p1"});
  asked.options.template_scan = "t2.nii.gz";
  const PreprocessingOptions p1 = asked.resolve()[0];
  EXPECT_EQ(p1.spacing_mm, (std::array<double, 3>{0.5, 0.5, 0.5}));
  EXPECT_EQ(p1.crop_voxels, (Shape{168, 128, 84}));
  EXPECT_EQ(p1.normalisation, Normalisation::kMax);
  EXPECT_EQ(p1.registration, GridRegistration::kRigid);
  EXPECT_EQ(p1.dilation_voxels, 4);
  EXPECT_EQ(p1.sigma_voxels, 2.0);
  EXPECT_EQ(Told({"preset=p1", "registration=none", "sigma_voxels=1"}).resolve()[0].sigma_voxels,
            1.0);
}

TEST(PrepareOptions, P1WithoutATemplateIsRefusedUnlessRegistrationNoneSaysSo) {
  expect_error<core::UsageError>([] { Told({"preset=p1"}).resolve(); },
                                 {"--template", "--registration none"});
  EXPECT_EQ(Told({"preset=p1", "registration=none"}).resolve()[0].registration,
            GridRegistration::kNone);
}

TEST(PrepareOptions, CropKeepsItsExtentAtAnotherSpacing) {
  EXPECT_EQ(crop_for("bg", {0.5, 0.5, 0.5}), (Shape{168, 128, 84}));
  EXPECT_EQ(crop_for("bg", {1, 1, 1}), (Shape{84, 64, 44}));
  EXPECT_EQ(crop_for("midbrain", {0.5, 0.5, 0.8}), (Shape{88, 88, 11}));
}

TEST(PrepareOptions, ContradictionsAndGapsAreRefused) {
  PrepareOptions options;
  options.atlases = {"a.nii"};
  expect_error<core::UsageError>([&] { options.resolve(); }, {"--atlas needs --template"});
  options.labels = "b.nii";
  options.template_scan = "t.nii";
  expect_error<core::UsageError>([&] { options.resolve(); }, {"--labels and --atlas"});
  options = {};
  options.registration = GridRegistration::kRigid;
  expect_error<core::UsageError>([&] { options.resolve(); }, {"there is no --template"});
  options = {};
  options.regions = {"bg", "bg"};
  expect_error<core::UsageError>([&] { options.resolve(); }, {"'bg' is given twice"});
  options.regions = {"gb"};
  expect_error<core::UsageError>([&] { options.resolve(); }, {"gb"});
  options = {};
  options.crop_from_masks = true;
  options.crop_voxels = {8, 8, 8};
  expect_error<core::UsageError>([&] { options.resolve(); }, {"--crop-from-masks"});
}

TEST(PrepareOptions, LikeTakesTheWeightsAndRefusesWhatContradicts) {
  PreprocessingOptions weights;
  weights.region = "hippocampi";
  weights.spacing_mm = {0.7, 0.7, 1.1};
  weights.crop_voxels = {64, 64, 32};
  weights.dilation_voxels = 2;
  const PreprocessingOptions found = Told({}).resolve(weights).at(0);
  EXPECT_TRUE(found.differences(weights).empty());
  EXPECT_EQ(found.labels, (std::vector<std::int64_t>{17, 53}));
  const auto refused = [&](const std::string& told, const std::vector<std::string>& texts) {
    expect_error<core::UsageError>([&] { Told({told}).resolve(weights); }, texts);
  };
  refused("spacing_mm=0.5,0.5,0.9", {"--like", "spacing_mm", "0.5,0.5,0.9", "0.7,0.7,1.1"});
  // A stated value that equals the default is a stated value.
  refused("spacing_mm=0.5,0.5,0.8", {"--like", "spacing_mm", "0.5,0.5,0.8", "0.7,0.7,1.1"});
  refused("dilation_voxels=4", {"dilation_voxels", "4", "2"});
  refused("regions=bg", {"regions", "bg", "hippocampi"});
  refused("preset=p1", {"spacing_mm"});
  Told recipe({});
  recipe.table.read_recipe_text("[prepare]\ndilation_voxels = 4\n", "r.toml");
  expect_error<core::UsageError>([&] { recipe.resolve(weights); }, {"dilation_voxels"});
  weights.registration = GridRegistration::kRigid;
  expect_error<core::UsageError>([&] { Told({}).resolve(weights); },
                                 {"weights that were trained so", "--template"});
}

PreprocessingOptions small_options(const std::string& region = "bg") {
  PreprocessingOptions options;
  options.region = region;
  options.spacing_mm = {1, 1, 1};
  options.crop_voxels = {28, 20, 16};
  options.dilation_voxels = 2;
  options.sigma_voxels = 1.0;
  options.labels = RegionTable::preset("freesurfer").labels(region);
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
      cut_region({{tests::unowned(labels), Eigen::Matrix4d::Identity(), "labels"}}, options, space,
                 grid, {}, 1);
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
        cut_region({{tests::unowned(labels), to_labels, "labels"}}, options, space, scan, rules, 1);
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
  const RegionOnGrid region =
      cut_region({{tests::unowned(labels), Eigen::Matrix4d::Identity(), "labels"}}, options, space,
                 grid, rules, 1);
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
        cut_region({{tests::unowned(bare), Eigen::Matrix4d::Identity(), "bare.mgz"}}, options,
                   space, grid, rules, 1);
      },
      {"needs the lateral ventricles", "bare.mgz"});
}

TEST(Region, EmptyForeignAndMissingRegionsAreRefused) {
  const Geometry grid = centred_grid({40, 40, 50}, {1, 1, 1});
  const Volume<std::int32_t> labels = block_labels(grid);
  const auto make = [&](const Geometry& scan, const std::string& region) {
    const PreprocessingOptions options = small_options(region);
    const NetworkSpace space{network_grid(scan, options.spacing_mm), Eigen::Matrix4d::Identity()};
    return cut_region({{tests::unowned(labels), Eigen::Matrix4d::Identity(), "aseg.mgz"}}, options,
                      space, scan, {}, 1);
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
