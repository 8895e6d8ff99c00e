// Scans as ITK images on an isotropic grid parallel to the world axes: what registration works on.
// ITK is given RAS+ coordinates; it only ever sees points of the same world, so no axis is flipped.
#pragma once

// Eigen before ITK: ITK includes parts of its own copy, which must find all of ours in place.
#include <Eigen/Dense>

#include <itkImage.h>

#include "data/formats/volume.h"

namespace epvs::data {

using WorkingImage = itk::Image<float, 3>;

/// The scan as it is, on its own grid.
WorkingImage::Pointer plain_image(const Volume<float>& volume);

/// Smooths (Gaussian, so that the coarser grid does not alias), resamples linearly onto an
/// isotropic grid over the bounding box of the scan, clips to the 0.5th and 99.5th percentile and
/// scales to 0..1. Throws InputError when the scan is constant.
WorkingImage::Pointer working_image(const Volume<float>& volume, double spacing_mm);

}  // namespace epvs::data
