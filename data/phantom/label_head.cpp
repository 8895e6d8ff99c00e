#include "data/phantom/label_head.h"

#include <fmt/format.h>

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "core/error.h"
#include "core/files.h"
#include "core/text.h"
#include "data/formats/nifti.h"
#include "data/phantom/schematic_anatomy.h"

namespace epvs::data {

namespace fs = std::filesystem;
using Eigen::Vector3d;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// FreeSurfer's numbers and, from 500 on, those of the heads that SynthSeg was trained on. Numbers
/// that are not listed are taken for white matter in the brain, for muscle outside.
Tissue tissue_of(std::int32_t label) {
  if (label >= 1000 && label < 3000)
    return Tissue::kCortex;  // its parcels; then those of white matter
  switch (label) {
    case 0:
      return Tissue::kAir;
    case 3:
    case 42:
    case 18:  // amygdala
    case 54:
      return Tissue::kCortex;
    case 4:
    case 43:
    case 5:  // temporal horns
    case 44:
      return Tissue::kVentricle;
    case 14:
    case 72:  // fifth ventricle
      return Tissue::kThirdVentricle;
    case 15:  // fourth ventricle
    case 24:
    case 30:  // vessels
    case 62:
    case 506:  // eyes
      return Tissue::kCsf;
    case 7:
    case 46:
      return Tissue::kCerebellarWhite;
    case 8:
    case 47:
      return Tissue::kCerebellarCortex;
    case 10:
    case 49:
      return Tissue::kThalamus;
    case 11:
    case 50:
      return Tissue::kCaudate;
    case 12:
    case 51:
      return Tissue::kPutamen;
    case 13:
    case 52:
      return Tissue::kPallidum;
    case 26:
    case 58:
      return Tissue::kAccumbens;
    case 17:
    case 53:
      return Tissue::kHippocampus;
    case 16:
    case 28:  // ventral diencephalon
    case 60:
    case 174:  // pons
    case 175:  // medulla
    case 178:  // superior cerebellar peduncle
    case 512:  // spinal cord
      return Tissue::kBrainStem;
    case 173:
      return Tissue::kMidbrain;
    case 514:  // venous sinuses, dark by flow
    case 515:  // compact bone
      return Tissue::kSkull;
    case 511:  // skin and the fat below it
    case 516:  // marrow of the skull
      return Tissue::kFat;
    default:
      return label >= 500 && label < 1000 ? Tissue::kMuscle : Tissue::kWhiteMatter;
  }
}

const std::vector<Tissue>& tissues_of(Region region) {
  static const std::array<std::vector<Tissue>, 4> list = {
      {{Tissue::kCaudate, Tissue::kPutamen, Tissue::kPallidum, Tissue::kAccumbens},
       {Tissue::kHippocampus},
       {Tissue::kWhiteMatter},
       {Tissue::kMidbrain}}};
  return list[static_cast<std::size_t>(region)];
}

/// "Putamen (12, 51)".
std::string described(Tissue tissue) {
  const int left = freesurfer_label(tissue, true);
  const int right = freesurfer_label(tissue, false);
  std::string name;
  for (const auto& [number, text] : freesurfer_names()) {
    if (number == left) name = text.starts_with("Left-") ? text.substr(5) : text;
  }
  return left == right ? fmt::format("{} ({})", name, left)
                       : fmt::format("{} ({}, {})", name, left, right);
}

/// Squared distance transform of a line in place (Felzenszwalb & Huttenlocher 2012).
void transform_line(std::vector<double>& f, double step) {
  const std::size_t n = f.size();
  std::vector<std::size_t> at(n);
  std::vector<double> from(n + 1);
  std::vector<double> result(n, kInfinity);
  const auto place = [&](std::size_t i) { return step * static_cast<double>(i); };
  std::size_t count = 0;
  for (std::size_t q = 0; q < n; ++q) {
    if (f[q] == kInfinity) continue;
    double start = -kInfinity;
    while (count > 0) {
      const std::size_t p = at[count - 1];
      start =
          (f[q] + place(q) * place(q) - f[p] - place(p) * place(p)) / (2 * (place(q) - place(p)));
      if (start > from[count - 1]) break;
      --count;
    }
    if (count == 0) start = -kInfinity;
    at[count] = q;
    from[count++] = start;
  }
  std::size_t k = 0;
  for (std::size_t q = 0; q < n && count > 0; ++q) {
    while (k + 1 < count && from[k + 1] < place(q)) ++k;
    const double away = place(q) - place(at[k]);
    result[q] = away * away + f[at[k]];
  }
  f = std::move(result);
}

/// Distance in mm of every voxel to the nearest one that is set.
std::vector<float> distances(const std::vector<char>& set, const Shape& shape,
                             const Vector3d& spacing) {
  std::vector<double> squared(set.size());
  for (std::size_t i = 0; i < set.size(); ++i) squared[i] = set[i] != 0 ? 0 : kInfinity;
  const std::array<std::int64_t, 3> stride = {1, shape[0], shape[0] * shape[1]};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const std::size_t b = (axis + 1) % 3;
    const std::size_t c = (axis + 2) % 3;
    std::vector<double> line(static_cast<std::size_t>(shape[axis]));
    for (std::int64_t j = 0; j < shape[b]; ++j) {
      for (std::int64_t k = 0; k < shape[c]; ++k) {
        const std::int64_t first = j * stride[b] + k * stride[c];
        const auto offset = [&](std::size_t i) {
          return static_cast<std::size_t>(first + static_cast<std::int64_t>(i) * stride[axis]);
        };
        for (std::size_t i = 0; i < line.size(); ++i) line[i] = squared[offset(i)];
        transform_line(line, spacing[static_cast<int>(axis)]);
        for (std::size_t i = 0; i < line.size(); ++i) squared[offset(i)] = line[i];
      }
    }
  }
  std::vector<float> result(squared.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i] = static_cast<float>(std::sqrt(squared[i]));
  }
  return result;
}

