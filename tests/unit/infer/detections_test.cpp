#include "infer/detections.h"

#include "tests/support/test_support.h"

namespace epvs::infer {
namespace {

data::Volume<float> empty_map() {
  data::Geometry geometry;
  geometry.shape = {20, 16, 12};
  geometry.affine.diagonal() << 0.5, 0.5, 1.0, 1.0;
  return data::Volume<float>(geometry);
}

TEST(Detections, HighestMaximaFirstAndNearOnesSuppressed) {
  data::Volume<float> map = empty_map();
  map.at(2, 2, 2) = 5;
  map.at(8, 2, 2) = 4;  // 3.0 mm from the first: kept for radius 3 (strictly nearer is dropped)
  map.at(2, 2, 4) = 3;  // 2.0 mm from the first along z: dropped
  map.at(15, 12, 9) = 2;
  map.at(14, 12, 9) = 1;  // beside a higher voxel: no maximum
  const auto found = find_detections(map, {}, 10, 3.0);
  ASSERT_EQ(found.size(), 3U);
  EXPECT_EQ(found[0].voxel, (std::array<std::int64_t, 3>{2, 2, 2}));
  EXPECT_EQ(found[1].voxel, (std::array<std::int64_t, 3>{8, 2, 2}));
  EXPECT_EQ(found[2].voxel, (std::array<std::int64_t, 3>{15, 12, 9}));
  EXPECT_EQ(found[2].weight, 2.0);
  EXPECT_EQ(find_detections(map, {}, 10, 3.01).size(), 2U);
  EXPECT_EQ(find_detections(map, {}, 10, 0).size(), 4U);
  EXPECT_EQ(find_detections(map, {}, 1, 3.0).size(), 1U);
  EXPECT_TRUE(find_detections(map, {}, 0, 3.0).empty());
}

TEST(Detections, OnlyPositiveValuesInsideTheMask) {
  data::Volume<float> map = empty_map();
  map.at(2, 2, 2) = 5;
  map.at(12, 2, 2) = 4;
  std::vector<float> inside(map.voxels.size(), 0.0F);
  inside[map.offset(12, 2, 2)] = 0.01F;
  const auto found = find_detections(map, inside, 10, 3.0);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].weight, 4.0);
  for (float& v : map.voxels) v -= 10;
  EXPECT_TRUE(find_detections(map, {}, 10, 3.0).empty());
}

TEST(Detections, CountIsTheRoundedScore) {
  EXPECT_EQ(detection_count(2.4), 2U);
  EXPECT_EQ(detection_count(2.5), 3U);
  EXPECT_EQ(detection_count(-3.0), 0U);
  EXPECT_EQ(detection_count(0.2), 0U);
}

}  // namespace
}  // namespace epvs::infer
