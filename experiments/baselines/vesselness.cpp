#include "experiments/baselines/vesselness.h"

#include <itkHessianToObjectnessMeasureImageFilter.h>
#include <itkImage.h>
#include <itkMultiScaleHessianBasedMeasureImageFilter.h>
#include <itkMultiThreaderBase.h>

#include <algorithm>

namespace epvs::experiments {

namespace {

constexpr double kSmallestSigmaMm = 0.4;
constexpr double kLargestSigmaMm = 1.2;
constexpr unsigned kScales = 4;

using Image = itk::Image<float, 3>;
using Hessian = itk::Image<itk::SymmetricSecondRankTensor<double, 3>, 3>;
using Objectness = itk::HessianToObjectnessMeasureImageFilter<Hessian, Image>;
using MultiScale = itk::MultiScaleHessianBasedMeasureImageFilter<Image, Hessian, Image>;

Image::Pointer image_of(const std::vector<float>& values, const std::array<std::int64_t, 3>& shape,
                        const std::array<double, 3>& spacing_mm) {
  const auto image = Image::New();
  Image::SizeType size;
  Image::SpacingType spacing;
  for (unsigned axis = 0; axis < 3; ++axis) {
    size[axis] = static_cast<itk::SizeValueType>(shape[axis]);
    spacing[axis] = spacing_mm[axis];
  }
  image->SetRegions(size);
  image->SetSpacing(spacing);
  image->Allocate();
  std::ranges::copy(values, image->GetBufferPointer());
  return image;
}

}  // namespace

bool has_vesselness() {
  return true;
}

std::vector<float> vesselness(const std::vector<float>& values,
                              const std::array<std::int64_t, 3>& shape,
                              const std::array<double, 3>& spacing_mm) {
  // Scans run side by side instead (core/parallel.h).
  itk::MultiThreaderBase::SetGlobalDefaultNumberOfThreads(1);
  const double half_voxel = 0.5 * *std::ranges::min_element(spacing_mm);
  const auto objectness = Objectness::New();
  objectness->SetBrightObject(true);
  objectness->SetObjectDimension(1);
  objectness->SetScaleObjectnessMeasure(false);
  objectness->SetAlpha(0.5);
  objectness->SetBeta(0.5);
  // Frangi's c: half of the contrast of a clear tube in a normalised ROI.
  objectness->SetGamma(0.1);
  const auto filter = MultiScale::New();
  filter->SetInput(image_of(values, shape, spacing_mm));
  filter->SetHessianToMeasureFilter(objectness);
  filter->SetSigmaStepMethodToLogarithmic();
  filter->SetSigmaMinimum(std::max(kSmallestSigmaMm, half_voxel));
  filter->SetSigmaMaximum(std::max(kLargestSigmaMm, half_voxel));
  filter->SetNumberOfSigmaSteps(kScales);
  filter->Update();
  const Image& result = *filter->GetOutput();
  return {result.GetBufferPointer(), result.GetBufferPointer() + values.size()};
}

}  // namespace epvs::experiments