void extend(std::pair<Vector3d, Vector3d>& box, const Vector3d& point) {
  box.first = box.first.cwiseMin(point);
  box.second = box.second.cwiseMax(point);
}

std::pair<Vector3d, Vector3d> nothing() {
  return {Vector3d::Constant(kInfinity), Vector3d::Constant(-kInfinity)};
}

/// Where a point lies among the voxels: the lower corner, and how far beyond it.
struct Place {
  std::array<std::int64_t, 3> corner;
  std::array<double, 3> beyond;
  bool inside = true;
};
Place place_of(const Vector3d& voxel, const Shape& shape) {
  Place place{};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const double v = voxel[static_cast<int>(axis)];
    const double floor = std::floor(v);
    place.corner[axis] = static_cast<std::int64_t>(floor);
    place.beyond[axis] = v - floor;
    if (place.corner[axis] < 0 || place.corner[axis] + 1 >= shape[axis]) place.inside = false;
  }
  return place;
}

/// Calls visit(offset, weight) for the eight corners.
template <class Visit>
void for_corners(const Place& place, const Shape& shape, Visit&& visit) {
  for (int corner = 0; corner < 8; ++corner) {
    std::int64_t offset = 0;
    double weight = 1;
    for (int axis = 2; axis >= 0; --axis) {
      const auto a = static_cast<std::size_t>(axis);
      const int upper = corner >> axis & 1;
      offset = offset * shape[a] + place.corner[a] + upper;
      weight *= upper != 0 ? place.beyond[a] : 1 - place.beyond[a];
    }
    visit(static_cast<std::size_t>(offset), weight);
  }
}

}  // namespace

