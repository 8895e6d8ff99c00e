#include "data/phantom/scan.h"

#include <fmt/format.h>

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <limits>

namespace epvs::data {

using core::Random;
using Eigen::Vector3d;

namespace {

struct ViewBox {
  Vector3d centre;
  Vector3d size;
};

ViewBox view_box(const SimulationOptions& options) {
  if (options.basal_ganglia_only()) return {{0.0, -2.0, 5.0}, {104.0, 88.0, 62.0}};
  return {{0.0, -12.0, 8.0}, {196.0, 236.0, 176.0}};
}

double csf_of(const TissueTable& table) {
  return static_cast<double>(table[static_cast<std::size_t>(Tissue::kCsf)]);
}

double clipped_normal(Random& random, double sd) {
  return sd * std::clamp(random.normal(), -2.0, 2.0);
}

double distance_to_segments(const std::vector<Vector3d>& line, const Vector3d& point) {
  return distance_to_line_mm(line, point);
}

/// Offsets of `count` samples spread evenly over a box of `size` mm about 0.
std::vector<double> spread(double size, int count) {
  std::vector<double> offsets;
  offsets.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) offsets.push_back(size * ((i + 0.5) / count - 0.5));
  return offsets;
}

int samples(double size, double step) {
  return std::max(1, static_cast<int>(std::ceil(size / step - 1e-9)));
}

/// A sample through a slice; the weights of all add up to 1.
struct SliceSample {
  double offset_mm;
  double weight;
};
std::vector<SliceSample> through_slice(double thickness_mm, double edge, double step_mm) {
  const double reach = (1.0 + edge) * thickness_mm;  // where slice_profile is above 0
  std::vector<SliceSample> list;
  double sum = 0;
  for (const double offset : spread(reach, samples(reach, step_mm))) {
    list.push_back({offset, slice_profile(offset, thickness_mm, edge)});
    sum += list.back().weight;
  }
  for (SliceSample& one : list) one.weight /= sum;
  return list;
}

/// Calls visit(offset, voxel centre in world mm) for voxels whose centres lie in the box.
template <class Visit>
void for_voxels_in_box(const Geometry& geometry, const Vector3d& low, const Vector3d& high,
                       Visit&& visit) {
  const Vector3d a = geometry.to_voxel(low);
  const Vector3d b = geometry.to_voxel(high);
  std::array<std::int64_t, 3> from{};
  std::array<std::int64_t, 3> to{};
  for (int axis = 0; axis < 3; ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    from[i] =
        std::max<std::int64_t>(0, static_cast<std::int64_t>(std::ceil(std::min(a[axis], b[axis]))));
    to[i] = std::min<std::int64_t>(
        geometry.shape[i] - 1, static_cast<std::int64_t>(std::floor(std::max(a[axis], b[axis]))));
  }
  for (std::int64_t z = from[2]; z <= to[2]; ++z) {
    for (std::int64_t y = from[1]; y <= to[1]; ++y) {
      for (std::int64_t x = from[0]; x <= to[0]; ++x) {
        const Vector3d centre = geometry.to_world(x, y, z);
        visit(static_cast<std::size_t>((z * geometry.shape[1] + y) * geometry.shape[0] + x),
              centre);
      }
    }
  }
}

/// Tissue and brightness on a cubic grid in head coordinates.
struct AnatomyGrid {
  Vector3d low;
  double step = 1;
  std::array<std::int64_t, 3> size{};
  std::vector<float> brightness;
  std::vector<Tissue> tissue;
};

AnatomyGrid draw_anatomy(const SimulationOptions& options, const ScanPlan& plan,
                         const Participant& participant) {
  const auto head = participant.anatomy->head_box();
  Vector3d low = Vector3d::Constant(std::numeric_limits<double>::infinity());
  Vector3d high = -low;
  for (int corner = 0; corner < 8; ++corner) {
    Vector3d voxel;
    for (int axis = 0; axis < 3; ++axis) {
      const auto count = static_cast<double>(plan.geometry.shape[static_cast<std::size_t>(axis)]);
      voxel[axis] = (corner >> axis & 1) != 0 ? count - 0.5 : -0.5;
    }
    const Vector3d at = plan.to_head(plan.geometry.to_world(voxel));
    low = low.cwiseMin(at);
    high = high.cwiseMax(at);
  }
  AnatomyGrid grid;
  grid.step = options.anatomy_grid_mm;
  grid.low = low.cwiseMax(head.first) - Vector3d::Constant(grid.step);
  const Vector3d top = high.cwiseMin(head.second) + Vector3d::Constant(grid.step);
  std::size_t count = 1;
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const auto a = static_cast<int>(axis);
    grid.size[axis] = static_cast<std::int64_t>(std::ceil((top[a] - grid.low[a]) / grid.step)) + 2;
    count *= static_cast<std::size_t>(grid.size[axis]);
  }
  grid.brightness.resize(count);
  grid.tissue.resize(count);
  const TissueTable table = tissue_brightness(plan.profile, participant.age_years);
  std::size_t i = 0;
  for_each_voxel(grid.size, [&](auto x, auto y, auto z) {
    const Vector3d at =
        grid.low + grid.step * Eigen::Matrix<std::int64_t, 3, 1>(x, y, z).template cast<double>();
    const TissueSample sample = participant.anatomy->sample(at, table, grid.step);
    grid.brightness[i] = sample.brightness;
    grid.tissue[i++] = sample.tissue;
  });
  return grid;
}

