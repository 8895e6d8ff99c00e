#include "data/prepare/registration/working_grid.h"

#include <itkImportImageFilter.h>
#include <itkLinearInterpolateImageFunction.h>
#include <itkResampleImageFilter.h>
#include <itkSmoothingRecursiveGaussianImageFilter.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace epvs::data {

namespace {

WorkingImage::Pointer smooth(WorkingImage::Pointer image, double spacing_mm) {
  using Smooth = itk::SmoothingRecursiveGaussianImageFilter<WorkingImage, WorkingImage>;
  Smooth::SigmaArrayType sigma;
  bool needed = false;
  for (unsigned axis = 0; axis < 3; ++axis) {
    const double own = image->GetSpacing()[axis];
    // The recursive filter needs four voxels along an axis and a sigma that it can represent.
    const bool smaller = own < spacing_mm && image->GetLargestPossibleRegion().GetSize(axis) >= 4;
    sigma[axis] = smaller ? 0.5 * std::sqrt(spacing_mm * spacing_mm - own * own) : 1e-3 * own;
    needed = needed || smaller;
  }
  for (unsigned axis = 0; axis < 3; ++axis) {
    if (image->GetLargestPossibleRegion().GetSize(axis) < 4) needed = false;
  }
  if (!needed) return image;
  auto filter = Smooth::New();
  filter->SetInput(image);
  filter->SetSigmaArray(sigma);
  filter->Update();
  return filter->GetOutput();
}

WorkingImage::Pointer isotropic(const Volume<float>& volume, double spacing_mm) {
  const WorkingImage::Pointer source = smooth(plain_image(volume), spacing_mm);
  Eigen::Vector3d low = Eigen::Vector3d::Constant(1e30);
  Eigen::Vector3d high = -low;
  for (int corner = 0; corner < 8; ++corner) {
    Eigen::Vector3d voxel;
    for (int axis = 0; axis < 3; ++axis) {
      const bool far_side = ((corner >> axis) & 1) != 0;
      voxel[axis] =
          far_side ? static_cast<double>(volume.geometry.shape[static_cast<std::size_t>(axis)] - 1)
                   : 0.0;
    }
    const Eigen::Vector3d world = volume.geometry.to_world(voxel);
    low = low.cwiseMin(world);
    high = high.cwiseMax(world);
  }
  using Resample = itk::ResampleImageFilter<WorkingImage, WorkingImage, double>;
  auto resample = Resample::New();
  WorkingImage::SizeType size;
  WorkingImage::PointType origin;
  for (unsigned axis = 0; axis < 3; ++axis) {
    size[axis] =
        static_cast<itk::SizeValueType>(std::floor((high[axis] - low[axis]) / spacing_mm)) + 1;
    origin[axis] = low[axis];
  }
  resample->SetInput(source);
  resample->SetSize(size);
  resample->SetOutputOrigin(origin);
  resample->SetOutputSpacing(WorkingImage::SpacingType(spacing_mm));
  resample->SetDefaultPixelValue(0);
  resample->Update();
  return resample->GetOutput();
}

}  // namespace

WorkingImage::Pointer plain_image(const Volume<float>& volume) {
  auto image = WorkingImage::New();
  WorkingImage::SizeType size;
  WorkingImage::SpacingType spacing;
  WorkingImage::PointType origin;
  WorkingImage::DirectionType direction;
  const Eigen::Vector3d lengths = volume.geometry.spacing_mm();
  for (unsigned axis = 0; axis < 3; ++axis) {
    size[axis] = static_cast<itk::SizeValueType>(volume.geometry.shape[axis]);
    spacing[axis] = lengths[axis];
    origin[axis] = volume.geometry.affine(axis, 3);
    for (unsigned row = 0; row < 3; ++row) {
      direction(row, axis) = volume.geometry.affine(row, axis) / lengths[axis];
    }
  }
  image->SetRegions(size);
  image->SetSpacing(spacing);
  image->SetOrigin(origin);
  image->SetDirection(direction);
  image->Allocate();
  std::copy(volume.voxels.begin(), volume.voxels.end(), image->GetBufferPointer());
  return image;
}

WorkingImage::Pointer working_image(const Volume<float>& volume, double spacing_mm) {
  const WorkingImage::Pointer image =
      spacing_mm > 0 ? isotropic(volume, spacing_mm) : plain_image(volume);
  float* voxels = image->GetBufferPointer();
  const std::size_t count = image->GetLargestPossibleRegion().GetNumberOfPixels();
  std::vector<float> sorted(voxels, voxels + count);
  const auto percentile = [&sorted](double share) {
    const auto at = sorted.begin() +
                    static_cast<std::ptrdiff_t>(share * static_cast<double>(sorted.size() - 1));
    std::nth_element(sorted.begin(), at, sorted.end());
    return *at;
  };
  const float bottom = percentile(0.005);
  const float top = percentile(0.995);
  if (!(top > bottom)) {
    throw core::InputError("the scan has the same intensity nearly everywhere",
                           "registration needs a scan that shows a head");
  }
  for (std::size_t i = 0; i < count; ++i) {
    voxels[i] = (std::clamp(voxels[i], bottom, top) - bottom) / (top - bottom);
  }
  return image;
}

}  // namespace epvs::data
