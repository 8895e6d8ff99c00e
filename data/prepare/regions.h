// Which label numbers form a region, for the label maps of common programs or a table of the
// user's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/formats/volume.h"

namespace epvs::data {

/// The regions of the papers: bg, cso, hippocampi, midbrain.
const std::vector<std::string>& known_regions();

/// Label maps whose numbers are known: freesurfer, synthseg, first (FSL FIRST's
/// *_all_fast_firstseg), fast (FSL FAST's *_seg), fast_pve (FAST's partial volume of white matter,
/// *_pve_2), harvardoxford (FSL's HarvardOxford-sub-maxprob), atlas (FreeSurfer's numbers on a
/// template).
const std::vector<std::string>& known_luts();

/// What the centrum semiovale is cut out of, and what it lies above.
struct CsoLabels {
  std::vector<std::int64_t> white_matter;
  std::vector<std::int64_t> ventricles;  ///< lateral
  std::vector<std::int64_t> caudate;
};

/// Region names -> label numbers of one kind of label map.
class RegionTable {
 public:
  /// bg = caudate + putamen + pallidum + accumbens; FreeSurfer, SynthSeg, FIRST: 11/50, 12/51,
  /// 13/52, 26/58; hippocampi = 17/53; midbrain = 173 (FreeSurfer's brain-stem substructures; not
  /// in synthseg and first). fast and fast_pve have white matter only (3 of *_seg; 1 where a
  /// partial volume is above one half). cso has no labels of its own: it is cut out of the white
  /// matter at the level of the ventricles (data/prepare). Throws UsageError naming the nearest
  /// known table.
  static RegionTable preset(const std::string& lut);

  /// A TOML file; the numbers of cso() are FreeSurfer's where [cso] does not give them:
  ///   [regions]
  ///   bg = [11, 50, 12, 51]
  ///   thalami = [10, 49]
  ///   [cso]
  ///   white_matter = [2, 41]
  ///   ventricles = [4, 43]
  /// Region names are free. Throws UsageError for other keys, empty or doubled lists, negative or
  /// fractional numbers, 0 (the background).
  static RegionTable from_toml(const std::filesystem::path& path);

  /// A table of BIDS and TemplateFlow (*_dseg.tsv) with the columns index and name: structures are
  /// recognised by the words caudate, putamen, pallid, accumbens, hippocampus, midbrain, "cerebral
  /// white matter" and "lateral ventric" (not inferior) in their names, any case, with spaces,
  /// dashes or underscores. Throws InputError when none is there.
  static RegionTable from_tsv(const std::filesystem::path& path);

  /// The name of a preset, or else a path that ends in .toml or .tsv.
  static RegionTable open(const std::string& lut_or_path);

  const std::string& source() const { return source_; }
  std::vector<std::string> regions() const;
  bool has(const std::string& region) const;
  /// Throws UsageError naming the nearest region, or why this table does not have a known one.
  const std::vector<std::int64_t>& labels(const std::string& region) const;
  const CsoLabels& cso() const { return cso_; }

 private:
  std::vector<std::int64_t>& cso_list(const std::string& name, const std::filesystem::path& path);

  std::string source_;
  std::map<std::string, std::vector<std::int64_t>> labels_;
  CsoLabels cso_;
};

/// bg and hippocampi 168x128x84 (P1), midbrain 88x88x11, cso 250x290x14 (x, y, z); other regions
/// 168x128x84.
Shape default_crop_voxels(const std::string& region);

}  // namespace epvs::data