/// Where the trilinear interpolation at a point reads.
struct Cell {
  std::size_t offset;
  float wx, wy, wz;
};

bool find_cell(const AnatomyGrid& grid, const Vector3d& at, Cell& cell) {
  std::array<std::int64_t, 3> index{};
  std::array<float, 3> weight{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const double position = at[static_cast<int>(axis)];
    if (position < 0) return false;
    index[axis] = static_cast<std::int64_t>(position);
    if (index[axis] >= grid.size[axis] - 1) return false;
    weight[axis] = static_cast<float>(position - static_cast<double>(index[axis]));
  }
  cell.offset =
      static_cast<std::size_t>((index[2] * grid.size[1] + index[1]) * grid.size[0] + index[0]);
  cell.wx = weight[0];
  cell.wy = weight[1];
  cell.wz = weight[2];
  return true;
}

float interpolate(const AnatomyGrid& grid, const Cell& cell) {
  const auto row = static_cast<std::size_t>(grid.size[0]);
  const std::size_t slice = row * static_cast<std::size_t>(grid.size[1]);
  const float* v = grid.brightness.data() + cell.offset;
  const auto along_x = [&](const float* p) { return p[0] + cell.wx * (p[1] - p[0]); };
  const float a = along_x(v) + cell.wy * (along_x(v + row) - along_x(v));
  const float b = along_x(v + slice) + cell.wy * (along_x(v + slice + row) - along_x(v + slice));
  return a + cell.wz * (b - a);
}

bool one_tissue(const AnatomyGrid& grid, const Cell& cell) {
  const auto row = static_cast<std::size_t>(grid.size[0]);
  const std::size_t slice = row * static_cast<std::size_t>(grid.size[1]);
  const Tissue* t = grid.tissue.data() + cell.offset;
  for (const std::size_t corner :
       {std::size_t{1}, row, row + 1, slice, slice + 1, slice + row, slice + row + 1}) {
    if (t[corner] != t[0]) return false;
  }
  return true;
}

/// Averages the anatomy over each voxel's box, and names the tissue at its centre.
void sample_anatomy(const SimulationOptions& options, const ScanPlan& plan,
                    const Participant& participant, Volume<float>& image,
                    Volume<std::int16_t>& labels) {
  const AnatomyGrid grid = draw_anatomy(options, plan, participant);
  const TissueTable table = tissue_brightness(plan.profile, participant.age_years);
  const Vector3d spacing = plan.geometry.spacing_mm();
  const double coarse = 1.25 * grid.step;
  struct Part {
    Vector3d offset;
    float weight;
  };
  std::vector<Part> box;
  const double inverse = 1.0 / grid.step;
  const Eigen::Matrix3d turn = plan.head_to_world.topLeftCorner<3, 3>().transpose() * inverse;
  const auto ys = spread(spacing.y(), samples(spacing.y(), coarse));
  const auto xs = spread(spacing.x(), samples(spacing.x(), coarse));
  for (const auto& [dz, weight] :
       through_slice(plan.profile.slice_thickness_mm, plan.profile.slice_edge, coarse)) {
    for (const double dy : ys) {
      for (const double dx : xs) {
        box.push_back({turn * Vector3d(dx, dy, dz),
                       static_cast<float>(weight / static_cast<double>(xs.size() * ys.size()))});
      }
    }
  }
  const float air = table[static_cast<std::size_t>(Tissue::kAir)];
  for_each_voxel(plan.geometry.shape, [&](auto x, auto y, auto z) {
    const Vector3d head = plan.to_head(plan.geometry.to_world(x, y, z));
    const Vector3d at = (head - grid.low) * inverse;
    float sum = 0;
    Cell cell{};
    for (const Part& part : box) {
      sum +=
          part.weight * (find_cell(grid, at + part.offset, cell) ? interpolate(grid, cell) : air);
    }
    image.at(x, y, z) = sum;
    if (!find_cell(grid, at, cell)) return;
    const Tissue tissue = one_tissue(grid, cell)
                              ? grid.tissue[cell.offset]
                              : participant.anatomy->sample(head, table, grid.step).tissue;
    labels.at(x, y, z) = freesurfer_label(tissue, head.x() < 0);
  });
}

