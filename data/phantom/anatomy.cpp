#include "data/phantom/anatomy.h"

#include <algorithm>

#include "core/error.h"
#include "core/text.h"

namespace epvs::data {

using Eigen::Vector3d;

namespace {

struct LabelEntry {
  Tissue tissue;
  int left;
  int right;
  const char* name;
};
constexpr std::array<LabelEntry, 14> kLabels{{
    {Tissue::kCsf, 24, 24, "CSF"},
    {Tissue::kCortex, 3, 42, "Cerebral-Cortex"},
    {Tissue::kWhiteMatter, 2, 41, "Cerebral-White-Matter"},
    {Tissue::kVentricle, 4, 43, "Lateral-Ventricle"},
    {Tissue::kThirdVentricle, 14, 14, "3rd-Ventricle"},
    {Tissue::kThalamus, 10, 49, "Thalamus"},
    {Tissue::kCaudate, 11, 50, "Caudate"},
    {Tissue::kPutamen, 12, 51, "Putamen"},
    {Tissue::kPallidum, 13, 52, "Pallidum"},
    {Tissue::kAccumbens, 26, 58, "Accumbens-area"},
    {Tissue::kHippocampus, 17, 53, "Hippocampus"},
    {Tissue::kMidbrain, 173, 173, "Midbrain"},
    {Tissue::kBrainStem, 16, 16, "Brain-Stem"},
    {Tissue::kCerebellarCortex, 8, 47, "Cerebellum-Cortex"},
}};
constexpr LabelEntry kCerebellarWhiteLabel{Tissue::kCerebellarWhite, 7, 46,
                                           "Cerebellum-White-Matter"};

const std::array<std::string, 4> kRegionNames = {"bg", "hippocampi", "cso", "midbrain"};

}  // namespace

std::int16_t freesurfer_label(Tissue tissue, bool left) {
  if (tissue == Tissue::kCerebellarWhite) {
    return static_cast<std::int16_t>(left ? kCerebellarWhiteLabel.left
                                          : kCerebellarWhiteLabel.right);
  }
  for (const LabelEntry& entry : kLabels) {
    if (entry.tissue == tissue) return static_cast<std::int16_t>(left ? entry.left : entry.right);
  }
  return 0;
}

std::vector<std::pair<int, std::string>> freesurfer_names() {
  std::vector<std::pair<int, std::string>> names = {{0, "Unknown"}};
  const auto add = [&](const LabelEntry& entry) {
    if (entry.left == entry.right) {
      names.emplace_back(entry.left, entry.name);
    } else {
      names.emplace_back(entry.left, std::string("Left-") + entry.name);
      names.emplace_back(entry.right, std::string("Right-") + entry.name);
    }
  };
  for (const LabelEntry& entry : kLabels) add(entry);
  add(kCerebellarWhiteLabel);
  std::sort(names.begin(), names.end());
  return names;
}

const std::string& region_name(Region region) {
  return kRegionNames[static_cast<std::size_t>(region)];
}

Region region_of(const std::string& name) {
  for (std::size_t i = 0; i < kRegionNames.size(); ++i) {
    if (kRegionNames[i] == name) return static_cast<Region>(i);
  }
  throw core::UsageError(
      fmt::format("region '{}' is unknown{}", name,
                  core::did_you_mean(name, {kRegionNames.begin(), kRegionNames.end()})),
      "regions of the phantom are bg, hippocampi, cso and midbrain");
}

Anatomy::Anatomy(const HeadShape& shape, core::Random& random) : shape_(shape) {
  for (SmoothField& field : deformation_) field = SmoothField(random, kFieldLow, kFieldHigh, 32.0);
}

void Anatomy::draw_texture(core::Random& random) {
  texture_ = SmoothField(random, kFieldLow, kFieldHigh, 5.0);
  if (shape_.deep_texture > 0) {
    iron_ = SmoothField(random, {-45, -50, -30}, {45, 45, 45}, 2.6);
  }
}

Vector3d Anatomy::to_canonical(const Vector3d& head) const {
  const Vector3d q = head.cwiseQuotient(shape_.size);
  const double amplitude = shape_.deformation_mm;
  return q + amplitude * Vector3d(deformation_[0](q), deformation_[1](q), deformation_[2](q));
}

void Anatomy::add_texture(const Vector3d& head, const Vector3d& canonical,
                          const TissueTable& brightness, TissueSample& sample) const {
  const Tissue tissue = sample.tissue;
  if (shape_.deep_texture > 0 && tissue >= Tissue::kThalamus && tissue <= Tissue::kAccumbens) {
    const float contrast = brightness[static_cast<std::size_t>(Tissue::kCsf)] -
                           brightness[static_cast<std::size_t>(Tissue::kWhiteMatter)];
    sample.brightness += static_cast<float>(shape_.deep_texture * iron_(canonical)) * contrast;
  }
  sample.brightness *= 1.0F + 0.012F * static_cast<float>(texture_(head));
}

}  // namespace epvs::data
