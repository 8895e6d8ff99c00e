// Heads from label maps: where they lie, what is in them, and what is refused.
#include <gmock/gmock.h>

#include <Eigen/Geometry>
#include <cmath>
#include <map>

#include "core/error.h"
#include "core/files.h"
#include "core/random.h"
#include "data/formats/nifti.h"
#include "data/phantom/dataset.h"
#include "data/phantom/label_head.h"
#include "data/phantom/schematic_anatomy.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

namespace fs = std::filesystem;
using Eigen::Vector3d;
using tests::expect_error;
using tests::TemporaryFolder;

/// Neither sizes nor deformations: the canonical head.
HeadShape canonical() {
  HeadShape shape;
  shape.deformation_mm = 0;
  return shape;
}

/// The label map of the schematic head on voxels of 1.5 mm, stored turned by 12 degrees, moved by
/// centimetres and with x from right to left: as a scanner might.
void write_schematic_labels(const fs::path& path, const std::vector<int>& without = {}) {
  const SchematicAnatomy head(canonical(), 4);
  Volume<std::int16_t> labels;
  labels.geometry.shape = {120, 150, 120};
  const Eigen::Affine3d turned = Eigen::Translation3d(31, -17, 22) *
                                 Eigen::AngleAxisd(0.21, Vector3d(1, 0.4, -0.3).normalized());
  const Eigen::Affine3d grid = Eigen::Translation3d(89, -125, -82) * Eigen::Scaling(-1.5, 1.5, 1.5);
  labels.geometry.affine = (turned * grid).matrix();
  labels.voxels.resize(static_cast<std::size_t>(labels.geometry.voxels()));
  for_each_voxel(labels.geometry.shape, [&](auto x, auto y, auto z) {
    const Vector3d at = grid * Eigen::Matrix<std::int64_t, 3, 1>(x, y, z).template cast<double>();
    const std::int16_t label = freesurfer_label(head.sample(at, {}, 0.1).tissue, at.x() < 0);
    const bool left_out = std::find(without.begin(), without.end(), label) != without.end();
    labels.at(x, y, z) = left_out ? std::int16_t{2} : label;
  });
  write_nifti(path, labels, nullptr, "");
}

const std::vector<Region> kAll = {Region::kBasalGanglia, Region::kHippocampi,
                                  Region::kCentrumSemiovale, Region::kMidbrain};

/// The head that a turned label map of the schematic head gives is the schematic head.
TEST(LabelHead, FindsHeadCoordinates) {
  const TemporaryFolder folder;
  write_schematic_labels(folder / "head.nii.gz");
  const auto heads = read_heads(folder.path(), kAll);
  ASSERT_EQ(heads.size(), 1U);
  const LabelAnatomy found(heads.front(), canonical(), 1);
  const SchematicAnatomy truth(canonical(), 4);
  EXPECT_NEAR(found.centrum_semiovale_level_mm(), truth.centrum_semiovale_level_mm(), 2.0);
  // Centres of structures, as sampled from both on a grid of 2 mm.
  using Centres = std::map<std::int16_t, std::pair<Vector3d, double>>;
  const auto centres = [](const Anatomy& anatomy) {
    Centres sums;
    for (double x = -45; x <= 45; x += 2) {
      for (double y = -70; y <= 45; y += 2) {
        for (double z = -30; z <= 35; z += 2) {
          const Vector3d p(x, y, z);
          auto& [sum, count] =
              sums.try_emplace(freesurfer_label(anatomy.sample(p, {}, 0.1).tissue, x < 0),
                               Vector3d::Zero(), 0)
                  .first->second;
          sum += p;
          count += 1;
        }
      }
    }
    return sums;
  };
  Centres here = centres(found);
  Centres expected = centres(truth);
  for (const int number : {4, 43, 10, 49, 11, 50, 12, 51, 13, 52, 17, 53, 173}) {
    const auto label = static_cast<std::int16_t>(number);
    const Vector3d a = here[label].first / here[label].second;
    const Vector3d b = expected[label].first / expected[label].second;
    EXPECT_LT((a - b).norm(), 2.6) << "label " << label;  // the diagonal of a voxel
    EXPECT_NEAR(here[label].second / expected[label].second, 1, 0.2) << "label " << label;
  }
}

/// No border is nearer than the depth says.
TEST(LabelHead, MeasuresDepth) {
  const TemporaryFolder folder;
  write_schematic_labels(folder / "head.nii.gz");
  const LabelHead head(folder / "head.nii.gz", {Region::kHippocampi});
  const auto [low, high] = head.box_of(Region::kHippocampi);
  core::Random random(8);
  int tried = 0;
  for (int i = 0; i < 3000; ++i) {
    const Vector3d p(random.uniform(low.x(), high.x()), random.uniform(low.y(), high.y()),
                     random.uniform(low.z(), high.z()));
    const double depth = head.depth_mm(Region::kHippocampi, p);
    if (depth < 1 || depth > 5) continue;
    ++tried;
    // By a search along many rays; half a voxel's diagonal.
    double nearest = 100;
    for (int ray = 0; ray < 200; ++ray) {
      const Vector3d way = Vector3d(random.normal(), random.normal(), random.normal()).normalized();
      for (double step = 0.2; step < 8 && step < nearest; step += 0.2) {
        if (head.depth_mm(Region::kHippocampi, p + step * way) < 0) nearest = step;
      }
    }
    EXPECT_NEAR(nearest, depth, 1.3);
  }
  EXPECT_GT(tried, 30);
  EXPECT_EQ(head.depth_mm(Region::kHippocampi, {0, 0, 90}), -LabelHead::kReachMm);
}

