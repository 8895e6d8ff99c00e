// Which label numbers form a region, for the label maps of common programs or a table of the
// user's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/volume/volume.h"

namespace epvs::data {

/// The regions of the papers: bg, cso, hippocampi, midbrain.
const std::vector<std::string>& known_regions();

/// Label maps whose numbers are known: freesurfer, synthseg, first (FSL FIRST), atlas (numbers of
/// FreeSurfer on a template).
const std::vector<std::string>& known_luts();

/// Region names -> label numbers of one kind of label map.
class RegionTable {
 public:
  /// bg = caudate 11/50 + putamen 12/51 + pallidum 13/52 + accumbens 26/58; hippocampi = 17/53;
  /// midbrain = 173 (FreeSurfer's brain-stem substructures; not in synthseg and first). cso has no
  /// labels of its own: it is cut out of the white matter at the level of the ventricles
  /// (data/image). Throws UsageError naming the nearest known table.
  static RegionTable preset(const std::string& lut);

  /// A TOML file:
  ///   [regions]
  ///   bg = [11, 50, 12, 51]
  ///   thalami = [10, 49]
  /// Region names are free. Throws UsageError for other keys, empty or doubled lists, negative or
  /// fractional numbers, 0 (the background).
  static RegionTable from_toml(const std::filesystem::path& path);

  /// The name of a preset, or else a path that ends in .toml.
  static RegionTable open(const std::string& lut_or_path);

  const std::string& source() const { return source_; }
  std::vector<std::string> regions() const;
  bool has(const std::string& region) const;
  /// Throws UsageError naming the nearest region, or why this table does not have a known one.
  const std::vector<std::int64_t>& labels(const std::string& region) const;

 private:
  std::string source_;
  std::map<std::string, std::vector<std::int64_t>> labels_;
};

/// bg and hippocampi 168x128x84 (P1), midbrain 88x88x11, cso 250x290x14 (x, y, z); other regions
/// 168x128x84.
Shape default_crop_voxels(const std::string& region);

/// 1 where the label is one of `labels`.
Volume<std::uint8_t> region_mask(const Volume<std::int32_t>& label_map,
                                 const std::vector<std::int64_t>& labels);

}  // namespace epvs::data
