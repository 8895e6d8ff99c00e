// Two label maps for one scan, as FSL's FIRST and FAST give them.
#include <algorithm>

#include "core/error.h"
#include "core/files.h"
#include "data/formats/nifti.h"
#include "data/formats/resample.h"
#include "data/prepare/prepare_options.h"
#include "data/prepare/stages/locate_labels.h"
#include "tests/support/test_support.h"
#include "tests/unit/data/block_labels.h"
#include "tests/unit/data/head_phantom.h"

namespace epvs::data {
namespace {

using tests::block_labels;
using tests::centred_grid;
using tests::expect_error;
using tests::TemporaryFolder;

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
    const SharedInputs shared = read_shared_inputs(options_);
    KnownRegistrations known;
    const LocatedLabels found = locate_labels(input_, Volume<float>(grid_), shared, false, known);
    std::vector<std::pair<int, std::int64_t>> result;
    for (const PreprocessingOptions& one : options_.resolve()) {
      const NetworkSpace space{network_grid(grid_, one.spacing_mm), Eigen::Matrix4d::Identity()};
      const RegionOnGrid region =
          cut_region(found.maps, one, space, grid_, shared.options.region_rules(), 1);
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
  EXPECT_EQ(options_.resolve()[0].label_source, "first");
  EXPECT_EQ(options_.resolve()[1].label_source, "fast");
}

TEST_F(TwoLabelMaps, GapsAndMixUpsAreRefused) {
  expect_error<core::UsageError>([&] { options_.resolve(); },
                                 {"'first' has no white matter", "--white-matter"});
  options_.white_matter = (folder_ / "{participant_id}_seg.nii").string();
  expect_error<core::InputError>([&] { regions(); },
                                 {"sub-1_seg.nii has values from 1 to 3", "0 to 1", "say fast"});
  options_.white_matter = (folder_ / "{participant_id}_none.nii").string();
  expect_error<core::InputError>([&] { regions(); }, {"sub-1_none.nii", "does not exist"});
  options_.atlases = {"a.nii"};
  options_.template_scan = "t.nii";
  options_.labels.clear();
  expect_error<core::UsageError>([&] { options_.resolve(); },
                                 {"--white-matter and --atlas are both given"});
}

}  // namespace
}  // namespace epvs::data
