#include "data/cohort/preprocessing.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/text.h"

namespace epvs::data {

namespace {

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
    if constexpr (std::is_enum_v<T>) {
      value = core::from_text<T>(found->template get<std::string>(), name);
    } else {
      value = found->template get<T>();
    }
  } catch (const core::UsageError& error) {
    throw core::InputError(std::string("preprocessing option ") + error.what(),
                           "the file was written by a newer epvs, or is damaged");
  } catch (const nlohmann::json::exception&) {
    throw core::InputError(
        fmt::format("preprocessing option '{}' = {} has the wrong type", name, found->dump()),
        "the file was not written by epvs, or is damaged");
  }
}

}  // namespace

std::int64_t up_to_four(double voxels) {
  return 4 * static_cast<std::int64_t>(std::ceil(voxels / 4.0 - 1e-9));
}

std::int64_t gaussian_radius(double sigma_voxels) {
  return static_cast<std::int64_t>(std::floor(4.0 * sigma_voxels + 0.5));
}

std::array<std::int64_t, 3> crop_for(const std::string& region,
                                     const std::array<double, 3>& spacing_mm) {
  std::array<std::int64_t, 3> size = {168, 128, 84};
  std::array<double, 3> own_mm = {0.5, 0.5, 0.5};
  if (region == "cso" || region == "midbrain") {
    own_mm[2] = 0.8;
    size = region == "cso" ? std::array<std::int64_t, 3>{250, 290, 14}
                           : std::array<std::int64_t, 3>{88, 88, 11};
  }
  for (std::size_t i = 0; i < 3; ++i) {
    if (std::abs(spacing_mm[i] - own_mm[i]) < 1e-9) continue;
    size[i] = up_to_four(static_cast<double>(size[i]) * own_mm[i] / spacing_mm[i]);
  }
  return size;
}

PreprocessingOptions PreprocessingOptions::of(Preset preset, const std::string& region) {
  PreprocessingOptions options;
  options.preset = preset;
  options.region = region;
  if (preset == Preset::kP1) {
    options.spacing_mm = {0.5, 0.5, 0.5};
    options.normalisation = Normalisation::kMax;
    options.registration = GridRegistration::kRigid;
  }
  options.crop_voxels = crop_for(region, options.spacing_mm);
  return options;
}

std::int64_t PreprocessingOptions::reach_voxels() const {
  return dilation_voxels + gaussian_radius(sigma_voxels);
}

void PreprocessingOptions::validate() const {
  const auto refuse = [this](const std::string& text) {
    throw core::UsageError(fmt::format("region {}: {}", region, text));
  };
  for (std::size_t i = 0; i < 3; ++i) {
    if (!(spacing_mm[i] > 0) || !std::isfinite(spacing_mm[i])) {
      refuse(fmt::format("spacing_mm = {}: it must be positive", spacing_mm[i]));
    }
    if (crop_voxels[i] < 1 || crop_voxels[i] > 4096) {
      refuse(fmt::format("crop_voxels = {}: expected 1 to 4096", crop_voxels[i]));
    }
  }
  if (dilation_voxels < 0 || dilation_voxels > 100) {
    refuse(fmt::format("dilation_voxels = {}: expected 0 to 100", dilation_voxels));
  }
  if (!(sigma_voxels >= 0 && sigma_voxels <= 100)) {
    refuse(fmt::format("sigma_voxels = {}: expected 0 to 100", sigma_voxels));
  }
}

core::Json PreprocessingOptions::to_json() const {
  core::Json document;
  document["preset"] = core::to_text(preset);
  document["region"] = region;
  document["spacing_mm"] = spacing_mm;
  document["crop_voxels"] = crop_voxels;
  document["dilation_voxels"] = dilation_voxels;
  document["sigma_voxels"] = sigma_voxels;
  document["normalisation"] = core::to_text(normalisation);
  document["registration"] = core::to_text(registration);
  document["bias_correction"] = core::to_text(bias_correction);
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
  const auto differ = [&found](const char* name, const auto& a, const auto& b) {
    found.push_back(fmt::format("{}: {} and {}", name, a, b));
  };
  const auto list = [](const auto& numbers) { return fmt::format("{}", fmt::join(numbers, ",")); };
  if (region != other.region) differ("region", region, other.region);
  bool spacing_equal = true;
  for (std::size_t i = 0; i < 3; ++i) {
    spacing_equal = spacing_equal && near(spacing_mm[i], other.spacing_mm[i]);
  }
  if (!spacing_equal) {
    differ("spacing_mm", list(spacing_mm), list(other.spacing_mm));
  }
  if (crop_voxels != other.crop_voxels) {
    differ("crop_voxels", list(crop_voxels), list(other.crop_voxels));
  }
  if (dilation_voxels != other.dilation_voxels) {
    differ("dilation_voxels", dilation_voxels, other.dilation_voxels);
  }
  if (!near(sigma_voxels, other.sigma_voxels)) {
    differ("sigma_voxels", core::format_number(sigma_voxels),
           core::format_number(other.sigma_voxels));
  }
  if (normalisation != other.normalisation) {
    differ("normalisation", core::to_text(normalisation), core::to_text(other.normalisation));
  }
  if (registration != other.registration) {
    differ("registration", core::to_text(registration), core::to_text(other.registration));
  }
  if (bias_correction != other.bias_correction) {
    differ("bias_correction", core::to_text(bias_correction), core::to_text(other.bias_correction));
  }
  return found;
}

}  // namespace epvs::data
