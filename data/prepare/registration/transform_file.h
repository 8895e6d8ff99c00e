// Linear transforms in files: ITK's text (ITK, ANTs, 3D Slicer, ITK-SNAP) and FLIRT's .mat.
#pragma once

#include <Eigen/Core>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/formats/volume.h"

namespace epvs::data {

/// A transform of RAS+ points as one of LPS+ points, or the other way: the first two axes change
/// sign.
Eigen::Matrix4d ras_or_lps(const Eigen::Matrix4d& matrix);

/// Writes a 4x4 transform of RAS+ points as an ITK text file (which holds LPS coordinates), atomic.
/// ITK, ANTs, 3D Slicer and `--transforms` read it. Direction: points of the fixed scan to points
/// of the moving.
void write_transform(const std::filesystem::path& path, const Eigen::Matrix4d& fixed_to_moving);

/// Reads ITK text as a matrix of RAS+ points: affine, rigid (Euler angles or a versor) or a
/// translation, and several of them in one file (the last is applied first, as in ITK). Throws
/// InputError naming the file: missing, not a transform, a transform of another kind, a singular
/// matrix.
Eigen::Matrix4d read_itk_transform(const std::filesystem::path& path);

/// FLIRT's 4x4 text takes "FSL millimetres" of the "-in" scan to those of the "-ref" scan: voxel
/// indices times voxel sizes, x running backwards in scans whose affine has a positive determinant.
/// So both geometries are needed. Returns `in` -> `ref` in world points. Throws InputError for
/// another text than 16 numbers and for a singular matrix.
Eigen::Matrix4d read_fsl_transform(const std::filesystem::path& path, const Geometry& in,
                                   const Geometry& ref);

// Transforms that users bring (--transforms DIR) are found by name and read by format. The name says
// which way points go: SCAN_from-A_to-B_KIND_xfm.ENDING takes points of A to points of B, or is
// turned round when its name is from-B_to-A. Each program has its own word for that: ITK, ANTs,
// elastix: A is the fixed scan, B the moving one; FLIRT: -in A -ref B.

/// The name of a transform in its parts: "from-T2w_to-T1w_rigid".
struct TransformName {
  std::string from;  ///< "T2w"
  std::string to;    ///< "T1w", "template"
  std::string kind;  ///< "rigid", "affine"

  std::string text() const;
  TransformName reversed() const { return {to, from, kind}; }
};

struct FoundTransform {
  std::filesystem::path path;
  bool reversed = false;  ///< the name of the file is from-B_to-A
};

/// Endings of the formats that are read: .txt, .tfm, .mat.
const std::vector<std::string>& transform_endings();

/// The one file of `folder` for this transform of the scan `key`, either way round; nothing when
/// there is none. Throws InputError naming both when there are two.
std::optional<FoundTransform> find_transform(const std::filesystem::path& folder,
                                             const std::string& key, const TransformName& name);

/// All transforms of a scan in the folder, sorted; empty for no folder.
std::vector<std::filesystem::path> transforms_of(const std::filesystem::path& folder,
                                                 const std::string& key);

/// Reads ITK text (.txt, .tfm) or FLIRT's .mat and returns points of `from` -> points of `to`
/// (world, RAS+ mm), the reverse already undone. Throws InputError as the readers of the formats.
Eigen::Matrix4d read_found_transform(const FoundTransform& found, const Geometry& from,
                                     const Geometry& to);

}  // namespace epvs::data
