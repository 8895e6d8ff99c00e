#include "data/prepare/registration/bias.h"

// Eigen before ITK: ITK includes parts of its own copy, which must find all of ours in place.
#include <Eigen/Dense>

#include <itkBSplineControlPointImageFilter.h>
#include <itkImage.h>
#include <itkMultiThreaderBase.h>
#include <itkN4BiasFieldCorrectionImageFilter.h>
#include <itkOtsuThresholdImageFilter.h>
#include <itkShrinkImageFilter.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"

namespace epvs::data {

namespace {

using WorkingImage = itk::Image<float, 3>;
using MaskImage = itk::Image<unsigned char, 3>;
using N4 = itk::N4BiasFieldCorrectionImageFilter<WorkingImage, MaskImage, WorkingImage>;
using Lattice = N4::BiasFieldControlPointLatticeType;

/// The scan on its own grid. ITK is given RAS+ coordinates: it only ever sees points of one world,
/// so no axis is flipped.
WorkingImage::Pointer itk_image(const Volume<float>& scan) {
  auto image = WorkingImage::New();
  WorkingImage::SizeType size;
  WorkingImage::SpacingType spacing;
  WorkingImage::PointType origin;
  WorkingImage::DirectionType direction;
  const Eigen::Vector3d lengths = scan.geometry.spacing_mm();
  for (unsigned axis = 0; axis < 3; ++axis) {
    size[axis] = static_cast<itk::SizeValueType>(scan.geometry.shape[axis]);
    spacing[axis] = lengths[axis];
    origin[axis] = scan.geometry.affine(axis, 3);
    for (unsigned row = 0; row < 3; ++row) {
      direction(row, axis) = scan.geometry.affine(row, axis) / lengths[axis];
    }
  }
  image->SetRegions(size);
  image->SetSpacing(spacing);
  image->SetOrigin(origin);
  image->SetDirection(direction);
  image->Allocate();
  std::copy(scan.voxels.begin(), scan.voxels.end(), image->GetBufferPointer());
  return image;
}

MaskImage::Pointer head_mask(WorkingImage* image) {
  using Otsu = itk::OtsuThresholdImageFilter<WorkingImage, MaskImage>;
  auto otsu = Otsu::New();
  otsu->SetInput(image);
  otsu->SetNumberOfHistogramBins(200);
  otsu->SetInsideValue(0);
  otsu->SetOutsideValue(1);
  otsu->Update();
  MaskImage::Pointer mask = otsu->GetOutput();
  // N4 takes logarithms.
  const float* value = image->GetBufferPointer();
  unsigned char* inside = mask->GetBufferPointer();
  const std::size_t count = image->GetLargestPossibleRegion().GetNumberOfPixels();
  for (std::size_t i = 0; i < count; ++i) inside[i] = inside[i] != 0 && value[i] > 0 ? 1 : 0;
  return mask;
}

template <class Image>
typename Image::Pointer shrunk(Image* image, const std::array<unsigned, 3>& factors) {
  using Shrink = itk::ShrinkImageFilter<Image, Image>;
  auto shrink = Shrink::New();
  shrink->SetInput(image);
  for (unsigned axis = 0; axis < 3; ++axis) shrink->SetShrinkFactor(axis, factors[axis]);
  shrink->Update();
  return shrink->GetOutput();
}

/// The logarithm of the field on the grid of `image`, estimated on a smaller one.
Lattice::Pointer log_field(const WorkingImage& image, WorkingImage& small, MaskImage& small_mask,
                           const BiasOptions& options) {
  auto n4 = N4::New();
  n4->SetInput(&small);
  n4->SetMaskImage(&small_mask);
  n4->SetMaskLabel(1);
  N4::ArrayType levels;
  levels.Fill(static_cast<unsigned>(options.levels));
  n4->SetNumberOfFittingLevels(levels);
  N4::VariableSizeArrayType iterations(static_cast<unsigned>(options.levels));
  iterations.Fill(static_cast<unsigned>(options.iterations));
  n4->SetMaximumNumberOfIterations(iterations);
  n4->SetConvergenceThreshold(static_cast<float>(options.convergence));
  n4->Update();

  using Spline = itk::BSplineControlPointImageFilter<Lattice, Lattice>;
  auto spline = Spline::New();
  spline->SetInput(const_cast<Lattice*>(n4->GetLogBiasFieldControlPointLattice()));
  spline->SetSplineOrder(n4->GetSplineOrder());
  spline->SetSize(image.GetLargestPossibleRegion().GetSize());
  spline->SetOrigin(image.GetOrigin());
  spline->SetDirection(image.GetDirection());
  spline->SetSpacing(image.GetSpacing());
  spline->Update();
  return spline->GetOutput();
}

}  // namespace

void require_bias_correction() {}

Volume<float> correct_bias(const Volume<float>& scan, const BiasOptions& options) {
  // The last digits depend on the number of threads; several scans are corrected at a time instead.
  itk::MultiThreaderBase::SetGlobalDefaultNumberOfThreads(1);
  const WorkingImage::Pointer image = itk_image(scan);
  const MaskImage::Pointer mask = head_mask(image);
  const std::size_t count = scan.voxels.size();
  const auto inside = static_cast<std::size_t>(
      std::count(mask->GetBufferPointer(), mask->GetBufferPointer() + count, 1));
  if (inside < 1000 || inside == count) {
    throw core::InputError(
        fmt::format("bias correction: {} of {} voxels are brighter than the background", inside,
                    count),
        "the scan does not look like a head on a dark background; leave out --bias-correction");
  }
  std::array<unsigned, 3> factors{};
  for (unsigned axis = 0; axis < 3; ++axis) {
    factors[axis] = std::max(1U, static_cast<unsigned>(std::lround(options.working_spacing_mm /
                                                                   image->GetSpacing()[axis])));
  }
  const WorkingImage::Pointer small = shrunk(image.GetPointer(), factors);
  const MaskImage::Pointer small_mask = shrunk(mask.GetPointer(), factors);
  const Lattice::Pointer field = log_field(*image, *small, *small_mask, options);
  const Lattice::PixelType* logs = field->GetBufferPointer();
  double mean = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (mask->GetBufferPointer()[i] != 0) mean += static_cast<double>(logs[i][0]);
  }
  mean /= static_cast<double>(inside);
  Volume<float> corrected = scan;
  for (std::size_t i = 0; i < count; ++i) {
    if (scan.voxels[i] <= 0) continue;
    const double bias = std::exp(static_cast<double>(logs[i][0]) - mean);
    corrected.voxels[i] = static_cast<float>(static_cast<double>(scan.voxels[i]) / bias);
  }
  return corrected;
}

}  // namespace epvs::data
