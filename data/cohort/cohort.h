// cohort.h5: the smooth ROIs of a cohort, per region and scan, with everything needed to go back to
// the original scans. No scores: labels live in tables. The layout is documented in
// docs/cohort-format.md.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/cohort/preprocessing.h"
#include "data/formats/volume.h"

namespace epvs::data {

/// One scan in one region.
struct CohortRow {
  std::string participant_id;
  std::string session_id;  ///< empty when the participant has one session without a name
  /// Grid of the crop: shape = crop_voxels, affine = ROI voxel -> world mm of the network's space.
  Geometry roi;
  /// World mm of the network's space -> world mm of the source scan; identity without registration.
  Eigen::Matrix4d network_to_source = Eigen::Matrix4d::Identity();
  Geometry source;  ///< the original scan, stored voxel order
  int source_sform_code = 0;
  int source_qform_code = 0;
  Eigen::Matrix4d source_sform = Eigen::Matrix4d::Identity();
  Eigen::Matrix4d source_qform = Eigen::Matrix4d::Identity();
  /// Raw qform fields of the source's NIfTI header (ScanHeader::qform_fields); 0 for other formats.
  std::array<double, 10> source_qform_fields = {};
  Shape crop_origin = {0, 0, 0};  ///< of the crop in the resampled scan; negative when padded
  /// roi = soft_mask * clip((v - intensity_offset) * intensity_scale) as the normalisation says.
  double intensity_offset = 0;
  double intensity_scale = 1;
  std::int64_t ac_slice = -1;  ///< z of the anterior commissure in the crop; -1 = not known
  std::string label_source;
  std::string source_path;
  std::string source_sha256;
  double region_volume_mm3 = 0;    ///< of the hard mask before dilation
  double region_cut_fraction = 0;  ///< part of the region cut off by the scan's field of view
  double region_outside_crop_fraction = 0;  ///< part of the region outside the crop
};

/// Volumes of one row, (Z, Y, X) in memory as the file has them: x fastest.
struct CohortVolumes {
  std::vector<float> roi;          ///< smooth ROI, what the network sees
  std::vector<std::uint8_t> hard;  ///< region before dilation and smoothing
  std::vector<float> soft;         ///< smooth mask, 0..1
};

/// Copies all rows of finished cohorts into one, in the given order. Regions that several parts
/// have must have equal options there, and all parts must store floats in the same width. Throws
/// InputError naming the part and what differs, or a key that two parts have.
void merge_cohorts(const std::vector<std::filesystem::path>& parts,
                   const std::filesystem::path& out, const core::Json& provenance);

/// Writes a cohort in a stream: memory does not grow with the number of scans. The file is complete
/// or absent.
class CohortWriter {
 public:
  /// `options`: one entry per region. `float16` halves the size of roi and soft.
  CohortWriter(const std::filesystem::path& path, std::vector<PreprocessingOptions> options,
               const core::Json& provenance, bool float16 = false);
  ~CohortWriter();
  CohortWriter(const CohortWriter&) = delete;
  CohortWriter& operator=(const CohortWriter&) = delete;
  /// Throws InputError when the crop differs from the region's options, the key is there already or
  /// a voxel is not finite; UsageError for an unknown region; RunError when the disk is full. May
  /// be called from several threads: compression runs in parallel, rows stand in the order of
  /// arrival.
  void append(const std::string& region, const CohortRow& row, const CohortVolumes& volumes);
  /// Writes the completion mark, synchronises and renames.
  void finish();

 private:
  friend void merge_cohorts(const std::vector<std::filesystem::path>&, const std::filesystem::path&,
                            const core::Json&);
  struct State;
  std::unique_ptr<State> state_;
};

/// Random access to a finished cohort. Const methods may be called from several threads: reading
/// the file is serialised, decompression is not.
class CohortReader {
 public:
  /// Throws InputError: not a cohort, cut short, without completion mark, of a newer schema.
  explicit CohortReader(const std::filesystem::path& path);
  ~CohortReader();
  CohortReader(CohortReader&&) noexcept;

  const std::filesystem::path& path() const;
  std::vector<std::string> regions() const;
  /// Throws UsageError naming the regions that exist.
  const PreprocessingOptions& options(const std::string& region) const;
  const std::vector<CohortRow>& rows(const std::string& region) const;
  core::Json provenance() const;
  std::vector<float> read_roi(const std::string& region, std::size_t row) const;
  std::vector<std::uint8_t> read_hard(const std::string& region, std::size_t row) const;
  std::vector<float> read_soft(const std::string& region, std::size_t row) const;
  /// SHA-256 over regions, options, keys and source hashes: names the content cheaply.
  std::string fingerprint() const;

 private:
  friend void merge_cohorts(const std::vector<std::filesystem::path>&, const std::filesystem::path&,
                            const core::Json&);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace epvs::data
