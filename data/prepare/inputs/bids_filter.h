// Names of BIDS files, and filters over them as fMRIPrep's --bids-filter-file writes them.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace epvs::data {

/// "sub-01_acq-hires_run-2_T2w.nii.gz": entities sub, acq, run by their short names, suffix T2w.
struct BidsName {
  std::map<std::string, std::string> entities;
  std::string suffix;
  std::string extension;  ///< .nii.gz, .nii, .mgz, .mgh

  /// Nothing when the file has another extension.
  static std::optional<BidsName> parse(const std::string& file);
};

/// "01" and "1" name the same run, echo or inversion.
bool same_index(const std::string& a, const std::string& b);

/// {"t2w": {"session": "02", "acquisition": ["tse", "hires"], "run": null}, "t1w": {...}}
///
/// Per kind of scan (t2w, pdw, t1w), entities by their long or short names: a value, a list of
/// values, null (the name must not have the entity) or "*" (it must have it, whatever the value).
/// suffix, extension and datatype may stand there too.
class BidsFilter {
 public:
  BidsFilter() = default;
  /// Throws InputError when it is not JSON; UsageError naming the nearest known kind or entity, or
  /// a value of another type. Kinds that only other programs read (bold, flair, ...) go to
  /// `ignored`.
  explicit BidsFilter(const std::filesystem::path& path,
                      std::vector<std::string>* ignored = nullptr);

  bool empty() const { return queries_.empty(); }
  /// `kind`: t2w, pdw or t1w. The suffix of the name is compared with `suffix` unless the filter
  /// has one.
  bool fits(const std::string& kind, const std::string& suffix, const BidsName& name) const;
  /// Whether the query of a kind names an entity (short name).
  bool names(const std::string& kind, const std::string& entity) const;

 private:
  struct Wanted {
    std::vector<std::string> values;
    bool absent = false;
    bool any = false;
  };
  std::map<std::string, std::map<std::string, Wanted>> queries_;
};

}  // namespace epvs::data