LabelHead::LabelHead(const fs::path& path, const std::vector<Region>& regions) {
  const Volume<std::int32_t> labels = read_labels(path);
  Volume<std::uint8_t> head(labels.geometry);
  std::set<std::int32_t> there;
  for (std::size_t i = 0; i < head.voxels.size(); ++i) {
    head.voxels[i] = labels.voxels[i] != 0 ? 1 : 0;
    there.insert(labels.voxels[i]);
  }
  const auto require = [&](Tissue tissue, const std::string& consequence) {
    // White matter may be there by its parcels.
    if (tissue == Tissue::kWhiteMatter && there.contains(3001) && there.contains(4001)) return;
    for (const bool left : {true, false}) {
      if (there.contains(freesurfer_label(tissue, left))) continue;
      throw core::InputError(
          fmt::format("{} has no {}: {}", path.string(), described(tissue), consequence),
          "label maps need FreeSurfer's numbers; leave the region out with --regions, or the file "
          "out of the folder");
    }
  };
  for (const Tissue tissue : {Tissue::kWhiteMatter, Tissue::kVentricle, Tissue::kThalamus,
                              Tissue::kPutamen, Tissue::kPallidum}) {
    require(tissue, "no head can be simulated from it");
  }
  for (const Region region : regions) {
    for (const Tissue tissue : tissues_of(region)) {
      require(tissue, fmt::format("region {} cannot be simulated", region_name(region)));
    }
  }
  const auto has = [&](Region region) {
    const std::vector<Tissue>& list = tissues_of(region);
    return std::all_of(list.begin(), list.end(), [&](Tissue tissue) {
      return there.contains(freesurfer_label(tissue, true)) &&
             there.contains(freesurfer_label(tissue, false));
    });
  };

  const VoxelBox box = bounding_box(head).grown(1, labels.geometry.shape);
  tissue_ = Volume<std::uint8_t>(part_of(labels.geometry, box));
  const Shape& shape = tissue_.geometry.shape;
  // Sums of the voxels of each structure and side, for their centres.
  std::map<std::pair<Tissue, bool>, std::pair<Vector3d, double>> sums;
  std::array<std::vector<Vector3d>, 2> ventricles;
  for_each_voxel(shape, [&](auto x, auto y, auto z) {
    const std::int32_t label = labels.at(x + box.begin[0], y + box.begin[1], z + box.begin[2]);
    const Tissue tissue = tissue_of(label);
    tissue_.at(x, y, z) = static_cast<std::uint8_t>(tissue);
    if (label == 4 || label == 43) {
      ventricles[label == 4 ? 0 : 1].emplace_back(tissue_.geometry.to_world(x, y, z));
    }
    if (label == 0) return;
    const bool left = label == freesurfer_label(tissue, true);
    if (!left && label != freesurfer_label(tissue, false)) return;
    auto& [sum, count] = sums.try_emplace({tissue, left}, Vector3d::Zero(), 0).first->second;
    sum += tissue_.geometry.to_world(x, y, z);
    count += 1;
  });

  Eigen::Matrix3Xd from(3, 0);
  Eigen::Matrix3Xd to(3, 0);
  for (const auto& [tissue, centre] : schematic_centres()) {
    for (const bool left : {true, false}) {
      const auto found = sums.find({tissue, left});
      if (found == sums.end()) continue;
      from.conservativeResize(3, from.cols() + 1);
      to.conservativeResize(3, to.cols() + 1);
      from.rightCols(1) = found->second.first / found->second.second;
      to.rightCols(1) = Vector3d(left ? -centre.x() : centre.x(), centre.y(), centre.z());
    }
  }
  const Eigen::Matrix4d world_to_head = Eigen::umeyama(from, to, false);
  tissue_.geometry.affine = world_to_head * tissue_.geometry.affine;
  to_voxel_ = tissue_.geometry.affine.inverse().topRows<3>();

  box_ = nothing();
  for_each_voxel(shape, [&](auto x, auto y, auto z) {
    if (tissue_.at(x, y, z) != 0) extend(box_, tissue_.geometry.to_world(x, y, z));
  });
  for (std::size_t side = 0; side < 2; ++side) {
    for (const Vector3d& point : ventricles[side]) {
      ventricles_[side].emplace_back((world_to_head * point.homogeneous()).head<3>());
      top_of_ventricles_mm_ = std::max(top_of_ventricles_mm_, ventricles_[side].back().z());
    }
  }
  white_matter_ = depths({Tissue::kWhiteMatter});
  // Lacunes and vessels lie in the basal ganglia, whatever is counted.
  for (const Region region : {Region::kBasalGanglia, Region::kHippocampi, Region::kMidbrain}) {
    if (has(region)) regions_[static_cast<std::size_t>(region)] = depths(tissues_of(region));
  }
}

