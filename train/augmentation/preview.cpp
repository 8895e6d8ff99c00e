#include "train/augmentation/preview.h"

#include <algorithm>

#include "core/error.h"
#include "train/augmentation/augmentation.h"

namespace epvs::train {

namespace {

constexpr double kMmPerPixel = 0.4;
constexpr data::Colour kWhite = {255, 255, 255};

data::Volume<float> to_volume(const torch::Tensor& tensor,
                              const std::array<double, 3>& spacing_mm) {
  EPVS_ASSERT(tensor.dim() == 5 && tensor.size(0) == 1 && tensor.size(1) == 1);
  data::Geometry geometry;
  geometry.shape = {tensor.size(4), tensor.size(3), tensor.size(2)};
  for (int axis = 0; axis < 3; ++axis) {
    geometry.affine(axis, axis) = spacing_mm[static_cast<std::size_t>(axis)];
  }
  data::Volume<float> volume(geometry);
  const torch::Tensor values = tensor.to(torch::kCPU, torch::kFloat).contiguous();
  std::copy_n(values.data_ptr<float>(), values.numel(), volume.voxels.begin());
  return volume;
}

data::Picture slice_of(const data::Volume<float>& volume, const data::GreyWindow& window) {
  return data::slice_picture(volume, data::Plane::kAxial, volume.geometry.shape[2] / 2, kMmPerPixel,
                             window);
}

}  // namespace

data::Picture middle_slice(const torch::Tensor& volume, const std::array<double, 3>& spacing_mm) {
  const data::Volume<float> values = to_volume(volume, spacing_mm);
  return slice_of(values, data::robust_window(values));
}

data::Picture augmentation_sheet(const models::VolumeSource& source,
                                 const std::vector<std::size_t>& rows,
                                 const AugmentationOptions& options, std::uint64_t seed, int draws,
                                 const std::array<double, 3>& spacing_mm) {
  EPVS_ASSERT(!rows.empty() && draws > 0);
  constexpr int kGap = 4;
  constexpr int kTitle = 14;
  data::Picture sheet;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const torch::Tensor volume = source.volume(rows[r]);
    const data::Volume<float> original = to_volume(volume, spacing_mm);
    const data::GreyWindow window = data::robust_window(original);
    const std::string name = source.name(rows[r]);
    for (int column = 0; column <= draws; ++column) {
      data::Picture part = slice_of(original, window);
      if (column > 0) {
        torch::Tensor changed =
            apply_spatial(volume, {draw_spatial(options, seed, column - 1, name)}, spacing_mm);
        changed =
            apply_clinical(changed, {draw_clinical(options, seed, column - 1, name)}, spacing_mm);
        part = slice_of(to_volume(changed, spacing_mm), window);
      }
      if (sheet.width == 0) {
        sheet = data::Picture((part.width + kGap) * (draws + 1),
                              (part.height + kTitle) * static_cast<int>(rows.size()));
      }
      const int x = column * (part.width + kGap);
      const int y = static_cast<int>(r) * (part.height + kTitle);
      data::paste(sheet, part, x, y + kTitle);
      data::draw_text(sheet, x + 2, y + 4, column == 0 ? name : "epoch " + std::to_string(column),
                      kWhite);
    }
  }
  return sheet;
}

}  // namespace epvs::train
