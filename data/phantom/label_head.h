// Real heads for the phantom: label maps in FreeSurfer's numbers, turned to head coordinates.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "data/formats/volume.h"
#include "data/phantom/anatomy.h"

namespace epvs::data {

/// What a label map says of space. Read once, shared by the participants that are drawn from it.
///
/// Head coordinates are found by the rigid transform that lays the centres of putamen, pallidum,
/// thalamus, accumbens and hippocampus of both sides onto those of the schematic head (least
/// squares), so that the anterior commissure is near the origin and the midline at x = 0.
class LabelHead {
 public:
  /// Throws InputError naming the file, for one that read_labels refuses, one that lacks a structure
  /// which every head needs (named), and one that lacks the structures of a region (both named).
  LabelHead(const std::filesystem::path& path, const std::vector<Region>& regions);

  /// Parts of the tissues at a point, by trilinear weights of the eight labels about it.
  struct Mixture {
    std::array<Tissue, 8> tissue;
    std::array<float, 8> part;
  };
  Mixture mixture(const Eigen::Vector3d& head) const;
  /// Distance to the border of white matter or of a region's structures in mm, positive inside; no
  /// more than kReachMm. A centrum semiovale is white matter here.
  double white_matter_depth_mm(const Eigen::Vector3d& head) const;
  double depth_mm(Region region, const Eigen::Vector3d& head) const;
  static constexpr double kReachMm = 12;

  /// Voxels of the lateral ventricles (without temporal horns): left, right.
  const std::array<std::vector<Eigen::Vector3d>, 2>& ventricles() const { return ventricles_; }
  double top_of_ventricles_mm() const { return top_of_ventricles_mm_; }
  std::pair<Eigen::Vector3d, Eigen::Vector3d> box() const { return box_; }
  std::pair<Eigen::Vector3d, Eigen::Vector3d> box_of(Region region) const;

 private:
  /// Signed distances on a part of the grid; outside it -kReachMm.
  struct Depths {
    Shape begin;  ///< of the part, in voxels of the whole
    Volume<float> mm;
    std::pair<Eigen::Vector3d, Eigen::Vector3d> box;  ///< head coordinates, of what is inside
  };
  Depths depths(const std::vector<Tissue>& inside) const;
  double read(const Depths& depths, const Eigen::Vector3d& head) const;

  Volume<std::uint8_t> tissue_;  ///< Tissue; affine: voxel -> head coordinates
  Eigen::Matrix<double, 3, 4> to_voxel_;
  Depths white_matter_;
  std::array<std::optional<Depths>, 4> regions_;
  std::array<std::vector<Eigen::Vector3d>, 2> ventricles_;
  double top_of_ventricles_mm_ = 0;
  std::pair<Eigen::Vector3d, Eigen::Vector3d> box_;
};

/// The label maps (.nii, .nii.gz, .mgz) of a folder, by name. Throws InputError for a folder without
/// one.
std::vector<std::filesystem::path> label_maps_in(const std::filesystem::path& folder);
std::vector<std::shared_ptr<const LabelHead>> read_heads(const std::filesystem::path& folder,
                                                         const std::vector<Region>& regions);

/// A participant's head from a label map: sizes and a smooth random deformation, texture and iron as
/// in the schematic head. Ventricles and sulci are the map's own at any age. Borders are as wide as a
/// voxel of the map, whatever the blur asked for.
class LabelAnatomy : public Anatomy {
 public:
  LabelAnatomy(std::shared_ptr<const LabelHead> head, const HeadShape& shape, std::uint64_t seed);

  TissueSample sample(const Eigen::Vector3d& head, const TissueTable& brightness,
                      double blur_mm) const override;
  double region_depth_mm(Region region, const Eigen::Vector3d& head) const override;
  double centrum_semiovale_level_mm() const override;
  double white_matter_depth_mm(const Eigen::Vector3d& head) const override;
  std::pair<Eigen::Vector3d, Eigen::Vector3d> region_box(Region region) const override;
  Eigen::Vector3d ventricle_point(double position, double side) const override;
  std::pair<Eigen::Vector3d, Eigen::Vector3d> head_box() const override;

 private:
  LabelAnatomy(std::shared_ptr<const LabelHead> head, const HeadShape& shape, core::Random random);
  std::shared_ptr<const LabelHead> head_;
};

}  // namespace epvs::data