LabelHead::Depths LabelHead::depths(const std::vector<Tissue>& inside) const {
  Volume<std::uint8_t> mask(tissue_.geometry);
  for (std::size_t i = 0; i < mask.voxels.size(); ++i) {
    const auto tissue = static_cast<Tissue>(tissue_.voxels[i]);
    mask.voxels[i] = std::find(inside.begin(), inside.end(), tissue) != inside.end() ? 1 : 0;
  }
  const Vector3d spacing = tissue_.geometry.spacing_mm();
  const auto margin = static_cast<std::int64_t>(std::ceil(kReachMm / spacing.minCoeff()));
  const VoxelBox part = bounding_box(mask).grown(margin, mask.geometry.shape);
  const Volume<std::uint8_t> cut = crop(mask, part);
  std::vector<char> set(cut.voxels.begin(), cut.voxels.end());
  const std::vector<float> outside = distances(set, cut.geometry.shape, spacing);
  for (char& one : set) one = one != 0 ? 0 : 1;
  const std::vector<float> within = distances(set, cut.geometry.shape, spacing);
  Depths result{part.begin, Volume<float>(cut.geometry), nothing()};
  // The border runs half-way between the centres of voxels on its two sides.
  const auto half = static_cast<float>(spacing.mean() / 2);
  const auto reach = static_cast<float>(kReachMm);
  for (std::size_t i = 0; i < set.size(); ++i) {
    const float depth = cut.voxels[i] != 0 ? within[i] - half : half - outside[i];
    result.mm.voxels[i] = std::clamp(depth, -reach, reach);
  }
  for_each_voxel(cut.geometry.shape, [&](auto x, auto y, auto z) {
    if (cut.at(x, y, z) != 0) extend(result.box, cut.geometry.to_world(x, y, z));
  });
  return result;
}

double LabelHead::read(const Depths& depths, const Vector3d& head) const {
  Vector3d at = to_voxel_ * head.homogeneous();
  for (int axis = 0; axis < 3; ++axis) {
    at[axis] -= static_cast<double>(depths.begin[static_cast<std::size_t>(axis)]);
  }
  const Shape& shape = depths.mm.geometry.shape;
  const Place place = place_of(at, shape);
  if (!place.inside) return -kReachMm;
  double sum = 0;
  for_corners(place, shape, [&](std::size_t offset, double weight) {
    sum += weight * static_cast<double>(depths.mm.voxels[offset]);
  });
  return sum;
}

LabelHead::Mixture LabelHead::mixture(const Vector3d& head) const {
  Mixture result{};
  result.part[0] = 1;
  const Shape& shape = tissue_.geometry.shape;
  const Place place = place_of(to_voxel_ * head.homogeneous(), shape);
  if (!place.inside) return result;
  std::size_t i = 0;
  for_corners(place, shape, [&](std::size_t offset, double weight) {
    result.tissue[i] = static_cast<Tissue>(tissue_.voxels[offset]);
    result.part[i++] = static_cast<float>(weight);
  });
  return result;
}

double LabelHead::white_matter_depth_mm(const Vector3d& head) const {
  return read(white_matter_, head);
}

double LabelHead::depth_mm(Region region, const Vector3d& head) const {
  const auto& depths = regions_[static_cast<std::size_t>(region)];
  return region == Region::kCentrumSemiovale ? white_matter_depth_mm(head)
         : depths                            ? read(*depths, head)
                                             : -kReachMm;
}

std::pair<Vector3d, Vector3d> LabelHead::box_of(Region region) const {
  const auto& depths = regions_[static_cast<std::size_t>(region)];
  return depths ? depths->box : white_matter_.box;
}