void draw_lesion(const ScanPlan& plan, const Lesion& lesion, double csf, Volume<float>& image) {
  const bool lacune = lesion.kind == LesionKind::kLacune;
  const double reach = lesion.radii_mm.maxCoeff() + 2.0;
  const Vector3d centre = plan.to_world(lesion.centre);
  const Vector3d margin = Vector3d::Constant(reach) + 0.5 * plan.geometry.spacing_mm() +
                          Vector3d(0, 0, 0.8 * plan.profile.slice_thickness_mm);
  const auto slice = through_slice(plan.profile.slice_thickness_mm, plan.profile.slice_edge, 0.7);
  const double smallest = lesion.radii_mm.minCoeff();
  for_voxels_in_box(
      plan.geometry, centre - margin, centre + margin,
      [&](std::size_t offset, const Vector3d& voxel) {
        double core = 0;
        double rim = 0;
        for (const auto& [dz, weight] : slice) {
          const Vector3d p = plan.to_head(voxel + Vector3d(0, 0, dz)) - lesion.centre;
          const double depth = smallest * (1.0 - p.cwiseQuotient(lesion.radii_mm).norm());
          if (lacune) {
            core += weight * std::clamp(0.5 + depth / 0.8, 0.0, 1.0);
            rim += weight * std::clamp(0.5 + (depth + 1.2) / 0.8, 0.0, 1.0);
          } else {
            core += weight * std::clamp(0.5 + depth / 2.5, 0.0, 1.0);
          }
        }
        rim -= core;
        float& value = image.voxels[offset];
        const double strength = lacune ? 0.95 : 0.45;
        if (lacune) value *= static_cast<float>(1.0 - 0.22 * std::clamp(rim, 0.0, 1.0));
        value +=
            static_cast<float>(core * strength * std::max(0.0, csf - static_cast<double>(value)));
      });
}

void draw_vessel(const ScanPlan& plan, const Vessel& vessel, double csf, Volume<float>& image) {
  std::vector<Vector3d> line;
  for (const Vector3d& point : vessel.line) line.push_back(plan.to_world(point));
  for (const FilledVoxel& voxel :
       fill_tube(plan.geometry, plan.profile.slice_thickness_mm, plan.profile.slice_edge, line,
                 vessel.diameter_mm / 2)) {
    float& value = image.voxels[voxel.offset];
    const float target = vessel.bright ? value + 0.4F * (static_cast<float>(csf) - value) : 0.1F;
    value += voxel.fraction * (target - value);
  }
}

}  // namespace

Vector3d ScanPlan::to_world(const Vector3d& head) const {
  return head_to_world.topLeftCorner<3, 3>() * head + head_to_world.topRightCorner<3, 1>();
}

Vector3d ScanPlan::to_head(const Vector3d& world) const {
  return head_to_world.topLeftCorner<3, 3>().transpose() *
         (world - head_to_world.topRightCorner<3, 1>());
}

std::int64_t ScanPlan::commissure_slice() const {
  const double z = geometry.to_voxel(anterior_commissure()).z();
  return std::clamp<std::int64_t>(std::llround(z), 0, geometry.shape[2] - 1);
}

std::optional<std::int64_t> ScanPlan::rated_slice(Region region) const {
  if (region == Region::kBasalGanglia) return commissure_slice();
  if (region != Region::kCentrumSemiovale) return std::nullopt;
  const double z = geometry.to_voxel(to_world({0, -10, cso_level_mm})).z();
  return std::clamp<std::int64_t>(std::llround(z), 0, geometry.shape[2] - 1);
}

