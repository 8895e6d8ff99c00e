// The names and shapes of a cohort file, in one place for the writer and the reader.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/cohort/cohort.h"

namespace epvs::data::schema {

inline constexpr const char* kFormat = "epvs-cohort";
inline constexpr std::int64_t kVersion = 1;

/// Visits every column of `rows/`: visitor.text(name, string&), visitor.integers(name, int64*,
/// count), visitor.code(name, int&), visitor.reals(name, double*, count), visitor.matrix(name,
/// Matrix4d&). `Row` is CohortRow or const CohortRow.
template <class Row, class Visitor>
void visit_columns(Row& row, Visitor& visitor) {
  visitor.text("participant_id", row.participant_id);
  visitor.text("session_id", row.session_id);
  visitor.text("label_source", row.label_source);
  visitor.text("source_path", row.source_path);
  visitor.text("source_sha256", row.source_sha256);
  visitor.matrix("roi_affine", row.roi.affine);
  visitor.matrix("network_to_source", row.network_to_source);
  visitor.integers("source_shape", row.source.shape.data(), 3);
  visitor.matrix("source_affine", row.source.affine);
  visitor.code("source_sform_code", row.source_sform_code);
  visitor.code("source_qform_code", row.source_qform_code);
  visitor.matrix("source_sform", row.source_sform);
  visitor.matrix("source_qform", row.source_qform);
  visitor.reals("source_qform_fields", row.source_qform_fields.data(), 10);
  visitor.integers("crop_origin", row.crop_origin.data(), 3);
  visitor.reals("intensity_offset", &row.intensity_offset, 1);
  visitor.reals("intensity_scale", &row.intensity_scale, 1);
  visitor.integers("ac_slice", &row.ac_slice, 1);
  visitor.reals("region_volume_mm3", &row.region_volume_mm3, 1);
  visitor.reals("region_cut_fraction", &row.region_cut_fraction, 1);
  visitor.reals("region_outside_crop_fraction", &row.region_outside_crop_fraction, 1);
}

/// "sub-01" or "sub-01 ses-2".
inline std::string key_text(const CohortRow& row) {
  return row.session_id.empty() ? row.participant_id : row.participant_id + " " + row.session_id;
}

}  // namespace epvs::data::schema