std::vector<fs::path> label_maps_in(const fs::path& folder) {
  core::require_exists(folder, "folder of label maps");
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".nii") || name.ends_with(".nii.gz") || name.ends_with(".mgz")) {
      files.push_back(entry.path());
    }
  }
  if (files.empty()) {
    throw core::InputError(fmt::format("{} holds no label map", folder.string()),
                           "give a folder of .nii, .nii.gz or .mgz files in FreeSurfer's numbers");
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::shared_ptr<const LabelHead>> read_heads(const fs::path& folder,
                                                         const std::vector<Region>& regions) {
  std::vector<std::shared_ptr<const LabelHead>> heads;
  for (const fs::path& file : label_maps_in(folder)) {
    heads.push_back(std::make_shared<const LabelHead>(file, regions));
  }
  return heads;
}

LabelAnatomy::LabelAnatomy(std::shared_ptr<const LabelHead> head, const HeadShape& shape,
                           std::uint64_t seed)
    : LabelAnatomy(std::move(head), shape, core::Random(core::mix_seed(seed, {"anatomy"}))) {}

LabelAnatomy::LabelAnatomy(std::shared_ptr<const LabelHead> head, const HeadShape& shape,
                           core::Random random)
    : Anatomy(shape, random), head_(std::move(head)) {
  draw_texture(random);
}

TissueSample LabelAnatomy::sample(const Vector3d& head, const TissueTable& brightness,
                                  double /*blur_mm*/) const {
  const Vector3d q = to_canonical(head);
  const LabelHead::Mixture mixture = head_->mixture(q);
  std::array<float, kTissues> parts{};
  TissueSample result;
  for (std::size_t i = 0; i < mixture.part.size(); ++i) {
    const auto tissue = static_cast<std::size_t>(mixture.tissue[i]);
    parts[tissue] += mixture.part[i];
    result.brightness += mixture.part[i] * brightness[tissue];
  }
  result.tissue = static_cast<Tissue>(std::max_element(parts.begin(), parts.end()) - parts.begin());
  add_texture(head, q, brightness, result);
  return result;
}

double LabelAnatomy::region_depth_mm(Region region, const Vector3d& head) const {
  const Vector3d q = to_canonical(head);
  const double depth = head_->depth_mm(region, q);
  if (region != Region::kCentrumSemiovale) return depth;
  return std::min(
      depth, kCsoHalfHeight - std::abs(q.z() - centrum_semiovale_level_mm() / shape().size.z()));
}

double LabelAnatomy::centrum_semiovale_level_mm() const {
  return (head_->top_of_ventricles_mm() + kCsoOffset) * shape().size.z();
}

double LabelAnatomy::white_matter_depth_mm(const Vector3d& head) const {
  return head_->white_matter_depth_mm(to_canonical(head));
}

std::pair<Vector3d, Vector3d> LabelAnatomy::region_box(Region region) const {
  auto [low, high] = head_->box_of(region);
  if (region == Region::kCentrumSemiovale) {
    const double level = head_->top_of_ventricles_mm() + kCsoOffset;
    low.z() = level - kCsoHalfHeight;
    high.z() = level + kCsoHalfHeight;
  }
  const Vector3d margin = Vector3d::Constant(2 * shape().deformation_mm);
  return {(low - margin).cwiseProduct(shape().size), (high + margin).cwiseProduct(shape().size)};
}

Vector3d LabelAnatomy::ventricle_point(double position, double side) const {
  const std::vector<Vector3d>& points = head_->ventricles()[side < 0 ? 0 : 1];
  const auto [back, front] =
      std::minmax_element(points.begin(), points.end(),
                          [](const Vector3d& a, const Vector3d& b) { return a.y() < b.y(); });
  const double y = front->y() + std::clamp(position, 0.0, 1.0) * (back->y() - front->y());
  Vector3d wall(0, y, -kInfinity);
  for (const Vector3d& point : points) {
    if (std::abs(point.y() - y) <= 1 && point.z() > wall.z()) wall = {point.x(), y, point.z()};
  }
  if (wall.z() == -kInfinity) wall = *front;
  return wall.cwiseProduct(shape().size);
}

std::pair<Vector3d, Vector3d> LabelAnatomy::head_box() const {
  const Vector3d margin = Vector3d::Constant(2 * shape().deformation_mm);
  return {(head_->box().first - margin).cwiseProduct(shape().size),
          (head_->box().second + margin).cwiseProduct(shape().size)};
}

}  // namespace epvs::data
