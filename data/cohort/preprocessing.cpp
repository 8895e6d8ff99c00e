#include "data/cohort/preprocessing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/text.h"

namespace epvs::data {

namespace {

template <class Range>
std::string list_text(const Range& numbers) {
  std::vector<std::string> parts;
  for (const auto number : numbers)
    parts.push_back(core::format_number(static_cast<double>(number)));
  return core::join(parts, ",");
}

bool near(double a, double b) {
  return std::abs(a - b) <= 1e-6 * std::max({1.0, std::abs(a), std::abs(b)});
}

template <class T>
void read_field(const core::Json& document, const char* name, T& value) {
  const auto found = document.find(name);
  if (found == document.end()) {
    throw core::InputError(fmt::format("preprocessing options lack '{}'", name),
                           "the file was not written by epvs, or is damaged");
  }
  try {
    value = found->template get<T>();
  } catch (const nlohmann::json::exception& error) {
    throw core::InputError(
        fmt::format("preprocessing option '{}' = {} has the wrong type", name, found->dump()),
        "the file was not written by epvs, or is damaged");
  }
}

}  // namespace

core::Json PreprocessingOptions::to_json() const {
  core::Json document;
  document["preset"] = preset;
  document["region"] = region;
  document["spacing_mm"] = spacing_mm;
  document["crop_voxels"] = crop_voxels;
  document["dilation_voxels"] = dilation_voxels;
  document["sigma_voxels"] = sigma_voxels;
  document["normalisation"] = normalisation;
  document["registration"] = registration;
  document["bias_correction"] = bias_correction;
  document["labels"] = labels;
  document["label_source"] = label_source;
  return document;
}

PreprocessingOptions PreprocessingOptions::from_json(const core::Json& document) {
  if (!document.is_object()) {
    throw core::InputError("preprocessing options are not a JSON object: " + document.dump());
  }
  PreprocessingOptions options;
  read_field(document, "preset", options.preset);
  read_field(document, "region", options.region);
  read_field(document, "spacing_mm", options.spacing_mm);
  read_field(document, "crop_voxels", options.crop_voxels);
  read_field(document, "dilation_voxels", options.dilation_voxels);
  read_field(document, "sigma_voxels", options.sigma_voxels);
  read_field(document, "normalisation", options.normalisation);
  read_field(document, "registration", options.registration);
  if (document.contains("bias_correction")) {
    read_field(document, "bias_correction", options.bias_correction);
  }
  read_field(document, "labels", options.labels);
  read_field(document, "label_source", options.label_source);
  return options;
}

std::vector<std::string> PreprocessingOptions::differences(
    const PreprocessingOptions& other) const {
  std::vector<std::string> found;
  const auto differ = [&found](const char* name, const std::string& a, const std::string& b) {
    found.push_back(fmt::format("{}: {} and {}", name, a, b));
  };
  if (region != other.region) differ("region", region, other.region);
  bool spacing_equal = true;
  for (std::size_t i = 0; i < 3; ++i) {
    spacing_equal = spacing_equal && near(spacing_mm[i], other.spacing_mm[i]);
  }
  if (!spacing_equal) differ("spacing_mm", list_text(spacing_mm), list_text(other.spacing_mm));
  if (crop_voxels != other.crop_voxels) {
    differ("crop_voxels", list_text(crop_voxels), list_text(other.crop_voxels));
  }
  if (dilation_voxels != other.dilation_voxels) {
    differ("dilation_voxels", fmt::format("{}", dilation_voxels),
           fmt::format("{}", other.dilation_voxels));
  }
  if (!near(sigma_voxels, other.sigma_voxels)) {
    differ("sigma_voxels", core::format_number(sigma_voxels),
           core::format_number(other.sigma_voxels));
  }
  if (normalisation != other.normalisation) {
    differ("normalisation", normalisation, other.normalisation);
  }
  if (registration != other.registration) {
    differ("registration", registration, other.registration);
  }
  if (bias_correction != other.bias_correction) {
    differ("bias_correction", bias_correction, other.bias_correction);
  }
  return found;
}

}  // namespace epvs::data
