// The phantom: geometry in closed form, invariances, counts against their distribution, raters at
// their limits.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/error.h"
#include "data/phantom/raters.h"
#include "data/phantom/schematic_anatomy.h"
#include "tests/support/test_support.h"

namespace epvs::data {
namespace {

using Eigen::Vector3d;
using tests::expect_error;

Geometry grid(const Shape& shape, const Vector3d& spacing) {
  Geometry geometry;
  geometry.shape = shape;
  for (int axis = 0; axis < 3; ++axis) geometry.affine(axis, axis) = spacing[axis];
  return geometry;
}

double filled_mm3(const Geometry& geometry, const std::vector<FilledVoxel>& voxels) {
  double sum = 0;
  for (const FilledVoxel& voxel : voxels) sum += static_cast<double>(voxel.fraction);
  return sum * geometry.spacing_mm().prod();
}

/// The demo with coarse voxels: a scan in some 20 ms.
SimulationOptions small_options() {
  SimulationOptions options = SimulationOptions::preset(PhantomPreset::kDemo);
  options.participants = 6;
  options.voxel_scale = 4;
  options.max_slice_mm = 3;
  options.anatomy_grid_mm = 2;
  return options;
}

TEST(SmoothField, IsSmoothAndBoundedByItsLattice) {
  core::Random random(3);
  const SmoothField field(random, Vector3d::Zero(), Vector3d::Constant(50), 10);
  double largest_step = 0;
  for (double x = 0; x < 49; x += 0.01) {
    const double step = field({x + 0.01, 20.3, 7.7}) - field({x, 20.3, 7.7});
    largest_step = std::max(largest_step, std::abs(step));
  }
  EXPECT_LT(largest_step, 0.02);
  EXPECT_GT(largest_step, 1e-4);
  EXPECT_DOUBLE_EQ(field({-20, 5, 5}), field({0, 5, 5}));  // the border continues
}

TEST(FillTube, AStraightTubeWithRoundEndsHasItsVolume) {
  // pi r^2 L + 4/3 pi r^3, on fine, coarse and thick voxels, in an oblique direction.
  const std::vector<Vector3d> line = {{11, 12, 9}, {15, 14.5, 16}};
  const double length = (line[1] - line[0]).norm();
  for (const double radius : {0.6, 1.0, 1.5}) {
    const double volume = M_PI * radius * radius * (length + 4.0 / 3.0 * radius);
    for (const Vector3d& spacing :
         {Vector3d(0.5, 0.5, 0.8), Vector3d(1.2, 1.1, 1.6), Vector3d(0.45, 0.45, 5.0)}) {
      const Shape shape = {static_cast<std::int64_t>(30 / spacing.x()),
                           static_cast<std::int64_t>(30 / spacing.y()),
                           static_cast<std::int64_t>(30 / spacing.z())};
      const Geometry geometry = grid(shape, spacing);
      EXPECT_NEAR(
          filled_mm3(geometry, fill_tube(geometry, spacing.z(), 0.2, line, radius)) / volume, 1.0,
          0.03)
          << "radius " << radius << " spacing " << spacing.transpose();
    }
  }
}

TEST(FillTube, AThinTubeAcrossASliceFillsItsCrossSection) {
  const Geometry geometry = grid({9, 9, 3}, {2, 2, 4});
  const std::vector<FilledVoxel> voxels =
      fill_tube(geometry, 4.0, 0.2, {{8, 8, -20}, {8, 8, 40}}, 0.5);
  ASSERT_EQ(voxels.size(), 3U);  // one voxel in each slice
  for (const FilledVoxel& voxel : voxels) {
    EXPECT_NEAR(voxel.fraction, M_PI * 0.25 / 4.0, 0.006);
  }
}

TEST(FillTube, AGapBetweenSlicesHidesWhatLiesInIt) {
  const Geometry geometry = grid({9, 9, 5}, {1, 1, 5});
  const std::vector<Vector3d> in_gap = {{3, 4, 7.5}, {5, 4, 7.5}};
  EXPECT_TRUE(
      fill_tube(geometry, 3.0, 0.2, in_gap, 0.5).empty());  // slices end at 6.5 and begin at 8.5
  EXPECT_FALSE(fill_tube(geometry, 5.0, 0.2, in_gap, 0.5).empty());
}

TEST(Anatomy, IsSymmetricWithoutDeformation) {
  HeadShape shape;
  shape.deformation_mm = 0;
  const SchematicAnatomy anatomy(shape, 5);
  core::Random random(1);
  for (int i = 0; i < 500; ++i) {
    const Vector3d p(random.uniform(1, 40), random.uniform(-40, 40), random.uniform(-30, 30));
    const Vector3d other(-p.x(), p.y(), p.z());
    EXPECT_NEAR(anatomy.region_depth_mm(Region::kBasalGanglia, p),
                anatomy.region_depth_mm(Region::kBasalGanglia, other), 1e-9);
  }
}

TEST(Anatomy, StructuresHavePlausibleVolumesAndSides) {
  const SchematicAnatomy anatomy(HeadShape(), 2);
  HeadShape wide;
  wide.ventricle_size = 1.5;
  const SchematicAnatomy with_wide_ventricles(wide, 2);
  std::map<int, double> ml;
  double wide_ventricles = 0;
  const double step = 2.0;
  for (double z = -50; z < 85; z += step) {
    for (double y = -110; y < 80; y += step) {
      for (double x = -75; x < 75; x += step) {
        const Tissue tissue = anatomy.sample({x, y, z}, TissueTable{}, 1.0).tissue;
        ml[freesurfer_label(tissue, x < 0)] += step * step * step / 1000;
        if (with_wide_ventricles.sample({x, y, z}, TissueTable{}, 1.0).tissue ==
            Tissue::kVentricle) {
          wide_ventricles += step * step * step / 1000;
        }
      }
    }
  }
  // Adult volumes in ml, generous: caudate 3-4, putamen 4-6, hippocampus 3-4 a side.
  for (const int side : {0, 39}) {
    EXPECT_NEAR(ml[11 + side], 3.3, 1.5);
    EXPECT_NEAR(ml[12 + side], 4.0, 1.8);
    EXPECT_NEAR(ml[13 + side], 1.2, 0.7);
  }
  EXPECT_NEAR(ml[17], 3.0, 1.5);
  EXPECT_NEAR(ml[53], 3.0, 1.5);
  EXPECT_GT(ml[2] + ml[41] + ml[3] + ml[42], 700);
  EXPECT_LT(ml[2] + ml[41] + ml[3] + ml[42], 1400);
  EXPECT_GT(wide_ventricles, 1.3 * (ml[4] + ml[43]));
}

TEST(Participant, IsAFunctionOfSeedAndIndex) {
  SimulationOptions options = small_options();
  const Participant first = simulate_participant(options, 9, 4);
  options.participants = 100;  // the size of the cohort does not matter
  const Participant again = simulate_participant(options, 9, 4);
  const Participant other = simulate_participant(options, 10, 4);
  EXPECT_EQ(first.age_years, again.age_years);
  ASSERT_EQ(first.epvs.size(), again.epvs.size());
  for (std::size_t i = 0; i < first.epvs.size(); ++i) {
    EXPECT_EQ(first.epvs[i].line, again.epvs[i].line);
  }
  EXPECT_NE(first.age_years, other.age_years);
}

TEST(Participant, EpvsLieInTheirRegionApartFromEachOtherAndFromLesions) {
  SimulationOptions options;  // whole head, all regions
  options.lacunes = 4;
  int found = 0;
  for (int index = 0; index < 12; ++index) {
    const Participant one = simulate_participant(options, 21, index);
    for (std::size_t i = 0; i < one.epvs.size(); ++i) {
      const Perivascular& epvs = one.epvs[i];
      ++found;
      EXPECT_GE(epvs.diameter_mm, options.diameter_range_mm[0]);
      EXPECT_LE(epvs.diameter_mm, options.diameter_range_mm[1]);
      EXPECT_GE(epvs.length_mm(), options.length_range_mm[0] - 1e-9);
      EXPECT_LE(epvs.length_mm(), 1.05 * options.length_range_mm[1]);
      EXPECT_GE(one.anatomy->region_depth_mm(epvs.region, epvs.centre()), epvs.diameter_mm / 2);
      for (std::size_t j = 0; j < i; ++j) {
        EXPECT_GE(distance_of_lines_mm(epvs.line, one.epvs[j].line),
                  (epvs.diameter_mm + one.epvs[j].diameter_mm) / 2 + options.minimum_gap_mm - 1e-9);
      }
      for (const Lesion& lesion : one.lesions) {
        EXPECT_GT(distance_to_line_mm(epvs.line, lesion.centre),
                  lesion.radii_mm.minCoeff() + epvs.diameter_mm / 2);
      }
    }
  }
  EXPECT_GT(found, 100);
}

TEST(Participant, CountsFollowTheirDistribution) {
  SimulationOptions options = small_options();
  options.mean_count = {6};
  options.dispersion = {4};
  options.burden_sd = 0;
  options.ratio_per_decade = 1;
  const int n = 400;
  double sum = 0;
  double squares = 0;
  for (int index = 0; index < n; ++index) {
    const double count = simulate_participant(options, 5, index).count(Region::kBasalGanglia);
    sum += count;
    squares += count * count;
  }
  const double mean = sum / n;
  const double variance = (squares - n * mean * mean) / (n - 1);
  const double expected_variance = 6 + 36.0 / 4;  // negative binomial
  EXPECT_NEAR(mean, 6, 4 * std::sqrt(expected_variance / n));
  EXPECT_NEAR(variance / expected_variance, 1, 0.35);
}

TEST(Participant, SomeHaveNoneAndSomeLieInClusters) {
  SimulationOptions options = small_options();
  options.dispersion = {1000};
  options.burden_sd = 0;
  options.mean_count = {8};
  options.zero_fraction = 0.5;
  options.minimum_gap_mm = 0.5;
  const auto none = [&] {
    int count = 0;
    for (int i = 0; i < 100; ++i) count += simulate_participant(options, 5, i).epvs.empty() ? 1 : 0;
    return count;
  };
  EXPECT_NEAR(none(), 50, 20);
  options.zero_fraction = 0;
  EXPECT_LT(none(), 5);
  const auto mean_nearest_mm = [&] {
    double sum = 0;
    int count = 0;
    for (int index = 0; index < 30; ++index) {
      const Participant one = simulate_participant(options, 5, index);
      for (const Perivascular& a : one.epvs) {
        double nearest = 1e9;
        for (const Perivascular& b : one.epvs) {
          if (&a != &b) nearest = std::min(nearest, (a.centre() - b.centre()).norm());
        }
        sum += std::min(nearest, 20.0);
        ++count;
      }
    }
    return sum / count;
  };
  const double apart = mean_nearest_mm();
  options.cluster_fraction = 1;
  EXPECT_LT(mean_nearest_mm(), 0.75 * apart);
}

TEST(Participant, CountsGrowWithAge) {
  SimulationOptions options = small_options();
  options.ratio_per_decade = 1.5;
  options.burden_sd = 0;
  std::array<double, 2> mean{};
  for (const int old : {0, 1}) {
    options.age_min_years = options.age_mean_years = options.age_max_years = old != 0 ? 80 : 60;
    options.age_sd_years = 0;
    for (int index = 0; index < 300; ++index) {
      mean[static_cast<std::size_t>(old)] +=
          simulate_participant(options, 3, index).count(Region::kBasalGanglia) / 300.0;
    }
  }
  EXPECT_NEAR(mean[1] / mean[0], 1.5 * 1.5, 0.5);
}

TEST(Participant, ScannersHaveEqualShares) {
  const SimulationOptions options = small_options();
  std::map<std::string, int> share;
  for (int index = 0; index < 30; ++index) {
    ++share[simulate_participant(options, 3, index).scanner];
  }
  for (const auto& [name, count] : share) EXPECT_EQ(count, 10) << name;
}

TEST(Scanner, SpinEchoIsItsFormula) {
  // 0.8 (1 - 1/e) e^-2
  EXPECT_NEAR(spin_echo({1000, 50, 0.8}, 1000, 100), 0.8 * (1 - std::exp(-1)) * std::exp(-2),
              1e-12);
  // CSF over white matter at 1.5 T, TR 4000, TE 100: BrainWeb's values by hand.
  const TissueTable table = tissue_brightness({"x", 1.5, 4000, 100}, 70);
  const double csf = (1 - std::exp(-4000 / 2569.0)) * std::exp(-100 / 329.0);
  const double white = 0.77 * (1 - std::exp(-8.0)) * std::exp(-100 / 70.0);
  EXPECT_NEAR(table[static_cast<std::size_t>(Tissue::kVentricle)], csf / white, 1e-5);
  EXPECT_EQ(table[static_cast<std::size_t>(Tissue::kWhiteMatter)], 1.0F);
  EXPECT_EQ(table[static_cast<std::size_t>(Tissue::kAir)], 0.0F);
}

TEST(Scanner, IronDarkensThePallidumWithAgeAndField) {
  // 39 ms in the pallidum of an adult at 3 T.
  EXPECT_NEAR(tissue_parameters(Tissue::kPallidum, 3.0, 70).t2_ms, 39, 0.5);
  const auto t2 = [](Tissue tissue, double field, double age) {
    return tissue_parameters(tissue, field, age).t2_ms;
  };
  EXPECT_LT(t2(Tissue::kPutamen, 3.0, 80), t2(Tissue::kPutamen, 3.0, 40));
  EXPECT_LT(t2(Tissue::kPutamen, 3.0, 70), t2(Tissue::kPutamen, 1.5, 70));
  EXPECT_LT(t2(Tissue::kPallidum, 1.5, 70), t2(Tissue::kPutamen, 1.5, 70));
  EXPECT_LT(t2(Tissue::kPutamen, 1.5, 70), t2(Tissue::kCaudate, 1.5, 70));
  EXPECT_LT(t2(Tissue::kCaudate, 1.5, 70), t2(Tissue::kCortex, 1.5, 70));
}

TEST(Scanner, TheClinicalMixtureHasTheVoxelsOfP2sTable1) {
  SimulationOptions options;
  options.scanners = {"clinical"};
  double scans = 0;
  std::array<double, 2> sum{};
  std::array<double, 2> squares{};
  std::map<double, int> fields;
  int largest_two = 0;
  int siemens = 0;
  for (const auto& [name, share] : options.scanner_shares()) {
    const ScannerProfile& profile = scanner_profile(name);
    scans += share;
    ++fields[profile.field_strength_t];
    siemens += name.rfind("siemens", 0) == 0 ? 1 : 0;
    if (share > 10) largest_two += share;
    const std::array<double, 2> sizes = {profile.in_plane_mm, profile.slice_spacing_mm};
    for (std::size_t i = 0; i < 2; ++i) {
      sum[i] += share * sizes[i];
      squares[i] += share * sizes[i] * sizes[i];
    }
    EXPECT_GE(profile.in_plane_mm, 0.39);
    EXPECT_LE(profile.in_plane_mm, 0.68);
    EXPECT_GE(profile.slice_spacing_mm, 3.3);
    EXPECT_LE(profile.slice_spacing_mm, 7.0);
  }
  EXPECT_EQ(scans, 76);
  EXPECT_EQ(largest_two, 66);
  EXPECT_EQ(siemens, 3);
  EXPECT_EQ(fields, (std::map<double, int>{{1.0, 2}, {1.5, 4}, {3.0, 3}}));
  const auto sd = [&](std::size_t i) {
    return std::sqrt((squares[i] - sum[i] * sum[i] / scans) / (scans - 1));
  };
  EXPECT_NEAR(sum[0] / scans, 0.45, 0.01);
  EXPECT_NEAR(sd(0), 0.04, 0.01);
  EXPECT_NEAR(sum[1] / scans, 4.94, 0.1);
  EXPECT_NEAR(sd(1), 0.89, 0.1);
}

TEST(Scanner, SharesAreKeptAndRead) {
  SimulationOptions options = small_options();
  options.scanners = {"philips-3t=3", "philips-1t"};
  std::map<std::string, int> share;
  for (int index = 0; index < 40; ++index) {
    ++share[simulate_participant(options, 3, index).scanner];
  }
  EXPECT_EQ(share, (std::map<std::string, int>{{"philips-3t", 30}, {"philips-1t", 10}}));
  for (const auto& [text, says] : std::map<std::string, std::vector<std::string>>{
           {"philips-3t=0", {"philips-3t=0", "whole number from 1"}},
           {"philips-3t=1.5", {"philips-3t=1.5", "philips-3t=36"}},
           {"filips-3t=2", {"filips-3t", "philips-3t"}}}) {
    options.scanners = {text};
    expect_error<core::UsageError>([&] { options.validate(); }, says);
  }
  options.scanners = {"clinical", "philips-3t"};
  expect_error<core::UsageError>([&] { options.validate(); }, {"philips-3t", "named twice"});
}

TEST(Scanner, TheSliceProfileIsHalfAsHighAtHalfTheThickness) {
  EXPECT_EQ(slice_profile(0, 4, 0.2), 1);
  EXPECT_NEAR(slice_profile(-2, 4, 0.2), 0.5, 1e-12);
  EXPECT_EQ(slice_profile(2.41, 4, 0.2), 0);
  double area = 0;
  for (double z = -3; z < 3; z += 0.001) area += 0.001 * slice_profile(z, 4, 0.2);
  EXPECT_NEAR(area, 4, 0.002);
}

TEST(ScanPlan, VoxelsFollowProfileAndOptions) {
  SimulationOptions options;
  Participant participant;
  participant.id = "sub-0001";
  participant.scanner = "philips-3t";
  ScanPlan plan = plan_scan(options, 1, participant, 0);
  EXPECT_TRUE(plan.geometry.spacing_mm().isApprox(Vector3d(0.45, 0.45, 4.4), 1e-6));
  EXPECT_LT(plan.geometry.affine(0, 0), 0);  // stored right to left
  EXPECT_EQ(plan.profile.slice_thickness_mm, 4.0);
  options.voxel_scale = 2;
  options.max_slice_mm = 6;
  plan = plan_scan(options, 1, participant, 0);
  EXPECT_TRUE(plan.geometry.spacing_mm().isApprox(Vector3d(0.9, 0.9, 6.0), 1e-6));
  EXPECT_EQ(plan.profile.slice_thickness_mm, 6);
  options.spacing_mm = {1, 1.25, 1.5};
  plan = plan_scan(options, 1, participant, 0);
  EXPECT_TRUE(plan.geometry.spacing_mm().isApprox(Vector3d(1, 1.25, 1.5), 1e-6));
  const Vector3d point(12, -30, 8);
  EXPECT_TRUE(plan.to_head(plan.to_world(point)).isApprox(point, 1e-12));
  const Vector3d ac = plan.geometry.to_voxel(plan.anterior_commissure());
  EXPECT_LE(std::abs(ac.z() - static_cast<double>(plan.commissure_slice())), 0.5);
}

TEST(ScanPlan, ARepeatScanHasAnotherPositionAndTheSameHead) {
  SimulationOptions options = small_options();
  options.rescans = 1;
  const Participant one = simulate_participant(options, 4, 0);
  EXPECT_EQ(one.sessions, 2);
  EXPECT_EQ(simulate_participant(options, 4, 1).sessions, 1);
  const ScanPlan first = plan_scan(options, 4, one, 0);
  const ScanPlan second = plan_scan(options, 4, one, 1);
  EXPECT_EQ(first.session_id, "ses-1");
  EXPECT_EQ(second.session_id, "ses-2");
  EXPECT_FALSE(first.head_to_world.isApprox(second.head_to_world, 1e-3));
}

TEST(ScanPlan, TheBasalGangliaFitTheirFieldOfView) {
  const SimulationOptions options = small_options();
  for (int index = 0; index < 40; ++index) {
    const Participant one = simulate_participant(options, 8, index);
    const ScanPlan plan = plan_scan(options, 8, one, 0);
    const auto box = one.anatomy->region_box(Region::kBasalGanglia);
    for (double x = box.first.x(); x < box.second.x(); x += 3) {
      for (double y = box.first.y(); y < box.second.y(); y += 3) {
        for (double z = box.first.z(); z < box.second.z(); z += 3) {
          const Vector3d point(x, y, z);
          if (one.anatomy->region_depth_mm(Region::kBasalGanglia, point) <= 0) continue;
          const Vector3d voxel = plan.geometry.to_voxel(plan.to_world(point));
          for (int axis = 0; axis < 3; ++axis) {
            ASSERT_GT(voxel[axis], -0.5);
            ASSERT_LT(
                voxel[axis],
                static_cast<double>(plan.geometry.shape[static_cast<std::size_t>(axis)]) - 0.5);
          }
        }
      }
    }
  }
}

/// A participant with some EPVS, without noise and bias.
struct Quiet {
  SimulationOptions options = small_options();
  Participant participant;
  ScanPlan plan;
  std::vector<EpvsInScan> epvs;
  Quiet() {
    options.noise_scale = 0;
    options.bias_scale = 0;
    options.voxel_scale = 2;
    options.mean_count = {20};
    participant = simulate_participant(options, 2, 0);
    plan = plan_scan(options, 2, participant, 0);
    epvs = view_epvs(plan, participant);
  }
};

TEST(RenderScan, EpvsBrightenTheirVoxelsOnly) {
  Quiet quiet;
  ASSERT_GT(quiet.epvs.size(), 3U);
  const SimulatedScan with = render_scan(quiet.options, quiet.plan, quiet.participant, quiet.epvs);
  const SimulatedScan without = render_scan(quiet.options, quiet.plan, quiet.participant, {});
  std::set<std::size_t> filled;
  for (const EpvsInScan& epvs : quiet.epvs) {
    for (const FilledVoxel& voxel : epvs.voxels) filled.insert(voxel.offset);
  }
  for (std::size_t i = 0; i < with.t2w.voxels.size(); ++i) {
    if (filled.count(i) == 0) {
      ASSERT_EQ(with.t2w.voxels[i], without.t2w.voxels[i]);
    } else {
      ASSERT_GE(with.t2w.voxels[i], without.t2w.voxels[i]);
    }
  }
  EXPECT_EQ(with.labels.voxels, without.labels.voxels);
  // The voxel in the middle of a full tube is near CSF.
  const TissueTable table = tissue_brightness(quiet.plan.profile, quiet.participant.age_years);
  const double csf = table[static_cast<std::size_t>(Tissue::kCsf)] * quiet.plan.gain;
  int full = 0;
  for (const EpvsInScan& epvs : quiet.epvs) {
    for (const FilledVoxel& voxel : epvs.voxels) {
      if (voxel.fraction < 0.98F) continue;
      EXPECT_GT(with.t2w.voxels[voxel.offset], 0.85 * csf);
      ++full;
    }
  }
  EXPECT_GT(full, 0);
}

TEST(RenderScan, LabelsAndBrightnessAreThoseOfTheTissue) {
  Quiet quiet;
  quiet.participant.lesions.clear();
  const SimulatedScan scan = render_scan(quiet.options, quiet.plan, quiet.participant, {});
  const TissueTable table = tissue_brightness(quiet.plan.profile, quiet.participant.age_years);
  std::map<int, std::vector<double>> values;
  const Shape& shape = scan.labels.geometry.shape;
  int left = 0;
  for (std::int64_t z = 0; z < shape[2]; ++z) {
    for (std::int64_t y = 0; y < shape[1]; ++y) {
      for (std::int64_t x = 0; x < shape[0]; ++x) {
        const int label = scan.labels.at(x, y, z);
        const bool inner =
            x > 0 && y > 0 && z > 0 && x + 1 < shape[0] && y + 1 < shape[1] && z + 1 < shape[2] &&
            scan.labels.at(x - 1, y, z) == label && scan.labels.at(x + 1, y, z) == label &&
            scan.labels.at(x, y - 1, z) == label && scan.labels.at(x, y + 1, z) == label &&
            scan.labels.at(x, y, z - 1) == label && scan.labels.at(x, y, z + 1) == label;
        if (inner) values[label].push_back(scan.t2w.at(x, y, z));
        if (label != 12 && label != 51) continue;
        const Vector3d head = quiet.plan.to_head(scan.labels.geometry.to_world(
            Vector3d(static_cast<double>(x), static_cast<double>(y), static_cast<double>(z))));
        ASSERT_EQ(label == 12, head.x() < 0);
        left += label == 12 ? 1 : 0;
      }
    }
  }
  EXPECT_GT(left, 20);
  for (const auto& [label, tissue] :
       {std::pair{2, Tissue::kWhiteMatter}, {12, Tissue::kPutamen}, {4, Tissue::kVentricle}}) {
    std::vector<double>& list = values[label];
    ASSERT_GT(list.size(), 5U) << label;
    std::nth_element(list.begin(), list.begin() + static_cast<long>(list.size() / 2), list.end());
    const double median = list[list.size() / 2];
    EXPECT_NEAR(median / (quiet.plan.gain * table[static_cast<std::size_t>(tissue)]), 1, 0.06)
        << label;
  }
}

TEST(RenderScan, FlowVoidsAreDarkAndDeepGreyMatterHasTexture) {
  Quiet quiet;
  quiet.participant.lesions.clear();
  quiet.participant.epvs.clear();
  const SimulatedScan without = render_scan(quiet.options, quiet.plan, quiet.participant, {});
  for (const bool bright : {false, true}) {
    Vessel vessel{{{24, 0, -6}, {24, 0, 8}}, 0.6, bright};
    quiet.participant.vessels = {vessel};
    const SimulatedScan with = render_scan(quiet.options, quiet.plan, quiet.participant, {});
    int changed = 0;
    for (std::size_t i = 0; i < with.t2w.voxels.size(); ++i) {
      if (with.t2w.voxels[i] == without.t2w.voxels[i]) continue;
      ++changed;
      ASSERT_EQ(with.t2w.voxels[i] > without.t2w.voxels[i], bright);
    }
    EXPECT_GT(changed, 5);
  }
  HeadShape plain;
  HeadShape textured;
  textured.deep_texture = 0.1;
  const TissueTable table = tissue_brightness(quiet.plan.profile, 70);
  double squares = 0;
  int count = 0;
  const SchematicAnatomy a(plain, 3);
  const SchematicAnatomy b(textured, 3);
  for (double y = -6; y < 6; y += 0.7) {
    for (double z = -4; z < 4; z += 0.7) {
      const double change =
          b.sample({24, y, z}, table, 1).brightness - a.sample({24, y, z}, table, 1).brightness;
      squares += change * change;
      ++count;
    }
  }
  const double contrast = table[static_cast<std::size_t>(Tissue::kCsf)] - 1;
  EXPECT_GT(std::sqrt(squares / count), 0.03 * contrast);
  EXPECT_LT(std::sqrt(squares / count), 0.12 * contrast);
  const Vector3d white(30, -40, 35);
  EXPECT_EQ(a.sample(white, table, 1).brightness, b.sample(white, table, 1).brightness);
}

TEST(ScanPlan, RandomisedScansDifferAndAreAFunctionOfTheSeed) {
  SimulationOptions options = SimulationOptions::preset(PhantomPreset::kRandomised);
  std::set<double> echoes;
  double thinnest = 100;
  double thickest = 0;
  for (int index = 0; index < 20; ++index) {
    Participant one;
    one.id = participant_name(index);
    one.scanner = "research-1.5t";
    const ScanPlan plan = plan_scan(options, 1, one, 0);
    EXPECT_EQ(plan.profile.echo_time_ms, plan_scan(options, 1, one, 0).profile.echo_time_ms);
    EXPECT_NE(plan.profile.echo_time_ms, plan_scan(options, 2, one, 0).profile.echo_time_ms);
    echoes.insert(plan.profile.echo_time_ms);
    thinnest = std::min(thinnest, plan.profile.slice_thickness_mm);
    thickest = std::max(thickest, plan.profile.slice_thickness_mm);
    EXPECT_GE(plan.profile.slice_spacing_mm, plan.profile.slice_thickness_mm);
  }
  EXPECT_EQ(echoes.size(), 20U);
  EXPECT_LT(thinnest, 2);
  EXPECT_GT(thickest, 4);
}

TEST(RenderScan, NoiseInAirIsRayleigh) {
  SimulationOptions options;
  options.spacing_mm = {5, 5, 5};
  options.anatomy_grid_mm = 3;
  options.scanners = {"research-1.5t"};
  const Participant one = simulate_participant(options, 2, 0);
  const ScanPlan plan = plan_scan(options, 2, one, 0);
  const SimulatedScan scan = render_scan(options, plan, one, {});
  double sum = 0;
  int count = 0;
  for (std::int64_t z = 0; z < scan.t2w.geometry.shape[2]; ++z) {
    for (const std::int64_t x : {0, 1}) {  // a corner of the field of view
      for (const std::int64_t y : {0, 1, 2}) {
        sum += scan.t2w.at(x, y, z);
        ++count;
      }
    }
  }
  const double sigma = plan.profile.noise * plan.gain;
  EXPECT_NEAR(sum / count / (sigma * std::sqrt(M_PI / 2)), 1, 4 * 0.52 / std::sqrt(count));
}

TEST(Raters, DetectionIsLogisticInTheLogarithm) {
  // Half of those whose visibility times sensitivity is 5 are seen. CSF 2.5: clutter 0.255.
  const double contrast = 5 * std::hypot(0.1, 0.17 * 1.5);
  EXPECT_NEAR(detection_probability(contrast, 0.1, 2.5, 10, 1), 0.5, 1e-12);
  EXPECT_NEAR(detection_probability(contrast, 0.1, 2.5, 40, 0.5), 0.5, 1e-12);
  EXPECT_LT(detection_probability(contrast, 0.3, 2.5, 10, 1), 0.5);
  EXPECT_GT(detection_probability(contrast, 0.1, 2.5, 20, 1), 0.6);
  EXPECT_GT(detection_probability(contrast, 0.1, 2.0, 10, 1), 0.5);
  EXPECT_EQ(detection_probability(0, 0.1, 2.5, 10, 1), 0);
  const double p = detection_probability(contrast, 0.1, 2.5, 20, 1);
  EXPECT_NEAR(std::log(p / (1 - p)), 2.5 * std::log(std::sqrt(2.0)), 1e-9);
}

TEST(Raters, WithPerfectSightOnlyImaginedEpvsAreAdded) {
  SimulationOptions options = small_options();
  options.rater_sensitivity = 20;
  options.rater_noise = {0};
  options.lacune_confusion = 0;
  double surplus = 0;
  const int n = 120;
  for (int index = 0; index < n; ++index) {
    const Participant one = simulate_participant(options, 6, index);
    const ScanPlan plan = plan_scan(options, 6, one, 0);
    const RegionScore score = rate_scan(options, plan, one, view_epvs(plan, one)).front();
    EXPECT_EQ(score.true_count, static_cast<int>(one.epvs.size()));
    EXPECT_GE(score.raters[0] + 2, score.true_count);
    surplus += score.raters[0] - score.true_count;
  }
  EXPECT_NEAR(surplus / n, 0.3, 0.3);
}

TEST(Raters, TakeLacunesForEpvsWhenToldTo) {
  SimulationOptions options = small_options();
  options.mean_count = {0};
  options.lacunes = 6;
  options.lacune_confusion = 1;
  const Participant one = simulate_participant(options, 6, 1);
  const auto lacunes =
      std::count_if(one.lesions.begin(), one.lesions.end(), [](const Lesion& lesion) {
        return lesion.kind == LesionKind::kLacune && lesion.region == "bg";
      });
  ASSERT_GT(lacunes, 1);
  const ScanPlan plan = plan_scan(options, 6, one, 0);
  const RegionScore score = rate_scan(options, plan, one, view_epvs(plan, one)).front();
  EXPECT_EQ(score.true_count, 0);
  EXPECT_GE(score.raters[0], lacunes);
}

TEST(Raters, TheSliceHoldsFewerThanTheVolume) {
  SimulationOptions options = small_options();
  options.mean_count = {25};
  options.rating = Rating::kSlice;
  options.rater_sensitivity = 20;
  int in_slice = 0;
  int in_volume = 0;
  for (int index = 0; index < 20; ++index) {
    const Participant one = simulate_participant(options, 7, index);
    const ScanPlan plan = plan_scan(options, 7, one, 0);
    const std::vector<EpvsInScan> epvs = view_epvs(plan, one);
    const double level = static_cast<double>(plan.commissure_slice());
    int expected = 0;
    for (const EpvsInScan& view : epvs) {
      double low = 1e9;
      double high = -1e9;
      for (const Vector3d& point : view.world_line) {
        const double z = plan.geometry.to_voxel(point).z();
        low = std::min(low, z);
        high = std::max(high, z);
      }
      expected += low <= level + 0.5 && high >= level - 0.5 ? 1 : 0;
    }
    const RegionScore score = rate_scan(options, plan, one, epvs).front();
    EXPECT_EQ(score.true_count_slice, expected);
    EXPECT_LE(score.raters[0], score.true_count_slice + 6);
    in_slice += score.true_count_slice;
    in_volume += score.true_count;
  }
  EXPECT_GT(in_slice, 20);
  EXPECT_LT(in_slice, in_volume);
}

TEST(Raters, ARepeatedRatingKeepsItsShareOfTheError) {
  SimulationOptions options = small_options();
  options.mean_count = {15};
  int differ = 0;
  int differ_when_nothing_stays = 0;
  for (int index = 0; index < 15; ++index) {
    const Participant one = simulate_participant(options, 6, index);
    const ScanPlan plan = plan_scan(options, 6, one, 0);
    const std::vector<EpvsInScan> epvs = view_epvs(plan, one);
    options.rater_sensitivity = 0.5;
    options.repeat_share = 1;
    const auto same = rate_scan(options, plan, one, epvs).front().raters;
    differ += same[1] != same[2] ? 1 : 0;
    options.repeat_share = 0;
    const auto fresh = rate_scan(options, plan, one, epvs).front().raters;
    differ_when_nothing_stays += fresh[1] != fresh[2] ? 1 : 0;
  }
  EXPECT_EQ(differ, 0);
  EXPECT_GT(differ_when_nothing_stays, 5);
}

TEST(Raters, TheCentrumSemiovaleIsReadInItsOwnSliceAndTheHippocampiWhole) {
  SimulationOptions options;
  options.rating = Rating::kSlice;
  options.scanners = {"philips-1.5t"};
  options.rater_sensitivity = 20;
  options.lacunes = 0;
  const Participant one = simulate_participant(options, 3, 1);
  const ScanPlan plan = plan_scan(options, 3, one, 0);
  const Vector3d ventricle = plan.to_world(one.anatomy->ventricle_point(0.62, 1.0));
  const std::int64_t slice = plan.rated_slice(Region::kCentrumSemiovale).value();
  EXPECT_NEAR(plan.geometry.to_world(0, 0, slice).z() - ventricle.z(), 10, 5);
  EXPECT_GT(slice, plan.commissure_slice());
  EXPECT_FALSE(plan.rated_slice(Region::kHippocampi).has_value());
  for (const RegionScore& score : rate_scan(options, plan, one, view_epvs(plan, one))) {
    if (score.region == Region::kHippocampi || score.region == Region::kMidbrain) {
      EXPECT_EQ(score.true_count_slice, score.true_count);
    }
  }
}

/// ICC(2,1) of two columns.
double agreement(const std::vector<std::array<double, 2>>& pairs) {
  const auto n = static_cast<double>(pairs.size());
  Eigen::Vector2d rater = Eigen::Vector2d::Zero();
  for (const auto& pair : pairs) rater += Eigen::Vector2d(pair[0], pair[1]) / n;
  double rows = 0;
  double errors = 0;
  for (const auto& pair : pairs) {
    const double row = (pair[0] + pair[1]) / 2 - rater.mean();
    rows += 2 * row * row / (n - 1);
    for (int i = 0; i < 2; ++i) {
      const double error = pair[static_cast<std::size_t>(i)] - row - rater[i];
      errors += error * error / (n - 1);
    }
  }
  const double between = n * (rater.array() - rater.mean()).square().sum();
  return (rows - errors) / (rows + errors + 2 * (between - errors) / n);
}

TEST(Raters, OfPresetP1AgreeAsItsTable2) {
  const SimulationOptions options = SimulationOptions::preset(PhantomPreset::kP1);
  std::array<std::vector<std::array<double, 2>>, 3> pairs;  // A-B1, A-B2, B1-B2
  double highest = 0;
  const int n = 250;
  for (int index = 0; index < n; ++index) {
    const Participant one = simulate_participant(options, 1, index);
    const ScanPlan plan = plan_scan(options, 1, one, 0);
    const auto counts = rate_scan(options, plan, one, view_epvs(plan, one)).front().raters;
    const std::array<double, 3> c = {static_cast<double>(counts[0]), static_cast<double>(counts[1]),
                                     static_cast<double>(counts[2])};
    pairs[0].push_back({c[0], c[1]});
    pairs[1].push_back({c[0], c[2]});
    pairs[2].push_back({c[1], c[2]});
    highest = std::max(highest, c[0]);
  }
  // Within 4 standard errors of Fisher's z.
  const std::array<double, 3> published = {0.70, 0.68, 0.80};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(std::atanh(agreement(pairs[i])), std::atanh(published[i]), 4 / std::sqrt(n - 3.0))
        << i;
  }
  EXPECT_GT(agreement(pairs[2]), agreement(pairs[0]));
  EXPECT_GT(highest, 12);
  EXPECT_LT(highest, 45);
}

TEST(SimulationOptions, ContradictionsAreNamed) {
  const auto refuses = [](auto change, const std::vector<std::string>& texts) {
    SimulationOptions options;
    change(options);
    expect_error<core::UsageError>([&] { options.validate(); }, texts);
  };
  using O = SimulationOptions;
  refuses([](O& o) { o.diameter_range_mm = {3, 1}; }, {"diameter-range-mm", "3", "1"});
  refuses([](O& o) { o.length_range_mm = {9, 2}; }, {"length-range-mm"});
  refuses([](O& o) { o.age_min_years = 95; }, {"age-min-years"});
  refuses([](O& o) { o.rescans = 101; }, {"rescans = 101 exceeds participants = 100"});
  refuses([](O& o) { o.scanners = {}; }, {"at least one profile"});
  refuses([](O& o) { o.scanners = {"philip-3t"}; }, {"philip-3t", "philips-3t"});
  refuses([](O& o) { o.scanners = {"philips-3t", "philips-3t"}; }, {"named twice"});
  refuses([](O& o) { o.regions = {"hipocampi"}; }, {"hipocampi", "hippocampi"});
  refuses([](O& o) { o.regions = {}; }, {"at least one region"});
  refuses([](O& o) { o.regions = {"bg", "bg"}; }, {"region is named twice"});
  refuses([](O& o) { o.field_of_view = FieldOfView::kBasalGanglia; },
          {"holds bg only", "--regions bg"});
  EXPECT_EQ(O().mean_count_of(Region::kBasalGanglia), 10);
  O only_bg;
  only_bg.regions = {"bg"};
  EXPECT_NO_THROW(only_bg.validate());  // without --mean-count
  refuses([](O& o) { o.mean_count = {1, 2}; }, {"mean-count has 2 values for 4 regions"});
  refuses([](O& o) { o.dispersion = {}; }, {"dispersion has 0 values for 4 regions"});
  refuses([](O& o) { o.rater_noise = {1, 2, 3}; }, {"rater-noise has 3 values for 4 regions"});
  refuses([](O& o) { o.brightness_range = {0.5, 0.2}; }, {"brightness-range", "0.5", "0.2"});
  for (const auto& [preset, name] : names_of(PhantomPreset())) {
    EXPECT_NO_THROW(SimulationOptions::preset(preset).validate()) << name;
  }
}

}  // namespace
}  // namespace epvs::data