ScanPlan plan_scan(const SimulationOptions& options, std::uint64_t seed,
                   const Participant& participant, int session) {
  ScanPlan plan;
  plan.participant_id = participant.id;
  if (options.rescans > 0) plan.session_id = fmt::format("ses-{}", session + 1);
  plan.seed = core::mix_seed(seed, {"scan", participant.id, session});
  if (participant.anatomy) plan.cso_level_mm = participant.anatomy->centrum_semiovale_level_mm();
  plan.profile = scanner_profile(participant.scanner);
  ScannerProfile& profile = plan.profile;
  if (options.randomise) {
    Random scanner(core::mix_seed(plan.seed, {"scanner"}));
    profile = randomised(profile, scanner);
  }
  profile.noise *= options.noise_scale;
  profile.bias *= options.bias_scale;
  double y_mm = 0;
  if (options.spacing_mm.empty()) {
    profile.in_plane_mm *= options.voxel_scale;
    profile.slice_thickness_mm =
        std::min(profile.slice_thickness_mm * options.voxel_scale, options.max_slice_mm);
    profile.slice_spacing_mm =
        std::min(profile.slice_spacing_mm * options.voxel_scale, options.max_slice_mm);
    y_mm = profile.in_plane_mm;
  } else {
    profile.in_plane_mm = options.spacing_mm[0];
    y_mm = options.spacing_mm[1];
    profile.slice_thickness_mm = profile.slice_spacing_mm = options.spacing_mm[2];
  }

  Random random(core::mix_seed(plan.seed, {"position"}));
  const double radians = options.rotation_degrees * M_PI / 180.0;
  const double shift = options.translation_mm * (options.basal_ganglia_only() ? 0.5 : 1.0);
  const Eigen::Matrix3d rotation =
      (Eigen::AngleAxisd(clipped_normal(random, radians), Vector3d::UnitZ()) *
       Eigen::AngleAxisd(clipped_normal(random, radians), Vector3d::UnitY()) *
       Eigen::AngleAxisd(clipped_normal(random, radians), Vector3d::UnitX()))
          .toRotationMatrix();
  plan.head_to_world.topLeftCorner<3, 3>() = rotation;
  for (int axis = 0; axis < 3; ++axis) plan.head_to_world(axis, 3) = clipped_normal(random, shift);
  plan.gain = 1000.0 * random.uniform(1.05 - 0.45 * profile.drift, 1.05 + 0.45 * profile.drift);

  const ViewBox view = view_box(options);
  const Vector3d spacing(profile.in_plane_mm, y_mm, profile.slice_spacing_mm);
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const auto a = static_cast<int>(axis);
    plan.geometry.shape[axis] = std::max<std::int64_t>(2, std::llround(view.size[a] / spacing[a]));
    const double half = 0.5 * static_cast<double>(plan.geometry.shape[axis] - 1) * spacing[a];
    const double sign = axis == 0 && !profile.left_to_right ? -1.0 : 1.0;
    // NIfTI holds single precision: the same numbers in memory and on disk.
    plan.geometry.affine(a, a) = static_cast<float>(sign * spacing[a]);
    plan.geometry.affine(a, 3) = static_cast<float>(view.centre[a] - sign * half);
  }
  return plan;
}

std::vector<FilledVoxel> fill_tube(const Geometry& geometry, double slice_thickness_mm,
                                   double slice_edge, const std::vector<Vector3d>& world_line,
                                   double radius_mm) {
  std::vector<FilledVoxel> filled;
  const Vector3d spacing = geometry.spacing_mm();
  const Vector3d box(spacing.x(), spacing.y(), (1.0 + slice_edge) * slice_thickness_mm);
  const double step = std::max(0.25, 0.4 * radius_mm);
  const auto xs = spread(box.x(), samples(box.x(), step));
  const auto ys = spread(box.y(), samples(box.y(), step));
  const auto zs = through_slice(slice_thickness_mm, slice_edge, step);
  const double softness = 1.0 / step;
  const double half_diagonal = 0.5 * box.norm();
  Vector3d low = world_line.front();
  Vector3d high = low;
  for (const Vector3d& point : world_line) {
    low = low.cwiseMin(point);
    high = high.cwiseMax(point);
  }
  const Vector3d margin = Vector3d::Constant(radius_mm + step) + 0.5 * box;
  for_voxels_in_box(
      geometry, low - margin, high + margin, [&](std::size_t offset, const Vector3d& voxel) {
        if (distance_to_segments(world_line, voxel) > radius_mm + step + half_diagonal) return;
        double sum = 0;
        for (const auto& [dz, weight] : zs) {
          for (const double dy : ys) {
            for (const double dx : xs) {
              const double depth =
                  radius_mm - distance_to_segments(world_line, voxel + Vector3d(dx, dy, dz));
              sum += weight * std::clamp(0.5 + depth * softness, 0.0, 1.0);
            }
          }
        }
        const double fraction = sum / static_cast<double>(xs.size() * ys.size());
        if (fraction > 0) filled.push_back({offset, static_cast<float>(fraction)});
      });
  return filled;
}

