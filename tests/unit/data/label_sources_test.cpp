// Templates and atlases by name, in folders laid out as FSL's and TemplateFlow's; two label maps
// for one scan, as FSL's FIRST and FAST give them.
#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "core/error.h"
#include "core/files.h"
#include "data/formats/nifti.h"
#include "data/formats/resample.h"
#include "data/prepare/named_atlases.h"
#include "data/prepare/prepare_options.h"
#include "data/prepare/scan_labels.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/block_labels.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

namespace fs = std::filesystem;
using tests::block_labels;
using tests::centred_grid;
using tests::expect_error;
using tests::TemporaryFolder;

/// Sets a variable of the environment, or unsets it, until the end of the scope.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    const char* before = std::getenv(name);
    if (before != nullptr) before_ = before;
    was_set_ = before != nullptr;
    if (value.empty()) {
      ::unsetenv(name);
    } else {
      ::setenv(name, value.c_str(), 1);
    }
  }
  ~Environment() {
    if (was_set_) {
      ::setenv(name_, before_.c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
  std::string before_;
  bool was_set_ = false;
};

void touch(const fs::path& path, const std::string& text = "x") {
  core::write_text(path, text);
}

TEST(NamedAtlases, APathIsAPath) {
  EXPECT_EQ(find_named_template("some/t2.nii.gz"), "some/t2.nii.gz");
  EXPECT_EQ(find_named_atlas("a:b.nii").path, "a:b.nii");
  EXPECT_EQ(find_named_atlas("a.nii").lut, "");
}

TEST(NamedAtlases, FslsFolders) {
  const TemporaryFolder folder;
  const Environment fsl("FSLDIR", folder.path().string());
  const fs::path data = folder / "data";
  touch(data / "standard/MNI152_T1_2mm.nii.gz");
  touch(data / "atlases/HarvardOxford/HarvardOxford-sub-maxprob-thr25-2mm.nii.gz");
  touch(data / "atlases/JHU/JHU-labels.nii.gz");
  EXPECT_EQ(find_named_template("fsl:MNI152_T1_2mm"), data / "standard/MNI152_T1_2mm.nii.gz");
  const NamedAtlas oxford = find_named_atlas("fsl:HarvardOxford-sub-maxprob-thr25-2mm");
  EXPECT_EQ(oxford.path.parent_path().filename(), "HarvardOxford");
  EXPECT_EQ(oxford.lut, "harvardoxford");
  EXPECT_EQ(find_named_atlas("fsl:JHU-labels").lut, "");
  expect_error<core::InputError>(
      [] { find_named_template("fsl:MNI152_T2_2mm"); },
      {"'fsl:MNI152_T2_2mm' was not found", "data/standard/MNI152_T2_2mm.nii.gz", "FSLDIR"});
  expect_error<core::InputError>(
      [] { find_named_atlas("fsl:none"); },
      {"data/standard/none.nii.gz", "data/atlases/HarvardOxford/none.nii.gz", "JHU/none.nii.gz"});
}

TEST(NamedAtlases, FslWithoutItsFolder) {
  const Environment fsl("FSLDIR", "");
  expect_error<core::UsageError>([] { find_named_template("fsl:MNI152_T1_2mm"); },
                                 {"FSLDIR is not set", "give the path"});
}

TEST(NamedAtlases, TemplateFlowsFolder) {
  const TemporaryFolder folder;
  const Environment flow("TEMPLATEFLOW_HOME", folder.path().string());
  const fs::path space = folder / "tpl-MNI152NLin2009cAsym";
  const std::string start = "tpl-MNI152NLin2009cAsym";
  touch(space / (start + "_res-02_T1w.nii.gz"));
  touch(space / (start + "_res-01_desc-brain_T1w.nii.gz"));
  EXPECT_EQ(find_named_template("templateflow:MNI152NLin2009cAsym").filename(),
            start + "_res-02_T1w.nii.gz");
  touch(space / (start + "_res-01_T1w.nii.gz"));
  EXPECT_EQ(find_named_template("templateflow:MNI152NLin2009cAsym:T1w").filename(),
            start + "_res-01_T1w.nii.gz");
  touch(space / (start + "_res-01_T2w.nii.gz"), "");  // listed, but not fetched
  EXPECT_EQ(find_named_template("templateflow:MNI152NLin2009cAsym").filename(),
            start + "_res-01_T1w.nii.gz");
  expect_error<core::InputError>(
      [] { find_named_template("templateflow:MNI152NLin2009cAsym:T2w"); },
      {"was not found", "tpl-MNI152NLin2009cAsym[_res-NN]_T2w.nii.gz", "templateflow.api.get"});

  touch(space / (start + "_res-01_atlas-HOSPA_desc-th25_dseg.nii.gz"));
  EXPECT_EQ(find_named_atlas("templateflow:MNI152NLin2009cAsym:HOSPA:th25").lut, "");
  touch(space / (start + "_atlas-HOSPA_desc-th25_dseg.tsv"));
  const NamedAtlas atlas = find_named_atlas("templateflow:MNI152NLin2009cAsym:HOSPA:th25");
  EXPECT_EQ(atlas.path.filename(), start + "_res-01_atlas-HOSPA_desc-th25_dseg.nii.gz");
  EXPECT_EQ(fs::path(atlas.lut).filename(), start + "_atlas-HOSPA_desc-th25_dseg.tsv");
  expect_error<core::InputError>([] { find_named_atlas("templateflow:MNI152NLin2009cAsym:HOSPA"); },
                                 {"_atlas-HOSPA_dseg.nii.gz"});
  expect_error<core::UsageError>([] { find_named_atlas("templateflow:MNI152NLin2009cAsym"); },
                                 {"templateflow:SPACE:ATLAS[:DESC]"});
  expect_error<core::UsageError>([] { find_named_template("templateflow::T1w"); },
                                 {"templateflow:SPACE[:SUFFIX]"});
}

TEST(NamedAtlases, TemplateFlowInTheHomeFolder) {
  const TemporaryFolder folder;
  const Environment flow("TEMPLATEFLOW_HOME", "");
  const Environment home("HOME", folder.path().string());
  touch(folder / ".cache/templateflow/tpl-A/tpl-A_T2w.nii.gz");
  EXPECT_EQ(find_named_template("templateflow:A"),
            folder / ".cache/templateflow/tpl-A/tpl-A_T2w.nii.gz");
  const Environment nowhere("HOME", "");
  expect_error<core::UsageError>([] { find_named_template("templateflow:A"); },
                                 {"neither TEMPLATEFLOW_HOME nor HOME"});
}

TEST(NamedAtlases, TheirLabelTableIsTakenUnlessOneIsGiven) {
  const TemporaryFolder folder;
  const Environment fsl("FSLDIR", folder.path().string());
  touch(folder / "data/atlases/HarvardOxford/HarvardOxford-sub-maxprob-thr25-2mm.nii.gz");
  PrepareOptions options;
  options.template_scan = "t.nii";
  options.atlases = {"fsl:HarvardOxford-sub-maxprob-thr25-2mm"};
  PrepareOptions asked = options;
  options.find_named_atlases();
  EXPECT_EQ(options.resolve({}).at(0).labels,
            (std::vector<std::int64_t>{5, 16, 6, 17, 7, 18, 11, 21}));
  asked.lut = "freesurfer";
  asked.find_named_atlases();
  EXPECT_EQ(asked.resolve({}).at(0).labels.at(0), 11);
  PrepareOptions mixed;
  mixed.atlases = {"fsl:HarvardOxford-sub-maxprob-thr25-2mm", "other.nii"};
  expect_error<core::UsageError>([&] { mixed.find_named_atlases(); },
                                 {"different label numbers", "freesurfer", "harvardoxford"});
}

/// FIRST's and FAST's labels of the block phantom: caudates in one map, white matter in the other.
class TwoLabelMaps : public testing::Test {
 protected:
  void SetUp() override {
    const Volume<std::int32_t> all = block_labels(grid_);
    Volume<std::int16_t> first(grid_);
    Volume<std::int16_t> seg(grid_);
    Volume<float> pve(grid_);
    for (std::size_t i = 0; i < all.voxels.size(); ++i) {
      const std::int32_t label = all.voxels[i];
      if (label == 11 || label == 50) first.voxels[i] = static_cast<std::int16_t>(label);
      seg.voxels[i] = label == 2 ? 3 : (label == 0 ? 1 : 2);
      pve.voxels[i] = label == 2 ? 0.8F : (label == 0 ? 0.4F : 0.1F);
    }
    write_nifti(folder_ / "sub-1_first.nii", first);
    write_nifti(folder_ / "sub-1_seg.nii", seg);
    write_nifti(folder_ / "sub-1_pve_2.nii", pve);
    input_.participant_id = "sub-1";
    options_.labels = (folder_ / "{participant_id}_first.nii").string();
    options_.lut = "first";
    options_.regions = {"bg", "cso"};
    options_.spacing_mm = {1, 1, 1};
    options_.cso_slab_mm = 4;
  }
  /// Voxels of each region, and the lowest slice of each.
  std::vector<std::pair<int, std::int64_t>> regions() const {
    const SharedInputs shared(options_);
    const ScanLabels found(input_, Volume<float>(grid_), shared, false);
    std::vector<std::pair<int, std::int64_t>> result;
    for (const PreprocessingOptions& one : options_.resolve({})) {
      const NetworkSpace space{network_grid(grid_, one.spacing_mm), Eigen::Matrix4d::Identity()};
      const RegionOnGrid region =
          make_region(found.maps(), one, space, grid_, shared.options().region_rules(), 1);
      const auto first = std::find(region.hard.voxels.begin(), region.hard.voxels.end(), 1);
      const auto plane = region.hard.geometry.shape[0] * region.hard.geometry.shape[1];
      result.emplace_back(std::count(region.hard.voxels.begin(), region.hard.voxels.end(), 1),
                          region.box_origin[2] + (first - region.hard.voxels.begin()) / plane);
    }
    return result;
  }

  TemporaryFolder folder_;
  const Geometry grid_ = centred_grid({40, 40, 50}, {1, 1, 1});
  ScanInput input_;
  PrepareOptions options_;
};

TEST_F(TwoLabelMaps, BgFromFirstAndCsoFromFast) {
  for (const bool pve : {true, false}) {
    options_.white_matter =
        (folder_ / (pve ? "{participant_id}_pve_2.nii" : "{participant_id}_seg.nii")).string();
    options_.white_matter_lut = pve ? "fast_pve" : "fast";
    const auto found = regions();
    EXPECT_EQ(found[0].first, 2 * 6 * 12 * 8);
    // The caudate ends at slice 17.5: ten mm above, 27.5, is the middle of slices 26 to 29.
    EXPECT_EQ(found[1].first, 30 * 30 * 4);
    EXPECT_EQ(found[1].second, 26);
  }
  EXPECT_EQ(options_.resolve({})[0].label_source, "first");
  EXPECT_EQ(options_.resolve({})[1].label_source, "fast");
}

TEST_F(TwoLabelMaps, GapsAndMixUpsAreRefused) {
  expect_error<core::UsageError>([&] { options_.resolve({}); },
                                 {"'first' has no white matter", "--white-matter"});
  options_.white_matter = (folder_ / "{participant_id}_seg.nii").string();
  expect_error<core::InputError>([&] { regions(); },
                                 {"sub-1_seg.nii has values from 1 to 3", "0 to 1", "say fast"});
  options_.white_matter = (folder_ / "{participant_id}_none.nii").string();
  expect_error<core::InputError>([&] { regions(); }, {"sub-1_none.nii", "does not exist"});
  options_.atlases = {"a.nii"};
  options_.template_scan = "t.nii";
  options_.labels.clear();
  expect_error<core::UsageError>([&] { options_.resolve({}); },
                                 {"--white-matter and --atlas are both given"});
}

}  // namespace
}  // namespace epvs::data