TEST(LabelHead, MixesTissuesBetweenVoxels) {
  const TemporaryFolder folder;
  write_schematic_labels(folder / "head.nii.gz");
  const LabelAnatomy head(std::make_shared<LabelHead>(folder / "head.nii.gz", kAll), canonical(),
                          1);
  TissueTable table{};
  table[static_cast<std::size_t>(Tissue::kPutamen)] = 1;
  core::Random random(2);
  int between = 0;
  for (int i = 0; i < 4000; ++i) {
    const Vector3d p(random.uniform(15, 35), random.uniform(-15, 17), random.uniform(-10, 11));
    const TissueSample sample = head.sample(p, table, 1);
    EXPECT_GE(sample.brightness, 0);
    EXPECT_LE(sample.brightness, 1.06);
    between += sample.brightness > 0.1 && sample.brightness < 0.9 ? 1 : 0;
    if (sample.brightness > 0.6) {
      EXPECT_EQ(sample.tissue, Tissue::kPutamen);
    }
  }
  EXPECT_GT(between, 200);
}

TEST(LabelHead, SaysWhichRegionCannotBeSimulated) {
  const TemporaryFolder folder;
  write_schematic_labels(folder / "head.nii.gz", {173, 11});
  const auto refused = [&](const std::vector<Region>& regions,
                           const std::vector<std::string>& texts) {
    expect_error<core::InputError>([&] { read_heads(folder.path(), regions); }, texts);
  };
  refused({Region::kMidbrain},
          {"head.nii.gz has no Midbrain (173): region midbrain cannot be simulated"});
  refused({Region::kBasalGanglia},
          {"head.nii.gz has no Caudate (11, 50): region bg cannot be simulated"});
  EXPECT_EQ(read_heads(folder.path(), {Region::kHippocampi}).size(), 1U);
  write_schematic_labels(folder / "head.nii.gz", {49});
  refused({}, {"has no Thalamus (10, 49): no head can be simulated from it"});
  const TemporaryFolder empty;
  expect_error<core::InputError>([&] { read_heads(empty.path(), {}); }, {"holds no label map"});
}

/// Whole cohorts: EPVS in their region, label maps that agree, the same bytes for any threads.
TEST(LabelHead, MakesCohorts) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "maps");
  write_schematic_labels(folder / "maps" / "head.nii.gz");
  SimulationJob job;
  job.options.anatomy = folder / "maps";
  job.options.participants = 2;
  job.options.regions = {"bg", "hippocampi", "cso"};
  job.options.scanners = {"philips-1.5t"};
  job.options.spacing_mm = {2, 2, 2};
  job.options.anatomy_grid_mm = 2;
  std::vector<std::string> first;
  for (const int threads : {1, 2}) {
    job.folder = folder / ("bids" + std::to_string(threads));
    job.threads = threads;
    core::Log log(core::LogLevel::kWarning);
    core::Provenance provenance("simulate", {"OUT"});
    const core::StopSignals signals;
    const SimulationSummary summary = simulate_dataset(job, log, provenance, signals);
    for (const ParticipantRecord& record : summary.participants) {
      EXPECT_GT(record.participant.epvs.size(), 3U);
      const auto labels = read_labels(label_path(job.folder, record.scans.front().plan));
      int in_grey = 0;
      int of_grey = 0;
      for (const Perivascular& epvs : record.participant.epvs) {
        if (epvs.region != Region::kBasalGanglia) continue;
        const Vector3d v =
            labels.geometry.to_voxel(record.scans.front().plan.to_world(epvs.centre()));
        const int label = labels.at(std::llround(v.x()), std::llround(v.y()), std::llround(v.z()));
        ++of_grey;
        const std::vector<int> grey = {11, 12, 13, 26, 50, 51, 52, 58};
        in_grey += std::find(grey.begin(), grey.end(), label) != grey.end() ? 1 : 0;
      }
      EXPECT_GE(in_grey, 0.8 * of_grey);  // voxels of 2 mm
    }
    std::vector<std::string> bytes;
    for (const ParticipantRecord& record : summary.participants) {
      bytes.push_back(core::read_text(scan_path(job.folder, record.scans.front().plan)));
    }
    if (threads == 1) first = bytes;
    EXPECT_EQ(bytes, first);
  }
}

}  // namespace
}  // namespace epvs::data