std::vector<EpvsInScan> view_epvs(const ScanPlan& plan, const Participant& participant) {
  std::vector<EpvsInScan> views;
  const TissueTable table = tissue_brightness(plan.profile, participant.age_years);
  for (const Perivascular& epvs : participant.epvs) {
    EpvsInScan& view = views.emplace_back();
    for (const Vector3d& point : epvs.line) view.world_line.push_back(plan.to_world(point));
    view.voxels = fill_tube(plan.geometry, plan.profile.slice_thickness_mm, plan.profile.slice_edge,
                            view.world_line, epvs.diameter_mm / 2);
    for (const FilledVoxel& voxel : view.voxels) {
      view.peak_fraction = std::max(view.peak_fraction, static_cast<double>(voxel.fraction));
    }
    const double tissue =
        static_cast<double>(participant.anatomy->sample(epvs.centre(), table, 1.0).brightness);
    view.contrast = view.peak_fraction * epvs.brightness * std::max(0.0, csf_of(table) - tissue);
    view.lowest_z = std::numeric_limits<double>::infinity();
    view.highest_z = -view.lowest_z;
    for (const Vector3d& point : view.world_line) {
      const double z = plan.geometry.to_voxel(point).z();
      view.lowest_z = std::min(view.lowest_z, z);
      view.highest_z = std::max(view.highest_z, z);
    }
  }
  return views;
}

SimulatedScan render_scan(const SimulationOptions& options, const ScanPlan& plan,
                          const Participant& participant, const std::vector<EpvsInScan>& epvs) {
  SimulatedScan scan{Volume<std::int16_t>(plan.geometry), Volume<std::int16_t>(plan.geometry)};
  Volume<float> image(plan.geometry);
  sample_anatomy(options, plan, participant, image, scan.labels);
  const double csf = csf_of(tissue_brightness(plan.profile, participant.age_years));
  for (const Lesion& lesion : participant.lesions) draw_lesion(plan, lesion, csf, image);
  for (std::size_t i = 0; i < epvs.size(); ++i) {
    const float part = static_cast<float>(participant.epvs[i].brightness);
    for (const FilledVoxel& voxel : epvs[i].voxels) {
      float& value = image.voxels[voxel.offset];
      value += voxel.fraction * part * std::max(0.0F, static_cast<float>(csf) - value);
    }
  }

  for (const Vessel& vessel : participant.vessels) draw_vessel(plan, vessel, csf, image);

  // Receive field: a smooth factor over some 90 mm, partly the scanner's own. Rician noise: the
  // magnitude of a complex signal.
  Random random(core::mix_seed(plan.seed, {"noise"}));
  Random scanner(core::mix_seed(0, {"receive field", plan.profile.name}));
  const SmoothField own(random, Vector3d::Constant(-150), Vector3d::Constant(150), 90.0);
  const SmoothField common(scanner, Vector3d::Constant(-150), Vector3d::Constant(150), 90.0);
  const double drift = plan.profile.drift;
  const double lasting = std::sqrt(1.0 - drift * drift);
  const double noise = plan.profile.noise;
  for_each_voxel(plan.geometry.shape, [&](auto x, auto y, auto z) {
    const Vector3d world = plan.geometry.to_world(x, y, z);
    double field = drift * own(world);
    if (lasting > 0) field += lasting * common(world);
    const double factor = 1.0 + plan.profile.bias * field;
    const double real =
        static_cast<double>(image.at(x, y, z)) * std::max(0.1, factor) + noise * random.normal();
    const double imaginary = noise * random.normal();
    const double value = plan.gain * std::sqrt(real * real + imaginary * imaginary);
    scan.t2w.at(x, y, z) = static_cast<std::int16_t>(std::min(std::lround(value), 32767L));
  });
  return scan;
}

}  // namespace epvs::data
