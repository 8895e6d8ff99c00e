// Which label numbers form a region, for the label maps of common programs or a table of the
// user's, and numbers in a map that the program it is said to come from does not write.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/formats/volume.h"

namespace epvs::data {

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

  /// The name of a preset, or else a path that ends in .toml.
  static RegionTable open(const std::string& lut_or_path);

  const std::string& source() const { return source_; }
  std::vector<std::string> regions() const;
  bool has(const std::string& region) const;
  /// The numbers that form a region; the white matter for cso. Throws UsageError naming the nearest
  /// region, or why this table does not have a known one.
  const std::vector<std::int64_t>& labels(const std::string& region) const;
  const CsoLabels& cso() const { return cso_; }

 private:
  std::vector<std::int64_t>& cso_list(const std::string& name, const std::filesystem::path& path);

  std::string source_;
  std::map<std::string, std::vector<std::int64_t>> labels_;
  CsoLabels cso_;
};

/// Numbers (not 0) of the map that are foreign to `lut` (known_luts), sorted. synthseg and first:
/// their lists; fast: above 3; harvardoxford: above 21. freesurfer, atlas: what aseg writes below
/// 100, and 100 to 14999 (parcellations, subfields, nuclei), which are not looked at one by one.
/// Other tables: none, for a table of the user's names only what its regions need.
std::vector<std::int64_t> foreign_numbers(const Volume<std::int32_t>& labels,
                                          const std::string& lut);

/// "3 label numbers that 'freesurfer' does not have: 1, 6, 9"; empty when there are none.
std::string foreign_numbers_text(const Volume<std::int32_t>& labels, const std::string& lut);

}  // namespace epvs::data
