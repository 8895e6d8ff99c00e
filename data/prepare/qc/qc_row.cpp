#include "data/prepare/qc/qc_row.h"

#include <cmath>

namespace epvs::data {

namespace {

core::Json number_or_null(double value) {
  return std::isfinite(value) ? core::Json(value) : core::Json(nullptr);
}

double null_or_number(const core::Json& document, const char* key) {
  return document.at(key).is_null() ? std::numeric_limits<double>::quiet_NaN()
                                    : document.at(key).get<double>();
}

}  // namespace

core::Json QcRow::to_json() const {
  core::Json document;
  document["participant_id"] = participant_id;
  document["session_id"] = session_id;
  document["region"] = region;
  document["volume_mm3"] = volume_mm3;
  document["label_volume_mm3"] = label_volume_mm3;
  document["cut_fraction"] = cut_fraction;
  document["edge_fraction"] = edge_fraction;
  document["outside_crop_fraction"] = outside_crop_fraction;
  document["intensity_min"] = intensity_min;
  document["intensity_max"] = intensity_max;
  document["sharpness_per_mm"] = number_or_null(sharpness_per_mm);
  document["mi_before"] = number_or_null(mi_before);
  document["mi_after"] = number_or_null(mi_after);
  document["overlap"] = number_or_null(overlap);
  document["jacobian_min"] = number_or_null(jacobian_min);
  document["seconds"] = seconds;
  document["reasons"] = reasons;
  return document;
}

QcRow QcRow::from_json(const core::Json& document) {
  QcRow row;
  document.at("participant_id").get_to(row.participant_id);
  document.at("session_id").get_to(row.session_id);
  document.at("region").get_to(row.region);
  document.at("volume_mm3").get_to(row.volume_mm3);
  document.at("label_volume_mm3").get_to(row.label_volume_mm3);
  document.at("cut_fraction").get_to(row.cut_fraction);
  document.at("edge_fraction").get_to(row.edge_fraction);
  document.at("outside_crop_fraction").get_to(row.outside_crop_fraction);
  document.at("intensity_min").get_to(row.intensity_min);
  document.at("intensity_max").get_to(row.intensity_max);
  row.sharpness_per_mm = null_or_number(document, "sharpness_per_mm");
  row.mi_before = null_or_number(document, "mi_before");
  row.mi_after = null_or_number(document, "mi_after");
  row.overlap = null_or_number(document, "overlap");
  row.jacobian_min = null_or_number(document, "jacobian_min");
  document.at("seconds").get_to(row.seconds);
  document.at("reasons").get_to(row.reasons);
  return row;
}

}  // namespace epvs::data
